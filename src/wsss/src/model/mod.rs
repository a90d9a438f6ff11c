//! The networks: five backbones at stride 8 with three taps each, and the three nets built on them.
//!
//! Reads nothing but, in `fill`, a file of weights; writes nothing. A variable's path in the `VarStore` is its key in
//! a state dict, so files from elsewhere load by name.
//!
//! ```text
//! map             what layers work on: a tensor, or a value of a graph
//! graph           a network's inference as data
//! layer           convolution and batch normalisation with their training mode
//! synchronized    batch statistics of several processes
//! phases          dilated layers as undilated ones
//! resnet38        Wu et al., model A1, dilated to stride 8
//! resnet50        torchvision's, dilated to stride 8
//! inverted_residual  what the next two share
//! mobilenet_v2    torchvision's features, dilated to stride 8
//! efficientnet_lite  EfficientNet-Lite 0 and 2, dilated to stride 8
//! cam_net         MainNet and SupportNet
//! pixel_correlation  refines CAMs by the likeness of pixels (SEAM)
//! affinity_net    semantic features whose distances are affinities
//! deeplab         DeepLab-LargeFOV
//! flat            what is trained, side by side in memory
//! fill            strict loading: a network's variables from a file of weights
//! ```

mod inverted_residual;
mod layer;
mod map;
mod phases;
mod synchronized;

pub mod graph;

pub mod efficientnet_lite;
pub mod mobilenet_v2;
pub mod resnet38;
pub mod resnet50;

pub mod affinity_net;
pub mod cam_net;
pub mod deeplab;
pub mod pixel_correlation;

pub mod fill;
pub mod flat;

use artifact::Numerics;
use serde::{Deserialize, Serialize};
use tch::{Tensor, nn};

use efficientnet_lite::Variant;
use map::Computing;

pub use affinity_net::AffinityNet;
pub use cam_net::{CamNet, CamNetConfig, CamOutput};
pub use deeplab::DeepLab;
pub use efficientnet_lite::EfficientNetLite;
pub use flat::{Flat, WeightLayout};
pub use layer::Padding;
pub use map::{Affine, FeatureMap, Pool};
pub use mobilenet_v2::MobileNetV2;
pub use pixel_correlation::PixelCorrelation;
pub use resnet38::ResNet38;
pub use resnet50::ResNet50;

/// How a network is being run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout drops; batch normalisation follows [`Norm`].
    Train,
    /// Dropout drops; running statistics, which do not move: the images of a batch once more at another scale. CAMs are
    /// extracted at several scales with the statistics of one, so they are trained so, too.
    Rescaled,
    /// Deterministic: no dropout, running statistics.
    Eval,
    /// As `Eval`, and no variable changes any more: what a layer makes of its variables alone is made once.
    Fixed,
}

impl Mode {
    /// Does dropout drop?
    pub(crate) fn drops(self) -> bool {
        matches!(self, Self::Train | Self::Rescaled)
    }
}

/// What batch normalisation does while a network is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Running statistics and a fixed affine, also in [`Mode::Train`]; the stem of the two `ResNet`s is fixed
    /// too. For pretrained weights.
    Frozen,
    /// Batch statistics and a trained affine. For training from scratch.
    Train,
}

/// Which backbone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackboneName {
    /// The paper's: 38 layers, 106 million parameters.
    #[serde(rename = "resnet38")]
    ResNet38,
    /// The field's other usual one: 24 million parameters.
    #[serde(rename = "resnet50")]
    ResNet50,
    /// For machines without a large GPU.
    #[serde(rename = "mobilenet_v2")]
    MobileNetV2,
    /// As small, with better ImageNet weights, which `make weights` fetches: 4 million parameters.
    #[serde(rename = "efficientnet_lite0")]
    EfficientNetLite0,
    /// The next but one of its family: 5 million parameters.
    #[serde(rename = "efficientnet_lite2")]
    EfficientNetLite2,
}

impl BackboneName {
    /// Every backbone.
    pub const ALL: [Self; 5] =
        [Self::ResNet38, Self::ResNet50, Self::MobileNetV2, Self::EfficientNetLite0, Self::EfficientNetLite2];

    /// The `width` of the real network, for which weights exist.
    pub const fn full_width(self) -> i64 {
        match self {
            Self::ResNet38 | Self::ResNet50 => 64,
            Self::MobileNetV2 => mobilenet_v2::FULL_WIDTH,
            Self::EfficientNetLite0 | Self::EfficientNetLite2 => efficientnet_lite::FULL_WIDTH,
        }
    }
}

