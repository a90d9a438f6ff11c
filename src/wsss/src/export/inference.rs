//! How a trained network looks at a picture: what the stages that used it were told.

use artifact::{Artifact, ParamError, Result};
use serde::{Deserialize, Serialize};

use crate::infer::{CrfParams, Look, MaxPixels};
use crate::method::crf::{Bilateral, Gaussian};
use crate::method::flip::Flip;

/// The scales, flip and limits at which a network looks at a picture, and the CRF that may follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inference {
    /// Factors by which the picture is resized; what the network says of them is averaged or, of CAMs, summed.
    pub scales: Vec<f64>,
    /// Is the mirror image looked at too?
    pub flip: bool,
    /// The longest side of the pictures that the network learnt from: a longer one is looked at in this length. 0 is no
    /// limit.
    pub max_side: u32,
    /// How many pixels the picture has at most at the largest scale.
    pub max_pixels: MaxPixels,
    /// The CRF for whoever asks for one.
    pub crf: CrfParams,
}

/// The names of these parameters in a stage that looks at pictures with a network.
pub(super) struct Names {
    pub scales: &'static str,
    pub flip: &'static str,
    /// The CRF's table, if the stage has one.
    pub crf: Option<&'static str>,
}

impl Inference {
    /// The picture as it is, and the CRF of DeepLab's paper (Chen et al., 2018, section 4.2).
    pub fn plain() -> Self {
        Self {
            scales: vec![1.0],
            flip: false,
            max_side: 0,
            max_pixels: MaxPixels::DEFAULT,
            crf: CrfParams {
                iterations: 10,
                gaussian: Gaussian { sxy: 1.0, compat: 3.0 },
                bilateral: Bilateral { sxy: 67.0, srgb: 3.0, compat: 4.0 },
            },
        }
    }

    /// What a stage was told that used the network; what it does not know is [`Inference::plain`].
    pub(super) fn of(user: &Artifact, names: &Names) -> Result<Self> {
        let plain = Self::plain();
        let crf = match names.crf {
            Some(name) => user.param::<CrfParams>(name)?,
            None => plain.crf,
        };
        Ok(Self {
            scales: user.param(names.scales)?,
            flip: user.param(names.flip)?,
            max_side: plain.max_side,
            max_pixels: user.param::<Option<MaxPixels>>("max_pixels")?.unwrap_or(plain.max_pixels),
            // Without iterations the stage had none.
            crf: if crf.iterations > 0 { crf } else { plain.crf },
        })
    }

    /// Checks ranges; an error names the parameter.
    pub fn check(&self) -> Result<()> {
        if self.scales.is_empty() || self.scales.iter().any(|scale| !(0.1..=4.0).contains(scale)) {
            let given: Vec<_> = self.scales.iter().map(f64::to_string).collect();
            let given = given.join(", ");
            return Err(ParamError::new("scales", format!("{given}; give one or more from 0.1 to 4")).into());
        }
        self.max_pixels.check()?;
        Ok(self.crf.check().map_err(|error| error.below("crf"))?)
    }

    /// The height and width in which a picture of a `[height, width]` is looked at, for scale 1.
    pub fn size(&self, [height, width]: [usize; 2]) -> [usize; 2] {
        let longest = height.max(width);
        let limit = if self.max_side == 0 { longest } else { (self.max_side as usize).min(longest) };
        let factor = (limit as f64 / longest as f64).min(self.max_pixels.factor([height, width], &self.scales));
        [height, width].map(|side| ((side as f64 * factor).round() as usize).max(1))
    }

    /// How the networks of `infer` look at a picture of that size.
    pub fn look(&self) -> Look {
        Look { scales: self.scales.clone(), flip: Flip::from(self.flip), max_pixels: self.max_pixels }
    }
}
