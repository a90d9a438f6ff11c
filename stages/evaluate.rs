//! evaluate: scores CAMs, pseudo-labels and DeepLab against ground truth, the first and the last also after a CRF; writes
//! `score`, `class_score`, per-image `confusion`, and what it predicts itself as `label`. What is scored is what the
//! manifest's `needs` names; of train-cam and train-affinity only the parameters are read.
//!
//! ```text
//! evaluate/scoreboard.rs   the tables as they grow
//! evaluate/chosen.rs       which scores depend on what people chose on ground truth
//! ```

#[path = "evaluate/chosen.rs"]
mod chosen;
#[path = "evaluate/scoreboard.rs"]
mod scoreboard;

use std::collections::BTreeMap;
use std::process::ExitCode;

use artifact::table::{ClassScoreRow, ConfusionRow, DatasetRow, LabelRow, ScoreRow, SweepRow};
use artifact::{Artifact, ClassId, Error, ExperimentPlan, ParamError, Result, Row as _};
use data::confusion::{ConfusionMatrix, SweepHistogram};
use data::dataset::{Dataset, Masks, photograph};
use data::labels::labels;
use data::score_maps::ScoreMaps;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stage::{Context, Description, OpenDevice, Outcome, Parts, Stage, cores, for_each_part};
use tch::{Tensor, nn};
use wsss::device;
use wsss::infer::{CrfParams, Networks, cam_crf};
use wsss::method::crf::{Bilateral, DenseCrf, Gaussian};
use wsss::method::flip::Flip;
use wsss::method::scores::{CamScores, winners};
use wsss::method::segmentation::probabilities;
use wsss::model::DeepLab;
use wsss::model::fill;
use wsss::tensor::{floats, of_photo};
use wsss::train::init::CHECKPOINT;

use self::chosen::chosen;
use self::scoreboard::{Scoreboard, Scored};

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
    /// The CRF of the row cam+crf, which has no threshold; without iterations there is no such row.
    cam_crf: CamCrfParams,
    /// The CRF of the row deeplab+crf; without iterations there is no such row.
    deeplab_crf: CrfParams,
    /// Parameters that people chose by looking at ground truth, as in `random-walk.alpha`.
    chosen_on_ground_truth: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CamCrfParams {
    /// Background score is (1 - max CAM)^alpha.
    alpha: f64,
    iterations: u32,
    gaussian: Gaussian,
    bilateral: Bilateral,
}

impl CamCrfParams {
    fn crf(&self) -> CrfParams {
        CrfParams { iterations: self.iterations, gaussian: self.gaussian, bilateral: self.bilateral }
    }
}

impl Stage for Evaluate {
    type Params = Params;
    const TENSORS: Option<OpenDevice> = Some(device::check);

    fn description() -> Description {
        Description {
            inputs: vec!["prepare-data".into()],
            optional_inputs: [
                "train-cam",
                "extract-msinf-cam",
                "threshold-sweep",
                "train-affinity",
                "random-walk",
                "train-deeplab",
            ]
            .map(str::to_owned)
            .into(),
            outputs: [ScoreRow::TABLE, ClassScoreRow::TABLE, ConfusionRow::TABLE, LabelRow::TABLE]
                .map(str::to_owned)
                .into(),
            sharded: true,
            ..Description::new("evaluate", 3)
        }
    }

    fn check(params: &Params) -> Result<()> {
        if params.deeplab_scales.is_empty() || params.deeplab_scales.iter().any(|scale| !(0.1..=4.0).contains(scale)) {
            return Err(ParamError::new("deeplab_scales", "give one or more from 0.1 to 4").into());
        }
        params.cam_crf.crf().check().map_err(|error| error.below("cam_crf"))?;
        if !(params.cam_crf.alpha > 0.0 && params.cam_crf.alpha <= 1e3) {
            return Err(ParamError::new("cam_crf.alpha", "must be above 0, such as 4").into());
        }
        params.deeplab_crf.check().map_err(|error| error.below("deeplab_crf"))?;
        chosen::check(&params.chosen_on_ground_truth)
    }

