//! The artifact of prepare-data: a list of images with their labels in memory; photographs and, apart from them, masks
//! for scoring are read when they are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use artifact::store::NumberedRows;
use artifact::table::{DatasetRow, MaskRow};
use artifact::{Artifact, ClassId, Error, ImageId, Result, Row as _};

use crate::codec::{Mask, Rgb, decode_image, decode_mask};

/// Metadata of the `dataset` table: JSON list of the foreground class names.
pub const CLASSES: &str = "classes";

/// The images of a data set, sorted by id. Their photographs stay where they are until they are asked for.
pub struct Dataset {
    /// Names of the foreground classes; class `c` is `classes[c - 1]`.
    pub classes: Vec<String>,
    images: Vec<DatasetRow>,
    photographs: Arc<Photographs>,
}

impl Dataset {
    /// Loads the table `dataset` without its photographs.
    pub fn load(artifact: &Artifact) -> Result<Self> {
        let images = artifact.rows::<DatasetRow>(&["image"])?.collect::<Result<Vec<_>>>()?;
        let numbers = images.iter().enumerate().map(|(number, image)| (image.image_id.clone(), number)).collect();
        let photographs = Photographs { rows: artifact.numbered(&["image_id", "image"])?, numbers };
        Ok(Self { classes: classes(artifact)?, images, photographs: Arc::new(photographs) })
    }

    /// The photographs, also for a loader that outlives the data set.
    pub fn photographs(&self) -> Arc<Photographs> {
        Arc::clone(&self.photographs)
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

/// The photographs of a data set, each read from its table when it is asked for, by any number of threads.
pub struct Photographs {
    rows: NumberedRows<DatasetRow>,
    numbers: BTreeMap<ImageId, usize>,
}

impl Photographs {
    /// The photograph of an image.
    pub fn of(&self, image: &DatasetRow) -> Result<Rgb> {
        let id = &image.image_id;
        let number = self.numbers.get(id).ok_or_else(|| Error::Data(format!("image '{id}' has no photograph")))?;
        let row = self.rows.get(*number)?;
        is_of(id, &row.image_id)?;
        photograph(&row)
    }
}

/// The ground truth of the images that have some, each read from its table when it is asked for, by any number of
/// threads.
pub struct Masks(Option<(NumberedRows<MaskRow>, BTreeMap<ImageId, usize>)>);

impl Masks {
    /// Loads the list of the table `mask`; none without one.
    pub fn load(artifact: Option<&Artifact>) -> Result<Self> {
        let Some(artifact) = artifact else { return Ok(Self(None)) };
        let ids = artifact.rows::<MaskRow>(&["mask"])?.enumerate();
        let numbers = ids.map(|(number, row)| Ok((row?.image_id, number))).collect::<Result<_>>()?;
        Ok(Self(Some((artifact.numbered(&["image_id", "mask"])?, numbers))))
    }

    /// Those of some images that can be scored, as they have ground truth.
    pub fn scorable<'a>(&self, images: &[&'a DatasetRow]) -> Vec<&'a DatasetRow> {
        images.iter().copied().filter(|image| self.place(&image.image_id).is_some()).collect()
    }

    /// The ground truth of an image that can be scored.
    pub fn truth(&self, image: &ImageId) -> Result<Mask> {
        let place = self.place(image);
        let (rows, number) = place.ok_or_else(|| Error::Data(format!("image '{image}' has no mask")))?;
        let row = rows.get(number)?;
        is_of(image, &row.image_id)?;
        decode_mask(&row.mask).map_err(|reason| Error::Data(format!("mask of '{image}': {reason}")))
    }

    fn place(&self, image: &ImageId) -> Option<(&NumberedRows<MaskRow>, usize)> {
        let (rows, numbers) = self.0.as_ref()?;
        Some((rows, *numbers.get(image)?))
    }
}

/// Refuses the row of another image: the table's file is no longer the one that was listed.
fn is_of(image: &ImageId, found: &ImageId) -> Result<()> {
    if image == found {
        return Ok(());
    }
    Err(Error::NotCommitted(format!(
        "'{found}' stands where '{image}' was listed: the data set changed while it was read; run this again"
    )))
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

/// The photograph of a row that was read with it.
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
