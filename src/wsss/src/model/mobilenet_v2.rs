//! `MobileNetV2` with torchvision's names, dilated to output stride 8.

use tch::{Tensor, nn};

use super::layer::{BatchNorm, Conv, ConvSpec};
use super::{BackboneConfig, Mode, Norm, Taps, phases};

/// Channels of the real network's first convolution.
const FULL_WIDTH: i64 = 32;

/// One row of the architecture's table: `repeats` blocks to `to` channels, the first of them with `stride`.
struct Stage {
    expansion: i64,
    to: i64,
    repeats: i64,
    stride: i64,
}

const STAGES: [Stage; 7] = [
    Stage { expansion: 1, to: 16, repeats: 1, stride: 1 },
    Stage { expansion: 6, to: 24, repeats: 2, stride: 2 },
    Stage { expansion: 6, to: 32, repeats: 3, stride: 2 },
    Stage { expansion: 6, to: 64, repeats: 4, stride: 2 },
    Stage { expansion: 6, to: 96, repeats: 3, stride: 1 },
    Stage { expansion: 6, to: 160, repeats: 3, stride: 2 },
    Stage { expansion: 6, to: 320, repeats: 1, stride: 1 },
];

/// The features after which the taps lie: of features.6 and features.13.
const TAP_BLOCKS: [usize; 2] = [6, 13];

/// Convolution, batch normalisation, and `ReLU6` except after a linear projection.
#[derive(Debug)]
struct ConvNorm {
    conv: Conv,
    norm: BatchNorm,
}

impl ConvNorm {
    fn new(conv: nn::Path, norm_path: nn::Path, spec: ConvSpec, norm: Norm) -> Self {
        Self { conv: Conv::new(conv, spec), norm: BatchNorm::new(norm_path, spec.to, norm) }
    }

    fn linear(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.conv.forward_normalized(&self.norm, x, mode)
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.linear(x, mode).relu6_()
    }

    fn dilated(&self, x: &Tensor, dilation: i64, mode: Mode) -> Tensor {
        self.conv.forward_dilated(&self.norm, x, dilation, mode).relu6_()
    }
}

/// Expand, filter each channel, project.
#[derive(Debug)]
struct InvertedResidual {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    project: ConvNorm,
    residual: bool,
    dilation: i64,
}

#[derive(Clone, Copy)]
struct ResidualSpec {
    from: i64,
    hidden: i64,
    to: i64,
    /// The stride in force, and the original one: a residual exists only where the original kept the size.
    stride: i64,
    original_stride: i64,
    dilation: i64,
}

impl InvertedResidual {
    fn new(p: &nn::Path, spec: ResidualSpec, norm: Norm) -> Self {
        let ResidualSpec { from, hidden, to, stride, original_stride, dilation } = spec;
        let expands = hidden != from;
        let filter = ConvSpec { stride, groups: hidden, ..ConvSpec::spatial(hidden, hidden, dilation) };
        let p = p / "conv";
        let inner = |index: i64| (&p / index / 0, &p / index / 1);
        let (expand, (conv, bn), last) = if expands { (Some(inner(0)), inner(1), 2) } else { (None, inner(0), 1) };
        Self {
            expand: expand.map(|(conv, bn)| ConvNorm::new(conv, bn, ConvSpec::pointwise(from, hidden), norm)),
            depthwise: ConvNorm::new(conv, bn, filter, norm),
            project: ConvNorm::new(&p / last, &p / (last + 1), ConvSpec::pointwise(hidden, to), norm),
            residual: original_stride == 1 && from == to,
            dilation,
        }
    }

    /// `x` is the `halvings`-fold phases of the map (see [`phases`]), on which dilations are that much smaller.
    fn forward(&self, x: &Tensor, halvings: u32, mode: Mode) -> Tensor {
        let expanded = self.expand.as_ref().map_or_else(|| x.shallow_clone(), |e| e.forward(x, mode));
        let filtered = self.depthwise.dilated(&expanded, self.dilation >> halvings, mode); // [B, hidden, h, w]
        let projected = self.project.linear(&filtered, mode); // [B, to, h, w]
        if self.residual { projected + x } else { projected }
    }
}

/// The network.
#[derive(Debug)]
pub struct MobileNetV2 {
    stem: ConvNorm,
    blocks: Vec<InvertedResidual>,
    last: ConvNorm,
    channels: [i64; 3],
}

impl MobileNetV2 {
    /// Creates the variables below `path`.
    ///
    /// # Deviations
    /// From stride 32 to 8: where the original would pass stride 8, a block keeps its size and all later ones dilate.
    pub fn new(path: &nn::Path, config: &BackboneConfig) -> Self {
        let norm = config.norm;
        let scaled = |channels: i64| ((channels * config.width + FULL_WIDTH / 2) / FULL_WIDTH).max(1);
        let p = path / "features";
        let first = ConvSpec { stride: 2, ..ConvSpec::spatial(3, scaled(32), 1) };
        let stem = ConvNorm::new(&p / 0 / 0, &p / 0 / 1, first, norm);
        let (mut blocks, mut from) = (Vec::new(), scaled(32));
        let (mut reached, mut dilation) = (2, 1);
        for Stage { expansion, to, repeats, stride } in STAGES {
            for repeat in 0..repeats {
                let original_stride = if repeat == 0 { stride } else { 1 };
                let kept = reached * original_stride > 8;
                let stride = if kept { 1 } else { original_stride };
                let spec =
                    ResidualSpec { from, hidden: from * expansion, to: scaled(to), stride, original_stride, dilation };
                blocks.push(InvertedResidual::new(&(&p / (blocks.len() + 1)), spec, norm));
                reached *= stride;
                dilation *= if kept { original_stride } else { 1 };
                from = scaled(to);
            }
        }
        let index = blocks.len() + 1;
        let last = ConvNorm::new(&p / index / 0, &p / index / 1, ConvSpec::pointwise(from, scaled(1280)), norm);
        Self { stem, blocks, last, channels: [32, 96, 1280].map(scaled) }
    }

    /// # Shapes
    /// `images [B, 3, H, W]` to three maps `[B, c, ceil(H / 8), ceil(W / 8)]`.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Taps {
        let mut x = self.stem.forward(images, mode); // [B, 32, H / 2, W / 2]
        let (mut halvings, mut taps) = (0, Vec::new());
        for (index, block) in self.blocks.iter().enumerate() {
            while block.dilation > 1 << halvings && phases::divides(&x) {
                (x, halvings) = (phases::split(&x), halvings + 1);
            }
            x = block.forward(&x, halvings, mode);
            if TAP_BLOCKS.contains(&(index + 1)) {
                taps.push(whole(&x, halvings)); // [B, 32, h, w], then [B, 96, h, w]
            }
        }
        let conv6 = self.last.forward(&whole(&x, halvings), mode); // [B, 1280, h, w]
        let [conv4, conv5] = taps.try_into().expect("two taps");
        Taps { conv4, conv5, conv6 }
    }

    /// Channels of conv4, conv5 and conv6.
    pub fn channels(&self) -> [i64; 3] {
        self.channels
    }
}

/// The map of which `x` is the `halvings`-fold phases.
fn whole(x: &Tensor, halvings: u32) -> Tensor {
    (0..halvings).fold(x.shallow_clone(), |x, _| phases::join(&x))
}
