//! Batch normalisation of a batch whose parts lie with several processes: the statistics of the whole batch, through
//! which gradients flow to every part.

use collective::Moments;
use tch::{Kind, Tensor, no_grad};

use crate::ranks;

/// Mean and variance of each channel over the whole batch, f32 `[C]`.
#[derive(Debug)]
pub struct Statistics {
    mean: Tensor,
    /// Not corrected for the number of values.
    variance: Tensor,
    /// Values a channel.
    count: f64,
}

impl Statistics {
    /// Of `x [B, C, h, w]`, of which every process has as many values. The small sums are of 64 bits: a difference of
    /// squares loses nothing there.
    pub fn of(x: &Tensor) -> Self {
        let (b, _, h, w) = x.size4().expect("maps are [B, C, h, w]");
        // [C], and for the sum [2, C]
        let (mean, variance) = no_grad(|| {
            let (mean, variance) = x.to_kind(Kind::Float).batch_norm_update_stats(None::<Tensor>, None, 0.0);
            let (mean, variance) = (mean.to_kind(Kind::Double), variance.to_kind(Kind::Double));
            let all = ranks::sum(&Tensor::stack(&[&mean, &(variance + &mean * &mean)], 0)) / ranks::size() as f64;
            let (mean, square) = (all.get(0), all.get(1));
            let variance = (square - &mean * &mean).clamp_min(0.0);
            (mean.to_kind(Kind::Float), variance.to_kind(Kind::Float))
        });
        Self { mean, variance, count: (b * h * w) as f64 * ranks::size() as f64 }
    }

    /// Normalises `x [B, C, h, w]` by them, then scales it by weight and shifts it by bias, `[C]`.
    pub fn normalise(&self, x: &Tensor, [weight, bias]: [&Tensor; 2], eps: f64) -> Tensor {
        let Self { mean, variance, count } = self;
        ranks::normalise(x, &Moments { mean, variance, count: *count, weight, bias, eps })
    }

    /// Moves running statistics towards these by `momentum`, as libtorch does: the variance corrected.
    pub fn follow(&self, running_mean: &Tensor, running_var: &Tensor, momentum: f64) {
        no_grad(|| {
            let corrected = &self.variance * (self.count / (self.count - 1.0).max(1.0));
            for (running, new) in [(running_mean, &self.mean), (running_var, &corrected)] {
                let new = new.detach().to_kind(running.kind());
                let _ = running.shallow_clone().lerp_(&new, momentum);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::layer::BatchNorm;
    use super::super::{Mode, Norm};
    use super::*;
    use crate::ranks::tests::together;
    use tch::{Device, nn};

    /// What a norm makes of a part of a batch: its result, the gradients of the part and of its two parameters, and
    /// its running statistics, all flat.
    fn learn(x: &Tensor, weights: &Tensor) -> Vec<Vec<f64>> {
        let vs = nn::VarStore::new(Device::Cpu);
        let norm = BatchNorm::new(vs.root(), 3, Norm::Train);
        let x = x.copy().set_requires_grad(true);
        let y = norm.of_tensor(&x, Mode::Train);
        (&y * weights).sum(Kind::Float).backward();
        let variables = vs.variables();
        let gradient = |name: &str| variables[name].grad();
        let running = |name: &str| variables[name].detach();
        let all = [y.detach(), x.grad(), gradient("weight"), gradient("bias"), running("running_mean")];
        let all = all.into_iter().chain([running("running_var")]);
        all.map(|tensor| Vec::<f64>::try_from(tensor.to_kind(Kind::Double).reshape([-1])).unwrap()).collect()
    }

    #[test]
    fn parts_of_a_batch_are_normalised_as_the_whole() {
        let learn_part = |first: i64, count: i64| {
            let numbers = (Tensor::arange(4 * 3 * 5 * 6, tch::kind::FLOAT_CPU) * 0.37).view([4, 3, 5, 6]);
            let (x, weights) = (numbers.sin() * 2.0 + 0.7, (&numbers * 1.7).cos());
            learn(&x.narrow(0, first, count), &weights.narrow(0, first, count))
        };
        let whole = learn_part(0, 4);
        let parts = together(2, |rank| learn_part(2 * rank as i64, 2));
        for (index, whole) in whole.iter().enumerate() {
            let [a, b] = [0, 1].map(|rank: usize| &parts[rank][index]);
            let found: Vec<f64> = match index {
                0 | 1 => a.iter().chain(b).copied().collect(),
                2 | 3 => a.iter().zip(b).map(|(a, b)| a + b).collect(),
                _ => {
                    assert_eq!(a, b, "running statistics are the same everywhere");
                    a.clone()
                }
            };
            for (found, expected) in found.iter().zip(whole) {
                assert!((found - expected).abs() < 1e-5, "{index}: {found} and {expected}");
            }
        }
    }
}
