//! Maps of scores by image and class in memory: CAMs, and what a CRF makes of them.
//!
//! They lie there encoded as in their table, and compressed: most of a map is 0 (after a CRF, 0 or 255), and a data set
//! has ten thousand images.

use std::collections::BTreeMap;

use artifact::encoding::CamEncoding;
use artifact::table::{CamRow, DatasetRow};
use artifact::{Artifact, ClassId, Error, ImageId, Result};

use crate::confusion::SweepHistogram;

/// Fast, and maps of few values need no more.
const LEVEL: i32 = 1;

/// An encoded map, compressed.
#[derive(Debug)]
struct Packed {
    class: ClassId,
    /// Bytes of the encoded map.
    length: usize,
    bytes: Vec<u8>,
}

/// Maps by image, each image's in the order in which they were added.
#[derive(Debug)]
pub struct ScoreMaps {
    encoding: CamEncoding,
    images: BTreeMap<ImageId, Vec<Packed>>,
}

impl ScoreMaps {
    /// No maps yet, all to be encoded like this.
    pub fn new(encoding: CamEncoding) -> Self {
        Self { encoding, images: BTreeMap::new() }
    }

    /// The `cam` table: an image's maps ascend by class.
    pub fn load_cams(artifact: &Artifact) -> Result<Self> {
        let mut maps = Self::new(encoding(artifact)?);
        for row in artifact.rows::<CamRow>(&["class", "scales"])? {
            let row = row?;
            maps.push(row.image_id, row.class_id, &row.cam)?;
        }
        Ok(maps)
    }

    /// Adds an encoded map after the image's others.
    pub fn push(&mut self, image: ImageId, class: ClassId, encoded: &[u8]) -> Result<()> {
        let bytes = zstd::bulk::compress(encoded, LEVEL)
            .map_err(|why| Error::Failed(format!("cannot compress a score map of image '{image}': {why}")))?;
        self.images.entry(image).or_default().push(Packed { class, length: encoded.len(), bytes });
        Ok(())
    }

    /// The encoded maps of an image with their classes. An image without labels may have none, another may not.
    pub fn encoded(&self, image: &DatasetRow) -> Result<Vec<(ClassId, Vec<u8>)>> {
        let id = &image.image_id;
        let Some(maps) = self.images.get(id) else {
            return if image.labels.is_empty() { Ok(Vec::new()) } else { Err(no_maps(id)) };
        };
        let unpack = |map: &Packed| {
            let encoded = zstd::bulk::decompress(&map.bytes, map.length)
                .map_err(|why| Error::Failed(format!("cannot read back a score map of image '{id}': {why}")))?;
            Ok((map.class, encoded))
        };
        maps.iter().map(unpack).collect()
    }

    /// The maps of an image as values of 0..1, `[H, W]`, row-major, with their classes.
    pub fn values(&self, image: &DatasetRow) -> Result<Vec<(ClassId, Vec<f32>)>> {
        let maps = self.encoded(image)?;
        Ok(maps.into_iter().map(|(class, encoded)| (class, self.encoding.decode(&encoded))).collect())
    }

    /// Counts an image: its maps as they are stored against its ground truth, `[H, W]` with 255 for void.
    pub fn count(&self, histogram: &mut SweepHistogram, image: &DatasetRow, ground_truth: &[u8]) -> Result<()> {
        match self.encoding {
            CamEncoding::U8 => histogram.add_u8(&borrowed(&self.encoded(image)?), ground_truth),
            CamEncoding::F16 => histogram.add(&borrowed(&self.values(image)?), ground_truth),
        }
        Ok(())
    }
}

/// How the `cam` table of an artifact is encoded.
pub fn encoding(cams: &Artifact) -> Result<CamEncoding> {
    CamEncoding::of(cams.metadata::<CamRow>()?)
        .ok_or_else(|| Error::NotCommitted(format!("{}: unknown encoding", cams.dir().display())))
}

fn no_maps(image: &ImageId) -> Error {
    Error::Config(format!(
        "image '{image}' shows classes but has no CAMs; add its split to the splits of the stage that makes them, as \
         in extract-msinf-cam.splits"
    ))
}

fn borrowed<T>(maps: &[(ClassId, Vec<T>)]) -> Vec<(ClassId, &[T])> {
    maps.iter().map(|(class, map)| (*class, map.as_slice())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, labels: &[u8]) -> DatasetRow {
        let labels = labels.iter().map(|class| ClassId(*class)).collect();
        DatasetRow { image_id: ImageId::new(id).unwrap(), labels, ..DatasetRow::default() }
    }

    #[test]
    fn maps_come_back_as_they_were_and_take_little_room() {
        let mut maps = ScoreMaps::new(CamEncoding::U8);
        let map = |value: u8| -> Vec<u8> { (0..3000).map(|i| value * u8::from(i > 900)).collect() };
        let shown = image("a", &[3]);
        for class in [0, 3] {
            maps.push(shown.image_id.clone(), ClassId(class), &map(class + 7)).unwrap();
        }
        assert_eq!(maps.encoded(&shown).unwrap(), [(ClassId(0), map(7)), (ClassId(3), map(10))]);
        let packed: usize = maps.images[&shown.image_id].iter().map(|map| map.bytes.len()).sum();
        assert!(packed < 300, "{packed} bytes");
    }

    #[test]
    fn only_an_image_without_labels_may_have_no_maps() {
        let maps = ScoreMaps::new(CamEncoding::U8);
        assert!(maps.encoded(&image("ground", &[])).unwrap().is_empty());
        let said = maps.values(&image("bird", &[3])).unwrap_err().to_string();
        assert!(said.contains("'bird'") && said.contains("extract-msinf-cam.splits"), "{said}");
    }

    #[test]
    fn both_encodings_have_values_and_are_counted() {
        let (values, shown) = ([0.0, 0.25, 0.75, 1.0], image("a", &[1]));
        for encoding in [CamEncoding::U8, CamEncoding::F16] {
            let mut maps = ScoreMaps::new(encoding);
            maps.push(shown.image_id.clone(), ClassId(1), &encoding.encode(&values)).unwrap();
            let found = maps.values(&shown).unwrap();
            assert_eq!(found[0].0, ClassId(1));
            assert!(found[0].1.iter().zip(values).all(|(a, b)| (a - b).abs() < 0.5 / 255.0), "{found:?}");
            let mut histogram = SweepHistogram::new(2, &[0.5]);
            maps.count(&mut histogram, &shown, &[0, 1, 1, 255]).unwrap();
            assert_eq!(histogram.confusion(0).counts, [1, 0, 1, 1], "{encoding:?}");
        }
    }
}
