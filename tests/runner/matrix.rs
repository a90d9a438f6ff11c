//! Experiments that need one another's artifacts, and experiments made from variants and seeds.

use artifact::Manifest;
use serde_json::Value;

use crate::world::World;

/// `tuned` goes on from the network of `full`, the main experiment.
const TUNED: &str = r#"
[experiment.full]
targets = ["train-cam"]

[experiment.tuned]
targets = ["extract-msinf-cam"]
train-cam.needs = ["prepare-data", "train-cam@full"]
train-cam.value = 50
"#;

/// Three variants at two seeds, of which two train alike and all share `base`; one experiment beside them.
const MATRIX: &str = r#"
[experiment.other]
targets = ["prepare-data"]

[matrix]
seeds = [1, 2]
targets = ["threshold-sweep"]

[matrix.variant.base]

[matrix.variant.rcm]
train-cam.needs = ["prepare-data", "train-cam@base"]
train-cam.value = 20

[matrix.variant."rcm+half"]
train-cam.needs = ["prepare-data", "train-cam@base"]
train-cam.value = 20
extract-msinf-cam.value = 3
"#;

fn matrix() -> World {
    let world = World::new();
    world.experiments(MATRIX);
    world.edit("main = \"full\"", "main = \"rcm\"");
    world
}

/// The steps of `camflow plan --json` as `train-cam rcm~1`.
fn planned(world: &World, args: &[&str]) -> Vec<String> {
    let plan = world.camflow(&[&["plan", "--json"], args].concat()).with(0).stdout;
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let named = |step: &Value| format!("{} {}", step["stage"].as_str().unwrap(), step["experiment"].as_str().unwrap());
    plan["steps"].as_array().unwrap().iter().map(named).collect()
}

#[test]
fn a_stage_of_another_experiment_comes_first_and_is_its_own() {
    let world = World::new();
    world.experiments(TUNED);
    let tuned = ["--experiment", "tuned"];
    world.camflow(&[&["run"], &tuned[..]].concat()).with(0);
    let ran = ["prepare-data tuned", "train-cam full", "train-cam tuned", "extract-msinf-cam tuned"];
    assert_eq!(world.ran(), ran);
    world.camflow(&["run"]).with(0);
    assert_eq!(world.ran(), [""; 0], "what tuned needed of full is what full is");
    let paths = [&["path", "train-cam"][..], &["path", "train-cam@full", "--experiment", "tuned"]];
    let [own, seen] = paths.map(|args| world.camflow(args).with(0).stdout);
    assert_eq!(own, seen);

    world.edit("targets = [\"train-cam\"]", "train-cam.value = 30");
    let explain = [&["explain", "extract-msinf-cam"], &tuned[..]].concat();
    world.camflow(&explain).with(0).shows("explain_another_experiment");
    world.camflow(&[&["run"], &tuned[..]].concat()).with(0);
    assert_eq!(world.ran(), ["train-cam full", "train-cam tuned", "extract-msinf-cam tuned"]);
}

#[test]
fn a_selection_means_the_experiments_own_stage() {
    let world = World::new();
    world.experiments(TUNED);
    let tuned = ["--experiment", "tuned"];
    let refused = world.camflow(&[&["run", "--only", "train-cam"], &tuned[..]].concat()).with(69);
    assert!(refused.stderr.contains("train-cam (tuned) needs prepare-data"), "{}", refused.stderr);
    world.camflow(&[&["run", "--until", "train-cam"], &tuned[..]].concat()).with(0);
    world.events();
    for stage in ["train-cam", "train-cam@full"] {
        world.camflow(&[&["run", "--force", stage], &tuned[..]].concat()).with(0);
    }
    assert_eq!(world.ran(), ["train-cam tuned", "extract-msinf-cam tuned", "train-cam full"]);
    world.camflow(&["run", "--only", "train-cam@nope", "--experiment", "tuned"]).with(78);
}

