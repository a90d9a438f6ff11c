//! What nobody needs goes; what anybody needs stays.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::world::{World, end, flip, signal};

/// The artifacts of a stage.
fn artifacts(world: &World, stage: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(world.path("store").join(stage)).unwrap().flatten();
    let mut dirs: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()).collect();
    dirs.sort();
    dirs
}

fn name(stage: &str, dir: &Path) -> String {
    format!("{stage}:{}", dir.file_name().unwrap().to_str().unwrap())
}

fn json(world: &World, args: &[&str]) -> Value {
    serde_json::from_str(&world.camflow(&[args, &["--json"]].concat()).with(0).stdout).unwrap()
}

#[test]
fn what_no_link_needs_goes_and_all_that_the_rest_was_computed_from_stays() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    // `latest` of train-cam moves away; what was computed from the old one still stands on it.
    world.camflow(&["run", "--until", "train-cam", "--set", "train-cam.value=90"]).with(0);
    world.camflow(&["run", "--set", "evaluate.value=9"]).with(0);
    assert_eq!((artifacts(&world, "evaluate").len(), artifacts(&world, "train-cam").len()), (4, 2));
    world.camflow(&["run", "--until", "train-cam", "--set", "train-cam.value=90"]).with(0);
    let dry = json(&world, &["gc", "--dry-run"]);
    let gone: Vec<_> = dry["removed"].as_array().unwrap().iter().map(|gone| gone["name"].as_str().unwrap()).collect();
    assert!(gone.len() == 2 && gone.iter().all(|name| name.starts_with("evaluate:")), "{dry}");
    assert!(dry["bytes"].as_u64().unwrap() > 0 && dry["removed"][0]["seconds"].is_number());
    assert_eq!(artifacts(&world, "evaluate").len(), 4, "a question removes nothing");
    let out = world.camflow(&["gc"]).with(0).stdout;
    assert!(out.contains("removed: 2, ") && out.contains("would take"), "{out}");
    assert_eq!((artifacts(&world, "evaluate").len(), artifacts(&world, "train-cam").len()), (2, 2));
    assert!(fs::read_dir(world.path("store/work/trash")).unwrap().next().is_none());
    let plan = world.camflow(&["plan", "--set", "evaluate.value=9"]).with(0).stdout;
    assert!(plan.contains("\n0 to run"), "{plan}");
    world.camflow(&["verify", "--deep"]).with(0);
}

#[test]
fn what_is_pinned_stays_with_its_inputs_until_it_is_unpinned() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    let pinned = world.artifact("evaluate");
    let out = world.camflow(&["pin", "evaluate", "--reason", "in the paper"]).with(0).stdout;
    assert!(out.contains("is pinned"), "{out}");
    assert!(world.camflow(&["status"]).with(0).stdout.contains("committed, pinned"));
    // Everything anew, from the data on.
    world.camflow(&["run", "--set", "data.value=50"]).with(0);
    let kept = json(&world, &["gc"]);
    assert_eq!(kept["pinned"], 1);
    assert!(pinned.exists());
    assert_eq!(artifacts(&world, "prepare-data").len(), 2, "its data too");
    assert_eq!(artifacts(&world, "evaluate").len(), 3, "but not the other experiment's");
    world.camflow(&["unpin", &name("evaluate", &pinned)]).with(0);
    assert!(world.camflow(&["unpin", &name("evaluate", &pinned)]).with(0).stdout.contains("was not pinned"));
    world.camflow(&["gc"]).with(0);
    assert!(!pinned.exists());
    assert_eq!(artifacts(&world, "prepare-data").len(), 1);
}

