//! The dense CRF (Kraehenbuehl and Koltun 2011; METHOD.md, section 5): class scores made to follow the picture. No
//! torch; mean-field inference on permutohedral lattices, on the classes that an image has.
//!
//! ```text
//! lattice     which points of a lattice each pixel gives to and takes from
//! embedding   where features lie among those points
//! filter      a Gaussian filter: give, blur, take
//! softmax     probabilities of pixels
//! ```

#![expect(clippy::inline_always, reason = "only what is inlined is compiled for the caller's instruction set")]

mod embedding;
mod filter;
mod lattice;
mod softmax;

use data::codec::Rgb;
use multiversion::multiversion;
use serde::{Deserialize, Serialize};

use self::filter::{Filter, LANES, Row, TILE};
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
        let colours = |pixel: usize| {
            let [x, y] = position(pixel, bilateral.sxy);
            let [r, g, b] = [0, 1, 2].map(|channel| f32::from(image.pixels[pixel * 3 + channel]) / bilateral.srgb);
            [x, y, r, g, b]
        };
        Self {
            pixels,
            gaussian: normalized(Lattice::new(pixels, |pixel| position(pixel, gaussian.sxy))),
            bilateral: normalized(Lattice::new(pixels, colours)),
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
            0..=8 => Self::infer_rows::<8>,
            9..=16 => Self::infer_rows::<16>,
            17..=24 => Self::infer_rows::<24>,
            25..=32 => Self::infer_rows::<32>,
            33..=64 => Self::infer_rows::<64>,
            65..=96 => Self::infer_rows::<96>,
            97..=128 => Self::infer_rows::<128>,
            _ => Self::infer_rows::<256>,
        };
        infer(self, probabilities, classes, iterations)
    }

    /// [`DenseCrf::infer`] on rows of C channels, `classes` of them in use.
    fn infer_rows<const C: usize>(&self, probabilities: &[f32], classes: usize, iterations: u32) -> Vec<f32> {
        assert!(classes <= C, "at most {C} classes");
        let mut field = MeanField::<C> {
            energies: energies(probabilities, classes, self.pixels),
            gaussian: Filter::new(&self.gaussian),
            gaussian_compat: self.gaussian_compat,
            bilateral: Filter::new(&self.bilateral),
            bilateral_compat: self.bilateral_compat,
        };
        for _ in 0..iterations {
            step(&mut field);
        }
        let mut maps = vec![0.0; probabilities.len()];
        write(&field, &mut maps);
        maps
    }
}

/// -U, [H W, C]: the logarithms of the probabilities, clipped; [`ABSENT`] in channels that are no class.
fn energies<const C: usize>(probabilities: &[f32], classes: usize, pixels: usize) -> Vec<Row<C>> {
    let mut energies = vec![Row([ABSENT; C]); pixels];
    for (tile, rows) in energies.chunks_mut(TILE).enumerate() {
        for class in 0..classes {
            let map = &probabilities[class * pixels + tile * TILE..];
            for (row, p) in rows.iter_mut().zip(map) {
                row.0[class] = p.clamp(LEAST, 1.0).ln();
            }
        }
    }
    energies
}

/// An inference at work. Q itself is never kept: whoever needs it makes it from the energies and the filters.
struct MeanField<'a, const C: usize> {
    energies: Vec<Row<C>>,
    gaussian: Filter<'a, 2, 3, C>,
    gaussian_compat: f32,
    bilateral: Filter<'a, 5, 6, C>,
    bilateral_compat: f32,
}

impl<const C: usize> MeanField<'_, C> {
    /// Q of the pixels of a tile: softmax(-U + sum over the kernels of compat K Q of the step before). Before the first
    /// step the filters are empty and give nothing.
    #[inline(always)]
    fn q<'q>(&self, tile: usize, q: &'q mut [Row<C>; TILE]) -> &'q [Row<C>] {
        let first = tile * TILE;
        let energies = &self.energies[first..self.energies.len().min(first + TILE)];
        let q = &mut q[..energies.len()];
        for (at, (q, energies)) in q.iter_mut().zip(energies).enumerate() {
            let sum = self.gaussian.slice(first + at, self.gaussian_compat, *energies);
            *q = self.bilateral.slice(first + at, self.bilateral_compat, sum);
        }
        softmax(q);
        q
    }
}

/// One mean-field step: filters Q.
#[multiversion(targets("x86_64+avx2"))]
fn step<const C: usize>(field: &mut MeanField<C>) {
    let mut q = [Row::ZERO; TILE];
    for tile in 0..field.energies.len().div_ceil(TILE) {
        let q = field.q(tile, &mut q);
        field.gaussian.splat(tile, q);
        field.bilateral.splat(tile, q);
    }
}

/// Writes Q to maps, [C, H W].
#[multiversion(targets("x86_64+avx2"))]
fn write<const C: usize>(field: &MeanField<C>, maps: &mut [f32]) {
    let mut q = [Row::ZERO; TILE];
    let pixels = field.energies.len();
    for tile in 0..pixels.div_ceil(TILE) {
        let q = field.q(tile, &mut q);
        for (class, map) in maps.chunks_exact_mut(pixels).enumerate() {
            for (value, row) in map[tile * TILE..].iter_mut().zip(q) {
                *value = row.0[class];
            }
        }
    }
}

/// Symmetric normalisation: the kernel K becomes D^-1/2 K D^-1/2, D the sums of its rows.
fn normalized<const D: usize, const V: usize>(mut lattice: Lattice<D, V>) -> Lattice<D, V> {
    let scales = scales(&lattice);
    lattice.weigh(&scales);
    lattice
}

/// D^-1/2 of each pixel.
#[multiversion(targets("x86_64+avx2"))]
fn scales<const D: usize, const V: usize>(lattice: &Lattice<D, V>) -> Vec<f32> {
    let mut filter = Filter::<D, V, LANES>::new(lattice);
    let mut one = Row::ZERO;
    one.0[0] = 1.0;
    let ones = [one; TILE];
    let pixels = lattice.pixels();
    for tile in 0..pixels.div_ceil(TILE) {
        filter.splat(tile, &ones[..TILE.min(pixels - tile * TILE)]);
    }
    let scale = |pixel| 1.0 / (filter.slice(pixel, 1.0, Row::ZERO).0[0] + SUM_EPS).sqrt();
    (0..pixels).map(scale).collect()
}
