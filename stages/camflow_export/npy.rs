//! Activation maps as the repositories of psa (Ahn and Kwak 2018), irn (Ahn et al. 2019) and SEAM (Wang et al. 2020)
//! save them: a dict an image.

use std::collections::BTreeMap;
use std::path::Path;

use artifact::table::{CamRow, DatasetRow};
use artifact::{Artifact, Error, ImageId, Result, Row as _};
use clap::ValueEnum;
use data::dataset::{Dataset, behind};
use data::numpy::{Array, Elements, Holder, Key, save};
use data::score_maps::encoding;
use serde_json::json;
use tch::Tensor;
use wsss::method::cam::{divide_by_max, upsample};
use wsss::tensor::floats;

use crate::Answer;
use crate::folder::{Filled, Folder};

/// Pixels from one value of irn's small maps to the next.
const STRIDE: usize = 4;

/// Whose layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// One map a class, by the class
    Psa,
    /// Three arrays: the classes, small maps, maps
    Irn,
    /// As psa
    Seam,
}

/// The maps of an image.
struct Maps {
    height: usize,
    width: usize,
    /// Foreground class from 0 and its encoded map, ascending.
    classes: Vec<(usize, Vec<u8>)>,
}

/// Fills a folder.
pub fn export(artifact: &Artifact, dir: &Path, layout: Layout, splits: &[String], force: bool) -> Result<Answer> {
    let shown = artifact.dir().display();
    if !artifact.record().tables.contains_key(CamRow::TABLE) {
        return Err(Error::Config(format!("{shown}: has no activation maps; name an artifact of extract-msinf-cam")));
    }
    let encoding = encoding(artifact)?;
    let dataset = Dataset::load(&behind(artifact)?)?;
    let of_stage: Vec<String> = artifact.param("splits")?;
    if let Some(other) = splits.iter().find(|split| !of_stage.contains(split)) {
        let has = of_stage.join(", ");
        return Err(Error::Config(format!("--split: there are activation maps of {has}, and none of '{other}'")));
    }
    let images = dataset.splits(if splits.is_empty() { &of_stage } else { splits })?;
    let images: BTreeMap<&ImageId, &DatasetRow> = images.into_iter().map(|image| (&image.image_id, image)).collect();
    let folder = Folder::open(dir, images.keys().map(|id| (*id).clone()).collect(), ".npy", force)?;
    tch::set_num_threads(1);
    let Filled { files, unchanged } = folder.fill(
        || rows(artifact, &images),
        |Maps { height, width, classes: maps }| {
            let classes: Vec<i64> = maps.iter().map(|(class, _)| *class as i64).collect();
            let values: Vec<f32> = maps.iter().flat_map(|(_, map)| encoding.decode(map, width)).collect();
            Ok(match layout {
                Layout::Psa | Layout::Seam => by_class(&classes, &values, [height, width]),
                Layout::Irn => by_key(&classes, &values, [height, width]),
            })
        },
    )?;
    let style = layout.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let text = format!("the activation maps of {files} images in {} ({unchanged} were there)", dir.display());
    Ok(Answer::new(artifact, dir, text)
        .with("style", style)
        .with("files", files)
        .with("unchanged", unchanged)
        .with("classes", json!(dataset.classes)))
}

/// The maps of every image, and none of those without labels.
fn rows<'a>(
    artifact: &Artifact,
    images: &'a BTreeMap<&'a ImageId, &'a DatasetRow>,
) -> Result<impl Iterator<Item = Result<(ImageId, Maps)>> + Send + use<'a>> {
    let dir = artifact.dir().display().to_string();
    let mut rows = artifact.rows::<CamRow>(&["class", "scales"])?.peekable();
    let with_maps = std::iter::from_fn(move || {
        let CamRow { image_id, class_id, height, width, cam, .. } = match rows.next()? {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        let mut maps = vec![(class_id, cam)];
        // An image's rows follow one another.
        while let Some(Ok(row)) = rows.next_if(|row| row.as_ref().is_ok_and(|row| row.image_id == image_id)) {
            maps.push((row.class_id, row.cam));
        }
        let maps = maps.into_iter().map(|(class, map)| Some((class.foreground()?, map)));
        let damaged = || Error::NotCommitted(format!("{dir}: a map of '{image_id}' is of no foreground class"));
        let maps = maps.collect::<Option<Vec<_>>>().ok_or_else(damaged);
        let [height, width] = [height, width].map(|side| side as usize);
        Some(maps.map(|maps| (image_id, Maps { height, width, classes: maps })))
    });
    let without = images.values().filter(|image| image.labels.is_empty());
    let without = without.map(|image| {
        let [height, width] = [image.height, image.width].map(|side| side as usize);
        Ok((image.image_id.clone(), Maps { height, width, classes: Vec::new() }))
    });
    Ok(with_maps.chain(without))
}

/// psa's and SEAM's: the class to its map, `[H, W]`.
fn by_class(classes: &[i64], values: &[f32], [height, width]: [usize; 2]) -> Vec<u8> {
    let array = |map| Array { shape: vec![height, width], elements: Elements::Floats(map), holder: Holder::NumPy };
    let maps = classes.iter().zip(values.chunks_exact(height * width));
    save(&maps.map(|(class, map)| (Key::Number(*class as u16), array(map))).collect())
}

/// irn's: the classes, the maps at every fourth pixel, and the maps. Its later steps take `cam` for a tensor of
/// `PyTorch`, and the others for arrays of NumPy.
fn by_key(classes: &[i64], values: &[f32], size: [usize; 2]) -> Vec<u8> {
    let small_size = size.map(|side| side.div_ceil(STRIDE));
    let small = small(values, classes.len(), size, small_size);
    let maps = |[height, width]: [usize; 2]| vec![classes.len(), height, width];
    let array = |shape, elements, holder| Array { shape, elements, holder };
    save(&vec![
        (Key::Text("keys"), array(vec![classes.len()], Elements::Integers(classes), Holder::NumPy)),
        (Key::Text("cam"), array(maps(small_size), Elements::Floats(&small), Holder::PyTorch)),
        (Key::Text("high_res"), array(maps(size), Elements::Floats(values), Holder::NumPy)),
    ])
}

/// Maps `[K, H, W]` in another size, each divided by its maximum again.
fn small(values: &[f32], classes: usize, size: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    if classes == 0 {
        return Vec::new();
    }
    let [height, width] = size.map(|side| side as i64);
    let maps = Tensor::from_slice(values).view([1, classes as i64, height, width]);
    floats(&divide_by_max(&upsample(&maps, to.map(|side| side as i64))))
}
