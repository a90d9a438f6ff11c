//! The experiments of a store with their places and colours, and artifacts that several of them share.

use std::collections::BTreeMap;

use artifact::manifest::variant_of;
use maud::{Markup, html};

use super::chart;
use crate::holdings::{Holding, Holdings};

/// The experiments of a store, each with its place and colour; a variant at several seeds is one.
pub(super) struct Experiments {
    names: Vec<String>,
    main: Option<String>,
}

impl Experiments {
    pub fn of(holdings: &Holdings) -> Self {
        let main = holdings.all().iter().find(|held| held.main).map(|held| &held.experiment);
        let main = main.map(|name| variant_of(name).0.to_owned());
        let mut names: Vec<_> = holdings.experiments().iter().map(|name| variant_of(name).0.to_owned()).collect();
        names.sort_by_key(|name| (Some(name) == main.as_ref(), name.clone()));
        names.dedup();
        Self { names, main }
    }

    /// The names without seeds, the main one last.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn is_main(&self, name: &str) -> bool {
        self.main.as_deref() == Some(variant_of(name).0)
    }

    /// Its place in tables; an experiment that only a table's rows name comes last.
    pub fn rank(&self, name: &str) -> usize {
        self.names.iter().position(|known| known == variant_of(name).0).unwrap_or(self.names.len())
    }

    /// The main experiment has the first colour, in every report.
    fn colour_of(&self, name: &str) -> usize {
        if self.is_main(name) { 0 } else { 1 + self.rank(name) }
    }

    /// The colour of a line that several experiments may share.
    pub fn colour(&self, shared: &Shared<'_>) -> usize {
        shared.experiments.iter().map(|name| self.colour_of(name)).min().unwrap_or(0)
    }

    /// Its name with its colour.
    pub fn label(&self, name: &str) -> Markup {
        html! { span.experiment { (chart::key(self.colour_of(name))) (name) } }
    }
}

/// One artifact with the experiments that share it.
pub(super) struct Shared<'a> {
    pub held: &'a Holding,
    pub experiments: Vec<String>,
}

impl Shared<'_> {
    pub fn label(&self) -> String {
        self.experiments.join(", ")
    }
}

/// The artifacts that hold a table, each once; of one stage, or of all.
pub(super) fn sharing<'a>(holdings: &'a Holdings, table: &str, stage: Option<&str>) -> Vec<Shared<'a>> {
    let holding = holdings.of_table(table).map(|(held, _)| held);
    shared(holding.filter(|held| stage.is_none_or(|stage| held.stage == stage)), &holdings.experiments())
}

/// Holdings of the same artifact as one, in the order of the experiments.
pub(super) fn shared<'a>(holdings: impl Iterator<Item = &'a Holding>, order: &[String]) -> Vec<Shared<'a>> {
    let rank = |held: &Holding| order.iter().position(|name| *name == held.experiment);
    let mut holdings: Vec<_> = holdings.collect();
    holdings.sort_by_key(|held| rank(held));
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut all: Vec<Shared<'a>> = Vec::new();
    for held in holdings {
        let place = *places.entry((&held.stage, held.artifact.record().key.short())).or_insert_with(|| {
            all.push(Shared { held, experiments: Vec::new() });
            all.len() - 1
        });
        all[place].experiments.push(held.experiment.clone());
    }
    all
}
