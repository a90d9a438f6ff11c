//! The Regional Contrastive Module: region masks, prototypes of classes, and the contrastive loss. Eqs. 1-5.
//!
//! Each of Eqs. 3-5 stands here twice: plainly, on features at the image's grid, and compactly, on features at stride 8
//! (see [`super::interpolation`]). The two agree but for rounding; training uses the compact form.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Reduction, Tensor};

use super::interpolation::Interpolation;

/// Keeps the division by a vector's length finite.
const LENGTH_EPS: f64 = 1e-6;
/// The label that `cross_entropy_loss` leaves out.
const IGNORED: i64 = -100;

/// Which class each pixel belongs to: the class of the largest score where it exceeds `threshold`, else background.
/// Eqs. (1) and (2).
///
/// # Shapes
/// `msinf [B, K, H, W]` to class ids `[B, H, W]`.
pub fn region_masks(msinf: &Tensor, threshold: f64) -> Tensor {
    let (score, class) = msinf.max_dim(1, false); // [B, H, W] both
    (class + 1) * score.gt(threshold).to_kind(Kind::Int64)
}

/// How Eq. (5) is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RcmForm {
    /// With the logarithm: the cross-entropy of the softmax over prototypes.
    #[serde(rename = "infonce")]
    InfoNce,
    /// As printed: the softmax itself, negated.
    #[serde(rename = "printed")]
    Printed,
}

/// The latest prototypes of the background and every class. Eq. (3) with its memory.
#[derive(Debug)]
pub struct Prototypes {
    /// The latest vectors, newest first, `[memory, K + 1, D]`; slots not yet filled are zero.
    recent: Tensor,
    /// How many slots of each class are filled, `[K + 1]`.
    filled: Tensor,
}

impl Prototypes {
    /// Nothing seen yet; `memory` is how many of the latest vectors of a class are averaged.
    pub fn new(classes: i64, dim: i64, memory: usize, device: Device) -> Self {
        let shape = [memory.max(1) as i64, classes + 1, dim];
        let filled = Tensor::zeros([classes + 1], (Kind::Int64, device));
        Self { recent: Tensor::zeros(shape, (Kind::Float, device)), filled }
    }

    /// The mean of each class's latest vectors, `[K + 1, D]`; zero for a class never seen.
    pub fn table(&self) -> Tensor {
        let sum = self.recent.sum_dim_intlist([0].as_slice(), false, Kind::Float); // [K + 1, D]
        sum / self.filled.clamp_min(1).unsqueeze(1)
    }

    /// Which classes have had a region, bool `[K + 1]`.
    pub fn seen(&self) -> Tensor {
        self.filled.gt(0)
    }

    /// [`Prototypes::table`] with rows of length one.
    pub fn normalized(&self) -> Tensor {
        normalize(&self.table(), 1)
    }

    /// The mean feature of each class's region in each image, then over the images that show it. Eq. (3).
    ///
    /// # Shapes
    /// `features [B, D, H, W]`, `regions [B, H, W]` of class ids, `valid [B, H, W]` bool.
    ///
    /// # Deviations
    /// Eq. (3) prints the sum over pixels; the mean has the same direction and makes images count alike. Padding, where
    /// `valid` is false, belongs to no region.
    pub fn update(&mut self, features: &Tensor, regions: &Tensor, valid: Option<&Tensor>) {
        tch::no_grad(|| {
            let masks = self.one_hot(regions, valid); // [B, K + 1, H, W]
            let sums = masks.flatten(2, 3).bmm(&features.flatten(2, 3).transpose(1, 2)); // [B, K + 1, D]
            self.remember(&sums, &masks);
        });
    }

    /// [`Prototypes::update`] on features at stride 8: the masks are pulled down by the adjoint of upsampling.
    ///
    /// # Shapes
    /// `features [B, D, h, w]`, `regions [B, H, W]` of class ids, `valid [B, H, W]` bool.
    pub fn update_compact(&mut self, features: &Tensor, regions: &Tensor, valid: Option<&Tensor>) {
        tch::no_grad(|| {
            let masks = self.one_hot(regions, valid); // [B, K + 1, H, W]
            let weights = interpolation(features, regions).down(&masks); // [B, K + 1, h, w]
            let sums = weights.flatten(2, 3).bmm(&features.flatten(2, 3).transpose(1, 2)); // [B, K + 1, D]
            self.remember(&sums, &masks);
        });
    }

