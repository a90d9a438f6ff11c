//! `AffinityNet` (Ahn and Kwak 2018): features whose L1 distances say whether two positions share a class.

use artifact::Numerics;
use tch::nn::{self, Init};
use tch::{Tensor, nn::init};

use super::layer::{Conv, ConvSpec, xavier_uniform};
use super::map::FeatureMap as _;
use super::{Backbone, BackboneConfig, Mode};

/// Dropout of b6 and b7.
const DROPOUT: [f64; 2] = [0.3, 0.5];
/// Channels taken from conv4, conv5 and conv6.
const TAKEN: [i64; 3] = [64, 128, 256];
/// Channels of the feature: the three together.
const FEATURES: i64 = 448;
/// Gain of the last layer's initial weights.
const LAST_GAIN: f64 = 4.0;

/// The network; its heads are `f8_3`, `f8_4`, `f8_5` and `f9`, the names the original code gave them.
#[derive(Debug)]
pub struct AffinityNet {
    backbone: Backbone,
    taken: [Conv; 3],
    joined: Conv,
}

impl AffinityNet {
    /// Creates `backbone.*` and the heads below `path`.
    pub fn new(path: &nn::Path, config: &BackboneConfig) -> Self {
        let kaiming = Init::Kaiming {
            dist: init::NormalOrUniform::Normal,
            fan: init::FanInOut::FanIn,
            non_linearity: init::NonLinearity::ReLU,
        };
        let backbone = Backbone::new(&(path / "backbone"), config, DROPOUT);
        let channels = backbone.channels();
        let head = |name: &str, tap: usize| {
            Conv::new(path / name, ConvSpec { init: kaiming, ..ConvSpec::pointwise(channels[tap], TAKEN[tap]) })
        };
        let taken = [head("f8_3", 0), head("f8_4", 1), head("f8_5", 2)];
        let last =
            ConvSpec { init: xavier_uniform(FEATURES, FEATURES, LAST_GAIN), ..ConvSpec::pointwise(FEATURES, FEATURES) };
        Self { backbone, taken, joined: Conv::new(path / "f9", last) }
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
    /// `images [B, 3, H, W]` to `[B, 448, ceil(H / 8), ceil(W / 8)]`.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Tensor {
        let taps = self.backbone.forward(images, mode);
        let [fourth, fifth, sixth] = &self.taken;
        let parts = [
            fourth.forward(&taps.conv4).elu(), // [B, 64, h, w]
            fifth.forward(&taps.conv5).elu(),  // [B, 128, h, w]
            sixth.forward(&taps.conv6).elu(),  // [B, 256, h, w]
        ];
        self.joined.forward(&Tensor::cat(&parts, 1)).leave().elu() // [B, 448, h, w]
    }
}
