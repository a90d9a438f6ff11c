//! train-cam: trains the classifier whose activation maps are the segmentation's first guess (paper, section 3).
//!
//! `variant` chooses the paper's modules: `baseline`, `smm`, `mmm`, `mam`, `rcm`, `rcm+mmm`, `rcm+mam`. With
//! `init = "train-cam"` the training goes on from the net of another experiment: `needs = [.., "train-cam@rcm"]`.

use std::process::ExitCode;
use std::sync::Arc;

use artifact::table::CurveRow;
use artifact::{Error, ParamError, Result, Row as _};
use data::augment::{Augmentation, Sample, augment};
use data::dataset::{Dataset, Masks, multi_hot, photograph};
use data::random::Rng;
use serde::{Deserialize, Serialize};
use stage::{Context, Description, OpenDevice, Outcome, Stage, Unused};
use tch::{Tensor, nn};
use wsss::device;
use wsss::method::ema;
use wsss::method::mam::{Attention, MamOptions, Reduction};
use wsss::method::objective::{Batch, MamPhase, MamSettings, Objective, RcmOptions, Supervision};
use wsss::method::rcm::{Prototypes, RcmForm};
use wsss::model::{BackboneConfig, CamNet, CamNetConfig};
use wsss::train::crops::to_tensors;
use wsss::train::init::{CHECKPOINT, Init, SUPPORT, fill_cam_net, log_weights};
use wsss::train::{Fit, Learner, LoopParams, OptimizerParams, Sgd, commit, fit};

const NAME: &str = "train-cam";

struct TrainCam;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    split: String,
    variant: Variant,
    backbone: BackboneConfig,
    /// D: channels of the feature map X.
    features: i64,
    init: Init,
    weights: String,
    /// `lambda_1` of Eq. 9.
    cls_weight: f64,
    r#loop: LoopParams,
    optimizer: OptimizerParams,
    augmentation: Augmentation,
    support: SupportParams,
    rcm: RcmParams,
    mam: MamParams,
}

/// The rows of the paper's Table 1.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Variant {
    Baseline,
    Smm,
    Mmm,
    Mam,
    Rcm,
    #[serde(rename = "rcm+mmm")]
    RcmMmm,
    #[serde(rename = "rcm+mam")]
    RcmMam,
}

impl Variant {
    fn rcm(self) -> bool {
        matches!(self, Self::Rcm | Self::RcmMmm | Self::RcmMam)
    }

    fn attention(self) -> Option<Attention> {
        match self {
            Self::Baseline | Self::Rcm => None,
            Self::Smm => Some(Attention::Smm),
            Self::Mmm | Self::RcmMmm => Some(Attention::Mmm),
            Self::Mam | Self::RcmMam => Some(Attention::Mam),
        }
    }
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

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Update {
    /// Exponential moving average of F.
    Ema,
    /// G is F itself.
    Shared,
}

/// The Regional Contrastive Module (section 3.2).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RcmParams {
    weight: f64,
    /// First epoch, from 1, in which it takes part: without pretrained weights the first CAMs are noise.
    from_epoch: u32,
    threshold: f64,
    temperature: f64,
    form: RcmForm,
    supervision: Supervision,
    /// How many latest vectors of a class a prototype averages.
    memory: usize,
}

/// The Multi-scale Attentive Module (section 3.3).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MamParams {
    weight: f64,
    /// First epoch, from 1, in which it takes part.
    from_epoch: u32,
    normalize: bool,
    reduction: Reduction,
}

impl Stage for TrainCam {
    type Params = Params;
    const TENSORS: Option<OpenDevice> = Some(device::check);