    /// What a checkpoint keeps: the table's own memory, which updates change in place.
    pub fn tensors(&self) -> [(&'static str, Tensor); 2] {
        [("recent", self.recent.shallow_clone()), ("filled", self.filled.shallow_clone())]
    }

    fn one_hot(&self, regions: &Tensor, valid: Option<&Tensor>) -> Tensor {
        let classes = Tensor::arange(self.filled.size()[0], (Kind::Int64, regions.device()));
        let mut masks = regions.unsqueeze(1).eq_tensor(&classes.reshape([1, -1, 1, 1])); // [B, K + 1, H, W]
        if let Some(valid) = valid {
            masks = masks.logical_and(&valid.unsqueeze(1));
        }
        masks.to_kind(Kind::Float)
    }

    /// `sums [B, K + 1, D]` of the features inside `masks [B, K + 1, H, W]`.
    fn remember(&mut self, sums: &Tensor, masks: &Tensor) {
        let pixels = masks.sum_dim_intlist([2, 3].as_slice(), false, Kind::Float).unsqueeze(-1); // [B, K + 1, 1]
        let images = pixels.gt(0.0).sum_dim_intlist([0].as_slice(), false, Kind::Float); // [K + 1, 1]
        let means = sums / pixels.clamp_min(1.0); // [B, K + 1, D]
        let newest = means.sum_dim_intlist([0].as_slice(), true, Kind::Float) / images.clamp_min(1.0); // [1, K + 1, D]
        let memory = self.recent.size()[0];
        let shifted = Tensor::cat(&[newest, self.recent.narrow(0, 0, memory - 1)], 0); // [memory, K + 1, D]
        let present = images.gt(0.0); // [K + 1, 1]
        let recent = shifted.where_self(&present.unsqueeze(0), &self.recent);
        let filled = (&self.filled + present.squeeze_dim(1).to_kind(Kind::Int64)).clamp_max(memory);
        self.recent.copy_(&recent);
        self.filled.copy_(&filled);
    }
}

/// Draws each pixel's feature to its class's prototype and away from the others, mean over pixels. Eqs. (4) and (5).
///
/// # Shapes
/// `features [B, D, H, W]`, `regions [B, H, W]` of class ids, `valid [B, H, W]` bool; the result is a scalar.
///
/// # Deviations
/// Padding, where `valid` is false, is left out of the mean. A class never seen is left out of the softmax.
pub fn rcm_loss(
    features: &Tensor,
    prototypes: &Prototypes,
    regions: &Tensor,
    valid: Option<&Tensor>,
    form: RcmForm,
    temperature: f64,
) -> Tensor {
    let products = project(&normalize(features, 1), &prototypes.normalized()); // [B, K + 1, H, W]
    contrast(&(products / temperature), &prototypes.seen(), regions, valid, form)
}

/// [`rcm_loss`] on features at stride 8, of which the pixels' features are the upsampled ones. Eqs. (4) and (5).
///
/// # Shapes
/// `features [B, D, h, w]`, `regions [B, H, W]` of class ids, `valid [B, H, W]` bool; the result is a scalar.
pub fn rcm_loss_compact(
    features: &Tensor,
    prototypes: &Prototypes,
    regions: &Tensor,
    valid: Option<&Tensor>,
    form: RcmForm,
    temperature: f64,
) -> Tensor {
    let img_from_feat = interpolation(features, regions);
    let products = img_from_feat.up(&project(features, &prototypes.normalized())); // [B, K + 1, H, W]
    let lengths = img_from_feat.squared_norm(features).clamp_min(LENGTH_EPS * LENGTH_EPS).sqrt(); // [B, 1, H, W]
    contrast(&(products / (lengths * temperature)), &prototypes.seen(), regions, valid, form)
}

/// Eq. (5) on logits `[B, K + 1, H, W]`.
fn contrast(logits: &Tensor, seen: &Tensor, regions: &Tensor, valid: Option<&Tensor>, form: RcmForm) -> Tensor {
    let unseen = seen.logical_not().reshape([1, -1, 1, 1]);
    let logits = logits.masked_fill(&unseen, f64::NEG_INFINITY); // [B, K + 1, H, W]
    match form {
        RcmForm::InfoNce => {
            let (targets, pixels) = match valid {
                None => (regions.shallow_clone(), Tensor::from(regions.numel() as f32)),
                Some(valid) => {
                    (regions.masked_fill(&valid.logical_not(), IGNORED), valid.sum(Kind::Float).clamp_min(1.0))
                }
            };
            let summed = logits.cross_entropy_loss::<Tensor>(&targets, None, Reduction::Sum, IGNORED, 0.0);
            summed / pixels.to_device(logits.device())
        }
        RcmForm::Printed => {
            let ratio = logits.softmax(1, Kind::Float).gather(1, &regions.unsqueeze(1), false).squeeze_dim(1); // [B, H, W]
            match valid {
                None => -ratio.mean(Kind::Float),
                Some(valid) => -(ratio * valid).sum(Kind::Float) / valid.sum(Kind::Float).clamp_min(1.0),
            }
        }
    }
}

/// `features [B, D, h, w]` on `prototypes [K + 1, D]`: `[B, K + 1, h, w]`.
fn project(features: &Tensor, prototypes: &Tensor) -> Tensor {
    features.conv2d::<Tensor>(&prototypes.unsqueeze(-1).unsqueeze(-1), None, [1, 1], [0, 0], [1, 1], 1)
}

fn normalize(x: &Tensor, dim: i64) -> Tensor {
    x / x.norm_scalaropt_dim(2.0, [dim].as_slice(), true).clamp_min(LENGTH_EPS)
}

fn interpolation(features: &Tensor, regions: &Tensor) -> Interpolation {
    let (_, _, h, w) = features.size4().expect("features are [B, D, h, w]");
    let (_, height, width) = regions.size3().expect("regions are [B, H, W]");
    Interpolation::new([h, w], [height, width], features.device())
}
