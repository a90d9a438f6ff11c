//! Check all that will run, run what is stale one stage at a time, and look anew after each: a stage whose inputs
//! turn out to have the same rows as before is not run (early cutoff).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use artifact::store::LOG_FILE;
use artifact::{Artifact, Error, Key, Result, StageId};
use serde::Serialize;
use serde_json::Value;

use crate::options::RunOptions;
use crate::pipeline::Pipeline;
use crate::plan::{Plan, Step};
use crate::process::stopped;
use crate::reason::{self, Reason};
use crate::text::{self, Table};

mod check;

/// The stage whose metrics close a run.
const LAST_STAGE: &str = "evaluate";

/// Experiments that stand side by side in the table of metrics; more stand below one another.
const SIDE_BY_SIDE: usize = 5;

/// What a run did.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// How many stages were computed.
    pub ran: usize,
    /// Every selected stage of every experiment.
    pub outcomes: Vec<Outcome>,
    /// Experiment to the metrics of its `evaluate`.
    pub metrics: BTreeMap<String, BTreeMap<String, Value>>,
}

/// One stage of one experiment after a run.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
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
}

/// Runs what is stale. `out` gets progress and a summary, or the summary as JSON.
pub fn run(options: &RunOptions, out: &mut dyn Write) -> Result<Summary> {
    let pipeline = Pipeline::open(&options.source)?;
    // What a killed gc left; a store that cannot be written to says so at its first artifact.
    let _ = pipeline.store.empty_trash();
    let mut run = Run { pipeline: &pipeline, options, out, computed: BTreeMap::new(), announced: 0 };
    let plan = run.plan()?;
    let checked = check::all(&pipeline, &plan);
    // Ctrl-C ends the checks too: that is no failure of theirs.
    options.interrupt.check()?;
    checked?;
    let outcomes = match run.execute(plan) {
        Err(RunError::DamagedInput(reason)) => {
            run.say(&format!("{reason}; planning again"))?;
            let plan = run.plan()?;
            run.execute(plan)
        }
        other => other,
    };
    let summary = run.summary(outcomes.map_err(RunError::into_error)?);
    if options.json {
        text::emit_json(out, &summary)?;
    } else {
        text::emit(out, &summary.to_string())?;
    }
    Ok(summary)
}

struct Run<'a> {
    pipeline: &'a Pipeline,
    options: &'a RunOptions,
    out: &'a mut dyn Write,
    /// What this run has computed, with its seconds.
    computed: BTreeMap<(String, Key), f64>,
    announced: usize,
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

