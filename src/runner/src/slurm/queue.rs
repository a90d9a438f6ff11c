//! The programs of Slurm: sbatch, squeue, scancel, scontrol; sacct only where it is set up.

use std::io::{ErrorKind, Write as _};
use std::process::{Command, Output, Stdio};

use artifact::{Error, Result};

use super::attempt::{Attempt, Job, jobs};

/// Slurm's own default of the largest array.
const MAX_ARRAY_SIZE: usize = 1001;
/// States of a task whose process has not ended.
const LIVE: [&str; 8] =
    ["PENDING", "RUNNING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "RESIZING", "SIGNALING", "SUSPENDED"];

/// The tasks of some attempts, as one look at the queue finds them.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    tasks: Vec<QueuedTask>,
}

/// A task as the scheduler sees it; one that has ended is seen for some minutes more.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct QueuedTask {
    /// The number of the job.
    pub number: String,
    /// Which task of it.
    pub task: usize,
    /// PENDING, RUNNING, FAILED, …
    pub state: String,
    /// Why it waits or how it ended.
    reason: String,
    title: String,
    name: String,
    /// Where it runs or ran.
    pub node: String,
}

impl QueuedTask {
    /// Will it run, or does it?
    pub fn is_live(&self) -> bool {
        LIVE.contains(&self.state.as_str()) && !self.is_doomed()
    }

    /// Has it begun?
    pub fn is_running(&self) -> bool {
        self.is_live() && self.state != "PENDING"
    }

    /// Does it wait for other jobs?
    pub fn waits_for_others(&self) -> bool {
        self.state == "PENDING" && self.reason == "Dependency"
    }

    /// Does it wait for what will never be? Slurm holds a job that a node could not start until somebody lets it go.
    pub fn is_doomed(&self) -> bool {
        self.state == "PENDING"
            && (self.reason == "DependencyNeverSatisfied" || self.reason.starts_with("launch failed"))
    }

    /// As scancel and dependencies name it.
    pub fn address(&self, job: &Job) -> String {
        if job.tasks.count() > 1 { format!("{}_{}", self.number, self.task) } else { self.number.clone() }
    }
}

impl Queue {
    /// Looks for the jobs of these attempts.
    pub fn look(attempts: &[Attempt]) -> Result<Self> {
        if attempts.is_empty() {
            return Ok(Self::default());
        }
        let titles: Vec<_> = attempts.iter().map(Attempt::title).collect();
        let mut squeue = Command::new("squeue");
        squeue.args(["--noheader", "--array", "--states=all", "--format=%F|%K|%T|%r|%j|%N|%k"]);
        let output = said(squeue.arg(format!("--name={}", titles.join(","))))?;
        Ok(Self { tasks: output.lines().filter_map(task).collect() })
    }

    /// The tasks of a job.
    pub fn of<'q>(&'q self, attempt: &Attempt, job: &'q Job) -> impl Iterator<Item = &'q QueuedTask> {
        let title = attempt.title();
        self.tasks.iter().filter(move |task| task.title == title && task.name == job.name)
    }

    /// The addresses of the tasks of some attempts of which something is true.
    pub fn addresses(&self, attempts: &[Attempt], is: impl Fn(&QueuedTask) -> bool) -> Vec<String> {
        let of_job = |(attempt, job)| self.of(attempt, job).filter(|task| is(task)).map(|task| task.address(job));
        jobs(attempts).flat_map(of_job).collect()
    }
}

/// A line of squeue.
fn task(line: &str) -> Option<QueuedTask> {
    let mut fields = line.splitn(7, '|').map(str::trim);
    let (number, task) = (fields.next()?.to_owned(), fields.next()?.parse().unwrap_or(0));
    let [state, reason, title, node, name] = std::array::from_fn(|_| fields.next().unwrap_or_default().to_owned());
    Some(QueuedTask { number, task, state, reason, title, name, node })
}

