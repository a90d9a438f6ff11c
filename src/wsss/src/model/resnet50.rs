//! `ResNet50` with torchvision's names, dilated to output stride 8 as torchvision's `replace_stride_with_dilation =
//! [False, True, True]` does it.

use tch::nn;

use super::layer::{BatchNorm, Conv, ConvSpec};
use super::map::{FeatureMap, Pool};
use super::{BackboneConfig, Mode, Norm, Taps};

/// Channels of the real network's first convolution.
const FULL_WIDTH: i64 = 64;
/// Channels a block gives, over those of its 3x3 convolution.
const EXPANSION: i64 = 4;

/// What follows the first convolution.
const POOL: Pool = Pool { kernel: 3, stride: 2, padding: 1 };

/// One row of the architecture's table: `blocks` around 3x3 convolutions of `planes` channels. Only the first block has
/// the `stride`, and the dilation that held before.
struct Layer {
    name: &'static str,
    planes: i64,
    blocks: i64,
    stride: i64,
    first_dilation: i64,
    dilation: i64,
}

const LAYERS: [Layer; 4] = [
    Layer { name: "layer1", planes: 64, blocks: 3, stride: 1, first_dilation: 1, dilation: 1 },
    Layer { name: "layer2", planes: 128, blocks: 4, stride: 2, first_dilation: 1, dilation: 1 },
    Layer { name: "layer3", planes: 256, blocks: 6, stride: 1, first_dilation: 1, dilation: 2 },
    Layer { name: "layer4", planes: 512, blocks: 3, stride: 1, first_dilation: 2, dilation: 4 },
];

#[derive(Clone, Copy)]
struct BottleneckSpec {
    from: i64,
    planes: i64,
    stride: i64,
    dilation: i64,
}

/// 1x1, strided or dilated 3x3, 1x1, beside a skip, which is a 1x1 convolution where the shape changes.
#[derive(Debug)]
struct Bottleneck {
    conv1: Conv,
    bn1: BatchNorm,
    conv2: Conv,
    bn2: BatchNorm,
    conv3: Conv,
    bn3: BatchNorm,
    downsample: Option<(Conv, BatchNorm)>,
}

impl Bottleneck {
    /// `weights` is the mode of the convolutions: the stem's are frozen with the norms.
    fn new(p: &nn::Path, spec: BottleneckSpec, norm: Norm, weights: Norm) -> Self {
        let BottleneckSpec { from, planes, stride, dilation } = spec;
        let to = planes * EXPANSION;
        let conv = |name: &str, spec: ConvSpec| Conv::new(p / name, ConvSpec { norm: weights, ..spec });
        let skip = ConvSpec { stride, norm: weights, ..ConvSpec::pointwise(from, to) };
        Self {
            conv1: conv("conv1", ConvSpec::pointwise(from, planes)),
            bn1: BatchNorm::new(p / "bn1", planes, norm),
            conv2: conv("conv2", ConvSpec { stride, ..ConvSpec::spatial(planes, planes, dilation) }),
            bn2: BatchNorm::new(p / "bn2", planes, norm),
            conv3: conv("conv3", ConvSpec::pointwise(planes, to)),
            bn3: BatchNorm::new(p / "bn3", to, norm),
            downsample: (from != to || stride != 1).then(|| {
                let p = p / "downsample";
                (Conv::new(&p / 0, skip), BatchNorm::new(&p / 1, to, norm))
            }),
        }
    }

    fn forward<M: FeatureMap>(&self, x: &M, mode: Mode) -> M {
        let skip = match &self.downsample {
            Some((conv, bn)) => conv.forward_normalized(bn, x, mode), // [B, to, h / stride, w / stride]
            None => x.share(),
        };
        let y = self.conv1.forward_normalized(&self.bn1, x, mode).relu(); // [B, planes, h, w]
        let y = self.conv2.forward_normalized(&self.bn2, &y, mode).relu(); // [B, planes, h / stride, w / stride]
        let y = self.conv3.forward_normalized(&self.bn3, &y, mode); // [B, to, h / stride, w / stride]
        y.add(&skip).relu()
    }
}

/// The network.
#[derive(Debug)]
pub struct ResNet50 {
    conv1: Conv,
    bn1: BatchNorm,
    layers: Vec<Vec<Bottleneck>>,
    channels: [i64; 3],
}

impl ResNet50 {
    /// Creates the variables below `path`.
    pub fn new(path: &nn::Path, config: &BackboneConfig) -> Self {
        let norm = config.norm;
        let scaled = |channels: i64| channels / FULL_WIDTH * config.width;
        let first = ConvSpec { kernel: 7, stride: 2, norm, ..ConvSpec::pointwise(3, scaled(64)) };
        let mut from = scaled(64);
        let layers = LAYERS.map(|Layer { name, planes, blocks, stride, first_dilation, dilation }| {
            let weights = if name == "layer1" { norm } else { Norm::Train };
            let (path, planes) = (path / name, scaled(planes));
            let block = |index: i64| {
                let spec = if index == 0 {
                    BottleneckSpec { from, planes, stride, dilation: first_dilation }
                } else {
                    BottleneckSpec { from: planes * EXPANSION, planes, stride: 1, dilation }
                };
                Bottleneck::new(&(&path / index), spec, norm, weights)
            };
            let layer: Vec<Bottleneck> = (0..blocks).map(block).collect();
            from = planes * EXPANSION;
            layer
        });
        Self {
            conv1: Conv::new(path / "conv1", first),
            bn1: BatchNorm::new(path / "bn1", scaled(64), norm),
            layers: layers.into(),
            channels: [512, 1024, 2048].map(scaled),
        }
    }

    /// # Shapes
    /// `images [B, 3, H, W]` to three maps `[B, c, ceil(H / 8), ceil(W / 8)]`.
    pub fn forward<M: FeatureMap>(&self, images: &M, mode: Mode) -> Taps<M> {
        let through = |x: M, layer: usize| self.layers[layer].iter().fold(x, |x, block| block.forward(&x, mode));
        let x = self.conv1.forward_normalized(&self.bn1, images, mode).relu(); // [B, 64, H / 2, W / 2]
        let x = x.max_pool(POOL); // [B, 64, H / 4, W / 4]
        let conv4 = through(through(x, 0), 1); // [B, 512, h, w]
        let conv5 = through(conv4.share(), 2); // [B, 1024, h, w]
        let conv6 = through(conv5.share(), 3); // [B, 2048, h, w]
        Taps { conv4, conv5, conv6 }
    }

    /// Channels of conv4, conv5 and conv6.
    pub fn channels(&self) -> [i64; 3] {
        self.channels
    }
}
