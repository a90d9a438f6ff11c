//! Checks all that will run, runs what is stale, and looks again after each stage: one whose inputs turn out to have
//! the same rows as before is not run (early cutoff).
//!
//! ```text
//! check      `--check` of every stage before the first one starts
//! schedule   which step may start when, and what became of it
//! child      the processes of one step
//! pull       what the remote holds is fetched instead
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use artifact::{Artifact, Error, Key, Result};
use serde::Serialize;
use serde_json::Value;

use crate::live::{Live, Picture, Screen, lasting};
use crate::options::RunOptions;
use crate::pipeline::Pipeline;
use crate::plan::{Plan, Step};
use crate::remote::Remote;
use crate::text::{self, Table};

mod check;
mod child;
mod pull;
mod schedule;

use schedule::Failure;

pub(crate) use check::on_cpu as check_on_cpu;
pub(crate) use child::command;

/// The stage whose metrics close a run.
const LAST_STAGE: &str = "evaluate";

/// Experiments that stand side by side in the table of metrics; more stand below one another.
const SIDE_BY_SIDE: usize = 5;

/// How often a run plans again because a stage has found an input damaged: a disk that damages all is not to be fed on.
const REPLANS: usize = 8;

/// What a run did.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// How many stages were computed.
    pub ran: usize,
    /// How many were fetched from the remote instead.
    pub pulled: usize,
    /// Every selected stage of every experiment that is committed.
    pub outcomes: Vec<StepOutcome>,
    /// The stages that failed, in that order, as in `train-cam (rcm)`.
    pub failed: Vec<String>,
    /// The stages that were not run because of these.
    pub not_run: Vec<String>,
    /// What could not be scored, in sentences.
    pub not_scored: Vec<String>,
    /// Experiment to the metrics of its `evaluate`.
    pub metrics: BTreeMap<String, BTreeMap<String, Value>>,
}

/// One stage of one experiment after a run.
#[derive(Clone, Debug, Serialize)]
pub struct StepOutcome {
    /// Name of the experiment.
    pub experiment: String,
    /// Name of the stage.
    pub stage: String,
    /// Was it computed?
    pub state: OutcomeState,
    /// Its key.
    pub key: Key,
    /// Digest of its content.
    pub digest: String,
    /// Seconds that this run spent on it.
    pub seconds: Option<f64>,
}

/// Was a stage computed?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeState {
    /// It was committed already.
    Cached,
    /// This run computed it.
    Ran,
    /// This run fetched it from the remote.
    Pulled,
}

/// Runs what is stale. `out` gets progress and a summary, or the summary as JSON.
pub fn run(options: &RunOptions, out: &mut dyn Write) -> Result<Summary> {
    let pipeline = Pipeline::open(&options.source)?;
    // What a killed gc left; a store that cannot be written to says so at its first artifact.
    let _ = pipeline.store.empty_trash();
    let remote = options.pull.as_ref().map(|asked| Remote::find(asked, &pipeline.manifest)).transpose()?;
    let mut run = Run::new(&pipeline, options, remote, out);
    let plan = run.plan()?;
    run.live.announce(&plan);
    let checked = check::all(&pipeline, &plan);
    // Ctrl-C ends the checks too: that is no failure of theirs.
    let checked = options.interrupt.check().and(checked);
    if checked.is_err() {
        run.end(checked.as_ref().err())?;
    }
    checked?;
    let outcomes = run.until_done(plan);
    let shown = run.end(outcomes.as_ref().err())?;
    let (summary, failure) = (run.summary(outcomes?), run.failure());
    if options.json {
        text::emit_json(out, &summary)?;
    } else {
        text::emit(out, &summary.text(!shown))?;
    }
    failure.map_or(Ok(summary), Err)
}

