//! `camflow init` and `camflow doctor`: from a folder without a single mask to a segmentation model.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use artifact::Store;
use artifact::table::{LabelRow, ScoreRow};
use data::codec::encode_jpeg;
use data::shapes::{CLASSES, ShapesConfig, write_voc_layout};
use runner::{Interrupt, OutcomeState, PipelineSource, RunOptions, Selection};

/// What makes the trainings of the written manifest tiny.
const TINY: [&str; 16] = [
    "train-cam.init=random",
    "train-cam.weights=",
    "train-cam.backbone={name=\"resnet38\", width=4, norm=\"train\"}",
    "train-cam.features=8",
    "train-cam.loop.epochs=1",
    "train-affinity.init=random",
    "train-affinity.backbone={name=\"resnet38\", width=4, norm=\"train\"}",
    "train-affinity.needs=[\"prepare-data\", \"extract-msinf-cam\"]",
    "train-affinity.crf.iterations=1",
    "train-affinity.loop.epochs=1",
    "random-walk.crf.iterations=1",
    "train-deeplab.init=random",
    "train-deeplab.backbone={name=\"resnet38\", width=4, norm=\"train\"}",
    "train-deeplab.needs=[\"prepare-data\", \"random-walk\"]",
    "train-deeplab.hidden=8",
    "train-deeplab.loop.epochs=1",
];

/// Pictures and a table of their labels.
fn folder(root: &Path) {
    let voc = root.join("voc");
    let config = ShapesConfig { seed: 1, images_train: 10, images_val: 2, images_closeup: 0, size: [64, 64] };
    write_voc_layout(&voc, &config).unwrap();
    let pets = root.join("pets");
    fs::create_dir_all(&pets).unwrap();
    fs::rename(voc.join("JPEGImages"), pets.join("photos")).unwrap();
    let mut table = "file,labels\n".to_owned();
    for entry in fs::read_dir(pets.join("photos")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let xml = fs::read_to_string(voc.join("Annotations").join(name.replace(".jpg", ".xml"))).unwrap();
        let labels: Vec<_> = CLASSES.iter().filter(|class| xml.contains(&format!("<name>{class}</name>"))).collect();
        let labels = labels.into_iter().copied().collect::<Vec<_>>().join(";");
        writeln!(table, "photos/{name},{labels}").unwrap();
    }
    fs::write(pets.join("labels.csv"), table).unwrap();
    fs::remove_dir_all(voc).unwrap();
}

fn program(name: &str, directory: &Path, arguments: &[&str]) -> Output {
    Command::new(name).current_dir(directory).args(arguments).output().unwrap()
}

fn init(directory: &Path, arguments: &[&str]) -> Output {
    program(env!("CARGO_BIN_EXE_camflow-init"), directory, arguments)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn from_a_folder_without_masks_to_deeplab() {
    let directory = tempfile::tempdir().unwrap();
    folder(directory.path());
    let output = init(directory.path(), &["pets"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for word in ["layout   csv", "no masks (labels.csv)", "held out of train", "written: pets.toml", "make weights"] {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }

    let store = directory.path().join("store");
    let source = PipelineSource {
        manifest: directory.path().join("pets.toml"),
        sets: TINY.map(str::to_owned).into(),
        store: Some(store.clone()),
        bin_dir: Path::new(env!("CARGO_BIN_EXE_evaluate")).parent().map(Path::to_owned),
        ..PipelineSource::default()
    };
    let options = RunOptions {
        source,
        selection: Selection::default(),
        jobs: 1,
        pull: None,
        interrupt: Interrupt::default(),
        json: false,
    };
    let mut told = Vec::new();
    let summary = runner::run(&options, &mut told).unwrap_or_else(|error| panic!("{error}\n{}", text(&told)));
    assert_eq!(summary.outcomes.iter().filter(|outcome| outcome.state == OutcomeState::Ran).count(), 8);
    let evaluate = Store::open(&store).unwrap().latest("evaluate", None).unwrap().expect("committed");
    assert_eq!(evaluate.rows::<ScoreRow>(&[]).unwrap().count(), 0, "there is nothing to compare with");
    let labels: Vec<LabelRow> = evaluate.rows::<LabelRow>(&[]).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(labels.iter().any(|row| row.source == "train-deeplab"));
}

#[test]
fn a_manifest_is_not_overwritten_unawares() {
    let directory = tempfile::tempdir().unwrap();
    folder(directory.path());
    fs::write(directory.path().join("pets.toml"), "mine").unwrap();
    let output = init(directory.path(), &["pets"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("--force"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(directory.path().join("pets.toml")).unwrap(), "mine");
    assert!(init(directory.path(), &["pets", "--force"]).status.success());
}

#[test]
fn a_folder_with_faults_has_no_manifest() {
    let directory = tempfile::tempdir().unwrap();
    folder(directory.path());
    let picture = fs::read_dir(directory.path().join("pets/photos")).unwrap().next().unwrap().unwrap().path();
    let whole = encode_jpeg(&data::codec::Rgb { height: 64, width: 64, pixels: vec![90; 64 * 64 * 3] }, 90);
    fs::write(&picture, &whole[..whole.len() / 2]).unwrap();
    let output = init(directory.path(), &["pets"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(text(&output.stderr).contains("truncated JPEG"), "{}", text(&output.stderr));
    assert!(!directory.path().join("pets.toml").exists());
    assert_eq!(init(directory.path(), &["nowhere"]).status.code(), Some(1));
}

#[test]
fn the_doctor_names_each_fault_with_its_cure() {
    let directory = tempfile::tempdir().unwrap();
    let doctor = |arguments: &[&str]| program(env!("CARGO_BIN_EXE_camflow-doctor"), directory.path(), arguments);
    let findings = |output: &Output| -> Vec<serde_json::Value> { serde_json::from_slice(&output.stdout).unwrap() };
    let state = |findings: &[serde_json::Value], what: &str| {
        let finding = findings.iter().find(|finding| finding["what"] == what).expect("it was looked at");
        (finding["state"].clone(), finding["cure"].clone())
    };
    let output = doctor(&["--json"]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert_eq!(state(&findings(&output), "libtorch").0, "good");
    assert_eq!(state(&findings(&output), "weights"), ("fair".into(), "make weights".into()));
    let output = doctor(&["--json", "--store", "/proc/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(state(&findings(&output), "disk").0, "bad");
    assert!(text(&doctor(&["--store", "/proc/nowhere"]).stdout).contains("BAD   disk"));
}
