//! `DeepLab`'s training loss and multi-scale inference (METHOD.md, section 7).

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::cam::{scaled_side, upsample};
use super::flip::Flip;
use crate::model::{DeepLab, Mode};
use crate::ranks;

/// Label that no loss looks at.
const IGNORED: i64 = 255;

/// Which logits are compared with the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogitLosses {
    /// Those of the crop.
    Single,
    /// Those at scales 1, 0.75 and 0.5 and their pixel-wise maximum.
    Multi,
}

/// Mean cross-entropy over the labelled pixels, summed over the logits that [`LogitLosses`] names.
///
/// # Shapes
/// `images [B, 3, H, W]`, `labels [B, H, W]` of class ids with 255 to be ignored; to a scalar.
///
/// # Deviations
/// Labels stay at full size and logits are upsampled to them; the original shrinks the labels.
pub fn segmentation_loss(net: &DeepLab, images: &Tensor, labels: &Tensor, losses: LogitLosses) -> Tensor {
    let (_, _, h, w) = images.size4().expect("images are [B, 3, H, W]");
    let scales: &[f64] = if losses == LogitLosses::Multi { &[1.0, 0.75, 0.5] } else { &[1.0] };
    let mut logits: Vec<Tensor> = scales.iter().map(|scale| logits_at(net, images, *scale, Mode::Train)).collect();
    if losses == LogitLosses::Multi {
        let largest = logits[1..].iter().fold(logits[0].shallow_clone(), |a, b| a.maximum(b));
        logits.push(largest); // [B, K + 1, H, W] each
    }
    let labelled = ranks::divisor(&labels.ne(IGNORED).sum(Kind::Float), |pixels| pixels.clamp_min(1.0));
    let cross_entropy = |logits: &Tensor| {
        let sum = logits.cross_entropy_loss::<Tensor>(labels, None, tch::Reduction::Sum, IGNORED, 0.0);
        // A mean that stays finite when a batch happens to have no labelled pixel.
        sum / &labelled
    };
    debug_assert_eq!(logits[0].size()[2..], [h, w]);
    logits.iter().map(cross_entropy).sum()
}

/// The mean of the softmaxes over scales and flips: class probabilities in the image's size.
///
/// # Shapes
/// `image [1, 3, H, W]`; to `[K + 1, H, W]`.
pub fn probabilities(net: &DeepLab, image: &Tensor, scales: &[f64], flip: Flip) -> Tensor {
    let views = flip.views(image); // [1 or 2, 3, H, W]
    let softmaxes = scales.iter().map(|scale| {
        let softmax = logits_at(net, &views, *scale, Mode::Eval).softmax(1, Kind::Float); // [1 or 2, K + 1, H, W]
        flip.mirrored_back(&softmax).iter().sum::<Tensor>() // [K + 1, H, W]
    });
    let looks = scales.len() as f64 * views.size()[0] as f64;
    softmaxes.sum::<Tensor>() / looks
}

/// Logits in the size of `images`, computed at another scale. `[B, 3, H, W]` to `[B, K + 1, H, W]`.
fn logits_at(net: &DeepLab, images: &Tensor, scale: f64, mode: Mode) -> Tensor {
    let (_, _, h, w) = images.size4().expect("images are [B, 3, H, W]");
    let size = [h, w].map(|side| scaled_side(side, scale));
    let scaled = if size == [h, w] { images.shallow_clone() } else { upsample(images, size) };
    upsample(&net.forward(&scaled, mode), [h, w])
}
