//! Damage, failing stages, signals, kills, and parameters edited during a run.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::world::{World, end, flip, signal};

/// Cuts the Parquet file of a stage's artifact short.
fn truncate(world: &World, stage: &str) {
    let data = world.artifact(stage).join("data");
    let file = fs::read_dir(data).unwrap().next().unwrap().unwrap().path();
    fs::OpenOptions::new().write(true).open(file).unwrap().set_len(10).unwrap();
}

#[test]
fn a_damaged_artifact_is_set_aside_and_computed_anew() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    truncate(&world, "random-walk");
    world.events();
    let plan = world.camflow(&["plan"]).with(0).stdout;
    assert!(plan.contains("is damaged (10 bytes where"), "{plan}");
    let out = world.camflow(&["run"]).with(0).stdout;
    assert_eq!(world.ran(), ["random-walk full"]);
    assert!(out.contains("set aside in"), "{out}");
    assert_eq!(fs::read_dir(world.path("store/work/set-aside")).unwrap().count(), 1);
}

#[test]
fn an_input_that_a_stage_finds_damaged_is_computed_anew_and_the_run_goes_on() {
    let world = World::new();
    world.camflow(&["run", "--until", "random-walk"]).with(0);
    let walked = world.artifact("random-walk");
    // What no stage reads of it does no harm, though `verify` finds it.
    flip(&walked);
    world.events();
    world.camflow(&["run", "--experiment", "full", "--until", "train-deeplab"]).with(0);
    assert_eq!(world.ran(), ["train-deeplab full"]);
    let mark = walked.join("random-walk.mark");
    let mut bytes = fs::read(&mark).unwrap();
    bytes[0] ^= 1;
    fs::write(&mark, bytes).unwrap();
    let out = world.camflow(&["run", "--experiment", "full"]).with(0).stdout;
    assert_eq!(world.ran(), ["random-walk full", "evaluate full"]);
    assert!(out.contains("planning again"), "{out}");
}

#[test]
fn the_exit_code_of_a_stage_is_passed_on() {
    let world = World::new();
    for code in [65, 78, 1] {
        let set = format!("train-cam.fail={code}");
        let ended = world.camflow(&["run", "--set", &set]).with(code);
        assert!(ended.stderr.contains("train-cam (baseline) failed"), "{}", ended.stderr);
        assert!(ended.stderr.contains("its log is store/work/train-cam-"), "{}", ended.stderr);
    }
    world.camflow(&["run", "--set", "train-cam.fail=75"]).with(75);
    world.camflow(&["run"]).with(0);
}

#[test]
fn a_killed_stage_goes_on_where_it_was() {
    let world = World::new();
    let run = world.start(&["run", "--experiment", "full", "--set", "train-cam.steps=1000"]);
    let stage = world.wait_for("train-cam");
    world.wait_for_checkpoint("train-cam");
    signal(stage, Signal::KILL);
    let ended = end(run).with(1);
    assert!(ended.stderr.contains("train-cam (full) failed (signal: 9"), "{}", ended.stderr);
    world.camflow(&["run", "--experiment", "full", "--set", "train-cam.steps=50"]).with(0);
    let log = world.camflow(&["logs", "train-cam"]).with(0).stdout;
    let from: Vec<_> =
        log.lines().filter_map(|line| line.split_once("going on  from ")).map(|(_, step)| step).collect();
    assert!(from.len() == 2 && from[0] == "0" && from[1] != "0", "{log}");
}

#[test]
fn a_signal_reaches_the_stage_and_the_run_can_go_on() {
    for kind in [Signal::TERM, Signal::INT, Signal::USR1, Signal::HUP] {
        let world = World::new();
        let run = world.start(&["run", "--set", "train-cam.steps=1000"]);
        world.wait_for("train-cam");
        world.wait_for_checkpoint("train-cam");
        signal(run.id().cast_signed(), kind);
        let ended = end(run).with(75);
        assert!(ended.stderr.contains("stopped; run the same command again to go on"), "{}", ended.stderr);
        assert!(world.events().contains(&"stopped train-cam baseline".to_owned()));
        let status = world.camflow(&["status"]).with(0).stdout;
        assert!(status.contains("to run, begun"), "{status}");
        world.camflow(&["run", "--set", "train-cam.steps=5"]).with(0);
    }
}

