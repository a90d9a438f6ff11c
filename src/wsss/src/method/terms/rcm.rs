//! The Regional Contrastive Module (section 3.2): region masks, prototypes of classes, and the contrastive loss. Eqs.
//! 1-5.
//!
//! Features stay at stride 8: a pixel's feature is the upsampled one, and what Eqs. 3 to 5 need of it is computed
//! without it (see [`super::super::interpolation`]), exactly.

use artifact::ParamError;
use serde::{Deserialize, Serialize};
use stage::Unused;
use tch::{Device, Kind, Reduction, Tensor};

use super::direct::direct_loss;
use crate::method::cam::msinf;
use crate::method::interpolation::Interpolation;
use crate::method::term::{Site, Term};
use crate::method::views::Views;
use crate::ranks;

/// Keeps the division by a vector's length finite.
const LENGTH_EPS: f64 = 1e-6;
/// The label that `cross_entropy_loss` leaves out.
const IGNORED: i64 = -100;

/// The term's table in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RcmParams {
    /// What an msinf-CAM score must exceed to be a region, Eq. (1).
    pub threshold: f64,
    /// T of Eq. (5).
    pub temperature: f64,
    /// How Eq. (5) is read.
    pub form: RcmForm,
    /// What the masks supervise.
    pub supervision: Supervision,
    /// How many latest vectors of a class a prototype averages.
    pub memory: usize,
}

/// How region masks supervise `MainNet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supervision {
    /// Features against prototypes: the paper.
    Contrastive,
    /// CAMs against masks: an ablation of Table 2.
    Direct,
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

/// The term `rcm`.
#[derive(Debug)]
pub struct Rcm {
    params: RcmParams,
    prototypes: Prototypes,
}

impl Term for Rcm {
    const NAME: &'static str = "rcm";
    const SUPPORT: bool = true;
    type Params = RcmParams;

    fn check(params: &RcmParams) -> Result<(), ParamError> {
        if !(0.0..1.0).contains(&params.threshold) {
            return Err(ParamError::new("threshold", format!("{} is out of range: from 0 to 1", params.threshold)));
        }
        if !(params.temperature > 0.0 && params.temperature.is_finite()) {
            let reason = format!("{} is out of range: more than 0", params.temperature);
            return Err(ParamError::new("temperature", reason));
        }
        if !(1..=1000).contains(&params.memory) {
            return Err(ParamError::new("memory", format!("{} is out of range: from 1 to 1000", params.memory)));
        }
        Ok(())
    }

    fn unused() -> Vec<Unused> {
        vec![Unused::while_is("supervision", [Supervision::Direct], &["temperature", "form", "memory"])]
    }

    fn new(params: RcmParams, site: &Site<'_>) -> Self {
        Self { params, prototypes: Prototypes::new(site.classes, site.features, params.memory, site.device) }
    }

    /// # Deviations
    /// Padding is left out of prototypes as well as of the loss.
    fn loss(&mut self, views: &Views<'_>) -> Tensor {
        let RcmParams { threshold, temperature, form, supervision, .. } = self.params;
        let msinf = tch::no_grad(|| msinf(&views.support_cams(), views.labels())); // [B, K, H, W]
        let regions = region_masks(&msinf, threshold); // [B, H, W]
        match supervision {
            Supervision::Contrastive => {
                self.prototypes.update(&views.support(1.0).feature, &regions, views.valid()); // table [K + 1, D]
                let similarity = similarity(&views.main(1.0).feature, &self.prototypes, views.size(), temperature);
                contrastive_loss(&similarity, &regions, views.valid(), form)
            }
            Supervision::Direct => direct_loss(&views.main_cam(1.0), views.labels(), &regions, views.valid()),
        }
    }

    fn state(&self) -> Vec<(&'static str, Tensor)> {
        self.prototypes.tensors().into()
    }
}

