//! `log.jsonl`: what a run did, one JSON object a line, kept with the artifact.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use artifact::{Error, Result};
use serde_json::{Value, json};

/// An open log; without a file for a process that writes none.
pub struct Log(Option<File>);

impl Log {
    /// Opens a log, going on where an earlier run ended.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self(Some(file.map_err(Error::io("open the log", path))?)))
    }

    /// The log of a process whose work another process tells.
    pub(crate) fn silent() -> Self {
        Self(None)
    }

    /// Writes one event: `{"time": seconds since 1970, "event": name, …fields}`.
    pub fn event(&mut self, name: &str, fields: &Value) -> Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut line = json!({ "time": (time * 1e3).round() / 1e3, "event": name });
        if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
            line.extend(fields.clone());
        }
        writeln!(file, "{line}").map_err(|source| Error::Io { action: "cannot write the log".into(), source })
    }
}
