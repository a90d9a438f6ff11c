//! What people chose by looking at ground truth, and which scores depend on it: a score depends on the parameters of
//! every stage that what is scored was computed from, and on some of evaluate's own.

use std::collections::BTreeSet;

use artifact::dotted::get;
use artifact::{Artifact, ExperimentPlan, ParamError, Result};

use crate::NAME;

/// What is scored, as far as evaluate's own parameters have a part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scored {
    /// CAMs at a threshold.
    Cam,
    /// CAMs after the CRF.
    CamCrf,
    /// Labels that another stage made.
    Labels,
    /// DeepLab's predictions.
    DeepLab,
    /// Those after the CRF.
    DeepLabCrf,
}

impl Scored {
    const ALL: [Self; 5] = [Self::Cam, Self::CamCrf, Self::Labels, Self::DeepLab, Self::DeepLabCrf];

    /// The parameters of evaluate on which the score depends.
    fn own(self) -> &'static [&'static str] {
        match self {
            Self::Cam | Self::Labels => &[],
            Self::CamCrf => &["cam_crf"],
            Self::DeepLab => &["deeplab_scales", "deeplab_flip", "max_pixels"],
            Self::DeepLabCrf => &["deeplab_scales", "deeplab_flip", "max_pixels", "deeplab_crf"],
        }
    }

    /// Does the score depend on evaluate's own parameter `path`?
    fn uses(self, path: &str) -> bool {
        self.own().iter().any(|own| path == *own || path.strip_prefix(own).is_some_and(|rest| rest.starts_with('.')))
    }
}

/// What of a score was chosen on ground truth: the threshold, if it was chosen on a split, then the `names` on which
/// the score depends. `upstream` are the stages that what is scored was computed from.
pub fn chosen(scored: Scored, upstream: &BTreeSet<String>, names: &[String], threshold: Option<&str>) -> String {
    let depends = |name: &&String| match name.split_once('.') {
        Some((NAME, path)) => scored.uses(path),
        Some((stage, _)) => upstream.contains(stage),
        None => false,
    };
    let threshold = threshold.map(|split| format!("threshold ({split})"));
    threshold.into_iter().chain(names.iter().filter(depends).cloned()).collect::<Vec<_>>().join("; ")
}

/// Refuses a name that is no parameter, or one on which no score depends. A stage that the experiment does not use may
/// have any.
pub fn check(names: &[String], plan: &ExperimentPlan) -> Result<()> {
    let own = plan.stage(NAME)?.id();
    let upstream: BTreeSet<_> = plan.upstream(&own).into_iter().map(|id| id.stage).collect();
    for name in names {
        let refuse = |reason: String| Err(ParamError::new("chosen_on_ground_truth", reason).into());
        let Some((stage, path)) = name.split_once('.').filter(|(stage, _)| plan.is_known(stage)) else {
            return refuse(format!(
                "'{name}' names no parameter of a stage; write stage.parameter, as in random-walk.alpha"
            ));
        };
        let mut plans = plan.stages.iter().filter(|plan| plan.stage == stage).peekable();
        if plans.peek().is_none() {
            continue;
        }
        if !plans.any(|plan| get(&plan.params, path).is_some()) {
            return refuse(format!("there is no parameter '{name}'; `camflow plan` shows them"));
        }
        let depends = if stage == NAME { Scored::ALL.iter().any(|s| s.uses(path)) } else { upstream.contains(stage) };
        if !depends {
            return refuse(format!("no score depends on '{name}'"));
        }
    }
    Ok(())
}

/// Did the parameter `name` have an effect on its stage's artifact among `inputs`, or on one of the same stage from
/// which that went on? `train-cam.rcm.threshold` has none on baselines. What is not known, as of a stage that is no
/// input, may have.
pub fn used<'a>(name: &str, mut inputs: impl Iterator<Item = &'a Artifact>) -> Result<bool> {
    let Some((stage, path)) = name.split_once('.') else { return Ok(true) };
    let Some(artifact) = inputs.find(|input| input.record().preimage.stage == stage) else { return Ok(true) };
    let (ancestors, gone) = artifact.ancestors()?;
    let mut line = ancestors.iter().chain([artifact]).map(|artifact| &artifact.record().preimage);
    Ok(gone.is_some() || line.any(|made| get(&made.params, path).is_some() || made.files.contains_key(path)))
}
