//! The `label` table in memory: pseudo-labels by image.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use artifact::table::LabelRow;
use artifact::{Artifact, Error, ImageId, Result};

use crate::codec::Mask;

/// The label of every image that the artifact has one of. An artifact with several of one image, as evaluate's, is
/// refused.
pub fn labels(artifact: &Artifact) -> Result<BTreeMap<ImageId, Mask>> {
    let mut labels = BTreeMap::new();
    for row in artifact.rows::<LabelRow>(&["source"])? {
        let LabelRow { image_id, height, width, label, .. } = row?;
        match labels.entry(image_id) {
            Entry::Vacant(free) => {
                free.insert(Mask { height: height as usize, width: width as usize, classes: label });
            }
            Entry::Occupied(taken) => {
                let (dir, id) = (artifact.dir().display(), taken.key());
                return Err(Error::Config(format!(
                    "{dir}: has several labels of image '{id}'; name another stage in `needs`, which makes one"
                )));
            }
        }
    }
    Ok(labels)
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
            labels(&work.publish(&[], BTreeMap::new(), "main").unwrap())
        };
        let two = loaded(&[("a", "walk"), ("b", "walk")]).unwrap();
        let mask = Mask { height: 1, width: 1, classes: vec![7] };
        assert_eq!(two, ["a", "b"].map(|id| (ImageId::new(id).unwrap(), mask.clone())).into());
        let refused = loaded(&[("a", "walk"), ("b", "walk"), ("b", "walk+crf")]).unwrap_err();
        assert!(refused.to_string().contains("several labels of image 'b'"), "{refused}");
        assert_eq!(refused.exit_code(), 78);
    }
}
