//! Score maps of many images in memory, compressed: after a CRF most of a map is 0 or 255, and a data set has ten
//! thousand images.

use std::collections::BTreeMap;

use artifact::{ClassId, Error, ImageId, Result};

use crate::codec::Mask;

/// Fast, and maps of few values need no more.
const LEVEL: i32 = 1;

/// Maps of one image, in the order in which they were added.
#[derive(Debug, Default)]
struct OfImage {
    height: usize,
    width: usize,
    maps: Vec<(ClassId, Vec<u8>)>,
}

/// Maps by image.
#[derive(Debug, Default)]
pub struct ScoreMaps {
    images: BTreeMap<ImageId, OfImage>,
}

impl ScoreMaps {
    /// Adds a map after the image's others. All of an image are of one size.
    pub fn push(&mut self, image: ImageId, class: ClassId, map: &Mask) -> Result<()> {
        let packed = zstd::bulk::compress(&map.classes, LEVEL)
            .map_err(|why| Error::Failed(format!("cannot compress a score map of image '{image}': {why}")))?;
        let of_image = self.images.entry(image).or_default();
        (of_image.height, of_image.width) = (map.height, map.width);
        of_image.maps.push((class, packed));
        Ok(())
    }

    /// The maps of an image, with their classes; none for an image that is not known.
    pub fn of(&self, image: &ImageId) -> Result<Vec<(ClassId, Mask)>> {
        let Some(OfImage { height, width, maps }) = self.images.get(image) else { return Ok(Vec::new()) };
        let unpack = |(class, packed): &(ClassId, Vec<u8>)| {
            let classes = zstd::bulk::decompress(packed, height * width)
                .map_err(|why| Error::Failed(format!("cannot read back a score map of image '{image}': {why}")))?;
            Ok((*class, Mask { height: *height, width: *width, classes }))
        };
        maps.iter().map(unpack).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_come_back_as_they_were_and_take_little_room() {
        let mut maps = ScoreMaps::default();
        let image = ImageId::new("a").unwrap();
        let map =
            |value: u8| Mask { height: 60, width: 50, classes: (0..3000).map(|i| value * u8::from(i > 900)).collect() };
        for class in [0, 3] {
            maps.push(image.clone(), ClassId(class), &map(class + 7)).unwrap();
        }
        assert_eq!(maps.of(&image).unwrap(), [(ClassId(0), map(7)), (ClassId(3), map(10))]);
        assert!(maps.of(&ImageId::new("b").unwrap()).unwrap().is_empty());
        let packed: usize = maps.images[&image].maps.iter().map(|(_, packed)| packed.len()).sum();
        assert!(packed < 300, "{packed} bytes");
    }
}
