//! "The same result" under a new version of a stage.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use serde_json::Value;

use crate::world::World;

const REASON: &str = "only the wording of its log changed";

#[test]
fn the_result_of_an_earlier_version_is_taken_over_and_nothing_below_runs() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    let before = world.artifact("extract-msinf-cam");
    world.raise_version("extract-msinf-cam", 2);
    world.camflow(&["plan"]).with(0).shows("plan_of_another_version");
    world.events();
    world.camflow(&["accept", "extract-msinf-cam", "--reason", REASON]).with(0).shows("accept");
    let from = before.file_name().unwrap().to_str().unwrap();
    let plan = world.camflow(&["plan"]).with(0).stdout;
    assert!(plan.contains("\n0 to run"), "{plan}");
    world.camflow(&["run"]).with(0);
    assert_eq!(world.ran(), [""; 0]);

    let after = world.artifact("extract-msinf-cam");
    assert_ne!(before, after);
    let record: Value = serde_json::from_slice(&fs::read(after.join("artifact.json")).unwrap()).unwrap();
    let edge = &record["provenance"]["accepted"][0];
    assert!(edge["from"].as_str().unwrap().starts_with(from), "{edge}");
    assert_eq!((&edge["reason"], &edge["version"]), (&Value::from(REASON), &Value::from(1)));
    assert!(edge["at"].is_string() && edge["by"].is_string());
    let part = |dir: &std::path::Path| fs::metadata(dir.join("data/part-00000-of-00004.parquet")).unwrap().ino();
    assert_eq!(part(&before), part(&after), "the files are shared");
    let log = |dir: &std::path::Path| fs::metadata(dir.join("log.jsonl")).unwrap().ino();
    assert_ne!(log(&before), log(&after), "but what is appended to is not");

    let explained = world.camflow(&["explain", "extract-msinf-cam"]).with(0).shows("explain_accepted").stdout;
    assert!(explained.contains(&format!("accepted from {from} (version 1) by ")), "{explained}");
    world.camflow(&["status"]).with(0).shows("status_accepted");
    let [a, b] = [format!("extract-msinf-cam:{from}"), "extract-msinf-cam".to_owned()];
    world.camflow(&["diff", &a, &b]).with(0).shows("diff_accepted");
}

#[test]
fn accepting_twice_or_again_at_the_next_version_keeps_the_whole_history() {
    let world = World::new();
    world.camflow(&["run", "--experiment", "full"]).with(0);
    for version in [2, 3] {
        world.raise_version("train-cam", version);
        let accept = ["accept", "train-cam", "--reason", REASON, "--experiment", "full"];
        world.camflow(&accept).with(0);
        world.camflow(&accept).with(0).shows("accept_again");
    }
    let record = fs::read(world.artifact("train-cam").join("artifact.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let versions = record["provenance"]["accepted"].as_array().unwrap().iter().map(|edge| &edge["version"]);
    assert_eq!(versions.collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn whatever_else_differs_is_named_and_refused() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.raise_version("train-cam", 2);
    let set = ["--set", "train-cam.value=12"];
    let accept = [&["accept", "train-cam", "--reason", REASON], set.as_slice()].concat();
    world.camflow(&accept).with(78).complains("accept_refused");
    world.camflow(&["accept", "train-cam", "--reason", " "]).with(78);
    world.camflow(&["accept", "train-cam"]).with(78);
    world.camflow(&["accept", "nothing", "--reason", REASON]).with(78);
    // What comes after is not known while an input is neither run nor accepted.
    world.raise_version("evaluate", 2);
    world.camflow(&["accept", "evaluate", "--reason", REASON]).with(69);
    // Nothing was committed by any of these.
    world.camflow(&["path", "train-cam"]).with(69);
}

#[test]
fn an_older_version_and_a_damaged_artifact_are_no_result_to_accept() {
    let world = World::new();
    world.camflow(&["run", "--until", "train-cam"]).with(0);
    let part = world.artifact("train-cam").join("data/part-00000-of-00001.parquet");
    world.raise_version("train-cam", 0);
    let refused = world.camflow(&["accept", "train-cam", "--reason", REASON]).with(78);
    assert!(refused.stderr.contains("went from 1 to 0"), "{}", refused.stderr);
    world.raise_version("train-cam", 2);
    let mut bytes = fs::read(&part).unwrap();
    bytes[10] ^= 1;
    fs::write(&part, bytes).unwrap();
    let refused = world.camflow(&["accept", "train-cam", "--reason", REASON]).with(69);
    assert!(refused.stderr.contains("its digest differs"), "{}", refused.stderr);
    world.camflow(&["accept", "random-walk", "--reason", REASON]).with(69);
}
