//! `camflow verify [--deep]`.

use std::collections::BTreeMap;
use std::fs;

use artifact::store::Contents;
use artifact::table::CurveRow;
use serde_json::{Value, json};

use crate::world::{World, flip};

#[test]
fn verify_reads_everything_that_is_needed() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.camflow(&["verify"]).with(0).shows("verify");
    flip(&world.artifact("evaluate"));
    world.camflow(&["verify"]).with(69).shows("verify_damaged").complains("verify_damaged_error");
    world.camflow(&["path", "evaluate"]).with(69);
    world.camflow(&["run"]).with(0);
    world.camflow(&["verify"]).with(0);
}

#[test]
fn deep_reads_what_nobody_needs_and_lists_what_belongs_to_nothing() {
    let world = World::new();
    world.camflow(&["run", "--until", "prepare-data"]).with(0);
    let old = world.artifact("prepare-data");
    world.camflow(&["run", "--until", "prepare-data", "--set", "data.value=2"]).with(0);
    world.camflow(&["run", "--set", "train-cam.fail=1"]).with(1);
    world.camflow(&["run", "--until", "prepare-data", "--set", "data.value=2"]).with(0);
    flip(&old);
    fs::create_dir(world.path("store/prepare-data/0123456789abcdef")).unwrap();
    world.camflow(&["verify"]).with(0);
    world.camflow(&["verify", "--deep"]).with(69).shows("verify_deep");
    assert!(!old.exists());
    let after: Value = serde_json::from_str(&world.camflow(&["verify", "--deep", "--json"]).with(0).stdout).unwrap();
    assert_eq!((&after["whole"], &after["damaged"]), (&json!(1), &json!([])));
}

#[test]
fn a_record_that_cannot_be_read_is_damage_of_that_artifact_alone() {
    let world = World::new();
    world.camflow(&["run", "--until", "train-cam", "--experiment", "full"]).with(0);
    let record = world.artifact("train-cam").join("artifact.json");
    let text = fs::read(&record).unwrap();
    fs::write(&record, &text[..text.len() / 2]).unwrap();
    for args in [["verify"].as_slice(), &["verify", "--deep"]] {
        let out = world.camflow(args);
        assert!(out.stdout.contains("1 artifacts are whole"), "{}", out.stdout);
    }
    world.camflow(&["run", "--until", "train-cam", "--experiment", "full"]).with(0);
}

#[test]
fn deep_decodes_every_row_and_reads_the_headers_of_weights() {
    let world = World::new();
    let commit = |value: u64, weights: &[u8]| {
        let mut work = world.by_hand("train-cam", value, &Contents::tables(["curve"]).with_file("w.safetensors"));
        work.declare::<CurveRow>(1, BTreeMap::new()).unwrap();
        work.write_all([CurveRow { step: value, ..CurveRow::default() }]).unwrap();
        fs::write(work.file("w.safetensors"), weights).unwrap();
        work.publish(&["w.safetensors"], BTreeMap::new(), "full").unwrap()
    };
    let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let weights = |data: usize| [&(header.len() as u64).to_le_bytes(), header.as_slice(), &vec![0; data]].concat();
    let good = [commit(1, &weights(4)), commit(2, &weights(4))];
    world.camflow(&["verify", "--deep"]).with(0);

    // Another part in the place of one, and a record of files that was made to fit.
    let [record, part] = ["artifact.json", "data/part-00000-of-00001.parquet"].map(|name| good[0].file(name));
    let (mine, other) = (&good[0].record().tables["curve"].parts[0], &good[1].record().tables["curve"].parts[0]);
    fs::copy(good[1].file(&other.file), part).unwrap();
    let text = fs::read_to_string(&record).unwrap().replace(&mine.blake3, &other.blake3);
    let text = text.replace(&format!("\"bytes\": {}", mine.bytes), &format!("\"bytes\": {}", other.bytes));
    let seal = serde_json::from_str::<Value>(&text).unwrap()["seal"].as_str().unwrap().to_owned();
    let blank = text.replace(&seal, &"0".repeat(seal.len()));
    let seal = blake3::hash(blank.as_bytes()).to_hex();
    fs::write(&record, blank.replacen(&"0".repeat(seal.len()), &seal, 1)).unwrap();
    let out = world.camflow(&["verify", "--deep"]).with(69).stdout;
    assert!(out.contains("its rows are not those of its record"), "{out}");

    for (value, weights, what) in [
        (3, weights(3), "tensor 'a' lies outside its data"),
        (4, b"short".to_vec(), "it has no header"),
        (5, u64::MAX.to_le_bytes().to_vec(), "its header is longer than the file"),
        (6, [&2u64.to_le_bytes(), b"{]".as_slice()].concat(), "its header is no JSON"),
    ] {
        commit(value, &weights);
        let out = world.camflow(&["verify", "--deep"]).with(69).stdout;
        assert!(out.contains(what), "{what}: {out}");
    }
    world.camflow(&["verify", "--deep"]).with(0);
}
