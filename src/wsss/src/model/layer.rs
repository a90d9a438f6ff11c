//! Convolution and batch normalisation whose variables carry `PyTorch`'s names and know whether they are trained.

use std::borrow::Borrow;
use std::cell::{OnceCell, RefCell};

use serde::{Deserialize, Serialize};
use tch::nn::{self, Init};
use tch::{Device, Kind, Tensor};

use super::map::FeatureMap;
use super::synchronized::Statistics;
use super::{Mode, Norm};
use crate::ranks;

/// The constants of batch normalisation.
#[derive(Clone, Copy, Debug)]
pub struct NormConstants {
    /// What is added to a variance before its root.
    pub eps: f64,
    /// Weight of the newest batch in the running statistics.
    pub momentum: f64,
}

impl NormConstants {
    /// What `PyTorch` takes unless it is told otherwise.
    pub const PYTORCH: Self = Self { eps: 1e-5, momentum: 0.1 };
    /// What Google's networks of mobile size were trained with.
    pub const TENSORFLOW: Self = Self { eps: 1e-3, momentum: 0.01 };
}

/// Maps of which libtorch hands a 1x1 convolution to oneDNN even on one thread.
const FAST_BATCH: i64 = 16;

/// Where a convolution puts the zeros around its map. With stride 1 the two are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// As many at every side, whatever the map's size: `PyTorch`'s networks.
    Centred,
    /// As few as give ceil(side / stride) cells, and of an odd number one more at the far side: TensorFlow's `SAME`.
    Same,
}

/// The initial weights of convolutions followed by `ReLU`: keeps the variance of gradients.
pub const KAIMING_FAN_OUT: Init = Init::Kaiming {
    dist: nn::init::NormalOrUniform::Normal,
    fan: nn::init::FanInOut::FanOut,
    non_linearity: nn::init::NonLinearity::ReLU,
};

