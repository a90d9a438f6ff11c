//! Equivariant attention, SEAM (Wang et al., "Self-supervised Equivariant Attention Mechanism for Weakly Supervised
//! Semantic Segmentation", CVPR 2020): an image and the same image made smaller shall have the same CAMs, and maps that
//! the pixel correlation module refines shall agree with the CAMs of the other view. The third column of the paper's
//! Table 5.

use artifact::ParamError;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::cls::classification_loss;
use crate::method::term::{Site, Term};
use crate::method::views::Views;
use crate::model::PixelCorrelation;
use crate::model::pixel_correlation::{resize, with_background};

/// Keeps divisions finite.
const EPS: f64 = 1e-5;

/// The term's table in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeamParams {
    /// Size of the second view (0.3 in the paper).
    pub scale: f64,
    /// Channels that the pixel correlation module makes of conv4 and conv5 (64 and 128).
    pub channels: [i64; 2],
    /// The share of the entries, the hardest, that cross regularisation counts (0.2).
    pub hardest: f64,
    /// Is the quarter of the pixels that looks least like foreground pressed to none? In the released code alone.
    pub suppress_background: bool,
}

/// The term `seam`.
#[derive(Debug)]
pub struct Seam {
    params: SeamParams,
    correlation: PixelCorrelation,
}

impl Term for Seam {
    const NAME: &'static str = "seam";
    const SUPPORT: bool = false;
    type Params = SeamParams;

    fn check(params: &SeamParams) -> Result<(), ParamError> {
        let SeamParams { scale, channels, hardest, .. } = *params;
        if !(0.1..1.0).contains(&scale) {
            return Err(ParamError::new("scale", format!("{scale} is out of range: from 0.1 to below 1, such as 0.3")));
        }
        if channels.iter().any(|channels| !(1..=4096).contains(channels)) {
            let reason = format!("{channels:?} is out of range: from 1 to 4096 each, such as [64, 128]");
            return Err(ParamError::new("channels", reason));
        }
        if !(hardest > 0.0 && hardest <= 1.0) {
            return Err(ParamError::new("hardest", format!("{hardest} is no share; give above 0 to 1, such as 0.2")));
        }
        Ok(())
    }

    fn new(params: SeamParams, site: &Site<'_>) -> Self {
        Self { params, correlation: PixelCorrelation::new(&site.path, site.taps, params.channels) }
    }

    /// The paper's L = (l(o) + l(t)) / 2 + `L_ER` + `L_ECR`, less l(o) / 2, which is the term `cls` at weight 0.5.
    ///
    /// # Deviations
    /// Logits are means over the grid at stride 8, as everywhere here; the released code averages upsampled CAMs.
    fn loss(&mut self, views: &Views<'_>) -> Tensor {
        let looks = [1.0, self.params.scale].map(|scale| {
            let (seen, image) = (views.main(scale), views.image(scale));
            let refined = self.correlation.refine(&seen, &image); // [B, K + 1, h, w]
            (seen, refined, image)
        });
        let [original, transformed] = looks.each_ref().map(|(seen, refined, image)| {
            let (_, _, h, w) = image.size4().expect("images are [B, 3, H, W]");
            View { cam: resize(&seen.cam, [h, w]), refined: resize(refined, [h, w]) }
        });
        let losses = Losses::of(&original, &transformed, views.labels(), self.params.hardest);
        let classification = classification_loss(&looks[1].0.logits, views.labels()) / 2.0;
        let sum = classification + losses.equivariant + losses.cross;
        if self.params.suppress_background { sum + losses.background } else { sum }
    }
}

/// One view: the image, or the image made smaller.
#[derive(Debug)]
pub struct View {
    /// The network's raw CAMs in the view's own size, `[B, K, H, W]`.
    pub cam: Tensor,
    /// The refined maps in the view's own size, the background first, `[B, K + 1, H, W]`.
    pub refined: Tensor,
}

