//! Which step may start when: every one whose inputs are committed, as many at a time as there are slots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, Scope};
use std::time::Instant;

use artifact::{Artifact, Error, Key, Preimage, Result, StageId};

use super::child::{How, Job};
use super::pull::Done;
use super::{Run, RunError, StepOutcome, check};
use crate::plan::{Plan, Step};
use crate::reason::{self, Reason};
use crate::unscored;

/// What has become of the steps of a plan.
#[derive(Default)]
struct Board {
    /// The artifacts of the steps that are settled.
    committed: BTreeMap<StageId, Artifact>,
    /// Index of a running step to what it works on, since when, in which slots.
    running: BTreeMap<usize, Running>,
    /// Indices of the steps that have neither ended nor begun.
    open: Vec<usize>,
    /// What ends the run: nothing is started after it.
    failed: Option<RunError>,
}

/// A stage that failed. What does not need it goes on.
pub(super) struct Failure {
    /// The stage with its experiment, as in `train-cam (rcm)`.
    named: String,
    stage: String,
    key: Key,
    error: Error,
}

struct Running {
    key: Key,
    slots: Vec<usize>,
    since: Instant,
}

/// What a step whose inputs are committed needs.
enum Found {
    /// Nothing: its artifact is there.
    Artifact(Box<Artifact>),
    /// To be computed, for these reasons.
    Stale { key: Key, force: bool, reasons: Vec<Reason> },
}

type Ended = (usize, Result<Done, RunError>);

