//! Runs of a kind, those that differ in their seeds only taken together.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use artifact::table::ScoreRow;
use serde_json::Value;

use super::kinds::Kind;
use super::runs::Run;
use super::{Cell, Sample};

/// One number of a score.
pub(super) type Measure = fn(&ScoreRow) -> f64;

pub(super) const MIOU: Measure = |score| score.miou;

/// The runs, and what they have in common where a table does not say otherwise.
pub(super) struct Usual<'a> {
    pub runs: &'a [Run],
    /// The scales of msinf-CAMs: the most that are summed.
    scales: Vec<f64>,
    /// The threshold of the region masks: the main experiment's, else the most frequent.
    threshold: Option<f64>,
}

/// Runs that differ in their seeds only.
pub(super) struct Group<'a> {
    pub runs: Vec<&'a Run>,
}

impl<'a> Usual<'a> {
    pub fn of(runs: &'a [Run]) -> Self {
        let scales = runs.iter().map(Run::scales).max_by_key(Vec::len).unwrap_or_default();
        let mut often: BTreeMap<u64, usize> = BTreeMap::new();
        for threshold in runs.iter().filter_map(Run::threshold) {
            *often.entry(threshold.to_bits()).or_default() += 1;
        }
        let often = often.into_iter().max_by_key(|(_, count)| *count).map(|(bits, _)| f64::from_bits(bits));
        let main = runs.iter().filter(|run| run.main).find_map(Run::threshold);
        Self { runs, scales, threshold: main.or(often) }
    }

    /// Runs of a kind with CAMs of all scales, at any threshold of the region masks.
    pub fn at_any_threshold(&self, kind: Kind) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(move |run| kind.includes(&run.train) && run.scales() == self.scales)
    }

    /// Runs of a kind, those first of which there are most.
    pub fn groups(&self, kind: Kind) -> Vec<Group<'a>> {
        let usual = |run: &&Run| run.threshold().is_none() || run.threshold() == self.threshold;
        grouped(self.at_any_threshold(kind).filter(usual), |run| {
            [&run.train, &run.origin, &run.extract].map(Value::clone)
        })
    }

    /// The runs of a kind of which there are most.
    pub fn largest(&self, kind: Kind) -> Option<Group<'a>> {
        self.groups(kind).into_iter().next()
    }
}

/// Runs that agree in what `by` gives, the largest group first.
pub(super) fn grouped<'a>(runs: impl Iterator<Item = &'a Run>, by: impl Fn(&Run) -> [Value; 3]) -> Vec<Group<'a>> {
    let mut groups: Vec<([Value; 3], Group<'a>)> = Vec::new();
    for run in runs {
        let key = by(run);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.runs.push(run),
            None => groups.push((key, Group { runs: vec![run] })),
        }
    }
    groups.sort_by_key(|(_, group)| Reverse(group.runs.len()));
    groups.into_iter().map(|(_, group)| group).collect()
}

impl Group<'_> {
    /// A measure of what was scored, over the runs that have it.
    pub fn sample(&self, stage: &str, measure: Measure) -> Option<Sample> {
        let scores = self.runs.iter().filter_map(|run| run.score(stage));
        sample(scores.map(|score| (measure(score), score.chosen_on_ground_truth)))
    }

    /// `RCM`, or `RCM (rcm-slow)` where runs of other parameters are the same row.
    pub fn label(&self, row: &str, alone: bool) -> String {
        let mut names: Vec<_> = self.runs.iter().map(|run| run.experiment.as_str()).collect();
        names.dedup();
        if alone { row.to_owned() } else { format!("{row} ({})", names.join(", ")) }
    }
}

/// The finite ones of values, each with whether anything of it was chosen on ground truth.
pub(super) fn sample(values: impl Iterator<Item = (f64, bool)>) -> Option<Sample> {
    let (values, chosen): (Vec<_>, Vec<_>) = values.filter(|(value, _)| value.is_finite()).unzip();
    (!values.is_empty()).then(|| Sample { values, chosen_on_ground_truth: chosen.contains(&true) })
}

/// A row's cells: the number of runs, then the paper's numbers in percent, each with what was measured here. `None` if
/// nothing was.
pub(super) fn cells<const N: usize>(paper: [f64; N], samples: [Option<Sample>; N]) -> Option<Vec<Cell>> {
    let runs = samples.iter().flatten().map(|sample| sample.values.len()).max()?;
    let here = |sample: Option<Sample>| sample.map_or(Cell::Absent, Cell::Here);
    let pairs = paper.into_iter().zip(samples).flat_map(|(paper, sample)| [Cell::Paper(paper), here(sample)]);
    Some(std::iter::once(Cell::Count(runs)).chain(pairs).collect())
}
