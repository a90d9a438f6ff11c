//! The `label` table in memory: pseudo-labels by image.

use std::collections::BTreeMap;

use artifact::table::LabelRow;
use artifact::{Artifact, ImageId, Result};

use crate::codec::Mask;

/// The label of every image that the artifact has one of.
pub fn labels(artifact: &Artifact) -> Result<BTreeMap<ImageId, Mask>> {
    let rows = artifact.rows::<LabelRow>(&["source"])?;
    rows.map(|row| {
        let row = row?;
        Ok((row.image_id, Mask { height: row.height as usize, width: row.width as usize, classes: row.label }))
    })
    .collect()
}
