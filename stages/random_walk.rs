//! random-walk: spreads CAMs along learned affinities into pseudo-labels
//!
//! Reads the tables `dataset` and `cam` and the network of train-affinity; writes the table `label` (METHOD.md, section
//! 6).

use std::collections::BTreeMap;
use std::process::ExitCode;

use artifact::table::{CamRow, DatasetRow, LabelRow};
use artifact::{Artifact, Numerics, ParamError, Result, Row as _};
use data::dataset::Dataset;
use data::score_maps::ScoreMaps;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stage::{Contents, Context, Description, OpenDevice, Outcome, Read, Stage};
use tch::{Tensor, nn};
use wsss::device;
use wsss::infer::{CrfParams, Networks, cam_scores};
use wsss::memory;
use wsss::method::pseudo_label::{PseudoLabelOptions, pseudo_label};
use wsss::method::random_walk::WalkOptions;
use wsss::method::scores::winners;
use wsss::model::fill;
use wsss::model::{AffinityNet, Mode};
use wsss::train::init::AFFINITY_NET;

struct RandomWalk;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Splits whose images get pseudo-labels.
    splits: Vec<String>,
    /// Background score is (1 - max CAM)^alpha.
    alpha: f64,
    /// Power of the affinities.
    beta: f32,
    /// 2^logt steps.
    logt: u32,
    /// Smooths what the walk gives.
    crf: CrfParams,
}

impl Stage for RandomWalk {
    type Params = Params;
    const TENSORS: Option<OpenDevice> = Some(device::check);

    fn description() -> Description {
        Description {
            reads: vec![Read::table::<DatasetRow>(), Read::table::<CamRow>(), Read::file(AFFINITY_NET)],
            writes: Contents::tables([LabelRow::TABLE]),
            sharded: true,
            ..Description::new("random-walk", 3, "spreads CAMs along learned affinities into pseudo-labels")
        }
    }

    fn check(params: &Params) -> Result<()> {
        if params.logt > 16 {
            return Err(ParamError::new("logt", "at most 16 (65,536 steps)").into());
        }
        if params.alpha <= 0.0 || params.beta <= 0.0 {
            return Err(ParamError::new("alpha", "alpha and beta must be above 0").into());
        }
        params.crf.check().map_err(|error| error.below("crf"))?;
        Ok(())
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let params = &context.params;
        let dataset = Dataset::load(context.table::<DatasetRow>()?)?;
        let cams = ScoreMaps::load_cams(context.table::<CamRow>()?)?;
        let (images, photographs) = (dataset.splits(&params.splits)?, dataset.photographs());
        let trained = context.holder_of(AFFINITY_NET)?;
        let options = PseudoLabelOptions {
            radius: trained.param("radius")?,
            walk: WalkOptions { beta: params.beta, logt: params.logt },
            crf: params.crf.options(),
        };
        let device = device::open(&context.device, context.numerics)?;
        let numerics = context.numerics;
        let features = |net: &AffinityNet, photo: &Tensor| net.forward(photo, Mode::Eval);
        let networks = Networks::new(device, || network(trained, device, numerics), features)?;
        let source = context.name.clone();
        let missing = context.for_each_image(&images, BTreeMap::new(), |params, worker, image| {
            let [scores] = cam_scores(&cams, image, [params.alpha])?;
            let label = if image.labels.is_empty() {
                winners(&scores.classes, &scores.scores) // background all over
            } else {
                let photo = photographs.of(image)?;
                let size = [photo.height, photo.width];
                memory::within(|| pseudo_label(|photo| networks.forward(worker, photo), &photo, &scores, &options))
                    .map_err(|exhausted| {
                        exhausted.at_picture(image.image_id.as_str(), size, 1.0, size.map(|side| side as i64))
                    })?
            };
            Ok(vec![LabelRow {
                image_id: image.image_id.clone(),
                height: image.height,
                width: image.width,
                source: source.clone(),
                label,
            }])
        })?;
        if missing > 0 {
            return Ok(Outcome::Partial { missing });
        }
        Ok(Outcome::tables([("images".to_owned(), json!(images.len()))].into()))
    }
}

fn network(trained: &Artifact, device: tch::Device, numerics: Numerics) -> Result<AffinityNet> {
    let mut vs = nn::VarStore::new(device);
    let net = AffinityNet::new(&vs.root(), &trained.param("backbone")?).with_numerics(numerics).for_inference();
    fill::load(&vs, &trained.file(AFFINITY_NET), "", &[])?;
    vs.freeze();
    Ok(net)
}

fn main() -> ExitCode {
    stage::main::<RandomWalk>()
}
