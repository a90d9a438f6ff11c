//! `camflow logs`: the log of a stage, of its artifact or of the work in progress, and what its jobs printed; `-f`
//! follows the log to its end.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use artifact::store::LOG_FILE;
use artifact::{Error, Result};
use serde_json::{Map, Value};

use super::step;
use crate::options::PipelineSource;
use crate::pipeline::Pipeline;
use crate::plan::Step;
use crate::slurm::Outlook;
use crate::text;

/// How often a log that is followed is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often the scheduler is asked whether a job has begun.
const ASK: Duration = Duration::from_secs(3);
/// A work directory that is not back after so many looks is gone for good.
const PATIENCE: usize = 20;

/// How a log is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogOptions {
    /// Go on until the stage commits.
    pub follow: bool,
    /// Print the lines as they are written: JSON.
    pub json: bool,
}

/// Shows the log of a stage.
pub fn logs(source: &PipelineSource, stage: &str, options: LogOptions, out: &mut dyn Write) -> Result<()> {
    let (pipeline, step, outlook) = begun(source, stage, options.follow)?;
    let none = || Error::NotCommitted(format!("{stage} ({}) has no log: it has not begun", step.experiment));
    let printed = outlook.map(|outlook| outlook.printed(&step)).unwrap_or_default();
    let Some(key) = &step.key else {
        return if printed.is_empty() { Err(none()) } else { show_printed(&printed, out) };
    };
    let committed = pipeline.store.dir(stage, key).join(LOG_FILE);
    let working = pipeline.store.work_dir(stage, key).join(LOG_FILE);
    let busy = || pipeline.store.is_leased(stage, key);
    let mut shown = Shown { out, json: options.json, start: None, open: None };
    let mut looks = 0;
    if !options.json && !working.is_file() && !committed.is_file() && !printed.is_empty() {
        return show_printed(&printed, shown.out);
    }
    loop {
        // In this order: what is renamed between the questions is found by the last. What is committed and worked on is
        // being computed anew (--force).
        let work = (busy() || !committed.is_file()) && shown.open(&working)?;
        let done = !work && shown.open(&committed)?;
        if !shown.drain()? {
            return Ok(());
        }
        match (work, done) {
            (_, true) => return shown.rest().and_then(|()| shown.printed(&printed)),
            (true, _) if !options.follow => return shown.rest().and_then(|()| shown.printed(&printed)),
            (true, _) => looks = 0,
            (false, false) if shown.open.is_none() => return Err(none()),
            (false, false) if looks == PATIENCE => {
                shown.rest()?;
                return Err(Error::NotCommitted(format!(
                    "{stage} ({}): its work was removed before it was committed",
                    step.experiment
                )));
            }
            (false, false) => looks += 1,
        }
        thread::sleep(LOOK);
    }
}

/// The stage, and what has become of its jobs. A log that is followed may be of a stage whose job waits in the queue:
/// that is waited for.
fn begun(source: &PipelineSource, stage: &str, follow: bool) -> Result<(Pipeline, Step, Option<Outlook>)> {
    let mut said = None;
    loop {
        let (pipeline, step) = step(source, stage)?;
        let outlook = Outlook::of(&pipeline.store);
        let has_log = step.key.as_ref().is_some_and(|key| {
            let dirs = [pipeline.store.dir(stage, key), pipeline.store.work_dir(stage, key)];
            dirs.iter().any(|dir| dir.join(LOG_FILE).is_file())
        });
        let waits = outlook.as_ref().filter(|_| follow && !has_log).and_then(|outlook| outlook.in_hand(&step));
        let Some(waits) = waits else { return Ok((pipeline, step, outlook)) };
        if said.as_ref() != Some(&waits) {
            eprintln!("{stage} ({}): {waits}", step.experiment);
            said = Some(waits);
        }
        thread::sleep(ASK);
    }
}

/// The file that is being read, and what of it waits for the end of its line.
struct Open {
    file: File,
    inode: u64,
    rest: Vec<u8>,
}

struct Shown<'a> {
    out: &'a mut dyn Write,
    json: bool,
    /// Time of the first line.
    start: Option<f64>,
    open: Option<Open>,
}

impl Shown<'_> {
    /// Goes on with this file, if it is there. A log keeps its file when its directory is renamed: then it is the one
    /// that is open already, and no line comes twice.
    fn open(&mut self, path: &Path) -> Result<bool> {
        let path: PathBuf = path.to_owned();
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            other => other.map_err(Error::io("open", &path))?,
        };
        let inode = file.metadata().map_err(Error::io("read", &path))?.ino();
        if self.open.as_ref().is_none_or(|open| open.inode != inode) {
            self.drain()?;
            self.rest()?;
            self.open = Some(Open { file, inode, rest: Vec::new() });
        }
        Ok(true)
    }

    /// Shows every whole line that there is; `false` if nobody reads any longer.
    fn drain(&mut self) -> Result<bool> {
        let Some(open) = &mut self.open else { return Ok(true) };
        let read = open.file.read_to_end(&mut open.rest);
        read.map_err(|source| Error::Io { action: "cannot read the log".into(), source })?;
        let end = open.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let lines: Vec<_> = open.rest.drain(..end).collect();
        self.show(&lines)
    }

    /// Shows what jobs printed, for people.
    fn printed(&mut self, files: &[PathBuf]) -> Result<()> {
        if self.json { Ok(()) } else { show_printed(files, self.out) }
    }

    /// Shows a last line that has no end.
    fn rest(&mut self) -> Result<()> {
        let rest = self.open.as_mut().map(|open| std::mem::take(&mut open.rest)).unwrap_or_default();
        self.show(&rest).map(drop)
    }

    fn show(&mut self, lines: &[u8]) -> Result<bool> {
        for line in String::from_utf8_lossy(lines).lines() {
            let line = if self.json { line.to_owned() } else { readable(line, &mut self.start) };
            match writeln!(self.out, "{line}").and_then(|()| self.out.flush()) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(false),
                other => other.map_err(|source| Error::Io { action: "cannot write the output".into(), source })?,
            }
        }
        Ok(true)
    }
}

/// What the jobs of a stage printed, each file below its name.
fn show_printed(files: &[PathBuf], out: &mut dyn Write) -> Result<()> {
    for file in files {
        let bytes = fs::read(file).map_err(Error::io("read", file))?;
        text::emit(out, &format!("{}:\n{}", file.display(), String::from_utf8_lossy(&bytes)))?;
    }
    Ok(())
}

/// `{"time": …, "event": "epoch", "loss": 0.1}` as `   12.3 s  epoch  loss 0.1`; the time since the log's start.
fn readable(line: &str, start: &mut Option<f64>) -> String {
    let Ok(mut fields) = serde_json::from_str::<Map<String, Value>>(line) else { return line.to_owned() };
    let mut text = String::new();
    if let Some(time) = fields.remove("time").as_ref().and_then(Value::as_f64) {
        let _ = write!(text, "{:>8.1} s  ", time - *start.get_or_insert(time));
    }
    if let Some(event) = fields.remove("event") {
        let _ = write!(text, "{}", text::number(&event));
    }
    for (name, value) in fields {
        let _ = write!(text, "  {name} {}", text::number(&value));
    }
    text
}
