//! train-affinity: AffinityNet learns from confident CAM pixels which neighbours belong together (METHOD 6).

use std::process::ExitCode;
use std::sync::Arc;

use artifact::table::{CurveRow, DatasetRow};
use artifact::{ClassId, Description, Error, Result, Row as _};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, nn};
use wsss::data::augment::{Augmentation, Sample, augment};
use wsss::data::codec::Mask;
use wsss::data::dataset::{CamSet, Cams, Dataset, Masks, photograph};
use wsss::data::loader::to_tensors;
use wsss::data::random::Rng;
use wsss::method::affinity::{IGNORED, affinities, affinity_labels, affinity_loss, fitting_radius, pairs};
use wsss::method::cam::background;
use wsss::model::{AffinityNet, BackboneConfig, Mode};
use wsss::stage::{Context, Outcome, Stage};
use wsss::train::init::{CHECKPOINT, Init};
use wsss::train::{Fit, Learner, LoopParams, OptimizerParams, Sgd, commit, fit};

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
    r#loop: LoopParams,
    optimizer: OptimizerParams,
    augmentation: Augmentation,
}

impl Stage for TrainAffinity {
    type Params = Params;

    fn description() -> Description {
        Description {
            inputs: vec!["prepare-data".into(), "extract-msinf-cam".into()],
            optional_inputs: vec!["train-cam".into()],
            outputs: vec![CurveRow::TABLE.into()],
            seeded: true,
            tensors: true,
            execution_params: LoopParams::execution_params("loop"),
            path_params: vec!["weights".into()],
            ..Description::new("train-affinity", 1)
        }
    }

    fn check(params: &Params) -> Result<()> {
        params.init.check(&params.weights)?;
        params.r#loop.check()?;
        params.optimizer.check()?;
        params.augmentation.check().map_err(|reason| Error::Config(format!("augmentation: {reason}")))?;
        if params.radius < 2 {
            return Err(Error::Config("radius: at least 2".into()));
        }
        if !(0.0 < params.alpha_low && params.alpha_low < params.alpha_high) {
            return Err(Error::Config("alpha_low: must be above 0 and below alpha_high".into()));
        }
        if !params.augmentation.crop.is_multiple_of(STRIDE) || params.augmentation.crop < 4 * STRIDE {
            return Err(Error::Config("augmentation.crop: must be a multiple of 8, at least 32".into()));
        }
        Ok(())
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let dataset = Dataset::load(context.input("prepare-data"), Masks::Skip)?;
        let cams = Cams::load(context.input("extract-msinf-cam"))?;
        let images: Vec<_> = dataset
            .into_split(&context.params.split)?
            .into_iter()
            .map(|image| {
                let maps = byte_maps(&cams, &cams.of(&image));
                (image, maps)
            })
            .collect();
        let images: Arc<Vec<(DatasetRow, CamMaps)>> = Arc::new(images);
        let mut learner = AffinityLearner::new(context)?;
        let mut sgd = Sgd::new(&learner.vs, &context.params.optimizer);
        let (how, seed, count) = (context.params.augmentation.clone(), context.seed, images.len());
        let run = Fit {
            name: "train-affinity",
            settings: context.params.r#loop.clone(),
            optimizer: context.params.optimizer.clone(),
            images: count,
            context,
        };
        let curve = fit(run, &mut learner, &mut sgd, move |epoch, index| {
            let (image, CamMaps { classes, maps }) = &images[index];
            let mut rng = Rng::new(seed, epoch, image.image_id.as_str());
            let sample = augment(&photograph(image)?, &maps.iter().collect::<Vec<_>>(), &how, &mut rng);
            Ok(Item { sample, classes: classes.clone() })
        })?;
        commit(context, &[(CHECKPOINT, &learner.vs)], curve)
    }
}

const STRIDE: usize = 8;

/// The CAMs of an image as maps that are cropped along with it, 255 = 1.
struct CamMaps {
    classes: Vec<ClassId>,
    maps: Vec<Mask>,
}

