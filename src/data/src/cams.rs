//! CAMs and pseudo-labels of a data set in memory.

use std::collections::BTreeMap;

use artifact::encoding::CamEncoding;
use artifact::table::{CamRow, DatasetRow, LabelRow};
use artifact::{Artifact, ClassId, Error, ImageId, Result};

use crate::codec::Mask;
use crate::confusion::SweepHistogram;

/// The CAMs of one image.
#[derive(Clone, Debug, Default)]
pub struct CamSet {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Class and encoded map, ascending by class.
    pub maps: Vec<(ClassId, Vec<u8>)>,
}

/// The `cam` table in memory, encoded as stored.
pub struct Cams {
    /// How the maps are encoded.
    pub encoding: CamEncoding,
    images: BTreeMap<ImageId, CamSet>,
}

impl Cams {
    /// Loads the artifact of extract-msinf-cam.
    pub fn load(artifact: &Artifact) -> Result<Self> {
        let encoding = CamEncoding::of(artifact.metadata::<CamRow>()?);
        let encoding =
            encoding.ok_or_else(|| Error::NotCommitted(format!("{}: unknown encoding", artifact.dir().display())))?;
        let mut images: BTreeMap<ImageId, CamSet> = BTreeMap::new();
        for row in artifact.rows::<CamRow>(&["class", "scales"])? {
            let row = row?;
            let set = images.entry(row.image_id).or_default();
            (set.height, set.width) = (row.height as usize, row.width as usize);
            set.maps.push((row.class_id, row.cam));
        }
        Ok(Self { encoding, images })
    }

    /// The CAMs of an image; one without labels has no maps.
    pub fn of(&self, row: &DatasetRow) -> CamSet {
        let none = || CamSet { height: row.height as usize, width: row.width as usize, maps: Vec::new() };
        self.images.get(&row.image_id).cloned().unwrap_or_else(none)
    }

    /// Counts an image as stored: its encoded maps against its ground truth with 255 for void.
    pub fn count(&self, histogram: &mut SweepHistogram, image: &DatasetRow, ground_truth: &[u8]) {
        let maps = self.of(image).maps;
        match self.encoding {
            CamEncoding::U8 => {
                let maps: Vec<_> = maps.iter().map(|(class, map)| (*class, map.as_slice())).collect();
                histogram.add_u8(&maps, ground_truth);
            }
            CamEncoding::F16 => {
                let maps: Vec<_> = maps.iter().map(|(class, map)| (*class, self.encoding.decode(map))).collect();
                let maps: Vec<_> = maps.iter().map(|(class, map)| (*class, map.as_slice())).collect();
                histogram.add(&maps, ground_truth);
            }
        }
    }
}

/// Pseudo-labels by image.
pub fn labels(artifact: &Artifact) -> Result<BTreeMap<ImageId, Mask>> {
    let rows = artifact.rows::<LabelRow>(&["source"])?;
    rows.map(|row| {
        let row = row?;
        Ok((row.image_id, Mask { height: row.height as usize, width: row.width as usize, classes: row.label }))
    })
    .collect()
}