impl Run<'_> {
    fn say(&mut self, line: &str) -> Result<()> {
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

    fn execute(&mut self, plan: Plan) -> Result<Vec<Outcome>, RunError> {
        let total = self.announced + plan.to_run().count();
        let mut outcomes = Vec::new();
        let mut committed: BTreeMap<StageId, Artifact> = BTreeMap::new();
        for step in plan.steps {
            let artifact = match &step.artifact {
                Some(artifact) if step.is_cached() => artifact.clone(),
                _ if !step.selected => continue,
                _ => self.resolve(&step, &committed, total)?,
            };
            let record = artifact.record();
            self.pipeline.store.point_latest(&step.stage, step.plan.link(), &record.key)?;
            if step.selected {
                outcomes.push(self.outcome(&step, &artifact, &outcomes));
            }
            committed.insert(step.plan.id(), artifact);
        }
        Ok(outcomes)
    }

    /// Two experiments with one key are one computation: the first of them is the one that ran.
    fn outcome(&self, step: &Step, artifact: &Artifact, before: &[Outcome]) -> Outcome {
        let key = artifact.record().key.clone();
        let counted = before.iter().any(|outcome| outcome.stage == step.stage && outcome.key == key);
        let seconds = self.computed.get(&(step.stage.clone(), key.clone())).copied().filter(|_| !counted);
        Outcome {
            experiment: step.experiment.clone(),
            stage: step.stage.clone(),
            state: if seconds.is_some() { OutcomeState::Ran } else { OutcomeState::Cached },
            key,
            digest: artifact.record().digest.clone(),
            seconds,
        }
    }

    /// The artifact of a step whose inputs are all committed by now, computed if need be.
    fn resolve(
        &mut self,
        step: &Step,
        committed: &BTreeMap<StageId, Artifact>,
        total: usize,
    ) -> Result<Artifact, RunError> {
        self.options.interrupt.check()?;
        let digest = |need: &StageId| {
            let missing = || {
                let need = need.seen_from(&step.experiment);
                Error::NotCommitted(format!("{} needs {need}, which is not committed", step.stage))
            };
            let artifact = committed.get(need).ok_or_else(missing)?;
            Ok((need.stage.clone(), artifact.record().digest.clone()))
        };
        let inputs = step.plan.needs.iter().map(digest).collect::<Result<_>>()?;
        let preimage = self.pipeline.preimage(&step.plan, inputs)?;
        let key = preimage.key();
        let ran = self.computed.contains_key(&(step.stage.clone(), key.clone()));
        let force = !ran && step.forced;
        let (found, damage) = self.pipeline.store.find_whole(&step.stage, &key)?;
        let named = format!("{} ({})", step.stage, step.experiment);
        if step.shared_with.is_none() {
            self.announced += 1;
        }
        let at = format!("[{}/{total}]", self.announced);
        if !force && let Some(artifact) = found {
            if step.shared_with.is_none() {
                self.say(&format!("{at} {named}: committed already, its inputs are the same"))?;
            }
            return Ok(artifact);
        }
        let reasons = match damage {
            Some(what) => vec![Reason::Damaged { what }],
            None if force => vec![Reason::Forced],
            None => reason::of_absence(self.pipeline, &step.plan, &preimage),
        };
        self.say(&format!("{at} {named}: {}", reason::sentence(&reasons)))?;
        let start = Instant::now();
        self.start(step, &key, force)?;
        self.computed.insert((step.stage.clone(), key.clone()), start.elapsed().as_secs_f64());
        Ok(self.pipeline.store.find(&step.stage, &key)?.ok_or_else(|| {
            Error::Failed(format!(
                "{named} ended well but did not commit key {key}; is its binary older than this runner? build both"
            ))
        })?)
    }

    /// Runs a stage to its end.
    fn start(&self, step: &Step, key: &Key, force: bool) -> Result<(), RunError> {
        let mut command = command(self.pipeline, step)?;
        if force {
            command.arg("--force");
        }
        if self.options.json {
            command.stdout(Stdio::from(std::io::stderr()));
        }
        let status = self.options.interrupt.run(&mut command)?;
        if status.success() {
            return Ok(());
        }
        let named = format!("{} ({})", step.stage, step.experiment);
        if status.code() == Some(69) {
            return Err(RunError::DamagedInput(format!("{named} found an input damaged or not committed")));
        }
        if status.code() == Some(75) || self.options.interrupt.check().is_err() {
            return Err(stopped().into());
        }
        let log = self.pipeline.store.work_dir(&step.stage, key).join(LOG_FILE);
        let log = if log.is_file() { format!("; its log is {}", log.display()) } else { String::new() };
        Err(failure(status.code(), format!("{named} failed ({status}){log}")).into())
    }
}

/// The command of a step, as one would type it.
fn command(pipeline: &Pipeline, step: &Step) -> Result<Command> {
    let mut command = Command::new(&pipeline.stage(&step.stage)?.binary);
    command.arg("--manifest").arg(pipeline.manifest.path());
    for assignment in &pipeline.sets {
        command.args(["--set", assignment]);
    }
    command.arg("--store").arg(pipeline.store.root()).args(["--experiment", &step.experiment]);
    Ok(command)
}

/// The failure that has a stage's exit code.
fn failure(code: Option<i32>, message: String) -> Error {
    match code {
        Some(65) => Error::Data(message),
        Some(69) => Error::NotCommitted(message),
        Some(75) => Error::Stopped(message),
        Some(78) => Error::Config(message),
        _ => Error::Failed(message),
    }
}

impl Run<'_> {
    fn summary(&self, outcomes: Vec<Outcome>) -> Summary {
        let of_last = outcomes.iter().filter(|outcome| outcome.stage == LAST_STAGE);
        let metrics = of_last.filter_map(|outcome| {
            let artifact = self.pipeline.store.find(&outcome.stage, &outcome.key).ok()??;
            Some((outcome.experiment.clone(), artifact.record().metrics.clone()))
        });
        Summary { ran: self.computed.len(), metrics: metrics.collect(), outcomes }
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

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.ran == 0 {
            writeln!(f, "nothing to run: {} stages are committed", self.outcomes.len())?;
        } else {
            let mut table = Table::new(&["experiment", "stage", "state", "key", "seconds"]);
            for outcome in &self.outcomes {
                let state = if outcome.state == OutcomeState::Ran { "ran" } else { "cached" };
                let seconds = outcome.seconds.map(|seconds| format!("{seconds:.1}")).unwrap_or_default();
                table.row([&outcome.experiment, &outcome.stage, state, outcome.key.short(), &seconds]);
            }
            write!(f, "\n{table}")?;
        }
        if self.metrics.is_empty() {
            return Ok(());
        }
        let table = if self.metrics.len() > SIDE_BY_SIDE { self.by_experiment() } else { self.by_metric() };
        write!(f, "\n{table}\nthe report: camflow report; questions: camflow query\n")
    }
}
