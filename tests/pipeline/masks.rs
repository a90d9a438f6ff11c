//! Image-level labels are all that training sees: with and without masks in the data set, the same bytes; a corrected
//! mask runs nothing again that learns.

use std::fs;
use std::path::Path;

use data::codec::{decode_mask, encode_mask};
use data::shapes::{CLASSES, ShapesConfig, write_voc_layout};
use runner::OutcomeState;

use crate::world::World;

/// A small data set in VOC's layout, and the assignments with which prepare-data reads it.
pub fn data_set(root: &Path, masks: &str) -> Vec<String> {
    let config = ShapesConfig { seed: 1, images_train: 10, images_val: 2, images_closeup: 0, size: [64, 64] };
    write_voc_layout(root, &config).unwrap();
    vec![
        "data.source=voc".to_owned(),
        format!("data.root={}", root.display()),
        format!("data.classes={CLASSES:?}"),
        "data.splits={train = \"ImageSets/Segmentation/train.txt\", val = \"ImageSets/Segmentation/val.txt\"}"
            .to_owned(),
        format!("data.masks=\"{masks}\""),
        "data.unknown_classes=refuse".to_owned(),
        "random-walk.crf.iterations=1".to_owned(),
    ]
}

#[test]
fn training_reads_no_mask() {
    let (with, without) = (World::new(), World::new());
    let root = with.path().join("voc");
    let digests = |world: &World, masks: &str| {
        let sets = data_set(&root, masks);
        let arguments: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).collect();
        let stages =
            ["prepare-data", "train-cam", "extract-msinf-cam", "train-affinity", "random-walk", "train-deeplab"];
        stages.map(|stage| (stage, world.commit(stage, &arguments).record().digest.clone()))
    };
    let (with, without) = (digests(&with, "SegmentationClass"), digests(&without, ""));
    assert_ne!(with[0], without[0], "the data sets differ in their masks");
    assert_eq!(with[1..], without[1..]);
}

#[test]
fn a_corrected_mask_reruns_what_scores_and_a_corrected_label_what_learns() {
    let world = World::new();
    let root = world.path().join("voc");
    let sets = data_set(&root, "SegmentationClass");
    let ran = || {
        let summary = world.run_experiment("rcm+mam", &sets.iter().map(String::as_str).collect::<Vec<_>>());
        let ran = summary.outcomes.into_iter().filter(|outcome| outcome.state == OutcomeState::Ran);
        ran.map(|outcome| outcome.stage).collect::<Vec<_>>()
    };
    assert_eq!(ran().len(), 8);
    assert_eq!(ran(), [""; 0]);

    let mask = root.join("SegmentationClass/shapes_000001.png");
    let mut classes = decode_mask(&fs::read(&mask).unwrap()).unwrap();
    let corner = &mut classes.classes[0];
    *corner = if *corner == 255 { 0 } else { 255 };
    fs::write(&mask, encode_mask(&classes)).unwrap();
    assert_eq!(ran(), ["prepare-data", "threshold-sweep", "evaluate"]);

    let labels = root.join("Annotations/shapes_000001.xml");
    let text = fs::read_to_string(&labels).unwrap();
    let absent = CLASSES.iter().find(|class| !text.contains(&format!("<name>{class}</name>"))).unwrap();
    let object = format!("<object><name>{absent}</name></object></annotation>");
    fs::write(&labels, text.replacen("</annotation>", &object, 1)).unwrap();
    let ran = ran();
    for stage in ["prepare-data", "train-cam", "extract-msinf-cam", "train-affinity", "random-walk", "train-deeplab"] {
        assert!(ran.iter().any(|name| name == stage), "{stage} is not among {ran:?}");
    }
}
