//! What the networks' layers work on: a tensor, which they compute, or a value of a [`super::graph`], where they write
//! down what they would compute. Each network's forward is written once for both, so that what leaves as a graph is
//! what is computed here.

use artifact::Numerics;
use tch::{Device, Kind, Tensor};

use super::layer::{BatchNorm, Conv};
use super::{Mode, phases};
use crate::ranks;

/// A change of each of the three channels of a picture: times `factor`, plus `offset`.
#[derive(Debug)]
pub struct Affine {
    /// What each channel is multiplied by, `[1, 3, 1, 1]`.
    pub factor: Tensor,
    /// What is added then, `[1, 3, 1, 1]`.
    pub offset: Tensor,
}

impl Affine {
    /// For pictures on `device`.
    pub fn new(factor: [f32; 3], offset: [f32; 3], device: Device) -> Self {
        let channel = |values: [f32; 3]| Tensor::from_slice(&values).view([1, 3, 1, 1]).to_device(device);
        Self { factor: channel(factor), offset: channel(offset) }
    }
}

/// The largest of the values below a square window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The window's side.
    pub kernel: i64,
    /// Cells from one window to the next.
    pub stride: i64,
    /// Empty cells at every side.
    pub padding: i64,
}

/// How a network computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Computing {
    /// In which numbers.
    pub numerics: Numerics,
    /// Do the channels of a pixel lie side by side in memory? The tensor cores of a GPU work on such maps, and so do
    /// the fastest 1x1, depthwise and dilated convolutions of a CPU. Other sums round otherwise.
    pub channels_innermost: bool,
}

impl Computing {
    /// In these numbers, in the layout that is fast for them.
    pub fn with(numerics: Numerics) -> Self {
        Self { numerics, channels_innermost: numerics != Numerics::F32 }
    }
}

/// A map `[B, C, h, w]`. What takes it by value may overwrite it.
#[expect(clippy::return_self_not_must_use, reason = "nobody computes a map and leaves it")]
pub trait FeatureMap: Sized {
    /// The same map once more.
    fn share(&self) -> Self;
    /// Pictures in the numbers, and with the layout, in which a network computes.
    fn enter(&self, computing: Computing) -> Self;
    /// A network's result as 32-bit floats.
    fn leave(&self) -> Self;
    /// A convolution.
    fn convolve(&self, conv: &Conv) -> Self;
    /// A convolution with this dilation, and the normalisation after it.
    fn convolve_normalized(&self, conv: &Conv, norm: &BatchNorm, dilation: i64, mode: Mode) -> Self;
    /// Batch normalisation.
    fn normalize(&self, norm: &BatchNorm, mode: Mode) -> Self;
    /// `ReLU`.
    fn relu(self) -> Self;
    /// `ReLU6`: `ReLU`, and 6 at most.
    fn relu6(self) -> Self;
    /// Dropout of whole channels at `rate`, where `mode` drops.
    fn feature_dropout(self, rate: f64, mode: Mode) -> Self;
    /// The sum of two maps of one size.
    fn add(self, other: &Self) -> Self;
    /// The largest value of each window.
    fn max_pool(&self, pool: Pool) -> Self;
    /// Each channel of a picture changed.
    fn affine(&self, affine: &Affine) -> Self;
    /// The mean of each channel, `[B, C]`.
    fn global_average_pool(&self) -> Self;
    /// The phases of the map, which make a dilated layer an undilated one; `None` where it has none of one size, or
    /// where they are nothing gained.
    fn phases(&self) -> Option<Self>;
    /// The map of which this is the `halvings`-fold phases.
    fn whole(&self, halvings: u32) -> Self;
}

impl FeatureMap for Tensor {
    fn share(&self) -> Self {
        self.shallow_clone()
    }

    fn enter(&self, Computing { numerics, channels_innermost }: Computing) -> Self {
        let kind = if numerics == Numerics::Bf16 { Kind::BFloat16 } else { Kind::Float };
        let map = self.to_kind(kind);
        if channels_innermost { map.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]) } else { map }
    }

    fn leave(&self) -> Self {
        self.to_kind(Kind::Float)
    }

    fn convolve(&self, conv: &Conv) -> Self {
        conv.of_tensor(self)
    }

    fn convolve_normalized(&self, conv: &Conv, norm: &BatchNorm, dilation: i64, mode: Mode) -> Self {
        conv.normalized_of_tensor(norm, self, dilation, mode)
    }

    fn normalize(&self, norm: &BatchNorm, mode: Mode) -> Self {
        norm.of_tensor(self, mode)
    }

    fn relu(mut self) -> Self {
        self.relu_()
    }

    /// For the gradient, libtorch keeps the map as it was before, beside the one that the next layer keeps. The
    /// gradient flows where the result is neither 0 nor 6, so the result can stand in for what it was made of.
    fn relu6(mut self) -> Self {
        if !self.requires_grad() {
            return self.relu6_();
        }
        let clamped = Tensor::relu6(&self);
        self.set_data(&clamped.detach());
        clamped
    }

    fn feature_dropout(self, rate: f64, mode: Mode) -> Self {
        if ranks::size() > 1 && mode.drops() {
            return &self * kept_channels(&self, rate);
        }
        Tensor::feature_dropout(&self, rate, mode.drops())
    }

    fn add(self, other: &Self) -> Self {
        self + other
    }

    fn max_pool(&self, Pool { kernel, stride, padding }: Pool) -> Self {
        self.max_pool2d([kernel; 2], [stride; 2], [padding; 2], [1, 1], false)
    }

    fn affine(&self, Affine { factor, offset }: &Affine) -> Self {
        (self * factor + offset).to_kind(self.kind())
    }

    fn global_average_pool(&self) -> Self {
        self.mean_dim([2, 3].as_slice(), false, Kind::Float)
    }

    fn phases(&self) -> Option<Self> {
        phases::divides(self).then(|| phases::split(self))
    }

    fn whole(&self, halvings: u32) -> Self {
        (0..halvings).fold(self.shallow_clone(), |x, _| phases::join(&x))
    }
}

/// What dropout multiplies the maps of this process by: its part of the mask that one process would draw for the whole
/// batch.
///
/// # Shapes
/// `map [B, C, h, w]` to `[B, C, 1, 1]`.
fn kept_channels(map: &Tensor, rate: f64) -> Tensor {
    let (b, c, _, _) = map.size4().expect("maps are [B, C, h, w]");
    let mut whole = Tensor::empty([b * ranks::size() as i64, c, 1, 1], (map.kind(), map.device()));
    let mask = whole.bernoulli_float_(1.0 - rate) / (1.0 - rate);
    mask.narrow(0, b * ranks::rank() as i64, b)
}