struct Run<'a> {
    pipeline: &'a Pipeline,
    options: &'a RunOptions,
    out: &'a mut dyn Write,
    /// What this run has computed, with its seconds.
    computed: BTreeMap<(String, Key), f64>,
    /// What it has fetched.
    pulled: BTreeSet<(String, Key)>,
    /// Where it fetches.
    remote: Option<Remote>,
    live: Live,
    announced: usize,
    /// The stages that failed, in that order.
    failures: Vec<Failure>,
    /// What was not run because of these, as in `train-cam (rcm)`.
    dropped: Vec<String>,
    /// What cannot be scored.
    not_scored: Vec<String>,
}

enum RunError {
    /// A stage found an input damaged and set it aside: another plan computes it anew.
    DamagedInput(String),
    Other(Error),
}

impl From<Error> for RunError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl RunError {
    fn into_error(self) -> Error {
        match self {
            Self::DamagedInput(reason) => Error::NotCommitted(reason),
            Self::Other(error) => error,
        }
    }
}

impl<'a> Run<'a> {
    fn new(pipeline: &'a Pipeline, options: &'a RunOptions, remote: Option<Remote>, out: &'a mut dyn Write) -> Self {
        let (failures, dropped, not_scored) = (Vec::new(), Vec::new(), Vec::new());
        let (computed, pulled) = (BTreeMap::new(), BTreeSet::new());
        let screen = if options.json { None } else { Screen::open() };
        let manifest = pipeline.manifest.path().display().to_string();
        let live = Live::new(&pipeline.store, manifest, options.jobs, screen);
        Self { pipeline, options, out, computed, pulled, remote, live, announced: 0, failures, dropped, not_scored }
    }

    /// Runs a plan, and plans again where a stage finds an input damaged.
    fn until_done(&mut self, plan: Plan) -> Result<Vec<StepOutcome>> {
        let mut outcomes = self.execute(plan);
        for _ in 0..REPLANS {
            let Err(RunError::DamagedInput(reason)) = outcomes else { break };
            self.say(&format!("{reason}; planning again"))?;
            let plan = self.plan()?;
            outcomes = self.execute(plan);
        }
        outcomes.map_err(RunError::into_error)
    }

    /// Ends what is shown. Its last state stays on a terminal: was there one?
    fn end(&mut self, error: Option<&Error>) -> Result<bool> {
        let failed = self.failure();
        let error = error.or(failed.as_ref());
        let word = match error {
            None => "done",
            Some(Error::Stopped(_)) => "stopped",
            Some(_) => "failed",
        };
        let how = error.map_or_else(|| word.to_owned(), |error| format!("{word}: {error}"));
        let on_screen = self.live.screen().is_some();
        let Some(picture) = self.live.end(&how).filter(|_| on_screen) else { return Ok(false) };
        // The error itself comes below.
        text::emit(self.out, &lasting(&[Picture { ended: Some(word.to_owned()), ..picture }]))?;
        Ok(true)
    }

    /// Says something on standard error.
    fn tell(&self, line: &str) {
        match self.live.screen() {
            Some(screen) => screen.above(line),
            None => eprintln!("{line}"),
        }
    }

    fn say(&mut self, line: &str) -> Result<()> {
        if let Some(screen) = self.live.screen() {
            screen.above(line);
            return Ok(());
        }
        if self.options.json {
            eprintln!("{line}");
            return Ok(());
        }
        text::emit(self.out, &format!("{line}\n"))
    }

    fn plan(&self) -> Result<Plan> {
        let plan = self.pipeline.plan(&self.options.selection)?;
        plan.check_inputs()?;
        Ok(plan)
    }

    /// Two experiments with one key are one computation: the first of them is the one that ran.
    fn outcome(&self, step: &Step, artifact: &Artifact, before: &[StepOutcome]) -> StepOutcome {
        let key = artifact.record().key.clone();
        let counted = before.iter().any(|outcome| outcome.stage == step.stage && outcome.key == key);
        let seconds = self.computed.get(&(step.stage.clone(), key.clone())).copied().filter(|_| !counted);
        StepOutcome {
            experiment: step.experiment.clone(),
            stage: step.stage.clone(),
            state: match seconds {
                Some(_) => OutcomeState::Ran,
                None if !counted && self.pulled.contains(&(step.stage.clone(), key.clone())) => OutcomeState::Pulled,
                None => OutcomeState::Cached,
            },
            key,
            digest: artifact.record().digest.clone(),
            seconds,
        }
    }
}

