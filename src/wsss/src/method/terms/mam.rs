//! The Multi-scale Attentive Module (section 3.3): `MainNet`'s maps learn from `SupportNet`'s, the more so where they
//! differ. Eqs. 6-8.

use artifact::ParamError;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::method::cam::{activate, label_count, normalize_by_max};
use crate::method::term::{Site, Term};
use crate::method::views::Views;

/// Keeps the division by a map's length finite; the cosine of an absent class is 0.
const LENGTH_EPS: f64 = 1e-8;

/// How the scales of the target are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Single-scale module: the middle scale of `MainNet` alone learns from the plain mean.
    Smm,
    /// Multi-scale module: every scale learns from the plain mean.
    Mmm,
    /// Multi-scale attentive module: every scale learns from the mean weighted by cosine distance.
    Mam,
}

/// Over what the loss is a mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Over images, classes and pixels.
    All,
    /// Over pixels, and over the (image, class) labels: `All` times B K / labels.
    Labels,
}

/// The term's table in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MamParams {
    /// How the scales of the target are weighted: the rows SMM, MMM and MAM of Table 1.
    pub attention: Attention,
    /// Maps divided by their maximum; otherwise raw after `ReLU`.
    pub normalize: bool,
    /// Over what the loss is a mean.
    pub reduction: Reduction,
}

/// The term `mam`.
#[derive(Debug)]
pub struct Mam(MamParams);

impl Term for Mam {
    const NAME: &'static str = "mam";
    const SUPPORT: bool = true;
    type Params = MamParams;

    fn check(_params: &MamParams) -> Result<(), ParamError> {
        Ok(())
    }

    fn new(params: MamParams, _site: &Site<'_>) -> Self {
        Self(params)
    }

    fn loss(&mut self, views: &Views<'_>) -> Tensor {
        scale_loss(&views.main_cam(1.0), &views.support_cams(), views.labels(), &self.0)
    }

    fn loss_at(&mut self, views: &Views<'_>, scale: f64) -> Option<Tensor> {
        let loss = || scale_loss(&views.main_cam(scale), &views.support_cams(), views.labels(), &self.0);
        (self.0.attention != Attention::Smm).then(loss)
    }
}

/// 2 - cos of two maps as vectors, for each image and class. Eq. (6).
///
/// # Shapes
/// `main, support [B, K, H, W]` to `[B, K]`.
pub fn cosine_distance(main: &Tensor, support: &Tensor) -> Tensor {
    let dot = |a: &Tensor, b: &Tensor| (a * b).sum_dim_intlist([2, 3].as_slice(), false, Kind::Float);
    let lengths = (dot(main, main) * dot(support, support)).sqrt().clamp_min(LENGTH_EPS);
    -(dot(main, support) / lengths) + 2.0
}

/// What `MainNet`'s map of one scale should become: `SupportNet`'s maps, each times its distance, over their number.
/// Eq. (7).
///
/// # Shapes
/// `main [B, K, H, W]`, `support`: J times `[B, K, H, W]`; to `[B, K, H, W]`, detached.
pub fn target(main: &Tensor, support: &[Tensor], attention: Attention) -> Tensor {
    tch::no_grad(|| {
        let weighted = support.iter().map(|map| match attention {
            Attention::Smm | Attention::Mmm => map.shallow_clone(),
            Attention::Mam => cosine_distance(main, map).unsqueeze(-1).unsqueeze(-1) * map,
        });
        weighted.sum::<Tensor>() / support.len() as f64
    })
}

/// The L1 distance of `MainNet`'s maps of one scale to their target; the loss is its sum over scales. Eq. (8).
///
/// # Shapes
/// `main, target [B, K, H, W]`, `labels [B, K]`; to a scalar.
///
/// # Deviations
/// Eq. (8) prints the sum over pixels and classes; [`Reduction`] says which mean it is here.
pub fn distance(main: &Tensor, target: &Tensor, labels: &Tensor, reduction: Reduction) -> Tensor {
    let mean = (main - target).abs().mean(Kind::Float);
    match reduction {
        Reduction::All => mean,
        Reduction::Labels => mean * labels.numel() as f64 / label_count(labels),
    }
}

/// What the whole module adds for one scale of `MainNet`: maps activated and normalised, target, distance. It is summed
/// over all scales, or is that of the middle one alone for [`Attention::Smm`].
///
/// # Shapes
/// `main`: `MainNet`'s raw `[B, K, H, W]` of one scale; `support`: `SupportNet`'s at every scale, all upsampled;
/// `labels [B, K]` of 0 and 1. The result is a scalar.
pub fn scale_loss(main: &Tensor, support: &[Tensor], labels: &Tensor, params: &MamParams) -> Tensor {
    let prepare = |cam: &Tensor| if params.normalize { normalize_by_max(cam, labels) } else { activate(cam, labels) };
    let main = prepare(main);
    let support: Vec<Tensor> = tch::no_grad(|| support.iter().map(prepare).collect());
    distance(&main, &target(&main, &support, params.attention), labels, params.reduction)
}
