//! `--from`, `--until`, `--only`, `--force`, `--experiment`.

use crate::world::{STAGES, World};

#[test]
fn until_leaves_out_what_comes_after() {
    let world = World::new();
    world.camflow(&["run", "--until", "extract-msinf-cam", "--experiment", "full"]).with(0);
    assert_eq!(world.ran(), ["prepare-data full", "train-cam full", "extract-msinf-cam full"]);
}

#[test]
fn from_and_only_need_their_inputs_committed() {
    let world = World::new();
    for option in ["--from", "--only"] {
        let ended = world.camflow(&["run", option, "random-walk"]).with(69);
        assert!(ended.stderr.contains("which is not committed (first run) and not selected"), "{}", ended.stderr);
    }
    world.camflow(&["run", "--until", "train-affinity", "--experiment", "full"]).with(0);
    world.camflow(&["run", "--only", "threshold-sweep", "--experiment", "full"]).with(0);
    world.events();
    world.camflow(&["run", "--only", "random-walk", "--experiment", "full"]).with(0);
    assert_eq!(world.ran(), ["random-walk full"]);
    world.camflow(&["run", "--from", "train-deeplab", "--experiment", "full"]).with(0);
    assert_eq!(world.ran(), ["train-deeplab full", "evaluate full"]);
}

#[test]
fn force_runs_a_key_once_and_then_only_what_its_rows_change() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.events();
    let out = world.camflow(&["run", "--force", "train-cam"]).with(0).stdout;
    assert_eq!(world.ran(), ["train-cam baseline"]);
    assert!(out.contains("train-cam (baseline): forced"), "{out}");
}

#[test]
fn what_does_not_exist_is_named() {
    let world = World::new();
    let cases: [(&[&str], &str); 6] = [
        (&["run", "--from", "train-cat"], "no stage 'train-cat' in pipeline.toml; there are evaluate"),
        (&["run", "--force", "train-cat"], "no stage 'train-cat'"),
        (&["run", "--experiment", "nope"], "no experiment 'nope' in pipeline.toml; there are baseline, full"),
        (&["run", "--set", "train-cat.lr=1"], "no stage 'train-cat'"),
        (&["run", "--manifest", "other.toml"], "cannot read the manifest other.toml"),
        (&["rum"], "no command 'rum'"),
    ];
    for (args, message) in cases {
        let ended = world.camflow(args).with(78);
        assert!(ended.stderr.contains(message), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("camflow: "), "{}", ended.stderr);
    }
    assert_eq!(world.ran(), [""; 0]);
}

#[test]
fn a_wrong_command_line_ends_with_78_and_starts_nothing() {
    let world = World::new();
    let wrong: [&[&str]; 14] = [
        &[],
        &["run", "--frobnicate"],
        &["run", "evaluate"],
        &["run", "--jobs", "0"],
        &["run", "--jobs", "many"],
        &["run", "--only", "train-cam", "--from", "train-cam"],
        &["run", "--set"],
        &["explain"],
        &["diff", "evaluate"],
        &["diff", "evaluate", "evaluate", "--limit", "-1"],
        &["accept", "train-cam"],
        &["gc", "--max-size", "much"],
        &["gc", "--older", "5 parsecs"],
        &["dag", "--dot", "--json"],
    ];
    for args in wrong {
        let ended = world.camflow(args).with(78);
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{args:?}: {}", ended.stdout);
    }
    for args in [["--help"].as_slice(), &["--version"], &["help", "run"]] {
        let ended = world.camflow(args).with(0);
        assert!(!ended.stdout.is_empty() && ended.stderr.is_empty(), "{args:?}: {}", ended.stderr);
    }
    assert_eq!(world.events(), [""; 0]);
    assert!(!world.path("store").exists());
}

#[test]
fn a_manifest_that_cannot_work_starts_nothing() {
    let cases = [
        // a circle
        ("[stage.prepare-data]", "[stage.prepare-data]\nneeds = [\"evaluate\"]", "need each other"),
        // a need without a stage
        ("[\"prepare-data\", \"train-cam\"]", "[\"prepare-data\", \"train-cat\"]", "train-cat"),
        // a need that the stage cannot do without
        (
            "[\"prepare-data\", \"train-cam\"]",
            "[\"prepare-data\"]",
            "reads the file 'train-cam.mark', which none of its needs holds; add 'train-cam'\n",
        ),
        // a stage without a binary
        ("[stage.evaluate]", "[stage.judge]\nvalue = 1\n[stage.evaluate]", "stage 'judge' has no binary"),
        // a parameter that the last stage does not know: found by its --check before the first starts
        (
            "needs = [\"prepare-data\", \"threshold-sweep\"",
            "valeu = 1\nneeds = [\"prepare-data\", \"threshold-sweep\"",
            "valeu",
        ),
    ];
    for (from, to, message) in cases {
        let world = World::new();
        world.edit(from, to);
        let ended = world.camflow(&["run"]).with(78);
        assert!(ended.stderr.contains(message), "{message}: {}", ended.stderr);
        assert_eq!(world.ran(), [""; 0]);
    }
}

#[test]
fn every_stage_that_runs_is_checked_first() {
    let world = World::new();
    world.camflow(&["run", "--experiment", "full"]).with(0);
    let events = world.events();
    let first = events.iter().position(|event| event.starts_with("run")).unwrap();
    let mut checked: Vec<_> = events[..first].iter().filter_map(|event| event.strip_prefix("check ")).collect();
    checked.sort_unstable();
    let mut expected = STAGES.map(|stage| format!("{stage} full"));
    expected.sort_unstable();
    assert_eq!(checked, expected);
}
