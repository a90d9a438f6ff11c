//! The arithmetic of colour changes: runs of pixels as three planes of f32, changed by the widest instructions that the
//! processor has.
//!
//! Every value is computed by the same operations in the same order wherever it is computed, so the instructions change
//! no result. A change that looks at the pixel alone is applied only to the pixels that are asked for; contrast needs
//! the mean of the whole picture as it is when its turn comes.

// What is not inlined into a function of several versions is compiled for the oldest processor.
#![allow(clippy::inline_always)]

use multiversion::multiversion;

use crate::codec::Rgb;
use crate::jitter::Change;

/// Pixels that are changed together; loops of a fixed length have no remainder.
const RUN: usize = 64;

type Plane = [f32; RUN];
/// Red, green and blue of a run.
type Planes = [Plane; 3];

/// A change of one run of pixels, with all it needs from elsewhere.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// clamp(factor * rgb + other)
    Blend { factor: f32, other: f32 },
    /// Blend with the pixel's own luma.
    Saturation(f32),
    /// Turn of the hue.
    Hue(f32),
}

/// The changes of one picture, in their order; what comes of them is rounded to 8 bits once, at the end.
///
/// # Deviations
/// torchvision rounds after each change when it works on 8-bit pictures; this is its arithmetic on floats.
#[derive(Debug)]
pub struct Tones {
    steps: Vec<Step>,
}

impl Tones {
    /// Looks at the whole picture as far as the changes need it.
    pub fn of(image: &Rgb, changes: &[Change]) -> Self {
        let mut tones = Self { steps: Vec::with_capacity(changes.len()) };
        for &change in changes {
            let step = match change {
                Change::Brightness(factor) => Step::Blend { factor, other: (1.0 - factor) * 0.0 },
                Change::Contrast(factor) => {
                    let mean = mean_luma(image, &tones.steps);
                    Step::Blend { factor, other: (1.0 - factor) * mean }
                }
                Change::Saturation(factor) => Step::Saturation(factor),
                Change::Hue(turn) => Step::Hue(turn % 1.0),
            };
            tones.steps.push(step);
        }
        tones
    }

