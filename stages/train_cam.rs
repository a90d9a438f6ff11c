//! train-cam: trains the classifier whose activation maps are the segmentation's first guess
//!
//! Reads the table `dataset`, and a CAM net to go on from; writes `curve` and the networks (paper, section 3).
//!
//! `terms` lists the terms of the objective, such as `["cls", "rcm", "mam"]`; each has a table of its own. With
//! `init = "train-cam"` the training goes on from the net of another experiment: `needs = [.., "train-cam@rcm"]`.

use std::process::ExitCode;
use std::sync::Arc;

use artifact::table::{CurveRow, DatasetRow};
use artifact::{Error, ParamError, Result, Row as _};
use data::augment::{Augmentation, Sample, augment};
use data::dataset::{Dataset, multi_hot};
use data::random::Rng;
use serde::{Deserialize, Serialize};
use stage::ranks::Join;
use stage::{Contents, Context, Description, OpenDevice, Outcome, Read, Stage, Unused};
use tch::{Tensor, nn};
use wsss::device;
use wsss::method::ema::MovingAverage;
use wsss::method::objective::{self, Losses, Objective, Tables};
use wsss::method::term::Site;
use wsss::method::terms::KINDS;
use wsss::method::views::{Batch, Networks, Views};
use wsss::model::{BackboneConfig, CamNet, CamNetConfig, Flat, WeightLayout};
use wsss::ranks;
use wsss::train::crops::{to_tensors, upload};
use wsss::train::init::{CAM_NET, CAM_SUPPORT, Init, TERMS, fill_cam_net, log_weights};
use wsss::train::{Learner, LoopParams, OptimizerParams, Sgd, Training, commit, fit};

struct TrainCam;

#[derive(Serialize, Deserialize)]
struct Params {
    split: String,
    /// The terms of Eq. 9 by name; what each is like stands in the table of its name.
    terms: Vec<String>,
    backbone: BackboneConfig,
    /// D: channels of the feature map X.
    features: i64,
    init: Init,
    weights: String,
    r#loop: LoopParams,
    optimizer: OptimizerParams,
    augmentation: Augmentation,
    support: SupportParams,
    /// Every other entry is the table of a term.
    #[serde(flatten)]
    tables: Tables,
}

/// The SupportNet G (section 3.1).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SupportParams {
    update: Update,
    /// alpha of the moving average.
    momentum: f64,
    /// s, m, l.
    scales: Vec<f64>,
}

impl SupportParams {
    fn check(&self) -> Result<(), ParamError> {
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(ParamError::new("momentum", format!("{} is out of range: from 0 to 1", self.momentum)));
        }
        if !self.scales.iter().all(|scale| (0.1..=4.0).contains(scale)) {
            return Err(ParamError::new("scales", "out of range: each from 0.1 to 4"));
        }
        if self.scales.iter().filter(|scale| (**scale - 1.0).abs() < 1e-9).count() != 1 {
            return Err(ParamError::new("scales", "1 must be among them, once"));
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Update {
    /// Exponential moving average of F.
    Ema,
    /// G is F itself.
    Shared,
}

impl Stage for TrainCam {
    type Params = Params;
    const TENSORS: Option<OpenDevice> = Some(device::check);
    const JOIN: Option<Join> = Some(ranks::join);

    fn description() -> Description {
        // The tables of terms that are not listed, the SupportNet that no listed term looks at, and what each term
        // rules out.
        let looking = KINDS.iter().filter(|kind| kind.support).map(|kind| kind.name);
        let mut unused_params = vec![
            Unused::while_lacks("terms", looking, &["support"]),
            Unused::while_is("support.update", [Update::Shared], &["support.momentum"]),
        ];
        for kind in KINDS {
            unused_params.push(Unused::while_lacks("terms", [kind.name], &[kind.name]));
            unused_params.extend((kind.unused)());
        }
        Description {
            reads: vec![Read::table::<DatasetRow>(), Init::read()],
            writes: Contents::tables([CurveRow::TABLE]).with_file(CAM_NET).with_optional_file(CAM_SUPPORT),
            seeded: true,
            processes: Some("loop.processes".into()),
            execution_params: LoopParams::execution_params("loop"),
            path_params: vec!["weights".into()],
            unused_params,
            ..Description::new(
                "train-cam",
                5,
                "trains the classifier whose activation maps are the segmentation's first guess",
            )
        }
    }

    fn check(params: &Params) -> Result<()> {
        params.init.check(&params.weights)?;
        params.r#loop.check()?;
        params.optimizer.check()?;
        params.augmentation.check().map_err(|error| error.below("augmentation"))?;
        objective::check(&params.terms, &params.tables)?;
        params.support.check().map_err(|error| error.below("support"))?;
        if params.features <= 0 {
            return Err(ParamError::new("features", "at least 1").into());
        }
        Ok(())
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let dataset = Dataset::load(context.table::<DatasetRow>()?)?;
        let (classes, photographs) = (dataset.classes.len(), dataset.photographs());
        let images = Arc::new(dataset.into_split(&context.params.split)?);
        let (mut learner, flat) = CamLearner::new(context, classes)?;
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
            let mut rng = Rng::new(seed, epoch, image.image_id.as_str());
            let sample = augment(&photographs.of(image)?, &[], &how, &mut rng);
            Ok(Item { sample, labels: multi_hot(&image.labels, classes) })
        })?;
        let mut networks = vec![(CAM_NET, &learner.main_vs)];
        networks.extend(learner.support.as_ref().map(|support| (CAM_SUPPORT, &support.vs)));
        commit(context, &networks, curve)
    }
}