impl Run<'_> {
    fn summary(&self, outcomes: Vec<StepOutcome>) -> Summary {
        let of_last = outcomes.iter().filter(|outcome| outcome.stage == LAST_STAGE);
        let metrics = of_last.filter_map(|outcome| {
            let artifact = self.pipeline.store.find(&outcome.stage, &outcome.key).ok()??;
            Some((outcome.experiment.clone(), artifact.record().metrics.clone()))
        });
        let (failed, not_run, not_scored) = (self.failed(), self.dropped.clone(), self.not_scored.clone());
        let (ran, pulled, metrics) = (self.computed.len(), self.pulled.len(), metrics.collect());
        Summary { ran, pulled, outcomes, failed, not_run, not_scored, metrics }
    }
}

impl Summary {
    /// Every metric in a line, every experiment in a column.
    fn by_metric(&self) -> Table {
        let names: BTreeSet<_> = self.metrics.values().flat_map(BTreeMap::keys).collect();
        let experiments: Vec<_> = self.metrics.keys().map(String::as_str).collect();
        let mut table = Table::new(&[&["metric"], experiments.as_slice()].concat());
        for name in names {
            let cells = self.metrics.values().map(|metrics| metrics.get(name).map(text::number).unwrap_or_default());
            table.row(std::iter::once(name.clone()).chain(cells));
        }
        table
    }

    /// Every experiment in a line; of its metrics the mIoU.
    fn by_experiment(&self) -> Table {
        let names: BTreeSet<_> = self.metrics.values().flat_map(BTreeMap::keys).collect();
        let names: Vec<_> = names.into_iter().map(String::as_str).filter(|name| name.ends_with("miou")).collect();
        let mut table = Table::new(&[&["experiment"], names.as_slice()].concat());
        for (experiment, metrics) in &self.metrics {
            let cells = names.iter().map(|name| metrics.get(*name).map(text::number).unwrap_or_default());
            table.row(std::iter::once(experiment.clone()).chain(cells));
        }
        table
    }
}

impl Summary {
    /// What people read of it; with the stages, unless they are on the screen already.
    fn text(&self, stages: bool) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = self.write(stages, &mut text);
        text
    }

    fn write(&self, stages: bool, f: &mut impl std::fmt::Write) -> std::fmt::Result {
        if self.ran + self.pulled == 0 && self.failed.is_empty() {
            writeln!(f, "nothing to run: {} stages are committed", self.outcomes.len())?;
        } else if stages {
            let mut table = Table::new(&["experiment", "stage", "state", "key", "seconds"]);
            for outcome in &self.outcomes {
                let state = match outcome.state {
                    OutcomeState::Ran => "ran",
                    OutcomeState::Pulled => "pulled",
                    OutcomeState::Cached => "cached",
                };
                let seconds = outcome.seconds.map(|seconds| format!("{seconds:.1}")).unwrap_or_default();
                table.row([&outcome.experiment, &outcome.stage, state, outcome.key.short(), &seconds]);
            }
            write!(f, "\n{table}")?;
        }
        for (what, names) in [("failed", &self.failed), ("not run", &self.not_run)] {
            if !names.is_empty() {
                writeln!(f, "{what}: {}", names.join(", "))?;
            }
        }
        self.not_scored.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        if self.metrics.is_empty() {
            return Ok(());
        }
        let table = if self.metrics.len() > SIDE_BY_SIDE { self.by_experiment() } else { self.by_metric() };
        write!(f, "\n{table}\nthe report: camflow report; questions: camflow query\n")
    }
}

/// With the stages.
impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.write(true, f)
    }
}
