//! Interrupted trainings: the same bytes as if nothing had happened.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use artifact::Artifact;
use artifact::table::{CurveRow, LOSS_HASH};

use crate::damage::{cut, flip};
use crate::world::{World, assert_refused};

/// Enough steps to be interrupted in.
const LONG: [&str; 2] = ["--set", "train-cam.loop.epochs=12"];

fn reference() -> (World, Artifact) {
    let world = World::new();
    world.commit("prepare-data", &[]);
    let artifact = world.commit("train-cam", &LONG);
    (world, artifact)
}

/// Starts a training and waits until it has written `count` checkpoints more than there were.
fn start(world: &World, count: usize, arguments: &[&str]) -> Child {
    let mut child = world.stage("train-cam", arguments).stderr(Stdio::null()).spawn().unwrap();
    let (since, before) = (Instant::now(), newest_step(world));
    // Two steps an epoch, and a checkpoint at its end.
    while newest_step(world) < before + 2 * count {
        assert!(since.elapsed() < Duration::from_mins(1), "no checkpoint appeared");
        assert!(child.try_wait().unwrap().is_none(), "the training ended before it could be interrupted");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

/// Records and tensors of the checkpoints, the oldest first.
fn checkpoints(world: &World, kind: &str) -> Vec<PathBuf> {
    let works = std::fs::read_dir(world.store().join("work")).unwrap().flatten();
    let files = works.filter_map(|work| std::fs::read_dir(work.path()).ok()).flatten().flatten();
    let mut files: Vec<_> = files.map(|file| file.path()).collect();
    files.retain(|file| {
        let name = file.file_name().unwrap().to_string_lossy();
        name.starts_with("checkpoint-") && name.ends_with(kind)
    });
    files.sort();
    files
}

/// The step of the newest checkpoint.
fn newest_step(world: &World) -> usize {
    let newest = checkpoints(world, ".json").pop();
    let step = |file: PathBuf| file.file_stem()?.to_str()?.strip_prefix("checkpoint-")?.parse().ok();
    newest.and_then(step).unwrap_or(0)
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What tells that two runs went the same way.
fn losses(artifact: &Artifact) -> &str {
    &artifact.metadata::<CurveRow>().unwrap()[LOSS_HASH]
}

#[test]
fn a_training_killed_again_and_again_ends_in_the_same_bytes_with_any_number_of_loaders() {
    let (_, expected) = reference();
    let world = World::new();
    world.commit("prepare-data", &[]);
    for workers in ["1", "3", "2"] {
        let set = format!("train-cam.loop.workers={workers}");
        kill(start(&world, 1, &[&LONG[..], &["--set", &set]].concat()));
    }
    let resumed = world.commit("train-cam", &[&LONG[..], &["--set", "train-cam.loop.workers=1"]].concat());
    assert_eq!(resumed.record().key, expected.record().key);
    assert_eq!(resumed.record().digest, expected.record().digest);
    assert_eq!(losses(&resumed), losses(&expected));
    let log = std::fs::read_to_string(resumed.file("log.jsonl")).unwrap();
    assert_eq!(log.matches("\"start\"").count(), 4, "one log tells all runs");
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before_or_to_the_start() {
    let (_, expected) = reference();
    let damages =
        [(".safetensors", 1, flip as fn(&Path)), (".safetensors", 2, cut), (".json", 1, flip), (".json", 2, cut)];
    for (kind, count, damage) in damages {
        let world = World::new();
        world.commit("prepare-data", &[]);
        kill(start(&world, 2, &LONG));
        for file in checkpoints(&world, kind).iter().rev().take(count) {
            damage(file);
        }
        let output = world.finish("train-cam", &LONG);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.matches("falling back").count(), count, "{kind}: {said}");
        assert_eq!(world.latest("train-cam").record().digest, expected.record().digest, "{kind}");
    }
}

#[test]
fn a_signal_asks_for_a_checkpoint_and_exit_code_75() {
    let (_, expected) = reference();
    let world = World::new();
    world.commit("prepare-data", &[]);
    let mut child = start(&world, 1, &LONG);
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
