//! Answers that change nothing but `verify`: plan, status, dag, path, logs, metrics.

use std::fmt::Write as _;
use std::fs;
use std::io::Write;

use artifact::store::LOG_FILE;
use artifact::{Artifact, Error, Key, Manifest, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::options::{Selection, Source};
use crate::pipeline::Pipeline;
use crate::plan::{State, Step};
use crate::reason;
use crate::text::{self, Table};

mod graph;

pub use graph::{dag, dot};

/// The source narrowed to one experiment: the one it names, else the main one.
pub(crate) fn single(source: &Source) -> Result<Source> {
    let manifest = Manifest::load(&source.manifest, &source.all_sets())?;
    let name = match source.experiments.as_slice() {
        [] => manifest.main()?,
        [name] => manifest.select_one(name)?,
        _ => return Err(Error::Config("this command answers for one --experiment at a time".into())),
    };
    Ok(Source { experiments: vec![name], ..source.clone() })
}

/// `camflow plan`: what would run, why, and what it cost last time.
pub fn plan(source: &Source, selection: &Selection, json: bool, out: &mut dyn Write) -> Result<()> {
    let plan = Pipeline::open(source)?.plan(selection)?;
    plan.check_inputs()?;
    if json {
        return text::emit_json(out, &plan);
    }
    let mut table = Table::new(&["experiment", "stage", "state", "key", "last s", "why"]);
    for step in plan.steps.iter().filter(|step| step.selected) {
        let key = step.key.as_ref().map(Key::short).unwrap_or_default();
        let last = step.last_seconds.map(text::seconds).unwrap_or_default();
        let why = match &step.shared_with {
            Some(other) => format!("the same as of {other}"),
            None => reason::sentence(&step.reasons),
        };
        table.row([&step.experiment, &step.stage, state(step), key, &last, &why]);
    }
    let seconds = plan.to_run().filter_map(|step| step.last_seconds).fold(0.0, |sum, seconds| sum + seconds);
    let count = plan.to_run().count();
    text::emit(out, &format!("{table}\n{count} to run; the same stages last took {seconds:.1} s\n"))
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
}

/// `camflow status`: what is committed, since when, how large, and what is being worked on.
pub fn status(source: &Source, json: bool, out: &mut dyn Write) -> Result<()> {
    let pipeline = Pipeline::open(source)?;
    let plan = pipeline.plan(&Selection::default())?;
    let mut table = Table::new(&["experiment", "stage", "state", "key", "finished", "size", "seconds"]);
    let mut all = Vec::new();
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
            in_progress: step.key.as_ref().is_some_and(|key| pipeline.store.work_dir(&step.stage, key).exists()),
        };
        let mut shown = state(step).to_owned();
        if line.in_progress {
            shown.push_str(", begun");
        }
        let key = line.key.as_ref().map(Key::short).unwrap_or_default();
        let finished = line.finished.as_deref().unwrap_or_default();
        let finished = finished.split('.').next().unwrap_or_default().trim_end_matches('Z').replace('T', " ");
        let bytes = line.bytes.map(text::bytes).unwrap_or_default();
        let seconds = line.seconds.map(text::seconds).unwrap_or_default();
        table.row([&line.experiment, &line.stage, &shown, key, &finished, &bytes, &seconds]);
        all.push(line);
    }
    if json { text::emit_json(out, &all) } else { text::emit(out, &table.to_string()) }
}

fn size(artifact: &Artifact) -> u64 {
    let record = artifact.record();
    let parts = record.tables.values().flat_map(|table| &table.parts).map(|part| part.bytes);
    parts.chain(record.files.values().map(|file| file.bytes)).sum()
}

/// A stage of one experiment, with the pipeline it is of.
fn step(source: &Source, stage: &str) -> Result<(Pipeline, Step)> {
    let pipeline = Pipeline::open(&single(source)?)?;
    pipeline.check_stage(stage)?;
    let plan = pipeline.plan(&Selection::default())?;
    let asked = pipeline.experiments[0].stage(stage)?.id();
    let step = plan.steps.into_iter().find(|step| step.is(&asked)).expect("a plan has every stage");
    Ok((pipeline, step))
}

