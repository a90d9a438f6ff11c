//! What has become of the jobs of each stage, for `camflow status` and `plan`: the store, one look at the queue, and
//! what the tasks said of themselves.

use std::path::PathBuf;

use artifact::Store;

use super::attempt::{Attempt, End, Job, Tasks, jobs_of};
use super::queue::{Queue, QueuedTask, accounted};
use crate::plan::Step;

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
        let live: Vec<_> = jobs.iter().flat_map(|(attempt, job)| self.live(attempt, job)).collect();
        let running: Vec<_> = live.iter().filter(|task| task.is_running()).collect();
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
            (Some(task), _) => Some(format!("running ({} on {})", task.number, task.node)),
            (None, Some(task)) => Some(format!("queued ({})", task.number)),
            (None, None) => jobs.iter().rev().find_map(|(attempt, job)| self.trouble(attempt, job)),
        }
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

    /// How a job ended that has not done its work.
    fn trouble(&self, attempt: &Attempt, job: &Job) -> Option<String> {
        let queued: Vec<_> = self.queue.iter().flat_map(|queue| queue.of(attempt, job)).collect();
        let ended = queued.iter().find(|task| !["COMPLETED", "PENDING"].contains(&task.state.as_str()));
        if let Some(task) = ended
            && let Some(word) = word(&task.state)
        {
            return Some(format!("{word} ({})", task.address(job)));
        }
        let ends = (0..job.tasks.count()).filter_map(|task| attempt.end_of(job, task));
        let bad = ends.into_iter().find(|end| end.code != Some(0))?;
        let named = format!("job {} on {}", bad.job, bad.host);
        Some(match bad {
            End { code: Some(75), .. } => format!("stopped with a checkpoint ({named})"),
            End { code: Some(code), .. } => format!("failed with {code} ({named})"),
            End { signal: Some(9), .. } => format!("killed, perhaps out of memory ({named})"),
            End { signal: Some(signal), .. } => format!("ended by signal {signal} ({named})"),
            _ => match accounted(&bad.job).as_deref().and_then(word) {
                Some(word) => format!("{word} ({named})"),
                None => format!("ended without a word: killed, or its node failed ({named})"),
            },
        })
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
        "TIMEOUT" | "DEADLINE" => "out of time",
        "OUT_OF_MEMORY" => "out of memory",
        "PREEMPTED" => "preempted",
        "NODE_FAIL" | "BOOT_FAIL" => "its node failed",
        "CANCELLED" | "REVOKED" => "cancelled",
        _ => return None,
    })
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
}
