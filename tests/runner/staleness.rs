//! What runs again, and what does not.

use std::fs;

use crate::world::{STAGES, World};

fn of(experiment: &str, stages: &[&str]) -> Vec<String> {
    stages.iter().map(|stage| format!("{stage} {experiment}")).collect()
}

#[test]
fn the_first_run_runs_everything_in_order_and_equal_keys_once() {
    let world = World::new();
    world.camflow(&["run"]).with(0).shows("run_first");
    assert_eq!(world.ran(), [of("baseline", &STAGES), of("full", &STAGES[2..])].concat());
}

#[test]
fn the_second_run_starts_no_process() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.events();
    world.camflow(&["run"]).with(0).shows("run_again");
    assert_eq!(world.events(), [""; 0]);
}

#[test]
fn a_replaced_binary_describes_itself_again() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    let binary = world.bin().join("evaluate");
    let real = fs::canonicalize(&binary).unwrap();
    fs::remove_file(&binary).unwrap();
    fs::copy(real, &binary).unwrap();
    world.events();
    world.camflow(&["run"]).with(0);
    assert_eq!(world.events(), ["describe evaluate -"]);
}

#[test]
fn a_parameter_reruns_exactly_what_depends_on_it() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.events();
    world.edit(
        "[stage.train-affinity]\nneeds = [\"prepare-data\", \"extract-msinf-cam\"]\nvalue = 1",
        "[stage.train-affinity]\nneeds = [\"prepare-data\", \"extract-msinf-cam\"]\nvalue = 3",
    );
    world.camflow(&["run"]).with(0).shows("run_a_parameter");
    let below = ["train-affinity", "random-walk", "train-deeplab", "evaluate"];
    assert_eq!(world.ran(), [of("baseline", &below), of("full", &below)].concat());
}

#[test]
fn going_back_finds_what_was_committed() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.camflow(&["run", "--set", "evaluate.value=4"]).with(0);
    world.events();
    world.camflow(&["run"]).with(0);
    assert_eq!(world.ran(), [""; 0]);
}

#[test]
fn the_same_rows_stop_a_rerun() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.events();
    world.camflow(&["run", "--set", "train-cam.value=11"]).with(0).shows("run_the_same_rows");
    assert_eq!(world.ran(), ["train-cam baseline"]);
    world.camflow(&["run", "--set", "train-cam.value=20"]).with(0);
    assert_eq!(world.ran().len(), 13);
    world.camflow(&["run", "--set", "train-cam.value=30"]).with(0).shows("run_other_rows");
}

#[test]
fn a_parameter_of_execution_reruns_nothing() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.events();
    world.camflow(&["run", "--set", "train-cam.steps=7"]).with(0);
    assert_eq!(world.events(), [""; 0]);
}

#[test]
fn a_file_from_outside_counts_by_its_content() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.events();
    fs::copy(world.path("input.txt"), world.path("moved.txt")).unwrap();
    world.camflow(&["run", "--set", "data.file=moved.txt"]).with(0);
    assert_eq!(world.ran(), [""; 0]);
    fs::write(world.path("input.txt"), "PHOTOGRAPHS").unwrap();
    let out = world.camflow(&["run"]).with(0).stdout;
    // The fake looks at its length only: other content, the same rows.
    assert_eq!(world.ran(), ["prepare-data baseline"]);
    assert!(out.contains("content of file changed"), "{out}");
}

#[test]
fn a_seed_reruns_what_draws_random_numbers() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.events();
    let out = world.camflow(&["run", "--set", "pipeline.seed=2"]).with(0).stdout;
    let seeded = [
        "train-cam baseline",
        "train-affinity baseline",
        "train-deeplab baseline",
        "train-affinity full",
        "train-deeplab full",
    ];
    assert_eq!(world.ran(), seeded);
    assert!(out.contains("seed 1 -> 2 (--set pipeline.seed=2)"), "{out}");
}