struct Item {
    sample: Sample,
    labels: Vec<f32>,
}

/// F, G, and the objective that binds them.
struct CamLearner {
    main_vs: nn::VarStore,
    main: CamNet,
    support: Option<Support>,
    scales: Vec<f64>,
    objective: Objective,
    classes: usize,
}

/// G where it is a network of its own.
struct Support {
    vs: nn::VarStore,
    net: CamNet,
    average: MovingAverage,
}

impl CamLearner {
    /// The learner, and what is trained of F.
    fn new(context: &mut Context<Params>, classes: usize) -> Result<(Self, Flat)> {
        let params = &context.params;
        tch::manual_seed(Rng::new(context.seed, 0, "init").bits() as i64);
        let config =
            CamNetConfig { backbone: params.backbone.clone(), features: params.features, classes: classes as i64 };
        let device = device::open(&context.device, context.numerics)?;
        let main_vs = nn::VarStore::new(device);
        let main = CamNet::new(&main_vs.root(), &config).with_numerics(context.numerics);
        let (taps, terms) = (main.taps(), main_vs.root() / TERMS);
        let site = |name: &'static str| Site {
            path: &terms / name,
            classes: config.classes,
            features: config.features,
            taps,
            device,
        };
        let objective = Objective::new(&params.terms, &params.tables, site)?;
        let filled = match context.optional_holder_of(CAM_NET)? {
            Some(earlier) => Some(fill_cam_net(&main_vs, &earlier.file(CAM_NET))?),
            None => params.init.fill(&main_vs, &params.weights, None)?,
        };
        let layout = WeightLayout::of(context.numerics);
        let flat = Flat::of(&main_vs, layout);
        let looked_at = objective::check(&params.terms, &params.tables)?.iter().any(|kind| kind.support);
        let support = if looked_at && params.support.update == Update::Ema {
            let mut vs = nn::VarStore::new(device);
            let net = CamNet::new(&vs.root(), &config).with_numerics(context.numerics);
            vs.copy(&main_vs).map_err(|error| Error::Failed(format!("cannot copy F to G: {error}")))?;
            let average = MovingAverage::new(Flat::of(&vs, layout), &flat, params.support.momentum);
            vs.freeze();
            Some(Support { vs, net, average })
        } else {
            None
        };
        log_weights(&mut context.log, filled.as_ref())?;
        let scales = context.params.support.scales.clone();
        Ok((Self { main_vs, main, support, scales, objective, classes }, flat))
    }
}

impl Learner for CamLearner {
    type Item = Item;

    fn terms(&self) -> Vec<&'static str> {
        self.objective.names()
    }

    fn loss(&mut self, batch: &[Item], epoch: u32, differentiate: &mut dyn FnMut(&Tensor)) -> Result<Losses> {
        let device = self.main_vs.device();
        let crops = to_tensors(&batch.iter().map(|item| &item.sample).collect::<Vec<_>>());
        let labels: Vec<f32> = batch.iter().flat_map(|item| item.labels.iter().copied()).collect();
        let labels = Tensor::from_slice(&labels).view([batch.len() as i64, self.classes as i64]);
        let batch = Batch {
            images: upload(&crops.images, device), // [B, 3, H, W]
            labels: upload(&labels, device),       // [B, K]
            valid: upload(&crops.valid, device),   // [B, H, W]
        };
        let support = self.support.as_ref().map_or(&self.main, |support| &support.net);
        let networks = Networks { main: &self.main, support, scales: &self.scales };
        Ok(self.objective.loss(&Views::new(&batch, networks), epoch, differentiate))
    }

    fn after_step(&mut self) {
        if let Some(support) = &mut self.support {
            support.average.update();
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let named = |prefix: &'static str, vs: &nn::VarStore| {
            vs.variables().into_iter().map(move |(name, tensor)| (format!("{prefix}.{name}"), tensor))
        };
        let support = self.support.iter().flat_map(|support| named("support", &support.vs));
        let terms = self.objective.state().into_iter().map(|(name, tensor)| (format!("{TERMS}.{name}"), tensor));
        named("main", &self.main_vs).chain(support).chain(terms).collect()
    }
}

fn main() -> ExitCode {
    stage::main::<TrainCam>()
}
