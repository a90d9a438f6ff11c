//! evaluate: scores CAMs, pseudo-labels and DeepLab against ground truth; writes `score`, `class_score`, per-image
//! `confusion`, and DeepLab's predictions as `label`. What is scored is what the manifest's `needs` names.

use std::collections::BTreeMap;
use std::process::ExitCode;

use artifact::table::{ClassScoreRow, ConfusionRow, DatasetRow, LabelRow, ScoreRow, SweepRow};
use artifact::{Artifact, ClassId, Description, Error, Result, Row as _};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::{Kind, Tensor, nn};
use wsss::data::augment::normalize;
use wsss::data::dataset::{Cams, Dataset, Masks, ground_truth, labels, photograph};
use wsss::method::confusion::{ConfusionMatrix, SweepHistogram};
use wsss::method::segmentation::{Flip, probabilities};
use wsss::model::DeepLab;
use wsss::model::weights;
use wsss::stage::{Context, Outcome, Parts, Stage, count_cams, for_each_part, image_workers};
use wsss::train::init::{CHECKPOINT, trained_param};

struct Evaluate;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Stands in every row: `"${experiment}"`.
    experiment: String,
    /// Stands in every row: `"${seed}"`.
    seed: u64,
    /// Splits on which each thing is scored.
    cam_splits: Vec<String>,
    label_splits: Vec<String>,
    deeplab_splits: Vec<String>,
    /// DeepLab's test-time scales and flip.
    deeplab_scales: Vec<f64>,
    deeplab_flip: bool,
}

impl Stage for Evaluate {
    type Params = Params;

    fn description() -> Description {
        Description {
            inputs: vec!["prepare-data".into()],
            optional_inputs: ["extract-msinf-cam", "threshold-sweep", "random-walk", "train-deeplab"]
                .map(str::to_owned)
                .into(),
            outputs: [ScoreRow::TABLE, ClassScoreRow::TABLE, ConfusionRow::TABLE, LabelRow::TABLE]
                .map(str::to_owned)
                .into(),
            tensors: true,
            ..Description::new("evaluate", 1)
        }
    }

    fn check(params: &Params) -> Result<()> {
        if params.deeplab_scales.is_empty() || params.deeplab_scales.iter().any(|scale| !(0.1..=4.0).contains(scale)) {
            return Err(Error::Config("deeplab_scales: give one or more from 0.1 to 4".into()));
        }
        Ok(())
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let dataset = Dataset::load(context.input("prepare-data"), Masks::Read)?;
        context.work.declare::<ScoreRow>(1, BTreeMap::new());
        context.work.declare::<ClassScoreRow>(1, BTreeMap::new());
        context.work.declare::<ConfusionRow>(1, BTreeMap::new());
        if let Some(trained) = context.optional_input("train-deeplab").cloned() {
            let missing = predict(context, &dataset, &trained)?;
            if missing > 0 {
                return Ok(Outcome::Partial { missing });
            }
        } else {
            context.work.declare::<LabelRow>(1, BTreeMap::new());
            context.work.write_all::<LabelRow>([])?;
        }
        let mut board = Scoreboard::new(&context.params, &dataset);
        score_cams(context, &mut board)?;
        score_labels(context, &mut board)?;
        score_deeplab(context, &mut board)?;
        let Scoreboard { scores, class_scores, confusions, metrics, .. } = board;
        context.work.write_all(scores)?;
        context.work.write_all(class_scores)?;
        context.work.write_all(confusions)?;
        Ok(Outcome::tables(metrics))
    }
}

/// CAMs at the threshold that threshold-sweep chose.
fn score_cams(context: &Context<Params>, board: &mut Scoreboard<'_>) -> Result<()> {
    let Some(artifact) = context.optional_input("extract-msinf-cam") else { return Ok(()) };
    let sweep = context
        .optional_input("threshold-sweep")
        .ok_or_else(|| Error::Config("needs: CAMs are scored at a threshold; add threshold-sweep".into()))?;
    let chosen = chosen_threshold(sweep)?;
    let cams = Cams::load(artifact)?;
    let classes = board.classes();
    for split in &context.params.cam_splits {
        let what = Scored { stage: "cam", split, artifact, threshold: Some(&chosen) };
        board.score(&what, |image, truth| {
            let mut histogram = SweepHistogram::new(classes, &[chosen.threshold as f32]);
            count_cams(&mut histogram, &cams, image, truth);
            Ok(histogram.confusion(0))
        })?;
    }
    Ok(())
}

