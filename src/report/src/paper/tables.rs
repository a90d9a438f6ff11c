//! The numbers that the paper prints (mIoU and so on, in percent, VOC 2012 train), and which runs belong beside them.

use std::collections::BTreeMap;

use artifact::table::ScoreRow;
use serde_json::Value;

use super::runs::Run;
use super::{Cell, Line, Sample, Table};
use crate::page::html::number;

/// What a row is about: a row of Table 1, and the two choices of Table 2.
#[derive(Clone, Copy, PartialEq)]
struct Kind {
    variant: &'static str,
    direct: bool,
    shared: bool,
}

const fn plain(variant: &'static str) -> Kind {
    Kind { variant, direct: false, shared: false }
}

/// Row, mIoU, mIoU with CRF.
const TABLE_1: [(&str, Kind, [f64; 2]); 7] = [
    ("Baseline", plain("baseline"), [48.4, 54.4]),
    ("SMM", plain("smm"), [51.0, 56.7]),
    ("MMM", plain("mmm"), [57.0, 62.2]),
    ("MAM", plain("mam"), [58.0, 63.4]),
    ("RCM", plain("rcm"), [57.6, 62.8]),
    ("RCM + MMM", plain("rcm+mmm"), [62.6, 66.6]),
    ("RCM + MAM", plain("rcm+mam"), [63.7, 67.7]),
];

/// Row, mIoU, precision, recall.
const TABLE_2: [(&str, Kind, [f64; 3]); 6] = [
    ("Baseline", plain("baseline"), [48.4, 60.8, 72.0]),
    ("Direct, EMA", Kind { variant: "rcm", direct: true, shared: false }, [52.3, 68.7, 70.5]),
    ("Contrastive, shared weights", Kind { variant: "rcm", direct: false, shared: true }, [53.7, 68.9, 72.1]),
    ("Contrastive, EMA (RCM)", plain("rcm"), [57.6, 72.3, 74.0]),
    ("MAM", plain("mam"), [58.0, 70.6, 77.1]),
    ("RCM + MAM", plain("rcm+mam"), [63.7, 75.8, 79.6]),
];

/// Single scales, with baseline and RCM + MAM.
const TABLE_5: [(f64, [f64; 2]); 4] =
    [(0.5, [40.2, 60.8]), (1.0, [47.0, 62.8]), (1.5, [49.0, 61.7]), (2.0, [47.9, 59.7])];
/// Mean and deviation over them, and all scales together.
const TABLE_5_MEAN: [f64; 2] = [46.0, 61.2];
const TABLE_5_DEVIATION: [f64; 2] = [3.4, 1.1];
const TABLE_5_ALL: [f64; 2] = [48.4, 63.7];

/// One number of a score.
type Measure = fn(&ScoreRow) -> f64;

const MIOU: Measure = |score| score.miou;

/// Every table for which there is at least one run.
pub(super) fn all(runs: &[Run]) -> Vec<Table> {
    let usual = Usual::of(runs);
    [table_1(&usual), table_2(&usual), table_5(&usual), figure_7(&usual)].into_iter().flatten().collect()
}

/// The runs, and what they have in common where a table does not say otherwise.
struct Usual<'a> {
    runs: &'a [Run],
    /// The scales of msinf-CAMs: the most that are summed.
    scales: Vec<f64>,
    /// The threshold of the region masks: the main experiment's, else the most frequent.
    threshold: Option<f64>,
}

/// Runs that differ in their seeds only.
struct Group<'a> {
    runs: Vec<&'a Run>,
}

impl<'a> Usual<'a> {
    fn of(runs: &'a [Run]) -> Self {
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
    fn at_any_threshold(&self, kind: Kind) -> impl Iterator<Item = &'a Run> {
        let runs = self.runs.iter().filter(move |run| run.variant() == kind.variant);
        let runs = runs.filter(move |run| run.is("rcm", "supervision", "direct") == kind.direct);
        let runs = runs.filter(move |run| run.is("support", "update", "shared") == kind.shared);
        runs.filter(|run| run.scales() == self.scales)
    }

    /// Runs of a kind, those first of which there are most.
    fn groups(&self, kind: Kind) -> Vec<Group<'a>> {
        let usual = |run: &&Run| run.threshold().is_none() || run.threshold() == self.threshold;
        grouped(self.at_any_threshold(kind).filter(usual), |run| {
            [&run.train, &run.origin, &run.extract].map(Value::clone)
        })
    }
}

