//! The artifact of prepare-data in memory: images with their labels and, apart from them, masks for scoring.

use std::collections::BTreeMap;

use artifact::table::{DatasetRow, MaskRow};
use artifact::{Artifact, ClassId, Error, ImageId, Result, Row as _};

use crate::codec::{Mask, Rgb, decode_image, decode_mask};

/// Metadata of the `dataset` table: JSON list of the foreground class names.
pub const CLASSES: &str = "classes";

/// The images of a data set, sorted by id.
pub struct Dataset {
    /// Names of the foreground classes; class `c` is `classes[c - 1]`.
    pub classes: Vec<String>,
    images: Vec<DatasetRow>,
}

impl Dataset {
    /// Loads the table `dataset`.
    pub fn load(artifact: &Artifact) -> Result<Self> {
        Self::load_without(artifact, &[])
    }

    /// Loads the table `dataset` without its photographs.
    pub fn load_list(artifact: &Artifact) -> Result<Self> {
        Self::load_without(artifact, &["image"])
    }

    fn load_without(artifact: &Artifact, columns: &[&str]) -> Result<Self> {
        let images = artifact.rows::<DatasetRow>(columns)?.collect::<Result<_>>()?;
        Ok(Self { classes: classes(artifact)?, images })
    }

    /// The images of a split.
    pub fn split(&self, split: &str) -> Result<Vec<&DatasetRow>> {
        let images: Vec<_> = self.images.iter().filter(|image| image.splits.iter().any(|name| name == split)).collect();
        if images.is_empty() {
            let known: std::collections::BTreeSet<_> = self.images.iter().flat_map(|image| &image.splits).collect();
            let known: Vec<_> = known.into_iter().map(String::as_str).collect();
            return Err(Error::Config(format!(
                "the data set has no image in split '{split}'; it has {}",
                known.join(", ")
            )));
        }
        Ok(images)
    }

    /// The images of any of several splits, sorted by id.
    pub fn splits(&self, splits: &[String]) -> Result<Vec<&DatasetRow>> {
        for split in splits {
            self.split(split)?;
        }
        Ok(self.images.iter().filter(|image| image.splits.iter().any(|name| splits.contains(name))).collect())
    }

    /// Takes the images of a split out of the data set, for a loader that outlives it.
    pub fn into_split(self, split: &str) -> Result<Vec<DatasetRow>> {
        self.split(split)?;
        Ok(self.images.into_iter().filter(|image| image.splits.iter().any(|name| name == split)).collect())
    }

    /// Name of a class, the background included.
    pub fn class_name(&self, class: ClassId) -> &str {
        class.foreground().and_then(|index| self.classes.get(index)).map_or("background", String::as_str)
    }
}

/// The ground truth of the images that have some.
pub struct Masks(BTreeMap<ImageId, Vec<u8>>);

impl Masks {
    /// Loads the table `mask`; none without one.
    pub fn load(artifact: Option<&Artifact>) -> Result<Self> {
        let Some(artifact) = artifact else { return Ok(Self(BTreeMap::new())) };
        let masks = artifact.rows::<MaskRow>(&[])?.map(|row| row.map(|row| (row.image_id, row.mask)));
        masks.collect::<Result<_>>().map(Self)
    }

    /// Those of some images that can be scored, as they have ground truth.
    pub fn scorable<'a>(&self, images: &[&'a DatasetRow]) -> Vec<&'a DatasetRow> {
        images.iter().copied().filter(|image| self.0.contains_key(&image.image_id)).collect()
    }

    /// The ground truth of an image that can be scored.
    pub fn truth(&self, image: &ImageId) -> Result<Mask> {
        let bytes = self.0.get(image).ok_or_else(|| Error::Data(format!("image '{image}' has no mask")))?;
        decode_mask(bytes).map_err(|reason| Error::Data(format!("mask of '{image}': {reason}")))
    }
}

/// Names of the foreground classes of a data set.
pub fn classes(artifact: &Artifact) -> Result<Vec<String>> {
    let classes = artifact.metadata::<DatasetRow>()?.get(CLASSES).and_then(|json| serde_json::from_str(json).ok());
    classes.ok_or_else(|| Error::NotCommitted(format!("{}: has no class list", artifact.dir().display())))
}

/// The data set from which an artifact was computed, or which it is.
pub fn behind(artifact: &Artifact) -> Result<Artifact> {
    let holds = |artifact: &Artifact| artifact.record().tables.contains_key(DatasetRow::TABLE);
    if holds(artifact) {
        return Ok(artifact.clone());
    }
    if let Some(store) = artifact.store()? {
        for stage in artifact.record().preimage.inputs.keys() {
            if let Some(input) = store.input(artifact.record(), stage)?.filter(holds) {
                return Ok(input);
            }
        }
    }
    Err(Error::NotCommitted(format!(
        "{}: the data set from which it was computed, which names its classes, is not in its store",
        artifact.dir().display()
    )))
}

/// The photograph of a row.
pub fn photograph(row: &DatasetRow) -> Result<Rgb> {
    decode_image(&row.image).map_err(|reason| Error::Data(format!("image '{}': {reason}", row.image_id)))
}

/// The image-level label as 0 / 1 for each of `classes` foreground classes.
pub fn multi_hot(labels: &[ClassId], classes: usize) -> Vec<f32> {
    let mut hot = vec![0.0; classes];
    for index in labels.iter().filter_map(|class| class.foreground()) {
        hot[index] = 1.0;
    }
    hot
}
