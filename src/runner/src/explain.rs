//! One stage: is it committed, and if not, which values changed, where they stand, and what upstream causes it.

use std::fmt;
use std::io::Write;

use artifact::store::Accepted;
use artifact::{Artifact, Key, Preimage, Result};
use serde::Serialize;

use crate::options::{PipelineSource, Selection};
use crate::pipeline::Pipeline;
use crate::plan::{State, Step, with_inputs};
use crate::reason::{self, Reason};
use crate::show::single;
use crate::text;

/// Why a stage is committed or not.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Name of the stage.
    pub stage: String,
    /// Name of the experiment.
    pub experiment: String,
    /// Whether it is committed.
    #[serde(flatten)]
    pub state: State,
    /// Its key, where all its inputs are known.
    pub key: Option<Key>,
    /// Digest of its content, if it is committed.
    pub digest: Option<String>,
    /// What decides its bytes, if it is committed.
    pub preimage: Option<Preimage>,
    /// The artifact of this stage with the fewest differences, if it is not committed.
    pub nearest: Option<Nearest>,
    /// The differences from that artifact.
    pub reasons: Vec<Reason>,
    /// The same of every stage before it that has to run, nearest to the data first.
    pub upstream: Vec<Explanation>,
    /// If it is committed: each time that it was taken over from an earlier version of the stage.
    pub accepted: Vec<Accepted>,
}

/// The artifact with which a stage that is not committed is compared.
#[derive(Clone, Debug, Serialize)]
pub struct Nearest {
    /// Its key.
    pub key: Key,
    /// The experiment for which it was computed.
    pub experiment: String,
    /// When it was published.
    pub finished: String,
}

/// Explains a stage of one experiment (the main one if the source names none).
pub fn explain(source: &PipelineSource, stage: &str, json: bool, out: &mut dyn Write) -> Result<Explanation> {
    let source = single(source)?;
    let pipeline = Pipeline::open(&source)?;
    pipeline.check_stage(stage)?;
    let plan = pipeline.plan(&Selection::default())?;
    let experiment = &pipeline.experiments[0];
    let (before, asked) = (with_inputs(experiment, stage), experiment.stage(stage)?.id());
    let mut upstream = Vec::new();
    let mut wanted = None;
    for step in plan.steps.iter().filter(|step| before.contains(&step.plan.id())) {
        if step.is(&asked) {
            wanted = Some(explain_step(&pipeline, step));
        } else if !step.is_cached() {
            upstream.push(explain_step(&pipeline, step));
        }
    }
    let wanted = wanted.expect("check_stage found it in the only experiment");
    let explanation = Explanation { upstream, ..wanted };
    if json {
        text::emit_json(out, &explanation)?;
    } else {
        text::emit(out, &explanation.to_string())?;
    }
    Ok(explanation)
}

fn explain_step(pipeline: &Pipeline, step: &Step) -> Explanation {
    let committed = step.artifact.as_ref().map(Artifact::record).filter(|_| step.is_cached());
    let mut explanation = Explanation {
        stage: step.stage.clone(),
        experiment: step.experiment.clone(),
        state: step.state.clone(),
        key: step.key.clone(),
        digest: committed.map(|record| record.digest.clone()),
        preimage: committed.map(|record| record.preimage.clone()),
        nearest: None,
        reasons: step.reasons.clone(),
        upstream: Vec::new(),
        accepted: committed.map(|record| record.provenance.accepted.clone()).unwrap_or_default(),
    };
    let first = step.reasons.contains(&Reason::FirstRun);
    if !first
        && matches!(step.state, State::Ready | State::Waiting { .. })
        && let Some(nearest) = reason::nearest(pipeline, &step.plan, &step.preimage)
    {
        let record = nearest.record();
        explanation.nearest = Some(Nearest {
            key: record.key.clone(),
            experiment: record.provenance.experiment.clone(),
            finished: record.provenance.finished.clone(),
        });
        explanation.reasons.retain(|reason| matches!(reason, Reason::Upstream { .. }));
        explanation.reasons.extend(reason::compare(pipeline, &step.plan, &step.preimage, &record.preimage));
    }
    explanation
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stage, experiment) = (&self.stage, &self.experiment);
        if let (State::Cached, Some(key), Some(preimage)) = (&self.state, &self.key, &self.preimage) {
            let preimage = serde_json::to_string_pretty(preimage).map_err(|_| fmt::Error)?;
            writeln!(f, "{stage} ({experiment}) is committed")?;
            writeln!(f, "  key     {}", key.as_str())?;
            writeln!(f, "  digest  {}", self.digest.as_deref().unwrap_or_default())?;
            for accepted in &self.accepted {
                writeln!(f, "  {}", text::accepted(accepted))?;
            }
            return writeln!(f, "the key is the BLAKE3 of\n{preimage}");
        }
        self.write_changes(f)?;
        for upstream in &self.upstream {
            writeln!(f)?;
            upstream.write_changes(f)?;
        }
        Ok(())
    }
}

impl Explanation {
    fn write_changes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Cached => "committed".to_owned(),
            State::Damaged { .. } => "damaged".to_owned(),
            State::Ready => "not committed".to_owned(),
            State::Waiting { on } => format!("not committed; after {}", on.join(", ")),
        };
        write!(f, "{} ({}) is {state}", self.stage, self.experiment)?;
        match &self.key {
            Some(key) => writeln!(f, "; its key is {key}")?,
            None => writeln!(f)?,
        }
        if let Some(Nearest { key, experiment, finished }) = &self.nearest {
            let finished = text::instant(finished);
            writeln!(f, "  compared with the nearest committed one, {key} ({experiment}, {finished}):")?;
        }
        for reason in &self.reasons {
            match reason {
                Reason::Changed { field, old, new, place } if !field.starts_with("files.") => {
                    let (old, new) = (reason::shown(old.as_ref()), reason::shown(new.as_ref()));
                    writeln!(f, "  {field}  {old} -> {new}  {}", place.as_deref().unwrap_or_default())?;
                }
                Reason::Upstream { stage } => {
                    writeln!(f, "  input {stage} is computed first; other rows there change the key here")?;
                }
                other => writeln!(f, "  {other}")?,
            }
        }
        Ok(())
    }
}
