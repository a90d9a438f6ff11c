//! What is to run as units of work, for whatever starts processes: each is a command, what has to be there before, and
//! its share of the stage.

use std::collections::BTreeMap;
use std::io::Write;

use artifact::{Key, Result};
use serde::Serialize;

use crate::options::{PipelineSource, Selection};
use crate::pipeline::Pipeline;
use crate::plan::{Plan, Step};
use crate::run::command;
use crate::text;

/// A process that is to run.
#[derive(Clone, Debug, Serialize)]
pub struct Unit {
    /// Its name: `train-cam@rcm`, of a shard `extract-msinf-cam@rcm:3/8`.
    pub name: String,
    /// Name of the stage.
    pub stage: String,
    /// Name of the experiment.
    pub experiment: String,
    /// The key of the artifact, where all inputs are known.
    pub key: Option<Key>,
    /// Input stage to its key, where that is committed.
    pub inputs: BTreeMap<String, Option<Key>>,
    /// `I/N`, of a stage that works image by image.
    pub shard: Option<String>,
    /// The units that have to end well before.
    pub needs: Vec<String>,
    /// Program and arguments. It exits with 0 when its part is done, with 75 when it was told to stop.
    pub command: Vec<String>,
}

impl Unit {
    /// The whole of a step, or what finishes it after its shards.
    pub(crate) fn of(pipeline: &Pipeline, plan: &Plan, step: &Step) -> Result<Self> {
        let process = command(pipeline, step)?;
        let words = std::iter::once(process.get_program()).chain(process.get_args());
        let mut words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        if step.forced {
            words.push("--force".into());
        }
        let key = |id| plan.step(id).filter(|need| need.is_cached()).and_then(|need| need.key.clone());
        let to_run = step.plan.needs.iter().filter_map(|need| plan.step(need)).filter(|need| need.will_run());
        Ok(Self {
            name: name(step),
            stage: step.stage.clone(),
            experiment: step.experiment.clone(),
            key: step.key.clone(),
            inputs: step.plan.needs.iter().map(|need| (need.stage.clone(), key(need))).collect(),
            shard: None,
            needs: to_run.map(computed_as).collect(),
            command: words,
        })
    }

    /// One share of the stage.
    fn share(&self, index: usize, count: usize) -> Self {
        let shard = format!("{index}/{count}");
        let mut command = self.command.clone();
        command.extend(["--shard".to_owned(), shard.clone()]);
        Self { name: format!("{}:{shard}", self.name), shard: Some(shard), command, ..self.clone() }
    }
}

fn name(step: &Step) -> String {
    format!("{}@{}", step.stage, step.experiment)
}

/// The unit that computes a step: that of another experiment where both compute the same.
fn computed_as(step: &Step) -> String {
    format!("{}@{}", step.stage, step.shared_with.as_ref().unwrap_or(&step.experiment))
}

/// Every unit of a plan, each after those that it needs. A stage that works image by image has `shards` units, and one
/// more that needs them and publishes what none of them has published.
pub(crate) fn of(pipeline: &Pipeline, plan: &Plan, shards: usize) -> Result<Vec<Unit>> {
    let mut units = Vec::new();
    for step in plan.to_run() {
        let mut whole = Unit::of(pipeline, plan, step)?;
        if shards > 1 && !step.forced && pipeline.program(&step.stage)?.description.sharded {
            let shares: Vec<_> = (0..shards).map(|index| whole.share(index, shards)).collect();
            whole.needs.extend(shares.iter().map(|share| share.name.clone()));
            units.extend(shares);
        }
        units.push(whole);
    }
    Ok(units)
}

/// `camflow plan --units`: the units as lines of JSON.
pub fn units(source: &PipelineSource, selection: &Selection, shards: usize, out: &mut dyn Write) -> Result<()> {
    let pipeline = Pipeline::open(source)?;
    let plan = pipeline.plan(selection)?;
    plan.check_inputs()?;
    for unit in of(&pipeline, &plan, shards)? {
        let line = serde_json::to_string(&unit).expect("a unit is JSON");
        text::emit(out, &format!("{line}\n"))?;
    }
    Ok(())
}
