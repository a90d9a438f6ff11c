//! What people chose by looking at ground truth, and which scores depend on it.

use artifact::{Artifact, Error, Result};
use serde_json::Value;

/// What makes the CAMs.
const CAM: [&str; 3] = ["prepare-data.", "train-cam.", "extract-msinf-cam."];
/// What makes pseudo-labels of them.
const LABEL: [&str; 2] = ["train-affinity.", "random-walk."];
/// What makes predictions of those.
const DEEPLAB: [&str; 3] = ["train-deeplab.", "evaluate.deeplab_scales", "evaluate.deeplab_flip"];
/// The thing scored, and the parameters on which its score depends beyond those that make its input.
const SCORED: [(&str, &[&[&str]]); 5] = [
    ("cam", &[&CAM, &["threshold-sweep."]]),
    ("cam+crf", &[&CAM, &["evaluate.cam_crf."]]),
    ("label", &[&CAM, &LABEL]),
    ("deeplab", &[&CAM, &LABEL, &DEEPLAB]),
    ("deeplab+crf", &[&CAM, &LABEL, &DEEPLAB, &["evaluate.deeplab_crf."]]),
];

/// Does the score of `stage` depend on the parameter `name`, as in `random-walk.alpha`?
fn depends(stage: &str, name: &str) -> bool {
    let starts = |prefix: &&str| name.starts_with(*prefix) && (name.len() > prefix.len() || !prefix.ends_with('.'));
    SCORED.iter().any(|(scored, prefixes)| *scored == stage && prefixes.concat().iter().any(starts))
}

/// What of a score was chosen on ground truth: the threshold, if it was chosen on a split, then the `names` on which
/// the score depends.
pub fn chosen(stage: &str, names: &[String], threshold: Option<&str>) -> String {
    let threshold = threshold.map(|split| format!("threshold ({split})"));
    let names = names.iter().filter(|name| depends(stage, name)).cloned();
    threshold.into_iter().chain(names).collect::<Vec<_>>().join("; ")
}

/// Refuses a name on which no score depends; `own` are the parameters of evaluate itself.
pub fn check(names: &[String], own: &Value) -> Result<()> {
    for name in names {
        if !SCORED.iter().any(|(stage, _)| depends(stage, name)) {
            return Err(Error::Config(format!(
                "chosen_on_ground_truth: no score depends on '{name}'; write stage.parameter, as in random-walk.alpha"
            )));
        }
        name.strip_prefix("evaluate.").map_or(Ok(()), |path| exists(name, own, path))?;
    }
    Ok(())
}

/// Moves from `names` to `unused` those in a table of `stage` that had no effect on its `artifact`, as `train-cam.rcm.threshold`
/// on a baseline; refuses what else is no parameter of it.
pub fn keep_used(names: &mut Vec<String>, unused: &mut Vec<String>, stage: &str, artifact: &Artifact) -> Result<()> {
    let params = &artifact.record().preimage.params;
    for name in std::mem::take(names) {
        match name.strip_prefix(stage).and_then(|rest| rest.strip_prefix('.')) {
            Some(path) if path.split_once('.').is_some_and(|(table, _)| params.get(table).is_none()) => {
                unused.push(name);
            }
            Some(path) => {
                exists(&name, params, path)?;
                names.push(name);
            }
            None => names.push(name),
        }
    }
    Ok(())
}

fn exists(name: &str, params: &Value, path: &str) -> Result<()> {
    let found = path.split('.').try_fold(params, |value, part| value.get(part));
    found.map(drop).ok_or_else(|| {
        Error::Config(format!("chosen_on_ground_truth: there is no parameter '{name}'; `camflow plan` shows them"))
    })
}
