//! Stochastic gradient descent as the method uses it (METHOD.md, section 2): named groups, poly schedule.

use artifact::ParamError;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor, no_grad};

use crate::model::Flat;
use crate::ranks;

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
    flat: Flat,
    /// Laid out as what is trained: each variable's gradient lies in it from its first one on.
    gradients: Tensor,
    /// Which variables have had a gradient.
    reached: Vec<bool>,
    /// The gradient of the first summand of a loss, and whether others have come.
    first: Option<Tensor>,
    summands: usize,
    velocity: Option<Tensor>,
    momentum: f64,
    head_lr: f64,
    weight_decay: f64,
}

/// Variables side by side that take their step together.
struct Run {
    from: i64,
    length: i64,
    head: bool,
    decays: bool,
}

impl Sgd {
    /// An optimiser for what is trained. What lies below `backbone` has learning rate factor 1, the heads `head_lr`;
    /// weights of convolutions (four dimensions) decay.
    pub fn new(flat: Flat, params: &OptimizerParams) -> Self {
        let OptimizerParams { momentum, head_lr, weight_decay, .. } = *params;
        Self {
            gradients: flat.zeros(),
            reached: vec![false; flat.places.len()],
            first: None,
            summands: 0,
            velocity: (momentum != 0.0).then(|| flat.zeros()),
            flat,
            momentum,
            head_lr,
            weight_decay,
        }
    }

    /// Back-propagates a summand of the loss. The first summand's gradient is added last, so that the sum is the one of
    /// a single pass, which goes through what was computed last first.
    pub fn backward(&mut self, summand: &Tensor) {
        if self.summands == 1 {
            no_grad(|| {
                let first = self.first.get_or_insert_with(|| self.gradients.zeros_like());
                first.copy_(&self.gradients);
                let _ = self.gradients.zero_();
            });
        }
        summand.backward();
        self.summands += 1;
        for (place, reached) in self.flat.places.iter().zip(&mut self.reached).filter(|(_, reached)| !**reached) {
            let mut gradient = place.variable.grad();
            if gradient.defined() {
                let mut part = place.of(&self.gradients);
                part.copy_(&gradient);
                gradient.set_data(&part);
                *reached = true;
            }
        }
    }

    /// Takes one step by the gradient of what was back-propagated, of the mean of the processes' losses:
    /// v = momentum v + (g + decay w), w = w - lr v. A variable that never had a gradient stays as it is, and so do all
    /// if the processes' sum fails ([`ranks::check`]).
    pub fn step(&mut self, lr: f64) {
        self.gather();
        if ranks::check().is_err() {
            return;
        }
        no_grad(|| {
            for Run { from, length, head, decays } in self.runs() {
                let part = |whole: &Tensor| whole.narrow(0, from, length);
                let (mut weights, mut update) = (part(&self.flat.trained), part(&self.gradients));
                if decays && self.weight_decay != 0.0 {
                    update += &weights * self.weight_decay;
                }
                if let Some(velocity) = &self.velocity {
                    update = part(velocity).g_mul_scalar_(self.momentum).g_add_(&update);
                }
                let lr_factor = if head { self.head_lr } else { 1.0 };
                let _ = weights.g_sub_(&(update * (lr * lr_factor)));
            }
            let _ = self.gradients.zero_();
        });
    }

    /// The gradient of the sum of all summands and of the mean of the processes' losses. It is one tensor, and summed
    /// over the processes once: it is not complete before the last summand has been differentiated.
    fn gather(&mut self) {
        if let Some(first) = self.first.as_ref().filter(|_| self.summands > 1) {
            let _ = no_grad(|| self.gradients.g_add_(first));
        }
        self.summands = 0;
        if ranks::size() > 1 {
            ranks::sum_in_place(&mut self.gradients);
            let _ = no_grad(|| self.gradients.g_div_scalar_(ranks::size() as f64));
        }
    }

