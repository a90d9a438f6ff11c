//! `camflow accept STAGE --reason TEXT`: the VERSION of a stage rose, but its result is the same. What its `latest`
//! links point at is committed again under the new key, with a note of who said so and why.

use std::fmt;
use std::io::Write;

use artifact::{Artifact, Error, Key, Result};
use serde::Serialize;

use crate::options::{PipelineSource, Selection};
use crate::pipeline::Pipeline;
use crate::plan::{State, Step};
use crate::reason::{self, Reason};
use crate::text;

/// A stage of an experiment whose artifact was taken over.
#[derive(Clone, Debug, Serialize)]
pub struct Acceptance {
    /// Name of the stage.
    pub stage: String,
    /// Name of the experiment.
    pub experiment: String,
    /// Key of the artifact that was taken over; `None` if there was nothing to do.
    pub from: Option<Key>,
    /// Its key now.
    pub key: Key,
}

/// Accepts the artifacts of a stage in every experiment in question, or in none of them.
pub fn accept(
    source: &PipelineSource,
    stage: &str,
    reason: &str,
    json: bool,
    out: &mut dyn Write,
) -> Result<Vec<Acceptance>> {
    if reason.trim().is_empty() {
        return Err(Error::Config("--reason: say why the result is the same; it is kept with the artifact".into()));
    }
    let pipeline = Pipeline::open(source)?;
    pipeline.check_stage(stage)?;
    let plan = pipeline.plan(&Selection::default())?;
    let steps = plan.steps.iter().filter(|step| step.stage == stage);
    let mut found = Vec::new();
    for step in steps {
        if let Some(old) = acceptable(&pipeline, step)? {
            found.push((step, old));
        }
    }
    if found.is_empty() {
        return Err(Error::NotCommitted(format!(
            "{stage} was never committed for any of these experiments: there is nothing to accept; `camflow run` \
             computes it"
        )));
    }
    let mut accepted = Vec::new();
    for (step, old) in found {
        let key = step.preimage.key();
        let new = !step.is_cached();
        if new {
            pipeline.store.accept(&old, &step.preimage, reason.trim(), &text::user())?;
        }
        pipeline.store.point_latest(stage, step.plan.link(), &key)?;
        let from = new.then(|| old.record().key.clone());
        accepted.push(Acceptance { stage: stage.to_owned(), experiment: step.experiment.clone(), from, key });
    }
    if json {
        text::emit_json(out, &accepted)?;
    } else {
        accepted.iter().try_for_each(|line| text::emit(out, &format!("{line}\n")))?;
    }
    Ok(accepted)
}

impl fmt::Display for Acceptance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, experiment, from, key } = self;
        match from {
            Some(from) => write!(f, "{stage} ({experiment}): {from} accepted as {key}"),
            None => write!(f, "{stage} ({experiment}): {key} is committed already, nothing to accept"),
        }
    }
}

/// The artifact that a step may take over, or its own if it is committed; `None` if it never ran.
fn acceptable(pipeline: &Pipeline, step: &Step) -> Result<Option<Artifact>> {
    let named = format!("{} ({})", step.stage, step.experiment);
    match &step.state {
        State::Cached => return Ok(step.artifact.clone()),
        State::Damaged { what } => {
            return Err(Error::NotCommitted(format!("{named}: {what}; `camflow run` computes it anew")));
        }
        State::Ready | State::Waiting { .. } => {}
    }
    let Some(old) = pipeline.store.latest(&step.stage, step.plan.link())? else { return Ok(None) };
    if let State::Waiting { on } = &step.state {
        let on = on.join(", ");
        return Err(Error::NotCommitted(format!("{named}: its input {on} is not committed; run or accept that first")));
    }
    let earlier = &old.record().preimage;
    let differs = reason::compare(pipeline, &step.plan, &step.preimage, earlier);
    let version = |reason: &Reason| matches!(reason, Reason::Changed { field, .. } if field == "version");
    let other: Vec<_> = differs.iter().filter(|reason| !version(reason)).map(Reason::to_string).collect();
    if !other.is_empty() {
        return Err(Error::Config(format!(
            "{named}: more than the version differs from {}: {}; only the same result can be accepted, so run the \
             stage",
            old.record().key,
            other.join(", ")
        )));
    }
    if earlier.version >= step.preimage.version {
        let (old, new) = (earlier.version, step.preimage.version);
        return Err(Error::Config(format!(
            "{named}: its version went from {old} to {new}; only the result of an earlier version can be accepted"
        )));
    }
    Ok(Some(old))
}
