//! Tables on a terminal.

use std::fmt;
use std::io::{ErrorKind, Write};

use artifact::store::Accepted;
use artifact::{Error, Result};
use serde::Serialize;
use serde_json::Value;

/// Columns as wide as their widest cell.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|name| (*name).to_owned()).collect()] }
    }

    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for row in &self.rows {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// Writes to the command's output. A reader that has gone away (`camflow status | head`) is no failure.
pub fn emit(out: &mut dyn Write, text: &str) -> Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Io { action: "cannot write the output".into(), source: error })
        }
        _ => Ok(()),
    }
}

/// Writes a value as JSON.
pub(crate) fn emit_json(out: &mut dyn Write, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("answers are JSON");
    emit(out, &format!("{text}\n"))
}

/// A metric, with the digits that one compares.
pub(crate) fn number(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => format!("{:.4}", number.as_f64().unwrap_or_default()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Seconds, with the digits that matter.
pub(crate) fn seconds(seconds: f64) -> String {
    format!("{seconds:.1}")
}

/// A size in bytes for people.
pub(crate) fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// An instant of RFC 3339 to the second.
pub(crate) fn instant(time: &str) -> String {
    time.split('.').next().unwrap_or_default().trim_end_matches('Z').replace('T', " ")
}

/// That an artifact was taken over from an earlier version of its stage.
pub(crate) fn accepted(edge: &Accepted) -> String {
    let Accepted { from, version, reason, at, by } = edge;
    format!("accepted from {from} (version {version}) by {by} at {}: {reason}", instant(at))
}
