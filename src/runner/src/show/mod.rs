//! Answers: plan, status, path and metrics here, and below
//!
//! ```text
//! graph    dag: the stages as a tree or a graph
//! tables   the tables of a store, with what their columns mean
//! logs     the log of a stage, also while it is written
//! verify   is what the store holds still what was written? sets aside what is damaged
//! ```

use std::collections::BTreeSet;
use std::io::Write;

use artifact::store::Accepted;
use artifact::{Artifact, Error, Key, Manifest, Result, StageId, units};
use serde::Serialize;
use serde_json::Value;

use crate::options::{PipelineSource, Selection};
use crate::pipeline::Pipeline;
use crate::plan::{Plan, State, Step};
use crate::reason;
use crate::remote::{Remote, RemoteSource};
use crate::slurm::Outlook;
use crate::text::{self, Table};
use crate::unscored;

mod graph;
mod logs;
mod tables;
mod verify;

pub use graph::{Edges, dag, dot};
pub use logs::{LogOptions, logs};
pub use tables::tables;
pub use verify::{Damage, Verification, verify};

/// The source narrowed to one experiment: the one it names, else the main one.
pub(crate) fn single(source: &PipelineSource) -> Result<PipelineSource> {
    let manifest = Manifest::load(&source.manifest, &source.all_sets())?;
    let name = match source.experiments.as_slice() {
        [] => manifest.main()?,
        [name] => manifest.select_one(name)?,
        _ => return Err(Error::Config("this command answers for one --experiment at a time".into())),
    };
    Ok(PipelineSource { experiments: vec![name], ..source.clone() })
}

/// `camflow plan`: what would run, why, and what it cost last time.
pub fn plan(source: &PipelineSource, selection: &Selection, json: bool, out: &mut dyn Write) -> Result<()> {
    let pipeline = Pipeline::open(source)?;
    let plan = pipeline.plan(selection)?;
    plan.check_inputs()?;
    let (count, unknown) = (plan.to_run().count(), plan.to_run().filter(|step| step.last_seconds.is_none()).count());
    // `sum` makes -0.0 of nothing.
    let seconds = plan.to_run().filter_map(|step| step.last_seconds).fold(0.0, |sum, seconds| sum + seconds);
    let committed = |id: &StageId| Some(plan.step(id).filter(|step| step.is_cached())?.artifact.as_ref()?.record());
    let not_scored = unscored::lines(&pipeline, &plan.steps, committed)?;
    if json {
        let steps = plan.steps;
        return text::emit_json(
            out,
            &Planned { steps, to_run: count, estimated_seconds: seconds, unknown, not_scored },
        );
    }
    let outlook = Outlook::of(&pipeline.store);
    let mut table = Table::new(&["experiment", "stage", "state", "key", "last s", "why"]);
    for step in plan.steps.iter().filter(|step| step.selected) {
        let key = step.key.as_ref().map(Key::short).unwrap_or_default();
        let last = step.last_seconds.map(text::seconds).unwrap_or_default();
        let why = match &step.shared_with {
            Some(other) => format!("the same as of {other}"),
            None => reason::sentence(&step.reasons),
        };
        let shown = [Some(state(step).to_owned()), in_hand(outlook.as_ref(), step)];
        let shown = shown.into_iter().flatten().collect::<Vec<_>>().join(", ");
        table.row([&step.experiment, &step.stage, &shown, key, &last, &why]);
    }
    tell_silence(outlook.as_ref());
    let estimate = match count - unknown {
        0 => String::new(),
        _ => format!("; about {}, as the nearest committed ones took", units::duration(seconds)),
    };
    let unknown =
        if unknown > 0 { format!("; {unknown} of them never ran, their time is unknown") } else { String::new() };
    let not_scored: String = not_scored.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    text::emit(out, &format!("{table}\n{count} to run{estimate}{unknown}\n{not_scored}"))
}

