//! `SupportNet` follows `MainNet` by an exponential moving average (section 3.1).

use tch::{Tensor, no_grad};

use crate::model::Flat;

/// What follows `MainNet`: the variables of `SupportNet`.
#[derive(Debug)]
pub struct MovingAverage {
    support: Flat,
    /// What `MainNet` trains, but for what terms of the objective learn themselves.
    main: Tensor,
    statistics: Tensor,
    alpha: f64,
}

impl MovingAverage {
    /// Of two networks of one architecture. That they are not is a bug, and panics.
    pub fn new(support: Flat, main: &Flat, alpha: f64) -> Self {
        let same = support.places.iter().zip(&main.places).all(|(a, b)| (&a.name, a.from) == (&b.name, b.from));
        assert!(same && support.places.len() <= main.places.len(), "SupportNet has the variables of MainNet");
        let length = support.trained.size()[0];
        Self { main: main.trained.narrow(0, 0, length), statistics: main.statistics.shallow_clone(), support, alpha }
    }

    /// `theta_G <- alpha theta_G + (1 - alpha) theta_F` over what is trained; running statistics are copied. What is
    /// frozen is the same in both.
    pub fn update(&mut self) {
        no_grad(|| {
            let _ = self.support.trained.lerp_(&self.main, 1.0 - self.alpha);
            self.support.statistics.copy_(&self.statistics);
        });
    }
}
