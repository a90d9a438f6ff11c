//! What has become of the jobs of each stage, for `camflow status` and `plan`: the store, one look at the queue, and
//! what the tasks said of themselves.

use std::fmt;
use std::path::PathBuf;

use artifact::Store;

use super::attempt::{Attempt, End, Job, Tasks, jobs_of};
use super::queue::{Queue, QueuedTask, accounted};
use crate::plan::Step;

/// How jobs end that the scheduler ends.
const OUT_OF_TIME: &str = "out of time";
const OUT_OF_MEMORY: &str = "out of memory";
const PREEMPTED: &str = "preempted";
const NODE_FAILED: &str = "its node failed";
const CANCELLED: &str = "cancelled";
/// How a stage ends that was told to.
const STOPPED: &str = "stopped with a checkpoint";

/// The jobs of a store.
pub(crate) struct Outlook {
    attempts: Vec<Attempt>,
    /// Or why the scheduler says nothing.
    queue: Result<Queue, String>,
}

impl Outlook {
    /// `None` where nothing was ever handed to a scheduler.
    pub fn of(store: &Store) -> Option<Self> {
        let attempts = Attempt::all(store);
        if attempts.is_empty() {
            return None;
        }
        let queue = Queue::look(&attempts).map_err(|error| error.to_string());
        Some(Self { attempts, queue })
    }

    /// Why nothing is known of what runs.
    pub fn silence(&self) -> Option<&str> {
        self.queue.as_ref().err().map(String::as_str)
    }

    /// What the jobs of a step do, or how they ended, if it is not committed: `running (12 on n1)`, `out of memory
    /// (13)`.
    pub fn of_step(&self, step: &Step) -> Option<String> {
        let jobs = self.jobs(step);
        let (_, newest) = jobs.last()?;
        let live = |&(attempt, job)| self.live(attempt, job).map(move |task| (attempt, job, task));
        let live: Vec<(&Attempt, &Job, &QueuedTask)> = jobs.iter().flat_map(live).collect();
        let running: Vec<_> = live.iter().filter(|(.., task)| task.is_running()).collect();
        let of = match &newest.tasks {
            Tasks::Shards { count, .. } => format!(" of {count}"),
            _ => jobs.iter().find_map(|(_, job)| shards(job)).map(|n| format!(" of {n}")).unwrap_or_default(),
        };
        if !of.is_empty() && !live.is_empty() {
            return Some(format!(
                "{} running, {} queued{of} shards and one",
                running.len(),
                live.len() - running.len()
            ));
        }
        match (running.first(), live.first()) {
            (Some((.., task)), _) => Some(format!("running ({} on {})", task.number, task.node)),
            (None, Some((attempt, job, task))) => Some(format!("{} ({})", queued(attempt, job, task), task.number)),
            (None, None) => self.trouble(&jobs).map(|trouble| trouble.to_string()),
        }
    }

    /// Is a job of the step in hand? Its newest, in a few words.
    pub fn in_hand(&self, step: &Step) -> Option<String> {
        let is_live = |(attempt, job): &(&Attempt, &Job)| self.live(attempt, job).next().is_some();
        self.jobs(step).iter().any(is_live).then(|| self.of_step(step)).flatten()
    }

    /// What the jobs of a step printed, of the newest attempt that printed something.
    pub fn printed(&self, step: &Step) -> Vec<PathBuf> {
        let jobs = self.jobs(step);
        let Some((newest, _)) = jobs.iter().rev().find(|(attempt, job)| !attempt.printed(job).is_empty()) else {
            return Vec::new();
        };
        let same = jobs.iter().filter(|(attempt, _)| attempt.dir() == newest.dir());
        same.flat_map(|(attempt, job)| attempt.printed(job)).collect()
    }

    fn jobs(&self, step: &Step) -> Vec<(&Attempt, &Job)> {
        jobs_of(&self.attempts, step).collect()
    }

