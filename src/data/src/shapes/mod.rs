//! The embedded data set: small pictures of badge-carrying blobs, drawn from a seed and written in VOC's own layout.
//!
//! It is made so that weak supervision has something to do. What tells a class at a glance is a small head with a
//! badge; the large body wears a coat that two classes share, warm in one of them and cold in the other. A classifier's
//! CAM covers some of the object and bleeds over its rim, and a method that looks at pixels can fit it to the body,
//! whose texture no background has.
//!
//! Three animals in ten look away and show no badge. If all showed it, the CAM of one class of each pair would cover
//! the coat, and that of the other its badge alone. One picture in six shows the ground alone. Without such pictures
//! the CAM of some class, which one depends on the seed, would cover the ground.
//!
//! Close-ups are small pictures of one object at most, with its label. They stand in for `ImageNet`: a backbone that
//! was trained on them knows the textures, and its features are local, unlike those of a network that was trained on
//! large scenes alone.
//!
//! ```text
//! shapes/scene.rs     where things stand, and who hides whom
//! shapes/figure.rs    one object: body, head, badge
//! shapes/texture.rs   backgrounds and coats
//! ```
//!
//! Drawing uses only + - * / and square roots, which round the same everywhere: a seed gives the same bytes on every
//! machine.

mod figure;
mod scene;
mod texture;

use std::{fmt::Write, path::Path};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use artifact::{ClassId, Error, ParamError, Result};

use crate::{
    codec::{Rgb, encode_jpeg, encode_mask},
    random::Rng,
};
use scene::{Object, Scene};

/// The classes, named after their badges, in the order of their indices from 1.
pub const CLASSES: [&str; 6] = ["star", "ring", "cross", "moon", "diamond", "drop"];

/// Side of a close-up, as a share of a picture's shorter side: an object fills it.
const CLOSEUP: f64 = 0.64;

/// How much is drawn; the parameters of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapesConfig {
    /// Seed of the drawing: another one is another data set.
    pub seed: u64,
    /// Pictures in the split `train`.
    pub images_train: usize,
    /// Pictures in the split `val`.
    pub images_val: usize,
    /// Pictures in the split `closeup`.
    pub images_closeup: usize,
    /// Height and width in pixels; every other picture is turned, as photographs are. (Few sizes, because libtorch
    /// prepares its convolutions anew for each size that it meets.)
    pub size: [usize; 2],
}

impl ShapesConfig {
    /// Says what is wrong with the values, and what they should be.
    pub fn check(&self) -> Result<(), ParamError> {
        for (name, count) in [("images_train", self.images_train), ("images_val", self.images_val)] {
            if count == 0 {
                return Err(ParamError::new(name, "at least 1"));
            }
        }
        if self.size.iter().any(|side| !(32..=1024).contains(side)) {
            let reason = format!("{:?}; give a height and a width of 32 to 1024 pixels", self.size);
            return Err(ParamError::new("size", reason));
        }
        Ok(())
    }
}

/// Draws the data set into `directory`: `JPEGImages`, `Annotations`, `SegmentationClass`, `ImageSets/Segmentation`.
pub fn write_voc_layout(directory: &Path, config: &ShapesConfig) -> Result<()> {
    config.check()?;
    for folder in ["JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation"] {
        let folder = directory.join(folder);
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    }
    let ids = |name: &str, count: usize| (1..=count).map(|number| format!("{name}_{number:06}")).collect::<Vec<_>>();
    let (scenes, closeups) =
        (ids("shapes", config.images_train + config.images_val), ids("closeup", config.images_closeup));
    scenes.par_iter().try_for_each(|id| {
        let mut rng = Rng::new(config.seed, 0, id);
        let [h, w] = if rng.chance(0.5) { config.size } else { [config.size[1], config.size[0]] };
        write_picture(directory, id, &Scene::draw(h, w, &mut rng))
    })?;
    closeups.par_iter().try_for_each(|id| {
        let scale = config.size[0].min(config.size[1]);
        let side = (scale as f64 * CLOSEUP).round() as usize;
        write_picture(directory, id, &Scene::draw_close_up(side, scale as f64, &mut Rng::new(config.seed, 0, id)))
    })?;
    let (train, val) = scenes.split_at(config.images_train);
    for (split, ids) in [("train", train), ("val", val), ("closeup", &closeups)] {
        let list: String = ids.iter().flat_map(|id| [id, "\n"]).collect();
        write(&directory.join(format!("ImageSets/Segmentation/{split}.txt")), list.as_bytes())?;
    }
    Ok(())
}

fn write_picture(directory: &Path, id: &str, scene: &Scene) -> Result<()> {
    let Rgb { height: h, width: w, .. } = scene.picture;
    write(&directory.join(format!("JPEGImages/{id}.jpg")), &encode_jpeg(&scene.picture, 92))?;
    write(&directory.join(format!("SegmentationClass/{id}.png")), &encode_mask(&scene.mask))?;
    write(&directory.join(format!("Annotations/{id}.xml")), annotation(id, h, w, &scene.objects).as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(Error::io("write", path))
}

fn annotation(id: &str, h: usize, w: usize, objects: &[Object]) -> String {
    let mut xml = format!(
        "<annotation>\n\t<folder>shapes</folder>\n\t<filename>{id}.jpg</filename>\n\
         \t<size>\n\t\t<width>{w}</width>\n\t\t<height>{h}</height>\n\t\t<depth>3</depth>\n\t</size>\n\
         \t<segmented>1</segmented>\n"
    );
    for Object { class, bounds: [x0, y0, x1, y1] } in objects {
        // Boxes count pixels from 1, as VOC's do.
        write!(
            xml,
            "\t<object>\n\t\t<name>{}</name>\n\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\
             \t\t\t<xmin>{}</xmin>\n\t\t\t<ymin>{}</ymin>\n\t\t\t<xmax>{}</xmax>\n\t\t\t<ymax>{}</ymax>\n\
             \t\t</bndbox>\n\t</object>\n",
            CLASSES[*class],
            x0 + 1,
            y0 + 1,
            x1 + 1,
            y1 + 1
        )
        .expect("a string takes every write");
    }
    xml + "</annotation>\n"
}

/// The class index of the mask for class number `class` of [`CLASSES`].
fn stored(class: usize) -> u8 {
    ClassId::from_foreground(class).0
}
