//! What nobody needs goes; what anybody needs stays.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use artifact::Store;
use artifact::store::Contents;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::world::{STAGES, World, end, flip, signal};

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

fn answer(world: &World, args: &[&str]) -> Value {
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
    // What the manifest describes is needed; this is the manifest with its last value.
    let gc = ["gc", "--set", "evaluate.value=9"];
    let dry = answer(&world, &[&gc[..], &["--dry-run"]].concat());
    let gone: Vec<_> = dry["removed"].as_array().unwrap().iter().map(|gone| gone["name"].as_str().unwrap()).collect();
    assert!(gone.len() == 2 && gone.iter().all(|name| name.starts_with("evaluate:")), "{dry}");
    assert!(dry["bytes"].as_u64().unwrap() > 0 && dry["removed"][0]["seconds"].is_number());
    assert_eq!(artifacts(&world, "evaluate").len(), 4, "a question removes nothing");
    world.camflow(&[&gc[..], &["--dry-run"]].concat()).with(0).shows("gc_dry_run");
    world.camflow(&gc).with(0).shows("gc");
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
    world.camflow(&["pin", "evaluate", "--reason", "in the paper"]).with(0).shows("pin");
    world.camflow(&["status"]).with(0).shows("status_pinned");
    // Everything anew, from the data on.
    world.camflow(&["run", "--set", "data.value=50"]).with(0);
    let gc = ["gc", "--set", "data.value=50"];
    let kept = answer(&world, &gc);
    assert_eq!(kept["pinned"], 1);
    assert!(pinned.exists());
    assert_eq!(artifacts(&world, "prepare-data").len(), 2, "its data too");
    assert_eq!(artifacts(&world, "evaluate").len(), 3, "but not the other experiment's");
    world.camflow(&["unpin", &name("evaluate", &pinned)]).with(0).shows("unpin");
    world.camflow(&["unpin", &name("evaluate", &pinned)]).with(0).shows("unpin_again");
    world.camflow(&gc).with(0);
    assert!(!pinned.exists());
    assert_eq!(artifacts(&world, "prepare-data").len(), 1);
}

#[test]
fn what_an_artifact_was_really_computed_from_stays_though_another_holds_the_same_of_what_was_read() {
    let world = World::new();
    world.camflow(&["run", "--experiment", "full"]).with(0);
    let first = world.artifact("prepare-data");
    // Two more data sets, of which training reads the same.
    for masks in ["1", "2"] {
        world.camflow(&["run", "--experiment", "full", "--set", &format!("data.masks={masks}")]).with(0);
    }
    assert_eq!((artifacts(&world, "prepare-data").len(), artifacts(&world, "train-cam").len()), (3, 1));
    let gc = ["gc", "--set", "data.masks=2"];
    answer(&world, &gc);
    // The newest is described, the first is what the network learned from; nobody needs the second.
    assert_eq!(artifacts(&world, "prepare-data").len(), 2);
    assert!(first.exists());
    let plan = world.camflow(&["plan", "--experiment", "full", "--set", "data.masks=2"]).with(0).stdout;
    assert!(plan.contains("\n0 to run"), "{plan}");
    // Where the very artifact is gone, any that holds what was read will do, and stays.
    fs::remove_dir_all(&first).unwrap();
    answer(&world, &gc);
    assert_eq!(artifacts(&world, "prepare-data").len(), 1);
    world.camflow(&["verify", "--deep"]).with(0);
}

