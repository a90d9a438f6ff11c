//! What DeepLab makes of a picture: its mask, and what else is asked for.

use artifact::{ClassId, Numerics, Result};
use clap::Args;
use data::codec::{Mask, Rgb, encode_jpeg, encode_mask};
use data::draw::mask_over;
use data::numpy;
use data::resize::resize_bicubic;
use serde_json::{Map, Value, json};
use tch::Device;
use wsss::export::{Inference, Model};
use wsss::infer::Segmenter;
use wsss::method::crf::{CrfOptions, DenseCrf};
use wsss::method::scores::winners_at;

use crate::JPEG_QUALITY;
use crate::pictures::{Made, Picture};
use crate::whole_file::write;

/// What is made besides the mask, and how.
#[derive(Clone, Copy, Debug, Args)]
pub struct Extras {
    /// Draw the mask over the picture too, as DIR/overlay/NAME.jpg.
    #[arg(long, conflicts_with = "cam")]
    overlay: bool,
    /// Write the classes' probabilities too, as DIR/probabilities/NAME.npy: float16 [classes, height, width] in the
    /// size at which the network saw the picture.
    #[arg(long, conflicts_with = "cam")]
    probabilities: bool,
    /// Smooth by the dense CRF that the network was evaluated with.
    #[arg(long, conflicts_with = "cam")]
    crf: bool,
}

impl Extras {
    /// The files that are made of each picture.
    pub fn made(self) -> Vec<Made> {
        let files = [("", ".png", true), (OVERLAY.0, OVERLAY.1, self.overlay), (NPY.0, NPY.1, self.probabilities)];
        let made = files.into_iter().filter(|(.., is_made)| *is_made);
        made.map(|(kind, ending, _)| Made { kind, ending: ending.to_owned() }).collect()
    }
}

/// Folder and ending of a mask over its picture.
const OVERLAY: (&str, &str) = ("overlay", ".jpg");
/// Folder and ending of probabilities.
const NPY: (&str, &str) = ("probabilities", ".npy");

/// A DeepLab at work.
pub struct Masks {
    segmenter: Segmenter,
    inference: Inference,
    /// Of the background and the classes.
    names: Vec<String>,
    palette: Vec<[u8; 3]>,
    crf: Option<CrfOptions>,
    extras: Extras,
}

impl Masks {
    pub fn new(
        model: &Model,
        inference: Inference,
        (device, numerics): (Device, Numerics),
        extras: Extras,
    ) -> Result<Self> {
        let network = || Ok(model.deeplab(device)?.with_numerics(numerics).for_inference());
        Ok(Self {
            segmenter: Segmenter::new(device, network, inference.look())?,
            crf: inference.crf.options().filter(|_| extras.crf),
            inference,
            names: model.about.classes.clone(),
            palette: model.about.palette.clone(),
            extras,
        })
    }

    /// Writes the files of a picture; gives their names, and the classes with their shares of the pixels.
    pub fn draw(&self, worker: usize, photo: &Rgb, picture: &Picture) -> Result<Map<String, Value>> {
        let size = [photo.height, photo.width];
        let [height, width] = self.inference.size(size);
        let small = resize_bicubic(photo, height, width);
        let mut scores = self.segmenter.scores(worker, &small, &picture.name())?;
        if let Some(crf) = &self.crf {
            scores = DenseCrf::new(&small, crf).infer(&scores, crf.iterations);
        }
        let classes: Vec<ClassId> = (0..self.names.len()).map(|class| ClassId(class as u8)).collect();
        let winners = winners_at(&classes, &scores, [height, width], size);
        let mask = Mask { height: photo.height, width: photo.width, classes: winners };
        let file = picture.file("", ".png");
        write(&file, &encode_mask(&mask))?;
        let mut facts = Map::new();
        facts.insert("mask".to_owned(), json!(file.to_string_lossy()));
        facts.insert("width".to_owned(), json!(photo.width));
        facts.insert("height".to_owned(), json!(photo.height));
        facts.insert("classes".to_owned(), self.shares(&mask));
        if self.extras.overlay {
            let file = picture.file(OVERLAY.0, OVERLAY.1);
            write(&file, &encode_jpeg(&mask_over(photo, &mask, &self.palette), JPEG_QUALITY))?;
            facts.insert("overlay".to_owned(), json!(file.to_string_lossy()));
        }
        if self.extras.probabilities {
            let file = picture.file(NPY.0, NPY.1);
            write(&file, &numpy::save_halves(&scores, [self.names.len(), height, width]))?;
            facts.insert("probabilities".to_owned(), json!(file.to_string_lossy()));
        }
        Ok(facts)
    }

    /// The classes that a mask shows, with their shares of its pixels.
    fn shares(&self, mask: &Mask) -> Value {
        let mut counts = vec![0_usize; self.names.len()];
        for class in &mask.classes {
            counts[usize::from(*class)] += 1;
        }
        let share = |count: usize| (count as f64 / mask.classes.len() as f64 * 1e6).round() / 1e6;
        let shown = self.names.iter().zip(counts).filter(|(_, count)| *count > 0);
        shown.map(|(name, count)| (name.clone(), json!(share(count)))).collect::<Map<_, _>>().into()
    }
}
