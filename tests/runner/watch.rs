//! `camflow watch`: the table of a run elsewhere.

use serde_json::Value;

use crate::terminal::Terminal;
use crate::world::{World, end};

const RUN: [&str; 5] = ["run", "--experiment", "full", "--set", "train-cam.steps=250"];

/// The stages of a line of `watch --json`, as one list.
fn stages(line: &str) -> Vec<Value> {
    let runs: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    runs.as_array().unwrap().iter().flat_map(|run| run["stages"].as_array().unwrap().clone()).collect()
}

#[test]
fn a_run_is_watched_from_another_terminal_to_its_end() {
    let world = World::new();
    let run = world.start(&RUN);
    world.wait_for("train-cam");
    let seen = Terminal::USUAL.start(&world, &["watch"]);
    let json = world.start(&["watch", "--json"]);
    let plain = world.start(&["watch"]);
    end(run).with(0);
    let seen = Terminal::USUAL.end(seen).with(0);
    let pictures = seen.pictures();
    assert!(pictures.iter().any(|picture| picture.contains("/250 steps")), "{pictures:#?}");
    assert!(pictures.iter().all(|picture| picture.matches("stage  ").count() <= 1), "{pictures:#?}");
    assert!(seen.last().contains("8 of 8 stages") && seen.last().contains("; done"), "{}", seen.last());
    let lines = end(json).with(0).stdout;
    let train = |line: &str| stages(line).into_iter().find(|row| row["stage"] == "train-cam").unwrap();
    let reached: Vec<_> = lines.lines().filter_map(|line| train(line)["reached"]["done"].as_u64()).collect();
    assert!(reached.is_sorted() && reached.iter().any(|done| (1..250).contains(done)), "{reached:?}");
    let last = lines.lines().last().unwrap();
    assert!(stages(last).iter().all(|row| row["state"] == "done"), "{last}");
    assert!(last.contains("\"ended\":\"done\""), "{last}");
    let lines = end(plain).with(0).stdout;
    assert!(lines.contains("train-cam (full): running") && lines.contains("evaluate (full): done"), "{lines}");
    assert!(lines.trim_end().ends_with("; done"), "{lines}");
    // The last one is remembered.
    let once = world.camflow(&["watch", "--once"]).with(0).stdout;
    assert!(once.contains("8 of 8 stages") && once.contains("; done"), "{once}");
}

#[test]
fn a_run_that_fails_says_why_and_one_that_is_killed_is_gone() {
    let world = World::new();
    world.camflow(&["run", "--experiment", "full", "--set", "train-cam.fail=65"]).with(65);
    let once = world.camflow(&["watch", "--once"]).with(0).stdout;
    assert!(once.contains("failed: train-cam (full) failed (exit status: 65)"), "{once}");
    world.events();
    let mut run = world.start_quietly(&["run", "--experiment", "full", "--set", "train-cam.steps=1000"]);
    let stage = world.wait_for("train-cam");
    let watch = world.start(&["watch"]);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    run.kill().unwrap();
    run.wait().unwrap();
    let lines = end(watch).with(0).stdout;
    assert!(lines.contains("; gone without a word"), "{lines}");
    let _ = rustix::process::test_kill_process(rustix::process::Pid::from_raw(stage).unwrap());
}

#[test]
fn a_stage_that_a_person_started_is_watched_too() {
    let world = World::new();
    world.camflow(&["run", "--experiment", "full", "--until", "prepare-data"]).with(0);
    let mut command = std::process::Command::new(world.bin().join("train-cam"));
    command.args(["--experiment", "full", "--set", "train-cam.steps=200"]).current_dir(world.path("."));
    let mut stage = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    world.wait_for("train-cam");
    let watch = world.start(&["watch", "--json", "--store", "store"]);
    assert!(stage.wait().unwrap().success());
    let lines = end(watch).with(0).stdout;
    let rows: Vec<_> = lines.lines().flat_map(stages).filter(|row| row["stage"] == "train-cam").collect();
    assert!(rows.iter().any(|row| row["state"] == "running" && row["reached"]["total"] == 200), "{lines}");
    assert_eq!(rows.last().unwrap()["state"], "done", "{lines}");
}

#[test]
fn where_nothing_runs_there_is_nothing_to_watch() {
    let world = World::new();
    world.camflow(&["watch"]).with(78);
    world.camflow(&["run", "--until", "prepare-data"]).with(0);
    std::fs::remove_dir_all(world.path("store/work/runs")).unwrap();
    let said = world.camflow(&["watch"]).with(0).stdout;
    assert!(said.starts_with("nothing is running in ") && !said.contains("the last run"), "{said}");
    assert_eq!(world.camflow(&["watch", "--json"]).with(0).stdout, "[]\n");
    world.camflow(&["watch", "--manifest", "none.toml"]).with(78);
}

#[test]
fn no_artifact_holds_anything_of_the_progress() {
    let world = World::new();
    world.camflow(&["run", "--experiment", "full", "--set", "train-cam.steps=20"]).with(0);
    let names = std::fs::read_dir(world.artifact("train-cam")).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
    assert!(names.iter().all(|name| !name.contains("progress")), "{names:?}");
    assert_eq!(
        world.camflow(&["gc", "--dry-run", "--older", "0s", "--json"]).with(0).stdout.matches("runs").count(),
        0
    );
}
