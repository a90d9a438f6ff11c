//! Odd data sets through the whole pipeline: to the end, or to one clear refusal.

use artifact::table::{ClassScoreRow, LabelRow, ScoreRow};
use artifact::{Manifest, Row, StagePlan, Store};
use data::codec::{encode_jpeg, encode_mask, encode_png};

use crate::odd::foreign;
use crate::run::{Ended, healthy};
use crate::samples::{CLASSES, SIZE, mask, picture, repository};
use crate::voc::Voc;

/// Runs the stages of the manifest in turn, up to the first that does not commit.
fn through(voc: &Voc, sets: &[&str]) -> Result<(), (String, Ended)> {
    let manifest = Manifest::load(&repository("tests/pipeline/tiny.toml"), &[]).expect("the tiny manifest");
    let main = manifest.main().and_then(|main| manifest.experiment(&main)).expect("its main experiment");
    for StagePlan { stage, .. } in main.stages {
        let (_, ended) = healthy(&mut voc.stage(&stage, sets));
        if ended.code != 0 {
            return Err((stage, ended));
        }
    }
    Ok(())
}

fn to_the_end(voc: &Voc, sets: &[&str]) {
    if let Err((stage, ended)) = through(voc, sets) {
        panic!("{stage}: exit code {}\n{}", ended.code, ended.said);
    }
}

fn rows<R: Row>(voc: &Voc, stage: &str) -> Vec<R> {
    let latest = Store::open(&voc.store()).expect("a store").latest(stage, None).expect("readable").expect("committed");
    latest.rows::<R>(&[]).expect("its table").collect::<Result<_, _>>().expect("its rows")
}

/// Every score is a number between nothing and all.
fn scores(voc: &Voc) -> Vec<ScoreRow> {
    let scores: Vec<ScoreRow> = rows(voc, "evaluate");
    assert!(!scores.is_empty());
    for score in &scores {
        assert!([score.miou, score.precision, score.recall].iter().all(|v| (0.0..=1.0).contains(v)), "{score:?}");
    }
    scores
}

/// Adds an image with a mask to match its labels.
fn add(voc: &Voc, id: &str, bytes: &[u8], size: [usize; 2], classes: &[&str]) {
    voc.image(id, bytes, classes);
    let of = |class: &&str| CLASSES.iter().position(|known| known == class).expect("a class") as u8 + 1;
    let indices: Vec<u8> = [0].into_iter().chain(classes.iter().map(of)).chain([255]).collect();
    voc.mask(id, &encode_mask(&mask(size, &indices)));
}

#[test]
fn pictures_of_every_kind_and_size_and_any_number_of_labels() {
    let mut voc = Voc::new(4);
    add(&voc, "pixel", &encode_png(&picture([1, 1])), [1, 1], &["cat"]);
    add(&voc, "row", &encode_jpeg(&picture([1, 4000]), 80), [1, 4000], &["dog"]);
    add(&voc, "column", &encode_png(&picture([4000, 1])), [4000, 1], &["sheep"]);
    add(&voc, "grey", &foreign("grey.jpg"), SIZE, &["cat"]);
    add(&voc, "cmyk", &foreign("cmyk.jpg"), SIZE, &["dog"]);
    add(&voc, "turned", &foreign("restart_exif.jpg"), SIZE, &["sheep"]);
    add(&voc, "deep", &foreign("grey16.png"), SIZE, &["dog"]);
    add(&voc, "写真", &foreign("progressive.jpg"), SIZE, &CLASSES);
    add(&voc, "nothing", &encode_jpeg(&picture(SIZE), 80), SIZE, &[]);
    let ids = ["whole_0", "whole_1", "pixel", "row", "column", "grey", "cmyk", "turned", "deep", "写真", "nothing"];
    voc.list("train", &ids);
    voc.list("val", &["pixel", "row", "nothing", "写真", "whole_2"]);
    to_the_end(&voc, &[]);
    scores(&voc);
    let labels: Vec<LabelRow> = rows(&voc, "random-walk");
    assert_eq!(labels.len(), ids.len());
    for row in &labels {
        assert_eq!(row.label.len(), (row.height * row.width) as usize, "{}", row.image_id);
    }
    let nothing = labels.iter().find(|row| row.image_id.as_str() == "nothing").expect("it is in train");
    assert!(nothing.label.iter().all(|class| [0, 255].contains(class)));
}

#[test]
fn no_image_has_a_label() {
    let mut voc = Voc::new(0);
    let ids: Vec<_> = (0..5).map(|number| format!("empty_{number}")).collect();
    for id in &ids {
        add(&voc, id, &encode_jpeg(&picture(SIZE), 80), SIZE, &[]);
    }
    voc.list("train", &ids);
    voc.list("val", &ids[..1]);
    to_the_end(&voc, &[]);
    // Background is all that there is to find.
    assert!(
        rows::<LabelRow>(&voc, "random-walk").iter().all(|row| row.label.iter().all(|class| [0, 255].contains(class)))
    );
    scores(&voc);
}

#[test]
fn classes_that_a_split_lacks() {
    let mut voc = Voc::new(0);
    let ids: Vec<_> = (0..5).map(|number| format!("cat_{number}")).collect();
    for id in &ids {
        add(&voc, id, &encode_jpeg(&picture(SIZE), 80), SIZE, &["cat"]);
    }
    add(&voc, "dog", &encode_jpeg(&picture(SIZE), 80), SIZE, &["dog"]);
    voc.list("train", &ids);
    voc.list("val", &["dog"]);
    to_the_end(&voc, &[]);
    scores(&voc);
    let classes: Vec<ClassScoreRow> = rows(&voc, "evaluate");
    assert!(classes.iter().all(|row| row.iou.is_finite()), "a class that is nowhere scores 0");
}

#[test]
fn a_data_set_of_one_image() {
    let mut voc = Voc::new(1);
    voc.list("val", &["whole_0"]);
    // The tiny pipeline takes batches of four.
    let (stage, ended) = through(&voc, &[]).expect_err("there is no full batch");
    assert_eq!((stage.as_str(), ended.code), ("train-cam", 78), "{}", ended.said);
    for word in ["batch_size", "1 training image"] {
        assert!(ended.said.contains(word), "'{word}' is not in: {}", ended.said);
    }
    let one = ["train-cam", "train-affinity", "train-deeplab"].map(|stage| format!("{stage}.loop.batch_size=1"));
    to_the_end(&voc, &one.each_ref().map(String::as_str));
    scores(&voc);
}
