//! Inside a job: the process that the script becomes. It runs the stage, passes signals on, and says how that ended.

use std::path::Path;
use std::process::{Command, ExitStatus};

use std::os::unix::process::ExitStatusExt as _;

use artifact::error::exit;
use artifact::{Error, Result};
use stage::runner_link;

use super::attempt::{Attempt, End, Job, Tasks};
use crate::process::Interrupt;

/// Runs a task of a job of an attempt; returns the exit code for the scheduler.
pub fn run_task(attempt: &Path, name: &str) -> Result<u8> {
    let attempt = Attempt::open(attempt)?;
    let job = attempt.job(name)?;
    let number = |variable: &str| std::env::var(variable).ok().and_then(|text| text.parse::<usize>().ok());
    let task = number("SLURM_ARRAY_TASK_ID").unwrap_or(0);
    if let Some(code) = failed_before(&attempt, job, task) {
        eprintln!("{name}: link {task} does not start, as one before it failed with {code}");
        return Ok(code);
    }
    let mut command = command(job, task)?;
    if let Some(cores) = number("SLURM_CPUS_PER_TASK").or_else(|| number("SLURM_CPUS_ON_NODE")) {
        command.env(runner_link::THREADS, cores.to_string());
    }
    let (of, host) = (std::env::var("SLURM_JOB_ID").unwrap_or_default(), artifact::store::hostname());
    let begun = End { job: of, host, code: None, signal: None };
    attempt.say(job, task, &begun)?;
    let status = Interrupt::on_signals()?.run(command)?;
    attempt.say(job, task, &End { code: status.code(), signal: status.signal(), ..begun })?;
    Ok(for_scheduler(job, task, status))
}

/// The code of a link before this one that failed: what failed once fails again.
fn failed_before(attempt: &Attempt, job: &Job, task: usize) -> Option<u8> {
    let Tasks::Links { .. } = job.tasks else { return None };
    let ends = (0..task).filter_map(|before| attempt.end_of(job, before)).filter_map(|end| end.code);
    ends.into_iter().map(|code| code as u8).find(|code| ![0, exit::STOPPED].contains(code))
}

fn command(job: &Job, task: usize) -> Result<Command> {
    let (program, words) = job.command.split_first().ok_or_else(|| Error::Config("a job without a command".into()))?;
    let mut command = Command::new(program);
    command.args(words);
    if let Tasks::Shards { indices, count } = &job.tasks {
        let index = indices.get(task).ok_or_else(|| Error::Config(format!("{} has no task {task}", job.name)))?;
        command.args(["--shard", &format!("{index}/{count}")]);
    }
    Ok(command)
}

/// A link that was told to stop has done its part: the next one goes on.
fn for_scheduler(job: &Job, task: usize, status: ExitStatus) -> u8 {
    let code = status.code().map_or_else(|| 128 + status.signal().unwrap_or(0) as u8, |code| code as u8);
    match job.tasks {
        Tasks::Links { count } if code == exit::STOPPED && task + 1 < count => 0,
        _ => code,
    }
}
