//! A stage that a person starts, and what the runner tells a stage that it starts.

use std::process::{Command, Stdio};

use artifact::Store;
use serde_json::Value;

use crate::world::{Ended, World, end};

/// Runs a stage without the runner.
fn stage(world: &World, stage: &str, args: &[&str]) -> Ended {
    let mut command = Command::new(world.bin().join(stage));
    command.args(args).current_dir(world.path("."));
    end(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the stage starts"))
}

/// The whole key of what a stage last was.
fn key(world: &World, stage: &str) -> String {
    let store = Store::open(&world.path("store")).unwrap();
    store.latest(stage, None).unwrap().expect("it is committed").record().key.as_str().to_owned()
}

#[test]
fn a_stage_by_hand_finds_what_the_manifest_describes() {
    let world = World::new();
    world.camflow(&["run", "--experiment", "full", "--until", "train-cam"]).with(0);
    let refused = stage(&world, "extract-msinf-cam", &["--set", "train-cam.value=11"]).with(69);
    assert!(
        refused.stderr.contains("the input 'train-cam' of experiment 'full' is not committed"),
        "{}",
        refused.stderr
    );
    stage(&world, "extract-msinf-cam", &[]).with(0);
    let by_hand = key(&world, "extract-msinf-cam");
    world.camflow(&["run", "--experiment", "full"]).with(0);
    assert_eq!(key(&world, "extract-msinf-cam"), by_hand);
}

#[test]
fn a_stage_by_hand_finds_what_was_computed_from_other_masks() {
    let world = World::new();
    let masks = ["--set", "data.masks=1"];
    world.camflow(&["run", "--experiment", "full", "--until", "train-cam"]).with(0);
    let trained = key(&world, "train-cam");
    stage(&world, "prepare-data", &masks).with(0);
    stage(&world, "train-cam", &masks).with(0);
    assert_eq!(key(&world, "train-cam"), trained);
    stage(&world, "extract-msinf-cam", &masks).with(0);
    let swept = |sets: &[&str]| {
        stage(&world, "threshold-sweep", sets).with(0);
        key(&world, "threshold-sweep")
    };
    assert_ne!(swept(&masks), swept(&[]));
    assert_eq!(Store::open(&world.path("store")).unwrap().artifacts("train-cam").unwrap().len(), 1);
}

#[test]
fn a_stage_by_hand_checks_what_its_inputs_hold() {
    let world = World::new();
    world.camflow(&["run", "--experiment", "full", "--until", "train-cam"]).with(0);
    let needs = |needs: &str| {
        let set = format!("extract-msinf-cam.needs={needs}");
        stage(&world, "extract-msinf-cam", &["--set", &set]).with(78).stderr
    };
    let lacking = needs(r#"["prepare-data"]"#);
    let expected = "reads the file 'train-cam.mark', which none of its needs holds; add a stage that writes it \
                    ('prepare-data' holds curve, prepare-data.mark, prepare-data.masks)";
    assert!(lacking.contains(expected), "{lacking}");
    world.camflow(&["run", "--experiment", "full", "--until", "train-affinity"]).with(0);
    let set = "threshold-sweep.needs=[\"prepare-data\", \"extract-msinf-cam\", \"train-cam\"]";
    let useless = stage(&world, "threshold-sweep", &["--set", set]).with(78).stderr;
    assert!(useless.contains("'threshold-sweep' has no use for 'train-cam'"), "{useless}");
}

#[test]
fn a_stage_reads_the_very_artifacts_that_the_runner_names() {
    let world = World::new();
    let run = ["run", "--experiment", "full", "--until", "train-cam"];
    world.camflow(&run).with(0);
    let [data, first] = ["prepare-data", "train-cam"].map(|stage| format!("{stage}={}", key(&world, stage)));
    world.camflow(&[&run[..], &["--set", "train-cam.value=50"]].concat()).with(0);
    let second = format!("train-cam={}", key(&world, "train-cam"));
    assert_ne!(first, second);
    let named = |inputs: &[&str]| {
        let args: Vec<_> = inputs.iter().flat_map(|input| ["--input", input]).collect();
        stage(&world, "extract-msinf-cam", &args)
    };
    // Other rows of the input, so another key, though the manifest is the same.
    let keys = [&first, &second].map(|input| {
        named(&[&data, input]).with(0);
        key(&world, "extract-msinf-cam")
    });
    assert_ne!(keys[0], keys[1]);
    let needs = named(&[&data]).with(78).stderr;
    assert!(needs.contains("has changed since the run was planned"), "{needs}");
    let gone = format!("train-cam={}", "0".repeat(64));
    let gone = named(&[&data, &gone]).with(69).stderr;
    assert!(gone.contains("the input 'train-cam' with the key 0000000000000000 is not committed"), "{gone}");
    named(&[&data, "train-cam"]).with(78);

    world.camflow(&["run", "--experiment", "full", "--until", "extract-msinf-cam"]).with(0);
    let record = std::fs::read(world.artifact("extract-msinf-cam").join("artifact.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let command: Vec<_> =
        record["provenance"]["command"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for input in [&data, &first] {
        assert!(command.windows(2).any(|words| words == ["--input", input]), "{command:?}");
    }
}

#[test]
fn help_begins_with_what_the_stage_does_and_a_wrong_command_line_is_a_wrong_configuration() {
    let world = World::new();
    let help = stage(&world, "train-cam", &["--help"]).with(0).stdout;
    assert_eq!(help.lines().next(), Some("train-cam: does what its parameters say"), "{help}");
    assert!(!help.contains("--expect-key") && !help.contains("--input"), "{help}");
    for wrong in [["--hepl"], ["extra"]] {
        let ended = stage(&world, "train-cam", &wrong).with(78);
        assert!(ended.stderr.contains("Usage: train-cam"), "{}", ended.stderr);
    }
    stage(&world, "train-cam", &["--shard", "3/2"]).with(78);
}