    fn live<'q>(&'q self, attempt: &Attempt, job: &'q Job) -> impl Iterator<Item = &'q QueuedTask> {
        let queue = self.queue.iter();
        queue
            .flat_map(move |queue| queue.of(attempt, job))
            .filter(|task| task.is_live())
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Why a step is not done whose jobs have all ended: what came of its newest submission in which something went
    /// wrong. What failed says more than what was cancelled because of it.
    fn trouble(&self, jobs: &[(&Attempt, &Job)]) -> Option<Trouble> {
        jobs.chunk_by(|(one, _), (other, _)| one.dir() == other.dir()).rev().find_map(|submission| {
            let tasks =
                submission.iter().flat_map(|(attempt, job)| (0..job.tasks.count()).map(move |k| (attempt, job, k)));
            tasks.filter_map(|(attempt, job, task)| self.trouble_of(attempt, job, task)).min_by_key(Trouble::rank)
        })
    }

    /// How a task ended that has not done its work.
    fn trouble_of(&self, attempt: &Attempt, job: &Job, task: usize) -> Option<Trouble> {
        let queued = self.queue.iter().flat_map(|queue| queue.of(attempt, job)).find(|queued| queued.task == task);
        if let Some((queued, word)) = queued.and_then(|queued| Some((queued, word(&queued.state)?))) {
            return Some(Trouble { what: word.to_owned(), named: queued.address(job) });
        }
        let said = || said_by_slurm(&attempt.tail(job, task));
        let Some(end) = attempt.end_of(job, task) else {
            let queued = queued.filter(|queued| queued.state == "FAILED")?;
            let what = said().unwrap_or("failed before the stage began").to_owned();
            return Some(Trouble { what, named: queued.address(job) });
        };
        let what = match end {
            End { code: Some(0), .. } => return None,
            End { code: Some(75), .. } => STOPPED.to_owned(),
            End { code: Some(code), .. } => format!("failed with {code}"),
            End { signal, .. } => match (said().or_else(|| accounted(&end.job).as_deref().and_then(word)), signal) {
                (Some(word), _) => word.to_owned(),
                (None, Some(9)) => "killed, perhaps out of memory".to_owned(),
                (None, Some(signal)) => format!("ended by signal {signal}"),
                (None, None) => "ended without a word: killed, or its node failed".to_owned(),
            },
        };
        Some(Trouble { what, named: format!("job {} on {}", end.job, end.host) })
    }
}

/// What is said of a task that waits: has Slurm put it back after it had begun, and why?
fn queued(attempt: &Attempt, job: &Job, task: &QueuedTask) -> String {
    if attempt.end_of(job, task.task).is_none() {
        return "queued".to_owned();
    }
    let why = said_by_slurm(&attempt.tail(job, task.task)).map(|why| format!(", {why}")).unwrap_or_default();
    format!("queued again{why}")
}

/// How a task ended that has not done its work.
struct Trouble {
    what: String,
    /// Its number, and where it ran.
    named: String,
}

impl Trouble {
    /// The less, the more it says.
    fn rank(&self) -> usize {
        match self.what.as_str() {
            CANCELLED => 2,
            STOPPED => 1,
            _ => 0,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.named)
    }
}

/// Of how many shards a job computes some.
fn shards(job: &Job) -> Option<usize> {
    match &job.tasks {
        Tasks::Shards { count, .. } => Some(*count),
        _ => None,
    }
}

/// What a state of Slurm means, where it says more than the task itself.
fn word(state: &str) -> Option<&'static str> {
    Some(match state {
        "TIMEOUT" | "DEADLINE" => OUT_OF_TIME,
        "OUT_OF_MEMORY" => OUT_OF_MEMORY,
        "PREEMPTED" => PREEMPTED,
        "NODE_FAIL" | "BOOT_FAIL" => NODE_FAILED,
        "CANCELLED" | "REVOKED" => CANCELLED,
        _ => return None,
    })
}

/// What Slurm wrote into a job's output when it ended the job: that stays when the queue has forgotten it, and on
/// clusters where the state of a job that took too much memory is only FAILED.
fn said_by_slurm(printed: &str) -> Option<&'static str> {
    let mut said = None;
    for line in printed.lines().filter(|line| line.starts_with("slurmstepd")) {
        let holds = |words: &[&str]| words.iter().any(|word| line.contains(word));
        said = if holds(&["exceeded memory limit", "Exceeded job memory limit", "oom-kill", "oom_kill"]) {
            Some(OUT_OF_MEMORY)
        } else if holds(&["DUE TO TIME LIMIT"]) {
            Some(OUT_OF_TIME)
        } else if holds(&["DUE TO PREEMPTION"]) {
            Some(PREEMPTED)
        } else if holds(&["DUE TO NODE FAILURE"]) {
            Some(NODE_FAILED)
        } else if holds(&["DUE TO JOB REQUEUE"]) {
            None
        } else if holds(&["CANCELLED AT"]) && said != Some(OUT_OF_MEMORY) {
            Some(CANCELLED)
        } else {
            said
        };
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_that_look_alike_to_a_script_are_told_apart() {
        let words = ["TIMEOUT", "OUT_OF_MEMORY", "PREEMPTED", "NODE_FAIL", "CANCELLED"].map(word);
        assert!(words.iter().all(Option::is_some));
        assert!(words.iter().collect::<std::collections::BTreeSet<_>>().len() == words.len());
        assert_eq!(word("FAILED"), None, "the exit code says more");
    }

    #[test]
    fn what_slurm_writes_into_the_output_tells_why_it_ended_a_job() {
        let memory = "epoch 3\nslurmstepd-n1: error: StepId=1.batch exceeded memory limit (43 > 5), being killed\n\
            slurmstepd-n1: error: *** JOB 1 ON n1 CANCELLED AT 2026-11-28T09:57:53 ***\n";
        assert_eq!(said_by_slurm(memory), Some(OUT_OF_MEMORY));
        let ended =
            |why: &str| format!("slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT 2026-11-28T09:57:53{why} ***\n");
        let [time, preempted, plain] = [" DUE TO TIME LIMIT", " DUE TO PREEMPTION", ""].map(ended);
        assert_eq!(said_by_slurm(&time), Some(OUT_OF_TIME));
        assert_eq!(said_by_slurm(&preempted), Some(PREEMPTED));
        assert_eq!(said_by_slurm(&(preempted + &plain)), Some(CANCELLED), "the last one counts");
        assert_eq!(said_by_slurm("DUE TO TIME LIMIT\n"), None, "a stage may print anything");
    }
}
