//! A network's inference as data: the operations that its forward would compute, in their order, with the names of its
//! variables. The forward itself writes them down, on a [`Value`] in place of a tensor.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Serialize;
use tch::Tensor;

use super::Mode;
use super::layer::{BatchNorm, Conv, Padding};
use super::map::{Affine, Computing, FeatureMap, Pool};

/// One operation; `x` and `y` are the numbers of values, see [`Graph`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields that carry the field's standard names")]
pub enum Operation {
    /// Each channel times `factor`, plus `offset`.
    Affine { x: usize, factor: Vec<f32>, offset: Vec<f32> },
    /// A convolution with an odd square kernel, whose side its weights tell.
    Convolution {
        x: usize,
        weight: String,
        bias: Option<String>,
        stride: i64,
        dilation: i64,
        groups: i64,
        padding: Padding,
    },
    /// Batch normalisation with running statistics: `(x - mean) / sqrt(variance + eps) * weight + bias`.
    Normalization { x: usize, weight: String, bias: String, mean: String, variance: String, eps: f64 },
    /// `ReLU`.
    Relu { x: usize },
    /// `ReLU`, and 6 at most.
    Relu6 { x: usize },
    /// The sum of two maps.
    Add { x: usize, y: usize },
    /// The largest of each square window.
    MaxPool { x: usize, kernel: i64, stride: i64, padding: i64 },
    /// The mean of each channel, `[B, C]`.
    Mean { x: usize },
    /// `x` in the size of the input: bilinear, corners not aligned.
    Upsample { x: usize },
}

impl Operation {
    /// Is the value `number` looked at?
    pub(crate) fn uses(&self, number: usize) -> bool {
        match self {
            Self::Add { x, y } => [*x, *y].contains(&number),
            Self::Affine { x, .. }
            | Self::Convolution { x, .. }
            | Self::Normalization { x, .. }
            | Self::Relu { x }
            | Self::Relu6 { x }
            | Self::MaxPool { x, .. }
            | Self::Mean { x }
            | Self::Upsample { x } => *x == number,
        }
    }
}

/// Operations, each of which uses only values before it. Value 0 is the input, value `n` the result of operation
/// `n - 1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Graph {
    /// In the order in which they are computed.
    pub operations: Vec<Operation>,
    /// The numbers of the values that are asked for, by name.
    pub outputs: BTreeMap<String, usize>,
}

impl Graph {
    /// The graph of what `forward` does with the input; it returns the outputs.
    pub fn record<const N: usize>(forward: impl FnOnce(&Value) -> [(&'static str, Value); N]) -> Self {
        let operations = Rc::default();
        let outputs = forward(&Value { operations: Rc::clone(&operations), number: 0 });
        let outputs = outputs.into_iter().map(|(name, value)| (name.to_owned(), value.number)).collect();
        let operations = operations.take();
        Self { operations, outputs }
    }
}

/// A value of a graph that is being recorded: stands where a tensor would.
#[derive(Clone, Debug)]
pub struct Value {
    operations: Rc<RefCell<Vec<Operation>>>,
    number: usize,
}

impl Value {
    /// The result of one more operation.
    fn then(&self, operation: Operation) -> Self {
        let mut operations = self.operations.borrow_mut();
        operations.push(operation);
        Self { operations: Rc::clone(&self.operations), number: operations.len() }
    }

    /// This map in the size of the graph's input: bilinear, corners not aligned.
    #[must_use]
    pub fn upsample(&self) -> Self {
        self.then(Operation::Upsample { x: self.number })
    }

    fn convolve_dilated(&self, conv: &Conv, dilation: i64) -> Self {
        let (spec, (weight, bias)) = (conv.spec(), conv.names());
        // With stride 1 the two paddings are the same.
        let padding = if spec.stride == 1 { Padding::Centred } else { spec.padding };
        self.then(Operation::Convolution {
            x: self.number,
            weight,
            bias,
            stride: spec.stride,
            dilation,
            groups: spec.groups,
            padding,
        })
    }
}

/// Inference: no dropout, running statistics, whatever the mode.
impl FeatureMap for Value {
    fn share(&self) -> Self {
        self.clone()
    }

    /// A graph says nothing of numbers.
    fn enter(&self, _: Computing) -> Self {
        self.clone()
    }

    fn leave(&self) -> Self {
        self.clone()
    }

    fn convolve(&self, conv: &Conv) -> Self {
        self.convolve_dilated(conv, conv.spec().dilation)
    }

    fn convolve_normalized(&self, conv: &Conv, norm: &BatchNorm, dilation: i64, mode: Mode) -> Self {
        self.convolve_dilated(conv, dilation).normalize(norm, mode)
    }

    fn normalize(&self, norm: &BatchNorm, _: Mode) -> Self {
        let [weight, bias, mean, variance] = norm.names();
        self.then(Operation::Normalization { x: self.number, weight, bias, mean, variance, eps: norm.eps() })
    }

    fn relu(self) -> Self {
        self.then(Operation::Relu { x: self.number })
    }

    fn relu6(self) -> Self {
        self.then(Operation::Relu6 { x: self.number })
    }

    fn feature_dropout(self, _: f64, _: Mode) -> Self {
        self
    }

    fn add(self, other: &Self) -> Self {
        self.then(Operation::Add { x: self.number, y: other.number })
    }

    fn max_pool(&self, Pool { kernel, stride, padding }: Pool) -> Self {
        self.then(Operation::MaxPool { x: self.number, kernel, stride, padding })
    }

    fn affine(&self, Affine { factor, offset }: &Affine) -> Self {
        let channels = |values: &Tensor| Vec::try_from(values.view(-1)).expect("three values of f32");
        self.then(Operation::Affine { x: self.number, factor: channels(factor), offset: channels(offset) })
    }

    fn global_average_pool(&self) -> Self {
        self.then(Operation::Mean { x: self.number })
    }

    /// None: they spare libtorch's dilated kernels, and a graph says what is computed.
    fn phases(&self) -> Option<Self> {
        None
    }

    fn whole(&self, halvings: u32) -> Self {
        assert_eq!(halvings, 0, "a value has no phases");
        self.clone()
    }
}