/// Runs that agree in what `by` gives, the largest group first.
fn grouped<'a>(runs: impl Iterator<Item = &'a Run>, by: impl Fn(&Run) -> [Value; 3]) -> Vec<Group<'a>> {
    let mut groups: Vec<([Value; 3], Group<'a>)> = Vec::new();
    for run in runs {
        let key = by(run);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.runs.push(run),
            None => groups.push((key, Group { runs: vec![run] })),
        }
    }
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.runs.len()));
    groups.into_iter().map(|(_, group)| group).collect()
}

impl Group<'_> {
    /// A measure of what was scored, over the runs that have it.
    fn sample(&self, stage: &str, measure: Measure) -> Option<Sample> {
        let scores = self.runs.iter().filter_map(|run| run.score(stage));
        sample(scores.map(|score| (measure(score), score.chosen_on_ground_truth)))
    }

    /// `RCM`, or `RCM (rcm-slow)` where runs of other parameters are the same row.
    fn label(&self, row: &str, alone: bool) -> String {
        let mut names: Vec<_> = self.runs.iter().map(|run| run.experiment.as_str()).collect();
        names.dedup();
        if alone { row.to_owned() } else { format!("{row} ({})", names.join(", ")) }
    }
}

fn sample(values: impl Iterator<Item = (f64, bool)>) -> Option<Sample> {
    let (values, chosen): (Vec<_>, Vec<_>) = values.filter(|(value, _)| value.is_finite()).unzip();
    (!values.is_empty()).then(|| Sample { values, chosen_on_ground_truth: chosen.contains(&true) })
}