/// Which class each pixel belongs to: the class of the largest score where it exceeds `threshold`, else background.
/// Eqs. (1) and (2).
///
/// # Shapes
/// `msinf [B, K, H, W]` to class ids `[B, H, W]`.
pub fn region_masks(msinf: &Tensor, threshold: f64) -> Tensor {
    let (score, class) = msinf.max_dim(1, false); // [B, H, W] both
    (class + 1) * score.gt(threshold).to_kind(Kind::Int64)
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
        let table = self.table();
        &table / table.norm_scalaropt_dim(2.0, [1].as_slice(), true).clamp_min(LENGTH_EPS)
    }

    /// The mean feature of each class's region in each image, then over the images that show it. Eq. (3).
    ///
    /// # Shapes
    /// `features [B, D, h, w]` of `SupportNet`, `regions [B, H, W]` of class ids, `valid [B, H, W]` bool.
    ///
    /// # Deviations
    /// Eq. (3) prints the sum over pixels; the mean has the same direction and makes images count alike. Padding, where
    /// `valid` is false, belongs to no region. Masks are pulled down to stride 8 by the adjoint of upsampling.
    pub fn update(&mut self, features: &Tensor, regions: &Tensor, valid: &Tensor) {
        tch::no_grad(|| {
            let masks = self.one_hot(regions, valid); // [B, K + 1, H, W]
            let (_, height, width) = regions.size3().expect("regions are [B, H, W]");
            let weights = interpolation(features, [height, width]).down(&masks); // [B, K + 1, h, w]
            let sums = weights.flatten(2, 3).bmm(&features.flatten(2, 3).transpose(1, 2)); // [B, K + 1, D]
            self.remember(&sums, &masks);
        });
    }

    /// What a checkpoint keeps: the table's own memory, which updates change in place.
    pub fn tensors(&self) -> [(&'static str, Tensor); 2] {
        [("recent", self.recent.shallow_clone()), ("filled", self.filled.shallow_clone())]
    }

    fn one_hot(&self, regions: &Tensor, valid: &Tensor) -> Tensor {
        let classes = Tensor::arange(self.filled.size()[0], (Kind::Int64, regions.device()));
        let masks = regions.unsqueeze(1).eq_tensor(&classes.reshape([1, -1, 1, 1])); // [B, K + 1, H, W]
        masks.logical_and(&valid.unsqueeze(1)).to_kind(Kind::Float)
    }

    /// `sums [B, K + 1, D]` of the features inside `masks [B, K + 1, H, W]`.
    fn remember(&mut self, sums: &Tensor, masks: &Tensor) {
        let pixels = masks.sum_dim_intlist([2, 3].as_slice(), false, Kind::Float).unsqueeze(-1); // [B, K + 1, 1]
        let images = pixels.gt(0.0).sum_dim_intlist([0].as_slice(), false, Kind::Float); // [K + 1, 1]
        let means = sums / pixels.clamp_min(1.0); // [B, K + 1, D]
        let images = ranks::sum(&images);
        let sum = ranks::sum(&means.sum_dim_intlist([0].as_slice(), true, Kind::Float)); // [1, K + 1, D]
        let newest = sum / images.clamp_min(1.0); // [1, K + 1, D]
        let memory = self.recent.size()[0];
        let shifted = Tensor::cat(&[newest, self.recent.narrow(0, 0, memory - 1)], 0); // [memory, K + 1, D]
        let present = images.gt(0.0); // [K + 1, 1]
        let recent = shifted.where_self(&present.unsqueeze(0), &self.recent);
        let filled = (&self.filled + present.squeeze_dim(1).to_kind(Kind::Int64)).clamp_max(memory);
        self.recent.copy_(&recent);
        self.filled.copy_(&filled);
    }
}

/// How alike each pixel's feature and each prototype are: the logarithm of sim(X, pt / T), which is their cosine over
/// T. Minus infinity for a class never seen. Eq. (4).
///
/// # Shapes
/// `features [B, D, h, w]` of `MainNet` to `[B, K + 1, H, W]`, with `size` = `[H, W]`.
pub fn similarity(features: &Tensor, prototypes: &Prototypes, size: [i64; 2], temperature: f64) -> Tensor {
    let img_from_feat = interpolation(features, size);
    let products = img_from_feat.up(&project(features, &prototypes.normalized())); // [B, K + 1, H, W]
    let lengths = img_from_feat.squared_norm(features).clamp_min(LENGTH_EPS * LENGTH_EPS).sqrt(); // [B, 1, H, W]
    let unseen = prototypes.seen().logical_not().reshape([1, -1, 1, 1]);
    (products / (lengths * temperature)).masked_fill(&unseen, f64::NEG_INFINITY)
}

/// Draws each pixel to the prototype of its region and away from the others, mean over pixels. Eq. (5).
///
/// # Shapes
/// `similarity [B, K + 1, H, W]` as of Eq. (4), `regions [B, H, W]` of class ids, `valid [B, H, W]` bool; to a scalar.
///
/// # Deviations
/// [`RcmForm`] says whether there is a logarithm. Padding, where `valid` is false, is left out of the mean.
pub fn contrastive_loss(similarity: &Tensor, regions: &Tensor, valid: &Tensor, form: RcmForm) -> Tensor {
    let pixels = ranks::divisor(&valid.sum(Kind::Float), |pixels| pixels.clamp_min(1.0));
    match form {
        RcmForm::InfoNce => {
            let targets = regions.masked_fill(&valid.logical_not(), IGNORED);
            similarity.cross_entropy_loss::<Tensor>(&targets, None, Reduction::Sum, IGNORED, 0.0) / pixels
        }
        RcmForm::Printed => {
            let ratio = similarity.softmax(1, Kind::Float).gather(1, &regions.unsqueeze(1), false); // [B, 1, H, W]
            -(ratio.squeeze_dim(1) * valid).sum(Kind::Float) / pixels
        }
    }
}

/// `features [B, D, h, w]` on `prototypes [K + 1, D]`: `[B, K + 1, h, w]`.
fn project(features: &Tensor, prototypes: &Tensor) -> Tensor {
    features.conv2d::<Tensor>(&prototypes.unsqueeze(-1).unsqueeze(-1), None, [1, 1], [0, 0], [1, 1], 1)
}

/// From the grid of `features [B, D, h, w]` to that of the image.
fn interpolation(features: &Tensor, size: [i64; 2]) -> Interpolation {
    let (_, _, h, w) = features.size4().expect("features are [B, D, h, w]");
    Interpolation::new([h, w], size, features.device())
}
