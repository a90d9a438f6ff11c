//! What a term of the objective is, and how the manifest's table of one becomes a term that trains.
//!
//! A term is one file of [`super::terms`]: its equations, its parameters, what it remembers and what it learns itself.
//! Every term has a `weight` and a `from_epoch`; those stand here once.

use artifact::ParamError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stage::Unused;
use tch::{Device, Tensor, nn};

use super::views::Views;

/// A term of the objective, Eq. (9).
pub trait Term: Sized + 'static {
    /// The name of its table in the manifest and of its value in the curve.
    const NAME: &'static str;
    /// Does it look at `SupportNet`?
    const SUPPORT: bool;
    /// Its table in the manifest, without `weight` and `from_epoch`.
    type Params: DeserializeOwned;

    /// Checks ranges.
    fn check(params: &Self::Params) -> Result<(), ParamError>;

    /// Which of its parameters have no effect while another has certain values.
    fn unused() -> Vec<Unused> {
        Vec::new()
    }

    /// The term as training begins. What it learns itself are variables below `site.path`, which are `MainNet`'s file
    /// too.
    fn new(params: Self::Params, site: &Site<'_>) -> Self;

    /// Its value for one batch, a scalar; not yet weighted.
    fn loss(&mut self, views: &Views<'_>) -> Tensor;

    /// What it adds for what `MainNet` sees at one of the other scales of [`Views::scales`], if it looks there.
    ///
    /// A term that is a sum over scales gives the sum's parts so: each is differentiated, and what `MainNet` saw at
    /// that scale forgotten, before the next is computed. Memory has to hold one scale at a time.
    fn loss_at(&mut self, _views: &Views<'_>, _scale: f64) -> Option<Tensor> {
        None
    }

    /// What it remembers from step to step besides its variables: tensors that a checkpoint restores in place.
    fn state(&self) -> Vec<(&'static str, Tensor)> {
        Vec::new()
    }
}

/// What a term may ask for when it is made.
#[derive(Debug)]
pub struct Site<'a> {
    /// Where its own variables go.
    pub path: nn::Path<'a>,
    /// Foreground classes K.
    pub classes: i64,
    /// Channels D of the feature X.
    pub features: i64,
    /// Channels of the backbone's conv4 and conv5.
    pub taps: [i64; 2],
    /// Where tensors live.
    pub device: Device,
}

/// The part of a term's table that all have in common.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The factor of Eq. (9): `lambda_1` of `cls`, `lambda_2` of `rcm`, `lambda_3` of `mam`.
    pub weight: f64,
    /// First epoch, from 1, in which it takes part.
    pub from_epoch: u32,
}

/// A term in training, whatever its kind.
pub(super) trait Running {
    /// See [`Term::loss`].
    fn loss(&mut self, views: &Views<'_>) -> Tensor;
    /// See [`Term::loss_at`].
    fn loss_at(&mut self, views: &Views<'_>, scale: f64) -> Option<Tensor>;
    /// See [`Term::state`].
    fn state(&self) -> Vec<(&'static str, Tensor)>;
}

impl<T: Term> Running for T {
    fn loss(&mut self, views: &Views<'_>) -> Tensor {
        Term::loss(self, views)
    }

    fn loss_at(&mut self, views: &Views<'_>, scale: f64) -> Option<Tensor> {
        Term::loss_at(self, views, scale)
    }

    fn state(&self) -> Vec<(&'static str, Tensor)> {
        Term::state(self)
    }
}

/// Makes a term of its table.
type Make = fn(&Value, &Site<'_>) -> Result<Box<dyn Running>, ParamError>;

/// A kind of term: what the registry holds of it.
#[derive(Clone, Copy)]
pub struct Kind {
    /// See [`Term::NAME`].
    pub name: &'static str,
    /// See [`Term::SUPPORT`].
    pub support: bool,
    /// See [`Term::unused`]; names begin with the term's.
    pub unused: fn() -> Vec<Unused>,
    check: fn(&Value) -> Result<Share, ParamError>,
    make: Make,
}

impl Kind {
    /// Of a term.
    pub const fn of<T: Term>() -> Self {
        Self { name: T::NAME, support: T::SUPPORT, unused: unused::<T>, check: check::<T>, make: make::<T> }
    }

    /// Checks a table of the manifest, and gives the part that all terms have. Errors name the parameter below it.
    pub fn check(&self, table: &Value) -> Result<Share, ParamError> {
        (self.check)(table).map_err(|error| error.below(self.name))
    }

    /// The term that a table of the manifest describes.
    pub(super) fn make(&self, table: &Value, site: &Site<'_>) -> Result<Box<dyn Running>, ParamError> {
        (self.make)(table, site).map_err(|error| error.below(self.name))
    }
}

fn check<T: Term>(table: &Value) -> Result<Share, ParamError> {
    let (share, params) = read::<T>(table)?;
    if !(share.weight >= 0.0 && share.weight.is_finite()) {
        return Err(ParamError::new("weight", format!("{} is no weight; give 0 or more", share.weight)));
    }
    T::check(&params)?;
    Ok(share)
}

fn make<T: Term>(table: &Value, site: &Site<'_>) -> Result<Box<dyn Running>, ParamError> {
    Ok(Box::new(T::new(read::<T>(table)?.1, site)))
}

fn unused<T: Term>() -> Vec<Unused> {
    let below = |name: &String| format!("{}.{name}", T::NAME);
    let rules = T::unused().into_iter();
    rules
        .map(|rule| Unused { param: below(&rule.param), unused: rule.unused.iter().map(below).collect(), ..rule })
        .collect()
}

/// A table as the common part and the term's own.
fn read<T: Term>(table: &Value) -> Result<(Share, T::Params), ParamError> {
    let Some(table) = table.as_object() else {
        return Err(ParamError::new("weight", "missing: a term is a table with `weight` and `from_epoch`"));
    };
    let is_common = |name: &String| ["weight", "from_epoch"].contains(&name.as_str());
    let (common, own): (serde_json::Map<_, _>, serde_json::Map<_, _>) =
        table.clone().into_iter().partition(|(name, _)| is_common(name));
    Ok((typed(Value::Object(common))?, typed(Value::Object(own))?))
}

/// A table as its type; an error names the entry.
fn typed<P: DeserializeOwned>(table: Value) -> Result<P, ParamError> {
    serde_path_to_error::deserialize(table).map_err(|error| {
        let reason = error.inner().to_string();
        // "missing field `weight`" and "unknown field `x`" have no path of their own.
        let named = reason.split('`').nth(1).filter(|_| error.path().iter().next().is_none());
        let name = named.map_or_else(|| error.path().to_string(), str::to_owned);
        ParamError::new(name, reason)
    })
}
