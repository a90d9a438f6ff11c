//! Figure 7 (appendix B): mIoU over the threshold of the region masks in training. The paper prints no numbers.

use serde_json::Value;

use super::groups::{Group, MIOU, Usual, grouped};
use super::kinds::{BASELINE, RCM};
use super::runs::Run;
use super::{Cell, Line, Row, Sample, Table};
use crate::text::number;

pub(super) fn figure_7(usual: &Usual<'_>) -> Option<Table> {
    let trained = grouped(usual.at_any_threshold(RCM), without_threshold).into_iter().next()?;
    let points = points(&trained);
    let [first, .., last] = points.as_slice() else { return None };
    let baseline = usual.largest(BASELINE).and_then(|group| group.sample("cam", MIOU));
    let mut lines = vec![Line { name: "RCM".into(), here: points.clone(), paper: Vec::new() }];
    lines.extend(baseline.as_ref().map(|baseline| {
        let ends = [first, last].map(|(at, _)| (*at, baseline.clone()));
        Line { name: "Baseline".into(), here: ends.into(), paper: Vec::new() }
    }));
    let row =
        |name: String, sample: Sample| -> Row { (name, vec![Cell::Count(sample.values.len()), Cell::Here(sample)]) };
    let mut rows: Vec<_> = points.iter().map(|(at, sample)| row(number(*at), sample.clone())).collect();
    rows.extend(baseline.map(|baseline| row("Baseline".into(), baseline)));
    let note = "mIoU of the CAMs of RCM on the training images, in percent. The paper draws it and prints no numbers \
                but Table 1's, at 0.2.";
    Some(Table {
        title: "Figure 7: threshold of the region masks in training".into(),
        note: note.into(),
        head: ["Threshold", "n", "mIoU here"].map(str::to_owned).into(),
        rows,
        lines,
    })
}

/// What a run has but the threshold.
fn without_threshold(run: &Run) -> [Value; 3] {
    let mut train = run.train.clone();
    train.get_mut("rcm").and_then(Value::as_object_mut).and_then(|rcm| rcm.remove("threshold"));
    [train, run.origin.clone(), run.extract.clone()]
}

/// mIoU at each threshold, ascending.
fn points(trained: &Group<'_>) -> Vec<(f64, Sample)> {
    let mut thresholds: Vec<f64> = trained.runs.iter().filter_map(|run| run.threshold()).collect();
    thresholds.sort_by(f64::total_cmp);
    thresholds.dedup();
    let at = |threshold: f64| {
        let runs = trained.runs.iter().copied().filter(|run| run.threshold() == Some(threshold)).collect();
        Group { runs }.sample("cam", MIOU)
    };
    thresholds.into_iter().filter_map(|threshold| Some((threshold, at(threshold)?))).collect()
}
