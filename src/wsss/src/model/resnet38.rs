//! `ResNet38`: Wu et al., "Wider or deeper", model A1, dilated to output stride 8. Pre-activation blocks, no biases.

use tch::nn;

use super::layer::{BatchNorm, Conv, ConvSpec};
use super::map::FeatureMap;
use super::{BackboneConfig, Mode, Norm, Taps};

/// Channels of the real network's first convolution.
const FULL_WIDTH: i64 = 64;

/// What a block gives: its sum, and the activated input that the taps show.
struct BlockOutput<M> {
    activated: M,
    sum: M,
}

#[derive(Clone, Copy)]
struct BasicSpec {
    from: i64,
    mid: i64,
    to: i64,
    stride: i64,
    first_dilation: i64,
    dilation: i64,
}

/// Two 3x3 convolutions beside a skip, which is a 1x1 convolution where the shape changes.
#[derive(Debug)]
struct BasicBlock {
    bn_branch2a: BatchNorm,
    conv_branch1: Option<Conv>,
    conv_branch2a: Conv,
    bn_branch2b1: BatchNorm,
    conv_branch2b1: Conv,
}

impl BasicBlock {
    /// `weights` is the mode of the convolutions: the stem's are frozen with the norms.
    fn new(p: &nn::Path, spec: BasicSpec, norm: Norm, weights: Norm) -> Self {
        let BasicSpec { from, mid, to, stride, first_dilation, dilation } = spec;
        let skip = ConvSpec { stride, norm: weights, ..ConvSpec::pointwise(from, to) };
        let first = ConvSpec { stride, norm: weights, ..ConvSpec::spatial(from, mid, first_dilation) };
        let second = ConvSpec { norm: weights, ..ConvSpec::spatial(mid, to, dilation) };
        Self {
            bn_branch2a: BatchNorm::new(p / "bn_branch2a", from, norm),
            conv_branch1: (from != to || stride != 1).then(|| Conv::new(p / "conv_branch1", skip)),
            conv_branch2a: Conv::new(p / "conv_branch2a", first),
            bn_branch2b1: BatchNorm::new(p / "bn_branch2b1", mid, norm),
            conv_branch2b1: Conv::new(p / "conv_branch2b1", second),
        }
    }

    fn forward<M: FeatureMap>(&self, x: &M, mode: Mode) -> BlockOutput<M> {
        let activated = self.bn_branch2a.forward(x, mode).relu(); // [B, from, h, w]
        let skip = self.conv_branch1.as_ref().map_or_else(|| x.share(), |conv| conv.forward(&activated));
        let y = self.conv_branch2a.forward_normalized(&self.bn_branch2b1, &activated, mode); // [B, mid, h', w']
        let y = y.relu();
        let y = self.conv_branch2b1.forward(&y); // [B, to, h', w'], h' = h / stride
        BlockOutput { activated, sum: y.add(&skip) }
    }
}

/// 1x1, dilated 3x3, 1x1, with dropout of whole channels before the last two.
#[derive(Debug)]
struct Bottleneck {
    bn_branch2a: BatchNorm,
    conv_branch1: Conv,
    conv_branch2a: Conv,
    bn_branch2b1: BatchNorm,
    conv_branch2b1: Conv,
    bn_branch2b2: BatchNorm,
    conv_branch2b2: Conv,
    dropout: f64,
}

impl Bottleneck {
    fn new(p: &nn::Path, from: i64, to: i64, norm: Norm, dropout: f64) -> Self {
        Self {
            bn_branch2a: BatchNorm::new(p / "bn_branch2a", from, norm),
            conv_branch1: Conv::new(p / "conv_branch1", ConvSpec::pointwise(from, to)),
            conv_branch2a: Conv::new(p / "conv_branch2a", ConvSpec::pointwise(from, to / 4)),
            bn_branch2b1: BatchNorm::new(p / "bn_branch2b1", to / 4, norm),
            conv_branch2b1: Conv::new(p / "conv_branch2b1", ConvSpec::spatial(to / 4, to / 2, 4)),
            bn_branch2b2: BatchNorm::new(p / "bn_branch2b2", to / 2, norm),
            conv_branch2b2: Conv::new(p / "conv_branch2b2", ConvSpec::pointwise(to / 2, to)),
            dropout,
        }
    }

