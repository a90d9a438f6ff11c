//! Stages run by hand: what they refuse, with which exit code, and what they say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use artifact::table::{ScoreRow, SweepRow};

use crate::world::{STAGES, World, assert_refused};

#[test]
fn an_input_that_is_not_committed_is_named() {
    let world = World::new();
    let output = world.finish("extract-msinf-cam", &[]);
    assert_refused(&output, 69, &["'prepare-data'", "camflow run"]);
}

#[test]
fn a_bad_parameter_is_named_with_its_place() {
    let world = World::new();
    let unknown = world.finish("train-cam", &["--set", "train-cam.optimizer.lrr=1"]);
    assert_refused(&unknown, 78, &["lrr", "--set"]);
    let wrong = world.finish("train-cam", &["--check", "--set", "train-cam.optimizer.momentum=1.5"]);
    assert_refused(&wrong, 78, &["optimizer.momentum", "out of range"]);
    let crf = world.finish("train-affinity", &["--check", "--set", "train-affinity.crf.bilateral.srgb=0.0"]);
    assert_refused(&crf, 78, &["crf.bilateral.srgb", "no standard deviation"]);
    for name in ["random-walk", "report.title", "evaluate.cam_crf.alfa", "train-cam.rmc.threshold"] {
        let set = format!("evaluate.chosen_on_ground_truth=[\"{name}\"]");
        assert_refused(&world.finish("evaluate", &["--check", "--set", &set]), 78, &["chosen_on_ground_truth", name]);
    }
}

#[test]
fn needs_that_do_not_hold_what_a_stage_reads_are_refused_before_anything_runs() {
    let world = World::new();
    let refused = |set: &str| world.refused("rcm+mam", &[set]);
    let said = refused("evaluate.needs=[\"train-cam\"]");
    assert!(
        said.contains("'evaluate' reads the table 'dataset', which none of its needs holds; add 'prepare-data'"),
        "{said}"
    );
    let said = refused("random-walk.needs=[\"prepare-data\", \"extract-msinf-cam\"]");
    assert!(said.contains("the file 'affinity_net.safetensors'") && said.contains("add 'train-affinity'"), "{said}");
    let said = refused("threshold-sweep.needs=[\"prepare-data\", \"extract-msinf-cam\", \"train-cam\"]");
    assert!(said.contains("'threshold-sweep' has no use for 'train-cam'"), "{said}");

    // By hand, with the inputs that there are.
    world.commit("prepare-data", &[]);
    let output = world.finish("train-affinity", &["--set", "train-affinity.needs=[\"prepare-data\"]"]);
    assert_refused(&output, 78, &["the table 'cam'", "'prepare-data' holds dataset"]);
}

#[test]
fn help_begins_with_the_line_that_the_source_begins_with() {
    let world = World::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    for stage in STAGES {
        let files = [format!("{}.rs", stage.replace('-', "_")), format!("{stage}/main.rs")];
        let source = files.iter().find_map(|file| fs::read_to_string(sources.join(file)).ok()).expect("its source");
        let first = source.lines().next().unwrap().trim_start_matches("//! ").to_owned();
        let output = world.finish(stage, &["--help"]);
        let help = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && first.starts_with(&format!("{stage}: ")), "{stage}: {help}");
        assert_eq!(help.lines().next(), Some(first.as_str()), "{stage}");
        for wrong in [["--hepl"], ["--shard"], ["extra"]] {
            assert_refused(&world.finish(stage, &wrong), 78, &["error: ", "--help"]);
        }
        assert_refused(&world.finish(stage, &["--check", "--shard", "1"]), 78, &["--shard 1: expected I/N"]);
    }
}

#[test]
fn cuda_is_never_replaced_by_the_cpu() {
    let world = World::new();
    let output = world.finish("train-cam", &["--check", "--device", "cuda:99"]);
    assert_refused(&output, 78, &["pipeline.device", "cuda"]);
    assert_refused(&world.finish("train-cam", &["--check", "--device", "tpu"]), 78, &["tpu"]);
}

#[test]
fn every_bad_file_of_a_data_set_is_named_in_one_run() {
    let world = World::new();
    let root = world.path().join("voc");
    for folder in ["JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("ImageSets/Segmentation/train.txt"), "absent\n../escape\n").unwrap();
    let root = format!("data.root={}", root.display());
    let sets = [
        root.as_str(),
        "data.source=voc",
        "data.classes=[\"cat\"]",
        "data.splits={train = \"ImageSets/Segmentation/train.txt\"}",
        "data.masks=SegmentationClass",
        "data.unknown_classes=refuse",
    ];
    let arguments: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).collect();
    assert_refused(&world.finish("prepare-data", &arguments), 65, &["absent", "escape"]);
}

