//! The pipeline on a cluster: every stage that is stale is handed to Slurm at once, and this command may end.
//!
//! ```text
//! settings   `[slurm]` of the manifest
//! attempt    what was asked for, in the store
//! queue      the programs of Slurm
//! submit     which jobs are asked for, and what each waits for
//! task       inside a job
//! outlook    what has become of the jobs of a stage
//! ```
//!
//! The store decides what is done, never the scheduler: a stage that begins looks for its inputs itself, whatever its
//! job waited for, and one that is committed already ends at once. Jobs are told apart by the name of the attempt and
//! their comment, not by their numbers, which a scheduler that has lost its state gives again.

mod attempt;
mod outlook;
mod queue;
mod settings;
mod submit;
mod task;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use artifact::{Manifest, Result, Store};

pub use submit::submit;
pub use task::run_task;

pub(crate) use outlook::Outlook;

use crate::options::PipelineSource;
use crate::text;
use attempt::{Attempt, Job};
use queue::{Queue, QueuedTask};

/// The directories of the attempts of which a job has not ended: all, where the scheduler does not answer.
pub(crate) fn in_hand(store: &Store) -> BTreeSet<PathBuf> {
    let attempts = Attempt::all(store);
    let queue = Queue::look(&attempts).ok();
    let is_live = |(attempt, job): &(&Attempt, &Job)| {
        queue.as_ref().is_none_or(|queue| queue.of(attempt, job).any(QueuedTask::is_live))
    };
    attempt::jobs(&attempts).filter(is_live).map(|(attempt, _)| attempt.dir().to_owned()).collect()
}

/// `camflow cancel`: ends every job of the store that has not ended; returns how many.
pub fn cancel(source: &PipelineSource, out: &mut dyn Write) -> Result<usize> {
    let manifest = Manifest::load(&source.manifest, &source.all_sets())?;
    let store = Store::open(&source.store.clone().map_or_else(|| manifest.store(), Ok)?)?;
    let _turn = store.submission_turn()?;
    let attempts = Attempt::all(&store);
    let queue = Queue::look(&attempts)?;
    let live = queue.addresses(&attempts, |task| task.is_live() || task.is_doomed());
    queue::cancel(&live)?;
    text::emit(out, &format!("{} jobs were cancelled; what is done is kept\n", live.len()))?;
    Ok(live.len())
}
