//! `DeepLab-LargeFOV`: two 3x3 convolutions of dilation 12 on the backbone's last map.

use artifact::Numerics;
use tch::nn::{self, Init};

use super::layer::{Conv, ConvSpec};
use super::map::FeatureMap;
use super::{Backbone, BackboneConfig, Mode};

/// Dropout of b6 and b7.
const DROPOUT: [f64; 2] = [0.3, 0.5];
/// Dilation of both head convolutions: the large field of view.
const DILATION: i64 = 12;
/// Standard deviation of the classifier's initial weights.
const CLASSIFIER_STDEV: f64 = 0.01;

/// The network.
#[derive(Debug)]
pub struct DeepLab {
    backbone: Backbone,
    hidden: Conv,
    classifier: Conv,
}

impl DeepLab {
    /// Creates `backbone.*`, `hidden.*` and `classifier.*` below `path`. The paper's net has 512 `hidden` channels.
    pub fn new(path: &nn::Path, config: &BackboneConfig, classes_with_background: i64, hidden: i64) -> Self {
        let backbone = Backbone::new(&(path / "backbone"), config, DROPOUT);
        let [_, _, channels] = backbone.channels();
        let classifier = ConvSpec {
            init: Init::Randn { mean: 0.0, stdev: CLASSIFIER_STDEV },
            ..ConvSpec::spatial(hidden, classes_with_background, DILATION)
        };
        Self {
            backbone,
            hidden: Conv::with_bias(path / "hidden", ConvSpec::spatial(channels, hidden, DILATION)),
            classifier: Conv::with_bias(path / "classifier", classifier),
        }
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

    /// # Shapes
    /// `images [B, 3, H, W]` to logits `[B, K + 1, ceil(H / 8), ceil(W / 8)]`.
    pub fn forward<M: FeatureMap>(&self, images: &M, mode: Mode) -> M {
        let conv6 = self.backbone.forward(images, mode).conv6; // [B, C, h, w]
        let hidden = self.hidden.forward(&conv6).relu(); // [B, hidden, h, w]
        self.classifier.forward(&hidden).leave() // [B, K + 1, h, w]
    }
}
