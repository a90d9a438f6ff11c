//! Pictures that are too large: shrunk for the networks where the manifest's limit says so, and an error that names the
//! picture or the batch where memory ends all the same.

use std::process::Command;

use artifact::table::{CamRow, LabelRow};
use artifact::{Artifact, Row};

use crate::world::World;

fn rows<R: Row>(artifact: &Artifact) -> Vec<R> {
    artifact.rows::<R>(&[]).unwrap().collect::<Result<_, _>>().unwrap()
}

fn shrunk(artifact: &Artifact) -> Option<u64> {
    artifact.record().metrics.get("shrunk").and_then(serde_json::Value::as_u64)
}

#[test]
fn a_picture_over_the_limit_is_seen_smaller_and_one_below_it_as_ever() {
    let world = World::new();
    world.commit("prepare-data", &[]);
    world.commit("train-cam", &[]);
    // The pictures have 64 x 64 = 4096 pixels, and the largest scale is 1.
    let extract =
        |limit: u64| world.commit("extract-msinf-cam", &["--set", &format!("extract-msinf-cam.max_pixels={limit}")]);
    let (generous, exact, below) = (extract(16_000_000), extract(4096), extract(3000));
    assert_eq!(generous.record().digest, exact.record().digest, "not one bit differs");
    assert_eq!((shrunk(&generous), shrunk(&exact), shrunk(&below)), (None, None, Some(12)));
    let (whole, small) = (rows::<CamRow>(&exact), rows::<CamRow>(&extract(1024)));
    assert_eq!(whole.len(), small.len());
    assert_ne!(generous.record().digest, below.record().digest);
    for (whole, small) in whole.iter().zip(&small) {
        assert_eq!((&whole.image_id, whole.class_id), (&small.image_id, small.class_id));
        assert_eq!((small.height, small.width, small.cam.len()), (64, 64, whole.cam.len()));
    }
}

#[test]
fn deeplab_sees_a_large_picture_smaller_and_labels_all_of_it() {
    let world = World::new();
    world.run(&["evaluate.max_pixels=1024"]);
    let evaluated = world.latest("evaluate");
    assert_eq!(shrunk(&evaluated), Some(2));
    let labels = rows::<LabelRow>(&evaluated);
    assert!(labels.iter().any(|row| row.source == "train-deeplab"));
    assert!(labels.iter().all(|row| (row.height, row.width, row.label.len()) == (64, 64, 64 * 64)));
}

/// Ends a stage by want of memory, and gives its message: halves the range of limits of address space between one under
/// which it cannot even start and one under which it succeeds, until it ends with exit code 1. Each try asks for
/// something that no other has committed.
fn starved(command: impl Fn(usize) -> Command) -> String {
    const MB: u64 = 1 << 10; // of `ulimit -v`
    let (mut low, mut high) = (100 * MB, 3000 * MB);
    for index in 0..8 {
        let limit = u64::midpoint(low, high);
        let plain = command(index);
        let mut limited = Command::new("sh");
        limited.arg("-c").arg(format!("ulimit -v {limit}; exec \"$@\"")).arg("sh").arg(plain.get_program());
        let output = limited.args(plain.get_args()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => high = limit,
            Some(1) => return said,
            _ => low = limit,
        }
        eprintln!("{} MB: {:?} {said}", limit / MB, output.status);
    }
    panic!("no limit made it end with exit code 1");
}

#[test]
fn the_end_of_memory_names_the_picture() {
    let world = World::with_experiments("[data.shapes]\nimages_train = 4\nimages_val = 1\nsize = [1024, 1024]\n");
    world.commit("prepare-data", &[]);
    world.commit("train-cam", &[]);
    let command = |index: usize| {
        let limit = format!("extract-msinf-cam.max_pixels={}", 16_000_000 + index);
        let one = ["extract-msinf-cam.splits=[\"val\"]", "extract-msinf-cam.scales=[2.0]", &limit];
        world.stage("extract-msinf-cam", &one.map(|set| ["--set", set]).concat())
    };
    let said = starved(command);
    for part in ["picture '", "(1024 x 1024 pixels) at scale 2 (2048 x 2048): no memory", "max_pixels"] {
        assert!(said.contains(part), "'{part}' is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn the_end_of_memory_names_step_and_batch() {
    let world = World::new();
    world.commit("prepare-data", &[]);
    let command = |index: usize| {
        let lr = format!("train-cam.optimizer.lr=0.00{}", index + 1);
        let large = ["train-cam.augmentation.crop=1024", "train-cam.loop.epochs=1", "train-cam.terms=[\"cls\"]", &lr];
        world.stage("train-cam", &large.map(|set| ["--set", set]).concat())
    };
    let said = starved(command);
    for part in ["step ", "a batch of 4 crops of 1024 x 1024 pixels: no memory", "loop.batch_size"] {
        assert!(said.contains(part), "'{part}' is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}
