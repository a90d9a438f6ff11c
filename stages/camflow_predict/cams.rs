//! What a classifier makes of a picture: how likely it shows each class, and the activation maps of some.

use artifact::{ClassId, Error, Numerics, Result};
use data::codec::{Rgb, encode_jpeg};
use data::draw::{Map as HeatMap, heat_over};
use data::resize::resize_bicubic;
use serde_json::{Map, Value, json};
use tch::{Device, Tensor};
use wsss::export::{Inference, Model};
use wsss::infer::Extractor;
use wsss::model::{CamNet, Mode};

use crate::JPEG_QUALITY;
use crate::pictures::{Made, Picture};
use crate::whole_file::write;

/// Above this probability the classifier sees a class.
const SEEN: f32 = 0.5;

/// A classifier at work.
pub struct Cams {
    extractor: Extractor<CamNet, fn(&CamNet, &Tensor) -> Tensor>,
    inference: Inference,
    /// Of the foreground classes.
    names: Vec<String>,
    /// How the files of each are called.
    file_names: Vec<String>,
    /// The classes whose maps are drawn; those that are seen if none.
    asked: Vec<ClassId>,
}

impl Cams {
    /// `asked` are names of classes.
    pub fn new(
        model: &Model,
        inference: Inference,
        (device, numerics): (Device, Numerics),
        asked: &[String],
    ) -> Result<Self> {
        let names = model.about.classes[1..].to_vec();
        let class = |name: &String| match names.iter().position(|known| known == name) {
            Some(index) => Ok(ClassId::from_foreground(index)),
            None => Err(Error::Config(format!("--classes: there is no class '{name}'; it knows {}", names.join(", ")))),
        };
        let maps: fn(&CamNet, &Tensor) -> Tensor = |net, images| net.forward(images, Mode::Eval).cam;
        let network = || Ok(model.classifier(device)?.with_numerics(numerics).for_inference());
        Ok(Self {
            asked: asked.iter().map(class).collect::<Result<_>>()?,
            extractor: Extractor::new(device, network, maps, inference.look())?,
            inference,
            file_names: names.iter().enumerate().map(|(index, name)| file_name(index + 1, name)).collect(),
            names,
        })
    }

    /// The files that may be made of each picture.
    pub fn made(&self) -> Vec<Made> {
        self.file_names.iter().map(|name| Made { kind: "", ending: format!(".{name}.jpg") }).collect()
    }

    /// Draws the maps over a picture; gives their files, and how likely the picture shows each class.
    pub fn draw(&self, worker: usize, photo: &Rgb, picture: &Picture) -> Result<Map<String, Value>> {
        let [height, width] = self.inference.size([photo.height, photo.width]);
        let (small, name) = (resize_bicubic(photo, height, width), picture.name());
        let logits = self.extractor.logits(worker, &small, &name)?;
        let likely: Vec<f32> = logits.iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
        let drawn = if self.asked.is_empty() { seen(&likely) } else { self.asked.clone() };
        let mut files = Map::new();
        for cam in self.extractor.cams(worker, &small, &drawn, &name)? {
            let (Some(index), Some(map)) =
                (cam.class.foreground(), HeatMap::new(height as u32, width as u32, cam.values))
            else {
                continue;
            };
            let file = picture.file("", &format!(".{}.jpg", self.file_names[index]));
            write(&file, &encode_jpeg(&heat_over(photo, &map), JPEG_QUALITY))?;
            files.insert(self.names[index].clone(), json!(file.to_string_lossy()));
        }
        let rounded = |likely: f32| (f64::from(likely) * 1e4).round() / 1e4;
        let probabilities = self.names.iter().zip(likely).map(|(name, likely)| (name.clone(), json!(rounded(likely))));
        Ok(Map::from_iter([
            ("width".to_owned(), json!(photo.width)),
            ("height".to_owned(), json!(photo.height)),
            ("probabilities".to_owned(), Value::Object(probabilities.collect())),
            ("cams".to_owned(), Value::Object(files)),
        ]))
    }
}

/// The classes that are seen; the likeliest if none is.
fn seen(likely: &[f32]) -> Vec<ClassId> {
    let seen: Vec<_> = (0..likely.len()).filter(|index| likely[*index] > SEEN).map(ClassId::from_foreground).collect();
    if !seen.is_empty() {
        return seen;
    }
    let likeliest = (0..likely.len()).max_by(|a, b| likely[*a].total_cmp(&likely[*b]));
    likeliest.map(ClassId::from_foreground).into_iter().collect()
}

/// The name of a class as a part of a file's: with its number where it has signs that such a name cannot have.
fn file_name(class: usize, name: &str) -> String {
    let plain: String = name.chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect();
    if plain == name { plain } else { format!("{class}-{plain}") }
}
