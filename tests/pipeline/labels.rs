//! Labels only: without masks, or with few, everything runs to pseudo-labels and DeepLab, and what cannot be scored is
//! said.

use std::collections::BTreeSet;
use std::fs;

use artifact::table::{LabelRow, ScoreRow, SweepRow};
use artifact::{Artifact, Error, Row};
use runner::{Interrupt, RunOptions, Selection};
use serde_json::json;

use crate::masks::data_set;
use crate::world::World;

const EXPERIMENT: &str = "rcm+mam";

fn rows<R: Row>(artifact: &Artifact) -> Vec<R> {
    artifact.rows::<R>(&[]).unwrap().collect::<Result<_, _>>().unwrap()
}

/// What DeepLab has predicted, by image.
fn predicted(evaluated: &Artifact) -> BTreeSet<String> {
    let rows = rows::<LabelRow>(evaluated).into_iter().filter(|row| row.source == "train-deeplab");
    rows.map(|row| row.image_id.to_string()).collect()
}

#[test]
fn without_any_mask_there_are_pseudo_labels_and_a_deeplab_and_no_score() {
    let world = World::new();
    let mut sets = data_set(&world.path().join("voc"), "");
    sets.push("threshold-sweep.choose_on=0.3".to_owned());
    let sets: Vec<_> = sets.iter().map(String::as_str).collect();
    let summary = world.run_experiment(EXPERIMENT, &sets);
    let said = "not scored, as they have no mask: all 10 images of train, all 2 images of val";
    assert_eq!(summary.not_scored, [said]);
    assert!(summary.to_string().contains(said), "{summary}");
    let mut plan = Vec::new();
    let source = world.source(&sets, vec![EXPERIMENT.to_owned()]);
    runner::plan(&source, &Selection::default(), false, &mut plan).unwrap();
    assert!(String::from_utf8_lossy(&plan).ends_with(&format!("\n0 to run\n{said}\n")));

    assert_eq!(rows::<LabelRow>(&world.latest("random-walk")).len(), 10);
    let swept = world.latest("threshold-sweep");
    assert!(rows::<SweepRow>(&swept).is_empty());
    assert_eq!(swept.record().metrics["threshold"], json!(0.3));
    let evaluated = world.latest("evaluate");
    assert!(rows::<ScoreRow>(&evaluated).is_empty());
    assert_eq!(predicted(&evaluated).len(), 2);
    let metrics = &evaluated.record().metrics;
    assert_eq!((&metrics["not_scored.train"], &metrics["not_scored.val"]), (&json!(10), &json!(2)));
    assert!(fs::read_to_string(evaluated.file("log.jsonl")).unwrap().contains("\"event\":\"not_scored\""));
}

#[test]
fn a_threshold_that_should_be_chosen_on_masks_that_are_not_there_is_not_chosen() {
    let world = World::new();
    let root = world.path().join("voc");
    let sets = data_set(&root, "SegmentationClass");
    // Masks on val alone.
    for entry in fs::read_dir(root.join("SegmentationClass")).unwrap() {
        let file = entry.unwrap().path();
        if !["shapes_000011.png", "shapes_000012.png"].iter().any(|name| file.ends_with(name)) {
            fs::remove_file(file).unwrap();
        }
    }
    world.run_experiment(EXPERIMENT, &sets.iter().map(String::as_str).collect::<Vec<_>>());
    let swept = world.latest("threshold-sweep");
    assert!(!swept.record().metrics.contains_key("threshold"));
    let log = fs::read_to_string(swept.file("log.jsonl")).unwrap();
    assert!(log.contains("no image of 'train' has a mask") && log.contains("choose_on = 0.3"), "{log}");
    let scored: Vec<_> = rows::<ScoreRow>(&world.latest("evaluate")).into_iter().map(|row| row.stage).collect();
    assert!(!scored.contains(&"cam".to_owned()) && scored.contains(&"train-deeplab".to_owned()), "{scored:?}");
}

#[test]
fn a_split_that_is_not_there_is_said_before_anything_learns() {
    let world = World::new();
    let mut sets = data_set(&world.path().join("voc"), "");
    sets.push("threshold-sweep.choose_on=tarin".to_owned());
    let sets: Vec<_> = sets.iter().map(String::as_str).collect();
    // The first time the data set is imported and nothing else is begun, the second time nothing at all.
    for begun in ["nothing more was started", "nothing was started"] {
        let options = RunOptions {
            source: world.source(&sets, vec![EXPERIMENT.to_owned()]),
            selection: Selection::default(),
            jobs: 1,
            pull: None,
            interrupt: Interrupt::default(),
            json: false,
        };
        match runner::run(&options, &mut Vec::new()) {
            Err(Error::Config(said)) => assert!(said.contains(begun) && said.contains("threshold-sweep"), "{said}"),
            other => panic!("{other:?}"),
        }
        assert!(world.store().join("prepare-data").exists() && !world.store().join("train-cam").exists());
    }
    let arguments: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let key = world.latest("prepare-data").record().key.as_str().to_owned();
    let input = format!("prepare-data={key}");
    let output = world.finish("threshold-sweep", &[&arguments[..], &["--check", "--input", &input]].concat());
    crate::world::assert_refused(&output, 78, &["choose_on", "no image in split 'tarin'", "it has train, val"]);
}

#[test]
fn what_has_a_mask_is_scored_and_a_split_without_labels_and_masks_is_predicted() {
    let world = World::new();
    let root = world.path().join("voc");
    let mut sets = data_set(&root, "SegmentationClass");
    // One training image has no mask; of the two of val, one, which nobody has labelled, is the split `test`.
    fs::remove_file(root.join("SegmentationClass/shapes_000001.png")).unwrap();
    fs::remove_file(root.join("SegmentationClass/shapes_000012.png")).unwrap();
    fs::remove_file(root.join("Annotations/shapes_000012.xml")).unwrap();
    fs::write(root.join("ImageSets/Segmentation/val.txt"), "shapes_000011\n").unwrap();
    fs::write(root.join("ImageSets/Segmentation/test.txt"), "shapes_000012\n").unwrap();
    sets.push("data.splits.test=\"ImageSets/Segmentation/test.txt\"".to_owned());
    sets.push("data.unlabelled=[\"test\"]".to_owned());
    sets.push("evaluate.deeplab_splits=[\"val\", \"test\"]".to_owned());
    let summary = world.run_experiment(EXPERIMENT, &sets.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(summary.not_scored, ["not scored, as they have no mask: all 1 images of test, 1 of 10 images of train"]);
    let evaluated = world.latest("evaluate");
    let scores = rows::<ScoreRow>(&evaluated);
    let images = |stage: &str, split: &str| {
        scores.iter().find(|row| row.stage == stage && row.split == split).map(|row| row.images)
    };
    for stage in ["cam", "cam+crf", "random-walk"] {
        assert_eq!(images(stage, "train"), Some(9), "{stage}");
    }
    assert_eq!((images("train-deeplab", "val"), images("train-deeplab", "test")), (Some(1), None));
    let both = ["shapes_000011", "shapes_000012"].map(str::to_owned);
    assert_eq!(predicted(&evaluated), BTreeSet::from(both));
    assert_eq!(world.latest("threshold-sweep").record().metrics["train.without_mask"], json!(1));
}
