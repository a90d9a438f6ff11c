//! Colour jitter as torchvision's `ColorJitter` defines it: brightness, contrast, saturation and hue, in random order.

use artifact::ParamError;
use serde::{Deserialize, Serialize};

use crate::{codec::Rgb, random::Rng};

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
    /// Turn of the hue, 1 = the whole circle.
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

    /// Draws whether, in which order and how much, and changes the picture in place.
    pub fn apply(&self, image: &mut Rgb, rng: &mut Rng) {
        if !rng.chance(self.probability) {
            return;
        }
        let mut factor = |strength: f64| rng.uniform((1.0 - strength).max(0.0), 1.0 + strength) as f32;
        let mut changes = vec![
            (self.brightness, Change::Brightness(factor(self.brightness))),
            (self.contrast, Change::Contrast(factor(self.contrast))),
            (self.saturation, Change::Saturation(factor(self.saturation))),
            (self.hue, Change::Hue(rng.uniform(-self.hue, self.hue) as f32)),
        ];
        rng.shuffle(&mut changes);
        let changes: Vec<Change> = changes.into_iter().filter(|(s, _)| *s > 0.0).map(|(_, c)| c).collect();
        change_colours(image, &changes);
    }
}

/// Applies the changes one after another, rounding to 8 bits once at the end.
///
/// # Deviations
/// torchvision rounds after each change when it works on 8-bit pictures; this is its arithmetic on floats.
pub fn change_colours(image: &mut Rgb, changes: &[Change]) {
    if changes.is_empty() {
        return;
    }
    let (bytes, _) = image.pixels.as_chunks_mut::<3>();
    let mut pixels: Vec<[f32; 3]> = bytes.iter().map(|p| p.map(|v| f32::from(v) / 255.0)).collect();
    for &change in changes {
        match change {
            Change::Brightness(factor) => blend(&mut pixels, factor, |_| 0.0),
            Change::Contrast(factor) => {
                let mean = pixels.iter().map(|p| f64::from(luma(*p))).sum::<f64>() / pixels.len() as f64;
                blend(&mut pixels, factor, |_| mean as f32);
            }
            Change::Saturation(factor) => blend(&mut pixels, factor, luma),
            Change::Hue(turn) => pixels.iter_mut().for_each(|p| *p = turn_hue(*p, turn)),
        }
    }
    for (byte, pixel) in bytes.iter_mut().zip(pixels) {
        *byte = pixel.map(|v| (v * 255.0).round() as u8);
    }
}

/// clamp(factor * rgb + (1 - factor) * other)
fn blend(pixels: &mut [[f32; 3]], factor: f32, other: impl Fn([f32; 3]) -> f32) {
    for pixel in pixels {
        let other = (1.0 - factor) * other(*pixel);
        *pixel = pixel.map(|v| (factor * v + other).clamp(0.0, 1.0));
    }
}

/// Brightness as the eye sees it (ITU-R 601-2).
fn luma([r, g, b]: [f32; 3]) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

/// Through HSV and back; value and saturation stay.
fn turn_hue(rgb: [f32; 3], turn: f32) -> [f32; 3] {
    let [r, g, b] = rgb;
    let value = r.max(g).max(b);
    let chroma = value - r.min(g).min(b);
    if chroma <= 0.0 {
        return rgb;
    }
    // Position on the hexagon of hues, 0..6 from red.
    let hue = if value <= r {
        (g - b) / chroma
    } else if value <= g {
        2.0 + (b - r) / chroma
    } else {
        4.0 + (r - g) / chroma
    };
    let hue = (hue + 6.0 * turn).rem_euclid(6.0);
    let channel = |n: f32| {
        let k = (n + hue) % 6.0;
        value - chroma * k.min(4.0 - k).clamp(0.0, 1.0)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}
