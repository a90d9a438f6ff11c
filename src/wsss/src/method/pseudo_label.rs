//! From CAM scores to a pseudo-label: scores spread along the affinities of a photograph, the largest wins (Ahn and
//! Kwak 2018; METHOD.md, section 6).

use data::codec::Rgb;
use tch::{Kind, Tensor};

use super::affinity::{affinities, fitting_radius};
use super::cam::upsample;
use super::crf::{CrfOptions, DenseCrf};
use super::random_walk::{WalkOptions, random_walk};
use super::scores::{CamScores, winners};
use crate::tensor::{floats, of_photo};

/// Stride of the grid on which scores spread.
const STRIDE: i64 = 8;
/// Keeps the division of scores by their sum finite.
const LEAST_SUM: f64 = 1e-12;

/// How scores become a label.
#[derive(Clone, Debug, PartialEq)]
pub struct PseudoLabelOptions {
    /// Neighbours nearer than this, on the stride-8 grid, have an affinity; less on grids too small for it.
    pub radius: usize,
    /// How far scores spread.
    pub walk: WalkOptions,
    /// Smooths what the walk gives, if at all.
    pub crf: Option<CrfOptions>,
}

/// The class of every pixel of a photograph, `[H, W]`: pad to whole cells, [`spread`] the scores, smooth, take the
/// largest.
///
/// # Shapes
/// `features` gives a network's `[1, C, h, w]` of `[1, 3, 8 h, 8 w]`; `cams` has scores `[1 + k, H, W]`.
///
/// # Deviations
/// The CRF is no part of Ahn and Kwak's label; without it the largest score wins as it is.
pub fn pseudo_label(
    features: impl Fn(&Tensor) -> Tensor,
    photo: &Rgb,
    cams: &CamScores,
    options: &PseudoLabelOptions,
) -> Vec<u8> {
    let features = features(&pad_to_cells(&of_photo(photo))); // [1, C, h, w]
    let scores = Tensor::from_slice(&cams.scores).view([1, -1, photo.height as i64, photo.width as i64]);
    let walked = spread(&features, &scores, options.radius, options.walk); // [1, 1 + k, H, W]
    let Some(crf) = &options.crf else { return winners(&cams.classes, &floats(&walked)) };
    let sum = walked.sum_dim_intlist([1].as_slice(), true, Kind::Float).clamp_min(LEAST_SUM); // [1, 1, H, W]
    let smooth = DenseCrf::new(photo, crf).infer(&floats(&(walked / sum)), crf.iterations);
    winners(&cams.classes, &smooth)
}

/// Scores after the random walk along the affinities of `features`: average-pooled to the features' grid, walked,
/// upsampled bilinearly, and cut to their size.
///
/// # Shapes
/// `features [1, C, h, w]` of the image padded to `8 h x 8 w`, `scores [1, 1 + k, H, W]`; to `[1, 1 + k, H, W]`.
pub fn spread(features: &Tensor, scores: &Tensor, radius: usize, walk: WalkOptions) -> Tensor {
    let (_, _, height, width) = scores.size4().expect("scores are [1, 1 + k, H, W]");
    let (_, _, h, w) = features.size4().expect("features are [1, C, h, w]");
    let grid = [h as usize, w as usize];
    let radius = fitting_radius(grid, radius);
    let affinities = floats(&affinities(features, radius)); // [1, offsets, h - r, w - 2r]
    let stride = [STRIDE, STRIDE];
    let pooled = pad_to_cells(scores).avg_pool2d(stride, stride, [0, 0], false, true, None); // [1, 1 + k, h, w]
    let walked = random_walk(&affinities, grid, radius, walk, &floats(&pooled)); // [1 + k, h, w]
    let walked = Tensor::from_slice(&walked).view([1, -1, h, w]);
    let full = upsample(&walked, [h * STRIDE, w * STRIDE]); // [1, 1 + k, 8 h, 8 w]
    full.narrow(2, 0, height).narrow(3, 0, width)
}

/// Zeros below and to the right, so that both sides are multiples of 8.
///
/// # Shapes
/// `[1, C, H, W]` to `[1, C, 8 ceil(H / 8), 8 ceil(W / 8)]`.
fn pad_to_cells(x: &Tensor) -> Tensor {
    let (_, _, h, w) = x.size4().expect("maps are [1, C, H, W]");
    let missing = |side: i64| (STRIDE - side % STRIDE) % STRIDE;
    x.constant_pad_nd([0, missing(w), 0, missing(h)])
}
