//! train-affinity: teaches AffinityNet which neighbouring pixels belong together
//!
//! Reads the tables `dataset` and `cam`, and a CAM net to start from; writes `curve`, `crf` (the CAMs after a CRF,
//! whose confident pixels it learns from, made once before training) and the network (METHOD.md, section 6).

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use artifact::encoding::CamEncoding;
use artifact::table::{CamRow, CrfRow, CurveRow, DatasetRow};
use artifact::{ClassId, ParamError, Result, Row as _, Work};
use data::augment::{Augmentation, Sample, augment};
use data::codec::Mask;
use data::dataset::{Dataset, Photographs};
use data::random::Rng;
use data::score_maps::ScoreMaps;
use serde::{Deserialize, Serialize};
use stage::ranks::Join;
use stage::{Contents, Context, Description, OpenDevice, Outcome, Read, Stage};
use tch::{Kind, Tensor, nn};
use wsss::device;
use wsss::infer::{CrfParams, cam_crf};
use wsss::method::affinity::{affinities, affinity_loss, cell_labels, fitting_radius, pairs};
use wsss::method::objective::Losses;
use wsss::method::scores::CamScores;
use wsss::model::{AffinityNet, BackboneConfig, Flat, Mode, WeightLayout};
use wsss::ranks;
use wsss::train::crops::{images, upload};
use wsss::train::init::{AFFINITY_NET, CAM_NET, Init, log_weights};
use wsss::train::{Learner, LoopParams, OptimizerParams, Sgd, Training, commit, fit};

struct TrainAffinity;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    split: String,
    backbone: BackboneConfig,
    init: Init,
    weights: String,
    /// Neighbours nearer than this, on the stride-8 grid.
    radius: usize,
    /// Background is (1 - max CAM)^alpha: with the low alpha what is left is surely foreground …
    alpha_low: f64,
    /// … and with the high alpha what is background is surely that.
    alpha_high: f64,
    /// Smooths the CAMs, with either background, before labels are read from them.
    crf: CrfParams,
    r#loop: LoopParams,
    optimizer: OptimizerParams,
    augmentation: Augmentation,
}

impl Stage for TrainAffinity {
    type Params = Params;
    const TENSORS: Option<OpenDevice> = Some(device::check);
    const JOIN: Option<Join> = Some(ranks::join);

    fn description() -> Description {
        Description {
            reads: vec![Read::table::<DatasetRow>(), Read::table::<CamRow>(), Init::read()],
            writes: Contents::tables([CurveRow::TABLE, CrfRow::TABLE]).with_file(AFFINITY_NET),
            seeded: true,
            processes: Some("loop.processes".into()),
            execution_params: LoopParams::execution_params("loop"),
            path_params: vec!["weights".into()],
            ..Description::new("train-affinity", 4, "teaches AffinityNet which neighbouring pixels belong together")
        }
    }

    fn check(params: &Params) -> Result<()> {
        params.init.check(&params.weights)?;
        params.r#loop.check()?;
        params.optimizer.check()?;
        params.augmentation.check().map_err(|error| error.below("augmentation"))?;
        params.crf.check().map_err(|error| error.below("crf"))?;
        if params.radius < 2 {
            return Err(ParamError::new("radius", "at least 2").into());
        }
        if !(0.0 < params.alpha_low && params.alpha_low < params.alpha_high) {
            return Err(ParamError::new("alpha_low", "must be above 0 and below alpha_high").into());
        }
        if !params.augmentation.crop.is_multiple_of(STRIDE) || params.augmentation.crop < 4 * STRIDE {
            return Err(ParamError::new("augmentation.crop", "must be a multiple of 8, at least 32").into());
        }
        Ok(())
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let dataset = Dataset::load(context.table::<DatasetRow>()?)?;
        let cams = ScoreMaps::load_cams(context.table::<CamRow>()?)?;
        let photographs = dataset.photographs();
        let images = dataset.into_split(&context.params.split)?;
        let missing = smooth(context, &photographs, &cams, &images)?;
        if missing > 0 || context.shard.is_share() {
            return Ok(Outcome::Partial { missing });
        }
        drop(cams);
        let maps = Arc::new(load_maps(&context.work)?);
        let images = Arc::new(images);
        let mut learner = AffinityLearner::new(context)?;
        let flat = Flat::of(&learner.vs, WeightLayout::of(context.numerics));
        let mut sgd = Sgd::new(flat, &context.params.optimizer);
        let (how, seed) = (context.params.augmentation.clone(), context.seed);
        let training = Training {
            settings: context.params.r#loop.clone(),
            optimizer: context.params.optimizer.clone(),
            images: images.len(),
            crop: context.params.augmentation.crop,
        };
        let curve = fit(context, training, &mut learner, &mut sgd, move |epoch, index| {
            let image = &images[index];
            let [height, width] = [image.height as usize, image.width as usize];
            let maps = maps.encoded(image)?.into_iter();
            let maps = maps.map(|(class, score)| (class, Mask { height, width, classes: score }));
            let (classes, maps): (Vec<_>, Vec<_>) = maps.unzip();
            let mut rng = Rng::new(seed, epoch, image.image_id.as_str());
            let sample = augment(&photographs.of(image)?, &maps.iter().collect::<Vec<_>>(), &how, &mut rng);
            // The maps of the low alpha, then those of the high one, of the same classes.
            Ok(Item { sample, classes: classes[..classes.len() / 2].to_vec() })
        })?;
        commit(context, &[(AFFINITY_NET, &learner.vs)], curve)
    }
}

