//! A stage that the project does not have: a program in a temporary directory and a table of the manifest.

use std::path::{Path, PathBuf};

use artifact::Artifact;
use artifact::table::{LabelRow, ScoreRow};
use runner::OutcomeState;

use crate::world::World;

/// DeepLab learns from the smoothed labels, and both kinds of labels are scored.
const SMOOTHED: &str = r#"
[stage.smooth]
needs = ["random-walk"]
radius = 1

[experiment.smoothed]
targets = ["evaluate"]
train-cam.terms = ["cls"]
train-deeplab.needs = ["prepare-data", "smooth", "train-cam"]
evaluate.needs = ["prepare-data", "random-walk", "smooth", "train-deeplab"]
evaluate.deeplab_crf.iterations = 0
evaluate.chosen_on_ground_truth = ["random-walk.alpha", "smooth.radius", "train-deeplab.loop.epochs"]
"#;

/// The program, which the tests of this package build beside themselves.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join("examples/smooth");
    assert!(program.is_file(), "{} is not built: run `cargo test -p stages`", program.display());
    program
}

fn world() -> World {
    let mut world = World::with_experiments(SMOOTHED);
    world.add_stage("smooth", &program());
    world
}

fn rows<R: artifact::Row>(artifact: &Artifact) -> Vec<R> {
    artifact.rows::<R>(&[]).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn its_labels_are_scored_under_its_name_and_learned_from() {
    let world = world();
    let summary = world.run_experiment("smoothed", &[]);
    assert!(summary.outcomes.iter().any(|outcome| outcome.stage == "smooth"), "{summary}");
    let of = |stage: &str| world.latest_of(stage, Some("smoothed"));
    let (walked, smooth): (Vec<LabelRow>, Vec<LabelRow>) = (rows(&of("random-walk")), rows(&of("smooth")));
    assert!(walked.iter().map(|row| &row.image_id).eq(smooth.iter().map(|row| &row.image_id)));
    assert!(walked.iter().all(|row| row.source == "random-walk") && smooth.iter().all(|row| row.source == "smooth"));

    let inputs = of("train-deeplab").record().preimage.inputs.clone();
    assert_eq!(inputs.keys().collect::<Vec<_>>(), ["prepare-data", "smooth", "train-cam"]);
    assert!(of("smooth").record().gives(&inputs["smooth"]));

    let scores: Vec<ScoreRow> = rows(&of("evaluate"));
    let scored: Vec<_> =
        scores.iter().map(|row| (row.stage.as_str(), row.split.as_str(), row.chosen.as_str())).collect();
    let expected = [
        ("random-walk", "train", "random-walk.alpha"),
        ("smooth", "train", "random-walk.alpha; smooth.radius"),
        ("train-deeplab", "val", "random-walk.alpha; smooth.radius; train-deeplab.loop.epochs"),
    ];
    assert_eq!(scored, expected);
    assert_eq!(scores[1].key, of("smooth").record().key.as_str());
    let predicted: Vec<LabelRow> = rows(&of("evaluate"));
    assert!(!predicted.is_empty() && predicted.iter().all(|row| row.source == "train-deeplab"));
    the_runner_knows_it(&world);
}

/// Its key is computed, explained, verified and rerun like any other's.
fn the_runner_knows_it(world: &World) {
    let source = world.source(&[], vec!["smoothed".to_owned()]);
    let mut said = Vec::new();
    let verified = runner::verify(&source, true, false, &mut said).unwrap();
    assert!(verified.damaged.is_empty(), "{}", String::from_utf8_lossy(&said));
    let explained = runner::explain(&source, "smooth", false, &mut said).unwrap();
    assert_eq!(explained.digest, Some(world.latest_of("smooth", Some("smoothed")).record().digest.clone()));
    assert_eq!(world.run_experiment("smoothed", &[]).ran, 0);
    // Radius 0 leaves every label as it is.
    let again = world.run_experiment("smoothed", &["smooth.radius=0"]);
    let ran: Vec<_> = again.outcomes.iter().filter(|outcome| outcome.state == OutcomeState::Ran).collect();
    assert_eq!(ran[0].stage, "smooth");
    let of = |stage: &str| world.latest_of(stage, Some("smoothed"));
    let labels = |artifact: &Artifact| rows::<LabelRow>(artifact).into_iter().map(|row| row.label).collect::<Vec<_>>();
    assert_eq!(labels(&of("smooth")), labels(&of("random-walk")));
    let scores: Vec<ScoreRow> = rows(&of("evaluate"));
    assert!((scores[0].miou - scores[1].miou).abs() < 1e-12, "the same labels have the same score");
}

#[test]
fn of_two_stages_that_write_labels_one_must_be_named() {
    let world = world();
    let needs = |needs: &str| world.refused("smoothed", &[&format!("experiment.smoothed.train-deeplab.needs={needs}")]);
    let both = needs(r#"["prepare-data", "random-walk", "smooth", "train-cam"]"#);
    let expected = "'train-deeplab' reads the table 'label' of one stage, but both 'random-walk' and 'smooth' hold it";
    assert!(both.contains(expected), "{both}");
    let neither = needs(r#"["prepare-data", "train-cam"]"#);
    // What evaluate predicts are labels too, but it is computed from train-deeplab.
    let expected =
        "'train-deeplab' reads the table 'label', which none of its needs holds; add 'random-walk' or 'smooth'";
    assert!(neither.contains(expected) && !neither.contains("'evaluate'"), "{neither}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let world = World::with_experiments(SMOOTHED);
    let said = world.refused("smoothed", &[]);
    assert!(said.contains("stage 'smooth' has no binary"), "{said}");
}
