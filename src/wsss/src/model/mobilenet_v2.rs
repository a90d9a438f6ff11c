//! `MobileNetV2` with torchvision's names, dilated to output stride 8.

use tch::nn;

use super::inverted_residual::{Architecture, BlockPlaces, Names, Place, Stage, Style, Trunk};
use super::layer::{NormConstants, Padding};
use super::map::FeatureMap;
use super::{BackboneConfig, Mode, Taps, scaled};

/// Channels of the real network's first convolution.
pub const FULL_WIDTH: i64 = 32;

const STAGES: [Stage; 7] = [
    Stage { expansion: 1, to: 16, repeats: 1, stride: 1, kernel: 3 },
    Stage { expansion: 6, to: 24, repeats: 2, stride: 2, kernel: 3 },
    Stage { expansion: 6, to: 32, repeats: 3, stride: 2, kernel: 3 },
    Stage { expansion: 6, to: 64, repeats: 4, stride: 2, kernel: 3 },
    Stage { expansion: 6, to: 96, repeats: 3, stride: 1, kernel: 3 },
    Stage { expansion: 6, to: 160, repeats: 3, stride: 2, kernel: 3 },
    Stage { expansion: 6, to: 320, repeats: 1, stride: 1, kernel: 3 },
];

/// The stages after which the taps lie: with features.6 and features.13.
const TAPS: [usize; 2] = [2, 4];

/// Below `features`: the stem is 0, the blocks follow, and the last convolution has the number after theirs.
struct Features<'a>(nn::Path<'a>);

impl Features<'_> {
    fn conv_norm(&self, index: usize) -> Place<'_> {
        let p = &self.0 / (index as i64);
        Place { conv: &p / 0, norm: &p / 1 }
    }
}

impl Names for Features<'_> {
    fn stem(&self) -> Place<'_> {
        self.conv_norm(0)
    }

    fn block(&self, index: usize, expands: bool) -> BlockPlaces<'_> {
        let p = &self.0 / (index as i64 + 1) / "conv";
        let inner = |index: i64| Place { conv: &p / index / 0, norm: &p / index / 1 };
        let (expand, depthwise, last) = if expands { (Some(inner(0)), inner(1), 2) } else { (None, inner(0), 1) };
        BlockPlaces { expand, depthwise, project: Place { conv: &p / last, norm: &p / (last + 1) } }
    }

    fn last(&self, blocks: usize) -> Place<'_> {
        self.conv_norm(blocks + 1)
    }
}

/// The network.
#[derive(Debug)]
pub struct MobileNetV2(Trunk);

impl MobileNetV2 {
    /// Creates the variables below `path`.
    ///
    /// # Deviations
    /// From stride 32 to 8: where the original would pass stride 8, a block keeps its size and all later ones dilate.
    pub fn new(path: &nn::Path, config: &BackboneConfig) -> Self {
        let of_width = |channels: i64| scaled(channels, config.width, FULL_WIDTH);
        let architecture = Architecture {
            style: Style { padding: Padding::Centred, constants: NormConstants::PYTORCH, norm: config.norm },
            stages: &STAGES.map(|stage| Stage { to: of_width(stage.to), ..stage }),
            ends: [32, 1280].map(of_width),
            taps: TAPS,
        };
        Self(Trunk::new(&Features(path / "features"), &architecture))
    }

    /// # Shapes
    /// `images [B, 3, H, W]` to three maps `[B, c, ceil(H / 8), ceil(W / 8)]`.
    pub fn forward<M: FeatureMap>(&self, images: &M, mode: Mode) -> Taps<M> {
        self.0.forward(images, mode)
    }

    /// Channels of conv4, conv5 and conv6.
    pub fn channels(&self) -> [i64; 3] {
        self.0.channels()
    }
}
