//! What is trained: the weighted sum of the terms that a manifest lists.

use std::collections::BTreeMap;

use artifact::ParamError;
use serde_json::Value;
use tch::Tensor;

use super::term::{Kind, Running, Share, Site};
use super::terms::KINDS;
use super::views::{Views, is_one};

/// The terms of a training with their weights.
pub struct Objective {
    parts: Vec<Part>,
}

struct Part {
    name: &'static str,
    share: Share,
    term: Box<dyn Running>,
}

/// The value of the objective for one batch.
#[derive(Debug)]
pub struct Losses {
    /// The weighted sum.
    pub total: Tensor,
    /// Each term's value, not weighted, in the order of the manifest; `None` before its first epoch.
    pub terms: Vec<Option<Tensor>>,
}

impl Losses {
    /// Of a loss that has no terms.
    pub fn alone(total: &Tensor) -> Self {
        Self { total: total.detach(), terms: Vec::new() }
    }
}

/// Tables of the manifest by the name of the term.
pub type Tables = BTreeMap<String, Value>;

/// The kind of term of this name.
fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Checks the list `terms` of a manifest and the tables of terms, those in use and the others. Returns the kinds in
/// use.
pub fn check(terms: &[String], tables: &Tables) -> Result<Vec<&'static Kind>, ParamError> {
    let known = || KINDS.map(|kind| kind.name).join(", ");
    let mut kinds: Vec<&'static Kind> = Vec::new();
    for name in terms {
        let Some(kind) = kind(name) else {
            return Err(ParamError::new("terms", format!("there is no term '{name}'; there are {}", known())));
        };
        if kinds.iter().any(|other| other.name == kind.name) {
            return Err(ParamError::new("terms", format!("'{name}' stands there twice")));
        }
        if !tables.contains_key(name) {
            let reason = format!("'{name}' is listed, but there is no table [stage.train-cam.{name}]");
            return Err(ParamError::new("terms", reason));
        }
        kinds.push(kind);
    }
    let mut first = None;
    for (name, table) in tables {
        let Some(kind) = kind(name) else {
            let reason = format!("unknown entry; the tables of terms are {}", known());
            return Err(ParamError::new(name, reason));
        };
        let share = kind.check(table)?;
        if terms.contains(name) {
            first = first.into_iter().chain([share.from_epoch]).min();
        }
    }
    match first {
        Some(epoch) if epoch <= 1 => Ok(kinds),
        Some(_) => Err(ParamError::new("terms", "none takes part in epoch 1; lower a from_epoch to 1")),
        None => Err(ParamError::new("terms", format!("list at least one of {}", known()))),
    }
}

impl Objective {
    /// The terms that the manifest lists; `site` gives each the place of its own variables.
    pub fn new<'a>(
        terms: &[String],
        tables: &Tables,
        site: impl Fn(&'static str) -> Site<'a>,
    ) -> Result<Self, ParamError> {
        let part = |kind: &Kind| {
            let table = &tables[kind.name];
            let term = kind.make(table, &site(kind.name))?;
            Ok(Part { name: kind.name, share: kind.check(table)?, term })
        };
        let parts = check(terms, tables)?.into_iter().map(part).collect::<Result<_, _>>()?;
        Ok(Self { parts })
    }

    /// The names of the terms, in the order of the manifest.
    pub fn names(&self) -> Vec<&'static str> {
        self.parts.iter().map(|part| part.name).collect()
    }

    /// The objective: the sum of the terms, each times its weight, from its first epoch on. Eq. (9).
    ///
    /// It is a sum over the scales at which `MainNet` looks, too. `differentiate` gets its summands one after another,
    /// that of scale 1 first; what `MainNet` saw for one is forgotten before the next is computed. The losses that are
    /// returned are values without gradient.
    pub fn loss(&mut self, views: &Views<'_>, epoch: u32, mut differentiate: impl FnMut(&Tensor)) -> Losses {
        let scales = views.scales();
        let middle = scales.iter().position(|scale| is_one(*scale)).expect("1 is among the scales");
        let others = (0..scales.len()).filter(|at| *at != middle);
        // Of each term, what it adds at each scale.
        let mut values: Vec<Vec<Option<Tensor>>> =
            self.parts.iter().map(|_| scales.iter().map(|_| None).collect()).collect();
        for at in std::iter::once(middle).chain(others) {
            let mut summand: Option<Tensor> = None;
            for (Part { share, term, .. }, values) in self.parts.iter_mut().zip(&mut values) {
                if epoch < share.from_epoch {
                    continue;
                }
                let loss = if at == middle { Some(term.loss(views)) } else { term.loss_at(views, scales[at]) };
                let Some(loss) = loss else { continue };
                let weighted = &loss * share.weight;
                summand = Some(summand.map_or_else(|| weighted.shallow_clone(), |sum| sum + &weighted));
                values[at] = Some(loss.detach());
            }
            if let Some(summand) = summand {
                differentiate(&summand);
                views.forget_main();
            }
        }
        self.summed(values)
    }

    /// The losses of what each term adds at each scale.
    fn summed(&self, values: Vec<Vec<Option<Tensor>>>) -> Losses {
        let terms: Vec<Option<Tensor>> =
            values.into_iter().map(|scales| scales.into_iter().flatten().reduce(|sum, value| sum + value)).collect();
        let weighted =
            self.parts.iter().zip(&terms).filter_map(|(part, term)| Some(term.as_ref()? * part.share.weight));
        let total = weighted.reduce(|sum, term| sum + term);
        Losses { total: total.expect("a term takes part from the first epoch on"), terms }
    }

    /// What the terms remember from step to step, by name: tensors that a checkpoint restores in place.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let named = |part: &Part| {
            let state = part.term.state().into_iter();
            state.map(|(name, tensor)| (format!("{}.{name}", part.name), tensor)).collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(named).collect()
    }
}