#[test]
fn a_damaged_input_is_set_aside_and_named() {
    let world = World::new();
    let data = world.commit("prepare-data", &[]);
    let part = data.file("data/part-00000-of-00001.parquet");
    let mut bytes = fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&part, bytes).unwrap();
    assert_refused(&world.finish("train-cam", &[]), 69, &["prepare-data", "digest", "set aside"]);
    assert_eq!(world.commit("prepare-data", &[]).record().digest, data.record().digest);
}

#[test]
fn shards_make_the_same_artifact_as_one_process() {
    let (whole, shared) = (World::new(), World::new());
    for world in [&whole, &shared] {
        world.commit("prepare-data", &[]);
        world.commit("train-cam", &["--set", "train-cam.terms=[\"cls\"]"]);
    }
    let variant = ["--set", "train-cam.terms=[\"cls\"]"];
    let expected = whole.commit("extract-msinf-cam", &variant);
    for shard in ["0/2", "1/2"] {
        let output = shared.finish("extract-msinf-cam", &[&variant[..], &["--shard", shard]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(shared.latest("extract-msinf-cam").record().digest, expected.record().digest);
}

#[test]
fn the_threshold_is_chosen_on_the_split_that_is_named_or_on_none() {
    let world = World::new();
    let variant = ["--set", "train-cam.terms=[\"cls\"]"];
    for stage in ["prepare-data", "train-cam", "extract-msinf-cam"] {
        world.commit(stage, &variant);
    }
    let sweep = |choose_on: &str| {
        let set = format!("threshold-sweep.choose_on={choose_on}");
        let swept = world.commit("threshold-sweep", &[&variant[..], &["--set", &set]].concat());
        swept.rows::<SweepRow>(&[]).unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    let rows = sweep("val");
    assert_eq!(rows.iter().map(|row| row.split.as_str()).collect::<BTreeSet<_>>(), BTreeSet::from(["train", "val"]));
    assert_eq!(rows[0].split, "train", "what was asked for comes first");
    let chosen: Vec<_> = rows.iter().filter(|row| row.chosen).collect();
    assert!(rows.iter().all(|row| row.chosen_on_ground_truth));
    assert_eq!(chosen.len(), 2 * 7, "one threshold on both splits");
    let best = rows.iter().filter(|row| row.split == "val").map(|row| row.miou).fold(0.0, f64::max);
    let on_val = chosen.iter().find(|row| row.split == "val").unwrap();
    assert!((on_val.miou - best).abs() < 1e-12);

    let rows = sweep("0.35");
    assert!(rows.iter().all(|row| row.split == "train" && !row.chosen_on_ground_truth));
    assert!(rows.iter().all(|row| row.chosen == ((row.threshold - 0.35).abs() < 1e-9)));
    // Then nobody's ground truth stands behind the scores either.
    let sets = [
        "threshold-sweep.choose_on=0.35",
        "evaluate.cam_crf.iterations=0",
        "evaluate.chosen_on_ground_truth=[]",
        "evaluate.needs=[\"prepare-data\", \"extract-msinf-cam\", \"threshold-sweep\"]",
    ];
    let sets: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).chain(variant).collect();
    let scores = world.commit("evaluate", &sets);
    let scores = scores.rows::<ScoreRow>(&[]).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(scores.iter().map(|row| row.stage.as_str()).collect::<Vec<_>>(), ["cam", "cam"], "no CRF, no row");
    assert!(scores.iter().all(|row| !row.chosen_on_ground_truth && row.chosen.is_empty()));

    let output = world.finish("threshold-sweep", &["--check", "--set", "threshold-sweep.choose_on=0.355"]);
    assert_refused(&output, 78, &["choose_on", "0.355", "steps of 0.01"]);
}

#[test]
fn an_image_without_cams_is_not_taken_for_background() {
    let world = World::new();
    let sets = ["train-cam.terms=[\"cls\"]", "extract-msinf-cam.splits=[\"train\"]", "threshold-sweep.choose_on=val"];
    let sets: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).collect();
    for stage in ["prepare-data", "train-cam", "extract-msinf-cam"] {
        world.commit(stage, &sets);
    }
    assert_refused(&world.finish("threshold-sweep", &sets), 78, &["has no CAMs", "extract-msinf-cam.splits"]);
}

#[test]
fn a_crf_that_is_done_is_not_done_again() {
    let (whole, shared) = (World::new(), World::new());
    let variant = ["--set", "train-cam.terms=[\"cls\"]"];
    for world in [&whole, &shared] {
        for stage in ["prepare-data", "train-cam", "extract-msinf-cam"] {
            world.commit(stage, &variant);
        }
    }
    let expected = whole.commit("train-affinity", &variant);
    for shard in ["0/2", "1/2"] {
        let output = shared.finish("train-affinity", &[&variant[..], &["--shard", shard]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let trained = shared.commit("train-affinity", &variant);
    assert_eq!(trained.record().digest, expected.record().digest);
    let log = fs::read_to_string(trained.file("log.jsonl")).unwrap();
    assert_eq!(log.matches("\"images\":10").count(), 1, "{log}");
}
