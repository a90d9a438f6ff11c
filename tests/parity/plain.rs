//! Eqs. 3 to 5 as the paper prints them, on features at the image's grid `[B, D, H, W]`: what the crate computes at
//! stride 8 must agree with these.

use tch::{Kind, Reduction, Tensor};
use wsss::method::terms::rcm::RcmForm;

const LENGTH_EPS: f64 = 1e-6;
const IGNORED: i64 = -100;

fn normalize(x: &Tensor) -> Tensor {
    x / x.norm_scalaropt_dim(2.0, [1].as_slice(), true).clamp_min(LENGTH_EPS)
}

/// The vectors of one batch, `[K + 1, D]`, and which classes have one, `[K + 1]`. Eq. 3, the mean over pixels, then
/// images.
pub fn prototypes(features: &Tensor, regions: &Tensor, valid: &Tensor, classes: i64) -> (Tensor, Tensor) {
    let ids = Tensor::arange(classes + 1, (Kind::Int64, regions.device())).reshape([1, -1, 1, 1]);
    let masks = regions.unsqueeze(1).eq_tensor(&ids).logical_and(&valid.unsqueeze(1)).to_kind(Kind::Float);
    let sums = masks.flatten(2, 3).bmm(&features.flatten(2, 3).transpose(1, 2)); // [B, K + 1, D]
    let pixels = masks.sum_dim_intlist([2, 3].as_slice(), false, Kind::Float).unsqueeze(-1); // [B, K + 1, 1]
    let images = pixels.gt(0.0).sum_dim_intlist([0].as_slice(), false, Kind::Float); // [K + 1, 1]
    let means = (sums / pixels.clamp_min(1.0)).sum_dim_intlist([0].as_slice(), false, Kind::Float); // [K + 1, D]
    (means / images.clamp_min(1.0), images.squeeze_dim(1).gt(0.0))
}

/// The loss of one batch. Eqs. 4 and 5.
pub fn contrastive_loss(
    features: &Tensor,
    (table, seen): (&Tensor, &Tensor),
    regions: &Tensor,
    valid: &Tensor,
    form: RcmForm,
    temperature: f64,
) -> Tensor {
    let kernels = normalize(table).unsqueeze(-1).unsqueeze(-1);
    let products = normalize(features).conv2d::<Tensor>(&kernels, None, [1, 1], [0, 0], [1, 1], 1); // [B, K + 1, H, W]
    let unseen = seen.logical_not().reshape([1, -1, 1, 1]);
    let logits = (products / temperature).masked_fill(&unseen, f64::NEG_INFINITY);
    let pixels = valid.sum(Kind::Float).clamp_min(1.0);
    match form {
        RcmForm::InfoNce => {
            let targets = regions.masked_fill(&valid.logical_not(), IGNORED);
            logits.cross_entropy_loss::<Tensor>(&targets, None, Reduction::Sum, IGNORED, 0.0) / pixels
        }
        RcmForm::Printed => {
            let ratio = logits.softmax(1, Kind::Float).gather(1, &regions.unsqueeze(1), false).squeeze_dim(1);
            -(ratio * valid).sum(Kind::Float) / pixels
        }
    }
}