/// What is asked of sbatch besides the options of the manifest.
pub(super) struct Request<'a> {
    pub script: &'a str,
    pub title: &'a str,
    pub name: &'a str,
    pub output: &'a str,
    /// `0-7%2`
    pub array: Option<String>,
    /// `afterok:1:2,afterany:3_1`
    pub dependency: Option<String>,
    pub options: &'a [String],
}

/// Hands a job over; returns its number.
pub(super) fn submit(request: &Request<'_>) -> Result<String> {
    let mut sbatch = Command::new("sbatch");
    sbatch.args(["--parsable", "--open-mode=append", "--requeue", "--kill-on-invalid-dep=yes"]);
    sbatch.args(["--job-name", request.title, "--comment", request.name, "--output", request.output]);
    sbatch.args(request.array.iter().map(|array| format!("--array={array}")));
    sbatch.args(request.dependency.iter().map(|after| format!("--dependency={after}")));
    sbatch.args(request.options);
    sbatch.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = sbatch.spawn().map_err(missing("sbatch"))?;
    let mut input = process.stdin.take().expect("its input is piped");
    // One that ends early says why on standard error.
    let _ = input.write_all(request.script.as_bytes());
    drop(input);
    let output = checked("sbatch", &process.wait_with_output().map_err(missing("sbatch"))?)?;
    // The number, and the cluster's name where there are several.
    Ok(output.trim().split(';').next().unwrap_or_default().to_owned())
}

/// Ends jobs and tasks. Those that have ended meanwhile are no failure.
pub(super) fn cancel(addresses: &[String]) -> Result<()> {
    if addresses.is_empty() {
        return Ok(());
    }
    said(Command::new("scancel").args(["--quiet"]).args(addresses)).map(drop)
}

/// The largest array of the cluster: its tasks are numbered below that.
pub(super) fn max_array_size() -> Result<usize> {
    let config = said(Command::new("scontrol").args(["show", "config"]))?;
    let line = config.lines().find_map(|line| line.strip_prefix("MaxArraySize"));
    Ok(line.and_then(|rest| rest.trim_start_matches([' ', '=']).trim().parse().ok()).unwrap_or(MAX_ARRAY_SIZE))
}

/// How a job ended by the cluster's accounting; `None` where there is none or it does not know.
pub(super) fn accounted(number: &str) -> Option<String> {
    let mut sacct = Command::new("sacct");
    sacct.args(["--noheader", "--parsable2", "--allocations", "--format=State", "--starttime=now-30days", "--jobs"]);
    let states = said(sacct.arg(number)).ok()?;
    // "CANCELLED by 1000"
    let mut states = states.lines().filter_map(|line| line.split_whitespace().next());
    states.find(|state| *state != "COMPLETED").map(str::to_owned)
}

/// What a program prints, if it ends well.
fn said(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    checked(&program, &command.output().map_err(missing(&program))?)
}

fn checked(program: &str, output: &Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(Error::Failed(format!("{program} failed ({}): {said}", output.status)))
}

fn missing(program: &str) -> impl FnOnce(std::io::Error) -> Error + use<'_> {
    move |source| match source.kind() {
        ErrorKind::NotFound => Error::Config(format!(
            "{program} is not there: this is no machine of a Slurm cluster, or its programs are not on the PATH"
        )),
        _ => Error::Io { action: format!("cannot start {program}"), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_queue_is_read_whatever_its_fields_hold() {
        let waiting = task("12|3|PENDING|Dependency|camflow-1a||walk-00ff").unwrap();
        assert_eq!((waiting.number.as_str(), waiting.task, waiting.name.as_str()), ("12", 3, "walk-00ff"));
        assert!(waiting.is_live() && !waiting.is_running());
        let alone = task("13|N/A|RUNNING|None|camflow-1a|n[1-2]|walk-00ff").unwrap();
        assert!(alone.task == 0 && alone.is_running());
        assert!(task("14|N/A|PENDING|DependencyNeverSatisfied|a||b").unwrap().is_doomed());
        assert!(task("14|N/A|PENDING|launch failed requeued held|a||b").unwrap().is_doomed());
        assert!(!task("15|0|NODE_FAIL|NodeDown|a|n1|b").unwrap().is_live());
    }
}
