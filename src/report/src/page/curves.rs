//! Curves: scores over the threshold, and the losses of every training run.

use std::collections::BTreeMap;

use artifact::table::{CurveRow, SweepRow};
use artifact::{Result, Row as _};
use maud::{Markup, html};

use super::chart::{Chart, Points, Series, legend};
use super::experiments::{Experiments, sharing};
use super::order::Order;
use super::{Section, slug};
use crate::holdings::Holdings;
use crate::tables;

/// Points of a drawn line at most.
const DRAWN: usize = 240;
/// The moving average spans this share of a run.
const SPAN: f64 = 1.0 / 30.0;
/// The entry of a curve that is no loss.
const RATE: &str = "lr";

/// mIoU, precision and recall over the threshold.
pub(super) fn thresholds(holdings: &Holdings, experiments: &Experiments) -> Result<Option<Section>> {
    let measures = ["mIoU", "Precision", "Recall"];
    let mut lines: [Vec<Series>; 3] = Default::default();
    let mut names = Vec::new();
    let mut on_ground_truth = false;
    for shared in sharing(holdings, SweepRow::TABLE, None) {
        let steps = mean_over_classes(&tables::rows_of(shared.held)?);
        // Without masks a threshold has no score.
        if !steps.iter().any(|step| step.measures[0].is_finite()) {
            continue;
        }
        on_ground_truth |= steps.iter().any(|step| step.chosen_on_ground_truth);
        let colour = experiments.colour(&shared);
        for (measure, lines) in lines.iter_mut().enumerate() {
            let point = |step: &Step| (step.threshold, step.measures[measure]);
            let points = steps.iter().map(point).collect();
            lines.push(Series {
                colour,
                points,
                mark: steps.iter().find(|step| step.chosen).map(point),
                ..Series::default()
            });
        }
        names.push((colour, shared.label()));
    }
    if names.is_empty() {
        return Ok(None);
    }
    let chart = |title, series| Chart { title, x_label: "threshold", percent: true, series };
    let body = html! {
        (legend(&names))
        div.charts {
            @for (title, series) in measures.into_iter().zip(&lines) {
                (figure(title, &chart(title, series).svg(&format!("sweep-{}", slug(title)))))
            }
        }
    };
    let how = if on_ground_truth { ", chosen on ground truth" } else { "" };
    let lead = format!(
        "A pixel belongs to its strongest class if the CAM is above the threshold, else to the background. In percent, \
         mean over classes. The dot marks the threshold that later stages use{how}."
    );
    Ok(Some(Section { id: "thresholds", name: "Threshold", title: "Threshold of the CAMs", lead, body }))
}

/// What a sweep found at one threshold: mIoU, precision and recall.
struct Step {
    threshold: f64,
    measures: [f64; 3],
    chosen: bool,
    chosen_on_ground_truth: bool,
}

/// One step a threshold, ascending, of the split that was swept first: the one that threshold-sweep was asked for.
fn mean_over_classes(sweep: &[SweepRow]) -> Vec<Step> {
    let mut by_threshold: BTreeMap<u64, Vec<&SweepRow>> = BTreeMap::new();
    for row in sweep.iter().filter(|row| row.split == sweep[0].split) {
        // Thresholds are not negative, and the bits of such numbers ascend as they do.
        by_threshold.entry(row.threshold.to_bits()).or_default().push(row);
    }
    let step = |rows: Vec<&SweepRow>| {
        let mean = |value: fn(&SweepRow) -> f64| {
            let values: Vec<_> = rows.iter().map(|row| value(row)).filter(|value| !value.is_nan()).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        Step {
            threshold: rows[0].threshold,
            measures: [rows[0].miou, mean(|row| row.precision), mean(|row| row.recall)],
            chosen: rows.iter().any(|row| row.chosen),
            chosen_on_ground_truth: rows.iter().any(|row| row.chosen_on_ground_truth),
        }
    };
    by_threshold.into_values().map(step).collect()
}

/// A block of charts for each training stage, one chart a loss term.
pub(super) fn losses(holdings: &Holdings, order: &Order, experiments: &Experiments) -> Result<Option<Section>> {
    let mut stages: Vec<&str> = holdings.of_table(CurveRow::TABLE).map(|(held, _)| held.stage.as_str()).collect();
    stages.sort_by_key(|stage| order.stage(stage));
    stages.dedup();
    if stages.is_empty() {
        return Ok(None);
    }
    let blocks = stages.into_iter().map(|stage| losses_of(holdings, experiments, stage)).collect::<Result<Vec<_>>>()?;
    let body = html! { @for block in blocks { (block) } };
    let lead = "Each term as it was logged (faint) and its moving average over a thirtieth of the run (line).";
    Ok(Some(Section { id: "training", name: "Training", title: "Training", lead: lead.into(), body }))
}

fn losses_of(holdings: &Holdings, experiments: &Experiments, stage: &str) -> Result<Markup> {
    let mut terms: Vec<(String, Vec<Series>)> = Vec::new();
    let mut names = Vec::new();
    for shared in sharing(holdings, CurveRow::TABLE, Some(stage)) {
        let colour = experiments.colour(&shared);
        for (name, points) in by_term(tables::rows_of(shared.held)?) {
            let smooth = name != RATE;
            let series = Series {
                colour,
                raw: if smooth { thinned(&points) } else { Vec::new() },
                points: if smooth { averaged(&points) } else { thinned(&points) },
                ..Series::default()
            };
            match terms.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.push(series),
                None => terms.push((name, vec![series])),
            }
        }
        names.push((colour, shared.label()));
    }
    terms.sort_by_key(|(name, _)| (name == RATE, name != "loss"));
    let chart = |title, series| Chart { title, x_label: "step", percent: false, series };
    Ok(html! {
        h3 { (stage) }
        (legend(&names))
        div.charts {
            @for (index, (name, series)) in terms.iter().enumerate() {
                @let title = if name == RATE { "learning rate" } else { name };
                (figure(title, &chart(title, series).svg(&format!("curve-{}-{index}", slug(stage)))))
            }
        }
    })
}