/// Pseudo-labels.
fn score_labels(context: &Context<Params>, board: &mut Scoreboard<'_>) -> Result<()> {
    let Some(artifact) = context.optional_input("random-walk") else { return Ok(()) };
    let labels = labels(artifact)?;
    let classes = board.classes();
    for split in &context.params.label_splits {
        let what = Scored { stage: "label", split, artifact, threshold: None };
        board.score(&what, |image, truth| {
            let id = &image.image_id;
            let missing = || Error::Config(format!("label_splits: image '{id}' of '{split}' has no pseudo-label"));
            Ok(confusion(classes, truth, &labels.get(id).ok_or_else(missing)?.classes))
        })?;
    }
    Ok(())
}

/// DeepLab's predictions, which [`predict`] has just made.
fn score_deeplab(context: &Context<Params>, board: &mut Scoreboard<'_>) -> Result<()> {
    let Some(trained) = context.optional_input("train-deeplab") else { return Ok(()) };
    let rows = context.work.rows::<LabelRow>(&["source"])?;
    let predictions = rows.map(|row| row.map(|row| (row.image_id, row.label))).collect::<Result<BTreeMap<_, _>>>()?;
    let classes = board.classes();
    for split in &context.params.deeplab_splits {
        let what = Scored { stage: "deeplab", split, artifact: trained, threshold: None };
        board.score(&what, |image, truth| Ok(confusion(classes, truth, &predictions[&image.image_id])))?;
    }
    Ok(())
}

/// DeepLab's output for every image of its splits; returns how many parts other shards have yet to do.
fn predict(context: &mut Context<Params>, dataset: &Dataset, trained: &Artifact) -> Result<usize> {
    let params = &context.params;
    let images = dataset.splits(&params.deeplab_splits)?;
    let flip = if params.deeplab_flip { Flip::Both } else { Flip::None };
    let (device, classes) = (context.device, dataset.classes.len() as i64 + 1);
    let worker = |_| {
        let net = network(trained, classes, device)?;
        Ok(move |image: &&DatasetRow| {
            let photo = photograph(image)?;
            let input = Tensor::from_slice(&normalize(&photo)).view([1, 3, photo.height as i64, photo.width as i64]);
            let input = input.to_device(device); // [1, 3, H, W]
            let winners = tch::no_grad(|| probabilities(&net, &input, &params.deeplab_scales, flip).argmax(0, false));
            let label = winners.to_kind(Kind::Uint8).to_device(tch::Device::Cpu).contiguous().view(-1); // [H W]
            Ok(vec![LabelRow {
                image_id: image.image_id.clone(),
                height: image.height,
                width: image.width,
                source: "deeplab".into(),
                label: Vec::try_from(&label).expect("a vector of u8"),
            }])
        })
    };
    let mut workers = (0..image_workers(device)).map(worker).collect::<Result<Vec<_>>>()?;
    let mut parts = Parts {
        work: &mut context.work,
        shard: context.shard,
        stop: &context.stop,
        log: &mut context.log,
        name: "evaluate",
    };
    for_each_part(&mut parts, BTreeMap::new(), &images, &mut workers)
}

fn network(trained: &Artifact, classes: i64, device: tch::Device) -> Result<DeepLab> {
    let mut vs = nn::VarStore::new(device);
    let (backbone, hidden) = (trained_param(trained, "backbone")?, trained_param(trained, "hidden")?);
    let net = DeepLab::new(&vs.root(), &backbone, classes, hidden);
    weights::load(&vs, &trained.file(CHECKPOINT), "", &[])?;
    vs.freeze();
    Ok(net)
}

/// The row of the sweep that later stages use.
fn chosen_threshold(sweep: &Artifact) -> Result<SweepRow> {
    let chosen = sweep.rows::<SweepRow>(&[])?.find(|row| row.as_ref().map_or(true, |row| row.chosen));
    chosen.ok_or_else(|| Error::NotCommitted(format!("{}: no threshold is chosen", sweep.dir().display())))?
}