#[test]
fn a_parameter_edited_during_a_run_is_noticed_and_what_is_committed_stays() {
    let world = World::new();
    let run = world.start(&["run", "--experiment", "full", "--set", "train-cam.steps=30"]);
    world.wait_for("train-cam");
    let text = fs::read_to_string(world.path("pipeline.toml")).unwrap();
    fs::write(world.path("pipeline.toml"), text.replace("extract-msinf-cam.value = 2", "extract-msinf-cam.value = 3"))
        .unwrap();
    let ended = end(run).with(78);
    assert!(ended.stderr.contains("has changed since the run was planned"), "{}", ended.stderr);
    world.events();
    world.camflow(&["run", "--experiment", "full"]).with(0);
    assert!(!world.ran().contains(&"train-cam full".to_owned()));
    let explained = world.camflow(&["explain", "extract-msinf-cam"]).with(0).stdout;
    assert!(explained.contains("\"value\": 3"), "{explained}");
}

#[test]
fn what_does_not_need_a_failed_stage_goes_on_and_the_end_names_the_rest() {
    let world = World::new();
    let ended = world.camflow(&["run", "--set", "threshold-sweep.fail=65"]).with(65).shows("run_failed");
    let ran = world.ran();
    for stage in ["train-affinity baseline", "extract-msinf-cam full", "train-affinity full"] {
        assert!(ran.iter().any(|line| line == stage), "{stage} is not among {ran:?}");
    }
    let said = "threshold-sweep (baseline) failed (exit status: 65); its log is store/work/threshold-sweep-";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let also = "; threshold-sweep (full) failed too; not run because of that: random-walk (baseline), train-deeplab \
                (baseline), evaluate (baseline), random-walk (full), train-deeplab (full), evaluate (full)";
    assert!(ended.stderr.contains(also), "{}", ended.stderr);

    // The first failure decides the exit code, and each computation fails once.
    let sets = ["--set", "train-affinity.fail=78", "--set", "threshold-sweep.fail=1", "--set", "data.value=1"];
    let ended = world.camflow(&[&["run", "--json"], &sets[..]].concat()).with(1);
    let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(summary["failed"].as_array().unwrap().len(), 2, "{summary}");
    assert_eq!(summary["not_run"].as_array().unwrap().len(), 6, "{summary}");
    world.events();
    world.camflow(&["run", "--set", "train-cam.fail=65", "--set", "train-cam.value=77"]).with(65);
    assert_eq!(world.ran(), ["train-cam baseline"], "both experiments share it");
    world.camflow(&["run"]).with(0);
}

#[test]
fn a_hangup_that_is_ignored_from_the_start_stops_nothing() {
    let world = World::new();
    // As `nohup` does.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$CAMFLOW\" run --experiment full --set train-cam.steps=40"]);
    shell.env("CAMFLOW", env!("CARGO_BIN_EXE_camflow")).env("CAMFLOW_BIN_DIR", world.bin());
    let run = shell.current_dir(world.path(".")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stage = world.wait_for("train-cam");
    signal(run.id().cast_signed(), Signal::HUP);
    signal(stage, Signal::HUP);
    end(run).with(0);
}

#[test]
fn an_experiment_that_never_ran_is_not_compared_with_another() {
    let world = World::new();
    world.camflow(&["run", "--experiment", "baseline"]).with(0);
    let full = ["--experiment", "full"];
    let plan = world.camflow(&[&["plan"], &full[..]].concat()).with(0).stdout;
    assert!(plan.contains("first run") && !plan.contains("->"), "{plan}");
    let explained = world.camflow(&[&["explain", "extract-msinf-cam"], &full[..]].concat()).with(0).stdout;
    assert!(explained.contains("first run") && !explained.contains("compared with"), "{explained}");
    world.camflow(&[&["run"], &full[..]].concat()).with(0);
    let set = ["--set", "extract-msinf-cam.value=4"];
    let plan = world.camflow(&[&["plan"], &full[..], &set[..]].concat()).with(0).stdout;
    assert!(plan.contains("params.value 2 -> 4"), "{plan}");
}
