//! The table of a CRF in the manifest, with its ranges.

use artifact::ParamError;
use serde::{Deserialize, Serialize};

use crate::method::crf::{Bilateral, CrfOptions, Gaussian};

/// A dense CRF; the parameters of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrfParams {
    /// Mean-field steps; 0 leaves the scores as they are.
    pub iterations: u32,
    /// The kernel over positions.
    pub gaussian: Gaussian,
    /// The kernel over positions and colours.
    pub bilateral: Bilateral,
}

impl CrfParams {
    /// Checks ranges.
    pub fn check(&self) -> Result<(), ParamError> {
        let Self { iterations, gaussian, bilateral } = self;
        if *iterations > 1000 {
            let reason = format!("{iterations}; give 0 (no CRF) to 1000, such as 10");
            return Err(ParamError::new("iterations", reason));
        }
        for (name, deviation) in
            [("gaussian.sxy", gaussian.sxy), ("bilateral.sxy", bilateral.sxy), ("bilateral.srgb", bilateral.srgb)]
        {
            if !(0.1..=1e4).contains(&deviation) {
                let reason = format!("{deviation} is no standard deviation; give 0.1 to 10000");
                return Err(ParamError::new(name, reason));
            }
        }
        for (name, compat) in [("gaussian.compat", gaussian.compat), ("bilateral.compat", bilateral.compat)] {
            if !(0.0..=1e3).contains(&compat) {
                return Err(ParamError::new(name, format!("{compat} is no weight; give 0 to 1000")));
            }
        }
        Ok(())
    }

    /// The CRF that is meant; none without iterations.
    pub fn options(&self) -> Option<CrfOptions> {
        let Self { iterations, gaussian, bilateral } = *self;
        (iterations > 0).then_some(CrfOptions { iterations, gaussian, bilateral })
    }
}