#[test]
fn the_oldest_goes_first_until_the_store_is_small_enough_and_nothing_younger_than_asked() {
    let world = World::new();
    for value in ["2", "3", "4"] {
        world.camflow(&["run", "--until", "prepare-data", "--set", &format!("data.value={value}")]).with(0);
    }
    let none = answer(&world, &["gc", "--older", "1h"]);
    assert_eq!(none["removed"].as_array().unwrap().len(), 0);
    let left = answer(&world, &["gc", "--dry-run", "--max-size", "1T"]);
    assert_eq!(left["removed"].as_array().unwrap().len(), 0, "small enough already");
    let size = left["bytes_left"].as_u64().unwrap() - 1;
    let one = answer(&world, &["gc", "--max-size", &size.to_string()]);
    assert_eq!((one["removed"].as_array().unwrap().len(), &one["above_max_size"]), (1, &Value::Null));
    world.camflow(&["gc", "--max-size", "0"]).with(0).shows("gc_max_size");
    assert_eq!(artifacts(&world, "prepare-data").len(), 1, "the last one is needed");
    world.camflow(&["gc", "--max-size", "much"]).with(78);
    world.camflow(&["gc", "--older", "5 parsecs"]).with(78);
}

/// The artifacts of a store, by stage and name.
fn all(store: &Path) -> Vec<String> {
    let store = Store::open(store).unwrap();
    let artifacts = store.stages().unwrap().into_iter().flat_map(|stage| store.artifacts(&stage).unwrap());
    let mut names: Vec<_> = artifacts.map(|artifact| name(&artifact.record().preimage.stage, artifact.dir())).collect();
    names.sort();
    names
}

/// Removes the links of a store; of one stage only, if it is named.
fn unlink(store: &Path, stage: Option<&str>) {
    let stages = Store::open(store).unwrap().stages().unwrap();
    for stage in stages.iter().filter(|name| stage.is_none_or(|stage| stage == *name)) {
        let entries = fs::read_dir(store.join(stage)).unwrap().flatten().map(|entry| entry.path());
        entries.filter(|path| path.is_symlink()).for_each(|link| fs::remove_file(link).unwrap());
    }
}

/// Copies the store to `copy` as `cp` does with these options.
fn copy(world: &World, options: &str) -> PathBuf {
    let (from, to) = (world.path("store"), world.path("copy"));
    assert!(Command::new("cp").arg(options).args([&from, &to]).status().unwrap().success());
    to
}

#[test]
fn a_store_that_was_copied_without_its_links_loses_nothing_and_a_run_sets_them_again() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    let copy = copy(&world, "-a");
    unlink(&copy, None);
    let whole = all(&copy);
    assert_eq!(whole.len(), 14);
    world.events();
    let store = ["--store", "copy"];
    for gc in [["gc", "--dry-run"].as_slice(), &["gc"], &["gc", "--max-size", "0"], &["gc", "--experiment", "full"]] {
        let refused = world.camflow(&[gc, &store].concat()).with(69);
        for said in ["nothing was removed", "train-cam", "`camflow run --manifest pipeline.toml --store copy`"] {
            assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
        }
        assert_eq!(all(&copy), whole, "{gc:?}");
    }
    assert!(world.camflow(&[&["verify"], &store[..]].concat()).with(0).stdout.contains("14 artifacts are whole"));
    world.camflow(&[&["run"], &store[..]].concat()).with(0);
    assert_eq!(world.ran(), [""; 0], "the cure computes nothing");
    let after = answer(&world, &[&["gc"], &store[..]].concat());
    assert_eq!((&after["removed"], &after["kept"]), (&json!([]), &json!(14)));
}

#[test]
fn what_the_manifest_describes_stays_without_a_link() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.camflow(&["run", "--set", "evaluate.value=9"]).with(0);
    // One experiment's links are lost, the other's lead elsewhere than the manifest.
    for stage in STAGES {
        fs::remove_file(world.path("store").join(stage).join("latest@baseline")).unwrap();
    }
    let whole = all(&world.path("store"));
    let gone = answer(&world, &["gc"])["removed"].as_array().unwrap().clone();
    assert_eq!(gone.len(), 1, "that of `baseline` with the other value: {gone:?}");
    assert_eq!(all(&world.path("store")).len(), whole.len() - 1);
    assert!(world.camflow(&["plan"]).with(0).stdout.contains("\n0 to run"));
}

