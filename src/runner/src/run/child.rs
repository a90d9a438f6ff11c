//! The processes of one step: the command as one would type it, alone or as several shards.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use artifact::store::LOG_FILE;
use artifact::{Error, Key, Result, Store};
use stage::runner_link;

use super::RunError;
use super::pull::Done;
use crate::live::Screen;
use crate::pipeline::Pipeline;
use crate::plan::Step;
use crate::process::{Interrupt, stopped};

/// How long a stage that has ended may leave its last lines unread.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Lets what a command prints appear above the table, line by line; the receiver hears when that is all.
fn lines_above(screen: &Screen, command: &mut Command) -> Result<Receiver<()>> {
    let mut piped = || {
        let (reader, writer) = std::io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        Ok(reader)
    };
    let reader = piped().map_err(|source| Error::Io { action: "cannot make a pipe".into(), source })?;
    let (screen, (ended, ends)) = (screen.clone(), channel());
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(std::result::Result::ok) {
            screen.above(String::from_utf8_lossy(&line).trim_end());
        }
        // Nobody may be waiting any longer.
        let _ = ended.send(());
    });
    Ok(ends)
}

/// The command of a step, as one would type it.
pub(crate) fn command(pipeline: &Pipeline, step: &Step) -> Result<Command> {
    let mut command = Command::new(&pipeline.program(&step.stage)?.binary);
    command.arg("--manifest").arg(pipeline.manifest.path());
    for assignment in &pipeline.sets {
        command.args(["--set", assignment]);
    }
    command.arg("--store").arg(pipeline.store.root()).args(["--experiment", &step.experiment]);
    Ok(command)
}

/// How many GPUs there are for stages: those that `CUDA_VISIBLE_DEVICES` names, or all of this machine's; at least 1.
fn gpus() -> usize {
    let named = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    let named = named.map(|names| names.split(',').filter(|name| !name.trim().is_empty()).count());
    let all = || std::fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count);
    named.unwrap_or_else(all).max(1)
}

/// A step that may start, with all that its thread needs.
pub(super) struct Job {
    /// `train-cam (rcm)`.
    pub named: String,
    /// One process a slot: the commands differ in shard and device.
    commands: Vec<Command>,
    /// What fetches the artifact instead, if the remote holds it.
    pull: Option<Command>,
    /// What finishes a stage of several shards that none of them has published.
    last: Option<Command>,
    /// Where the stage's log is until it is committed.
    log: PathBuf,
    pub(super) store: Store,
    pub(super) stage: String,
    pub(super) key: Key,
    screen: Option<Screen>,
    pub(super) interrupt: Interrupt,
}

/// How a step is to run.
pub(super) struct How {
    /// Although it is committed.
    pub force: bool,
    /// What is printed goes to standard error.
    pub quiet: bool,
    /// Where the table is that shows how far it has come, and above which its lines go.
    pub screen: Option<Screen>,
    /// The slots it has: one process each.
    pub slots: Vec<usize>,
    /// Cores of each process; all if `None`.
    pub threads: Option<usize>,
    /// The keys of its inputs, by the names of their stages.
    pub inputs: Vec<(String, Key)>,
    /// What fetches its artifact instead, if the remote holds it.
    pub pull: Option<Command>,
}

impl Job {
    pub fn new(pipeline: &Pipeline, step: &Step, key: &Key, mut how: How, interrupt: &Interrupt) -> Result<Self> {
        let mut pull = how.pull.take();
        if let Some(pull) = pull.as_mut().filter(|_| how.quiet) {
            pull.stdout(Stdio::from(std::io::stderr()));
        }
        let single = |slot: usize| -> Result<Command> {
            let mut command = command(pipeline, step)?;
            command.args(["--expect-key", key.as_str()]);
            for (stage, key) in &how.inputs {
                command.args(["--input", &format!("{stage}={}", key.as_str())]);
            }
            // Several processes and no device named: one device each, as far as there are devices. A training of
            // several processes shares them out itself.
            let processes = pipeline.program(&step.stage)?.description.processes(&step.plan.params);
            if how.threads.is_some() && step.plan.device == "cuda" && processes == 1 {
                command.args(["--device", &format!("cuda:{}", slot % gpus())]);
            }
            command.envs(how.threads.map(|threads| (runner_link::THREADS, threads.to_string())));
            command.envs(how.screen.as_ref().map(|_| (runner_link::SHOWN, "1")));
            if how.quiet {
                command.stdout(Stdio::from(std::io::stderr()));
            }
            Ok(command)
        };
        let count = how.slots.len();
        let mut commands = how.slots.iter().map(|slot| single(*slot)).collect::<Result<Vec<_>>>()?;
        if count > 1 {
            for (index, command) in commands.iter_mut().enumerate() {
                command.args(["--shard", &format!("{index}/{count}")]);
            }
        } else if how.force {
            commands[0].arg("--force");
        }
        Ok(Self {
            named: format!("{} ({})", step.stage, step.experiment),
            commands,
            pull,
            last: if count > 1 { Some(single(how.slots[0])?) } else { None },
            log: pipeline.store.work_dir(&step.stage, key).join(LOG_FILE),
            store: pipeline.store.clone(),
            stage: step.stage.clone(),
            key: key.clone(),
            screen: how.screen.clone(),
            interrupt: interrupt.clone(),
        })
    }

    /// Runs the step to its end.
    pub fn run(mut self) -> Result<Done, RunError> {
        if let Some(pull) = self.pull.take()
            && self.pull(pull)?
        {
            return Ok(Done::Pulled);
        }
        let commands = std::mem::take(&mut self.commands);
        let job = &self;
        thread::scope(|scope| {
            let running: Vec<_> =
                commands.into_iter().map(|command| scope.spawn(move || job.process(command))).collect();
            let ended = running.into_iter().map(|thread| thread.join().expect("no panic in this thread"));
            // Every process has ended before the first failure is told.
            ended.collect::<Vec<_>>().into_iter().collect::<Result<(), RunError>>()
        })?;
        match self.last.take() {
            Some(last) if self.store.find(&self.stage, &self.key)?.is_none() => self.process(last)?,
            _ => {}
        }
        Ok(Done::Computed)
    }

    /// Runs a process; what it prints appears above the table.
    pub(super) fn shown(&self, mut command: Command) -> Result<ExitStatus> {
        let lines = self.screen.as_ref().map(|screen| lines_above(screen, &mut command)).transpose()?;
        let status = self.interrupt.run(command)?;
        // Whoever the process itself has started may keep the pipe open.
        lines.map(|ended| ended.recv_timeout(LAST_LINES));
        Ok(status)
    }

    fn process(&self, command: Command) -> Result<(), RunError> {
        let status = self.shown(command)?;
        if status.success() {
            return Ok(());
        }
        let named = &self.named;
        let log = if self.log.is_file() { format!("; its log is {}", self.log.display()) } else { String::new() };
        Err(match Error::from_exit_code(status.code(), format!("{named} failed ({status}){log}")) {
            Error::NotCommitted(_) => {
                RunError::DamagedInput(format!("{named} found an input damaged or not committed"))
            }
            Error::Stopped(_) => stopped().into(),
            _ if self.interrupt.check().is_err() => stopped().into(),
            other => other.into(),
        })
    }
}
