//! random-walk: CAM scores spread along learned affinities and become pseudo-labels, the `label` artifact (METHOD 6).

use std::process::ExitCode;

use artifact::table::{DatasetRow, LabelRow};
use artifact::{Artifact, ClassId, ParamError, Result, Row as _};
use data::augment::normalize;
use data::cams::Cams;
use data::dataset::{Dataset, Masks, photograph};
use serde::{Deserialize, Serialize};
use serde_json::json;
use stage::{Context, Description, OpenDevice, Outcome, Parts, Stage, cores, for_each_part};
use tch::{Kind, Tensor, nn};
use wsss::device;
use wsss::infer::{CamScores, Networks, winners};
use wsss::method::affinity::{affinities, fitting_radius};
use wsss::method::cam::upsample;
use wsss::method::crf::{CrfParams, DenseCrf};
use wsss::method::random_walk::{WalkOptions, random_walk};
use wsss::model::fill;
use wsss::model::{AffinityNet, Mode};
use wsss::train::init::CHECKPOINT;

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
            inputs: vec!["prepare-data".into(), "extract-msinf-cam".into(), "train-affinity".into()],
            outputs: vec![LabelRow::TABLE.into()],
            sharded: true,
            ..Description::new("random-walk", 2)
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
        let dataset = Dataset::load(context.input("prepare-data"), Masks::Skip)?;
        let cams = Cams::load(context.input("extract-msinf-cam"))?;
        let images = dataset.splits(&params.splits)?;
        let trained = context.input("train-affinity");
        let radius: usize = trained.param("radius")?;
        let device = device::open(&context.device)?;
        let features = |net: &AffinityNet, photo: &Tensor| net.forward(photo, Mode::Eval);
        let networks = Networks::new(device, || network(trained, device), features)?;
        let (cams, networks) = (&cams, &networks);
        let worker = |index: usize| {
            move |image: &&DatasetRow| {
                let label = pseudo_label(|photo| networks.forward(index, photo), image, cams, radius, params)?;
                Ok(vec![LabelRow {
                    image_id: image.image_id.clone(),
                    height: image.height,
                    width: image.width,
                    source: "random-walk".into(),
                    label,
                }])
            }
        };
        let mut workers: Vec<_> = (0..cores()).map(worker).collect();
        let mut parts = Parts {
            work: &mut context.work,
            shard: context.shard,
            stop: &context.stop,
            log: &mut context.log,
            name: "random-walk",
        };
        let missing = for_each_part(&mut parts, std::collections::BTreeMap::new(), &images, &mut workers)?;
        if missing > 0 {
            return Ok(Outcome::Partial { missing });
        }
        Ok(Outcome::tables([("images".to_owned(), json!(images.len()))].into()))
    }
}

fn network(trained: &Artifact, device: tch::Device) -> Result<AffinityNet> {
    let mut vs = nn::VarStore::new(device);
    let net = AffinityNet::new(&vs.root(), &trained.param("backbone")?);
    fill::load(&vs, &trained.file(CHECKPOINT), "", &[])?;
    vs.freeze();
    Ok(net)
}

/// The class of every pixel: pool scores by 8, walk, upsample, smooth, take the largest. `features` gives the network's
/// `[1, 448, h', w']` of `[1, 3, 8 h', 8 w']`.
fn pseudo_label(
    features: impl Fn(&Tensor) -> Tensor,
    image: &DatasetRow,
    cams: &Cams,
    radius: usize,
    params: &Params,
) -> Result<Vec<u8>> {
    let CamScores { classes, scores } = CamScores::new(cams, image, params.alpha);
    if classes.len() == 1 {
        return Ok(vec![ClassId::BACKGROUND.0; scores.len()]);
    }
    let (h, w) = (i64::from(image.height), i64::from(image.width));
    let padding = [0, (8 - w % 8) % 8, 0, (8 - h % 8) % 8];
    let photograph = photograph(image)?;
    let photo = Tensor::from_slice(&normalize(&photograph)).view([1, 3, h, w]); // [1, 3, H, W]
    let features = features(&photo.constant_pad_nd(padding)); // [1, 448, h', w']
    let (_, _, rows, columns) = features.size4().expect("features are [1, C, h', w']");
    let grid = [rows as usize, columns as usize];
    let radius = fitting_radius(grid, radius);
    let affinities = values(&affinities(&features, radius));

    let scores = Tensor::from_slice(&scores).view([1, -1, h, w]); // [1, 1 + k, H, W]
    let pooled = scores.constant_pad_nd(padding).avg_pool2d([8, 8], [8, 8], [0, 0], false, true, None);
    let options = WalkOptions { beta: params.beta, logt: params.logt };
    let walked = random_walk(&affinities, grid, radius, options, &values(&pooled)); // [1 + k, h', w']

    let walked = Tensor::from_slice(&walked).view([1, -1, rows, columns]);
    let full = upsample(&walked, [rows * 8, columns * 8]).narrow(2, 0, h).narrow(3, 0, w); // [1, 1 + k, H, W]
    let CrfParams { iterations, .. } = params.crf;
    if iterations == 0 {
        return Ok(winners(&classes, &values(&full)));
    }
    let probabilities = &full / full.sum_dim_intlist([1].as_slice(), true, Kind::Float).clamp_min(LEAST_SUM);
    let smooth = DenseCrf::new(&photograph, &params.crf).infer(&values(&probabilities), iterations);
    Ok(winners(&classes, &smooth))
}

/// Keeps the division of scores by their sum finite.
const LEAST_SUM: f64 = 1e-12;

fn values(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.to_device(tch::Device::Cpu).to_kind(Kind::Float).contiguous().view(-1);
    Vec::try_from(&flat).expect("a vector of f32")
}

fn main() -> ExitCode {
    stage::main::<RandomWalk>()
}
