//! `EfficientNet`-Lite 0 and 2 with the names of the package `efficientnet-lite-pytorch`, whose ImageNet weights are
//! published, dilated to output stride 8.
//!
//! The layers are TensorFlow's: they pad as its `SAME`, whose padding at stride 2 lies at the far side of an even map,
//! and their normalisation has its constants. A kernel of stride 1 and dilation d pads by d (k - 1) / 2 at every side,
//! so a map that keeps its size stays where it is, and every second or fourth cell of the dilated map is a cell of the
//! original network's.

use data::augment::{MEAN, STD};
use tch::nn;

use super::inverted_residual::{Architecture, BlockPlaces, Names, Place, Stage, Style, Trunk};
use super::layer::{NormConstants, Padding};
use super::map::{Affine, FeatureMap};
use super::{BackboneConfig, Mode, Taps, scaled};

/// Channels of the real networks' first convolution, which no variant scales.
pub const FULL_WIDTH: i64 = 32;

/// The value that the network's input is centred on, of 0 to 255, and the one that divides it then.
const INPUT_CENTRE: f32 = 127.0;
const INPUT_SPAN: f32 = 128.0;

/// Which of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Width and depth 1.
    Lite0,
    /// Width 1.1 and depth 1.2.
    Lite2,
}

/// Expansion, stride and kernel of each stage.
const STAGES: [(i64, i64, i64); 7] = [(1, 1, 3), (6, 2, 3), (6, 2, 5), (6, 2, 3), (6, 1, 5), (6, 2, 5), (6, 1, 3)];

/// The stages after which the taps lie: the last of stride 8, and the last before stride 32.
const TAPS: [usize; 2] = [2, 4];

impl Variant {
    /// Channels and repeats of each stage. The family rounds scaled channels to multiples of 8, scaled repeats up, and
    /// repeats neither the first nor the last stage more often.
    const fn stages(self) -> [(i64, i64); 7] {
        match self {
            Self::Lite0 => [(16, 1), (24, 2), (40, 2), (80, 3), (112, 3), (192, 4), (320, 1)],
            Self::Lite2 => [(16, 1), (24, 3), (48, 3), (88, 4), (120, 4), (208, 5), (352, 1)],
        }
    }
}

/// Below the network's path.
struct Package<'a>(&'a nn::Path<'a>);

impl Names for Package<'_> {
    fn stem(&self) -> Place<'_> {
        Place { conv: self.0 / "_conv_stem", norm: self.0 / "_bn0" }
    }

    fn block(&self, index: usize, expands: bool) -> BlockPlaces<'_> {
        let p = self.0 / "_blocks" / (index as i64);
        let place = |conv: &str, norm: &str| Place { conv: &p / conv, norm: &p / norm };
        BlockPlaces {
            expand: expands.then(|| place("_expand_conv", "_bn0")),
            depthwise: place("_depthwise_conv", "_bn1"),
            project: place("_project_conv", "_bn2"),
        }
    }

    fn last(&self, _: usize) -> Place<'_> {
        Place { conv: self.0 / "_conv_head", norm: self.0 / "_bn1" }
    }
}

/// The network.
#[derive(Debug)]
pub struct EfficientNetLite {
    trunk: Trunk,
    /// From the pipeline's input to the network's.
    input: Affine,
}

impl EfficientNetLite {
    /// Creates the variables below `path`.
    ///
    /// # Deviations
    /// From stride 32 to 8: where the original would pass stride 8, a block keeps its size and all later ones dilate.
    /// No layer is dropped in training (drop connect).
    pub fn new(path: &nn::Path, config: &BackboneConfig, variant: Variant) -> Self {
        let of_width = |channels: i64| scaled(channels, config.width, FULL_WIDTH);
        let stages: Vec<Stage> = STAGES
            .into_iter()
            .zip(variant.stages())
            .map(|((expansion, stride, kernel), (to, repeats))| Stage {
                expansion,
                to: of_width(to),
                repeats,
                stride,
                kernel,
            })
            .collect();
        let architecture = Architecture {
            style: Style { padding: Padding::Same, constants: NormConstants::TENSORFLOW, norm: config.norm },
            stages: &stages,
            ends: [32, 1280].map(of_width),
            taps: TAPS,
        };
        // The pipeline's x is (v / 255 - MEAN) / STD of a value v of 0 to 255, the network's input (v - 127) / 128.
        Self {
            trunk: Trunk::new(&Package(path), &architecture),
            input: Affine::new(
                STD.map(|deviation| 255.0 * deviation / INPUT_SPAN),
                MEAN.map(|mean| (255.0 * mean - INPUT_CENTRE) / INPUT_SPAN),
                path.device(),
            ),
        }
    }

    /// The network's own input is made here and not by the loader: every other part of the pipeline then sees one kind
    /// of picture, whatever the backbone, and what pads a crop is the mean colour for all of them. It cannot be put
    /// into the stem's weights, because what the stem pads with are zeros of its own input.
    ///
    /// # Shapes
    /// `images [B, 3, H, W]` to three maps `[B, c, ceil(H / 8), ceil(W / 8)]`.
    pub fn forward<M: FeatureMap>(&self, images: &M, mode: Mode) -> Taps<M> {
        let input = images.affine(&self.input); // [B, 3, H, W]
        self.trunk.forward(&input, mode)
    }

    /// Channels of conv4, conv5 and conv6.
    pub fn channels(&self) -> [i64; 3] {
        self.trunk.channels()
    }
}