/// `camflow path`: the directory of a stage's artifact.
pub fn path(source: &Source, stage: &str, out: &mut dyn Write) -> Result<()> {
    let (_, step) = step(source, stage)?;
    match &step.artifact {
        Some(artifact) => text::emit(out, &format!("{}\n", artifact.dir().display())),
        None => Err(Error::NotCommitted(format!(
            "{stage} ({}) is not committed; `camflow explain {stage}` says why",
            step.experiment
        ))),
    }
}

/// `camflow logs`: the log of a stage, of its artifact or of the work in progress.
pub fn logs(source: &Source, stage: &str, out: &mut dyn Write) -> Result<()> {
    let (pipeline, step) = step(source, stage)?;
    let dir = match (&step.artifact, &step.key) {
        (Some(artifact), _) => Some(artifact.dir().to_owned()),
        (None, Some(key)) => Some(pipeline.store.work_dir(&step.stage, key)),
        (None, None) => None,
    };
    let file = dir.map(|dir| dir.join(LOG_FILE)).filter(|file| file.is_file());
    let file =
        file.ok_or_else(|| Error::NotCommitted(format!("{stage} ({}) has no log: it has not begun", step.experiment)))?;
    let log = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
    let mut start = None;
    log.lines().try_for_each(|line| text::emit(out, &format!("{}\n", readable(line, &mut start))))
}

/// `{"time": …, "event": "epoch", "loss": 0.1}` as `   12.3 s  epoch  loss 0.1`; the time since the log's start.
fn readable(line: &str, start: &mut Option<f64>) -> String {
    let Ok(mut fields) = serde_json::from_str::<Map<String, Value>>(line) else { return line.to_owned() };
    let mut text = String::new();
    if let Some(time) = fields.remove("time").as_ref().and_then(Value::as_f64) {
        let _ = write!(text, "{:>8.1} s  ", time - *start.get_or_insert(time));
    }
    if let Some(event) = fields.remove("event") {
        let _ = write!(text, "{}", text::number(&event));
    }
    for (name, value) in fields {
        let _ = write!(text, "  {name} {}", text::number(&value));
    }
    text
}

#[derive(Serialize)]
struct Metric {
    experiment: String,
    stage: String,
    name: String,
    value: Value,
}

/// `camflow metrics`: the metrics of every committed stage.
pub fn metrics(source: &Source, json: bool, out: &mut dyn Write) -> Result<()> {
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

/// `camflow verify`: reads every artifact of the plan whole, and sets the damaged ones aside.
pub fn verify(source: &Source, out: &mut dyn Write) -> Result<()> {
    let pipeline = Pipeline::open(source)?;
    let plan = pipeline.plan(&Selection::default())?;
    let mut seen = Vec::new();
    let (mut whole, mut damaged) = (0, 0);
    for step in plan.steps {
        let Some(key) = step.key.clone().filter(|key| !seen.contains(&(step.stage.clone(), key.clone()))) else {
            continue;
        };
        seen.push((step.stage.clone(), key.clone()));
        let reason = match (&step.artifact, step.state) {
            (Some(artifact), _) => artifact.verify().err().map(|error| error.to_string()),
            (None, State::Damaged { what }) => Some(what),
            (None, _) => continue,
        };
        match reason {
            None => whole += 1,
            Some(reason) => {
                damaged += 1;
                let aside = pipeline.store.set_aside(&step.stage, &key)?;
                text::emit(out, &format!("{} ({}): {reason}; set aside in {aside}\n", step.stage, step.experiment))?;
            }
        }
    }
    text::emit(out, &format!("{whole} artifacts are whole, {damaged} damaged\n"))?;
    if damaged == 0 {
        return Ok(());
    }
    Err(Error::NotCommitted(format!("{damaged} damaged artifacts were set aside; `camflow run` computes them anew")))
}
