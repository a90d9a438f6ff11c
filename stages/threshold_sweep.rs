//! threshold-sweep: one reading of the CAMs gives the scores at every threshold (METHOD 4) and marks the best.
//!
//! The choice is made on ground truth; every row, and every table that uses the choice, says so.

use std::process::ExitCode;

use artifact::table::{HistogramRow, SweepRow};
use artifact::{ClassId, Description, Error, Result, Row as _};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wsss::data::dataset::{Cams, Dataset, Masks, ground_truth};
use wsss::method::confusion::{ConfusionMatrix, SweepHistogram};
use wsss::stage::{Context, Outcome, Progress, Stage, count_cams};

struct ThresholdSweep;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Split on which thresholds are compared.
    split: String,
    /// First threshold, step and number of thresholds.
    from: f64,
    step: f64,
    count: usize,
}

impl Stage for ThresholdSweep {
    type Params = Params;

    fn description() -> Description {
        Description {
            inputs: vec!["prepare-data".into(), "extract-msinf-cam".into()],
            outputs: vec![SweepRow::TABLE.into(), HistogramRow::TABLE.into()],
            tensors: false,
            ..Description::new("threshold-sweep", 1)
        }
    }

    fn check(params: &Params) -> Result<()> {
        let last = params.from + params.step * params.count as f64;
        if params.count == 0 || params.count > 10_000 || params.step <= 0.0 || params.from < 0.0 || last > 1.0 + 1e-9 {
            return Err(Error::Config("count: from 1 to 10000 thresholds, ascending, within 0 to 1".into()));
        }
        Ok(())
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let params = &context.params;
        let thresholds: Vec<f32> = (0..params.count).map(|i| (params.from + params.step * i as f64) as f32).collect();
        let dataset = Dataset::load(context.input("prepare-data"), Masks::Read)?;
        let cams = Cams::load(context.input("extract-msinf-cam"))?;
        let images = dataset.split(&params.split)?;
        let classes = dataset.classes.len() + 1;
        let progress = Progress::new("threshold-sweep", "images", 0, images.len());
        let empty = || SweepHistogram::new(classes, &thresholds);
        let histogram = images
            .par_iter()
            .try_fold(empty, |mut histogram, image| {
                context.stop.check()?;
                count_cams(&mut histogram, &cams, image, &ground_truth(image)?.classes);
                progress.advance(1, String::new);
                Ok::<_, Error>(histogram)
            })
            .try_reduce(empty, |mut a, b| {
                a.merge(&b);
                Ok(a)
            })?;
        progress.finish();

        let matrices: Vec<_> = (0..thresholds.len()).map(|index| histogram.confusion(index)).collect();
        let mious: Vec<f64> = matrices.iter().map(ConfusionMatrix::miou).collect();
        let best = (0..mious.len()).fold(0, |best, index| if mious[index] > mious[best] { index } else { best });
        let mut rows = Vec::new();
        for (index, matrix) in matrices.iter().enumerate() {
            for class in 0..classes {
                let class_id = ClassId(class as u8);
                rows.push(SweepRow {
                    threshold: params.from + params.step * index as f64,
                    class_id,
                    class: dataset.class_name(class_id).to_owned(),
                    tp: matrix.tp(class),
                    fp: matrix.fp(class),
                    r#fn: matrix.fn_(class),
                    iou: matrix.iou(class),
                    precision: matrix.precision(class),
                    recall: matrix.recall(class),
                    miou: mious[index],
                    chosen: index == best,
                    chosen_on_ground_truth: true,
                });
            }
        }
        context.work.declare::<SweepRow>(1, std::collections::BTreeMap::new());
        context.work.declare::<HistogramRow>(1, std::collections::BTreeMap::new());
        context.work.write_all(rows)?;
        context.work.write_all(histogram.cells().filter(|cell| cell.count > 0).map(|cell| HistogramRow {
            ground_truth: cell.ground_truth,
            winner: cell.winner,
            bin: cell.thresholds_below as u32,
            pixels: cell.count,
        }))?;
        let chosen = params.from + params.step * best as f64;
        let metrics =
            [("threshold", json!(chosen)), ("miou", json!(mious[best])), ("chosen_on_ground_truth", json!(true))];
        Ok(Outcome::tables(metrics.map(|(name, value)| (name.to_owned(), value)).into()))
    }
}

fn main() -> ExitCode {
    wsss::stage::main::<ThresholdSweep>()
}
