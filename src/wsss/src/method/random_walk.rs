//! The random walk: class scores spread along affinities (Ahn and Kwak 2018; METHOD.md, section 6). No torch; exact,
//! by sparse products.
//!
//! T = A^beta / column sums has about 70 entries a column, all at the same few displacements. So one step is a sum of
//! displaced maps, and 2^logt steps on the present classes cost far less than squaring the dense matrix logt times.

use super::affinity::{Offset, offsets};

/// How far scores spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WalkOptions {
    /// Power of the affinities: larger keeps the walk to alike neighbours.
    pub beta: f32,
    /// Binary logarithm of the number of steps.
    pub logt: u32,
}

/// Positions handled together, so that their sums stay in registers.
const LANES: usize = 16;

/// The column-stochastic matrix T of a grid.
#[derive(Debug)]
pub struct Transition {
    nodes: usize,
    /// Zeros on either side of every map, so that displaced reads need no check.
    padding: usize,
    bands: Vec<Band>,
    /// 1 / column sum of A^beta, zero beyond the nodes.
    inverse_sums: Vec<f32>,
}

/// All pairs of one displacement.
#[derive(Debug)]
struct Band {
    /// How far the partner lies in the row-major order of nodes.
    stride: usize,
    /// a^beta at `padding + origin`, zero where an origin has no pair.
    weights: Vec<f32>,
}

impl Transition {
    /// From `affinities [offsets, h - r, w - 2r]` (r = radius - 1), row-major, as [`super::affinity::affinities`] gives
    /// them for one image on a grid `[h, w]`. A is symmetric with a unit diagonal.
    pub fn new(affinities: &[f32], grid: [usize; 2], radius: usize, beta: f32) -> Self {
        let [h, w] = grid;
        let reach = radius.saturating_sub(1);
        let (rows, columns) = (h - reach, w - 2 * reach);
        let offsets = offsets(radius);
        assert_eq!(affinities.len(), offsets.len() * rows * columns, "affinities of a {h} x {w} grid");
        let nodes = h * w;
        let padding = reach * w + reach;
        let length = padding + nodes.next_multiple_of(LANES) + padding;
        let mut bands = Vec::with_capacity(offsets.len());
        for (band, Offset { dy, dx }) in affinities.chunks_exact((rows * columns).max(1)).zip(offsets) {
            let mut weights = vec![0.0; length];
            for (y, row) in band.chunks_exact(columns).enumerate() {
                let start = padding + y * w + reach;
                for (weight, a) in weights[start..start + columns].iter_mut().zip(row) {
                    *weight = a.powf(beta);
                }
            }
            bands.push(Band { stride: (dy * w).strict_add_signed(dx), weights });
        }
        let mut transition = Self { nodes, padding, bands, inverse_sums: vec![1.0; length] };
        let mut ones = vec![0.0; length];
        ones[padding..padding + nodes].fill(1.0);
        let mut sums = vec![0.0; length];
        transition.step(&ones, &mut sums);
        transition.inverse_sums.fill(0.0);
        for (inverse, sum) in transition.inverse_sums.iter_mut().zip(&sums).skip(padding).take(nodes) {
            *inverse = 1.0 / sum;
        }
        transition
    }

    /// scores · T^(2^logt).
    ///
    /// # Shapes
    /// `scores [C, h, w]`, row-major, to the same.
    pub fn walk(&self, scores: &[f32], logt: u32) -> Vec<f32> {
        assert_eq!(scores.len() % self.nodes, 0, "scores are whole maps of the grid");
        let length = self.inverse_sums.len();
        let mut walked = Vec::with_capacity(scores.len());
        let (mut now, mut next) = (vec![0.0; length], vec![0.0; length]);
        for map in scores.chunks_exact(self.nodes) {
            now[self.padding..self.padding + self.nodes].copy_from_slice(map);
            for _ in 0..1_u64 << logt {
                self.step(&now, &mut next);
                std::mem::swap(&mut now, &mut next);
            }
            walked.extend_from_slice(&now[self.padding..self.padding + self.nodes]);
        }
        walked
    }

    /// Row i of T: where the score of node i goes.
    pub fn row(&self, i: usize) -> Vec<f32> {
        let mut unit = vec![0.0; self.nodes];
        unit[i] = 1.0;
        self.walk(&unit, 0)
    }

    /// One padded map through T. `inverse_sums` is zero beyond the nodes, so the padding of `to` stays zero.
    fn step(&self, from: &[f32], to: &mut [f32]) {
        for start in (self.padding..self.padding + self.nodes).step_by(LANES) {
            let lanes =
                |slice: &[f32], at: usize| -> [f32; LANES] { slice[at..at + LANES].try_into().expect("padded") };
            let mut sums = lanes(from, start); // the unit diagonal
            for Band { stride, weights } in &self.bands {
                let (out, partner) = (lanes(weights, start), lanes(from, start + stride));
                let (back, origin) = (lanes(weights, start - stride), lanes(from, start - stride));
                for lane in 0..LANES {
                    sums[lane] += out[lane] * partner[lane] + back[lane] * origin[lane];
                }
            }
            let scale = lanes(&self.inverse_sums, start);
            for (lane, slot) in to[start..start + LANES].iter_mut().enumerate() {
                *slot = sums[lane] * scale[lane];
            }
        }
    }
}

/// Spreads `scores` along `affinities` on a grid: scores · T^(2^logt).
///
/// # Shapes
/// `affinities [offsets, h - r, w - 2r]` with r = radius - 1, `grid` is `[h, w]`, `scores [C, h, w]`; to `[C, h, w]`.
pub fn random_walk(
    affinities: &[f32],
    grid: [usize; 2],
    radius: usize,
    options: WalkOptions,
    scores: &[f32],
) -> Vec<f32> {
    Transition::new(affinities, grid, radius, options.beta).walk(scores, options.logt)
}