/// The initial weights of a linear 1x1 head from `from` to `to` channels.
pub fn xavier_uniform(from: i64, to: i64, gain: f64) -> Init {
    let bound = gain * (6.0 / (from + to) as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

/// A convolution to be created, of an odd kernel.
#[derive(Clone, Copy, Debug)]
pub struct ConvSpec {
    pub from: i64,
    pub to: i64,
    pub kernel: i64,
    pub stride: i64,
    pub dilation: i64,
    pub groups: i64,
    pub padding: Padding,
    pub norm: Norm,
    pub init: Init,
}

impl ConvSpec {
    /// A trained 1x1 convolution of stride 1.
    pub const fn pointwise(from: i64, to: i64) -> Self {
        Self {
            from,
            to,
            kernel: 1,
            stride: 1,
            dilation: 1,
            groups: 1,
            padding: Padding::Centred,
            norm: Norm::Train,
            init: KAIMING_FAN_OUT,
        }
    }

    /// A trained 3x3 convolution that keeps the size.
    pub const fn spatial(from: i64, to: i64, dilation: i64) -> Self {
        Self { kernel: 3, dilation, ..Self::pointwise(from, to) }
    }
}

/// A convolution.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    spec: ConvSpec,
    /// Where its variables lie, for whoever looks for them in a state dict.
    place: String,
    /// Its weight and bias together with those of the norm after it, once nothing changes them.
    fixed: OnceCell<(Tensor, Tensor)>,
}

impl Conv {
    /// Creates `weight` below `path`; frozen if `spec.norm` says so.
    pub fn new<'a>(path: impl Borrow<nn::Path<'a>>, spec: ConvSpec) -> Self {
        let path = path.borrow();
        let size = [spec.to, spec.from / spec.groups, spec.kernel, spec.kernel];
        let weight = nn::init(spec.init, &size, path.device());
        let place = path.components().collect::<Vec<_>>().join(".");
        Self {
            weight: path.add("weight", weight, spec.norm == Norm::Train),
            bias: None,
            spec,
            place,
            fixed: OnceCell::new(),
        }
    }

    /// As [`Conv::new`], with a trained `bias` that starts at zero.
    pub fn with_bias<'a>(path: impl Borrow<nn::Path<'a>>, spec: ConvSpec) -> Self {
        let path = path.borrow();
        let bias = path.zeros("bias", &[spec.to]);
        Self { bias: Some(bias), ..Self::new(path, spec) }
    }

    /// # Shapes
    /// `x [B, from, h, w]` to `[B, to, ceil(h / stride), ceil(w / stride)]`.
    pub fn forward<M: FeatureMap>(&self, x: &M) -> M {
        x.convolve(self)
    }

    /// This convolution and `norm` after it.
    pub fn forward_normalized<M: FeatureMap>(&self, norm: &BatchNorm, x: &M, mode: Mode) -> M {
        self.forward_dilated(norm, x, self.spec.dilation, mode)
    }

    /// [`Conv::forward_normalized`] with another dilation than its own.
    pub fn forward_dilated<M: FeatureMap>(&self, norm: &BatchNorm, x: &M, dilation: i64, mode: Mode) -> M {
        x.convolve_normalized(self, norm, dilation, mode)
    }

    /// What [`Conv::new`] was asked for.
    pub(super) fn spec(&self) -> ConvSpec {
        self.spec
    }

    /// The names of `weight` and, if it has one, `bias` in a state dict.
    pub(super) fn names(&self) -> (String, Option<String>) {
        (variable(&self.place, "weight"), self.bias.as_ref().map(|_| variable(&self.place, "bias")))
    }

    /// [`Conv::forward`] of a tensor.
    pub(super) fn of_tensor(&self, x: &Tensor) -> Tensor {
        self.convolve(x, &self.weight, self.bias.as_ref(), self.spec.dilation)
    }

    /// [`Conv::forward_dilated`] of a tensor.
    ///
    /// Where `norm` uses running statistics it scales and shifts each channel, so its scale is put into the weights and
    /// its shift becomes the bias: exact but for rounding, and a pass over the map less in either direction.
    pub(super) fn normalized_of_tensor(&self, norm: &BatchNorm, x: &Tensor, dilation: i64, mode: Mode) -> Tensor {
        if norm.counts_batch(mode) {
            return norm.of_tensor(&self.convolve(x, &self.weight, None, dilation), mode);
        }
        let fold = || {
            let ChannelAffine { scale, shift } = norm.affine(mode);
            ((&self.weight * scale.reshape([-1, 1, 1, 1])).to_kind(x.kind()), shift.to_kind(x.kind()))
        };
        if mode == Mode::Fixed {
            let (weight, bias) = self.fixed.get_or_init(|| tch::no_grad(fold));
            return self.convolve(x, weight, Some(bias), dilation);
        }
        let (weight, bias) = fold();
        self.convolve(x, &weight, Some(&bias), dilation)
    }

    fn convolve(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, dilation: i64) -> Tensor {
        let ConvSpec { kernel, stride, groups, .. } = self.spec;
        // Master weights are f32; a map of fewer bits is convolved with as few.
        let (weight, bias) = (weight.to_kind(x.kind()), bias.map(|bias| bias.to_kind(x.kind())));
        if kernel == 1 && stride == 1 && groups == 1 && !x.requires_grad() {
            return pointwise(x, |x| x.conv2d(&weight, bias.as_ref(), [1, 1], [0, 0], [1, 1], 1));
        }
        let filter = |x: &Tensor, padding: [i64; 2]| {
            x.conv2d(&weight, bias.as_ref(), [stride; 2], padding, [dilation; 2], groups)
        };
        if self.spec.padding == Padding::Centred || stride == 1 {
            return filter(x, [dilation * (kernel / 2); 2]);
        }
        let (_, _, h, w) = x.size4().expect("maps are [B, C, h, w]");
        let [rows, columns] = [h, w].map(|side| same_padding(side, stride, dilation * (kernel - 1) + 1));
        if rows % 2 == 0 && columns % 2 == 0 {
            return filter(x, [rows / 2, columns / 2]);
        }
        let around = [columns / 2, columns - columns / 2, rows / 2, rows - rows / 2];
        filter(&x.constant_pad_nd(around), [0, 0])
    }
}

/// A 1x1 convolution. Where the channels of a pixel lie side by side, rows of a map are as good as maps, and of many
/// maps libtorch takes its fast path.
fn pointwise(x: &Tensor, filter: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let (b, c, h, w) = x.size4().expect("maps are [B, C, h, w]");
    let pixels = x.permute([0, 2, 3, 1]); // [B, h, w, C]
    if x.device() != Device::Cpu || b >= FAST_BATCH || !channels_are_innermost(x) {
        return filter(x);
    }
    let parts = (1..=h).find(|parts| h % parts == 0 && b * parts >= FAST_BATCH).unwrap_or(h);
    let y = filter(&pixels.reshape([b * parts, h / parts, w, c]).permute([0, 3, 1, 2])); // [B parts, to, h / parts, w]
    let y = y.permute([0, 2, 3, 1]).contiguous().reshape([b, h, w, -1]); // [B, h, w, to]
    y.permute([0, 3, 1, 2])
}

/// Do the channels of a pixel lie side by side in memory?
fn channels_are_innermost(x: &Tensor) -> bool {
    x.permute([0, 2, 3, 1]).is_contiguous()
}

