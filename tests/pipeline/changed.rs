//! Inputs that change while they are in use.

use std::fs;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use artifact::failpoint::VARIABLE;
use data::shapes::{CLASSES, ShapesConfig, write_voc_layout};
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{World, assert_refused};

/// Starts a stage that stands still once it has written its table.
fn start(world: &World, stage: &str, arguments: &[&str]) -> Child {
    let mut command = world.stage(stage, arguments);
    command.env(VARIABLE, "part.record=stop").stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let since = Instant::now();
    let status = format!("/proc/{}/status", child.id());
    while !fs::read_to_string(&status).unwrap().contains("State:\tT") {
        assert!(since.elapsed() < Duration::from_mins(1), "{stage} does not stand still");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn go_on(child: Child) -> Output {
    kill_process(Pid::from_child(&child), Signal::CONT).unwrap();
    child.wait_with_output().unwrap()
}

fn voc(root: &Path) -> Vec<String> {
    let config = ShapesConfig { seed: 1, images_train: 4, images_val: 1, images_closeup: 0, size: [64, 64] };
    write_voc_layout(root, &config).unwrap();
    let sets = [
        "data.source=voc".to_owned(),
        format!("data.root={}", root.display()),
        format!("data.classes={CLASSES:?}"),
        "data.splits={train = \"ImageSets/Segmentation/train.txt\"}".to_owned(),
        "data.masks=\"SegmentationClass\"".to_owned(),
        "data.unknown_classes=refuse".to_owned(),
    ];
    sets.into_iter().flat_map(|set| ["--set".to_owned(), set]).collect()
}

#[test]
fn a_photograph_that_changes_during_the_import_is_noticed_before_the_commit() {
    let world = World::new();
    let root = world.path().join("voc");
    let sets = voc(&root);
    let sets: Vec<_> = sets.iter().map(String::as_str).collect();
    let child = start(&world, "prepare-data", &sets);
    let photographs = fs::read_dir(root.join("JPEGImages")).unwrap().map(|entry| entry.unwrap().path());
    let mut photographs: Vec<_> = photographs.collect();
    photographs.sort();
    fs::copy(&photographs[0], &photographs[1]).unwrap();
    let output = go_on(child);
    assert_refused(&output, 65, &["data.root", "changed while it was in use", "nothing was committed"]);
    assert!(!world.store().join("prepare-data").exists());
    // As it is now, it is data like any other.
    world.commit("prepare-data", &sets);
}

#[test]
fn an_input_artifact_that_is_damaged_during_a_run_is_noticed_before_the_commit() {
    let world = World::new();
    world.commit("prepare-data", &[]);
    world.commit("train-cam", &[]);
    let child = start(&world, "extract-msinf-cam", &[]);
    let data = world.latest("prepare-data").dir().join("data/part-00000-of-00001.parquet");
    let mut bytes = fs::read(&data).unwrap();
    bytes[100] ^= 1;
    fs::write(&data, bytes).unwrap();
    let output = go_on(child);
    assert_refused(&output, 69, &["input 'prepare-data'", "its digest differs", "set aside"]);
    assert!(!world.store().join("extract-msinf-cam").exists());
}
