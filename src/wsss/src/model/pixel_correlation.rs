//! The pixel correlation module of SEAM (Wang et al., CVPR 2020, section 3.3): every pixel of a CAM takes from the
//! pixels that look like it. Its features learn from the losses on the refined map; nothing flows back into the
//! network.

use tch::nn::{self, Init};
use tch::{Kind, Tensor, nn::init};

use super::CamOutput;
use super::layer::{Conv, ConvSpec, xavier_uniform};
use super::map::FeatureMap as _;

/// Keeps divisions finite.
const EPS: f64 = 1e-5;
/// Gain of the last layer's initial weights.
const LAST_GAIN: f64 = 4.0;

/// The module; its layers are `f8_3`, `f8_4` and `f9`, the names that the original code gave them.
#[derive(Debug)]
pub struct PixelCorrelation {
    low: Conv,
    high: Conv,
    joined: Conv,
}

impl PixelCorrelation {
    /// Creates the layers below `path`, for `taps` channels of conv4 and conv5, of which `taken` are made (64 and 128
    /// in the paper).
    pub fn new(path: &nn::Path, taps: [i64; 2], taken: [i64; 2]) -> Self {
        let kaiming = Init::Kaiming {
            dist: init::NormalOrUniform::Normal,
            fan: init::FanInOut::FanIn,
            non_linearity: init::NonLinearity::ReLU,
        };
        let head = |name: &str, tap: usize| {
            Conv::new(path / name, ConvSpec { init: kaiming, ..ConvSpec::pointwise(taps[tap], taken[tap]) })
        };
        let (low, high) = (head("f8_3", 0), head("f8_4", 1));
        let (from, to) = (3 + taken[0] + taken[1], taken[0] + taken[1]);
        let last = ConvSpec { init: xavier_uniform(from, to, LAST_GAIN), ..ConvSpec::pointwise(from, to) };
        Self { low, high, joined: Conv::new(path / "f9", last) }
    }

    /// The refined map of the background and every class, at stride 8.
    ///
    /// # Shapes
    /// `seen`: what the network makes of `images [B, 3, H, W]`; to `[B, K + 1, h, w]`.
    pub fn refine(&self, seen: &CamOutput, images: &Tensor) -> Tensor {
        let (_, _, h, w) = seen.cam.size4().expect("CAMs are [B, K, h, w]");
        let scores = normalized_scores(&seen.cam).flatten(2, 3); // [B, K + 1, N], N = h w
        let likeness = affinity(&self.embedding(seen, images, [h, w])); // [B, N, N]
        scores.matmul(&likeness).unflatten(2, [h, w])
    }

    /// A vector of length one for every pixel, `[B, C, N]`.
    fn embedding(&self, seen: &CamOutput, images: &Tensor, grid: [i64; 2]) -> Tensor {
        let low = self.low.forward(&resize(&seen.conv4.detach().leave(), grid)).relu(); // [B, C1, h, w]
        let high = self.high.forward(&resize(&seen.conv5.detach().leave(), grid)).relu(); // [B, C2, h, w]
        let joined = Tensor::cat(&[resize(images, grid), low, high], 1); // [B, 3 + C1 + C2, h, w]
        let joined = self.joined.forward(&joined).flatten(2, 3); // [B, C, N]
        let length = joined.norm_scalaropt_dim(2.0, [1].as_slice(), true); // [B, 1, N]
        joined / (length + EPS)
    }
}

/// Cosines of all pairs of pixels, those below zero set to zero, each column divided by its sum.
///
/// # Shapes
/// `embedding [B, C, N]` of length one to `[B, N, N]`.
fn affinity(embedding: &Tensor) -> Tensor {
    let cosine = embedding.transpose(1, 2).matmul(embedding).relu(); // [B, N, N]
    let sum = cosine.sum_dim_intlist([1].as_slice(), true, Kind::Float); // [B, 1, N]
    cosine / (sum + EPS)
}

/// What is refined: the background, and of the classes the strongest of each pixel. Without gradient.
///
/// # Shapes
/// `cam [B, K, h, w]` raw, to `[B, K + 1, h, w]` in 0..1.
pub fn normalized_scores(cam: &Tensor) -> Tensor {
    tch::no_grad(|| {
        let cam = cam.relu();
        let share = (&cam - EPS).relu() / (cam.amax([2, 3].as_slice(), true) + EPS); // [B, K, h, w]
        with_background(&share)
    })
}

/// The background, 1 - the largest class, before the classes, of which each pixel keeps the largest alone.
///
/// # Shapes
/// `[B, K, H, W]` in 0..1 to `[B, K + 1, H, W]`.
pub fn with_background(classes: &Tensor) -> Tensor {
    let largest = classes.amax([1].as_slice(), true); // [B, 1, H, W]
    let kept = classes * classes.eq_tensor(&largest);
    Tensor::cat(&[-largest + 1.0, kept], 1)
}

/// Bilinear, corners aligned, as the original code resizes everything.
///
/// # Shapes
/// `[B, C, h, w]` to `[B, C, size]`.
pub fn resize(x: &Tensor, size: [i64; 2]) -> Tensor {
    x.upsample_bilinear2d(size, true, None, None)
}
