//! Colour jitter as torchvision's `ColorJitter` defines it: brightness, contrast, saturation and hue, in random order.
//! What each does to pixels stands in [`crate::tones`].

use artifact::ParamError;
use serde::{Deserialize, Serialize};

use crate::random::Rng;

/// How far colours are varied.
///
/// Strength s draws a factor from U[max(0, 1 - s), 1 + s]; hue draws a turn from U[-hue, hue].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jitter {
    /// Strength of the brightness change; 0 = none.
    pub brightness: f64,
    /// Strength of the contrast change; 0 = none.
    pub contrast: f64,
    /// Strength of the saturation change; 0 = none.
    pub saturation: f64,
    /// Largest turn of the hue, as a part of the circle: at most 0.5; 0 = none.
    pub hue: f64,
    /// Probability that a picture is jittered at all.
    pub probability: f64,
}

/// One change of colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// rgb * factor.
    Brightness(f32),
    /// Blend with the mean luma of the whole picture.
    Contrast(f32),
    /// Blend with the pixel's own luma.
    Saturation(f32),
    /// Turn of the hue, 1 = the whole circle; whole circles do nothing.
    Hue(f32),
}

impl Jitter {
    /// Checks ranges.
    pub fn check(&self) -> Result<(), ParamError> {
        let strengths = [("brightness", self.brightness), ("contrast", self.contrast), ("saturation", self.saturation)];
        for (name, value) in strengths {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(ParamError::new(
                    name,
                    format!("{value} is no strength; give 0 (none) or more, such as 0.4"),
                ));
            }
        }
        if !(0.0..=0.5).contains(&self.hue) {
            return Err(ParamError::new("hue", format!("{} is no turn of the hue; give 0 (none) to 0.5", self.hue)));
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(ParamError::new("probability", format!("{} is no probability; give 0 to 1", self.probability)));
        }
        Ok(())
    }

    /// Draws whether a picture is changed, in which order and how much.
    pub fn draw(&self, rng: &mut Rng) -> Vec<Change> {
        if !rng.chance(self.probability) {
            return Vec::new();
        }
        let mut factor = |strength: f64| rng.uniform((1.0 - strength).max(0.0), 1.0 + strength) as f32;
        let mut changes = vec![
            (self.brightness, Change::Brightness(factor(self.brightness))),
            (self.contrast, Change::Contrast(factor(self.contrast))),
            (self.saturation, Change::Saturation(factor(self.saturation))),
            (self.hue, Change::Hue(rng.uniform(-self.hue, self.hue) as f32)),
        ];
        rng.shuffle(&mut changes);
        changes.into_iter().filter(|(s, _)| *s > 0.0).map(|(_, c)| c).collect()
    }
}
