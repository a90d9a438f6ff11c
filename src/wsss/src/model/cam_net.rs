//! The network that gives class activation maps: `MainNet` and `SupportNet` are two of it.

use artifact::Numerics;
use serde::{Deserialize, Serialize};
use tch::{Tensor, nn};

use super::layer::{Conv, ConvSpec, xavier_uniform};
use super::map::FeatureMap;
use super::{Backbone, BackboneConfig, Mode, Taps};

/// Dropout of b6 and b7.
const DROPOUT: [f64; 2] = [0.2, 0.2];

/// The CAM net's part of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CamNetConfig {
    /// The backbone.
    pub backbone: BackboneConfig,
    /// Channels D of the feature X.
    pub features: i64,
    /// Foreground classes K.
    pub classes: i64,
}

/// What one forward gives.
#[derive(Debug)]
pub struct CamOutput<M = Tensor> {
    /// X, after `ReLU`, `[B, D, h, w]`.
    pub feature: M,
    /// A, before `ReLU`, `[B, K, h, w]`.
    pub cam: M,
    /// The global average of A, `[B, K]`.
    pub logits: M,
    /// The backbone's shallowest tap, `[B, C4, h, w]`, in the numbers in which the network computes.
    pub conv4: M,
    /// The backbone's middle tap, `[B, C5, h, w]`, likewise.
    pub conv5: M,
}

/// Backbone, a 1x1 to D features, a 1x1 to K classes.
#[derive(Debug)]
pub struct CamNet {
    backbone: Backbone,
    feature: Conv,
    classifier: Conv,
}

impl CamNet {
    /// Creates `backbone.*`, `feature.weight` and `classifier.weight` below `path`.
    pub fn new(path: &nn::Path, config: &CamNetConfig) -> Self {
        Self::with_dropout(path, config, DROPOUT)
    }

    /// As [`CamNet::new`], with other rates of dropout in b6 and b7: with none a training step is deterministic.
    pub fn with_dropout(path: &nn::Path, config: &CamNetConfig, dropout: [f64; 2]) -> Self {
        let backbone = Backbone::new(&(path / "backbone"), &config.backbone, dropout);
        let [_, _, channels] = backbone.channels();
        let head = |name: &str, from: i64, to: i64| {
            let spec = ConvSpec { init: xavier_uniform(from, to, 1.0), ..ConvSpec::pointwise(from, to) };
            Conv::new(path / name, spec)
        };
        let feature = head("feature", channels, config.features);
        let classifier = head("classifier", config.features, config.classes);
        Self { backbone, feature, classifier }
    }

    /// The same network, which computes in other numbers than f32.
    #[must_use]
    pub fn with_numerics(self, numerics: Numerics) -> Self {
        Self { backbone: self.backbone.with_numerics(numerics), ..self }
    }

    /// The same network, which nobody trains any more: faster, see [`Backbone::for_inference`].
    #[must_use]
    pub fn for_inference(self) -> Self {
        Self { backbone: self.backbone.for_inference(), ..self }
    }

    /// Channels of conv4 and conv5.
    pub fn taps(&self) -> [i64; 2] {
        let [conv4, conv5, _] = self.backbone.channels();
        [conv4, conv5]
    }

    /// # Shapes
    /// `images [B, 3, H, W]`; h = ceil(H / 8), w = ceil(W / 8).
    pub fn forward<M: FeatureMap>(&self, images: &M, mode: Mode) -> CamOutput<M> {
        let Taps { conv4, conv5, conv6 } = self.backbone.forward(images, mode);
        let feature = self.feature.forward(&conv6).relu(); // [B, D, h, w]
        let cam = self.classifier.forward(&feature).leave(); // [B, K, h, w]
        let feature = feature.leave();
        let logits = cam.global_average_pool(); // [B, K]
        CamOutput { feature, cam, logits, conv4, conv5 }
    }
}
