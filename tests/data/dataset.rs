//! The data set's tables: photographs and masks are what was written, whoever asks for them and when; what changed
//! meanwhile is noticed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use artifact::store::{Claim, Contents, Part};
use artifact::table::{DatasetRow, MaskRow};
use artifact::{Artifact, ClassId, ImageId, Preimage, Row as _, Store};
use data::codec::{Mask, decode_image, encode_jpeg, encode_mask};
use data::dataset::{CLASSES, Dataset, Masks};
use rayon::prelude::*;

use crate::codec::gradient;

const IMAGES: usize = 53;

fn id(number: usize) -> ImageId {
    ImageId::new(&format!("image {number:03}")).unwrap()
}

fn jpeg(number: usize) -> Vec<u8> {
    encode_jpeg(&gradient(20 + number, 31 + number % 7), 60 + (number % 30) as u8)
}

fn mask(number: usize) -> Mask {
    Mask { height: 3, width: 2, classes: vec![(number % 20) as u8; 6] }
}

/// A data set in three parts; every third image has a mask.
fn published(directory: &std::path::Path, first: usize) -> Artifact {
    let store = Store::open(directory).unwrap();
    let preimage = Preimage {
        stage: "prepare-data".into(),
        version: 1,
        params: serde_json::json!({ "first": first }),
        seed: None,
        inputs: BTreeMap::new(),
        files: BTreeMap::new(),
        device: None,
    };
    let lease = store.lease(&preimage, Claim::Alone, || {}).unwrap();
    let mut work = lease.open(&Contents::tables([DatasetRow::TABLE, MaskRow::TABLE])).unwrap();
    let classes = [(CLASSES.to_owned(), "[\"cat\"]".to_owned())].into();
    work.declare::<DatasetRow>(3, classes).unwrap();
    work.declare::<MaskRow>(1, BTreeMap::new()).unwrap();
    for index in 0..3 {
        let part = Part { index, count: 3 };
        let mut writer = work.writer::<DatasetRow>(part).unwrap();
        for number in part.range(IMAGES) {
            let splits = vec![if number % 2 == 0 { "train" } else { "val" }.to_owned()];
            let (image_id, image) = (id(first + number), jpeg(number));
            let row = DatasetRow { image_id, splits, width: 1, height: 1, labels: vec![ClassId(1)], image };
            writer.push(row).unwrap();
        }
        writer.finish().unwrap();
    }
    let masks = (0..IMAGES).step_by(3);
    work.write_all(masks.map(|number| MaskRow { image_id: id(first + number), mask: encode_mask(&mask(number)) }))
        .unwrap();
    work.publish(&[], BTreeMap::new(), "main").unwrap()
}

fn parts(artifact: &Artifact) -> Vec<PathBuf> {
    artifact.table::<DatasetRow>().unwrap().parts.iter().map(|part| artifact.file(&part.file)).collect()
}

#[test]
fn photographs_and_masks_come_to_any_thread_as_they_were_written() {
    let directory = tempfile::tempdir().unwrap();
    let artifact = published(directory.path(), 0);
    let dataset = Dataset::load(&artifact).unwrap();
    let masks = Masks::load(Some(&artifact)).unwrap();
    let photographs = dataset.photographs();
    let images = dataset.splits(&["val".to_owned(), "train".to_owned()]).unwrap();
    assert_eq!(images.len(), IMAGES);
    assert!(images.iter().all(|image| image.image.is_empty()), "the list holds no photograph");
    let threads = rayon::ThreadPoolBuilder::new().num_threads(8).build().unwrap();
    threads.install(|| {
        (0..IMAGES * 20).into_par_iter().for_each(|turn| {
            let number = turn * 31 % IMAGES;
            assert_eq!(photographs.of(images[number]).unwrap(), decode_image(&jpeg(number)).unwrap(), "{number}");
            if number.is_multiple_of(3) {
                assert_eq!(masks.truth(&id(number)).unwrap(), mask(number));
            }
        });
    });
    assert_eq!(masks.scorable(&images).len(), IMAGES.div_ceil(3));
    assert!(masks.truth(&id(1)).unwrap_err().to_string().contains("has no mask"));
    assert!(Masks::load(None).unwrap().scorable(&images).is_empty());
}

#[test]
fn one_photograph_is_read_without_its_neighbours() {
    let directory = tempfile::tempdir().unwrap();
    let artifact = published(directory.path(), 0);
    let file = &parts(&artifact)[1];
    let mut bytes = fs::read(file).unwrap();
    // All that is stored of one photograph is overwritten; every other one is read as before.
    let lost = Part { index: 1, count: 3 }.range(IMAGES).start + 5;
    let photograph = jpeg(lost);
    let at = bytes.windows(photograph.len()).position(|window| window == photograph).expect("stored as it is");
    bytes[at..at + photograph.len()].fill(0);
    let dataset = Dataset::load(&artifact).unwrap();
    fs::write(file, bytes).unwrap();
    let photographs = dataset.photographs();
    for (number, image) in dataset.splits(&["val".to_owned(), "train".to_owned()]).unwrap().into_iter().enumerate() {
        assert_eq!(photographs.of(image).is_err(), number == lost, "{number}");
    }
    assert_eq!(
        artifact.verify().unwrap_err().exit_code(),
        69,
        "stages read and compare all of an input before they begin"
    );
}

#[test]
fn a_table_that_changed_is_noticed_when_a_photograph_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let (artifact, other) = (published(directory.path(), 0), published(directory.path(), 7));
    let dataset = Dataset::load(&artifact).unwrap();
    let (image, photographs) = (dataset.split("train").unwrap()[0], dataset.photographs());
    let file = &parts(&artifact)[0];
    let bytes = fs::read(file).unwrap();
    fs::copy(&parts(&other)[0], file).unwrap();
    let of_another = photographs.of(image).unwrap_err();
    fs::write(file, &bytes[..bytes.len() / 20]).unwrap();
    let cut = photographs.of(image).unwrap_err();
    fs::remove_file(file).unwrap();
    let gone = photographs.of(image).unwrap_err();
    for error in [&cut, &gone] {
        assert!(error.to_string().contains("part-00000-of-00003.parquet: is damaged"), "{error}");
    }
    assert_eq!([of_another, cut, gone].map(|error| error.exit_code()), [69; 3]);
}