/// A plan and what it would take.
#[derive(Serialize)]
struct Planned {
    steps: Vec<Step>,
    to_run: usize,
    estimated_seconds: f64,
    unknown: usize,
    /// What cannot be scored, as far as the data set is committed.
    not_scored: Vec<String>,
}

/// What the jobs of a step do that is not committed.
fn in_hand(outlook: Option<&Outlook>, step: &Step) -> Option<String> {
    outlook.filter(|_| !step.is_cached())?.of_step(step)
}

/// Says on standard error why nothing is known of the jobs that run.
fn tell_silence(outlook: Option<&Outlook>) {
    if let Some(why) = outlook.and_then(Outlook::silence) {
        eprintln!("what Slurm has in hand is not known: {why}");
    }
}

fn state(step: &Step) -> &'static str {
    match step.state {
        State::Cached => "committed",
        State::Damaged { .. } => "damaged",
        State::Ready => "to run",
        State::Waiting { .. } => "waiting",
    }
}

#[derive(Serialize)]
struct Status {
    experiment: String,
    stage: String,
    #[serde(flatten)]
    state: State,
    key: Option<Key>,
    finished: Option<String>,
    bytes: Option<u64>,
    seconds: Option<f64>,
    in_progress: bool,
    /// What its jobs do, or how they ended, where it was handed to Slurm and is not committed.
    jobs: Option<String>,
    accepted: Vec<Accepted>,
    pinned: bool,
    /// Does the remote hold it? `None` where it was not asked, or the key is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<bool>,
}

impl Status {
    /// What people read of it.
    fn cells(&self, step: &Step) -> Vec<String> {
        let mut shown = state(step).to_owned();
        if self.in_progress {
            shown.push_str(", begun");
        }
        if let Some(jobs) = &self.jobs {
            shown.extend([", ", jobs.as_str()]);
        }
        if !self.accepted.is_empty() {
            shown.push_str(", accepted");
        }
        if self.pinned {
            shown.push_str(", pinned");
        }
        let key = self.key.as_ref().map(|key| key.short().to_owned()).unwrap_or_default();
        let finished = text::instant(self.finished.as_deref().unwrap_or_default());
        let bytes = self.bytes.map(units::bytes).unwrap_or_default();
        let seconds = self.seconds.map(text::seconds).unwrap_or_default();
        vec![self.experiment.clone(), self.stage.clone(), shown, key, finished, bytes, seconds]
    }

    /// Who holds it.
    fn place(&self) -> &'static str {
        match (self.finished.is_some(), self.remote) {
            (true, Some(true)) => "both",
            (true, _) => "local",
            (false, Some(true)) => "remote",
            (false, _) => "",
        }
    }
}

/// The keys of a plan that the remote holds.
fn held(pipeline: &Pipeline, plan: &Plan, remote: &RemoteSource) -> Result<BTreeSet<(String, Key)>> {
    let known = plan.steps.iter().filter_map(|step| Some((step.stage.clone(), step.key.clone()?)));
    let known: BTreeSet<_> = known.collect();
    let keys: Vec<_> = known.into_iter().collect();
    Remote::find(remote, &pipeline.manifest)?.held(&pipeline.store, &keys, false)
}

