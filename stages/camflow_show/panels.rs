//! From the tables of an experiment to pictures with titles and scores.

use std::collections::{BTreeMap, BTreeSet};

use artifact::encoding::CamEncoding;
use artifact::store::Filter;
use artifact::table::{CamRow, DatasetRow, LabelRow, MaskRow, SweepRow};
use artifact::{Artifact, Error, ImageId, Result, Row};
use data::codec::{Mask, Rgb, decode_mask, voc_palette};
use data::confusion::{ConfusionMatrix, SweepHistogram};
use data::dataset::{classes, photograph};
use data::draw::{Map, heat_over, mask_over};
use data::score_maps::{ImageCams, encoding};

use crate::holdings::Holdings;

/// One picture of a row.
pub struct Panel {
    pub title: String,
    pub picture: Rgb,
    /// The IoU, of 1; none without ground truth.
    pub iou: Option<f64>,
}

/// A row of panels for each image, in the order in which they are asked for.
pub fn rows(holdings: &Holdings, images: &[ImageId]) -> Result<Vec<Vec<Panel>>> {
    let pictures: BTreeMap<ImageId, DatasetRow> = found::<DatasetRow>(Some(&holdings.dataset), images)?
        .into_iter()
        .map(|row| (row.image_id.clone(), row))
        .collect();
    let masks: BTreeMap<ImageId, Vec<u8>> =
        found::<MaskRow>(holdings.masks.as_ref(), images)?.into_iter().map(|row| (row.image_id, row.mask)).collect();
    let cams = found::<CamRow>(holdings.cams.as_ref(), images)?;
    let mut labels = Vec::new();
    for artifact in &holdings.labels {
        labels.extend(found::<LabelRow>(Some(artifact), images)?);
    }
    let shown = Shown {
        classes: classes(&holdings.dataset)?.len() + 1,
        encoding: holdings.cams.as_ref().map_or(Ok(CamEncoding::U8), encoding)?,
        threshold: holdings.sweep.as_ref().map(threshold).transpose()?.flatten(),
        cams,
        labels,
    };
    let row = |image: &ImageId| {
        let Some(picture) = pictures.get(image) else { return Err(unknown(holdings, image)) };
        let truth = masks.get(image).map(|mask| decode_mask(mask)).transpose();
        let truth = truth.map_err(|why| Error::Data(format!("mask of '{image}': {why}")))?;
        shown.row(picture, truth.as_ref())
    };
    images.iter().map(row).collect()
}

/// The tables' rows of the images in question.
struct Shown {
    /// The background included.
    classes: usize,
    encoding: CamEncoding,
    threshold: Option<f64>,
    cams: Vec<CamRow>,
    labels: Vec<LabelRow>,
}

impl Shown {
    fn row(&self, image: &DatasetRow, truth: Option<&Mask>) -> Result<Vec<Panel>> {
        let (photo, palette) = (photograph(image)?, voc_palette());
        let drawn =
            |classes: Vec<u8>| mask_over(&photo, &Mask { height: photo.height, width: photo.width, classes }, &palette);
        let mut panels = vec![Panel { title: image.image_id.to_string(), picture: photo.clone(), iou: None }];
        let cams: Vec<_> = self.cams.iter().filter(|cam| cam.image_id == image.image_id).collect();
        let counted = truth.zip(self.threshold).map(|(truth, threshold)| self.counted(&cams, truth, threshold));
        for cam in cams {
            let Some(map) = Map::new(cam.height, cam.width, self.encoding.decode(&cam.cam, cam.width as usize)) else {
                continue;
            };
            let iou = counted.as_ref().map(|counts| counts.iou(cam.class_id.0.into()));
            panels.push(Panel { title: format!("CAM {}", cam.class), picture: heat_over(&photo, &map), iou });
        }
        for label in self.labels.iter().filter(|label| label.image_id == image.image_id) {
            let iou = truth.map(|truth| self.label_iou(truth, &label.label));
            panels.push(Panel { title: label.source.clone(), picture: drawn(label.label.clone()), iou });
        }
        if let Some(truth) = truth {
            let picture = drawn(truth.classes.clone());
            panels.push(Panel { title: "ground truth".to_owned(), picture, iou: None });
        }
        Ok(panels)
    }

    /// The CAMs of an image at the threshold, against its ground truth: counted as evaluate does it.
    fn counted(&self, cams: &[&CamRow], truth: &Mask, threshold: f64) -> ConfusionMatrix {
        let mut histogram = SweepHistogram::new(self.classes, &[threshold as f32]);
        if let Some(cams) = ImageCams::of_rows(cams, self.encoding) {
            cams.count(&mut histogram, &truth.classes);
        }
        histogram.confusion(0)
    }

    /// The mean over the classes that the label or the ground truth has.
    fn label_iou(&self, truth: &Mask, label: &[u8]) -> f64 {
        let counts = ConfusionMatrix::of(self.classes, &truth.classes, label);
        let there = (0..self.classes).filter(|class| counts.tp(*class) + counts.fp(*class) + counts.fn_(*class) > 0);
        let ious: Vec<f64> = there.map(|class| counts.iou(class)).collect();
        ious.iter().sum::<f64>() / ious.len().max(1) as f64
    }
}

/// The rows of some images.
fn found<R: Row>(artifact: Option<&Artifact>, images: &[ImageId]) -> Result<Vec<R>> {
    let Some(artifact) = artifact else { return Ok(Vec::new()) };
    let ids: BTreeSet<String> = images.iter().map(ToString::to_string).collect();
    artifact.rows::<R>(&[])?.filtered(Filter::one_of("image_id", ids)).collect()
}

/// The threshold that later stages use.
fn threshold(sweep: &Artifact) -> Result<Option<f64>> {
    let chosen = |row: Result<SweepRow>| match row {
        Ok(row) => row.chosen.then_some(Ok(row.threshold)),
        Err(error) => Some(Err(error)),
    };
    sweep.rows::<SweepRow>(&[])?.find_map(chosen).transpose()
}

/// Names that are like the one asked for are what is probably meant.
fn unknown(holdings: &Holdings, image: &ImageId) -> Error {
    let rows = holdings.dataset.rows::<DatasetRow>(&["splits", "width", "height", "labels", "image"]);
    let known: Vec<String> =
        rows.into_iter().flatten().filter_map(Result::ok).map(|row| row.image_id.to_string()).collect();
    let mut near: Vec<_> = known.iter().map(|id| (strsim::jaro_winkler(id, image.as_str()), id)).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let near: Vec<&str> = near.into_iter().take(3).map(|(_, id)| id.as_str()).collect();
    Error::Config(format!("the data set has no image '{image}'; the nearest names are {}", near.join(", ")))
}
