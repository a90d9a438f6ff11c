//! Floating-point operations of a network's convolutions, and the rate that this machine reaches on a large one.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor, nn};
use wsss::model::graph::{Graph, Operation};
use wsss::model::{CamNet, Mode};

use crate::measure::{best, seconds};

/// Operations of the convolutions of one forward on `batch` square images of `side` pixels: a multiplication and an
/// addition count two.
pub fn forward_flops(net: &CamNet, vs: &nn::VarStore, batch: i64, side: i64) -> f64 {
    let graph = Graph::record(|images| [("cam", net.forward(images, Mode::Eval).cam)]);
    let shapes: BTreeMap<String, Vec<i64>> =
        vs.variables().into_iter().map(|(name, variable)| (name, variable.size())).collect();
    let (mut sides, mut total) = (vec![side], 0.0);
    for operation in &graph.operations {
        let made = match operation {
            Operation::Convolution { x, weight, stride, .. } => {
                let made = (sides[*x] + stride - 1) / stride;
                // Each output sums over a whole filter.
                total += 2.0 * (batch * made * made * shapes[weight].iter().product::<i64>()) as f64;
                made
            }
            Operation::MaxPool { x, stride, .. } => (sides[*x] + stride - 1) / stride,
            Operation::Upsample { .. } => side,
            Operation::Mean { .. } => 1,
            Operation::Affine { x, .. }
            | Operation::Normalization { x, .. }
            | Operation::Relu { x }
            | Operation::Relu6 { x }
            | Operation::Add { x, .. } => sides[*x],
        };
        sides.push(made);
    }
    total
}

/// Operations a second of a 3x3 convolution of 256 channels on maps of 40 x 40, on so many threads.
pub fn convolution_rate(threads: usize) -> f64 {
    tch::set_num_threads(threads as i32);
    let options = (Kind::Float, Device::Cpu);
    let (x, weight) = (Tensor::randn([8, 256, 40, 40], options), Tensor::randn([256, 256, 3, 3], options));
    let convolve = || drop(x.conv2d::<Tensor>(&weight, None, [1, 1], [1, 1], [1, 1], 1));
    let [seconds] = best(4, [&mut || seconds(convolve)]);
    tch::set_num_threads(1);
    2.0 * (8 * 40 * 40) as f64 * weight.numel() as f64 / seconds
}
