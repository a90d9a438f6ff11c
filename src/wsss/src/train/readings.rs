//! The losses of a training as numbers. To read one from a GPU means to wait for it, so a few steps' are read at once.

use artifact::{Error, Result};
use tch::{Device, Kind, Tensor};

use crate::method::objective::Losses;
use crate::ranks;

/// Steps of which a GPU's losses are read at once.
const STEPS_AT_ONCE: usize = 20;

/// Which step it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// From 1.
    pub number: u64,
    /// Its epoch, from 1.
    pub epoch: u64,
    /// The learning rate of the backbone.
    pub lr: f64,
}

/// Losses that are not read yet.
#[derive(Debug)]
pub struct Readings {
    /// `loss`, the terms, `lr`.
    names: Vec<&'static str>,
    every: usize,
    waiting: Vec<(Step, Unread)>,
}

/// The losses of a step on its device: the total, then those terms that take part.
#[derive(Debug)]
struct Unread {
    losses: Tensor,
    present: Vec<bool>,
}

impl Readings {
    /// Of an objective with these terms. Losses on a CPU are read after every step.
    pub fn new(terms: Vec<&'static str>, device: Device) -> Self {
        let names = [vec!["loss"], terms, vec!["lr"]].concat();
        Self { names, every: if device.is_cuda() { STEPS_AT_ONCE } else { 1 }, waiting: Vec::new() }
    }

    /// The names of a step's values, in their order.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Takes the losses of a step, and does not look at them.
    pub fn add(&mut self, step: Step, losses: &Losses) {
        let present = losses.terms.iter().map(Option::is_some).collect();
        let all: Vec<&Tensor> = std::iter::once(&losses.total).chain(losses.terms.iter().flatten()).collect();
        self.waiting.push((step, Unread { losses: Tensor::stack(&all, 0), present }));
    }

    /// Is it time to read?
    pub fn are_due(&self) -> bool {
        self.waiting.len() >= self.every
    }

    /// The values of the steps since the last reading, each in the order of the names; a term that does not take part
    /// is NaN. A loss that is not finite is an error that names the step.
    pub fn read(&mut self) -> Result<Vec<(Step, Vec<f64>)>> {
        let waiting = std::mem::take(&mut self.waiting);
        let losses: Vec<&Tensor> = waiting.iter().map(|(_, unread)| &unread.losses).collect();
        if losses.is_empty() {
            return Ok(Vec::new());
        }
        let flat = Tensor::cat(&losses, 0).to_device(Device::Cpu).to_kind(Kind::Double);
        // Of several processes: the losses of the whole batch, of which theirs are parts.
        let flat = ranks::mean(flat);
        ranks::check()?;
        let mut numbers = Vec::<f64>::try_from(flat).expect("a flat tensor of numbers").into_iter();
        let mut next = || numbers.next().expect("as many numbers as losses");
        let mut steps = Vec::new();
        for (step, Unread { present, .. }) in waiting {
            let mut values = vec![next()];
            values.extend(present.iter().map(|present| if *present { next() } else { f64::NAN }));
            let known = std::iter::once(true).chain(present);
            if known.zip(&values).any(|(present, value)| present && !value.is_finite()) {
                return Err(self.not_finite(step, &values));
            }
            values.push(step.lr);
            steps.push((step, values));
        }
        Ok(steps)
    }

    fn not_finite(&self, step: Step, values: &[f64]) -> Error {
        let terms = self.names.iter().zip(values).skip(1).map(|(name, value)| format!(", {name} {value}"));
        Error::Failed(format!(
            "step {}: the loss is not finite (loss {}{}); a lower optimizer.lr is the usual cure",
            step.number,
            values[0],
            terms.collect::<String>()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(total: f32, terms: [Option<f32>; 2]) -> Losses {
        let scalar = |value: f32| Tensor::from(value);
        Losses { total: scalar(total), terms: terms.map(|term| term.map(scalar)).into() }
    }

    fn readings(every: usize) -> Readings {
        Readings { every, ..Readings::new(vec!["cls", "rcm"], Device::Cpu) }
    }

    #[test]
    fn steps_are_read_together_and_come_out_one_by_one() {
        let mut readings = readings(2);
        let step = |number| Step { number, epoch: 1, lr: 0.1 };
        readings.add(step(1), &losses(1.5, [Some(1.5), None]));
        assert!(!readings.are_due());
        readings.add(step(2), &losses(0.75, [Some(0.5), Some(0.25)]));
        assert!(readings.are_due());
        let read = readings.read().unwrap();
        assert_eq!(read[0].0, step(1));
        assert_eq!((read[0].1[0], read[0].1[1], read[0].1[3]), (1.5, 1.5, 0.1));
        assert!(read[0].1[2].is_nan());
        assert_eq!(read[1], (step(2), vec![0.75, 0.5, 0.25, 0.1]));
        assert!(readings.read().unwrap().is_empty());
    }

    #[test]
    fn of_several_steps_the_one_that_was_not_finite_is_named() {
        let mut readings = readings(3);
        for (number, rcm) in [(7, 0.25), (8, f32::INFINITY), (9, f32::NAN)] {
            readings.add(Step { number, epoch: 2, lr: 0.1 }, &losses(rcm + 0.5, [Some(0.5), Some(rcm)]));
        }
        let error = readings.read().unwrap_err().to_string();
        assert!(error.starts_with("step 8: the loss is not finite (loss inf, cls 0.5, rcm inf)"), "{error}");
    }
}
