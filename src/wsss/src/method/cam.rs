//! Class activation maps: scales, upsampling, normalisation, msinf-CAM.

use tch::{Kind, Tensor};

use crate::ranks;

/// Keeps the division by a map's maximum finite.
const MAXIMUM_EPS: f64 = 1e-5;

/// Upsamples maps to the image's grid: bilinear, corners not aligned.
///
/// # Shapes
/// `cam_feat [B, C, h, w]` to `[B, C, H, W]`.
pub fn upsample(cam_feat: &Tensor, size: [i64; 2]) -> Tensor {
    cam_feat.upsample_bilinear2d(size, false, None, None)
}

/// Resizes images by `scale`: bilinear, corners aligned, sizes rounded. Scale 1 is the image itself.
///
/// # Shapes
/// `images [B, 3, H, W]` to `[B, 3, scale H, scale W]`.
pub fn image_scales(images: &Tensor, scale: f64) -> Tensor {
    let (_, _, h, w) = images.size4().expect("images are [B, 3, H, W]");
    let size = [h, w].map(|side| scaled_side(side, scale));
    if size == [h, w] { images.shallow_clone() } else { images.upsample_bilinear2d(size, true, None, None) }
}

/// The pixels of a side resized by `scale`: rounded, at least one.
pub(super) fn scaled_side(pixels: i64, scale: f64) -> i64 {
    ((pixels as f64 * scale).round() as i64).max(1)
}

/// `ReLU` and zero for the classes an image does not show.
///
/// # Shapes
/// `cam [B, K, H, W]`, `labels [B, K]` of 0 and 1.
pub fn activate(cam: &Tensor, labels: &Tensor) -> Tensor {
    cam.relu() * labels.unsqueeze(-1).unsqueeze(-1)
}

/// [`activate`], then each map divided by (its maximum + 1e-5). Gradients flow through the maximum.
///
/// # Shapes
/// `cam [B, K, H, W]`, `labels [B, K]` of 0 and 1; the result is in 0..1.
pub fn normalize_by_max(cam: &Tensor, labels: &Tensor) -> Tensor {
    divide_by_max(&activate(cam, labels))
}

/// Each map divided by (its maximum + 1e-5).
///
/// # Shapes
/// `cam [.., H, W]`, not negative, to the same in 0..1.
pub fn divide_by_max(cam: &Tensor) -> Tensor {
    let largest = cam.amax([-2, -1].as_slice(), true); // [.., 1, 1]; ties share the gradient
    cam / (largest + MAXIMUM_EPS)
}

/// The multi-scale inferred CAM of training (paper, section 3.3; METHOD.md, section 2): the mean of the scales'
/// activations, label-masked, divided by its maximum.
///
/// # Shapes
/// `cams`: one raw `[B, K, H, W]` a scale, already upsampled; `labels [B, K]` of 0 and 1.
///
/// [`super::extraction::extract_msinf`] is that of whole photographs at inference; both divide by [`divide_by_max`].
/// How they differ is said in METHOD.md, section 3.
pub fn msinf(cams: &[Tensor], labels: &Tensor) -> Tensor {
    let activated: Vec<Tensor> = cams.iter().map(Tensor::relu).collect();
    let mean = activated.iter().sum::<Tensor>() / cams.len() as f64; // [B, K, H, W]
    normalize_by_max(&mean, labels)
}

/// Background score of maps in 0..1: (1 - the largest)^alpha.
///
/// # Shapes
/// `cam [B, K, H, W]` to `[B, 1, H, W]`.
pub fn background(cam: &Tensor, alpha: f64) -> Tensor {
    (cam.amax([1].as_slice(), true).neg() + 1.0).clamp_min(0.0).pow_tensor_scalar(alpha)
}

/// How many (image, class) labels a batch has, a scalar tensor of at least 1; of several processes, their mean.
pub(super) fn label_count(labels: &Tensor) -> Tensor {
    ranks::divisor(&labels.sum(Kind::Float), |labels| labels.clamp_min(1.0))
}