const STRIDE: usize = 8;

/// How the `crf` table holds scores: a byte each, as crops of them are made as of masks.
const ENCODING: CamEncoding = CamEncoding::U8;

/// The readings of an image's CAMs, as the table names them.
const READINGS: [&str; 2] = ["low", "high"];

/// Writes the `crf` table: both readings of every image's CAMs, at full resolution. Returns how many parts other
/// shards have yet to do.
fn smooth(
    context: &mut Context<Params>,
    photographs: &Photographs,
    cams: &ScoreMaps,
    images: &[DatasetRow],
) -> Result<usize> {
    context.for_each_image(images, BTreeMap::new(), |params, _worker, image| {
        let readings = cam_crf(cams, photographs, image, [params.alpha_low, params.alpha_high], &params.crf)?;
        let rows = READINGS.iter().zip(&readings).flat_map(|(reading, CamScores { classes, scores })| {
            let pixels = scores.len() / classes.len();
            classes.iter().zip(scores.chunks_exact(pixels)).map(|(class, score)| CrfRow {
                image_id: image.image_id.clone(),
                alpha: (*reading).to_owned(),
                class_id: *class,
                height: image.height,
                width: image.width,
                score: ENCODING.encode(score, image.width as usize),
            })
        });
        Ok(rows.collect())
    })
}

/// The `crf` table in memory: for each image its maps of the low alpha, then of the high one.
fn load_maps(work: &Work) -> Result<ScoreMaps> {
    let mut maps = ScoreMaps::new(ENCODING);
    for row in work.rows::<CrfRow>(&["alpha", "height", "width"])? {
        let CrfRow { image_id, class_id, score, .. } = row?;
        maps.push(image_id, class_id, &score)?;
    }
    Ok(maps)
}

struct Item {
    /// With the score maps of the low alpha, then of the high one.
    sample: Sample,
    /// Of one alpha's maps.
    classes: Vec<ClassId>,
}

struct AffinityLearner {
    vs: nn::VarStore,
    net: AffinityNet,
    radius: usize,
}

impl AffinityLearner {
    fn new(context: &mut Context<Params>) -> Result<Self> {
        let params = &context.params;
        tch::manual_seed(Rng::new(context.seed, 0, "init").bits() as i64);
        let vs = nn::VarStore::new(device::open(&context.device, context.numerics)?);
        let net = AffinityNet::new(&vs.root(), &params.backbone).with_numerics(context.numerics);
        let filled = params.init.fill(&vs, &params.weights, context.optional_holder_of(CAM_NET)?)?;
        let side = params.augmentation.crop / STRIDE;
        let radius = fitting_radius([side, side], params.radius);
        log_weights(&mut context.log, filled.as_ref())?;
        Ok(Self { vs, net, radius })
    }
}

/// The label of every stride-8 cell of a crop.
fn labels(item: &Item) -> Tensor {
    let side = item.sample.crop as i64;
    let valid = Tensor::from_slice(&item.sample.valid).view([1, 1, side, side]).to_kind(Kind::Float);
    let classes: Vec<i64> = item.classes.iter().map(|class| i64::from(class.0)).collect();
    let maps: Vec<u8> = item.sample.maps.iter().flatten().copied().collect();
    let scores = Tensor::from_slice(&maps).to_kind(Kind::Float) / 255.0;
    let scores = scores.view([2, 1, -1, side, side]); // [2, 1, C, H, W]
    cell_labels(&scores.get(0), &scores.get(1), &Tensor::from_slice(&classes), &valid) // [1, H/8, W/8]
}

impl Learner for AffinityLearner {
    type Item = Item;

    fn loss(&mut self, batch: &[Item], _epoch: u32, differentiate: &mut dyn FnMut(&Tensor)) -> Result<Losses> {
        let samples: Vec<_> = batch.iter().map(|item| &item.sample).collect();
        let device = self.vs.device();
        let images = upload(&images(&samples), device); // [B, 3, H, W]
        let labels: Vec<_> = batch.iter().map(labels).collect();
        let labels = upload(&Tensor::cat(&labels, 0), device); // [B, H/8, W/8]
        let features = self.net.forward(&images, Mode::Train); // [B, 448, H/8, W/8]
        let total = affinity_loss(&affinities(&features, self.radius), &pairs(&labels, self.radius));
        differentiate(&total);
        Ok(Losses::alone(&total))
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.vs.variables().into_iter().collect()
    }
}

fn main() -> ExitCode {
    stage::main::<TrainAffinity>()
}
