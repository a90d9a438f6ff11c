//! A run at one moment: what the live table shows, what `camflow watch --json` prints, and what a run writes into the
//! store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stage::Reached;

/// A run at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// The pipeline's manifest; empty where stages were started by hand.
    pub manifest: String,
    /// How long it has gone on.
    pub seconds: f64,
    /// About how long it will go on, as far as that is known: what runs at its rate, the rest as it took last time.
    pub seconds_left: f64,
    /// How many stages will run whose time is not known.
    pub unknown: usize,
    /// How it ended; `None` while it goes on.
    pub ended: Option<String>,
    /// Its stages, each computation once, in the order in which they would run.
    pub stages: Vec<Row>,
}

/// A stage of a run at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the experiment.
    pub experiment: String,
    /// Name of the stage.
    pub stage: String,
    /// What becomes of it.
    pub state: RowState,
    /// The first digits of its key, once that is known.
    pub key: String,
    /// How far it has come with what it does at the moment.
    pub reached: Option<Reached>,
    /// How long it has run in this run.
    pub seconds: Option<f64>,
    /// How long it, or the artifact nearest to it, took last time.
    pub last_seconds: Option<f64>,
    /// Why it runs.
    pub why: String,
    /// Places of the stages that come before it.
    #[serde(skip)]
    pub needs: Vec<usize>,
}

/// What becomes of a stage in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// It failed.
    Failed,
    /// It lies there unfinished and nobody is at work: it failed, or was stopped, or waits for another shard.
    Unfinished,
    /// It is being computed.
    Running,
    /// It will be looked at once its inputs are there and a slot is free.
    #[default]
    Waiting,
    /// It was not run because of another that failed.
    NotRun,
    /// It was computed.
    Done,
    /// It was committed already.
    Cached,
}

impl RowState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::NotRun => "not run",
            Self::Done => "done",
            Self::Cached => "cached",
        }
    }
}

impl Row {
    /// How long it will take yet; `None` if nobody knows.
    pub fn seconds_left(&self) -> Option<f64> {
        match self.state {
            RowState::Waiting => self.last_seconds,
            RowState::Running => {
                let as_last = || Some((self.last_seconds? - self.seconds.unwrap_or_default()).max(0.0));
                self.reached.as_ref().and_then(Reached::seconds_left).or_else(as_last)
            }
            _ => Some(0.0),
        }
    }
}

impl Picture {
    /// Works out how long the rest takes with so many processes at a time: no less than all of it divided among them,
    /// and no less than the longest chain of stages that wait for one another. A stage that never ran takes as long as
    /// it has just taken in another experiment.
    pub fn look_ahead(&mut self, jobs: usize) {
        let done = self.stages.iter().filter(|row| row.state == RowState::Done);
        let took: BTreeMap<_, _> = done.map(|row| (row.stage.clone(), row.seconds)).collect();
        for row in self.stages.iter_mut().filter(|row| row.last_seconds.is_none()) {
            row.last_seconds = took.get(&row.stage).copied().flatten();
        }
        let own: Vec<_> = self.stages.iter().map(Row::seconds_left).collect();
        self.unknown = own.iter().filter(|seconds| seconds.is_none()).count();
        let (mut ends, mut sum) = (Vec::new(), 0.0);
        for (row, own) in self.stages.iter().zip(own) {
            let before = row.needs.iter().filter_map(|need| ends.get(*need)).fold(0.0, |a: f64, b| a.max(*b));
            ends.push(before + own.unwrap_or_default());
            sum += own.unwrap_or_default();
        }
        self.seconds_left = ends.into_iter().fold(sum / jobs.max(1) as f64, f64::max);
    }

    /// How many stages are in a state.
    pub fn count(&self, state: RowState) -> usize {
        self.stages.iter().filter(|row| row.state == state).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: RowState, last_seconds: Option<f64>, needs: &[usize]) -> Row {
        Row { state, last_seconds, needs: needs.to_vec(), ..Row::default() }
    }

    #[test]
    fn the_rest_takes_as_long_as_its_longest_chain_or_as_all_of_it_on_the_processes_there_are() {
        let waiting = |seconds, needs: &[usize]| row(RowState::Waiting, Some(seconds), needs);
        let stages = vec![row(RowState::Cached, Some(99.0), &[]), waiting(10.0, &[0]), waiting(20.0, &[1])];
        let mut picture = Picture { stages, ..Picture::default() };
        picture.stages.extend([waiting(30.0, &[0]), row(RowState::Waiting, None, &[2])]);
        let mut left = |jobs| {
            picture.look_ahead(jobs);
            (picture.seconds_left, picture.unknown)
        };
        assert_eq!(left(1), (60.0, 1));
        assert_eq!(left(2), (30.0, 1));
        assert_eq!(left(4), (30.0, 1));
    }

    #[test]
    fn a_stage_that_never_ran_takes_as_long_as_in_another_experiment() {
        let named = |stage: &str, row: Row| Row { stage: stage.into(), ..row };
        let done = Row { seconds: Some(7.0), ..row(RowState::Done, None, &[]) };
        let waiting = || row(RowState::Waiting, None, &[]);
        let stages = vec![named("train", done), named("train", waiting()), named("score", waiting())];
        let mut picture = Picture { stages, ..Picture::default() };
        picture.look_ahead(1);
        assert_eq!((picture.seconds_left, picture.unknown), (7.0, 1));
    }

    #[test]
    fn what_runs_takes_what_its_rate_says_and_else_what_it_took_last_time() {
        let mut running = row(RowState::Running, Some(50.0), &[]);
        running.seconds = Some(20.0);
        assert_eq!(running.seconds_left(), Some(30.0));
        running.seconds = Some(70.0);
        assert_eq!(running.seconds_left(), Some(0.0), "it takes longer than last time");
        running.reached = Some(Reached { done: 5, total: 25, rate: 4.0, ..Reached::default() });
        assert_eq!(running.seconds_left(), Some(5.0));
        assert_eq!(row(RowState::Running, None, &[]).seconds_left(), None);
    }
}
