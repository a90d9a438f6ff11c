//! The labels that evaluate makes itself, the table `label`: CAMs after the CRF, DeepLab's output without and with it.

use std::collections::BTreeMap;

use artifact::table::{DatasetRow, LabelRow};
use artifact::{Artifact, ClassId, Result};
use data::codec::Rgb;
use data::dataset::Dataset;
use data::score_maps::ScoreMaps;
use stage::Context;
use tch::nn;
use wsss::device;
use wsss::infer::{Look, Segmenter, cam_crf};
use wsss::method::crf::DenseCrf;
use wsss::method::flip::Flip;
use wsss::method::scores::{CamScores, winners};
use wsss::model::{DeepLab, fill};
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
        Some(trained) => Some(Predictor::new(context, trained, dataset.classes.len() + 1)?),
        None => None,
    };
    let mut splits = if cams.is_some() { params.cam_splits.clone() } else { Vec::new() };
    splits.extend(params.deeplab_splits.iter().filter(|_| deeplab.is_some()).cloned());
    let (images, photographs) = (dataset.splits(&splits)?, dataset.photographs());
    context.for_each_image(&images, BTreeMap::new(), |params, worker, image| {
        let mut labels = Vec::new();
        if let Some(cams) = cams.filter(|_| is_among(image, &params.cam_splits)) {
            let alphas = [params.cam_crf.alpha];
            let scores = cam_crf(cams, &photographs, image, alphas, &params.cam_crf.crf())?;
            let [CamScores { classes, scores }] = scores;
            labels.push((CAM_CRF.to_owned(), winners(&classes, &scores)));
        }
        if let Some(deeplab) = deeplab.as_ref().filter(|_| is_among(image, &params.deeplab_splits)) {
            labels.extend(deeplab.labels(params, worker, image, &photographs.of(image)?)?);
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

/// DeepLab at work.
struct Predictor {
    /// The stage that trained it.
    name: String,
    classes: Vec<ClassId>,
    segmenter: Segmenter,
}

impl Predictor {
    fn new(context: &Context<Params>, trained: &Artifact, classes: usize) -> Result<Self> {
        let Params { deeplab_scales, deeplab_flip, max_pixels, .. } = &context.params;
        let device = device::open(&context.device, context.numerics)?;
        let numerics = context.numerics;
        let network = || Ok(network(trained, classes as i64, device)?.with_numerics(numerics).for_inference());
        let look = Look { scales: deeplab_scales.clone(), flip: Flip::from(*deeplab_flip), max_pixels: *max_pixels };
        Ok(Self {
            name: name(trained).to_owned(),
            classes: (0..classes).map(|class| ClassId(class as u8)).collect(),
            segmenter: Segmenter::new(device, network, look)?,
        })
    }

    /// The labels of an image, with their names: DeepLab's own, and those after the CRF if it has iterations.
    fn labels(
        &self,
        params: &Params,
        worker: usize,
        image: &DatasetRow,
        photo: &Rgb,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let scores = self.segmenter.scores(worker, photo, image.image_id.as_str())?;
        let mut labels = vec![(self.name.clone(), winners(&self.classes, &scores))];
        if let Some(crf) = params.deeplab_crf.options() {
            let smooth = DenseCrf::new(photo, &crf).infer(&scores, crf.iterations);
            labels.push((with_crf(&self.name), winners(&self.classes, &smooth)));
        }
        Ok(labels)
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
