//! evaluate: scores CAMs, labels of any stage and DeepLab's predictions against ground truth
//!
//! Reads the tables `dataset`, `mask`, `cam`, `sweep` and `label` and the network `deeplab.safetensors`, as far as its
//! `needs` hold them. Writes `score`, `class_score`, per-image `confusion`, and what it predicts itself as `label`.
//! CAMs are scored as `cam` at the threshold that threshold-sweep chose, and as `cam+crf`; labels under the name of the
//! stage that made them; DeepLab under the name of the stage that trained it, and with `+crf` after a CRF. Images
//! without a mask are predicted and not scored; metrics `not_scored.SPLIT` count them.
//!
//! ```text
//! predict      the labels that it makes itself: CAMs after the CRF, DeepLab without and with it
//! scoreboard   the tables as they grow
//! chosen       which scores depend on what people chose on ground truth
//! ```

mod chosen;
mod predict;
mod scoreboard;

use std::collections::BTreeMap;
use std::process::ExitCode;

use artifact::table::{CamRow, ClassScoreRow, ConfusionRow, DatasetRow, LabelRow, MaskRow, ScoreRow, SweepRow};
use artifact::{Artifact, ExperimentPlan, ParamError, Result, Row as _};
use data::codec::Mask;
use data::confusion::{ConfusionMatrix, SweepHistogram};
use data::dataset::{Dataset, Masks};
use data::labels::Labels;
use data::score_maps::ScoreMaps;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stage::{Contents, Context, Description, OpenDevice, Outcome, Read, Stage};
use wsss::device;
use wsss::infer::{CrfParams, MaxPixels, log_shrunk};
use wsss::method::crf::{Bilateral, Gaussian};
use wsss::train::init::DEEPLAB;

use self::chosen::{Scored, chosen};
use self::predict::{CAM_CRF, predict, with_crf};
use self::scoreboard::{Line, Scoreboard};

/// Name of the stage.
const NAME: &str = "evaluate";

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
    /// At the largest of its scales; a larger picture is looked at smaller.
    max_pixels: MaxPixels,
    /// The CRF of the row cam+crf, which has no threshold; without iterations there is no such row.
    cam_crf: CamCrfParams,
    /// The CRF of DeepLab's row with `+crf`; without iterations there is no such row.
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
            reads: vec![
                Read::table::<DatasetRow>(),
                Read::table::<MaskRow>().optional(),
                Read::table::<CamRow>().optional(),
                Read::table::<SweepRow>().optional(),
                Read::table::<LabelRow>().every(),
                Read::file(DEEPLAB).optional(),
                Read::params(),
            ],
            writes: Contents::tables([ScoreRow::TABLE, ClassScoreRow::TABLE, ConfusionRow::TABLE, LabelRow::TABLE]),
            sharded: true,
            ..Description::new(
                NAME,
                6,
                "scores CAMs, labels of any stage and DeepLab's predictions against ground truth",
            )
        }
    }

    fn check(params: &Params) -> Result<()> {
        if params.deeplab_scales.is_empty() || params.deeplab_scales.iter().any(|scale| !(0.1..=4.0).contains(scale)) {
            return Err(ParamError::new("deeplab_scales", "give one or more from 0.1 to 4").into());
        }
        params.max_pixels.check()?;
        params.cam_crf.crf().check().map_err(|error| error.below("cam_crf"))?;
        if !(params.cam_crf.alpha > 0.0 && params.cam_crf.alpha <= 1e3) {
            return Err(ParamError::new("cam_crf.alpha", "must be above 0, such as 4").into());
        }
        Ok(params.deeplab_crf.check().map_err(|error| error.below("deeplab_crf"))?)
    }

    fn check_plan(params: &Params, plan: &ExperimentPlan) -> Result<()> {
        chosen::check(&params.chosen_on_ground_truth, plan)
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        keep_used(context)?;
        let dataset = Dataset::load(context.table::<DatasetRow>()?)?;
        let cams = context.optional_table::<CamRow>()?.map(ScoreMaps::load_cams).transpose()?;
        let missing = predict(context, &dataset, cams.as_ref())?;
        if missing > 0 {
            return Ok(Outcome::Partial { missing });
        }
        let masks = Masks::load(context.optional_table::<MaskRow>()?)?;
        let mut board = Scoreboard::new(&context.params.experiment, context.params.seed, &dataset, &masks);
        if let (Some(cams), Some(artifact)) = (&cams, context.optional_table::<CamRow>()?) {
            score_cams(context, &mut board, cams, artifact)?;
            let splits = &context.params.cam_splits;
            score_predictions(
                context,
                &mut board,
                &Prediction { name: CAM_CRF, of: Scored::CamCrf, splits, artifact },
            )?;
        }
        score_labels(context, &mut board)?;
        if let Some(artifact) = context.optional_holder_of(DEEPLAB)? {
            let (splits, name) = (&context.params.deeplab_splits, name(artifact));
            score_predictions(context, &mut board, &Prediction { name, of: Scored::DeepLab, splits, artifact })?;
            let name = &with_crf(name);
            score_predictions(context, &mut board, &Prediction { name, of: Scored::DeepLabCrf, splits, artifact })?;
        }
        let Scoreboard { scores, class_scores, confusions, mut metrics, not_scored, .. } = board;
        if !not_scored.is_empty() {
            context.log.event("not_scored", &json!({ "images_without_mask": not_scored }))?;
        }
        if context.optional_holder_of(DEEPLAB)?.is_some() {
            let Params { max_pixels, deeplab_scales, deeplab_splits, .. } = &context.params;
            let images = dataset.splits(deeplab_splits)?;
            metrics.extend(log_shrunk(&mut context.log, *max_pixels, deeplab_scales, images)?);
        }
        context.work.declare::<ScoreRow>(1, BTreeMap::new())?;
        context.work.write_all(scores)?;
        context.work.declare::<ClassScoreRow>(1, BTreeMap::new())?;
        context.work.write_all(class_scores)?;
        context.work.declare::<ConfusionRow>(1, BTreeMap::new())?;
        context.work.write_all(confusions)?;
        Ok(Outcome::tables(metrics))
    }
}

