//! The ablation of Table 2 in which region masks supervise `MainNet`'s CAMs themselves.

use tch::{Kind, Reduction, Tensor};

use crate::method::cam::{background, normalize_by_max};
use crate::ranks;

/// The label that `cross_entropy_loss` leaves out.
const IGNORED: i64 = -100;

/// Pixel-wise cross-entropy of (1 - largest, maps divided by their maximum) against the region masks.
///
/// # Shapes
/// `cam [B, K, H, W]` raw and upsampled, `labels [B, K]`, `regions [B, H, W]` of class ids, `valid [B, H, W]` bool;
/// to a scalar.
///
/// # Deviations
/// The paper does not print this loss. The scores, all in 0..1, are the logits of a softmax: the gradient stays bounded
/// where a score is 0.
pub fn direct_loss(cam: &Tensor, labels: &Tensor, regions: &Tensor, valid: &Tensor) -> Tensor {
    let foreground = normalize_by_max(cam, labels); // [B, K, H, W]
    let scores = Tensor::cat(&[background(&foreground, 1.0), foreground], 1); // [B, K + 1, H, W]
    let targets = regions.masked_fill(&valid.logical_not(), IGNORED);
    let summed = scores.cross_entropy_loss::<Tensor>(&targets, None, Reduction::Sum, IGNORED, 0.0);
    summed / ranks::divisor(&valid.sum(Kind::Float), |pixels| pixels.clamp_min(1.0))
}