impl Run<'_> {
    pub(super) fn execute(&mut self, plan: Plan) -> Result<Vec<StepOutcome>, RunError> {
        let total = self.announced + plan.to_run().count();
        self.dropped.clear();
        self.live.begin(&plan, |step| {
            let key = step.key.clone()?;
            self.computed.get(&(step.stage.clone(), key)).copied()
        });
        let steps = plan.steps;
        let mut board = Board::default();
        for (index, step) in steps.iter().enumerate() {
            match &step.artifact {
                Some(artifact) if step.is_cached() => self.commit(step, artifact.clone(), &mut board)?,
                _ if step.selected => board.open.push(index),
                _ => {}
            }
        }
        thread::scope(|scope| {
            let (ended, ends) = channel::<Ended>();
            loop {
                if let Err(error) = self.start_ready(&steps, &mut board, total, scope, &ended) {
                    board.failed.get_or_insert(error);
                }
                if board.running.is_empty() {
                    break;
                }
                let (index, result) = ends.recv().expect("every running step tells its end");
                if let Err(error) = self.settle(&steps, index, result, &mut board) {
                    self.wait_for_the_others(&board);
                    board.failed.get_or_insert(error);
                }
            }
        });
        if let Some(error) = board.failed {
            return Err(error);
        }
        self.not_scored = self.unscored(&steps, &board)?;
        let mut outcomes = Vec::new();
        for step in steps.iter().filter(|step| step.selected && !self.is_lost(step)) {
            let id = step.plan.id();
            let artifact = board.committed.get(&id).ok_or_else(|| missing_input(step, &id))?;
            outcomes.push(self.outcome(step, artifact, &outcomes));
        }
        Ok(outcomes)
    }

    /// Has a step failed, or was it left out because of one that did?
    fn is_lost(&self, step: &Step) -> bool {
        let named = named(step);
        self.failures.iter().any(|failure| failure.named == named) || self.dropped.contains(&named)
    }

    /// Has this computation failed already, for this step or for that of another experiment?
    fn has_failed(&mut self, step: &Step, preimage: &Preimage) -> bool {
        let (key, named) = (preimage.key(), named(step));
        let failed = self.failures.iter().any(|failure| failure.stage == step.stage && failure.key == key);
        if failed && self.failures.iter().all(|failure| failure.named != named) {
            self.dropped.push(named);
        }
        failed
    }

    /// Takes all that need a step from the board; returns their names.
    fn lose(&self, board: &mut Board, step: &Step, steps: &[Step]) -> Vec<String> {
        let lost = board.lose(&step.plan.id(), steps);
        for index in &lost {
            self.live.lost(&steps[*index].plan.id());
        }
        lost.into_iter().map(|index| named(&steps[index])).collect()
    }

    /// Takes note of a stage that failed, and takes all that need it from the board.
    fn fail(&mut self, steps: &[Step], index: usize, key: Key, error: Error, board: &mut Board) -> Result<()> {
        let step = &steps[index];
        let lost = self.lose(board, step, steps);
        self.live.failed(&step.plan.id());
        let others = board.open.len() + board.running.len();
        if others > 0 {
            self.say(&format!("{error}; {others} others do not need it and go on, Ctrl-C stops them too"))?;
        }
        self.failures.push(Failure { named: named(step), stage: step.stage.clone(), key, error });
        self.dropped.extend(lost);
        Ok(())
    }

    /// What the failures of a run come to: the exit code is that of the first.
    pub(super) fn failure(&self) -> Option<Error> {
        let first = self.failures.first()?;
        let failed: Vec<_> = self.failures.iter().skip(1).map(|failure| failure.named.as_str()).collect();
        let also = if failed.is_empty() { String::new() } else { format!("; {} failed too", failed.join(", ")) };
        let left = self.dropped.join(", ");
        let left = if left.is_empty() { left } else { format!("; not run because of that: {left}") };
        Some(Error::from_exit_code(Some(first.error.exit_code().into()), format!("{}{also}{left}", first.error)))
    }

    /// The steps that failed, as in `train-cam (rcm)`.
    pub(super) fn failed(&self) -> Vec<String> {
        self.failures.iter().map(|failure| failure.named.clone()).collect()
    }

    /// Settles every open step whose artifact is there by now, and starts those that are to be computed, in the order
    /// of the plan.
    fn start_ready<'scope>(
        &mut self,
        steps: &[Step],
        board: &mut Board,
        total: usize,
        scope: &'scope Scope<'scope, '_>,
        ended: &Sender<Ended>,
    ) -> Result<(), RunError> {
        if board.failed.is_some() {
            return Ok(());
        }
        for index in board.open.clone() {
            let step = &steps[index];
            if !board.open.contains(&index) || !board.has_inputs(step, steps)? {
                continue;
            }
            self.options.interrupt.check()?;
            let preimage = self.preimage(step, &board.committed)?;
            if self.has_failed(step, &preimage) {
                board.forget(index);
                self.live.lost(&step.plan.id());
                let lost = self.lose(board, step, steps);
                self.dropped.extend(lost);
                continue;
            }
            if board.running.values().any(|running| running.key == preimage.key()) {
                // Another experiment's step is computing the very same.
                continue;
            }
            match self.look(step, &preimage)? {
                Found::Artifact(artifact) => {
                    if step.shared_with.is_none() {
                        self.announce(step, total, "committed already, its inputs are the same")?;
                    }
                    self.commit(step, *artifact, board)?;
                    board.forget(index);
                }
                Found::Stale { key, force, reasons } => {
                    let slots = self.slots(steps, board, index)?;
                    if slots.is_empty() {
                        break;
                    }
                    let why = reason::sentence(&reasons);
                    self.announce(step, total, &why)?;
                    self.live.started(&step.plan.id(), &key, why);
                    let job = self.job(step, &key, force, &slots, &board.committed)?;
                    let ended = ended.clone();
                    scope.spawn(move || {
                        // The receiver waits for every running step.
                        let _ = ended.send((index, job.run()));
                    });
                    board.forget(index);
                    board.running.insert(index, Running { key, slots, since: Instant::now() });
                }
            }
        }
        Ok(())
    }

    /// Says what becomes of a step. Of equal steps of several experiments one is counted.
    fn announce(&mut self, step: &Step, total: usize, what: &str) -> Result<()> {
        self.announced += usize::from(step.shared_with.is_none());
        let (at, named) = (self.announced, named(step));
        if self.live.screen().is_some() {
            // The table shows it.
            return Ok(());
        }
        self.say(&format!("[{at}/{total}] {named}: {what}"))
    }

    /// The processes of a step in these slots.
    fn job(
        &self,
        step: &Step,
        key: &Key,
        force: bool,
        slots: &[usize],
        committed: &BTreeMap<StageId, Artifact>,
    ) -> Result<Job> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = (self.options.jobs > 1).then(|| (cores / self.options.jobs).max(1));
        let input = |need: &StageId| (need.stage.clone(), committed[need].record().key.clone());
        let inputs = step.plan.needs.iter().map(input).collect();
        let (screen, slots) = (self.live.screen().cloned(), slots.to_vec());
        let remote = self.remote.as_ref().filter(|_| !force);
        let pull = remote.map(|remote| remote.pull(&self.pipeline.store, &step.stage, key));
        let how = How { force, quiet: self.options.json, screen, slots, threads, inputs, pull };
        Job::new(self.pipeline, step, key, how, &self.options.interrupt)
    }

    /// The free slots that a step may take: one, and if it works by shards also those that no other step waits for.
    fn slots(&self, steps: &[Step], board: &Board, index: usize) -> Result<Vec<usize>> {
        let taken: BTreeSet<_> = board.running.values().flat_map(|running| &running.slots).copied().collect();
        let mut free: Vec<_> = (0..self.options.jobs).filter(|slot| !taken.contains(slot)).collect();
        let step = &steps[index];
        let waiting = |other: &&usize| {
            **other != index && steps[**other].plan.needs.iter().all(|need| board.committed.contains_key(need))
        };
        let sharded = self.pipeline.program(&step.stage)?.description.sharded;
        let others = board.open.iter().filter(waiting).count();
        let share = if sharded { free.len().saturating_sub(others).max(1) } else { 1 };
        free.truncate(share);
        Ok(free)
    }

    /// Takes up the end of a step.
    fn settle(
        &mut self,
        steps: &[Step],
        index: usize,
        result: Result<Done, RunError>,
        board: &mut Board,
    ) -> Result<(), RunError> {
        let step = &steps[index];
        let Running { key, since, .. } = board.running.remove(&index).expect("it was running");
        let done = match result {
            Err(RunError::Other(error)) if !matches!(error, Error::Stopped(_)) => {
                return Ok(self.fail(steps, index, key, error, board)?);
            }
            result => result?,
        };
        self.note(step, &key, done, since);
        let artifact = self.pipeline.store.find(&step.stage, &key)?.ok_or_else(|| {
            let named = named(step);
            Error::Failed(format!(
                "{named} ended well but did not commit key {key}; is its binary older than this runner? build both"
            ))
        })?;
        self.commit(step, artifact, board)?;
        for line in self.unscored(steps, board)? {
            if !self.not_scored.contains(&line) {
                self.say(&line)?;
                self.not_scored.push(line);
            }
        }
        Ok(self.check_again(steps, index, board)?)
    }

    fn unscored(&self, steps: &[Step], board: &Board) -> Result<Vec<String>> {
        unscored::lines(self.pipeline, steps, |id| board.committed.get(id).map(Artifact::record))
    }

    /// Lets the stages that check their inputs look at one that has just been computed, if they wait for others still.
    fn check_again(&mut self, steps: &[Step], index: usize, board: &Board) -> Result<()> {
        let known = |need: &StageId| board.committed.get(need).map(|artifact| artifact.record().key.clone());
        let id = steps[index].plan.id();
        let Some(input) = board.committed.get(&id).map(Artifact::record) else { return Ok(()) };
        for step in board.open.iter().map(|open| &steps[*open]) {
            let waits = step.plan.needs.iter().any(|need| known(need).is_none());
            if waits && step.shared_with.is_none() && step.plan.needs.contains(&id) {
                check::again(self.pipeline, step, input, known, |line| self.tell(line))?;
            }
        }
        Ok(())
    }

    fn commit(&self, step: &Step, artifact: Artifact, board: &mut Board) -> Result<(), RunError> {
        self.pipeline.store.point_latest(&step.stage, step.plan.link(), &artifact.record().key)?;
        let key = artifact.record().key.clone();
        let seconds = self.computed.get(&(step.stage.clone(), key.clone())).copied();
        self.live.committed(&step.plan.id(), &key, seconds);
        board.committed.insert(step.plan.id(), artifact);
        Ok(())
    }

    fn preimage(&self, step: &Step, committed: &BTreeMap<StageId, Artifact>) -> Result<Preimage> {
        let reading =
            |need: &StageId| Ok((need.stage.clone(), self.pipeline.reading(&step.plan, committed[need].record())?));
        self.pipeline.preimage(&step.plan, step.plan.needs.iter().map(reading).collect::<Result<_>>()?)
    }

    /// Is the artifact of a step there by now, and if not, why?
    fn look(&self, step: &Step, preimage: &Preimage) -> Result<Found> {
        let key = preimage.key();
        let ran = self.computed.contains_key(&(step.stage.clone(), key.clone()));
        let force = !ran && step.forced;
        let (found, damage) = self.pipeline.store.find_whole(&step.stage, &key)?;
        if !force && let Some(artifact) = found {
            return Ok(Found::Artifact(Box::new(artifact)));
        }
        let reasons = match damage {
            Some(what) => vec![Reason::Damaged { what }],
            None if force => vec![Reason::Forced],
            None => reason::of_absence(self.pipeline, &step.plan, preimage),
        };
        Ok(Found::Stale { key, force, reasons })
    }

    fn wait_for_the_others(&mut self, board: &Board) {
        if !board.running.is_empty() && self.options.interrupt.check().is_ok() {
            let count = board.running.len();
            // The failure itself is what matters; it is told at the end.
            let _ =
                self.say(&format!("nothing more is started; {count} others go on to their end, Ctrl-C stops them too"));
        }
    }
}

