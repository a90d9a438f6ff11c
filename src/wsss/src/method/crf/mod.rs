//! The dense CRF (Kraehenbuehl and Koltun 2011; METHOD.md, section 5): class scores made to follow the picture. No
//! torch; mean-field inference on permutohedral lattices, on the classes that an image has.
//!
//! ```text
//! lattice   a Gaussian filter over any features
//! softmax   probabilities of one pixel
//! ```

mod lattice;
mod softmax;

use data::codec::Rgb;
use serde::{Deserialize, Serialize};

use self::lattice::Lattice;
use self::softmax::softmax;

/// Probabilities below this count as this, so that their logarithm is finite.
const LEAST: f32 = 1e-5;
/// Keeps the division by a kernel's sum finite.
const SUM_EPS: f32 = 1e-20;
/// The energy of channels that only fill up a row: no probability.
const ABSENT: f32 = -1e9;

/// The kernel over positions: neighbours are of one class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gaussian {
    /// Standard deviation in pixels.
    pub sxy: f32,
    /// Weight.
    pub compat: f32,
}

/// The kernel over positions and colours: pixels that are near and look alike are of one class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bilateral {
    /// Standard deviation of the position in pixels.
    pub sxy: f32,
    /// Standard deviation of R, G and B, of 255.
    pub srgb: f32,
    /// Weight.
    pub compat: f32,
}

/// A dense CRF and how often it is applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrfOptions {
    /// Mean-field steps.
    pub iterations: u32,
    /// The kernel over positions.
    pub gaussian: Gaussian,
    /// The kernel over positions and colours.
    pub bilateral: Bilateral,
}

/// The CRF of one picture: both kernels with their normalisation, for any number of inferences.
#[derive(Debug)]
pub struct DenseCrf {
    pixels: usize,
    gaussian: Lattice<2, 3>,
    bilateral: Lattice<5, 6>,
    gaussian_compat: f32,
    bilateral_compat: f32,
}

impl DenseCrf {
    /// The kernels over (x, y) / sxy and over (x, y) / sxy, (r, g, b) / srgb.
    pub fn new(image: &Rgb, options: &CrfOptions) -> Self {
        let pixels = image.height * image.width;
        assert_eq!(image.pixels.len(), pixels * 3, "a picture of {} x {}", image.height, image.width);
        let position = |pixel: usize, sxy: f32| {
            [(pixel % image.width) as f32 / sxy, (pixel / image.width) as f32 / sxy] // x, y
        };
        let CrfOptions { gaussian, bilateral, .. } = *options;
        let colours = (0..pixels).map(|pixel| {
            let [x, y] = position(pixel, bilateral.sxy);
            let [r, g, b] = [0, 1, 2].map(|channel| f32::from(image.pixels[pixel * 3 + channel]) / bilateral.srgb);
            [x, y, r, g, b]
        });
        Self {
            pixels,
            gaussian: normalized(Lattice::new((0..pixels).map(|pixel| position(pixel, gaussian.sxy)))),
            bilateral: normalized(Lattice::new(colours)),
            gaussian_compat: gaussian.compat,
            bilateral_compat: bilateral.compat,
        }
    }

    /// Q after `iterations` mean-field steps from unary -ln p, with Potts compatibility:
    /// Q <- softmax(ln p + sum over the kernels of compat K Q).
    ///
    /// # Shapes
    /// `probabilities [C, H, W]`, row-major, of any C classes that the picture has, to the same.
    ///
    /// # Deviations
    /// p is clipped to 1e-5..1, as the field does; Q below 1e-26 is 0.
    pub fn infer(&self, probabilities: &[f32], iterations: u32) -> Vec<f32> {
        let classes = probabilities.len() / self.pixels.max(1);
        assert_eq!(probabilities.len(), classes * self.pixels, "probabilities are whole maps of the picture");
        // The rows of each width are compiled on their own, so that a row stays in registers.
        let infer = match classes {
            0..=4 => Self::infer_rows::<4>,
            5..=8 => Self::infer_rows::<8>,
            9..=12 => Self::infer_rows::<12>,
            13..=16 => Self::infer_rows::<16>,
            17..=24 => Self::infer_rows::<24>,
            25..=32 => Self::infer_rows::<32>,
            33..=64 => Self::infer_rows::<64>,
            65..=128 => Self::infer_rows::<128>,
            _ => Self::infer_rows::<256>,
        };
        infer(self, probabilities, classes, iterations)
    }

    /// [`DenseCrf::infer`] on rows of C channels, `classes` of them in use.
    fn infer_rows<const C: usize>(&self, probabilities: &[f32], classes: usize, iterations: u32) -> Vec<f32> {
        assert!(classes <= C, "at most {C} classes");
        let mut energies = vec![[ABSENT; C]; self.pixels]; // -U, [H W, C]
        for (class, map) in probabilities.chunks_exact(self.pixels.max(1)).enumerate() {
            for (energies, p) in energies.iter_mut().zip(map) {
                energies[class] = p.clamp(LEAST, 1.0).ln();
            }
        }
        let mut q = energies.clone();
        q.iter_mut().for_each(softmax);
        let (mut gaussian, mut bilateral) = (Values::new(&self.gaussian), Values::new(&self.bilateral));
        for _ in 0..iterations {
            gaussian.filter(&self.gaussian, &q);
            bilateral.filter(&self.bilateral, &q);
            for (pixel, (q, energies)) in q.iter_mut().zip(&energies).enumerate() {
                let sum = self.gaussian.slice(pixel, &gaussian.now, self.gaussian_compat, *energies);
                *q = self.bilateral.slice(pixel, &bilateral.now, self.bilateral_compat, sum);
                softmax(q);
            }
        }
        (0..classes).flat_map(|class| q.iter().map(move |q| q[class])).collect()
    }
}

/// Channels on a lattice's points.
struct Values<const C: usize> {
    now: Vec<[f32; C]>,
    scratch: Vec<[f32; C]>,
}

impl<const C: usize> Values<C> {
    fn new<const D: usize, const V: usize>(lattice: &Lattice<D, V>) -> Self {
        let zero = vec![[0.0; C]; lattice.rows()];
        Self { now: zero.clone(), scratch: zero }
    }

    /// Splats and blurs what each pixel has.
    fn filter<const D: usize, const V: usize>(&mut self, lattice: &Lattice<D, V>, pixels: &[[f32; C]]) {
        self.now.fill([0.0; C]);
        for (pixel, channels) in pixels.iter().enumerate() {
            lattice.splat(pixel, channels, &mut self.now);
        }
        lattice.blur(&mut self.now, &mut self.scratch);
    }
}

/// Symmetric normalisation: the kernel K becomes D^-1/2 K D^-1/2, D the sums of its rows.
fn normalized<const D: usize, const V: usize>(mut lattice: Lattice<D, V>) -> Lattice<D, V> {
    let mut values = Values::new(&lattice);
    let ones = vec![[1.0]; lattice.pixels()];
    values.filter(&lattice, &ones);
    let scale = |pixel| {
        let [sum] = lattice.slice(pixel, &values.now, 1.0, [0.0]);
        1.0 / (sum + SUM_EPS).sqrt()
    };
    let scales: Vec<f32> = (0..lattice.pixels()).map(scale).collect();
    lattice.weigh(&scales);
    lattice
}
