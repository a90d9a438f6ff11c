//! `plan --units`: what is to run, for another engine than camflow's own.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use crate::peers;
use crate::world::World;

fn units(world: &World, arguments: &[&str]) -> Vec<Value> {
    let said = world.camflow(&[&["plan", "--units"], arguments].concat()).with(0).stdout;
    said.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn text<'a>(unit: &'a Value, field: &str) -> &'a str {
    unit[field].as_str().unwrap_or_default()
}

#[test]
fn units_that_are_run_in_their_order_compute_what_a_run_computes() {
    let world = World::new();
    let units = units(&world, &["--shards", "3"]);
    let shards: Vec<_> = units.iter().filter(|unit| !unit["shard"].is_null()).collect();
    assert_eq!(shards.len(), 6, "three of extract-msinf-cam in each experiment");
    assert_eq!(text(shards[1], "name"), "extract-msinf-cam@baseline:1/3");
    let mut done = BTreeSet::new();
    for unit in &units {
        let needs = unit["needs"].as_array().expect("a list");
        assert!(needs.iter().all(|need| done.contains(need.as_str().unwrap())), "{unit} comes after what it needs");
        let words: Vec<&str> = unit["command"].as_array().expect("words").iter().filter_map(Value::as_str).collect();
        let status = Command::new(words[0]).args(&words[1..]).current_dir(world.path(".")).status();
        assert!(status.expect("the stage starts").success(), "{unit}");
        done.insert(text(unit, "name").to_owned());
    }
    assert!(world.camflow(&["run"]).with(0).stdout.contains("nothing to run"));
}

#[test]
fn units_know_the_keys_of_inputs_that_are_committed_and_leave_out_what_is() {
    let world = World::new();
    world.camflow(&["run", "--until", "train-cam"]).with(0);
    let units = units(&world, &["--experiment", "full"]);
    assert_eq!(text(&units[0], "name"), "extract-msinf-cam@full");
    assert!(text(&units[0]["inputs"], "train-cam").len() == 64, "{}", units[0]);
    assert!(!units[0]["key"].is_null() && units[0]["needs"].as_array().unwrap().is_empty());
    assert!(units[1]["key"].is_null() && units[1]["inputs"]["extract-msinf-cam"].is_null(), "{}", units[1]);
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn hyperqueue_runs_them() {
    let world = World::new();
    // The script runs in another directory.
    let place = |name: &str| world.path(name).to_string_lossy().into_owned();
    let (manifest, store, file) = (place("pipeline.toml"), place("store"), place("input.txt"));
    let set = format!("data.file={file}");
    let pipeline = ["--manifest", &manifest, "--store", &store, "--set", &set];
    let said = world.camflow(&[&["plan", "--units", "--shards", "4"], &pipeline[..]].concat()).with(0).stdout;
    let printed = peers::python("../slurm/run_units.py", &[], &said);
    assert!(printed.ends_with(&format!("{} units were run\n", said.lines().count())), "{printed}");
    assert!(world.camflow(&[&["run"], &pipeline[..]].concat()).with(0).stdout.contains("nothing to run"));
}