/// The backbone's part of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneConfig {
    /// Which architecture.
    pub name: BackboneName,
    /// Channels of the first convolution; all others scale with it. See [`BackboneName::full_width`].
    pub width: i64,
    /// What batch normalisation does during training.
    pub norm: Norm,
}

/// `channels` of a network of width `full`, at `width`.
fn scaled(channels: i64, width: i64, full: i64) -> i64 {
    ((channels * width + full / 2) / full).max(1)
}

/// Feature maps of a backbone, all at stride 8.
#[derive(Debug)]
pub struct Taps<M = Tensor> {
    /// The shallowest, `[B, channels()[0], h, w]`.
    pub conv4: M,
    /// The middle one, `[B, channels()[1], h, w]`.
    pub conv5: M,
    /// The last, which the heads use, `[B, channels()[2], h, w]`.
    pub conv6: M,
}

/// A backbone of any architecture, and how it computes.
#[derive(Debug)]
pub struct Backbone {
    architecture: Architecture,
    computing: Computing,
    fixed: bool,
}

/// Whose layers a backbone has.
#[derive(Debug)]
enum Architecture {
    ResNet38(Box<ResNet38>),
    ResNet50(Box<ResNet50>),
    MobileNetV2(Box<MobileNetV2>),
    EfficientNetLite(Box<EfficientNetLite>),
}

impl Backbone {
    /// Creates the variables below `path`. `dropout` holds the rates of `ResNet38`'s b6 and b7; the others have none.
    pub fn new(path: &nn::Path, config: &BackboneConfig, dropout: [f64; 2]) -> Self {
        let lite = |variant| Architecture::EfficientNetLite(Box::new(EfficientNetLite::new(path, config, variant)));
        let architecture = match config.name {
            BackboneName::ResNet38 => Architecture::ResNet38(Box::new(ResNet38::new(path, config, dropout))),
            BackboneName::ResNet50 => Architecture::ResNet50(Box::new(ResNet50::new(path, config))),
            BackboneName::MobileNetV2 => Architecture::MobileNetV2(Box::new(MobileNetV2::new(path, config))),
            BackboneName::EfficientNetLite0 => lite(Variant::Lite0),
            BackboneName::EfficientNetLite2 => lite(Variant::Lite2),
        };
        Self { architecture, computing: Computing::default(), fixed: false }
    }

    /// The same backbone, which computes in other numbers than f32.
    #[must_use]
    pub fn with_numerics(self, numerics: Numerics) -> Self {
        Self { computing: Computing::with(numerics), ..self }
    }

    /// The same backbone, whose variables do not change any more: it works in the layout that is fast for it, and
    /// [`Mode::Eval`] is [`Mode::Fixed`].
    #[must_use]
    pub fn for_inference(self) -> Self {
        let channels_innermost = self.computing.channels_innermost || self.is_fast_channels_innermost();
        Self { computing: Computing { channels_innermost, ..self.computing }, fixed: true, ..self }
    }

    /// # Shapes
    /// `images [B, 3, H, W]` to three maps `[B, c, ceil(H / 8), ceil(W / 8)]`, in the numbers in which it computes.
    pub fn forward<M: FeatureMap>(&self, images: &M, mode: Mode) -> Taps<M> {
        let images = images.enter(self.computing);
        let mode = if self.fixed && mode == Mode::Eval { Mode::Fixed } else { mode };
        match &self.architecture {
            Architecture::ResNet38(net) => net.forward(&images, mode),
            Architecture::ResNet50(net) => net.forward(&images, mode),
            Architecture::MobileNetV2(net) => net.forward(&images, mode),
            Architecture::EfficientNetLite(net) => net.forward(&images, mode),
        }
    }

    /// Is it faster on a CPU with the channels of a pixel side by side? It is if most of its layers are 1x1 and
    /// depthwise.
    fn is_fast_channels_innermost(&self) -> bool {
        matches!(self.architecture, Architecture::MobileNetV2(_) | Architecture::EfficientNetLite(_))
    }

    /// Channels of conv4, conv5 and conv6.
    pub fn channels(&self) -> [i64; 3] {
        match &self.architecture {
            Architecture::ResNet38(net) => net.channels(),
            Architecture::ResNet50(net) => net.channels(),
            Architecture::MobileNetV2(net) => net.channels(),
            Architecture::EfficientNetLite(net) => net.channels(),
        }
    }
}
