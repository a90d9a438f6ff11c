//! Stochastic gradient descent as the method uses it (METHOD.md, section 2): named groups, poly schedule.

use artifact::ParamError;
use serde::{Deserialize, Serialize};
use tch::{Tensor, nn, no_grad};

/// The optimiser's part of a training stage's parameters.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerParams {
    /// Learning rate of the backbone at step 0.
    pub lr: f64,
    /// Learning rate of the heads as a multiple of `lr`.
    pub head_lr: f64,
    /// SGD's momentum.
    pub momentum: f64,
    /// L2 penalty, on convolution weights only.
    pub weight_decay: f64,
    /// Exponent of the poly schedule.
    pub power: f64,
}

impl OptimizerParams {
    /// Checks ranges.
    pub fn check(&self) -> Result<(), ParamError> {
        let ranges = [
            ("lr", self.lr, self.lr > 0.0),
            ("head_lr", self.head_lr, self.head_lr >= 0.0),
            ("momentum", self.momentum, (0.0..1.0).contains(&self.momentum)),
            ("weight_decay", self.weight_decay, self.weight_decay >= 0.0),
            ("power", self.power, self.power >= 0.0),
        ];
        for (name, value, good) in ranges {
            if !good || !value.is_finite() {
                return Err(ParamError::new(format!("optimizer.{name}"), format!("{value} is out of range")));
            }
        }
        Ok(())
    }

    /// The poly schedule: lr (1 - step / steps)^power, `step` from 0.
    pub fn lr_at(&self, step: u64, steps: u64) -> f64 {
        self.lr * (1.0 - step as f64 / steps as f64).powf(self.power)
    }
}

/// The optimiser with the state that a checkpoint needs.
pub struct Sgd {
    groups: Vec<Parameter>,
    momentum: f64,
}

struct Parameter {
    name: String,
    tensor: Tensor,
    velocity: Option<Tensor>,
    lr_factor: f64,
    weight_decay: f64,
}

impl Sgd {
    /// An optimiser for the trainable variables. Those below `backbone` have learning rate factor 1, the heads
    /// `head_lr`; weights of convolutions (four dimensions) decay.
    pub fn new(vs: &nn::VarStore, params: &OptimizerParams) -> Self {
        let mut variables: Vec<_> = vs.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad()).collect();
        variables.sort_by(|(a, _), (b, _)| a.cmp(b));
        let groups = variables.into_iter().map(|(name, tensor)| Parameter {
            velocity: (params.momentum != 0.0).then(|| no_grad(|| tensor.zeros_like())),
            lr_factor: if name.starts_with("backbone.") { 1.0 } else { params.head_lr },
            weight_decay: if tensor.dim() == 4 { params.weight_decay } else { 0.0 },
            name,
            tensor,
        });
        Self { groups: groups.collect(), momentum: params.momentum }
    }

    /// Back-propagates `loss` and takes one step: v = momentum v + (g + decay w), w = w - lr v.
    pub fn step(&mut self, loss: &Tensor, lr: f64) {
        for group in &mut self.groups {
            group.tensor.zero_grad();
        }
        loss.backward();
        no_grad(|| {
            for group in &mut self.groups {
                let mut update = group.tensor.grad();
                if !update.defined() {
                    continue;
                }
                if group.weight_decay != 0.0 {
                    update += &group.tensor * group.weight_decay;
                }
                if let Some(velocity) = &mut group.velocity {
                    let _ = velocity.g_mul_scalar_(self.momentum).g_add_(&update);
                    update = velocity.shallow_clone();
                }
                let _ = group.tensor.g_sub_(&(update * (lr * group.lr_factor)));
            }
        });
    }

    /// The velocities, by name of their variable.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let velocities = self.groups.iter().filter_map(|group| Some((group, group.velocity.as_ref()?)));
        velocities.map(|(group, velocity)| (format!("velocity.{}", group.name), velocity.shallow_clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn weight_decay_is_not_momentum() {
        let vs = nn::VarStore::new(Device::Cpu);
        let weight = (vs.root() / "backbone" / "conv").var("weight", &[1, 1, 1, 1], nn::Init::Const(2.0));
        let params = OptimizerParams { lr: 0.1, head_lr: 10.0, momentum: 0.0, weight_decay: 0.5, power: 0.9 };
        let mut sgd = Sgd::new(&vs, &params);
        for _ in 0..2 {
            sgd.step(&(&weight * 3.0).sum(Kind::Float), 0.1);
        }
        // w <- w - 0.1 (3 + 0.5 w), twice, from 2: 1.6, 1.22.
        assert!((weight.double_value(&[0, 0, 0, 0]) - 1.22).abs() < 1e-6);
    }

    #[test]
    fn momentum_and_head_rate() {
        let vs = nn::VarStore::new(Device::Cpu);
        let weight = (vs.root() / "classifier").var("bias", &[1], nn::Init::Const(0.0));
        let params = OptimizerParams { lr: 0.1, head_lr: 10.0, momentum: 0.5, weight_decay: 0.5, power: 0.9 };
        let mut sgd = Sgd::new(&vs, &params);
        for _ in 0..2 {
            sgd.step(&weight.sum(Kind::Float), 0.1);
        }
        // A bias does not decay; v = 1 then 1.5; w = -(1 + 1.5).
        assert!((weight.double_value(&[0]) + 2.5).abs() < 1e-6);
    }
}