/// The name in a state dict of a variable of a layer.
fn variable(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

/// How many zeros TensorFlow's `SAME` puts around a side, for kernels that reach over `reach` cells.
fn same_padding(side: i64, stride: i64, reach: i64) -> i64 {
    let cells = (side + stride - 1) / stride;
    ((cells - 1) * stride + reach - side).max(0)
}

/// What batch normalisation by running statistics does to each channel, `[C]`: times `scale`, plus `shift`.
#[derive(Debug)]
struct ChannelAffine {
    scale: Tensor,
    shift: Tensor,
}

impl ChannelAffine {
    fn share(&self) -> Self {
        Self { scale: self.scale.shallow_clone(), shift: self.shift.shallow_clone() }
    }

    /// # Shapes
    /// `x [B, C, h, w]` to the same. One pass over the map, and one over its gradient, in the map's own layout:
    /// libtorch's normalisation gives a gradient whose channels are the outermost, wherever the map's are. A map of
    /// fewer bits is scaled and shifted by as few, as it is convolved.
    fn of_tensor(&self, x: &Tensor) -> Tensor {
        let [scale, shift] = [&self.scale, &self.shift].map(|channels| channels.to_kind(x.kind()).view([1, -1, 1, 1]));
        shift.addcmul(x, &scale)
    }
}

/// Batch normalisation.
#[derive(Debug)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    norm: Norm,
    constants: NormConstants,
    /// Where its variables lie, for whoever looks for them in a state dict.
    place: String,
    /// What it does as long as nothing changes it, and of which versions of its variables that was made. A variable's
    /// version counts what is written into it, but not what is written into a [`super::Flat`] that holds it: a frozen
    /// norm has the same values before and after.
    constant: RefCell<Option<([i64; 4], ChannelAffine)>>,
}

impl BatchNorm {
    /// Creates the two parameters and the two buffers below `path`, with `PyTorch`'s constants.
    pub fn new<'a>(path: impl Borrow<nn::Path<'a>>, channels: i64, norm: Norm) -> Self {
        Self::with(path, channels, norm, NormConstants::PYTORCH)
    }

    /// As [`BatchNorm::new`], with other constants.
    pub fn with<'a>(path: impl Borrow<nn::Path<'a>>, channels: i64, norm: Norm, constants: NormConstants) -> Self {
        let path = path.borrow();
        let trained = norm == Norm::Train;
        let options: (Kind, Device) = (Kind::Float, path.device());
        Self {
            weight: path.add("weight", Tensor::ones([channels], options), trained),
            bias: path.add("bias", Tensor::zeros([channels], options), trained),
            running_mean: path.zeros_no_train("running_mean", &[channels]),
            running_var: path.ones_no_train("running_var", &[channels]),
            norm,
            constants,
            place: path.components().collect::<Vec<_>>().join("."),
            constant: RefCell::new(None),
        }
    }

    /// Is it the same in every pass?
    fn is_constant(&self, mode: Mode) -> bool {
        self.norm == Norm::Frozen || mode == Mode::Fixed
    }

    /// What it does by its running statistics.
    fn affine(&self, mode: Mode) -> ChannelAffine {
        let Self { weight, bias, running_mean, running_var, .. } = self;
        let make = || {
            let scale = weight / (running_var + self.constants.eps).sqrt();
            let shift = bias - running_mean * &scale;
            ChannelAffine { scale, shift }
        };
        if !self.is_constant(mode) {
            return make();
        }
        let versions = [weight, bias, running_mean, running_var].map(Tensor::internal_version);
        let mut constant = self.constant.borrow_mut();
        let kept = constant.take().filter(|(made_of, _)| *made_of == versions);
        let (_, affine) = constant.insert(kept.unwrap_or_else(|| (versions, tch::no_grad(make))));
        affine.share()
    }

    /// Does it use the statistics of the batch, and not the running ones?
    fn counts_batch(&self, mode: Mode) -> bool {
        self.norm == Norm::Train && mode == Mode::Train
    }

    /// # Shapes
    /// `x [B, channels, h, w]` to the same.
    pub fn forward<M: FeatureMap>(&self, x: &M, mode: Mode) -> M {
        x.normalize(self, mode)
    }

    /// What is added to a variance before its root.
    pub(super) fn eps(&self) -> f64 {
        self.constants.eps
    }

    /// The names of its scale, shift, mean and variance in a state dict.
    pub(super) fn names(&self) -> [String; 4] {
        ["weight", "bias", "running_mean", "running_var"].map(|name| variable(&self.place, name))
    }

    /// [`BatchNorm::forward`] of a tensor.
    pub(super) fn of_tensor(&self, x: &Tensor, mode: Mode) -> Tensor {
        if self.is_constant(mode) && channels_are_innermost(x) {
            return self.affine(mode).of_tensor(x);
        }
        if ranks::size() > 1 && self.counts_batch(mode) {
            return self.of_parts(x);
        }
        x.batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            self.counts_batch(mode),
            self.constants.momentum,
            self.constants.eps,
            true,
        )
    }

    /// [`BatchNorm::of_tensor`] of this process's part of a batch, by the statistics of the whole.
    fn of_parts(&self, x: &Tensor) -> Tensor {
        let statistics = Statistics::of(x);
        statistics.follow(&self.running_mean, &self.running_var, self.constants.momentum);
        statistics.normalise(x, [&self.weight, &self.bias], self.constants.eps)
    }
}
