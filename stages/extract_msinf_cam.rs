//! extract-msinf-cam: makes the trained classifier's activation maps, summed over scales and flips
//!
//! Reads the table `dataset` and a network of train-cam; writes the table `cam` (METHOD.md, section 3). Table 5 of the
//! paper needs each scale alone too: `scales = [0.5]`.

use std::path::Path;
use std::process::ExitCode;

use artifact::encoding::{CamEncoding, ENCODING};
use artifact::table::{CamRow, DatasetRow};
use artifact::{Artifact, Numerics, ParamError, Result, Row as _};
use data::dataset::Dataset;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stage::{Contents, Context, Description, OpenDevice, Outcome, Read, Stage};
use tch::{Tensor, nn};
use wsss::device;
use wsss::infer::{Extractor, Look, MaxPixels, log_shrunk};
use wsss::method::extraction::ClassCam;
use wsss::method::flip::Flip;
use wsss::method::term::Term as _;
use wsss::method::terms::seam::Seam;
use wsss::model::{CamNet, CamNetConfig, Mode, PixelCorrelation};
use wsss::train::init::{CAM_NET, CAM_SUPPORT, TERMS, fill_cam_net};

struct ExtractMsinfCam;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Splits whose images get CAMs.
    splits: Vec<String>,
    net: Net,
    maps: Maps,
    scales: Vec<f64>,
    flip: bool,
    /// At the largest scale; a larger picture is looked at smaller.
    max_pixels: MaxPixels,
    encoding: CamEncoding,
}

impl Params {
    /// The views as the table names them: `0.5,1 x flip`.
    fn views(&self) -> String {
        let scales = self.scales.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        scales + if self.flip { " x flip" } else { "" }
    }
}

/// Which of the two networks of a training run.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Net {
    Main,
    Support,
}

impl Net {
    /// The file of its weights.
    fn file(self) -> &'static str {
        match self {
            Self::Main => CAM_NET,
            Self::Support => CAM_SUPPORT,
        }
    }
}

/// Which maps of the network.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Maps {
    /// Its class activation maps.
    Cam,
    /// The maps that the pixel correlation module of SEAM makes of them.
    Refined,
}

impl Stage for ExtractMsinfCam {
    type Params = Params;
    const TENSORS: Option<OpenDevice> = Some(device::check);

    fn description() -> Description {
        Description {
            reads: vec![
                Read::table::<DatasetRow>(),
                Read::file(CAM_NET).only_while("net", Net::Main),
                Read::file(CAM_SUPPORT).only_while("net", Net::Support),
            ],
            writes: Contents::tables([CamRow::TABLE]),
            sharded: true,
            ..Description::new(
                "extract-msinf-cam",
                4,
                "makes the trained classifier's activation maps, summed over scales and flips",
            )
        }
    }

    fn check(params: &Params) -> Result<()> {
        if params.scales.is_empty() || params.scales.iter().any(|scale| !(0.1..=4.0).contains(scale)) {
            return Err(ParamError::new("scales", "give one or more from 0.1 to 4").into());
        }
        Ok(params.max_pixels.check()?)
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let params = &context.params;
        let dataset = Dataset::load(context.table::<DatasetRow>()?)?;
        let (images, photographs) = (dataset.splits(&params.splits)?, dataset.photographs());
        let trained = context.holder_of(params.net.file())?;
        let config = CamNetConfig {
            backbone: trained.param("backbone")?,
            features: trained.param("features")?,
            classes: dataset.classes.len() as i64,
        };
        let weights = trained.file(params.net.file());
        let device = device::open(&context.device, context.numerics)?;
        let channels = refined_channels(trained, params)?;
        let numerics = context.numerics;
        let network = || Ok(Network::load(&config, channels, &weights, device)?.with_numerics(numerics));
        let look = Look { scales: params.scales.clone(), flip: Flip::from(params.flip), max_pixels: params.max_pixels };
        let extractor = Extractor::new(device, network, Network::maps, look)?;
        let shrunk = log_shrunk(&mut context.log, params.max_pixels, &params.scales, images.iter().copied())?;
        let metadata = [(ENCODING.to_owned(), params.encoding.name().to_owned())].into();
        let missing = context.for_each_image(&images, metadata, |params, worker, image| {
            if image.labels.is_empty() {
                return Ok(Vec::new());
            }
            let cams = extractor.cams(worker, &photographs.of(image)?, &image.labels, image.image_id.as_str())?;
            Ok(cams.into_iter().map(|cam| row(cam, image, &dataset, params)).collect())
        })?;
        if missing > 0 {
            return Ok(Outcome::Partial { missing });
        }
        let cams: usize = images.iter().map(|image| image.labels.len()).sum();
        let counts = [("images".to_owned(), json!(images.len())), ("cams".to_owned(), json!(cams))];
        Ok(Outcome::tables(counts.into_iter().chain(shrunk).collect()))
    }
}

/// The channels of the pixel correlation module, where its maps are asked for.
fn refined_channels(trained: &Artifact, params: &Params) -> Result<Option<[i64; 2]>> {
    if params.maps == Maps::Cam {
        return Ok(None);
    }
    let terms: Vec<String> = trained.param("terms")?;
    if !terms.iter().any(|term| term == Seam::NAME) {
        let reason =
            format!("\"refined\", but train-cam was trained without the term {}; add it, or use \"cam\"", Seam::NAME);
        return Err(ParamError::new("maps", reason).into());
    }
    trained.param(&format!("{}.channels", Seam::NAME)).map(Some)
}

/// A trained network and, where its maps are asked for, its pixel correlation module.
struct Network {
    net: CamNet,
    correlation: Option<PixelCorrelation>,
}

impl Network {
    fn load(config: &CamNetConfig, channels: Option<[i64; 2]>, weights: &Path, device: tch::Device) -> Result<Self> {
        let mut vs = nn::VarStore::new(device);
        let net = CamNet::new(&vs.root(), config);
        let path = vs.root() / TERMS / Seam::NAME;
        let correlation = channels.map(|channels| PixelCorrelation::new(&path, net.taps(), channels));
        fill_cam_net(&vs, weights)?;
        vs.freeze();
        Ok(Self { net, correlation })
    }

    /// The same network, which computes in these numbers.
    fn with_numerics(self, numerics: Numerics) -> Self {
        Self { net: self.net.with_numerics(numerics).for_inference(), ..self }
    }

    /// Maps of the foreground classes: `[B, 3, H, W]` to `[B, K, h, w]`.
    fn maps(&self, images: &Tensor) -> Tensor {
        let seen = self.net.forward(images, Mode::Eval);
        match &self.correlation {
            Some(correlation) => {
                let refined = correlation.refine(&seen, images); // [B, K + 1, h, w]
                refined.narrow(1, 1, refined.size()[1] - 1)
            }
            None => seen.cam,
        }
    }
}

fn row(cam: ClassCam, image: &DatasetRow, dataset: &Dataset, params: &Params) -> CamRow {
    let ClassCam { class, raw_max, values } = cam;
    let pixels = values.len() as f32;
    CamRow {
        image_id: image.image_id.clone(),
        class_id: class,
        class: dataset.class_name(class).to_owned(),
        height: image.height,
        width: image.width,
        scales: params.views(),
        raw_max,
        mean: values.iter().sum::<f32>() / pixels,
        area: values.iter().filter(|value| **value > 0.5).count() as f32 / pixels,
        cam: params.encoding.encode(&values, image.width as usize),
    }
}

fn main() -> ExitCode {
    stage::main::<ExtractMsinfCam>()
}