fn byte_maps(cams: &Cams, set: &CamSet) -> CamMaps {
    let bytes = |encoded: &[u8]| cams.encoding.decode(encoded).iter().map(|v| (v * 255.0).round() as u8).collect();
    let map = |encoded: &[u8]| Mask { height: set.height, width: set.width, classes: bytes(encoded) };
    CamMaps {
        classes: set.maps.iter().map(|(class, _)| *class).collect(),
        maps: set.maps.iter().map(|(_, encoded)| map(encoded)).collect(),
    }
}

struct Item {
    sample: Sample,
    classes: Vec<ClassId>,
}

struct AffinityLearner {
    vs: nn::VarStore,
    net: AffinityNet,
    radius: usize,
    alphas: [f64; 2],
}

impl AffinityLearner {
    fn new(context: &Context<Params>) -> Result<Self> {
        let params = &context.params;
        tch::manual_seed(Rng::new(context.seed, 0, "init").bits() as i64);
        let vs = nn::VarStore::new(context.device);
        let net = AffinityNet::new(&vs.root(), &params.backbone);
        params.init.fill(&vs, &params.weights, context.optional_input("train-cam"))?;
        let side = params.augmentation.crop / STRIDE;
        let radius = fitting_radius([side, side], params.radius);
        Ok(Self { vs, net, radius, alphas: [params.alpha_low, params.alpha_high] })
    }

    /// The label of every stride-8 cell of a crop: average-pooled scores, argmax under either alpha.
    fn labels(&self, item: &Item) -> Tensor {
        let side = item.sample.crop as i64;
        let valid = Tensor::from_slice(&item.sample.valid).view([1, 1, side, side]).to_kind(Kind::Float);
        let classes: Vec<i64> = std::iter::once(0).chain(item.classes.iter().map(|class| i64::from(class.0))).collect();
        let classes = Tensor::from_slice(&classes);
        let maps: Vec<u8> = item.sample.maps.iter().flatten().copied().collect();
        let cams = (Tensor::from_slice(&maps).to_kind(Kind::Float) / 255.0).view([1, -1, side, side]); // [1, k, H, W]
        let [low, high] = self.alphas.map(|alpha| {
            // An image without any class is background all over.
            let back = if cams.size()[1] == 0 { valid.ones_like() } else { background(&cams, alpha) };
            let scores = Tensor::cat(&[&back, &cams], 1) * &valid; // [1, 1 + k, H, W]
            let pooled = scores.avg_pool2d([8, 8], [8, 8], [0, 0], false, true, None); // [1, 1 + k, H/8, W/8]
            classes.take(&pooled.argmax(1, false)) // [1, H/8, W/8]
        });
        let unknown = valid.avg_pool2d([8, 8], [8, 8], [0, 0], false, true, None).squeeze_dim(1).lt(1e-5);
        affinity_labels(&low, &high).masked_fill(&unknown, IGNORED) // [1, H/8, W/8]
    }
}

impl Learner for AffinityLearner {
    type Item = Item;
    const TERMS: &'static [&'static str] = &["loss"];

    fn loss(&mut self, batch: &[Item], _epoch: u32) -> Result<Vec<Option<Tensor>>> {
        let images: Vec<_> = batch.iter().map(|item| Sample { maps: Vec::new(), ..item.sample.clone() }).collect();
        let images = to_tensors(&images).images.to_device(self.vs.device());
        let labels: Vec<_> = batch.iter().map(|item| self.labels(item)).collect();
        let labels = Tensor::cat(&labels, 0).to_device(self.vs.device()); // [B, H/8, W/8]
        let features = self.net.forward(&images, Mode::Train); // [B, 448, H/8, W/8]
        Ok(vec![Some(affinity_loss(&affinities(&features, self.radius), &pairs(&labels, self.radius)))])
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.vs.variables().into_iter().collect()
    }
}

fn main() -> ExitCode {
    wsss::stage::main::<TrainAffinity>()
}
