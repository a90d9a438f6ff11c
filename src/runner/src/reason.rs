//! Why a stage has to run: the fields in which it differs from an artifact that is there.

use std::fmt;
use std::sync::Arc;

use artifact::{Artifact, Change, Item, Preimage, StagePlan};
use serde::Serialize;
use serde_json::Value;

use crate::pipeline::Pipeline;

/// Stands for the digests of an input that is not committed yet, followed by what identifies it.
pub(crate) const PENDING: &str = "pending:";

/// One reason for which a stage has to run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Reason {
    /// This stage of this experiment never ran.
    FirstRun,
    /// The command forces it.
    Forced,
    /// The committed artifact is not whole.
    Damaged {
        /// What is wrong with it.
        what: String,
    },
    /// Something that is read of an input differs.
    Input {
        /// The stage that made it.
        stage: String,
        /// What differs.
        what: Vec<Item>,
    },
    /// An input is computed first; whether it will have other rows is not known before.
    Upstream {
        /// The stage that makes it.
        stage: String,
    },
    /// A value differs.
    Changed {
        /// Dotted name in the key's preimage, such as `params.optimizer.lr`.
        field: String,
        /// What it was; `None` if it was not there.
        old: Option<Value>,
        /// What it is; `None` if it is no longer there.
        new: Option<Value>,
        /// File and line in the manifest, or the `--set` that gave it.
        place: Option<String>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstRun => f.write_str("first run"),
            Self::Forced => f.write_str("forced"),
            Self::Damaged { what } => f.write_str(what),
            Self::Input { stage, what } => {
                let what: Vec<_> = what.iter().map(Item::to_string).collect();
                write!(f, "{} of {stage} changed", what.join(" and "))
            }
            Self::Upstream { stage } => write!(f, "input {stage} is computed first"),
            Self::Changed { field, old, new, place } => {
                match field.strip_prefix("files.") {
                    Some(name) => write!(f, "content of {name} changed")?,
                    None => write!(f, "{field} {} -> {}", shown(old.as_ref()), shown(new.as_ref()))?,
                }
                place.iter().try_for_each(|place| write!(f, " ({place})"))
            }
        }
    }
}

/// The reasons in one line: "first run" says all, and what comes first is listed once.
pub(crate) fn sentence(reasons: &[Reason]) -> String {
    if reasons.contains(&Reason::FirstRun) {
        return Reason::FirstRun.to_string();
    }
    let mut upstream = Vec::new();
    let mut parts = Vec::new();
    for reason in reasons {
        match reason {
            Reason::Upstream { stage } => upstream.push(stage.as_str()),
            other => parts.push(other.to_string()),
        }
    }
    if !upstream.is_empty() {
        parts.push(format!("after {}", upstream.join(", ")));
    }
    parts.join(", ")
}

/// A value as the manifest would write it.
pub(crate) fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "(none)".to_owned(), Value::to_string)
}

/// Why a stage that is not committed has to run: how it differs from what this stage of this experiment last was. What
/// another experiment's was is no reason.
pub(crate) fn of_absence(pipeline: &Pipeline, plan: &StagePlan, preimage: &Preimage) -> Vec<Reason> {
    let all = pipeline.history(&plan.stage);
    let linked = pipeline.store.latest_key(&plan.stage, plan.link());
    let linked = all.iter().find(|artifact| linked.as_deref() == Some(artifact.record().key.short()));
    let made_for_it = || all.iter().find(|artifact| artifact.record().provenance.experiment == plan.experiment);
    match linked.or_else(made_for_it) {
        Some(old) => compare(pipeline, plan, preimage, &old.record().preimage),
        None => vec![Reason::FirstRun],
    }
}

/// The artifact of a stage with the fewest differences; of several that of the same experiment, then the newest.
pub(crate) fn nearest(pipeline: &Pipeline, plan: &StagePlan, preimage: &Preimage) -> Option<Arc<Artifact>> {
    let far = |artifact: &Arc<Artifact>| {
        let record = artifact.record();
        (changes(preimage, &record.preimage).len(), record.provenance.experiment != plan.experiment)
    };
    pipeline.history(&plan.stage).into_iter().min_by_key(far)
}

/// The changes from `old` to `new`; an input that is not committed yet counts as unchanged.
pub(crate) fn changes(new: &Preimage, old: &Preimage) -> Vec<Change> {
    let mut new = new.clone();
    for (stage, reading) in &mut new.inputs {
        if reading.parts().any(|(_, digest)| digest.starts_with(PENDING))
            && let Some(known) = old.inputs.get(stage)
        {
            reading.clone_from(known);
        }
    }
    new.changes_from(old)
}

/// The field whose value in the manifest has changed. `device` says numerics too, after the device.
fn behind<'a>(field: &'a str, values: [&Option<Value>; 2]) -> &'a str {
    let [old, new] = values.map(|value| value.as_ref()?.as_str()?.split(' ').next());
    if field == "device" && old.is_some() && old == new { "numerics" } else { field }
}

/// The reasons that a comparison with `old` gives.
pub(crate) fn compare(pipeline: &Pipeline, plan: &StagePlan, new: &Preimage, old: &Preimage) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    for Change { field, old, new } in changes(new, old) {
        match (Item::of_field(&field), reasons.last_mut()) {
            // The parts of an input stand together.
            (Some((from, item)), Some(Reason::Input { stage, what })) if from == stage => what.push(item),
            (Some((from, item)), _) => reasons.push(Reason::Input { stage: from.to_owned(), what: vec![item] }),
            (None, _) => {
                let place = pipeline.place(plan, behind(&field, [&old, &new]));
                reasons.push(Reason::Changed { place, field, old, new });
            }
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_of_the_device_is_the_device_or_the_numerics() {
        let value = |text: &str| Some(Value::from(text));
        let of = |field, old: &str, new: &str| behind(field, [&value(old), &value(new)]);
        assert_eq!(of("device", "cpu f32", "cpu bf16"), "numerics");
        assert_eq!(of("device", "cpu f32", "cuda f32"), "device");
        assert_eq!(of("seed", "1", "1"), "seed");
        assert_eq!(behind("device", [&None, &value("cpu f32")]), "device");
    }
}