    fn description() -> Description {
        Description {
            inputs: vec!["prepare-data".into()],
            optional_inputs: vec![NAME.into()],
            inputs_by_param: vec![Init::input()],
            outputs: vec![CurveRow::TABLE.into()],
            seeded: true,
            execution_params: LoopParams::execution_params("loop"),
            path_params: vec!["weights".into()],
            unused_params: vec![
                Unused::while_is("variant", [Variant::Baseline], &["support", "rcm", "mam"]),
                Unused::while_is("variant", [Variant::Smm, Variant::Mmm, Variant::Mam], &["rcm"]),
                Unused::while_is("variant", [Variant::Rcm], &["mam"]),
            ],
            ..Description::new(NAME, 4)
        }
    }

    fn check(params: &Params) -> Result<()> {
        params.init.check(&params.weights)?;
        params.r#loop.check()?;
        params.optimizer.check()?;
        params.augmentation.check().map_err(|error| error.below("augmentation"))?;
        let scales = &params.support.scales;
        let ranges = [
            ("support.momentum", (0.0..=1.0).contains(&params.support.momentum), "from 0 to 1"),
            ("support.scales", scales.iter().all(|scale| (0.1..=4.0).contains(scale)), "each from 0.1 to 4"),
            (
                "support.scales",
                scales.iter().filter(|scale| (**scale - 1.0).abs() < 1e-9).count() == 1,
                "1 must be among them, once",
            ),
            ("cls_weight", params.cls_weight >= 0.0, "0 or more"),
            ("rcm.weight", params.rcm.weight >= 0.0, "0 or more"),
            ("mam.weight", params.mam.weight >= 0.0, "0 or more"),
            ("rcm.temperature", params.rcm.temperature > 0.0, "more than 0"),
            ("rcm.threshold", (0.0..1.0).contains(&params.rcm.threshold), "from 0 to 1"),
            ("rcm.memory", params.rcm.memory > 0, "at least 1"),
            ("features", params.features > 0, "at least 1"),
        ];
        ranges
            .iter()
            .find(|(_, good, _)| !good)
            .map_or(Ok(()), |(name, _, range)| Err(ParamError::new(*name, format!("out of range: {range}")).into()))
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let dataset = Dataset::load(context.input("prepare-data"), Masks::Skip)?;
        let classes = dataset.classes.len();
        let images = Arc::new(dataset.into_split(&context.params.split)?);
        let mut learner = CamLearner::new(context, classes)?;
        let mut sgd = Sgd::new(&learner.main_vs, &context.params.optimizer);
        let (how, seed, count) = (context.params.augmentation.clone(), context.seed, images.len());
        let run = Fit {
            name: NAME,
            settings: context.params.r#loop.clone(),
            optimizer: context.params.optimizer.clone(),
            images: count,
            context,
        };
        let curve = fit(run, &mut learner, &mut sgd, move |epoch, index| {
            let image = &images[index];
            let mut rng = Rng::new(seed, epoch, image.image_id.as_str());
            let sample = augment(&photograph(image)?, &[], &how, &mut rng);
            Ok(Item { sample, labels: multi_hot(&image.labels, classes) })
        })?;
        let mut networks = vec![(CHECKPOINT, &learner.main_vs)];
        networks.extend(learner.support_vs.as_ref().map(|vs| (SUPPORT, vs)));
        commit(context, &networks, curve)
    }
}

struct Item {
    sample: Sample,
    labels: Vec<f32>,
}

/// F, G, the prototypes, and the objective that binds them.
struct CamLearner {
    main_vs: nn::VarStore,
    main: CamNet,
    support_vs: Option<nn::VarStore>,
    support: Option<CamNet>,
    support_momentum: f64,
    prototypes: Prototypes,
    objective: Objective,
    rcm_from_epoch: u32,
    mam_from_epoch: u32,
    classes: usize,
}