impl Board {
    /// Are the inputs of a step committed? Fails if one of them never will be.
    fn has_inputs(&self, step: &Step, steps: &[Step]) -> Result<bool> {
        let settled = |need: &StageId| self.committed.contains_key(need);
        let coming = |need: &StageId| settled(need) || self.unsettled().any(|index| steps[index].is(need));
        match step.plan.needs.iter().find(|need| !coming(need)) {
            Some(need) => Err(missing_input(step, need)),
            None => Ok(step.plan.needs.iter().all(settled)),
        }
    }

    /// Takes from the open steps those that need one that will not be there, directly or not; returns their indices.
    fn lose(&mut self, id: &StageId, steps: &[Step]) -> Vec<usize> {
        let (mut lost, mut indices) = (BTreeSet::from([id.clone()]), Vec::new());
        // What a step needs stands before it.
        for index in self.open.clone() {
            let step = &steps[index];
            if step.plan.needs.iter().any(|need| lost.contains(need)) {
                lost.insert(step.plan.id());
                indices.push(index);
                self.forget(index);
            }
        }
        indices
    }

    fn forget(&mut self, index: usize) {
        self.open.retain(|open| *open != index);
    }

    fn unsettled(&self) -> impl Iterator<Item = usize> {
        self.open.iter().chain(self.running.keys()).copied()
    }
}

fn named(step: &Step) -> String {
    format!("{} ({})", step.stage, step.experiment)
}

fn missing_input(step: &Step, need: &StageId) -> Error {
    let need = need.seen_from(&step.experiment);
    Error::NotCommitted(format!("{} needs {need}, which is not committed", step.stage))
}