    /// The pixels after all changes, rounded to 8 bits, as (value / 255 - mean) / std of each channel.
    pub fn normalized(&self, pixels: &[[u8; 3]], to: [&mut [f32]; 3], mean: [f32; 3], std: [f32; 3]) {
        normalized(&self.steps, pixels, to, mean, std);
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn normalized(steps: &[Step], pixels: &[[u8; 3]], to: [&mut [f32]; 3], mean: [f32; 3], std: [f32; 3]) {
    let mut at = 0;
    for pixels in pixels.chunks(RUN) {
        let mut planes = load(pixels);
        if !steps.is_empty() {
            scale(&mut planes);
            for &step in steps {
                change(&mut planes, step);
            }
            round(&mut planes);
        }
        for channel in 0..3 {
            let plane = &mut planes[channel];
            for value in plane.iter_mut() {
                *value = (*value / 255.0 - mean[channel]) / std[channel];
            }
            to[channel][at..at + pixels.len()].copy_from_slice(&plane[..pixels.len()]);
        }
        at += pixels.len();
    }
}

/// The mean over the lumas of all pixels after these steps.
#[multiversion(targets("x86_64+avx2"))]
fn mean_luma(image: &Rgb, steps: &[Step]) -> f32 {
    let (pixels, _) = image.pixels.as_chunks::<3>();
    let mut sum = Sum::of(pixels.len());
    for pixels in pixels.chunks(RUN) {
        let mut planes = load(pixels);
        scale(&mut planes);
        for &step in steps {
            change(&mut planes, step);
        }
        sum.add(&luma(&planes));
    }
    (sum.total() / pixels.len() as f64) as f32
}

/// The sum in f64 of f32 of 0..1, as if they were added one after another.
///
/// An f32 of 2^-e and more is a multiple of 2^(-e - 23). As long as all are 0 or so large that their sum has no more
/// than the 53 bits of an f64 above that, every sum of some of them is exact: then eight partial sums side by side give
/// the same bits. From the first smaller one on they are added one by one.
struct Sum {
    lanes: [f64; 8],
    least: f32,
    exact: bool,
}

impl Sum {
    /// Of at most `count` numbers.
    fn of(count: usize) -> Self {
        Self { lanes: [0.0; 8], least: count.next_power_of_two() as f32 / (1 << 29) as f32, exact: true }
    }

    #[inline(always)]
    fn add(&mut self, values: &Plane) {
        let mut small = 0;
        for &value in values {
            small |= u32::from(value > 0.0) & u32::from(value < self.least);
        }
        if self.exact && small == 0 {
            let (values, _) = values.as_chunks::<8>();
            for values in values {
                for (lane, &value) in self.lanes.iter_mut().zip(values) {
                    *lane += f64::from(value);
                }
            }
            return;
        }
        self.exact = false;
        let mut total = self.total();
        for &value in values {
            total += f64::from(value);
        }
        self.lanes = [total, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    }

    #[inline(always)]
    fn total(&self) -> f64 {
        self.lanes.iter().sum()
    }
}

/// Up to [`RUN`] pixels as planes of 0..255; black after the last.
#[inline(always)]
fn load(pixels: &[[u8; 3]]) -> Planes {
    let mut padded = [[0; 3]; RUN];
    let run: &[[u8; 3]; RUN] = if let Ok(run) = pixels.try_into() {
        run
    } else {
        padded[..pixels.len()].copy_from_slice(pixels);
        &padded
    };
    let run = run.as_flattened();
    let [mut red, mut green, mut blue] = [[0.0; RUN]; 3];
    for at in 0..RUN {
        red[at] = f32::from(run[3 * at]);
        green[at] = f32::from(run[3 * at + 1]);
        blue[at] = f32::from(run[3 * at + 2]);
    }
    [red, green, blue]
}

/// To 0..1.
#[inline(always)]
fn scale(planes: &mut Planes) {
    for plane in planes {
        for value in plane {
            *value /= 255.0;
        }
    }
}

/// Back to whole numbers of 0..255.
#[inline(always)]
fn round(planes: &mut Planes) {
    for plane in planes {
        for value in plane {
            // The largest number below a half: 0.49999997 stays below 1, and all from a half on is rounded up.
            *value = (*value * 255.0 + 0.499_999_97).floor();
        }
    }
}

#[inline(always)]
fn change(planes: &mut Planes, step: Step) {
    match step {
        Step::Blend { factor, other } => {
            for plane in planes {
                for value in plane {
                    *value = blend(*value, factor, other);
                }
            }
        }
        Step::Saturation(factor) => {
            let luma = luma(planes);
            for plane in planes {
                for (value, luma) in plane.iter_mut().zip(luma) {
                    *value = blend(*value, factor, (1.0 - factor) * luma);
                }
            }
        }
        Step::Hue(turn) => turn_hue(planes, turn),
    }
}

/// clamp(factor * value + other)
#[inline(always)]
fn blend(value: f32, factor: f32, other: f32) -> f32 {
    (factor * value + other).clamp(0.0, 1.0)
}

/// Brightness as the eye sees it (ITU-R 601-2).
#[inline(always)]
fn luma([r, g, b]: &Planes) -> Plane {
    let mut luma = [0.0; RUN];
    for at in 0..RUN {
        luma[at] = 0.299 * r[at] + 0.587 * g[at] + 0.114 * b[at];
    }
    luma
}

/// Through HSV and back; value and saturation stay. The turn is less than a circle.
#[inline(always)]
fn turn_hue([red, green, blue]: &mut Planes, turn: f32) {
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let (r, g, b) = (*red, *green, *blue);
        let value = larger(larger(r, g), b);
        let chroma = value - smaller(smaller(r, g), b);
        // Position on the hexagon of hues, 0..6 from red. Grey has none, and comes out as it was.
        let difference = if value <= g { b - r } else { r - g };
        let difference = if value <= r { g - b } else { difference };
        let from = if value <= g { 2.0 } else { 4.0 };
        let from = if value <= r { 0.0 } else { from };
        let divisor = if chroma > 0.0 { chroma } else { 1.0 };
        let hue = (from + difference / divisor) + 6.0 * turn;
        let hue = if hue < 0.0 { hue + 6.0 } else { hue };
        let hue = if hue < 0.0 { hue + 6.0 } else { hue };
        let hue = if hue >= 6.0 { hue - 6.0 } else { hue };
        let channel = |n: f32| {
            let k = if n + hue >= 6.0 { n + hue - 6.0 } else { n + hue };
            value - chroma * larger(smaller(smaller(k, 4.0 - k), 1.0), 0.0)
        };
        (*red, *green, *blue) = (channel(5.0), channel(3.0), channel(1.0));
    }
}

/// Of two numbers; unlike `f32::max`, this is one instruction.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Of two numbers; unlike `f32::min`, this is one instruction.
#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

    #[test]
    fn partial_sums_side_by_side_give_the_bits_of_one_after_another() {
        let mut rng = Rng::new(1, 0, "sum");
        let mut orders_that_matter = 0;
        for (runs, least) in [(3, 1e-3), (3, 1e-9), (4000, 5e-4), (4000, 1e-9)] {
            // Most are 0 or large; the smallest come late, so that the sum has to go on one by one.
            let value = |at: usize, rng: &mut Rng| match rng.below(100) {
                0 => 0.0,
                1 if 2 * at > runs => (least * rng.uniform(1.0, 2.0)) as f32,
                _ => rng.uniform(0.01, 1.0) as f32,
            };
            let runs: Vec<Plane> = (0..runs).map(|at| std::array::from_fn(|_| value(at, &mut rng))).collect();
            let one_by_one = runs.as_flattened().iter().fold(0.0, |sum, &value| sum + f64::from(value));
            let backwards = runs.as_flattened().iter().rev().fold(0.0, |sum, &value| sum + f64::from(value));
            let mut sum = Sum::of(runs.len() * RUN);
            for run in &runs {
                sum.add(run);
            }
            assert_eq!(sum.total().to_bits(), one_by_one.to_bits(), "{} runs, from {least}", runs.len());
            orders_that_matter += usize::from(one_by_one.to_bits() != backwards.to_bits());
        }
        assert!(orders_that_matter > 0, "no sum of the test depends on the order");
    }
}
