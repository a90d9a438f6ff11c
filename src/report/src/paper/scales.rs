//! Table 5 (appendix A): CAMs of one training at single scales, and what they vary.

use std::collections::BTreeMap;

use super::groups::{Group, MIOU, Usual, cells, sample};
use super::kinds::{BASELINE, Kind, RCM_MAM, SEAM};
use super::{Line, Row, Sample, Table, head};

const KINDS: [(&str, Kind); 3] = [("Baseline", BASELINE), ("SEAM", SEAM), ("RCM + MAM", RCM_MAM)];

/// Number of trainings that are compared.
const N: usize = KINDS.len();

/// Single scales, with the mIoU that the paper prints.
const PAPER: [(f64, [f64; N]); 4] =
    [(0.5, [40.2, 49.4, 60.8]), (1.0, [47.0, 51.6, 62.8]), (1.5, [49.0, 52.3, 61.7]), (2.0, [47.9, 49.8, 59.7])];
/// Mean and deviation over them, and all scales together.
const PAPER_MEAN: [f64; N] = [46.0, 50.7, 61.2];
const PAPER_DEVIATION: [f64; N] = [3.4, 1.2, 1.1];
const PAPER_ALL: [f64; N] = [48.4, 55.41, 63.7];

/// mIoU at one scale by seed, each with whether anything of it was chosen on ground truth.
type BySeed = BTreeMap<u64, (f64, bool)>;

pub(super) fn table_5(usual: &Usual<'_>) -> Option<Table> {
    let all = KINDS.map(|(_, kind)| usual.largest(kind));
    let scales = PAPER.map(|(scale, _)| all.each_ref().map(|group| at_scale(usual, group.as_ref(), scale)));
    if scales.iter().flatten().all(BTreeMap::is_empty) {
        return None;
    }
    let all = all.each_ref().map(|group| group.as_ref()?.sample("cam", MIOU));
    Some(Table {
        title: "Table 5: CAMs of single scales".into(),
        note: "mIoU on the training images, in percent.".into(),
        head: head("Scale", &KINDS.map(|(name, _)| name)),
        rows: rows(&scales, all),
        lines: KINDS.iter().enumerate().map(|(kind, (name, _))| line(&scales, kind, name)).collect(),
    })
}

/// What the CAMs of one scale have, of the trainings of a group.
fn at_scale(usual: &Usual<'_>, group: Option<&Group<'_>>, scale: f64) -> BySeed {
    let Some(first) = group.map(|group| group.runs[0]) else { return BySeed::new() };
    let same = usual.runs.iter().filter(|run| run.train == first.train && run.origin == first.origin);
    let scores = same.filter(|run| run.scales() == [scale]).filter_map(|run| Some((run.seed, run.score("cam")?)));
    scores.map(|(seed, score)| (seed, (score.miou, score.chosen_on_ground_truth))).collect()
}

fn rows(scales: &[[BySeed; N]; 4], all: [Option<Sample>; N]) -> Vec<Row> {
    let kinds = || std::array::from_fn::<usize, N, _>(|kind| kind);
    let single = PAPER.iter().zip(scales).map(|((scale, paper), seeds)| {
        (format!("{scale:.1}"), cells(*paper, seeds.each_ref().map(|seeds| sample(seeds.values().copied()))))
    });
    let over = |measure: fn(&[f64]) -> f64| kinds().map(|kind| over_scales(scales, kind, measure));
    let together = [
        ("mean of the four".to_owned(), cells(PAPER_MEAN, over(mean))),
        ("deviation of the four".to_owned(), cells(PAPER_DEVIATION, over(deviation))),
        ("all together".to_owned(), cells(PAPER_ALL, all)),
    ];
    single.chain(together).filter_map(|(name, cells)| Some((name, cells?))).collect()
}

/// A measure over the four scales of each seed that has them all.
fn over_scales(scales: &[[BySeed; N]; 4], kind: usize, measure: fn(&[f64]) -> f64) -> Option<Sample> {
    sample(scales[0][kind].keys().filter_map(|seed| {
        let values: Option<Vec<_>> = scales.iter().map(|scale| scale[kind].get(seed).copied()).collect();
        let (shares, chosen): (Vec<f64>, Vec<bool>) = values?.into_iter().unzip();
        Some((measure(&shares), chosen.contains(&true)))
    }))
}

fn line(scales: &[[BySeed; N]; 4], kind: usize, name: &str) -> Line {
    let here = |((scale, _), seeds): (&(f64, _), &[BySeed; N])| Some((*scale, sample(seeds[kind].values().copied())?));
    Line {
        name: name.into(),
        here: PAPER.iter().zip(scales).filter_map(here).collect(),
        paper: PAPER.iter().map(|(scale, paper)| (*scale, paper[kind])).collect(),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of the four scales there are, which are no sample of others: with n, as the paper's numbers are.
fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}
