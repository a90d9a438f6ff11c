//! Stages run by hand: what they refuse, with which exit code, and what they say.

use std::fs;

use crate::world::{World, assert_refused};

#[test]
fn an_input_that_is_not_committed_is_named() {
    let world = World::new();
    let output = world.finish("extract-msinf-cam", &[]);
    assert_refused(&output, 69, &["'prepare-data'", "camflow run"]);
}

#[test]
fn a_bad_parameter_is_named_with_its_place() {
    let world = World::new();
    let unknown = world.finish("train-cam", &["--set", "train-cam.optimizer.lrr=1"]);
    assert_refused(&unknown, 78, &["lrr", "--set"]);
    let wrong = world.finish("train-cam", &["--check", "--set", "train-cam.optimizer.momentum=1.5"]);
    assert_refused(&wrong, 78, &["optimizer.momentum", "out of range"]);
    let needs = world.finish("evaluate", &["--check", "--set", "evaluate.needs=[\"train-cam\"]"]);
    assert_refused(&needs, 78, &["needs", "prepare-data"]);
}

#[test]
fn cuda_is_never_replaced_by_the_cpu() {
    let world = World::new();
    let output = world.finish("train-cam", &["--check", "--device", "cuda:99"]);
    assert_refused(&output, 78, &["pipeline.device", "cuda"]);
    assert_refused(&world.finish("train-cam", &["--check", "--device", "tpu"]), 78, &["tpu"]);
}

#[test]
fn every_bad_file_of_a_data_set_is_named_in_one_run() {
    let world = World::new();
    let root = world.path().join("voc");
    for folder in ["JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("ImageSets/Segmentation/train.txt"), "absent\n../escape\n").unwrap();
    let root = format!("data.root={}", root.display());
    let sets = [
        root.as_str(),
        "data.source=voc",
        "data.classes=[\"cat\"]",
        "data.splits={train = \"ImageSets/Segmentation/train.txt\"}",
        "data.masks=SegmentationClass",
        "data.unknown_classes=refuse",
    ];
    let arguments: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).collect();
    assert_refused(&world.finish("prepare-data", &arguments), 65, &["absent", "escape"]);
}

#[test]
fn a_damaged_input_is_set_aside_and_named() {
    let world = World::new();
    let data = world.commit("prepare-data", &[]);
    let part = data.file("data/part-00000-of-00001.parquet");
    let mut bytes = fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&part, bytes).unwrap();
    assert_refused(&world.finish("train-cam", &[]), 69, &["prepare-data", "digest", "set aside"]);
    assert_eq!(world.commit("prepare-data", &[]).record().digest, data.record().digest);
}

#[test]
fn shards_make_the_same_artifact_as_one_process() {
    let (whole, shared) = (World::new(), World::new());
    for world in [&whole, &shared] {
        world.commit("prepare-data", &[]);
        world.commit("train-cam", &["--set", "train-cam.variant=baseline"]);
    }
    let variant = ["--set", "train-cam.variant=baseline"];
    let expected = whole.commit("extract-msinf-cam", &variant);
    for shard in ["0/2", "1/2"] {
        let output = shared.finish("extract-msinf-cam", &[&variant[..], &["--shard", shard]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(shared.latest("extract-msinf-cam").record().digest, expected.record().digest);
}
