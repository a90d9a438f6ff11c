//! Where a network's first weights come from, and under which names trained ones are kept.

use std::collections::BTreeSet;
use std::path::Path;

use artifact::{Artifact, ParamError, Result, part_of_file};
use serde::{Deserialize, Serialize};
use serde_json::json;
use stage::{Log, Read};
use tch::nn;

use crate::model::fill::{FOREIGN_HEADS, LoadReport, load};

pub use crate::model::flat::TERMS;

/// File of the `MainNet` that train-cam trained. Each file of weights is named by the network that it holds: by that
/// name a stage finds it among its inputs.
pub const CAM_NET: &str = "cam_net.safetensors";
/// File of train-cam's `SupportNet`, where there is such a net.
pub const CAM_SUPPORT: &str = "cam_support.safetensors";
/// File of the AffinityNet that train-affinity trained.
pub const AFFINITY_NET: &str = "affinity_net.safetensors";
/// File of the DeepLab that train-deeplab trained.
pub const DEEPLAB: &str = "deeplab.safetensors";

/// Where the backbone's first weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// Random numbers from the seed.
    Random,
    /// A file of ImageNet weights: the parameter `weights`.
    Weights,
    /// The network that train-cam trained.
    TrainCam,
}

impl Init {
    /// What every training stage reads for its parameter `init`: a CAM net for [`Init::TrainCam`], and only then.
    pub fn read() -> Read {
        Read::file(CAM_NET).only_while("init", Self::TrainCam)
    }

    /// Fills the backbone in `vs`, and the heads of which the file has one of the same name and shape; others keep what
    /// they were made with. The report says which.
    pub fn fill(self, vs: &nn::VarStore, weights: &str, cam: Option<&Artifact>) -> Result<Option<LoadReport>> {
        // With their dot: the head `feature.` is no beginning of MobileNetV2's `features.0`.
        let own_heads: BTreeSet<String> =
            vs.variables().into_keys().filter_map(|name| Some(format!("{}.", name.split('.').next()?))).collect();
        let mut optional: Vec<&str> =
            own_heads.iter().map(String::as_str).filter(|head| *head != "backbone.").collect();
        match self {
            Self::Random => Ok(None),
            Self::Weights => {
                optional.extend(FOREIGN_HEADS);
                load(vs, Path::new(weights), "backbone.", &optional).map(Some)
            }
            Self::TrainCam => {
                let cam = cam.ok_or_else(|| ParamError::new("init", "\"train-cam\", but `needs` lacks train-cam"))?;
                optional.extend(["feature.", "classifier.", "terms."]);
                load(vs, &cam.file(CAM_NET), "", &optional).map(Some)
            }
        }
    }

    /// Checks that a file is named if, and only if, it is used, and that it is there.
    pub fn check(self, weights: &str) -> Result<(), ParamError> {
        match (self, weights.is_empty()) {
            (Self::Weights, true) => {
                Err(ParamError::new("weights", "name a file (.params, .pth or .safetensors), or set init"))
            }
            (Self::Random | Self::TrainCam, false) => {
                Err(ParamError::new("weights", "a file is named, but init does not use it; set init = \"weights\""))
            }
            (Self::Weights, false) if !part_of_file(Path::new(weights)).0.exists() => {
                let fetched = if weights.starts_with(".weights/") { "; `make weights` fetches it" } else { "" };
                let reason = format!("there is no file '{weights}'{fetched} (the path is relative to where you run)");
                Err(ParamError::new("weights", reason))
            }
            _ => Ok(()),
        }
    }
}

/// Fills every variable of a CAM net, heads included, from a network that train-cam trained. What terms have learnt is
/// filled where both have it.
pub fn fill_cam_net(vs: &nn::VarStore, weights: &Path) -> Result<LoadReport> {
    load(vs, weights, "", &["terms."])
}

/// Logs where a network's first weights came from, if from a file: how many variables the file filled, for which it has
/// no tensor, and which of its tensors are of no use.
pub fn log_weights(log: &mut Log, report: Option<&LoadReport>) -> Result<()> {
    let Some(LoadReport { filled, missing, unexpected, misshapen }) = report else { return Ok(()) };
    let misshapen: Vec<_> = misshapen.iter().map(ToString::to_string).collect();
    let fields = json!({"filled": filled, "missing": missing, "unexpected": unexpected, "misshapen": misshapen});
    log.event("weights", &fields)
}
