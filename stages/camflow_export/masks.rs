//! The masks of an artifact: the labels of one source, or the ground truth, of the images that are asked for.

use std::collections::BTreeSet;

use artifact::table::{LabelRow, MaskRow};
use artifact::{Artifact, Error, ImageId, Result, Row as _};
use clap::Args;
use data::codec::{Mask, decode_mask};
use data::dataset::{Dataset, behind};

/// What the masks of a data set are called.
const GROUND_TRUTH: &str = "the ground truth";

/// Which masks of an artifact.
#[derive(Debug, Default, Args)]
pub struct Which {
    /// What made the masks, where the artifact has several, such as train-deeplab+crf
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Only the images of this split (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub split: Vec<String>,
}

/// The masks that are asked for.
pub struct Masks<'a> {
    artifact: &'a Artifact,
    /// What made them.
    pub source: String,
    /// The images that have one.
    pub ids: BTreeSet<ImageId>,
}

/// Rows of any table that have a mask.
type Rows = Box<dyn Iterator<Item = Result<(ImageId, String, Mask)>> + Send>;

impl<'a> Masks<'a> {
    pub fn open(artifact: &'a Artifact, which: &Which) -> Result<Self> {
        let named = names(artifact)?;
        let sources: BTreeSet<&str> = named.iter().map(|(_, source)| source.as_str()).collect();
        let listed = || sources.iter().copied().collect::<Vec<_>>().join(", ");
        let source = match (&which.source, sources.len()) {
            (Some(source), _) if sources.contains(source.as_str()) => source.clone(),
            (Some(source), _) => {
                return Err(Error::Config(format!("--source: there are no masks of '{source}', but of {}", listed())));
            }
            (None, 1) => listed(),
            (None, 0) => return Err(Error::Config(format!("{}: has no mask", artifact.dir().display()))),
            (None, _) => {
                return Err(Error::Config(format!(
                    "there are masks of {}; name one, as in --source {}",
                    listed(),
                    sources.last().copied().unwrap_or_default()
                )));
            }
        };
        let wanted = in_splits(artifact, &which.split)?;
        let is_wanted = |id: &ImageId| wanted.as_ref().is_none_or(|wanted| wanted.contains(id));
        let ids = named.into_iter().filter(|(id, of)| *of == source && is_wanted(id)).map(|(id, _)| id);
        let ids: BTreeSet<_> = ids.collect();
        if ids.is_empty() {
            let splits = which.split.join(", ");
            return Err(Error::Config(format!("--split: no image of {splits} has a mask of {source}")));
        }
        Ok(Self { artifact, source, ids })
    }

    /// The masks, one after the other.
    pub fn rows(&self) -> Result<impl Iterator<Item = Result<(ImageId, Mask)>> + Send> {
        let (source, ids) = (self.source.clone(), self.ids.clone());
        let is_wanted = move |id: &ImageId, of: &String| *of == source && ids.contains(id);
        let masks = all(self.artifact)?.filter_map(move |row| match row {
            Ok((id, of, mask)) => is_wanted(&id, &of).then_some(Ok((id, mask))),
            Err(error) => Some(Err(error)),
        });
        Ok(masks)
    }
}

/// The images of some splits; `None` for all if no split is named.
fn in_splits(artifact: &Artifact, splits: &[String]) -> Result<Option<BTreeSet<ImageId>>> {
    if splits.is_empty() {
        return Ok(None);
    }
    let dataset = Dataset::load(&behind(artifact)?)?;
    let images = dataset.splits(splits).map_err(|error| error.within("--split"))?;
    Ok(Some(images.into_iter().map(|image| image.image_id.clone()).collect()))
}

fn has_labels(artifact: &Artifact) -> bool {
    artifact.record().tables.contains_key(LabelRow::TABLE)
}

fn has_ground_truth(artifact: &Artifact) -> bool {
    artifact.record().tables.contains_key(MaskRow::TABLE)
}

/// Image and source of every mask.
fn names(artifact: &Artifact) -> Result<Vec<(ImageId, String)>> {
    if has_labels(artifact) {
        let rows = artifact.rows::<LabelRow>(&["height", "width", "label"])?;
        rows.map(|row| row.map(|row| (row.image_id, row.source))).collect()
    } else if has_ground_truth(artifact) {
        let rows = artifact.rows::<MaskRow>(&["mask"])?;
        rows.map(|row| row.map(|row| (row.image_id, GROUND_TRUTH.to_owned()))).collect()
    } else {
        Err(Error::Config(format!(
            "{}: has no masks; name an artifact of random-walk, evaluate or prepare-data",
            artifact.dir().display()
        )))
    }
}

fn all(artifact: &Artifact) -> Result<Rows> {
    let dir = artifact.dir().display().to_string();
    if !has_labels(artifact) {
        let rows = artifact.rows::<MaskRow>(&[])?;
        return Ok(Box::new(rows.map(move |row| {
            let MaskRow { image_id, mask } = row?;
            let mask = decode_mask(&mask)
                .map_err(|why| Error::NotCommitted(format!("{dir}: the mask of '{image_id}': {why}")))?;
            Ok((image_id, GROUND_TRUTH.to_owned(), mask))
        })));
    }
    let rows = artifact.rows::<LabelRow>(&[])?;
    Ok(Box::new(rows.map(move |row| {
        let LabelRow { image_id, height, width, source, label } = row?;
        let [height, width] = [height, width].map(|side| side as usize);
        if label.len() != height * width || label.is_empty() {
            let pixels = label.len();
            return Err(Error::NotCommitted(format!(
                "{dir}: the label of '{image_id}' has {pixels} pixels, and says that it is {width} x {height}"
            )));
        }
        Ok((image_id, source, Mask { height, width, classes: label }))
    })))
}