fn figure(title: &str, svg: &Markup) -> Markup {
    html! { figure { figcaption { (title) } (svg) } }
}

/// The terms of a run in the order in which they first appear.
fn by_term(curve: Vec<CurveRow>) -> Vec<(String, Points)> {
    let mut terms: Vec<(String, Points)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for CurveRow { step, name, value, .. } in curve {
        let place = *places.entry(name).or_insert_with_key(|name| {
            terms.push((name.clone(), Vec::new()));
            terms.len() - 1
        });
        terms[place].1.push((step as f64, value));
    }
    for (_, points) in &mut terms {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    terms
}

/// A centred moving average, at as many points as are drawn.
fn averaged(points: &[(f64, f64)]) -> Points {
    let reach = (points.len() as f64 * SPAN / 2.0).round() as usize;
    let average = |index: usize| {
        // As far on both sides: at the ends the window narrows instead of leaning.
        let reach = reach.min(index).min(points.len() - 1 - index);
        let window = &points[index - reach..=index + reach];
        (points[index].0, window.iter().map(|point| point.1).sum::<f64>() / window.len() as f64)
    };
    let stride = points.len().div_ceil(DRAWN).max(1);
    let mut indices: Vec<_> = (0..points.len()).step_by(stride).collect();
    indices.extend(points.len().checked_sub(1).filter(|last| last % stride != 0));
    indices.into_iter().map(average).collect()
}

/// The lowest and the highest value of each short stretch: what a line through all points would cover.
fn thinned(points: &[(f64, f64)]) -> Points {
    let stride = points.len().div_ceil(DRAWN / 2).max(1);
    if stride <= 2 {
        return points.to_vec();
    }
    let ends = |stretch: &[(f64, f64)]| {
        let lowest = stretch.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
        let highest = stretch.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
        let mut ends: Vec<_> = [lowest, highest].into_iter().flatten().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends
    };
    points.chunks(stride).flat_map(ends).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_keeps_a_straight_line_and_its_ends() {
        let line: Vec<_> = (0..1000).map(|n| (f64::from(n), 2.0 * f64::from(n))).collect();
        let smooth = averaged(&line);
        assert!(smooth.len() <= DRAWN + 1);
        assert!(smooth.iter().all(|(x, y)| (y - 2.0 * x).abs() < 1e-9));
        assert_eq!((smooth[0], smooth[smooth.len() - 1]), (line[0], line[999]));
        assert!(averaged(&[]).is_empty());
    }

    #[test]
    fn thinning_keeps_the_extremes() {
        let spiky: Vec<_> = (0..5000).map(|n| (f64::from(n), if n == 777 { 9.0 } else { 1.0 })).collect();
        let thin = thinned(&spiky);
        assert!(thin.len() <= DRAWN + 2 && thin.iter().any(|point| point.1 > 8.9));
    }
}
