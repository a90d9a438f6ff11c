//! Maps of scores by image and class: CAMs, and what a CRF makes of them.
//!
//! [`ScoreMaps`] has all of them in memory, encoded as in their table, and compressed: most of a map is 0 (after a CRF,
//! 0 or 255), and a data set has ten thousand images. [`CamImages`] reads one image's CAMs after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use artifact::encoding::CamEncoding;
use artifact::store::{Filter, Rows};
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
        Ok(maps
            .into_iter()
            .map(|(class, encoded)| (class, self.encoding.decode(&encoded, image.width as usize)))
            .collect())
    }

    /// The maps of an image as they are stored.
    pub fn of(&self, image: &DatasetRow) -> Result<ImageCams> {
        let width = image.width as usize;
        Ok(ImageCams { image: image.image_id.clone(), maps: self.encoded(image)?, width, encoding: self.encoding })
    }
}

/// The CAMs of one image as they are stored, classes ascending.
#[derive(Debug)]
pub struct ImageCams {
    /// The image.
    pub image: ImageId,
    maps: Vec<(ClassId, Vec<u8>)>,
    width: usize,
    encoding: CamEncoding,
}

impl ImageCams {
    /// Those of an image without any, which is right only for one without labels.
    pub fn none(image: &DatasetRow) -> Result<Self> {
        let none = Self { image: image.image_id.clone(), maps: Vec::new(), width: 0, encoding: CamEncoding::U8 };
        if image.labels.is_empty() { Ok(none) } else { Err(no_maps(&image.image_id)) }
    }

    /// The rows of one image, of a table in this encoding; none of no rows.
    pub fn of_rows(rows: &[&CamRow], encoding: CamEncoding) -> Option<Self> {
        let first = rows.first()?;
        let maps = rows.iter().map(|row| (row.class_id, row.cam.clone())).collect();
        Some(Self { image: first.image_id.clone(), maps, width: first.width as usize, encoding })
    }

    /// Counts the maps against the image's ground truth, `[H, W]` with 255 for void.
    pub fn count(&self, histogram: &mut SweepHistogram, ground_truth: &[u8]) {
        let levels = self.maps.iter().map(|(_, map)| self.encoding.levels(map, self.width)).collect::<Option<Vec<_>>>();
        let classes = self.maps.iter().map(|(class, _)| *class);
        if let Some(levels) = levels {
            let maps: Vec<_> = classes.zip(levels.iter().map(AsRef::as_ref)).collect();
            return histogram.add_u8(&maps, ground_truth);
        }
        let values: Vec<_> = self.maps.iter().map(|(_, map)| self.encoding.decode(map, self.width)).collect();
        let maps: Vec<_> = classes.zip(values.iter().map(Vec::as_slice)).collect();
        histogram.add(&maps, ground_truth);
    }
}

/// The `cam` table image by image, for whoever needs each image once: nothing is kept.
pub struct CamImages {
    encoding: CamEncoding,
    rows: Peekable<Rows<CamRow>>,
}

impl CamImages {
    /// The CAMs of some images, in the order of the table. Those of others are not decoded.
    pub fn new(artifact: &Artifact, images: BTreeSet<String>) -> Result<Self> {
        let rows = artifact.rows::<CamRow>(&["class", "scales"])?.filtered(Filter::one_of("image_id", images));
        Ok(Self { encoding: encoding(artifact)?, rows: rows.peekable() })
    }
}

impl Iterator for CamImages {
    type Item = Result<ImageCams>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = match self.rows.next()? {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        let (width, mut maps) = (first.width as usize, vec![(first.class_id, first.cam)]);
        let same = |row: &Result<CamRow>| row.as_ref().is_ok_and(|row| row.image_id == first.image_id);
        while let Some(Ok(row)) = self.rows.next_if(same) {
            maps.push((row.class_id, row.cam));
        }
        Some(Ok(ImageCams { image: first.image_id, maps, width, encoding: self.encoding }))
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
    fn every_encoding_has_values_and_is_counted() {
        let (values, shown) = ([0.0, 0.25, 0.75, 1.0], DatasetRow { width: 2, ..image("a", &[1]) });
        for encoding in CamEncoding::ALL {
            let mut maps = ScoreMaps::new(encoding);
            let encoded = encoding.encode(&values, 2);
            maps.push(shown.image_id.clone(), ClassId(1), &encoded).unwrap();
            let found = maps.values(&shown).unwrap();
            assert_eq!(found[0].0, ClassId(1));
            assert!(found[0].1.iter().zip(values).all(|(a, b)| (a - b).abs() < 0.5 / 255.0), "{found:?}");
            let mut histogram = SweepHistogram::new(2, &[0.5]);
            let row = CamRow { class_id: ClassId(1), width: 2, cam: encoded, ..CamRow::default() };
            ImageCams::of_rows(&[&row], encoding).unwrap().count(&mut histogram, &[0, 1, 1, 255]);
            assert_eq!(histogram.confusion(0).counts, [1, 0, 1, 1], "{encoding:?}");
        }
        assert!(ImageCams::none(&shown).is_err() && ImageCams::none(&image("ground", &[])).is_ok());
    }
}