/// The stage that made an artifact.
fn name(artifact: &Artifact) -> &str {
    &artifact.record().preimage.stage
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
        .optional_table::<SweepRow>()?
        .ok_or_else(|| ParamError::new("needs", "CAMs are scored at a threshold; add threshold-sweep"))?;
    let chosen_on: Value = sweep.param("choose_on")?;
    let Some(threshold) = chosen_threshold(sweep, &chosen_on)? else { return Ok(()) };
    let mut upstream = context.upstream(artifact)?;
    upstream.extend(context.upstream(sweep)?);
    let chosen = chosen(Scored::Cam, &upstream, &context.params.chosen_on_ground_truth, chosen_on.as_str());
    let classes = board.classes();
    for split in &context.params.cam_splits {
        let line = Line { stage: "cam", split, artifact, threshold: Some(threshold), chosen: &chosen };
        board.score(&line, |image, truth| {
            let mut histogram = SweepHistogram::new(classes, &[threshold as f32]);
            cams.of(image)?.count(&mut histogram, truth);
            Ok(histogram.confusion(0))
        })?;
    }
    Ok(())
}

/// The labels of every input that holds some, such as random-walk's pseudo-labels.
fn score_labels(context: &Context<Params>, board: &mut Scoreboard<'_>) -> Result<()> {
    let classes = board.classes();
    for artifact in context.tables::<LabelRow>()? {
        let (labels, stage) = (Labels::load(artifact)?, name(artifact));
        let chosen = chosen(Scored::Labels, &context.upstream(artifact)?, &context.params.chosen_on_ground_truth, None);
        for split in &context.params.label_splits {
            let line = Line { stage, split, artifact, threshold: None, chosen: &chosen };
            board.score(&line, |image, truth| {
                Ok(ConfusionMatrix::of(classes, truth, &label(&labels, image, stage, split)?.classes))
            })?;
        }
    }
    Ok(())
}

/// The label of an image that is to be scored.
fn label(labels: &Labels, image: &DatasetRow, stage: &str, split: &str) -> Result<Mask> {
    let id = &image.image_id;
    let missing = || ParamError::new("label_splits", format!("image '{id}' of '{split}' has no label of {stage}"));
    Ok(labels.of(id)?.ok_or_else(missing)?)
}

/// Something that [`predict()`] makes.
struct Prediction<'a> {
    /// Its name in the tables.
    name: &'a str,
    of: Scored,
    /// Where it is scored.
    splits: &'a [String],
    /// What it came from.
    artifact: &'a Artifact,
}

/// What [`predict()`] has just made, if it made any of it.
fn score_predictions(context: &Context<Params>, board: &mut Scoreboard<'_>, what: &Prediction<'_>) -> Result<()> {
    let Prediction { name, of, splits, artifact } = what;
    let rows = context.work.rows::<LabelRow>(&[])?;
    let own = rows.filter(|row| row.as_ref().map_or(true, |row| row.source == *name));
    let mut made = Labels::default();
    own.into_iter().try_for_each(|row| made.insert(row?))?;
    if made.is_empty() {
        return Ok(());
    }
    let chosen = chosen(*of, &context.upstream(artifact)?, &context.params.chosen_on_ground_truth, None);
    let classes = board.classes();
    for split in *splits {
        let line = Line { stage: name, split, artifact, threshold: None, chosen: &chosen };
        board.score(&line, |image, truth| {
            Ok(ConfusionMatrix::of(classes, truth, &label(&made, image, name, split)?.classes))
        })?;
    }
    Ok(())
}

/// The threshold that later stages use: what the sweep marks, or, without masks and so without rows, the number. None
/// if it should have been chosen on a split without masks.
fn chosen_threshold(sweep: &Artifact, chosen_on: &Value) -> Result<Option<f64>> {
    let mut rows = sweep.rows::<SweepRow>(&[])?;
    let chosen = rows.find(|row| row.as_ref().map_or(true, |row| row.chosen)).transpose()?;
    Ok(chosen.map(|row| row.threshold).or(chosen_on.as_f64()))
}

fn main() -> ExitCode {
    stage::main::<Evaluate>()
}
