//! Masks as PNGs in VOC's palette, named after their images.

use std::path::Path;

use artifact::{Artifact, Result};
use data::codec::encode_mask;

use crate::Answer;
use crate::folder::{Filled, Folder};
use crate::masks::{Masks, Which};

/// Fills a folder.
pub fn export(artifact: &Artifact, dir: &Path, which: &Which, force: bool) -> Result<Answer> {
    let masks = Masks::open(artifact, which)?;
    let folder = Folder::open(dir, masks.ids.iter().cloned().collect(), ".png", force)?;
    let Filled { files, unchanged } = folder.fill(|| masks.rows(), |mask| Ok(encode_mask(&mask)))?;
    let text = format!("{files} masks of {} in {} ({unchanged} were there)", masks.source, dir.display());
    Ok(Answer::new(artifact, dir, text).with("source", masks.source).with("files", files).with("unchanged", unchanged))
}
