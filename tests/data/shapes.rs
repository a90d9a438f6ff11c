//! The embedded data set: the same bytes from the same seed, and readable as any VOC data set.

use std::{collections::BTreeMap, path::Path};

use data::{
    codec::decode_mask,
    import::{self, Source},
    shapes::{CLASSES, ShapesConfig, write_voc_layout},
};

const SMALL: ShapesConfig =
    ShapesConfig { seed: 5, images_train: 24, images_val: 6, images_closeup: 10, size: [48, 64] };

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for folder in ["JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation"] {
        for entry in std::fs::read_dir(directory.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            found.insert(path.strip_prefix(directory).unwrap().display().to_string(), std::fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn one_seed_gives_one_data_set() {
    let [a, b, c] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    write_voc_layout(a.path(), &SMALL).unwrap();
    write_voc_layout(b.path(), &SMALL).unwrap();
    write_voc_layout(c.path(), &ShapesConfig { seed: 6, ..SMALL }).unwrap();
    assert_eq!(files(a.path()).len(), 40 * 3 + 3);
    assert!(files(a.path()) == files(b.path()), "the same seed gave other bytes");
    assert!(files(a.path()) != files(c.path()), "another seed gave the same bytes");
}

#[test]
fn it_is_a_voc_data_set() {
    let directory = tempfile::tempdir().unwrap();
    write_voc_layout(directory.path(), &SMALL).unwrap();
    let split = |name: &str| (name.to_owned(), format!("ImageSets/Segmentation/{name}.txt"));
    let splits = [split("train"), split("val"), split("closeup")].into();
    let source = Source::voc(directory.path().to_owned(), CLASSES.map(String::from).to_vec(), splits);
    let source = Source { masks: Some("SegmentationClass".into()), ..source };
    let records = import::read(&source, &|_, _| {}).unwrap().records;
    assert_eq!(records.len(), 40);
    assert_eq!(records.iter().filter(|r| r.splits == ["train"]).count(), 24);
    for closeup in records.iter().filter(|r| r.splits == ["closeup"]) {
        assert_eq!((closeup.width, closeup.height, closeup.labels.len() <= 1), (31, 31, true));
    }
    let empty = records.iter().filter(|record| record.labels.is_empty()).count();
    assert!((1..20).contains(&empty), "{empty} of 40 show the ground alone");
    for record in &records {
        let mask = decode_mask(record.mask.as_ref().unwrap()).unwrap();
        let coats: Vec<u8> = record.labels.iter().map(|label| (label.0 - 1) / 2).collect();
        assert!(coats.windows(2).all(|pair| pair[0] != pair[1]), "{}: two classes of one coat", record.image_id);
        for label in &record.labels {
            let shown: usize = mask.classes.iter().map(|&v| usize::from(v == label.0)).sum();
            assert!(
                100 * shown > mask.classes.len(),
                "{} hides its {}",
                record.image_id,
                CLASSES[label.foreground().unwrap()]
            );
        }
        assert_eq!(mask.classes.contains(&255), !record.labels.is_empty(), "{}: void is the outline", record.image_id);
        let strange = mask.classes.iter().find(|&&v| v != 0 && v != 255 && record.labels.iter().all(|l| l.0 != v));
        assert_eq!(strange, None, "{}: the mask knows a class that the annotation does not", record.image_id);
    }
}

#[test]
fn a_senseless_size_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = write_voc_layout(directory.path(), &ShapesConfig { size: [4, 96], ..SMALL }).unwrap_err();
    assert_eq!((error.exit_code(), error.to_string().contains("size")), (78, true));
}