    fn check_plan(params: &Params, plan: &ExperimentPlan) -> Result<()> {
        chosen::check_plan(&params.chosen_on_ground_truth, plan)
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        keep_used(context)?;
        let dataset = Dataset::load(context.input("prepare-data"), Masks::Read)?;
        let cams = context.optional_input("extract-msinf-cam").map(ScoreMaps::load_cams).transpose()?;
        context.work.declare::<ScoreRow>(1, BTreeMap::new());
        context.work.declare::<ClassScoreRow>(1, BTreeMap::new());
        context.work.declare::<ConfusionRow>(1, BTreeMap::new());
        let missing = predict(context, &dataset, cams.as_ref())?;
        if missing > 0 {
            return Ok(Outcome::Partial { missing });
        }
        let Params { experiment, seed, cam_splits, deeplab_splits, .. } = &context.params;
        let mut board = Scoreboard::new(experiment, *seed, &dataset);
        if let (Some(cams), Some(artifact)) = (&cams, context.optional_input("extract-msinf-cam")) {
            score_cams(context, &mut board, cams, artifact)?;
            score_predictions(context, &mut board, "cam+crf", cam_splits, artifact)?;
        }
        score_labels(context, &mut board)?;
        if let Some(trained) = context.optional_input("train-deeplab") {
            for source in ["deeplab", "deeplab+crf"] {
                score_predictions(context, &mut board, source, deeplab_splits, trained)?;
            }
        }
        let Scoreboard { scores, class_scores, confusions, metrics, .. } = board;
        context.work.write_all(scores)?;
        context.work.write_all(class_scores)?;
        context.work.write_all(confusions)?;
        Ok(Outcome::tables(metrics))
    }
}

/// Leaves of the names of what was chosen on ground truth those that had an effect.
fn keep_used(context: &mut Context<Params>) -> Result<()> {
    let (mut kept, mut unused) = (Vec::new(), Vec::new());
    for name in std::mem::take(&mut context.params.chosen_on_ground_truth) {
        let names = if chosen::used(&name, context.inputs())? { &mut kept } else { &mut unused };
        names.push(name);
    }
    context.params.chosen_on_ground_truth = kept;
    if unused.is_empty() { Ok(()) } else { context.log.event("chosen_without_effect", &json!({ "names": unused })) }
}

/// CAMs at the threshold that threshold-sweep chose.
fn score_cams(
    context: &Context<Params>,
    board: &mut Scoreboard<'_>,
    cams: &ScoreMaps,
    artifact: &Artifact,
) -> Result<()> {
    let sweep = context
        .optional_input("threshold-sweep")
        .ok_or_else(|| ParamError::new("needs", "CAMs are scored at a threshold; add threshold-sweep"))?;
    let SweepRow { threshold, chosen_on_ground_truth, .. } = chosen_threshold(sweep)?;
    let split: Value = sweep.param("choose_on")?;
    let split = split.as_str().filter(|_| chosen_on_ground_truth);
    let chosen = chosen("cam", &context.params.chosen_on_ground_truth, split);
    let classes = board.classes();
    for split in &context.params.cam_splits {
        let what = Scored { stage: "cam", split, artifact, threshold: Some(threshold), chosen: &chosen };
        board.score(&what, |image, truth| {
            let mut histogram = SweepHistogram::new(classes, &[threshold as f32]);
            cams.count(&mut histogram, image, truth)?;
            Ok(histogram.confusion(0))
        })?;
    }
    Ok(())
}

/// Pseudo-labels.
fn score_labels(context: &Context<Params>, board: &mut Scoreboard<'_>) -> Result<()> {
    let Some(artifact) = context.optional_input("random-walk") else { return Ok(()) };
    let labels = labels(artifact)?;
    let chosen = chosen("label", &context.params.chosen_on_ground_truth, None);
    let classes = board.classes();
    for split in &context.params.label_splits {
        let what = Scored { stage: "label", split, artifact, threshold: None, chosen: &chosen };
        board.score(&what, |image, truth| {
            let id = &image.image_id;
            let missing = || ParamError::new("label_splits", format!("image '{id}' of '{split}' has no pseudo-label"));
            Ok(ConfusionMatrix::of(classes, truth, &labels.get(id).ok_or_else(missing)?.classes))
        })?;
    }
    Ok(())
}

