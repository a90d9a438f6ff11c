//! `run --pull`, `status --remote` and `gc --pushed`, on fake stages and a remote that is a directory.

use std::fs;

use serde_json::Value;

use crate::world::{STAGES, World, flip};

/// A world with a store of which all is pushed, and `[pipeline] remote`.
fn pushed() -> World {
    let world = World::new();
    fs::create_dir(world.path("remote")).unwrap();
    world.edit("device = \"cpu\"", "device = \"cpu\"\nremote = \"remote\"");
    world.camflow(&["run"]).with(0);
    world.camflow(&["push"]).with(0);
    world.events();
    world
}

fn json(world: &World, args: &[&str]) -> Value {
    serde_json::from_str(&world.camflow(&[args, &["--json"]].concat()).with(0).stdout).unwrap()
}

#[test]
fn another_store_pulls_all_and_trains_nothing() {
    let world = pushed();
    let summary = json(&world, &["run", "--pull", "--store", "other"]);
    assert_eq!(world.ran(), Vec::<String>::new());
    // Both experiments share the first two stages.
    assert_eq!((summary["ran"].as_u64(), summary["pulled"].as_u64()), (Some(0), Some(14)));
    let states = summary["outcomes"].as_array().unwrap();
    assert!(states.iter().filter(|outcome| outcome["state"] == "pulled").count() == 14, "{summary}");
    for stage in STAGES {
        for link in ["latest", "latest@baseline"] {
            let [a, b] =
                ["store", "other"].map(|store| fs::read_link(world.path(store).join(stage).join(link)).unwrap());
            assert_eq!(a, b, "{stage}/{link}");
        }
    }
    let again = world.camflow(&["run", "--pull", "--store", "other"]).with(0).stdout;
    assert!(again.contains("nothing to run"), "{again}");
    world.camflow(&["verify", "--deep", "--store", "other"]).with(0);
    // What is told to run runs.
    world.camflow(&["run", "--pull", "--store", "other", "--force", "evaluate", "--experiment", "full"]).with(0);
    assert_eq!(world.ran(), ["evaluate full"]);
}

#[test]
fn what_the_remote_lacks_is_computed_and_what_stands_on_it_pulled_where_the_rows_are_the_same() {
    let world = pushed();
    // Another key of train-cam, with the same rows.
    let set = ["--set", "train-cam.value=12"];
    world.camflow(&[&["run", "--pull", "--store", "other", "--experiment", "full"][..], &set].concat()).with(0);
    assert_eq!(world.ran(), ["train-cam full"]);
}

#[test]
fn what_is_damaged_on_the_remote_is_said_and_computed() {
    let world = pushed();
    let key = fs::read_link(world.path("store/train-cam/latest")).unwrap();
    let copy = fs::read_dir(world.path("remote/train-cam").join(key)).unwrap().next().unwrap().unwrap().path();
    flip(&copy);
    let ran = world.camflow(&["run", "--pull", "--store", "other", "--experiment", "full"]).with(0);
    assert!(ran.stderr.contains("is damaged") && ran.stderr.contains("--repair"), "{}", ran.stderr);
    assert_eq!(world.ran(), ["train-cam full"]);
    world.camflow(&["verify", "--deep", "--store", "other"]).with(0);
}

#[test]
fn a_remote_that_cannot_be_asked_fails_before_anything_is_computed() {
    let world = World::new();
    world.camflow(&["run", "--pull"]).with(78);
    let nowhere = world.camflow(&["run", "--pull", "--remote", "nowhere"]).with(78);
    assert!(nowhere.stderr.contains("no such directory"), "{}", nowhere.stderr);
    assert_eq!(world.ran(), Vec::<String>::new());
    fs::create_dir(world.path("empty")).unwrap();
    world.camflow(&["run", "--pull", "--remote", "empty", "--until", "prepare-data"]).with(0);
    assert_eq!(world.ran(), ["prepare-data baseline"], "nothing was pushed there yet, so it is computed");
}

#[test]
fn status_says_who_holds_what_only_when_it_is_asked() {
    let world = pushed();
    assert!(!world.camflow(&["status"]).with(0).stdout.contains("where"));
    world.camflow(&["run", "--set", "evaluate.value=7", "--experiment", "full"]).with(0);
    fs::remove_dir_all(world.path("store/train-deeplab")).unwrap();
    let set = ["--set", "evaluate.value=7", "--experiment", "full"];
    world.camflow(&[&["status", "--remote"][..], &set].concat()).with(0).shows("status_remote");
    let status = json(&world, &["status", "--remote", "remote", "--experiment", "full"]);
    let held: Vec<_> = status.as_array().unwrap().iter().map(|line| line["remote"].as_bool()).collect();
    assert_eq!(held.iter().filter(|held| **held == Some(true)).count(), 7, "{status}");
}

#[test]
fn gc_of_what_is_pushed_leaves_the_only_copies() {
    let world = pushed();
    for value in ["7", "8"] {
        world.camflow(&["run", "--set", &format!("evaluate.value={value}"), "--experiment", "full"]).with(0);
        if value == "7" {
            world.camflow(&["push", "--set", "evaluate.value=7"]).with(0);
        }
    }
    world.camflow(&["run"]).with(0);
    let gone = |gc: &Value| gc["removed"].as_array().unwrap().len();
    assert_eq!(gone(&json(&world, &["gc", "--dry-run"])), 2);
    let pushed = json(&world, &["gc", "--dry-run", "--pushed"]);
    assert_eq!(gone(&pushed), 1, "{pushed}");
    // One that is damaged there is not held.
    let name = pushed["removed"][0]["name"].as_str().unwrap().replace(':', "/");
    let copy = fs::read_dir(world.path("remote").join(&name)).unwrap().next().unwrap().unwrap().path();
    flip(&copy);
    assert_eq!(gone(&json(&world, &["gc", "--pushed"])), 0);
    assert!(world.path("store").join(&name).is_dir());
    flip(&copy);
    assert_eq!(gone(&json(&world, &["gc", "--pushed"])), 1);
    assert!(!world.path("store").join(&name).exists());
    world.camflow(&["gc", "--remote", "remote"]).with(78);
}