    fn forward<M: FeatureMap>(&self, x: &M, mode: Mode) -> BlockOutput<M> {
        let activated = self.bn_branch2a.forward(x, mode).relu(); // [B, from, h, w]
        let skip = self.conv_branch1.forward(&activated); // [B, to, h, w]
        let mut y = self.conv_branch2a.forward_normalized(&self.bn_branch2b1, &activated, mode); // [B, to / 4, h, w]
        y = y.relu().feature_dropout(self.dropout, mode);
        y = self.conv_branch2b1.forward_normalized(&self.bn_branch2b2, &y, mode); // [B, to / 2, h, w]
        y = y.relu().feature_dropout(self.dropout, mode);
        let y = self.conv_branch2b2.forward(&y); // [B, to, h, w]
        BlockOutput { activated, sum: y.add(&skip) }
    }
}

/// The network.
#[derive(Debug)]
pub struct ResNet38 {
    conv1a: Conv,
    /// b2 to `b4_5`, in order.
    early: Vec<BasicBlock>,
    /// b5, `b5_1`, `b5_2`.
    fifth: [BasicBlock; 3],
    b6: Bottleneck,
    b7: Bottleneck,
    bn7: BatchNorm,
    channels: [i64; 3],
}

impl ResNet38 {
    /// Creates the variables below `path`; `dropout` holds the rates of b6 and b7.
    pub fn new(path: &nn::Path, config: &BackboneConfig, dropout: [f64; 2]) -> Self {
        let norm = config.norm;
        let scaled = |channels: i64| channels / FULL_WIDTH * config.width;
        let block = |name: &str, [from, mid, to]: [i64; 3], stride, [first_dilation, dilation]: [i64; 2]| {
            let spec =
                BasicSpec { from: scaled(from), mid: scaled(mid), to: scaled(to), stride, first_dilation, dilation };
            let weights = if name.starts_with("b2") { norm } else { Norm::Train };
            BasicBlock::new(&(path / name), spec, norm, weights)
        };
        let mut early = Vec::new();
        for (stage, from, to, more) in [("b2", 64, 128, 2), ("b3", 128, 256, 2), ("b4", 256, 512, 5)] {
            early.push(block(stage, [from, to, to], 2, [1, 1]));
            early.extend((1..=more).map(|i| block(&format!("{stage}_{i}"), [to, to, to], 1, [1, 1])));
        }
        Self {
            conv1a: Conv::new(path / "conv1a", ConvSpec { norm, ..ConvSpec::spatial(3, scaled(64), 1) }),
            early,
            fifth: [
                block("b5", [512, 512, 1024], 1, [1, 2]),
                block("b5_1", [1024, 512, 1024], 1, [2, 2]),
                block("b5_2", [1024, 512, 1024], 1, [2, 2]),
            ],
            b6: Bottleneck::new(&(path / "b6"), scaled(1024), scaled(2048), norm, dropout[0]),
            b7: Bottleneck::new(&(path / "b7"), scaled(2048), scaled(4096), norm, dropout[1]),
            bn7: BatchNorm::new(path / "bn7", scaled(4096), norm),
            channels: [512, 1024, 4096].map(scaled),
        }
    }

    /// # Shapes
    /// `images [B, 3, H, W]` to three maps `[B, c, ceil(H / 8), ceil(W / 8)]`.
    pub fn forward<M: FeatureMap>(&self, images: &M, mode: Mode) -> Taps<M> {
        let mut x = self.conv1a.forward(images); // [B, 64, H, W]
        for block in &self.early {
            x = block.forward(&x, mode).sum; // at last [B, 512, h, w]
        }
        let [b5, b5_1, b5_2] = &self.fifth;
        let BlockOutput { activated: conv4, sum } = b5.forward(&x, mode); // [B, 512, h, w], [B, 1024, h, w]
        let x = b5_2.forward(&b5_1.forward(&sum, mode).sum, mode).sum;
        let BlockOutput { activated: conv5, sum } = self.b6.forward(&x, mode); // [B, 1024, h, w], [B, 2048, h, w]
        let x = self.b7.forward(&sum, mode).sum; // [B, 4096, h, w]
        Taps { conv4, conv5, conv6: self.bn7.forward(&x, mode).relu() }
    }

    /// Channels of conv4, conv5 and conv6.
    pub fn channels(&self) -> [i64; 3] {
        self.channels
    }
}
