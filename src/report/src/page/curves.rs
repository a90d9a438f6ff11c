//! Curves: scores over the threshold, and the losses of every training run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use artifact::Result;
use polars::prelude::{LazyFrame, SortMultipleOptions, col};

use super::chart::{Chart, Points, Series, legend};
use super::html::{escape, section, slug};
use super::{Experiments, Shared, shared_sources};
use crate::catalog::Catalog;
use crate::frame::{Frame, columns};

/// Points of a drawn line at most.
const DRAWN: usize = 240;
/// The moving average spans this share of a run.
const SPAN: f64 = 1.0 / 30.0;
/// The entry of a curve that is no loss.
const RATE: &str = "lr";

/// mIoU, precision and recall over the threshold.
pub(super) fn thresholds(catalog: &Catalog, experiments: &Experiments) -> Result<String> {
    let measures = [("miou", "mIoU"), ("precision", "Precision"), ("recall", "Recall")];
    let mut lines: [Vec<Series>; 3] = Default::default();
    let mut names = Vec::new();
    let mut on_ground_truth = false;
    for shared in shared_sources(catalog, "sweep", None) {
        let Some(scan) = Catalog::scan_source(shared.source, "sweep")? else { continue };
        let frame = Frame::collect(mean_over_classes(scan))?;
        let (threshold, chosen) = (frame.numbers("threshold")?, frame.flags("chosen")?);
        let chosen = chosen.iter().position(|chosen| *chosen);
        on_ground_truth |= frame.flags("chosen_on_ground_truth")?.contains(&true);
        let colour = experiments.colour(&shared);
        for ((name, _), lines) in measures.iter().zip(&mut lines) {
            let values = frame.numbers(name)?;
            let points: Vec<_> = threshold.iter().copied().zip(values).collect();
            let mark = chosen.map(|index| points[index]);
            lines.push(Series { colour, points, mark, ..Series::default() });
        }
        names.push((colour, shared.label()));
    }
    if names.is_empty() {
        return Ok(String::new());
    }
    let mut body = legend(&names) + "<div class=\"charts\">\n";
    for ((name, title), series) in measures.into_iter().zip(&lines) {
        let chart = Chart { title, x_label: "threshold", percent: true, series };
        body += &figure(title, &chart.svg(&format!("sweep-{name}")));
    }
    body.push_str("</div>\n");
    let how = if on_ground_truth { ", chosen on ground truth" } else { "" };
    let lead = format!(
        "A pixel belongs to its strongest class if the CAM is above the threshold, else to the background. In percent, \
         mean over classes. The dot marks the threshold that later stages use{how}."
    );
    Ok(section("thresholds", "Threshold of the CAMs", &lead, &body))
}

/// One row a threshold, of the split that was swept first: the one that threshold-sweep was asked for.
fn mean_over_classes(sweep: LazyFrame) -> LazyFrame {
    let mean = |name: &str| col(name).drop_nans().mean();
    sweep
        .filter(col("split").eq(col("split").first()))
        .group_by([col("threshold")])
        .agg([
            col("miou").first(),
            mean("precision"),
            mean("recall"),
            col("chosen").any(true),
            col("chosen_on_ground_truth").any(true),
        ])
        .sort(["threshold"], SortMultipleOptions::default())
}

/// A block of charts for each training stage, one chart a loss term.
pub(super) fn losses(catalog: &Catalog, experiments: &Experiments) -> Result<String> {
    let mut stages: Vec<&str> = catalog.sources_of("curve").map(|(source, _)| source.stage.as_str()).collect();
    stages.sort_by_key(|stage| (super::stage_rank(stage), *stage));
    stages.dedup();
    let mut body = String::new();
    for stage in stages {
        let mut terms: Vec<(String, Vec<Series>)> = Vec::new();
        let mut names = Vec::new();
        for shared in shared_sources(catalog, "curve", Some(stage)) {
            let colour = experiments.colour(&shared);
            for (name, points) in read(&shared)? {
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
        let _ = write!(body, "<h3>{}</h3>\n{}<div class=\"charts\">\n", escape(stage), legend(&names));
        for (index, (name, series)) in terms.iter().enumerate() {
            let title = if name == RATE { "learning rate" } else { name };
            let chart = Chart { title, x_label: "step", percent: false, series };
            body += &figure(title, &chart.svg(&format!("curve-{}-{index}", slug(stage))));
        }
        body.push_str("</div>\n");
    }
    if body.is_empty() {
        return Ok(body);
    }
    let lead = "Each term as it was logged (faint) and its moving average over a thirtieth of the run (line).";
    Ok(section("training", "Training", lead, &body))
}

fn figure(title: &str, svg: &str) -> String {
    format!("<figure><figcaption>{}</figcaption>{svg}</figure>\n", escape(title))
}

/// The terms of a run in the order in which they first appear.
fn read(shared: &Shared<'_>) -> Result<Vec<(String, Points)>> {
    let Some(scan) = Catalog::scan_source(shared.source, "curve")? else { return Ok(Vec::new()) };
    let frame = Frame::collect(scan.select(columns(&["step", "name", "value"])))?;
    let (step, name, value) = (frame.numbers("step")?, frame.texts("name")?, frame.numbers("value")?);
    let mut terms: Vec<(String, Points)> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for row in 0..step.len() {
        let place = *places.entry(&name[row]).or_insert_with(|| {
            terms.push((name[row].clone(), Vec::new()));
            terms.len() - 1
        });
        terms[place].1.push((step[row], value[row]));
    }
    for (_, points) in &mut terms {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    Ok(terms)
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