/// The losses of two views, scalars.
#[derive(Debug)]
pub struct Losses {
    /// `L_ER`, section 3.2: CAMs of both views are alike.
    pub equivariant: Tensor,
    /// `L_ECR`, section 3.4: refined maps of one view are like the CAMs of the other.
    pub cross: Tensor,
    /// The adaptive min pooling of the released code.
    pub background: Tensor,
}

impl Losses {
    /// All of them, at the size of the smaller view.
    ///
    /// # Shapes
    /// `original` of `[.., H, W]`, `transformed` of `[.., s H, s W]`, `labels [B, K]`.
    pub fn of(original: &View, transformed: &View, labels: &Tensor, hardest: f64) -> Self {
        let (_, _, h, w) = transformed.cam.size4().expect("CAMs are [B, K, H, W]");
        let classes = labels.unsqueeze(-1).unsqueeze(-1); // [B, K, 1, 1]
        let all = Tensor::cat(&[classes.narrow(1, 0, 1).ones_like(), classes.shallow_clone()], 1); // [B, K + 1, 1, 1]
        let [cam_o, refined_o] = [(&original.cam, &classes), (&original.refined, &all)]
            .map(|(maps, labels)| resize(&max_norm(maps), [h, w]) * labels);
        let [cam_t, refined_t] = [(&transformed.cam, &classes), (&transformed.refined, &all)]
            .map(|(maps, labels)| max_norm(maps) * labels);
        let cross = [(&cam_t, &refined_o), (&cam_o, &refined_t)]
            .map(|(cam, refined)| cross_regularization(cam, refined, hardest));
        let background = [original, transformed].map(|view| suppressed_background(&view.refined, &classes));
        Self {
            equivariant: equivariant_regularization(&cam_o, &cam_t),
            cross: cross.iter().sum(),
            background: background.iter().sum::<Tensor>() / 2.0,
        }
    }
}

/// Equivariant regularisation: the mean distance of the CAMs of both views (section 3.2).
///
/// # Shapes
/// `cam_o, cam_t [B, K, H, W]`, normalised; to a scalar.
pub fn equivariant_regularization(cam_o: &Tensor, cam_t: &Tensor) -> Tensor {
    (cam_o - cam_t).abs().mean(Kind::Float)
}

/// Equivariant cross regularisation, one direction: the refined map of one view learns from the CAM of the other. Of
/// each image only the share `hardest` of the entries counts, those that differ most (section 3.4).
///
/// # Shapes
/// `cam [B, K, H, W]` and `refined [B, K + 1, H, W]`, normalised; to a scalar.
pub fn cross_regularization(cam: &Tensor, refined: &Tensor, hardest: f64) -> Tensor {
    let target = with_background(&cam.detach()); // [B, K + 1, H, W]
    let distance = (target - refined).abs().flatten(1, -1); // [B, (K + 1) H W]
    let entries = distance.size()[1];
    let count = ((entries as f64 * hardest) as i64).max(1);
    distance.topk(count, 1, true, false).0.mean(Kind::Float)
}

/// Presses the quarter of each image's pixels that looks least like foreground to none at all.
///
/// # Shapes
/// `refined [B, K + 1, H, W]`, `classes [B, K, 1, 1]` of 0 and 1; to a scalar.
fn suppressed_background(refined: &Tensor, classes: &Tensor) -> Tensor {
    let count = classes.size()[1];
    let foreground = (refined.narrow(1, 1, count) * classes).amax([1].as_slice(), false).flatten(1, -1); // [B, H W]
    let quarter = (foreground.size()[1] / 4).max(1);
    foreground.topk(quarter, 1, false, false).0.relu().mean(Kind::Float)
}

/// Each map stretched from 0 to about 1.
///
/// # Shapes
/// `[B, C, H, W]` to the same.
fn max_norm(maps: &Tensor) -> Tensor {
    let maps = maps.relu();
    let (low, high) = (maps.amin([2, 3].as_slice(), true), maps.amax([2, 3].as_slice(), true));
    (&maps - &low - EPS).relu() / (high - low + EPS)
}
