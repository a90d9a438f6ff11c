//! Networks of inverted residuals, dilated to output stride 8: what `MobileNetV2` and `EfficientNet`-Lite share. Which
//! names their variables have, and their tables of stages, stand in their own files.

use tch::nn;

use super::layer::{BatchNorm, Conv, ConvSpec, NormConstants, Padding};
use super::map::FeatureMap;
use super::{Mode, Norm, Taps};

/// The stride at which the map stays, whatever strides are left in the table.
const OUTPUT_STRIDE: i64 = 8;

/// One row of an architecture's table: `repeats` blocks to `to` channels, the first of them with `stride`.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    pub expansion: i64,
    pub to: i64,
    pub repeats: i64,
    pub stride: i64,
    /// Side of the kernel that filters each channel.
    pub kernel: i64,
}

/// A convolution and its normalisation, as children of a block or of the network.
pub struct Place<'a> {
    pub conv: nn::Path<'a>,
    pub norm: nn::Path<'a>,
}

/// Where the variables of one block lie.
pub struct BlockPlaces<'a> {
    pub expand: Option<Place<'a>>,
    pub depthwise: Place<'a>,
    pub project: Place<'a>,
}

/// How the architectures differ in all their layers.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub padding: Padding,
    pub constants: NormConstants,
    pub norm: Norm,
}

/// An architecture: its stem, its blocks, and the last convolution.
pub struct Architecture<'a> {
    pub style: Style,
    pub stages: &'a [Stage],
    /// Channels of the stem and of the last convolution.
    pub ends: [i64; 2],
    /// The stages, counted from 0, after which the taps lie.
    pub taps: [usize; 2],
}

/// Where the variables of an architecture lie.
pub trait Names {
    /// Those of the first convolution.
    fn stem(&self) -> Place<'_>;
    /// Those of block `index`, from 0; only some blocks expand.
    fn block(&self, index: usize, expands: bool) -> BlockPlaces<'_>;
    /// Those of the last convolution, after `blocks` blocks.
    fn last(&self, blocks: usize) -> Place<'_>;
}

/// Convolution, batch normalisation, and `ReLU6` except after a linear projection.
#[derive(Debug)]
struct ConvNorm {
    conv: Conv,
    norm: BatchNorm,
}

impl ConvNorm {
    fn new(place: &Place, spec: ConvSpec, style: Style) -> Self {
        let spec = ConvSpec { padding: style.padding, ..spec };
        let Place { conv, norm } = place;
        Self { conv: Conv::new(conv, spec), norm: BatchNorm::with(norm, spec.to, style.norm, style.constants) }
    }

    fn linear<M: FeatureMap>(&self, x: &M, mode: Mode) -> M {
        self.conv.forward_normalized(&self.norm, x, mode)
    }

    fn forward<M: FeatureMap>(&self, x: &M, mode: Mode) -> M {
        self.linear(x, mode).relu6()
    }

