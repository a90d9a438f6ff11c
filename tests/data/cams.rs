//! CAMs read image by image from their table.

use std::collections::{BTreeMap, BTreeSet};

use artifact::encoding::ENCODING;
use artifact::store::{Claim, Contents};
use artifact::table::CamRow;
use artifact::{Artifact, ClassId, ImageId, Preimage, Row as _, Store};
use data::confusion::SweepHistogram;
use data::score_maps::CamImages;

const IMAGES: usize = 70;
const PIXELS: usize = 1000;

/// Image n shows class 1 with the value n everywhere, and every third one class 2 with 255 too.
fn write(root: &std::path::Path) -> Artifact {
    let preimage = Preimage {
        stage: "extract-msinf-cam".to_owned(),
        version: 1,
        params: serde_json::Value::Null,
        seed: None,
        inputs: BTreeMap::new(),
        files: BTreeMap::new(),
        device: None,
    };
    let lease = Store::open(root).unwrap().lease(&preimage, Claim::Alone, || {}).unwrap();
    let mut work = lease.open(&Contents::tables([CamRow::TABLE])).unwrap();
    work.declare::<CamRow>(1, BTreeMap::from([(ENCODING.to_owned(), "u8".to_owned())])).unwrap();
    let row = |n: usize, class: u8, value: u8| CamRow {
        image_id: ImageId::new(&format!("image {n:03}")).unwrap(),
        class_id: ClassId(class),
        cam: vec![value; PIXELS],
        ..CamRow::default()
    };
    let rows = (0..IMAGES).flat_map(|n| {
        let second = n.is_multiple_of(3).then(|| row(n, 2, 255));
        std::iter::once(row(n, 1, n as u8)).chain(second)
    });
    work.write_all(rows).unwrap();
    work.publish(&[], BTreeMap::new(), "test").unwrap()
}

#[test]
fn the_cams_of_the_wanted_images_come_whole_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let artifact = write(directory.path());
    let of = |images: &[usize]| {
        let names: BTreeSet<_> = images.iter().map(|n| format!("image {n:03}")).collect();
        let cams = CamImages::new(&artifact, names.clone()).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        assert!(cams.iter().map(|cams| cams.image.to_string()).eq(names), "{images:?}");
        cams
    };
    for images in [&[][..], &[0], &[69], &[15, 16, 17], &[3, 40], &(0..IMAGES).collect::<Vec<_>>()] {
        for (cams, n) in of(images).iter().zip(images) {
            let mut histogram = SweepHistogram::new(3, &[(*n as f32 - 0.5).max(0.0) / 255.0, 0.9]);
            cams.count(&mut histogram, &[1; PIXELS]);
            let winner = if n.is_multiple_of(3) { 2 } else { 1 };
            assert_eq!(histogram.confusion(0).counts[3 + winner], PIXELS as u64, "image {n}");
        }
    }
    assert!(of(&[]).is_empty());
}
