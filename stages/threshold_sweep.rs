//! threshold-sweep: scores CAMs at every threshold and marks the one that later stages use
//!
//! Reads the tables `dataset`, `mask` and `cam`, the CAMs once for all thresholds (METHOD.md, section 4); writes
//! `sweep` and `histogram`. The threshold that it marks is the best on a split, or a number that the manifest gives. A
//! choice on a split is made on its ground truth; every row, and every table that uses the choice, says so. Images
//! without a mask are left out and counted; a split without any has no rows. Without masks on the split that should
//! choose none is chosen, and that is said; a number needs no mask.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use artifact::store::Record;
use artifact::table::{CamRow, DatasetRow, HistogramRow, MaskRow, SweepRow};
use artifact::{ClassId, Error, ImageId, ParamError, Result, Row as _};
use data::confusion::{ConfusionMatrix, SweepHistogram, best};
use data::dataset::{Dataset, Masks};
use data::score_maps::{CamImages, ImageCams};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stage::{Contents, Context, Description, Item, Outcome, Read, Stage, say};

struct ThresholdSweep;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Split on which thresholds are compared.
    split: String,
    /// What chooses the threshold of later stages.
    choose_on: ChooseOn,
    /// First threshold, step and number of thresholds.
    from: f64,
    step: f64,
    count: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ChooseOn {
    /// Nobody's ground truth: this threshold, one of those swept.
    Threshold(f64),
    /// The ground truth of this split.
    Split(String),
}

impl Params {
    fn threshold(&self, index: usize) -> f64 {
        self.from + self.step * index as f64
    }

    /// The index of a threshold.
    fn index_of(&self, threshold: f64) -> Result<usize, ParamError> {
        let found = (0..self.count).find(|index| (self.threshold(*index) - threshold).abs() < 1e-9);
        found.ok_or_else(|| {
            let (from, step, last) = (self.from, self.step, self.threshold(self.count - 1));
            let reason = format!("{threshold} is not swept; give one of {from} to {last} in steps of {step}");
            ParamError::new("choose_on", reason)
        })
    }
}

impl Stage for ThresholdSweep {
    type Params = Params;

    fn description() -> Description {
        Description {
            reads: vec![Read::table::<DatasetRow>(), Read::table::<MaskRow>().optional(), Read::table::<CamRow>()],
            writes: Contents::tables([SweepRow::TABLE, HistogramRow::TABLE]),
            checks: vec![Item::table::<MaskRow>()],
            ..Description::new(
                "threshold-sweep",
                3,
                "scores CAMs at every threshold and marks the one that later stages use",
            )
        }
    }

    fn check(params: &Params) -> Result<()> {
        let last = params.from + params.step * params.count as f64;
        if params.count == 0 || params.count > 10_000 || params.step <= 0.0 || params.from < 0.0 || last > 1.0 + 1e-9 {
            return Err(ParamError::new("count", "from 1 to 10000 thresholds, ascending, within 0 to 1").into());
        }
        if let ChooseOn::Threshold(threshold) = params.choose_on {
            params.index_of(threshold)?;
        }
        Ok(())
    }

    fn check_inputs(params: &Params, inputs: &[&Record]) -> Result<()> {
        // Only prepare-data counts images by split.
        let counts = inputs.iter().flat_map(|record| record.metrics.keys());
        let known: Vec<&str> = counts.filter_map(|name| name.strip_prefix("images.")).collect();
        if known.is_empty() {
            return Ok(());
        }
        let given = match &params.choose_on {
            ChooseOn::Split(split) => vec![("split", &params.split), ("choose_on", split)],
            ChooseOn::Threshold(_) => vec![("split", &params.split)],
        };
        match given.into_iter().find(|(_, split)| !known.contains(&split.as_str())) {
            None => Ok(()),
            Some((name, split)) => {
                let known = known.join(", ");
                let reason = format!("the data set has no image in split '{split}'; it has {known}");
                Err(ParamError::new(name, reason).into())
            }
        }
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let params = &context.params;
        let dataset = Dataset::load(context.table::<DatasetRow>()?)?;
        let masks = Masks::load(context.optional_table::<MaskRow>()?)?;
        // The split that was asked for comes first.
        let mut splits = vec![&params.split];
        if let ChooseOn::Split(split) = &params.choose_on {
            splits.extend((*split != params.split).then_some(split));
        }
        let splits = splits.into_iter().map(|split| Split::new(&dataset, &masks, split)).collect::<Result<Vec<_>>>()?;
        let histograms = count(context, &dataset, &masks, &splits)?;
        let sweeps: Vec<_> =
            splits.into_iter().zip(histograms).map(|(split, counts)| Sweep::new(split, counts)).collect();
        let (index, chosen_on) = match (&params.choose_on, &sweeps[sweeps.len() - 1]) {
            (ChooseOn::Threshold(threshold), _) => (Some(params.index_of(*threshold)?), None),
            (ChooseOn::Split(_), Sweep { images: 0, .. }) => (None, None),
            (ChooseOn::Split(split), sweep) => (Some(best(&sweep.matrices)), Some(split.as_str())),
        };
        let mut metrics = BTreeMap::from([("chosen_on_ground_truth".to_owned(), json!(chosen_on.is_some()))]);
        match (index, &params.choose_on) {
            (Some(index), _) => drop(metrics.insert("threshold".to_owned(), json!(params.threshold(index)))),
            (None, ChooseOn::Split(split)) => {
                let note = format!(
                    "no image of '{split}' has a mask, so no threshold is chosen on it and CAMs are not scored; give \
                     one, as in choose_on = 0.3, or a split with masks"
                );
                say(&context.name, &note);
                context.log.event("note", &json!({ "note": note }))?;
            }
            (None, ChooseOn::Threshold(_)) => {}
        }
        let (mut rows, mut cells) = (Vec::new(), Vec::new());
        for sweep in &sweeps {
            if sweep.without_mask > 0 {
                metrics.insert(format!("{}.without_mask", sweep.split), json!(sweep.without_mask));
            }
            if sweep.images == 0 {
                continue;
            }
            if let Some(index) = index {
                metrics.insert(format!("{}.miou", sweep.split), json!(sweep.matrices[index].miou()));
            }
            rows.extend(sweep.rows(params, &dataset, index, chosen_on.is_some()));
            cells.extend(sweep.cells());
        }
        context.work.declare::<SweepRow>(1, BTreeMap::new())?;
        context.work.declare::<HistogramRow>(1, BTreeMap::new())?;
        context.work.write_all(rows)?;
        context.work.write_all(cells)?;
        Ok(Outcome::tables(metrics))
    }
}