#[test]
fn the_tree_names_the_other_experiment() {
    let world = World::new();
    world.experiments(TUNED);
    world.camflow(&["dag", "--experiment", "tuned"]).with(0).shows("dag_another_experiment");
    world.camflow(&["dag", "--dot", "--experiment", "tuned"]).with(0).shows("dag_dot_another_experiment");
}

#[test]
fn needs_that_cannot_be_are_refused() {
    let of_a_variant = "[experiment.full]\ntrain-cam.needs = [\"prepare-data\", \"train-cam@base\"]\n\
                        [matrix]\nseeds = [1, 2]\n[matrix.variant.base]";
    let circle = "[experiment.full]\ntrain-cam.needs = [\"prepare-data\", \"train-cam@tuned\"]\n\
                  [experiment.tuned]\ntrain-cam.needs = [\"prepare-data\", \"train-cam@full\"]";
    let needs =
        |needs: &str| format!("[experiment.full]\n[experiment.tuned]\ntrain-cam.needs = [\"prepare-data\", {needs}]");
    let cases = [
        (circle.to_owned(), "the stages need each other: train-cam -> train-cam@full -> train-cam"),
        (needs("\"train-cam@tuned\""), "the stages need each other: train-cam -> train-cam"),
        (
            needs("\"train-cam@full\", \"train-cam\""),
            "'train-cam@full' and 'train-cam' are the same input of 'train-cam'",
        ),
        (of_a_variant.to_owned(), "'base' is a variant of the matrix; name it at one seed: base~1, base~2"),
        (needs("\"train-cam@nope\""), "needs: no experiment 'nope'"),
        (needs("\"train-cat@full\""), "names stage 'train-cat'"),
        (needs("\"evaluate@full\""), "'train-cam' has no use for 'evaluate@full'"),
    ];
    for (experiments, message) in cases {
        let world = World::new();
        world.experiments(&experiments);
        let ended = world.camflow(&["run"]).with(78);
        assert!(ended.stderr.contains(message), "{message}: {}", ended.stderr);
        assert!(ended.stderr.contains("pipeline.toml:"), "{}", ended.stderr);
        assert_eq!(world.ran(), [""; 0]);
    }
}

#[test]
fn a_matrix_runs_each_variant_at_each_seed_and_what_they_share_once() {
    let world = matrix();
    world.camflow(&["plan"]).with(0).shows("plan_matrix");
    world.camflow(&["run"]).with(0);
    let ran = [
        "prepare-data other",
        "train-cam base~1",
        "extract-msinf-cam base~1",
        "threshold-sweep base~1",
        "train-cam rcm+half~1",
        "extract-msinf-cam rcm+half~1",
        "threshold-sweep rcm+half~1",
        "extract-msinf-cam rcm~1",
        "threshold-sweep rcm~1",
        // The seed is in the keys of trainings, and the fakes' rows are the same at every seed.
        "train-cam base~2",
        "train-cam rcm+half~2",
    ];
    assert_eq!(world.ran(), ran);
    let links = world.path("store/train-cam");
    assert!(links.join("latest").exists() && links.join("latest@base~2").exists());
    assert!(!links.join("latest@rcm~1").exists(), "the main experiment is `latest`");
    world.camflow(&["run"]).with(0);
    assert_eq!(world.ran(), [""; 0]);
}

#[test]
fn a_variant_selects_its_seeds() {
    let world = matrix();
    let rcm = planned(&world, &["--experiment", "rcm"]);
    let sweeps: Vec<_> = rcm.iter().filter(|step| step.starts_with("threshold-sweep")).collect();
    assert_eq!(sweeps, ["threshold-sweep rcm~1", "threshold-sweep rcm~2"]);
    let second = planned(&world, &["--experiment", "rcm~2"]);
    assert!(
        second.contains(&"train-cam base~2".to_owned()) && !second.iter().any(|step| step.contains("~1")),
        "{second:?}"
    );
    let refused = world.camflow(&["path", "train-cam", "--experiment", "rcm"]).with(78);
    assert!(refused.stderr.contains("name it at one seed: rcm~1, rcm~2"), "{}", refused.stderr);
    world.camflow(&["run", "--experiment", "rcm~3"]).with(78);
    let one = planned(&world, &["--set", "matrix.seeds=[7]", "--experiment", "base"]);
    assert!(one.contains(&"train-cam base~7".to_owned()), "{one:?}");
}