impl CamLearner {
    fn new(context: &mut Context<Params>, classes: usize) -> Result<Self> {
        let params = &context.params;
        tch::manual_seed(Rng::new(context.seed, 0, "init").bits() as i64);
        let config =
            CamNetConfig { backbone: params.backbone.clone(), features: params.features, classes: classes as i64 };
        let device = device::open(&context.device)?;
        let main_vs = nn::VarStore::new(device);
        let main = CamNet::new(&main_vs.root(), &config);
        let filled = match context.optional_input(NAME) {
            Some(earlier) => Some(fill_cam_net(&main_vs, earlier)?),
            None => params.init.fill(&main_vs, &params.weights, None)?,
        };
        let supported = params.variant.rcm() || params.variant.attention().is_some();
        let (mut support_vs, mut support) = (None, None);
        if supported && params.support.update == Update::Ema {
            let mut vs = nn::VarStore::new(device);
            support = Some(CamNet::new(&vs.root(), &config));
            vs.copy(&main_vs).map_err(|error| Error::Failed(format!("cannot copy F to G: {error}")))?;
            vs.freeze();
            support_vs = Some(vs);
        }
        let rcm = params.variant.rcm().then_some(RcmOptions {
            threshold: params.rcm.threshold,
            temperature: params.rcm.temperature,
            form: params.rcm.form,
            supervision: params.rcm.supervision,
            weight: params.rcm.weight,
        });
        let mam = params.variant.attention().map(|variant| MamSettings {
            options: MamOptions { variant, normalize: params.mam.normalize, reduction: params.mam.reduction },
            weight: params.mam.weight,
        });
        let learner = Self {
            main_vs,
            main,
            support_vs,
            support,
            support_momentum: params.support.momentum,
            prototypes: Prototypes::new(classes as i64, params.features, params.rcm.memory, device),
            objective: Objective {
                cls_weight: params.cls_weight,
                rcm,
                mam,
                support_scales: params.support.scales.clone(),
            },
            rcm_from_epoch: params.rcm.from_epoch,
            mam_from_epoch: params.mam.from_epoch,
            classes,
        };
        log_weights(&mut context.log, filled.as_ref())?;
        Ok(learner)
    }
}

impl Learner for CamLearner {
    type Item = Item;
    const TERMS: &'static [&'static str] = &["loss", "cls", "rcm", "mam"];

    fn loss(&mut self, batch: &[Item], epoch: u32) -> Result<Vec<Option<Tensor>>> {
        let device = self.main_vs.device();
        let crops = to_tensors(&batch.iter().map(|item| &item.sample).collect::<Vec<_>>());
        let labels: Vec<f32> = batch.iter().flat_map(|item| item.labels.iter().copied()).collect();
        let labels = Tensor::from_slice(&labels).view([batch.len() as i64, self.classes as i64]);
        let batch = Batch {
            images: crops.images.to_device(device), // [B, 3, H, W]
            labels: labels.to_device(device),       // [B, K]
            valid: crops.valid.to_device(device),   // [B, H, W]
        };
        let phase = if epoch >= self.mam_from_epoch { MamPhase::Active } else { MamPhase::Waiting };
        let support = self.support.as_ref().unwrap_or(&self.main);
        let rcm = self.objective.rcm.filter(|_| epoch >= self.rcm_from_epoch);
        let objective = Objective { rcm, ..self.objective.clone() };
        let loss = objective.step_loss(&self.main, support, &batch, &mut self.prototypes, phase);
        Ok(vec![Some(loss.total), Some(loss.cls), loss.rcm, loss.mam])
    }

    fn after_step(&mut self) {
        if let Some(support) = &self.support_vs {
            ema::update(support, &self.main_vs, self.support_momentum);
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let named = |prefix: &'static str, vs: &nn::VarStore| {
            vs.variables().into_iter().map(move |(name, tensor)| (format!("{prefix}.{name}"), tensor))
        };
        let support = self.support_vs.iter().flat_map(|vs| named("support", vs));
        let prototypes = self.prototypes.tensors().map(|(name, tensor)| (format!("prototypes.{name}"), tensor));
        named("main", &self.main_vs).chain(support).chain(prototypes).collect()
    }
}

fn main() -> ExitCode {
    stage::main::<TrainCam>()
}
