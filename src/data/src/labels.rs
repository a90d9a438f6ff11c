//! The `label` table in memory: pseudo-labels by image, compressed, as a data set has ten thousand of them.

use std::collections::BTreeMap;

use artifact::table::LabelRow;
use artifact::{Artifact, Error, ImageId, Result};

use crate::codec::Mask;

/// Fast, and labels are large areas of few values.
const LEVEL: i32 = 1;

/// A label, compressed.
#[derive(Debug)]
struct Packed {
    height: usize,
    width: usize,
    bytes: Vec<u8>,
}

/// Labels by image, one of each.
#[derive(Debug, Default)]
pub struct Labels(BTreeMap<ImageId, Packed>);

impl Labels {
    /// The label of every image that the artifact has one of. An artifact with several of one image, as evaluate's, is
    /// refused.
    pub fn load(artifact: &Artifact) -> Result<Self> {
        let mut labels = Self::default();
        for row in artifact.rows::<LabelRow>(&["source"])? {
            let row = row?;
            if labels.has(&row.image_id) {
                let (dir, id) = (artifact.dir().display(), row.image_id);
                return Err(Error::Config(format!(
                    "{dir}: has several labels of image '{id}'; name another stage in `needs`, which makes one"
                )));
            }
            labels.insert(row)?;
        }
        Ok(labels)
    }

    /// Adds the label of an image, in the place of one that is there.
    pub fn insert(&mut self, row: LabelRow) -> Result<()> {
        let LabelRow { image_id, height, width, label, .. } = row;
        let bytes = zstd::bulk::compress(&label, LEVEL)
            .map_err(|why| Error::Failed(format!("cannot compress the label of image '{image_id}': {why}")))?;
        self.0.insert(image_id, Packed { height: height as usize, width: width as usize, bytes });
        Ok(())
    }

    /// Has this image a label?
    pub fn has(&self, image: &ImageId) -> bool {
        self.0.contains_key(image)
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The label of an image, if it has one.
    pub fn of(&self, image: &ImageId) -> Result<Option<Mask>> {
        let unpack = |Packed { height, width, bytes }: &Packed| {
            let classes = zstd::bulk::decompress(bytes, height * width)
                .map_err(|why| Error::Failed(format!("cannot read back the label of image '{image}': {why}")))?;
            Ok(Mask { height: *height, width: *width, classes })
        };
        self.0.get(image).map(unpack).transpose()
    }
}

#[cfg(test)]
mod tests {
    use artifact::store::{Claim, Contents};
    use artifact::{Preimage, Row as _, Store};

    use super::*;

    #[test]
    fn an_image_has_one_label() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let loaded = |sources: &[(&str, &str)]| {
            let preimage = Preimage {
                stage: "walk".into(),
                version: sources.len() as u32,
                params: serde_json::Value::Null,
                seed: None,
                inputs: BTreeMap::new(),
                files: BTreeMap::new(),
                device: None,
            };
            let lease = store.lease(&preimage, Claim::Alone, || {}).unwrap();
            let mut work = lease.open(&Contents::tables([LabelRow::TABLE])).unwrap();
            work.declare::<LabelRow>(1, BTreeMap::new()).unwrap();
            let row = |(image, source): &(&str, &str)| LabelRow {
                image_id: ImageId::new(image).unwrap(),
                height: 1,
                width: 1,
                source: (*source).to_owned(),
                label: vec![7],
            };
            work.write_all(sources.iter().map(row)).unwrap();
            Labels::load(&work.publish(&[], BTreeMap::new(), "main").unwrap())
        };
        let two = loaded(&[("a", "walk"), ("b", "walk")]).unwrap();
        let mask = Mask { height: 1, width: 1, classes: vec![7] };
        let of = |id: &str| two.of(&ImageId::new(id).unwrap()).unwrap();
        assert_eq!(["a", "b", "c"].map(of), [Some(mask.clone()), Some(mask), None]);
        let refused = loaded(&[("a", "walk"), ("b", "walk"), ("b", "walk+crf")]).unwrap_err();
        assert!(refused.to_string().contains("several labels of image 'b'"), "{refused}");
        assert_eq!(refused.exit_code(), 78);
    }
}
