//! train-deeplab: trains DeepLab-LargeFOV on the labels of another stage
//!
//! Reads the tables `dataset` and `label`, and a CAM net to start from; writes `curve` and the network (METHOD.md,
//! section 7).

use std::process::ExitCode;
use std::sync::Arc;

use artifact::table::{CurveRow, DatasetRow, LabelRow};
use artifact::{ParamError, Result, Row as _};
use data::augment::{Augmentation, Sample, augment};
use data::dataset::Dataset;
use data::labels::Labels;
use data::random::Rng;
use serde::{Deserialize, Serialize};
use stage::ranks::Join;
use stage::{Contents, Context, Description, OpenDevice, Outcome, Read, Stage};
use tch::{Tensor, nn};
use wsss::device;
use wsss::method::objective::Losses;
use wsss::method::segmentation::{LogitLosses, segmentation_loss};
use wsss::model::{BackboneConfig, DeepLab, Flat, WeightLayout};
use wsss::ranks;
use wsss::train::crops::{to_tensors, upload};
use wsss::train::init::{CAM_NET, DEEPLAB, Init, log_weights};
use wsss::train::{Learner, LoopParams, OptimizerParams, Sgd, Training, commit, fit};

struct TrainDeeplab;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    split: String,
    backbone: BackboneConfig,
    /// Channels between the two dilated convolutions.
    hidden: i64,
    init: Init,
    weights: String,
    losses: LogitLosses,
    r#loop: LoopParams,
    optimizer: OptimizerParams,
    augmentation: Augmentation,
}

impl Stage for TrainDeeplab {
    type Params = Params;
    const TENSORS: Option<OpenDevice> = Some(device::check);
    const JOIN: Option<Join> = Some(ranks::join);

    fn description() -> Description {
        Description {
            reads: vec![Read::table::<DatasetRow>(), Read::table::<LabelRow>(), Init::read()],
            writes: Contents::tables([CurveRow::TABLE]).with_file(DEEPLAB),
            seeded: true,
            processes: Some("loop.processes".into()),
            execution_params: LoopParams::execution_params("loop"),
            path_params: vec!["weights".into()],
            ..Description::new("train-deeplab", 4, "trains DeepLab-LargeFOV on the labels of another stage")
        }
    }

    fn check(params: &Params) -> Result<()> {
        params.init.check(&params.weights)?;
        params.r#loop.check()?;
        params.optimizer.check()?;
        params.augmentation.check().map_err(|error| error.below("augmentation"))?;
        if params.hidden < 1 {
            return Err(ParamError::new("hidden", "at least 1").into());
        }
        Ok(())
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let dataset = Dataset::load(context.table::<DatasetRow>()?)?;
        let classes = dataset.classes.len() as i64 + 1;
        let labelled = context.table::<LabelRow>()?;
        let pseudo = Labels::load(labelled)?;
        let split = context.params.split.clone();
        let photographs = dataset.photographs();
        let images = dataset.into_split(&split)?;
        if let Some(image) = images.iter().find(|image| !pseudo.has(&image.image_id)) {
            let (id, stage) = (&image.image_id, &labelled.record().preimage.stage);
            let reason = format!("image '{id}' of '{split}' has no label; make one with {stage}");
            return Err(ParamError::new("split", reason).into());
        }
        let images = Arc::new(images);
        tch::manual_seed(Rng::new(context.seed, 0, "init").bits() as i64);
        let vs = nn::VarStore::new(device::open(&context.device, context.numerics)?);
        let net = DeepLab::new(&vs.root(), &context.params.backbone, classes, context.params.hidden)
            .with_numerics(context.numerics);
        let filled = context.params.init.fill(&vs, &context.params.weights, context.optional_holder_of(CAM_NET)?)?;
        log_weights(&mut context.log, filled.as_ref())?;
        let flat = Flat::of(&vs, WeightLayout::of(context.numerics));
        let mut sgd = Sgd::new(flat, &context.params.optimizer);
        let mut learner = DeepLabLearner { vs, net, losses: context.params.losses };
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
            let label = pseudo.of(&image.image_id)?;
            let label: Vec<_> = label.iter().collect();
            Ok(augment(&photographs.of(image)?, &label, &how, &mut rng))
        })?;
        commit(context, &[(DEEPLAB, &learner.vs)], curve)
    }
}

struct DeepLabLearner {
    vs: nn::VarStore,
    net: DeepLab,
    losses: LogitLosses,
}

impl Learner for DeepLabLearner {
    type Item = Sample;

    fn loss(&mut self, batch: &[Sample], _epoch: u32, differentiate: &mut dyn FnMut(&Tensor)) -> Result<Losses> {
        let crops = to_tensors(batch);
        let device = self.vs.device();
        let images = upload(&crops.images, device); // [B, 3, H, W]
        let labels = upload(&crops.maps[0], device); // [B, H, W]
        let total = segmentation_loss(&self.net, &images, &labels, self.losses);
        differentiate(&total);
        Ok(Losses::alone(&total))
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.vs.variables().into_iter().collect()
    }
}

fn main() -> ExitCode {
    stage::main::<TrainDeeplab>()
}
