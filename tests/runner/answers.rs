//! explain, plan, status, dag, metrics, logs, and the hand-over to other programs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::world::World;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn explain_names_value_line_and_the_stage_that_causes_it() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.edit("value = 10", "value = 20");
    world.camflow(&["explain", "train-affinity"]).with(0).shows("explain_stale_upstream");
    world.camflow(&["explain", "train-cam", "--set", "train-cam.value=30"]).with(0).shows("explain_set");
    let all = json(&world.camflow(&["explain", "train-cam", "--json"]).with(0).stdout);
    assert_eq!(all["reasons"][0]["field"], "params.value");
    assert_eq!(all["state"], "ready");
}

#[test]
fn explain_of_a_committed_stage_shows_what_made_its_key() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    let explain = ["explain", "extract-msinf-cam", "--experiment", "baseline"];
    world.camflow(&explain).with(0).shows("explain_committed");
    world.camflow(&["explain", "nothing"]).with(78);
}

#[test]
fn explain_compares_with_the_nearest() {
    let world = World::new();
    world.camflow(&["run", "--until", "train-cam"]).with(0);
    world
        .camflow(&["run", "--until", "train-cam", "--set", "train-cam.value=90", "--set", "train-cam.round=5"])
        .with(0);
    world.camflow(&["explain", "train-cam", "--set", "train-cam.value=11"]).with(0).shows("explain_nearest");
}

#[test]
fn plan_says_what_why_and_what_is_shared() {
    let world = World::new();
    world.camflow(&["plan"]).with(0).shows("plan_first");
    world.camflow(&["run"]).with(0);
    world.events();
    world.camflow(&["plan", "--set", "train-cam.value=30"]).with(0).shows("plan_stale");
    let plan = json(&world.camflow(&["plan", "--json", "--set", "evaluate.value=9"]).with(0).stdout);
    let steps = plan["steps"].as_array().unwrap();
    let stale: Vec<_> = steps.iter().filter(|step| step["state"] != "cached").map(|step| &step["stage"]).collect();
    assert_eq!(stale, ["evaluate", "evaluate"]);
    assert!(steps[7]["last_seconds"].is_number());
    assert_eq!(world.events(), [""; 0]);
}

#[test]
fn status_metrics_path_and_log_say_what_there_is() {
    let world = World::new();
    world.camflow(&["run", "--set", "train-cam.steps=2", "--set", "train-cam.chatty=true"]).with(0);
    world.camflow(&["status"]).with(0).shows("status");
    world.camflow(&["metrics"]).with(0).shows("metrics");
    world.camflow(&["path", "train-cam"]).with(0).shows("path");
    world.camflow(&["logs", "train-cam"]).with(0).shows("logs");
    let stale = ["--set", "evaluate.value=9"];
    world.camflow(&[&["status"], &stale[..]].concat()).with(0).shows("status_stale");
    world.camflow(&[&["path", "evaluate"], &stale[..]].concat()).with(69).complains("path_stale");
}

#[test]
fn status_metrics_and_summary_speak_json() {
    let world = World::new();
    let run = world.camflow(&["run", "--json"]).with(0);
    let summary = json(&run.stdout);
    assert_eq!(summary["ran"], 14);
    assert_eq!(summary["outcomes"][8]["state"], "cached");
    assert!(summary["metrics"]["full"]["cam.train.miou"].is_number());
    let status = json(&world.camflow(&["status", "--json"]).with(0).stdout);
    assert!(status.as_array().unwrap().iter().all(|line| line["state"] == "cached" && line["bytes"].is_u64()));
    let metrics = json(&world.camflow(&["metrics", "--json"]).with(0).stdout);
    assert_eq!(metrics.as_array().unwrap().len(), 16);
}

#[test]
fn the_dag_is_a_tree_or_a_graph() {
    let world = World::new();
    world.camflow(&["dag"]).with(0).shows("dag");
    world.camflow(&["dag", "--dot"]).with(0).shows("dag_dot");
}

#[test]
fn another_command_is_another_program() {
    let world = World::new();
    let program = world.bin().join("camflow-hello");
    fs::write(&program, "#!/bin/sh\necho \"hello $@\"\nexit 3\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", world.bin().display(), std::env::var("PATH").unwrap());
    let output = world.command(&["hello", "--store", "x", "y z"]).env("PATH", path).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), "hello --store x y z\n".as_bytes()));
}

#[test]
fn help_documents_the_exit_codes() {
    let world = World::new();
    for args in [["--help"].as_slice(), &["run", "--help"]] {
        let help = world.camflow(args).with(0).stdout;
        assert!(help.contains("75  stopped by a signal with a checkpoint"), "{help}");
    }
}

#[test]
fn every_command_speaks_json() {
    let world = World::new();
    json(&world.camflow(&["run", "--json"]).with(0).stdout);
    let dag = json(&world.camflow(&["dag", "--json"]).with(0).stdout);
    assert_eq!(dag[1]["needs"], serde_json::json!(["prepare-data"]));
    let path = json(&world.camflow(&["path", "evaluate", "--json"]).with(0).stdout);
    assert!(world.path(path["path"].as_str().unwrap()).join("artifact.json").is_file());
    for args in [
        ["plan"].as_slice(),
        &["status"],
        &["metrics"],
        &["explain", "evaluate"],
        &["diff", "evaluate@baseline", "evaluate"],
        &["verify"],
        &["verify", "--deep"],
        &["pin", "evaluate"],
        &["gc"],
        &["unpin", "evaluate"],
        &["accept", "evaluate", "--reason", "nothing changed"],
    ] {
        json(&world.camflow(&[args, &["--json"]].concat()).with(0).stdout);
    }
    let log = world.camflow(&["logs", "evaluate", "--json"]).with(0).stdout;
    log.lines().for_each(|line| drop(json(line)));
    world.camflow(&["dag", "--dot", "--json"]).with(78);
}

#[test]
fn a_plan_estimates_from_the_nearest_artifact_and_says_the_total() {
    let world = World::new();
    world.camflow(&["run", "--set", "train-cam.steps=20"]).with(0);
    // Further from what is asked for below, and newer.
    world
        .camflow(&["run", "--until", "train-cam", "--set", "train-cam.value=90", "--set", "train-cam.round=1"])
        .with(0);
    let plan = json(&world.camflow(&["plan", "--json", "--set", "train-cam.value=30"]).with(0).stdout);
    let train = plan["steps"].as_array().unwrap().iter().find(|step| step["stage"] == "train-cam").unwrap();
    let seconds = train["last_seconds"].as_f64().unwrap();
    assert!(seconds > 0.2, "20 steps of 10 ms: {seconds}");
    assert!(plan["estimated_seconds"].as_f64().unwrap() >= seconds);
    assert_eq!(plan["unknown"], 0);
}