fn here(sample: Option<Sample>) -> Cell {
    sample.map_or(Cell::Absent, Cell::Here)
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The rows of a table that has one measure a pair of columns.
fn rows<const N: usize>(
    usual: &Usual<'_>,
    table: &[(&str, Kind, [f64; N])],
    measures: [(&str, Measure); N],
) -> Vec<(String, Vec<Cell>)> {
    let mut rows = Vec::new();
    for (row, kind, paper) in table {
        let groups = usual.groups(*kind);
        for group in &groups {
            let samples = measures.map(|(stage, measure)| group.sample(stage, measure));
            if samples.iter().all(Option::is_none) {
                continue;
            }
            let n = samples.iter().flatten().map(|sample| sample.values.len()).max().unwrap_or(0);
            let pairs = paper.iter().zip(samples).flat_map(|(paper, sample)| [Cell::Paper(*paper), here(sample)]);
            rows.push((group.label(row, groups.len() == 1), std::iter::once(Cell::Count(n)).chain(pairs).collect()));
        }
    }
    rows
}

fn table_1(usual: &Usual<'_>) -> Option<Table> {
    let rows = rows(usual, &TABLE_1, [("cam", MIOU), ("cam+crf", MIOU)]);
    (!rows.is_empty()).then(|| Table {
        title: "Table 1: the modules".into(),
        note: "mIoU of the CAMs on the training images, in percent.".into(),
        head: head(&["Setting", "n", "mIoU paper", "mIoU here", "with CRF paper", "with CRF here"]),
        rows,
        lines: Vec::new(),
    })
}

fn table_2(usual: &Usual<'_>) -> Option<Table> {
    let measures: [(&str, Measure); 3] =
        [("cam", MIOU), ("cam", |score| score.precision), ("cam", |score| score.recall)];
    let rows = rows(usual, &TABLE_2, measures);
    (!rows.is_empty()).then(|| Table {
        title: "Table 2: supervision and SupportNet".into(),
        note: "The CAMs on the training images, in percent.".into(),
        head: head(&[
            "Setting",
            "n",
            "mIoU paper",
            "mIoU here",
            "precision paper",
            "precision here",
            "recall paper",
            "recall here",
        ]),
        rows,
        lines: Vec::new(),
    })
}

/// CAMs of one training at single scales: by scale, and by seed mean and deviation over the scales.
fn table_5(usual: &Usual<'_>) -> Option<Table> {
    let kinds = [plain("baseline"), plain("rcm+mam")];
    let all = kinds.map(|kind| usual.groups(kind).into_iter().next());
    let single = |all: &Option<Group<'_>>, scale: f64| -> BTreeMap<u64, (f64, bool)> {
        let Some(first) = all.as_ref().map(|group| group.runs[0]) else { return BTreeMap::new() };
        let same = |run: &&Run| run.train == first.train && run.origin == first.origin;
        let runs = usual.runs.iter().filter(same).filter(|run| run.scales() == [scale]);
        let scores = runs.filter_map(|run| Some((run.seed, run.score("cam")?)));
        scores.map(|(seed, score)| (seed, (score.miou, score.chosen_on_ground_truth))).collect()
    };
    let by_scale = TABLE_5.map(|(scale, _)| all.each_ref().map(|all| single(all, scale)));
    if by_scale.iter().flatten().all(BTreeMap::is_empty) {
        return None;
    }
    let over_scales = |kind: usize, measure: fn(&[f64]) -> f64| {
        let seeds = by_scale[0][kind].keys();
        sample(seeds.filter_map(|seed| {
            let values: Vec<_> = by_scale.iter().filter_map(|scale| scale[kind].get(seed)).collect();
            let shares: Vec<f64> = values.iter().map(|(share, _)| *share).collect();
            (values.len() == TABLE_5.len()).then(|| (measure(&shares), values.iter().any(|(_, chosen)| *chosen)))
        }))
    };
    let mut rows = Vec::new();
    let mut row = |name: String, paper: [f64; 2], samples: [Option<Sample>; 2]| {
        if samples.iter().any(Option::is_some) {
            let n = samples.iter().flatten().map(|sample| sample.values.len()).max().unwrap_or(0);
            let pairs = paper.into_iter().zip(samples).flat_map(|(paper, sample)| [Cell::Paper(paper), here(sample)]);
            rows.push((name, std::iter::once(Cell::Count(n)).chain(pairs).collect()));
        }
    };
    for ((scale, paper), values) in TABLE_5.into_iter().zip(&by_scale) {
        row(format!("{scale:.1}"), paper, values.each_ref().map(|values| sample(values.values().copied())));
    }
    row("mean of the four".into(), TABLE_5_MEAN, [0, 1].map(|kind| over_scales(kind, mean)));
    row("deviation of the four".into(), TABLE_5_DEVIATION, [0, 1].map(|kind| over_scales(kind, deviation)));
    row("all together".into(), TABLE_5_ALL, all.each_ref().map(|group| group.as_ref()?.sample("cam", MIOU)));
    let line = |(kind, name): (usize, &str)| Line {
        name: name.into(),
        here: TABLE_5
            .iter()
            .zip(&by_scale)
            .filter_map(|((scale, _), values)| Some((*scale, sample(values[kind].values().copied())?)))
            .collect(),
        paper: TABLE_5.iter().map(|(scale, paper)| (*scale, paper[kind])).collect(),
    };
    let lines = [(0, "Baseline"), (1, "RCM + MAM")].map(line).into();
    Some(Table {
        title: "Table 5: CAMs of single scales".into(),
        note: "mIoU on the training images, in percent.".into(),
        head: head(&["Scale", "n", "Baseline paper", "Baseline here", "RCM + MAM paper", "RCM + MAM here"]),
        rows,
        lines,
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of the four scales there are, which are no sample of others: with n, as the paper's numbers are.
fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// mIoU over the threshold of the region masks; the paper prints no numbers.
fn figure_7(usual: &Usual<'_>) -> Option<Table> {
    let but_threshold = |run: &Run| {
        let mut train = run.train.clone();
        train.get_mut("rcm").and_then(Value::as_object_mut).and_then(|rcm| rcm.remove("threshold"));
        [train, run.origin.clone(), run.extract.clone()]
    };
    let trained = grouped(usual.at_any_threshold(plain("rcm")), but_threshold).into_iter().next()?;
    let mut thresholds: Vec<f64> = trained.runs.iter().filter_map(|run| run.threshold()).collect();
    thresholds.sort_by(f64::total_cmp);
    thresholds.dedup();
    let at = |threshold: f64| {
        let runs = trained.runs.iter().copied().filter(|run| run.threshold() == Some(threshold)).collect();
        Group { runs }.sample("cam", MIOU)
    };
    let points: Vec<_> = thresholds.iter().filter_map(|threshold| Some((*threshold, at(*threshold)?))).collect();
    let [first, .., last] = points.as_slice() else { return None };
    let mut lines = vec![Line { name: "RCM".into(), here: points.clone(), paper: Vec::new() }];
    let baseline = usual.groups(plain("baseline")).into_iter().next().and_then(|group| group.sample("cam", MIOU));
    if let Some(baseline) = &baseline {
        let ends = [first, last].map(|(at, _)| (*at, baseline.clone()));
        lines.push(Line { name: "Baseline".into(), here: ends.into(), paper: Vec::new() });
    }
    let row = |name: String, sample: Sample| (name, vec![Cell::Count(sample.values.len()), Cell::Here(sample)]);
    let mut rows: Vec<_> = points.iter().map(|(at, sample)| row(number(*at), sample.clone())).collect();
    rows.extend(baseline.map(|baseline| row("Baseline".into(), baseline)));
    Some(Table {
        title: "Figure 7: threshold of the region masks in training".into(),
        note:
            "mIoU of the CAMs of RCM on the training images, in percent. The paper draws it and prints no numbers but \
               Table 1's, at 0.2."
                .into(),
        head: head(&["Threshold", "n", "mIoU here"]),
        rows,
        lines,
    })
}
