//! Interrupted trainings: the same bytes as if nothing had happened.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use artifact::Artifact;

use crate::world::{World, assert_refused};

/// Enough steps to be interrupted in.
const LONG: [&str; 2] = ["--set", "train-cam.loop.epochs=12"];

fn reference() -> (World, Artifact) {
    let world = World::new();
    world.commit("prepare-data", &[]);
    let artifact = world.commit("train-cam", &LONG);
    (world, artifact)
}

/// Starts a training and waits until it has written a checkpoint.
fn start(world: &World) -> Child {
    let mut child = world.stage("train-cam", &LONG).stderr(Stdio::null()).spawn().unwrap();
    let since = Instant::now();
    while !has_checkpoint(world) {
        assert!(since.elapsed() < Duration::from_mins(1), "no checkpoint appeared");
        assert!(child.try_wait().unwrap().is_none(), "the training ended before it could be interrupted");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn has_checkpoint(world: &World) -> bool {
    let works = std::fs::read_dir(world.store().join("work")).unwrap().flatten();
    let mut files = works.filter_map(|work| std::fs::read_dir(work.path()).ok()).flatten().flatten();
    files.any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with("checkpoint-") && name.ends_with(".safetensors")
    })
}

#[test]
fn a_killed_training_ends_in_the_same_bytes() {
    let (_, expected) = reference();
    let world = World::new();
    world.commit("prepare-data", &[]);
    let mut child = start(&world);
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = world.commit("train-cam", &[&LONG[..], &["--set", "train-cam.loop.workers=1"]].concat());
    assert_eq!(resumed.record().key, expected.record().key);
    assert_eq!(resumed.record().digest, expected.record().digest);
    let log = std::fs::read_to_string(resumed.file("log.jsonl")).unwrap();
    assert_eq!(log.matches("\"start\"").count(), 2, "one log tells both runs");
}

#[test]
fn a_signal_asks_for_a_checkpoint_and_exit_code_75() {
    let (_, expected) = reference();
    let world = World::new();
    world.commit("prepare-data", &[]);
    let mut child = start(&world);
    let kill = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let status = child.wait().unwrap();
    assert!(status.code() == Some(75) || status.success(), "{status}");
    let resumed = world.commit("train-cam", &LONG);
    assert_eq!(resumed.record().digest, expected.record().digest);
}

#[test]
fn a_loss_that_is_not_finite_stops_with_its_step_and_terms() {
    let world = World::new();
    world.commit("prepare-data", &[]);
    let output = world.finish("train-cam", &["--set", "train-cam.optimizer.lr=1e30"]);
    assert_refused(&output, 1, &["step ", "not finite", "cls", "optimizer.lr"]);
}