#[test]
fn a_stage_without_a_link_is_refused_although_the_manifest_has_other_parameters_or_no_such_stage() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    unlink(&world.path("store"), Some("evaluate"));
    let other = ["--set", "evaluate.value=9"];
    let refused = world.camflow(&[&["gc"], &other[..]].concat()).with(69);
    assert!(refused.stderr.contains("artifacts of evaluate and no"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--store store --set 'evaluate.value=9'`"), "{}", refused.stderr);
    world.camflow(&[&["run"], &other[..]].concat()).with(0);
    world.camflow(&["gc"]).with(0);

    drop(world.by_hand("judge", 1, &Contents::default()).publish(&[], BTreeMap::new(), "full").unwrap());
    let refused = world.camflow(&["gc"]).with(69);
    assert!(refused.stderr.contains("pipeline.toml has no stage judge"), "{}", refused.stderr);
    assert!(refused.stderr.contains("move store/judge away"), "{}", refused.stderr);
    fs::rename(world.path("store/judge"), world.path("judge")).unwrap();
    world.camflow(&["gc"]).with(0);
}

#[test]
fn a_copy_that_followed_the_links_is_kept_and_gets_links_again() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    let copy = copy(&world, "-rL");
    let store = ["--store", "copy"];
    let whole = all(&copy);
    assert_eq!(whole.len(), 14);
    // The manifest describes something else, so that only the directories named `latest` speak for what is there.
    let gone = answer(&world, &[&["gc", "--set", "data.value=50"], &store[..]].concat());
    assert_eq!(gone["removed"], json!([]), "{gone}");
    assert_eq!(all(&copy), whole);
    let path = world.camflow(&[&["diff", "evaluate", "evaluate@full"], &store[..]].concat()).with(0).stdout;
    assert!(path.contains("the content is the same"), "{path}");
    let verified = world.camflow(&[&["verify", "--deep"], &store[..]].concat()).with(0).stdout;
    assert!(verified.contains("14 artifacts are whole, 0 damaged"), "{verified}");
    world.events();
    world.camflow(&[&["run"], &store[..]].concat()).with(0);
    assert_eq!(world.ran(), [""; 0]);
    assert!(copy.join("evaluate/latest").is_symlink() && copy.join("evaluate/latest@baseline").is_symlink());
}

#[test]
fn gc_does_not_guess_what_a_manifest_needs_that_cannot_be_planned() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    let whole = all(&world.path("store"));
    fs::create_dir(world.path("empty")).unwrap();
    let refused = world.camflow(&["gc", "--bin-dir", "empty"]).with(78);
    for said in ["nothing was removed", "cannot be planned", "has no binary in empty"] {
        assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
    }
    assert_eq!(all(&world.path("store")), whole);
}

#[test]
fn work_in_progress_and_what_it_reads_stay() {
    let world = World::new();
    let args = ["--experiment", "full", "--set", "data.value=2", "--set", "train-cam.steps=150"];
    let run = world.start(&[&["run", "--until", "train-cam"], args.as_slice()].concat());
    world.wait_for_checkpoint("train-cam");
    // The link moves away from the data that the running stage reads.
    world.camflow(&["run", "--until", "prepare-data", "--experiment", "full"]).with(0);
    let gone = answer(&world, &["gc", "--older", "0s"]);
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
    let gone = answer(&world, &["gc"]);
    let what: Vec<_> = gone["removed"].as_array().unwrap().iter().map(|gone| gone["what"].as_str().unwrap()).collect();
    for kind in ["work", "set aside", "left"] {
        assert!(what.contains(&kind), "{gone}");
    }
    let mut left: Vec<_> = fs::read_dir(world.path("store/work")).unwrap().flatten().map(|e| e.file_name()).collect();
    left.retain(|name| name != "fingerprints.json");
    left.sort();
    assert_eq!(left, ["describe.json", "runs", "set-aside", "trash"]);
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