#[test]
fn the_oldest_goes_first_until_the_store_is_small_enough_and_nothing_younger_than_asked() {
    let world = World::new();
    for value in ["1", "2", "3"] {
        world.camflow(&["run", "--until", "prepare-data", "--set", &format!("data.value={value}")]).with(0);
    }
    let none = json(&world, &["gc", "--older", "1h"]);
    assert_eq!(none["removed"].as_array().unwrap().len(), 0);
    let left = json(&world, &["gc", "--dry-run", "--max-size", "1T"]);
    assert_eq!(left["removed"].as_array().unwrap().len(), 0, "small enough already");
    let size = left["bytes_left"].as_u64().unwrap() - 1;
    let one = json(&world, &["gc", "--max-size", &size.to_string()]);
    assert_eq!((one["removed"].as_array().unwrap().len(), &one["above_max_size"]), (1, &Value::Null));
    let all = world.camflow(&["gc", "--max-size", "0"]).with(0).stdout;
    assert!(all.contains("that is more than 0 B"), "{all}");
    assert_eq!(artifacts(&world, "prepare-data").len(), 1, "the last one is needed");
    world.camflow(&["gc", "--max-size", "much"]).with(78);
    world.camflow(&["gc", "--older", "5 parsecs"]).with(78);
}

#[test]
fn work_in_progress_and_what_it_reads_stay() {
    let world = World::new();
    let args = ["--experiment", "full", "--set", "data.value=2", "--set", "train-cam.steps=150"];
    let run = world.start(&[&["run", "--until", "train-cam"], args.as_slice()].concat());
    world.wait_for_checkpoint("train-cam");
    // The link moves away from the data that the running stage reads.
    world.camflow(&["run", "--until", "prepare-data", "--experiment", "full"]).with(0);
    let gone = json(&world, &["gc", "--older", "0s"]);
    assert_eq!(gone["removed"].as_array().unwrap().len(), 0, "{gone}");
    end(run).with(0);
    assert_eq!(artifacts(&world, "prepare-data").len(), 2);
}

#[test]
fn abandoned_work_and_what_was_set_aside_go_when_they_are_old() {
    let world = World::new();
    world.camflow(&["run", "--until", "prepare-data"]).with(0);
    let run = world.start(&["run", "--set", "train-cam.steps=1000"]);
    let stage = world.wait_for("train-cam");
    world.wait_for_checkpoint("train-cam");
    signal(stage, Signal::KILL);
    end(run).with(1);
    flip(&world.artifact("prepare-data"));
    world.camflow(&["verify"]).with(69);
    fs::write(world.path("store/work/.fingerprints.json.1.tmp"), "half").unwrap();
    world.camflow(&["gc"]).with(0);
    assert!(world.has_work("train-cam"), "a day has not passed");
    world.age_work();
    let gone = json(&world, &["gc"]);
    let what: Vec<_> = gone["removed"].as_array().unwrap().iter().map(|gone| gone["what"].as_str().unwrap()).collect();
    for kind in ["work", "set aside", "left"] {
        assert!(what.contains(&kind), "{gone}");
    }
    let mut left: Vec<_> = fs::read_dir(world.path("store/work")).unwrap().flatten().map(|e| e.file_name()).collect();
    left.retain(|name| name != "fingerprints.json");
    left.sort();
    assert_eq!(left, ["describe.json", "set-aside", "trash"]);
    world.camflow(&["run"]).with(0);
}

#[test]
fn what_a_killed_gc_left_is_removed_by_the_next_run() {
    let world = World::new();
    world.camflow(&["run", "--until", "prepare-data"]).with(0);
    let trash = world.path("store/work/trash");
    for command in ["run", "gc"] {
        fs::create_dir_all(trash.join("evaluate-0123.1.1/data")).unwrap();
        fs::write(trash.join("evaluate-0123.1.1/data/half.parquet"), "half").unwrap();
        world.camflow(&[command]).with(0);
        assert!(fs::read_dir(&trash).unwrap().next().is_none(), "{command}");
    }
}

#[test]
fn gc_and_runs_at_once_do_no_harm() {
    let world = World::new();
    for value in 0..5 {
        let set = format!("data.value={value}");
        let run = world.start(&["run", "--experiment", "full", "--set", &set]);
        let collectors = [world.start(&["gc"]), world.start(&["gc"])];
        end(run).with(0);
        for collector in collectors {
            end(collector).with(0);
        }
    }
    world.camflow(&["gc"]).with(0);
    assert!(
        world.camflow(&["plan", "--experiment", "full", "--set", "data.value=4"]).with(0).stdout.contains("\n0 to run")
    );
    world.camflow(&["verify", "--deep"]).with(0);
}
