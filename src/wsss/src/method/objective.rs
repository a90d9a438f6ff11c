//! One training step's loss, from images to a scalar: sections 3.1 to 3.4 of the paper in their order.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::cam::{image_scales, msinf, upsample};
use super::direct::direct_loss;
use super::mam::{Attention, MamOptions, multi_scale_loss};
use super::rcm::{Prototypes, RcmForm, rcm_loss_compact, region_masks};
use crate::model::{CamNet, CamOutput, Mode};

/// How region masks supervise `MainNet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supervision {
    /// Features against prototypes: the paper.
    Contrastive,
    /// CAMs against masks: an ablation of Table 2.
    Direct,
}

/// The Regional Contrastive Module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RcmOptions {
    /// What an msinf-CAM score must exceed to be a region, Eq. (1).
    pub threshold: f64,
    /// T of Eq. (5).
    pub temperature: f64,
    /// How Eq. (5) is read.
    pub form: RcmForm,
    /// What the masks supervise.
    pub supervision: Supervision,
    /// Weight in the objective.
    pub weight: f64,
}

/// The Multi-scale Attentive Module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MamSettings {
    /// How Eqs. (6) to (8) are read.
    pub options: MamOptions,
    /// Weight in the objective.
    pub weight: f64,
}

/// Whether the Multi-scale Attentive Module, which waits for the CAMs to ripen, takes part in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MamPhase {
    /// Before its first epoch.
    Waiting,
    /// From then on.
    Active,
}

/// One batch.
#[derive(Debug)]
pub struct Batch {
    /// Augmented, normalised images `[B, 3, H, W]`.
    pub images: Tensor,
    /// 1 for every class an image shows, else 0, f32 `[B, K]`.
    pub labels: Tensor,
    /// Where a crop is image and not padding, bool `[B, H, W]`.
    pub valid: Tensor,
}

/// What is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Weight of the classification loss.
    pub cls_weight: f64,
    /// The Regional Contrastive Module, if any.
    pub rcm: Option<RcmOptions>,
    /// The Multi-scale Attentive Module, if any.
    pub mam: Option<MamSettings>,
    /// Scales of the images; 1 is among them.
    pub support_scales: Vec<f64>,
}

/// The loss of a step, in parts not yet weighted.
#[derive(Debug)]
pub struct StepLoss {
    /// The weighted sum: what is differentiated.
    pub total: Tensor,
    /// Multi-label classification.
    pub cls: Tensor,
    /// Eq. (5), or the direct loss.
    pub rcm: Option<Tensor>,
    /// Eq. (8).
    pub mam: Option<Tensor>,
    /// The region masks `[B, H, W]` the step used.
    pub regions: Option<Tensor>,
}

/// What `SupportNet` tells.
struct SupportView {
    /// Raw CAMs, upsampled: one `[B, K, H, W]` a scale.
    cams: Vec<Tensor>,
    /// X at scale 1, `[B, D, h, w]`.
    feature: Tensor,
}

impl Objective {
    /// The loss of one batch; `prototypes` take up what `support` sees in it. With shared weights pass `main` twice.
    ///
    /// Nothing unneeded is computed: without RCM and MAM `support` does not run, and `main` sees the other scales only
    /// for MAM.
    ///
    /// # Deviations
    /// Padding is left out of prototypes as well as of the loss. Where norms learn, `main` sees MAM's other scales by the
    /// running statistics of scale 1 ([`Mode::Rescaled`]).
    pub fn step_loss(
        &self,
        main: &CamNet,
        support: &CamNet,
        batch: &Batch,
        prototypes: &mut Prototypes,
        phase: MamPhase,
    ) -> StepLoss {
        let Batch { images, labels, valid } = batch;
        let mam = self.mam.filter(|_| phase == MamPhase::Active);
        let (_, _, h, w) = images.size4().expect("images are [B, 3, H, W]");
        let size = [h, w];

        let scaled: Vec<Tensor> = if self.rcm.is_some() || mam.is_some() {
            self.support_scales.iter().map(|&scale| image_scales(images, scale)).collect() // [B, 3, s H, s W] each
        } else {
            Vec::new()
        };
        let seen = (!scaled.is_empty()).then(|| self.look(support, &scaled, size));

        let output = main.forward(images, Mode::Train); // logits [B, K], cam [B, K, h, w], feature [B, D, h, w]
        let cls = classification_loss(&output.logits, labels);

        let regions = self.rcm.zip(seen.as_ref()).map(|(options, seen)| {
            region_masks(&msinf(&seen.cams, labels), options.threshold) // [B, H, W]
        });
        let rcm = self.rcm.zip(seen.as_ref()).zip(regions.as_ref()).map(|((options, seen), regions)| {
            match options.supervision {
                Supervision::Contrastive => {
                    prototypes.update_compact(&seen.feature, regions, Some(valid)); // table [K + 1, D]
                    let RcmOptions { form, temperature, .. } = options;
                    rcm_loss_compact(&output.feature, prototypes, regions, Some(valid), form, temperature)
                }
                Supervision::Direct => direct_loss(&upsample(&output.cam, size), labels, regions, Some(valid)),
            }
        });
        let mam_loss = mam.zip(seen.as_ref()).map(|(settings, seen)| {
            let cams = self.main_cams(main, &output, &scaled, size, settings.options.variant); // [B, K, H, W] each
            multi_scale_loss(&cams, &seen.cams, labels, &settings.options)
        });

        let mut total = &cls * self.cls_weight;
        if let Some((options, loss)) = self.rcm.zip(rcm.as_ref()) {
            total += loss * options.weight;
        }
        if let Some((settings, loss)) = mam.zip(mam_loss.as_ref()) {
            total += loss * settings.weight;
        }
        StepLoss { total, cls, rcm, mam: mam_loss, regions }
    }

    /// `SupportNet` on every scale, without gradient.
    fn look(&self, support: &CamNet, scaled: &[Tensor], size: [i64; 2]) -> SupportView {
        tch::no_grad(|| {
            let middle = self.middle();
            let mut outputs: Vec<CamOutput> = scaled.iter().map(|image| support.forward(image, Mode::Eval)).collect();
            let cams = outputs.iter().map(|output| upsample(&output.cam, size)).collect(); // [B, K, H, W] each
            SupportView { cams, feature: outputs.swap_remove(middle).feature } // [B, D, h, w]
        })
    }

    /// `MainNet`'s raw CAMs `[B, K, H, W]` at the scales that `variant` trains; the middle one is at hand.
    fn main_cams(
        &self,
        main: &CamNet,
        output: &CamOutput,
        scaled: &[Tensor],
        size: [i64; 2],
        variant: Attention,
    ) -> Vec<Tensor> {
        let at_hand = || upsample(&output.cam, size);
        if variant == Attention::Smm {
            return vec![at_hand()];
        }
        let middle = self.middle();
        let each = scaled.iter().enumerate();
        each.map(|(i, x)| if i == middle { at_hand() } else { upsample(&main.forward(x, Mode::Rescaled).cam, size) })
            .collect()
    }

    /// Where scale 1 stands.
    fn middle(&self) -> usize {
        self.support_scales.iter().position(|&scale| (scale - 1.0).abs() < 1e-9).expect("scale 1 is among the scales")
    }
}

/// Multi-label classification: the mean binary cross-entropy over images and classes.
///
/// # Shapes
/// `logits, labels [B, K]`; to a scalar.
pub fn classification_loss(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.binary_cross_entropy_with_logits::<Tensor>(&labels.to_kind(Kind::Float), None, None, tch::Reduction::Mean)
}
