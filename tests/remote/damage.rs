//! Flipped bits, cut and lost files: nothing wrong is believed, and a push from a store that holds it mends.

use std::fs;

use artifact::store::seal;

use crate::lab::{Lab, Random, files, flip};

/// Every artifact but one of a flawed remote, as names.
fn pull_all(lab: &Lab, store: &str) -> Option<i32> {
    let ended = lab.pull(store, &[]);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended.code
}

#[test]
fn any_object_with_a_flipped_bit_or_a_cut_end_is_noticed_and_repaired() {
    let lab = Lab::filled(3000);
    lab.push("a", &[]).with(0);
    let mut random = Random(5);
    for (number, object) in files(&lab.path("remote")).into_iter().enumerate() {
        let whole = fs::read(&object).unwrap();
        let cut = random.below(whole.len() as u64) as usize;
        for (way, store) in [("flip", format!("flip-{number}")), ("cut", format!("cut-{number}"))] {
            if way == "flip" {
                flip(&object, random.below(8 * whole.len() as u64) as usize);
            } else {
                fs::write(&object, &whole[..cut]).unwrap();
            }
            assert_eq!(pull_all(&lab, &store), Some(69), "{way} {}", object.display());
            lab.assert_same("a", &store);
            lab.push("a", &["--repair"]).with(0);
            assert_eq!(pull_all(&lab, &store), Some(0), "{way} {}", object.display());
            assert_eq!(lab.assert_same("a", &store), 5);
            assert_eq!(fs::read(&object).unwrap(), whole, "{way} {}", object.display());
        }
    }
}

#[test]
fn a_lost_file_is_named_and_repaired() {
    let lab = Lab::filled(10);
    lab.push("a", &[]).with(0);
    for object in lab.sent().into_iter().step_by(4) {
        fs::remove_file(&object).unwrap();
        let name = object.file_name().unwrap().to_string_lossy().into_owned();
        lab.pull("b", &[]).with(69).says(&["is not there", &name, "--repair"]);
        lab.assert_same("a", "b");
        lab.push("a", &["--repair"]).with(0);
        lab.pull("b", &[]).with(0);
        assert_eq!(lab.assert_same("a", "b"), 5);
        fs::remove_dir_all(lab.path("b")).unwrap();
    }
}

#[test]
fn a_copy_that_another_store_damaged_is_replaced_by_a_whole_one() {
    let lab = Lab::filled(10);
    lab.push("a", &[]).with(0);
    // The same keys, published anew: other records, other copies.
    lab.fill("c", 10);
    flip(lab.sent().iter().find(|file| file.ends_with("net")).unwrap(), 12);
    let repaired = lab.push("c", &["--repair"]).with(0);
    assert!(repaired.stderr.contains("takes its place"), "{}", repaired.stderr);
    lab.pull("b", &[]).with(0);
    assert_eq!(lab.artifacts("b").iter().filter(|artifact| artifact.verify().is_ok()).count(), 5);
}

#[test]
fn what_has_arrived_is_compared_again_when_a_pull_goes_on() {
    let lab = Lab::filled(3000);
    lab.push("a", &[]).with(0);
    let record =
        lab.sent().into_iter().find(|file| file.ends_with("net") && file.to_string_lossy().contains("/train/"));
    let (object, whole) = (record.clone().unwrap(), fs::read(record.unwrap()).unwrap());
    flip(&object, 77);
    assert_eq!(pull_all(&lab, "b"), Some(69));
    let arrived = files(&lab.path("b/work"));
    let part = arrived.iter().find(|file| file.extension().is_some_and(|ending| ending == "parquet"));
    flip(part.expect("something has arrived"), 99);
    fs::write(&object, whole).unwrap();
    lab.pull("b", &[]).with(0);
    assert_eq!(lab.assert_same("a", "b"), 5);
}

#[test]
fn a_damaged_artifact_of_this_store_is_not_pushed() {
    let lab = Lab::filled(3000);
    flip(&lab.latest("a", "train").file("net"), 1);
    lab.push("a", &["train"]).with(69).says(&["net: is damaged"]);
    assert!(!lab.path(&format!("remote/train/{}.json", lab.latest("a", "train").record().key)).exists());
}

#[test]
fn a_remote_of_a_newer_layout_is_refused() {
    for object in ["camflow.json", "train/KEY.json", "train/latest@full.json"] {
        let lab = Lab::filled(10);
        lab.push("a", &[]).with(0);
        let key = lab.latest("a", "train").record().key.clone();
        let object = lab.path("remote").join(object.replace("KEY", key.short()));
        let text = fs::read_to_string(&object).unwrap().replace("\"format\": 1", "\"format\": 2");
        let mut newer = text.into_bytes();
        assert!(seal(&mut newer));
        fs::write(&object, newer).unwrap();
        lab.pull("b", &["train"]).with(78).says(&["version 2", "newer"]);
        assert!(lab.artifacts("b").is_empty());
    }
}