    fn dilated<M: FeatureMap>(&self, x: &M, dilation: i64, mode: Mode) -> M {
        self.conv.forward_dilated(&self.norm, x, dilation, mode).relu6()
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
struct BlockSpec {
    from: i64,
    hidden: i64,
    to: i64,
    kernel: i64,
    /// The stride in force, and the original one: a residual exists only where the original kept the size.
    stride: i64,
    original_stride: i64,
    dilation: i64,
}

impl BlockSpec {
    /// The blocks of `stages`, the first of which takes `from` channels at stride 2, and how many there are up to the
    /// end of each stage.
    ///
    /// Where the original would pass stride 8, a block keeps its size and its dilation, and all later ones dilate.
    fn of(stages: &[Stage], mut from: i64) -> (Vec<Self>, Vec<usize>) {
        let (mut specs, mut ends) = (Vec::new(), Vec::new());
        let (mut reached, mut dilation) = (2, 1);
        for &Stage { expansion, to, repeats, stride, kernel } in stages {
            for repeat in 0..repeats {
                let original_stride = if repeat == 0 { stride } else { 1 };
                let kept = reached * original_stride > OUTPUT_STRIDE;
                let stride = if kept { 1 } else { original_stride };
                specs.push(Self { from, hidden: from * expansion, to, kernel, stride, original_stride, dilation });
                reached *= stride;
                dilation *= if kept { original_stride } else { 1 };
                from = to;
            }
            ends.push(specs.len());
        }
        (specs, ends)
    }

    fn expands(&self) -> bool {
        self.hidden != self.from
    }
}

impl InvertedResidual {
    fn new(places: &BlockPlaces, spec: BlockSpec, style: Style) -> Self {
        let BlockSpec { from, hidden, to, kernel, stride, original_stride, dilation } = spec;
        let filter = ConvSpec { kernel, stride, groups: hidden, ..ConvSpec::spatial(hidden, hidden, dilation) };
        let BlockPlaces { expand, depthwise, project } = places;
        Self {
            expand: expand.as_ref().map(|place| ConvNorm::new(place, ConvSpec::pointwise(from, hidden), style)),
            depthwise: ConvNorm::new(depthwise, filter, style),
            project: ConvNorm::new(project, ConvSpec::pointwise(hidden, to), style),
            residual: original_stride == 1 && from == to,
            dilation,
        }
    }

    /// `x` is the `halvings`-fold phases of the map (see [`super::phases`]), on which dilations are that much smaller.
    fn forward<M: FeatureMap>(&self, x: &M, halvings: u32, mode: Mode) -> M {
        let expanded = self.expand.as_ref().map_or_else(|| x.share(), |e| e.forward(x, mode));
        let filtered = self.depthwise.dilated(&expanded, self.dilation >> halvings, mode); // [B, hidden, h, w]
        let projected = self.project.linear(&filtered, mode); // [B, to, h, w]
        if self.residual { projected.add(x) } else { projected }
    }
}

/// The layers of such a network.
#[derive(Debug)]
pub struct Trunk {
    stem: ConvNorm,
    blocks: Vec<InvertedResidual>,
    last: ConvNorm,
    /// How many blocks lie before each tap.
    taps: [usize; 2],
    channels: [i64; 3],
}

impl Trunk {
    /// Creates the variables under their `names`.
    pub fn new(names: &impl Names, architecture: &Architecture) -> Self {
        let Architecture { style, stages, ends: [first, last], taps } = *architecture;
        let stem = ConvSpec { stride: 2, ..ConvSpec::spatial(3, first, 1) };
        let stem = ConvNorm::new(&names.stem(), stem, style);
        let (specs, ends) = BlockSpec::of(stages, first);
        let block = |(index, spec): (usize, &BlockSpec)| {
            InvertedResidual::new(&names.block(index, spec.expands()), *spec, style)
        };
        let blocks: Vec<InvertedResidual> = specs.iter().enumerate().map(block).collect();
        let before = specs.last().map_or(first, |spec| spec.to);
        let [conv4, conv5] = taps.map(|stage| stages[stage].to);
        Self {
            stem,
            last: ConvNorm::new(&names.last(blocks.len()), ConvSpec::pointwise(before, last), style),
            blocks,
            taps: taps.map(|stage| ends[stage]),
            channels: [conv4, conv5, last],
        }
    }

    /// # Shapes
    /// `images [B, 3, H, W]` to three maps `[B, c, ceil(H / 8), ceil(W / 8)]`.
    pub fn forward<M: FeatureMap>(&self, images: &M, mode: Mode) -> Taps<M> {
        let mut x = self.stem.forward(images, mode); // [B, first, H / 2, W / 2]
        let (mut halvings, mut taps) = (0, Vec::new());
        for (index, block) in self.blocks.iter().enumerate() {
            while block.dilation > 1 << halvings
                && let Some(phases) = x.phases()
            {
                (x, halvings) = (phases, halvings + 1);
            }
            x = block.forward(&x, halvings, mode);
            if self.taps.contains(&(index + 1)) {
                taps.push(x.whole(halvings)); // [B, conv4, h, w], then [B, conv5, h, w]
            }
        }
        let conv6 = self.last.forward(&x.whole(halvings), mode); // [B, last, h, w]
        let [conv4, conv5] = <[M; 2]>::try_from(taps).ok().expect("two taps");
        Taps { conv4, conv5, conv6 }
    }

    /// Channels of conv4, conv5 and conv6.
    pub fn channels(&self) -> [i64; 3] {
        self.channels
    }
}