/// The images of a split that can be scored.
struct Split<'a> {
    name: &'a str,
    images: BTreeMap<&'a ImageId, &'a DatasetRow>,
    without_mask: usize,
}

impl<'a> Split<'a> {
    fn new(dataset: &'a Dataset, masks: &Masks, name: &'a str) -> Result<Self> {
        let all = dataset.split(name)?;
        let scorable = masks.scorable(&all);
        let without_mask = all.len() - scorable.len();
        Ok(Self { name, images: scorable.into_iter().map(|image| (&image.image_id, image)).collect(), without_mask })
    }
}

/// Counts the images of every split, the CAMs read once and one image after the other.
fn count(context: &Context<Params>, dataset: &Dataset, masks: &Masks, splits: &[Split]) -> Result<Vec<SweepHistogram>> {
    let params = &context.params;
    let thresholds: Vec<f32> = (0..params.count).map(|index| params.threshold(index) as f32).collect();
    let images: BTreeMap<_, _> = splits.iter().flat_map(|split| &split.images).collect();
    let progress = context.progress("images", 0, images.len());
    let nothing = || {
        let histograms = vec![SweepHistogram::new(dataset.classes.len() + 1, &thresholds); splits.len()];
        (histograms, Vec::new())
    };
    let add = |(mut histograms, mut counted): (Vec<SweepHistogram>, Vec<ImageId>), cams: Result<ImageCams>| {
        context.stop.check()?;
        let cams = cams?;
        let truth = masks.truth(&cams.image)?.classes;
        let in_split = splits.iter().map(|split| split.images.contains_key(&cams.image));
        for (histogram, _) in histograms.iter_mut().zip(in_split).filter(|(_, in_split)| *in_split) {
            cams.count(histogram, &truth);
        }
        progress.advance(1, String::new);
        counted.push(cams.image);
        Ok::<_, Error>((histograms, counted))
    };
    let wanted = images.keys().map(ToString::to_string).collect();
    let counted = CamImages::new(context.table::<CamRow>()?, wanted)?.par_bridge().try_fold(nothing, add);
    let (histograms, with_cams) = counted.try_reduce(nothing, |mut a, b| {
        a.0.iter_mut().zip(&b.0).for_each(|(a, b)| a.merge(b));
        a.1.extend(b.1);
        Ok(a)
    })?;
    let with_cams: BTreeSet<_> = with_cams.iter().collect();
    let others = images.iter().filter(|(image, _)| !with_cams.contains(**image)).map(|(_, row)| ImageCams::none(row));
    let (histograms, _) = others.into_iter().try_fold((histograms, Vec::new()), add)?;
    progress.finish();
    Ok(histograms)
}

/// One split at every threshold.
struct Sweep<'a> {
    split: &'a str,
    /// How many images were scored, and how many could not be.
    images: usize,
    without_mask: usize,
    histogram: SweepHistogram,
    /// One a threshold.
    matrices: Vec<ConfusionMatrix>,
}

impl<'a> Sweep<'a> {
    fn new(split: Split<'a>, histogram: SweepHistogram) -> Self {
        let Split { name, images, without_mask } = split;
        let matrices = histogram.matrices();
        Self { split: name, images: images.len(), without_mask, histogram, matrices }
    }

    fn rows(&self, params: &Params, dataset: &Dataset, chosen: Option<usize>, on_ground_truth: bool) -> Vec<SweepRow> {
        let mut rows = Vec::new();
        for (index, matrix) in self.matrices.iter().enumerate() {
            let miou = matrix.miou();
            for class in 0..matrix.classes {
                let class_id = ClassId(class as u8);
                rows.push(SweepRow {
                    split: self.split.to_owned(),
                    threshold: params.threshold(index),
                    class_id,
                    class: dataset.class_name(class_id).to_owned(),
                    tp: matrix.tp(class),
                    fp: matrix.fp(class),
                    r#fn: matrix.fn_(class),
                    iou: matrix.iou(class),
                    precision: matrix.precision(class),
                    recall: matrix.recall(class),
                    miou,
                    chosen: Some(index) == chosen,
                    chosen_on_ground_truth: on_ground_truth,
                });
            }
        }
        rows
    }

    fn cells(&self) -> impl Iterator<Item = HistogramRow> {
        self.histogram.cells().map(|cell| HistogramRow {
            split: self.split.to_owned(),
            ground_truth: cell.ground_truth,
            winner: cell.winner,
            bin: cell.thresholds_below as u32,
            pixels: cell.count,
        })
    }
}

fn main() -> ExitCode {
    stage::main::<ThresholdSweep>()
}