/// `camflow status`: what is committed, since when, how large, and what is being worked on; and what the remote holds,
/// if it is to be asked.
pub fn status(source: &PipelineSource, remote: Option<&RemoteSource>, json: bool, out: &mut dyn Write) -> Result<()> {
    let pipeline = Pipeline::open(source)?;
    let plan = pipeline.plan(&Selection::default())?;
    let held = remote.map(|remote| held(&pipeline, &plan, remote)).transpose()?;
    let place = if held.is_some() { &["where"][..] } else { &[] };
    let header = ["experiment", "stage", "state", "key", "finished", "size", "seconds"];
    let mut table = Table::new(&[&header, place].concat());
    let mut all = Vec::new();
    let outlook = Outlook::of(&pipeline.store);
    for step in &plan.steps {
        let record = step.artifact.as_ref().map(Artifact::record);
        let line = Status {
            experiment: step.experiment.clone(),
            stage: step.stage.clone(),
            state: step.state.clone(),
            key: step.key.clone(),
            finished: record.map(|record| record.provenance.finished.clone()),
            bytes: step.artifact.as_ref().map(size),
            seconds: record.map(|record| record.provenance.seconds),
            accepted: record.map(|record| record.provenance.accepted.clone()).unwrap_or_default(),
            pinned: record.is_some_and(|record| pipeline.store.pinned(&step.stage, &record.key).is_some()),
            remote: held.as_ref().and_then(|held| Some(held.contains(&(step.stage.clone(), step.key.clone()?)))),
            in_progress: step.key.as_ref().is_some_and(|key| pipeline.store.work_dir(&step.stage, key).exists()),
            jobs: in_hand(outlook.as_ref(), step),
        };
        table.row(line.cells(step).into_iter().chain(held.as_ref().map(|_| line.place().to_owned())));
        all.push(line);
    }
    tell_silence(outlook.as_ref());
    if json { text::emit_json(out, &all) } else { text::emit(out, &table.to_string()) }
}

fn size(artifact: &Artifact) -> u64 {
    let record = artifact.record();
    let parts = record.tables.values().flat_map(|table| &table.parts).map(|part| part.bytes);
    parts.chain(record.files.values().map(|file| file.bytes)).sum()
}

/// A stage of one experiment, with the pipeline it is of.
fn step(source: &PipelineSource, stage: &str) -> Result<(Pipeline, Step)> {
    let pipeline = Pipeline::open(&single(source)?)?;
    pipeline.check_stage(stage)?;
    let plan = pipeline.plan(&Selection::default())?;
    let asked = pipeline.experiments[0].stage(stage)?.id();
    let step = plan.steps.into_iter().find(|step| step.is(&asked)).expect("a plan has every stage");
    Ok((pipeline, step))
}

#[derive(Serialize)]
struct StagePath<'a> {
    stage: &'a str,
    experiment: &'a str,
    key: &'a Key,
    path: &'a std::path::Path,
}

/// `camflow path`: the directory of a stage's artifact.
pub fn path(source: &PipelineSource, stage: &str, json: bool, out: &mut dyn Write) -> Result<()> {
    let (_, step) = step(source, stage)?;
    let experiment = &step.experiment;
    let Some(artifact) = &step.artifact else {
        let how = format!("`camflow explain {stage}` says why");
        return Err(Error::NotCommitted(format!("{stage} ({experiment}) is not committed; {how}")));
    };
    if json {
        return text::emit_json(
            out,
            &StagePath { stage, experiment, key: &artifact.record().key, path: artifact.dir() },
        );
    }
    text::emit(out, &format!("{}\n", artifact.dir().display()))
}

#[derive(Serialize)]
struct Metric {
    experiment: String,
    stage: String,
    name: String,
    value: Value,
}

/// `camflow metrics`: the metrics of every committed stage.
pub fn metrics(source: &PipelineSource, json: bool, out: &mut dyn Write) -> Result<()> {
    let plan = Pipeline::open(source)?.plan(&Selection::default())?;
    let mut all = Vec::new();
    let mut table = Table::new(&["experiment", "stage", "metric", "value"]);
    for step in &plan.steps {
        for (name, value) in step.artifact.iter().flat_map(|artifact| &artifact.record().metrics) {
            let (experiment, stage, name) = (step.experiment.clone(), step.stage.clone(), name.clone());
            table.row([&experiment, &stage, &name, &text::number(value)]);
            all.push(Metric { experiment, stage, name, value: value.clone() });
        }
    }
    if json { text::emit_json(out, &all) } else { text::emit(out, &table.to_string()) }
}
