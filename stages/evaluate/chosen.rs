//! What people chose by looking at ground truth, and which scores depend on it.

use artifact::{Artifact, ExperimentPlan, ParamError, Result};
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

/// Refuses a name on which no score depends.
pub fn check(names: &[String]) -> Result<()> {
    let stray = names.iter().find(|name| !SCORED.iter().any(|(stage, _)| depends(stage, name)));
    stray.map_or(Ok(()), |name| {
        let reason = format!("no score depends on '{name}'; write stage.parameter, as in random-walk.alpha");
        Err(ParamError::new("chosen_on_ground_truth", reason).into())
    })
}

/// Refuses a name that is no parameter of its stage, where the experiment has that stage.
pub fn check_plan(names: &[String], plan: &ExperimentPlan) -> Result<()> {
    for name in names {
        let Some((stage, path)) = name.split_once('.') else { continue };
        let mut stages = plan.stages.iter().filter(|plan| plan.stage == stage).peekable();
        if stages.peek().is_some() && !stages.any(|plan| has(&plan.params, path)) {
            let reason = format!("there is no parameter '{name}'; `camflow plan` shows them");
            return Err(ParamError::new("chosen_on_ground_truth", reason).into());
        }
    }
    Ok(())
}

/// Did the parameter `name` have an effect on its stage's artifact among `inputs`, or on one of the same stage from which that
/// went on? `train-cam.rcm.threshold` has none on baselines. What is not known, as of a stage that is no input, may have.
pub fn used<'a>(name: &str, mut inputs: impl Iterator<Item = &'a Artifact>) -> Result<bool> {
    let Some((stage, path)) = name.split_once('.') else { return Ok(true) };
    let Some(artifact) = inputs.find(|input| input.record().preimage.stage == stage) else { return Ok(true) };
    let (ancestors, gone) = artifact.ancestors()?;
    let mut line = ancestors.iter().chain([artifact]).map(|artifact| &artifact.record().preimage);
    Ok(gone.is_some() || line.any(|made| has(&made.params, path) || made.files.contains_key(path)))
}

fn has(params: &Value, path: &str) -> bool {
    path.split('.').try_fold(params, |value, part| value.get(part)).is_some()
}