#[test]
fn a_variant_stands_in_the_place_of_the_experiment_of_its_name() {
    let world = World::new();
    world.experiments(
        "[experiment.full]\nextract-msinf-cam.value = 2\nseed = 9\ntargets = [\"train-cam\"]\n\
         [experiment.alone]\n[matrix]\nseeds = [4, 3]\n\
         [matrix.variant.full]\ntargets = [\"extract-msinf-cam\"]\ntrain-cam.value = 5\n\
         [matrix.variant.next]",
    );
    world.edit("[stage.evaluate]", "[stage.evaluate]\nwho = \"${experiment}\"\nwhen = \"${seed}\"");
    let manifest = Manifest::load(&world.path("pipeline.toml"), &[]).unwrap();
    assert_eq!(manifest.experiments().unwrap(), ["alone", "next~4", "full~4", "next~3", "full~3"]);
    assert_eq!(manifest.main().unwrap(), "full~4");
    let plan = manifest.experiment("full~3").unwrap();
    assert_eq!((plan.name.as_str(), plan.main, plan.stages.len()), ("full~3", false, 3));
    assert_eq!(plan.stage("extract-msinf-cam").unwrap().params["value"], 2, "of the experiment");
    assert_eq!(plan.stage("train-cam").unwrap().params["value"], 5, "of the variant");
    assert_eq!(plan.stage("train-cam").unwrap().seed, 3);
    let sets = ["matrix.variant.full.targets=[\"evaluate\"]".to_owned()];
    let manifest = Manifest::load(&world.path("pipeline.toml"), &sets).unwrap();
    let evaluate = manifest.experiment("full~3").unwrap().stage("evaluate").unwrap().params.clone();
    assert_eq!((&evaluate["who"], &evaluate["when"]), (&Value::from("full"), &Value::from(3)));
    assert!(manifest.seed_place("full~3").contains("pipeline.toml:"));
}

#[test]
fn a_matrix_that_cannot_be_is_refused() {
    let variant = |name: &str| format!("[experiment.full]\n[matrix]\nseeds = [1]\n[matrix.variant.{name}]");
    let mut cases = vec![
        ("[experiment.full]\n[matrix]\nseeds = []\n[matrix.variant.a]".to_owned(), "one or more different seeds"),
        ("[experiment.full]\n[matrix]\nseeds = [1, 1]\n[matrix.variant.a]".to_owned(), "one or more different seeds"),
        ("[experiment.full]\n[matrix]\nseeds = [1]".to_owned(), "one or more different seeds and variants"),
        ("[experiment.full]\n[matrix]\nseeds = [-1]\n[matrix.variant.a]".to_owned(), "matrix.seeds: "),
        ("[experiment.full]\n[matrix]\nseed = [1]\n[matrix.variant.a]".to_owned(), "unknown entry 'seed'"),
        (variant("a]\nseed = 1\n[stage.x"), "unknown entry 'seed'"),
        (variant("a]\ntrain-cat.value = 1\n[stage.x"), "unknown entry 'train-cat'"),
        ("[experiment.full]\n[experiment.\"a/b\"]".to_owned(), "'a/b' is no name for an experiment"),
    ];
    for name in ["\"\"", "\".a\"", "\"a/b\"", "\"a b\"", "\"a@b\"", "\"a~1\"", "\"é\""] {
        cases.push((variant(name), "is no name for an experiment"));
    }
    for (experiments, message) in cases {
        let world = World::new();
        world.experiments(&experiments);
        let ended = world.camflow(&["plan"]).with(78);
        assert!(ended.stderr.contains(message), "{experiments}\n{message}: {}", ended.stderr);
    }
}