    /// The variables that have had a gradient, as few runs.
    fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut open = false;
        for (place, reached) in self.flat.places.iter().zip(&self.reached) {
            let (head, decays) = (place.is_head(), place.decays());
            match runs.last_mut().filter(|run| open && *reached && (run.head, run.decays) == (head, decays)) {
                Some(run) => run.length = place.from + place.length - run.from,
                None if *reached => runs.push(Run { from: place.from, length: place.length, head, decays }),
                None => {}
            }
            open = *reached;
        }
        runs
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.gradients.device()
    }

    /// The velocities, by name of their variable.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let places =
            self.velocity.iter().flat_map(|velocity| self.flat.places.iter().map(move |place| (place, velocity)));
        places.map(|(place, velocity)| (format!("velocity.{}", place.name), place.of(velocity))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WeightLayout;
    use tch::{Kind, nn};

    #[test]
    fn weight_decay_is_not_momentum() {
        let vs = nn::VarStore::new(Device::Cpu);
        let weight = (vs.root() / "backbone" / "conv").var("weight", &[1, 1, 1, 1], nn::Init::Const(2.0));
        let params = OptimizerParams { lr: 0.1, head_lr: 10.0, momentum: 0.0, weight_decay: 0.5, power: 0.9 };
        let mut sgd = Sgd::new(Flat::of(&vs, WeightLayout::Plain), &params);
        for _ in 0..2 {
            sgd.backward(&(&weight * 3.0).sum(Kind::Float));
            sgd.step(0.1);
        }
        // w <- w - 0.1 (3 + 0.5 w), twice, from 2: 1.6, 1.22.
        assert!((weight.double_value(&[0, 0, 0, 0]) - 1.22).abs() < 1e-6);
    }

    #[test]
    fn momentum_and_head_rate() {
        let vs = nn::VarStore::new(Device::Cpu);
        let weight = (vs.root() / "classifier").var("bias", &[1], nn::Init::Const(0.0));
        let params = OptimizerParams { lr: 0.1, head_lr: 10.0, momentum: 0.5, weight_decay: 0.5, power: 0.9 };
        let mut sgd = Sgd::new(Flat::of(&vs, WeightLayout::Plain), &params);
        for _ in 0..2 {
            sgd.backward(&weight.sum(Kind::Float));
            sgd.step(0.1);
        }
        // A bias does not decay; v = 1 then 1.5; w = -(1 + 1.5).
        assert!((weight.double_value(&[0]) + 2.5).abs() < 1e-6);
    }

    #[test]
    fn summands_add_up_to_one_loss_and_what_none_reaches_stays() {
        let walk = |together: bool| {
            let vs = nn::VarStore::new(Device::Cpu);
            let p = vs.root() / "backbone";
            let [a, b, c] = ["a", "b", "c"].map(|name| p.var(name, &[3, 1, 1, 1], nn::Init::Const(1.0)));
            let params = OptimizerParams { lr: 0.1, head_lr: 1.0, momentum: 0.9, weight_decay: 0.5, power: 0.9 };
            let mut sgd = Sgd::new(Flat::of(&vs, WeightLayout::ChannelsInnermost), &params);
            for step in 0..3 {
                // The third variable comes in with the second step, as a term does with its first epoch.
                let later = if step > 0 { (&c * &c).sum(Kind::Float) } else { (&b * 0.3).sum(Kind::Float) };
                let summands = [(&a * &b).sum(Kind::Float), (&a * 0.1).sum(Kind::Float), later];
                let sum: Tensor = summands.iter().sum();
                let parts = if together { vec![&sum] } else { summands.iter().collect() };
                for part in parts {
                    sgd.backward(part);
                }
                sgd.step(0.1);
                assert_eq!((c.double_value(&[0, 0, 0, 0]) - 1.0).abs() < 1e-9, step == 0);
            }
            [a, b, c].map(|variable| Vec::<f32>::try_from(variable.view(-1)).unwrap())
        };
        assert_eq!(walk(true), walk(false));
    }
}
