//! Image-level labels are all that training sees: with and without masks in the data set, the same bytes.

use data::shapes::{CLASSES, ShapesConfig, write_voc_layout};

use crate::world::World;

#[test]
fn training_reads_no_mask() {
    let (with, without) = (World::new(), World::new());
    let root = with.path().join("voc");
    let config = ShapesConfig { seed: 1, images_train: 10, images_val: 2, images_closeup: 0, size: [64, 64] };
    write_voc_layout(&root, &config).unwrap();
    let digests = |world: &World, masks: &str| {
        let sets = [
            "data.source=voc".to_owned(),
            format!("data.root={}", root.display()),
            format!("data.classes={CLASSES:?}"),
            "data.splits={train = \"ImageSets/Segmentation/train.txt\", val = \"ImageSets/Segmentation/val.txt\"}"
                .to_owned(),
            format!("data.masks=\"{masks}\""),
            "data.unknown_classes=refuse".to_owned(),
            "random-walk.crf.iterations=1".to_owned(),
        ];
        let arguments: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).collect();
        let stages =
            ["prepare-data", "train-cam", "extract-msinf-cam", "train-affinity", "random-walk", "train-deeplab"];
        stages.map(|stage| (stage, world.commit(stage, &arguments).record().digest.clone()))
    };
    let (with, without) = (digests(&with, "SegmentationClass"), digests(&without, ""));
    assert_ne!(with[0], without[0], "the data sets differ in their masks");
    assert_eq!(with[1..], without[1..]);
}