/// What [`predict`] has just made, if it made any of `source`.
fn score_predictions(
    context: &Context<Params>,
    board: &mut Scoreboard<'_>,
    source: &str,
    splits: &[String],
    artifact: &Artifact,
) -> Result<()> {
    let rows = context.work.rows::<LabelRow>(&[])?;
    let of_source = rows.filter(|row| row.as_ref().map_or(true, |row| row.source == source));
    let made = of_source.map(|row| row.map(|row| (row.image_id, row.label))).collect::<Result<BTreeMap<_, _>>>()?;
    if made.is_empty() {
        return Ok(());
    }
    let chosen = chosen(source, &context.params.chosen_on_ground_truth, None);
    let classes = board.classes();
    for split in splits {
        let what = Scored { stage: source, split, artifact, threshold: None, chosen: &chosen };
        board.score(&what, |image, truth| Ok(ConfusionMatrix::of(classes, truth, &made[&image.image_id])))?;
    }
    Ok(())
}

/// Writes the `label` table: CAMs after the CRF, DeepLab's output, and that after the CRF, each for the images of its
/// splits. Returns how many parts other shards have yet to do.
fn predict(context: &mut Context<Params>, dataset: &Dataset, cams: Option<&ScoreMaps>) -> Result<usize> {
    let params = &context.params;
    let cams = cams.filter(|_| params.cam_crf.iterations > 0);
    let (device, classes) = (device::open(&context.device)?, dataset.classes.len() + 1);
    let trained = context.optional_input("train-deeplab");
    let (scales, flip) = (params.deeplab_scales.clone(), Flip::from(params.deeplab_flip));
    let segment = move |net: &DeepLab, photo: &Tensor| probabilities(net, photo, &scales, flip);
    let networks = trained
        .map(|trained| Networks::new(device, || network(trained, classes as i64, device), segment))
        .transpose()?;
    let mut splits = if cams.is_some() { params.cam_splits.clone() } else { Vec::new() };
    splits.extend(params.deeplab_splits.iter().filter(|_| networks.is_some()).cloned());
    let images = dataset.splits(&splits)?;
    let among = |image: &DatasetRow, splits: &[String]| image.splits.iter().any(|split| splits.contains(split));
    let classes: Vec<ClassId> = (0..classes).map(|class| ClassId(class as u8)).collect();
    let worker = |index: usize| {
        let (classes, networks) = (&classes, networks.as_ref());
        move |image: &&DatasetRow| {
            let mut labels = Vec::new();
            if let Some(cams) = cams.filter(|_| among(image, &params.cam_splits)) {
                let [CamScores { classes, scores }] =
                    cam_crf(cams, image, [params.cam_crf.alpha], &params.cam_crf.crf())?;
                labels.push(("cam+crf", winners(&classes, &scores)));
            }
            if let Some(networks) = networks.filter(|_| among(image, &params.deeplab_splits)) {
                let photo = photograph(image)?;
                let scores = floats(&networks.forward(index, &of_photo(&photo)));
                labels.push(("deeplab", winners(classes, &scores)));
                if let Some(crf) = params.deeplab_crf.options() {
                    let scores = DenseCrf::new(&photo, &crf).infer(&scores, crf.iterations);
                    labels.push(("deeplab+crf", winners(classes, &scores)));
                }
            }
            let row = |(source, label): (&str, Vec<u8>)| LabelRow {
                image_id: image.image_id.clone(),
                height: image.height,
                width: image.width,
                source: source.to_owned(),
                label,
            };
            Ok(labels.into_iter().map(row).collect())
        }
    };
    let mut workers: Vec<_> = (0..cores()).map(worker).collect();
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
    let (backbone, hidden) = (trained.param("backbone")?, trained.param("hidden")?);
    let net = DeepLab::new(&vs.root(), &backbone, classes, hidden);
    fill::load(&vs, &trained.file(CHECKPOINT), "", &[])?;
    vs.freeze();
    Ok(net)
}

/// The row of the sweep that later stages use.
fn chosen_threshold(sweep: &Artifact) -> Result<SweepRow> {
    let chosen = sweep.rows::<SweepRow>(&[])?.find(|row| row.as_ref().map_or(true, |row| row.chosen));
    chosen.ok_or_else(|| Error::NotCommitted(format!("{}: no threshold is chosen", sweep.dir().display())))?
}

fn main() -> ExitCode {
    stage::main::<Evaluate>()
}