#[test]
fn links_say_what_the_manifest_last_resolved_to() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    let links = |stage: &str| {
        let dir = world.path("store").join(stage);
        [dir.join("latest"), dir.join("latest@baseline")].map(|link| fs::read_link(link).ok())
    };
    let [main, baseline] = links("train-cam");
    assert!(main.is_some() && main == baseline);
    let [main, baseline] = links("evaluate");
    assert!(main.is_some() && baseline.is_some() && main != baseline);
    assert!(!world.path("store/evaluate/latest@full").exists());
}

#[test]
fn a_run_in_this_process_does_the_same() {
    let world = World::new();
    let options = runner::RunOptions {
        source: runner::PipelineSource {
            manifest: world.path("pipeline.toml"),
            sets: vec![format!("data.file={}", world.path("input.txt").display())],
            store: Some(world.path("elsewhere")),
            bin_dir: Some(world.bin()),
            ..Default::default()
        },
        selection: runner::Selection::default(),
        jobs: 1,
        pull: None,
        interrupt: runner::Interrupt::default(),
        json: false,
    };
    let mut out = Vec::new();
    let summary = runner::run(&options, &mut out).unwrap();
    assert_eq!((summary.ran, summary.outcomes.len()), (14, 16));
    assert_eq!(runner::run(&options, &mut out).unwrap().ran, 0);
}

#[test]
fn a_change_that_hides_its_time_and_size_is_seen() {
    let world = World::new();
    let file = world.path("input.txt");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
    let set_time = || fs::File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
    set_time();
    // Old enough for its digest to be remembered.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    world.camflow(&["run"]).with(0);
    world.camflow(&["plan"]).with(0);
    fs::write(&file, "photographs".to_uppercase()).unwrap();
    set_time();
    let plan = world.camflow(&["plan"]).with(0).stdout;
    assert!(plan.contains("content of file changed"), "{plan}");
}

#[test]
fn what_a_stage_does_not_read_of_an_input_reruns_nothing() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.events();
    // As a corrected mask: another file of prepare-data, which two stages read, and the rows that the others read.
    let masks = ["--set", "data.masks=1"];
    let explained = world.camflow(&[&["explain", "threshold-sweep"], &masks[..]].concat()).with(0).stdout;
    assert!(explained.contains("input prepare-data is computed first"), "{explained}");
    world.camflow(&[&["run"], &masks[..]].concat()).with(0).shows("run_other_masks");
    let scoring = ["threshold-sweep", "evaluate"];
    assert_eq!(
        world.ran(),
        [of("baseline", &["prepare-data"]), of("baseline", &scoring), of("full", &scoring)].concat()
    );
    world.camflow(&[&["run"], &masks[..]].concat()).with(0);
    assert_eq!(world.events(), [""; 0]);
    // As a corrected label: what trains reads it.
    world.camflow(&["run", "--set", "data.masks=1", "--set", "data.value=2"]).with(0);
    assert_eq!(world.ran().len(), 14);
}

#[test]
fn what_differs_of_an_input_is_told_in_words() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.camflow(&["run", "--until", "prepare-data", "--set", "data.masks=1"]).with(0);
    let args = ["--experiment", "full", "--set", "data.masks=1"];
    let said = "the file 'prepare-data.masks' of prepare-data changed";
    let explained = world.camflow(&[&["explain", "evaluate"], &args[..]].concat()).with(0).stdout;
    assert!(explained.contains(said), "{explained}");
    let plan = world.camflow(&[&["plan"], &args[..]].concat()).with(0).stdout;
    assert_eq!(plan.matches(said).count(), 2, "{plan}");
    world.camflow(&[&["run"], &args[..]].concat()).with(0);
    let diff = world.camflow(&["diff", "evaluate@baseline", "evaluate@full"]).with(0).stdout;
    assert!(diff.contains("\nthe file 'prepare-data.masks' of prepare-data differs\n"), "{diff}");
}