fn confusion(classes: usize, truth: &[u8], prediction: &[u8]) -> ConfusionMatrix {
    let mut matrix = ConfusionMatrix::new(classes);
    matrix.add(truth, prediction);
    matrix
}

/// One line of the score table.
struct Scored<'a> {
    stage: &'a str,
    split: &'a str,
    artifact: &'a Artifact,
    threshold: Option<&'a SweepRow>,
}

/// The tables as they grow.
struct Scoreboard<'a> {
    params: &'a Params,
    dataset: &'a Dataset,
    scores: Vec<ScoreRow>,
    class_scores: Vec<ClassScoreRow>,
    confusions: Vec<ConfusionRow>,
    metrics: BTreeMap<String, Value>,
}

impl<'a> Scoreboard<'a> {
    fn new(params: &'a Params, dataset: &'a Dataset) -> Self {
        let (scores, class_scores, confusions) = (Vec::new(), Vec::new(), Vec::new());
        Self { params, dataset, scores, class_scores, confusions, metrics: BTreeMap::new() }
    }

    /// Number of classes, the background included.
    fn classes(&self) -> usize {
        self.dataset.classes.len() + 1
    }

    /// Scores every image of a split; `matrix` compares one image with its ground truth.
    fn score(
        &mut self,
        what: &Scored<'_>,
        matrix: impl Fn(&DatasetRow, &[u8]) -> Result<ConfusionMatrix> + Sync,
    ) -> Result<()> {
        let images = self.dataset.split(what.split)?;
        let matrices: Vec<_> = images
            .par_iter()
            .map(|image| {
                let truth = ground_truth(image)?;
                matrix(image, &truth.classes)
            })
            .collect::<Result<_>>()?;
        let mut total = ConfusionMatrix::new(self.classes());
        for (image, matrix) in images.iter().zip(&matrices) {
            total.merge(matrix);
            self.add_image(what, image, matrix);
        }
        self.add_total(what, images.len(), &total);
        Ok(())
    }

    fn add_image(&mut self, what: &Scored<'_>, image: &DatasetRow, matrix: &ConfusionMatrix) {
        for class in 0..self.classes() {
            let (tp, fp, r#fn) = (matrix.tp(class), matrix.fp(class), matrix.fn_(class));
            if tp + fp + r#fn > 0 {
                self.confusions.push(ConfusionRow {
                    experiment: self.params.experiment.clone(),
                    stage: what.stage.to_owned(),
                    split: what.split.to_owned(),
                    image_id: image.image_id.clone(),
                    class_id: ClassId(class as u8),
                    class: self.dataset.class_name(ClassId(class as u8)).to_owned(),
                    tp,
                    fp,
                    r#fn,
                });
            }
        }
    }

    fn add_total(&mut self, what: &Scored<'_>, images: usize, total: &ConfusionMatrix) {
        for class in 0..self.classes() {
            self.class_scores.push(ClassScoreRow {
                experiment: self.params.experiment.clone(),
                stage: what.stage.to_owned(),
                split: what.split.to_owned(),
                class_id: ClassId(class as u8),
                class: self.dataset.class_name(ClassId(class as u8)).to_owned(),
                iou: total.iou(class),
                precision: total.precision(class),
                recall: total.recall(class),
            });
        }
        let score = ScoreRow {
            experiment: self.params.experiment.clone(),
            stage: what.stage.to_owned(),
            split: what.split.to_owned(),
            images: images as u64,
            miou: total.miou(),
            precision: total.mean_precision(),
            recall: total.mean_recall(),
            threshold: what.threshold.map(|row| row.threshold),
            chosen_on_ground_truth: what.threshold.is_some_and(|row| row.chosen_on_ground_truth),
            seed: self.params.seed,
            key: what.artifact.record().key.as_str().to_owned(),
        };
        let name = format!("{}.{}", what.stage, what.split);
        for (metric, value) in [("miou", score.miou), ("precision", score.precision), ("recall", score.recall)] {
            self.metrics.insert(format!("{name}.{metric}"), json!(value));
        }
        self.scores.push(score);
    }
}

fn main() -> ExitCode {
    wsss::stage::main::<Evaluate>()
}
