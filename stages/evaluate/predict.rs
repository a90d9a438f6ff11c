//! The labels that evaluate makes itself, the table `label`: CAMs after the CRF, DeepLab's output without and with it.

use std::collections::BTreeMap;

use artifact::table::{DatasetRow, LabelRow};
use artifact::{Artifact, ClassId, Result};
use data::codec::Rgb;
use data::dataset::{Dataset, photograph};
use data::resize::resize_bicubic;
use data::score_maps::ScoreMaps;
use stage::Context;
use tch::{Tensor, nn};
use wsss::device;
use wsss::infer::{Networks, cam_crf};
use wsss::memory;
use wsss::method::cam::upsample;
use wsss::method::crf::DenseCrf;
use wsss::method::flip::Flip;
use wsss::method::scores::{CamScores, winners};
use wsss::method::segmentation::probabilities;
use wsss::model::{DeepLab, fill};
use wsss::tensor::{floats, of_photo};
use wsss::train::init::DEEPLAB;

use crate::{Params, name};

/// CAMs after the CRF, in the tables.
pub const CAM_CRF: &str = "cam+crf";

/// The name, in the tables, of what a CRF makes of something.
pub fn with_crf(name: &str) -> String {
    format!("{name}+crf")
}

/// Writes the `label` table, each thing for the images of its splits. Returns how many parts other shards have yet to
/// do.
pub fn predict(context: &mut Context<Params>, dataset: &Dataset, cams: Option<&ScoreMaps>) -> Result<usize> {
    let params = &context.params;
    let cams = cams.filter(|_| params.cam_crf.iterations > 0);
    let deeplab = match context.optional_holder_of(DEEPLAB)? {
        Some(trained) => Some(Segmenter::new(context, trained, dataset.classes.len() + 1)?),
        None => None,
    };
    let mut splits = if cams.is_some() { params.cam_splits.clone() } else { Vec::new() };
    splits.extend(params.deeplab_splits.iter().filter(|_| deeplab.is_some()).cloned());
    let images = dataset.splits(&splits)?;
    context.for_each_image(&images, BTreeMap::new(), |params, worker, image| {
        let mut labels = Vec::new();
        if let Some(cams) = cams.filter(|_| is_among(image, &params.cam_splits)) {
            let [CamScores { classes, scores }] = cam_crf(cams, image, [params.cam_crf.alpha], &params.cam_crf.crf())?;
            labels.push((CAM_CRF.to_owned(), winners(&classes, &scores)));
        }
        if let Some(deeplab) = deeplab.as_ref().filter(|_| is_among(image, &params.deeplab_splits)) {
            labels.extend(deeplab.labels(params, worker, image)?);
        }
        let row = |(source, label)| LabelRow {
            image_id: image.image_id.clone(),
            height: image.height,
            width: image.width,
            source,
            label,
        };
        Ok(labels.into_iter().map(row).collect())
    })
}

fn is_among(image: &DatasetRow, splits: &[String]) -> bool {
    image.splits.iter().any(|split| splits.contains(split))
}

/// Class probabilities, `[K + 1, H, W]`, of `[1, 3, H, W]`.
type Forward = Box<dyn Fn(&DeepLab, &Tensor) -> Tensor + Send + Sync>;

/// DeepLab at work.
struct Segmenter {
    /// The stage that trained it.
    name: String,
    classes: Vec<ClassId>,
    networks: Networks<DeepLab, Forward>,
}

impl Segmenter {
    fn new(context: &Context<Params>, trained: &Artifact, classes: usize) -> Result<Self> {
        let Params { deeplab_scales, deeplab_flip, .. } = &context.params;
        let device = device::open(&context.device)?;
        let (scales, flip) = (deeplab_scales.clone(), Flip::from(*deeplab_flip));
        let forward: Forward = Box::new(move |net, photo| probabilities(net, photo, &scales, flip));
        Ok(Self {
            name: name(trained).to_owned(),
            classes: (0..classes).map(|class| ClassId(class as u8)).collect(),
            networks: Networks::new(device, || network(trained, classes as i64, device), forward)?,
        })
    }

    /// The labels of an image, with their names: DeepLab's own, and those after the CRF if it has iterations.
    fn labels(&self, params: &Params, worker: usize, image: &DatasetRow) -> Result<Vec<(String, Vec<u8>)>> {
        let photo = photograph(image)?;
        let scores = self.scores(params, worker, image, &photo)?;
        let mut labels = vec![(self.name.clone(), winners(&self.classes, &scores))];
        if let Some(crf) = params.deeplab_crf.options() {
            let smooth = DenseCrf::new(&photo, &crf).infer(&scores, crf.iterations);
            labels.push((with_crf(&self.name), winners(&self.classes, &smooth)));
        }
        Ok(labels)
    }

    /// DeepLab's probabilities, `[K + 1, H, W]`, row-major; of a picture that is too large they are those of a smaller
    /// one, interpolated.
    fn scores(&self, params: &Params, worker: usize, image: &DatasetRow, photo: &Rgb) -> Result<Vec<f32>> {
        let size = [photo.height, photo.width];
        let factor = params.max_pixels.factor(image, &params.deeplab_scales);
        let [height, width] = size.map(|side| ((side as f64 * factor).round() as usize).max(1));
        let seen = memory::within(|| {
            if [height, width] == size {
                return floats(&self.networks.forward(worker, &of_photo(photo)));
            }
            let small = of_photo(&resize_bicubic(photo, height, width));
            let scores = self.networks.forward(worker, &small).unsqueeze(0); // [1, K + 1, height, width]
            floats(&upsample(&scores, size.map(|side| side as i64)))
        });
        seen.map_err(|exhausted| {
            let largest = params.deeplab_scales.iter().copied().fold(0.0, f64::max);
            exhausted.at_picture(image, largest, [height, width].map(|side| (side as f64 * largest).round() as i64))
        })
    }
}

fn network(trained: &Artifact, classes: i64, device: tch::Device) -> Result<DeepLab> {
    let mut vs = nn::VarStore::new(device);
    let (backbone, hidden) = (trained.param("backbone")?, trained.param("hidden")?);
    let net = DeepLab::new(&vs.root(), &backbone, classes, hidden);
    fill::load(&vs, &trained.file(DEEPLAB), "", &[])?;
    vs.freeze();
    Ok(net)
}
