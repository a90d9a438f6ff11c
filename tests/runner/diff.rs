//! Two artifacts beside one another.

use std::collections::BTreeMap;
use std::path::PathBuf;

use artifact::store::Contents;
use artifact::table::{CamRow, CurveRow, LabelRow};
use artifact::{ClassId, ImageId, Row};
use serde_json::{Value, json};

use crate::world::World;

/// Commits rows as a stage would.
pub fn commit<R: Row>(world: &World, stage: &str, value: u64, metadata: &[(&str, &str)], rows: Vec<R>) -> PathBuf {
    let mut work = world.by_hand(stage, value, &Contents::tables([R::TABLE]));
    let metadata = metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    work.declare::<R>(1, metadata.collect()).unwrap();
    work.write_all(rows).unwrap();
    let metrics = BTreeMap::from([("loss".to_owned(), Value::from(value as f64 / 10.0))]);
    work.publish(&[], metrics, "full").unwrap().dir().to_owned()
}

/// What `camflow diff` says of two artifacts: as text, compared with a snapshot, and as JSON.
fn diff(world: &World, snapshot: &str, a: &std::path::Path, b: &std::path::Path) -> Value {
    let name = |dir: &std::path::Path| {
        let [stage, key] = [dir.parent().unwrap(), dir].map(|dir| dir.file_name().unwrap().to_str().unwrap());
        format!("{stage}:{key}")
    };
    world.camflow(&["diff", &name(a), &name(b)]).with(0).shows(snapshot);
    let json = world.camflow(&["diff", &name(a), &name(b), "--json"]).with(0).stdout;
    serde_json::from_str(&json).unwrap()
}

fn cam(image: &str, class: u8, cam: &[u8]) -> CamRow {
    let (image_id, class_id) = (ImageId::new(image).unwrap(), ClassId(class));
    let (height, width) = (1, cam.len() as u32);
    CamRow {
        image_id,
        class_id,
        class: format!("class {class}"),
        height,
        width,
        cam: cam.to_vec(),
        ..CamRow::default()
    }
}

#[test]
fn the_worst_maps_come_first_by_image_and_class() {
    let world = World::new();
    let a = vec![cam("a", 1, &[0, 0]), cam("a", 2, &[0, 255]), cam("b", 1, &[9, 9]), cam("c", 1, &[7, 7])];
    let b = vec![cam("a", 1, &[0, 51]), cam("a", 2, &[255, 0]), cam("b", 1, &[9, 9]), cam("d", 1, &[7, 7])];
    let u8s = [("encoding", "u8")];
    let (a, b) = (commit(&world, "extract-msinf-cam", 1, &u8s, a), commit(&world, "extract-msinf-cam", 2, &u8s, b));
    let all = diff(&world, "diff_maps", &a, &b);
    let table = &all["tables"][0];
    assert_eq!((&table["same"], &table["changed"], &table["only"]), (&json!(1), &json!(2), &json!([1, 1])));
    let worst = table["worst"].as_array().unwrap();
    assert_eq!(worst[0]["row"], json!([["image_id", "a"], ["class_id", 2], ["class", "class 2"]]));
    assert_eq!((worst[0]["difference"].as_f64(), worst.len()), (Some(1.0), 2));
    assert!((worst[1]["difference"].as_f64().unwrap() - 0.1).abs() < 1e-6);
    let limited = world.camflow(&["diff", a.to_str().unwrap(), b.to_str().unwrap(), "--limit", "1", "--json"]).with(0);
    let limited: Value = serde_json::from_str(&limited.stdout).unwrap();
    assert_eq!(limited["tables"][0]["worst"].as_array().unwrap().len(), 1);
    diff(&world, "diff_same", &a, &a);
}

#[test]
fn maps_of_another_encoding_are_compared_by_value_and_of_another_size_named_first() {
    let world = World::new();
    // 0.0 and 1.0 as u8 and as f16.
    let a = vec![cam("a", 1, &[0, 255]), cam("b", 1, &[0])];
    let b = vec![cam("a", 1, &[0x00, 0x00, 0x00, 0x3c]), cam("b", 1, &[0, 0, 0, 0])];
    let a = commit(&world, "extract-msinf-cam", 1, &[("encoding", "u8")], a);
    let b = commit(&world, "extract-msinf-cam", 2, &[("encoding", "f16")], b);
    let all = diff(&world, "diff_maps_of_two_encodings", &a, &b);
    let worst = &all["tables"][0]["worst"];
    assert_eq!((&worst[0]["row"][0][1], &worst[0]["difference"]), (&json!("b"), &Value::Null));
    assert_eq!((&worst[1]["row"][0][1], &worst[1]["difference"]), (&json!("a"), &json!(0.0)));
}

#[test]
fn labels_are_compared_pixel_by_pixel() {
    let world = World::new();
    let label = |image: &str, label: &[u8]| LabelRow {
        image_id: ImageId::new(image).unwrap(),
        source: "random-walk".into(),
        label: label.to_vec(),
        ..LabelRow::default()
    };
    let a = commit(&world, "random-walk", 1, &[], vec![label("a", &[0, 1, 2]), label("b", &[0, 0, 0])]);
    let b = commit(&world, "random-walk", 2, &[], vec![label("a", &[0, 1, 255]), label("b", &[1, 1, 0])]);
    let all = diff(&world, "diff_labels", &a, &b);
    assert_eq!(all["tables"][0]["total"], json!(3.0));
}

fn curve(values: &[(u64, &str, f64)]) -> Vec<CurveRow> {
    let row = |(step, name, value): &(u64, &str, f64)| (*step, (*name).to_owned(), *value);
    values.iter().map(row).map(|(step, name, value)| CurveRow { step, epoch: 1, name, value }).collect()
}

#[test]
fn two_runs_part_at_the_first_step_of_which_a_bit_differs() {
    let world = World::new();
    let last_bit = f64::from_bits(0.3f64.to_bits() + 1);
    let a = curve(&[(1, "loss", 0.5), (1, "lr", 0.1), (2, "loss", 0.4), (3, "loss", 0.3), (4, "loss", 0.2)]);
    let b = curve(&[(1, "loss", 0.5), (1, "rcm", 0.1), (2, "loss", 0.4), (3, "loss", last_bit)]);
    let (a, b) = (commit(&world, "train-cam", 1, &[], a), commit(&world, "train-cam", 2, &[], b));
    let all = diff(&world, "diff_runs_that_part", &a, &b);
    let parting = &all["tables"][0]["parting"];
    assert_eq!(parting["step"], 3);
    assert_eq!(parting["terms"], json!([{"name": "loss", "a": 0.3, "b": last_bit}]));
    assert_eq!((&parting["last"], &parting["only"]), (&json!([4, 3]), &json!([["lr"], ["rcm"]])));
}

#[test]
fn the_hash_of_all_losses_says_whether_two_runs_are_one() {
    let world = World::new();
    let hash = [("loss_hash", "abcd")];
    let a = commit(&world, "train-cam", 1, &hash, curve(&[(1, "loss", 0.5), (1, "seconds", 1.0)]));
    let b = commit(&world, "train-cam", 2, &hash, curve(&[(1, "loss", 0.5), (1, "seconds", 2.0)]));
    assert_eq!(diff(&world, "diff_runs_with_the_same_losses", &a, &b)["same_losses"], true);
    let c = commit(&world, "train-cam", 3, &[("loss_hash", "ffff")], curve(&[(1, "loss", 0.6)]));
    assert_eq!(diff(&world, "diff_runs_with_other_losses", &a, &c)["same_losses"], false);
}

#[test]
fn an_artifact_has_several_names() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    let out = world.camflow(&["diff", "evaluate@baseline", "evaluate"]).with(0).shows("diff_experiments").stdout;
    assert_eq!(out, world.camflow(&["diff", "evaluate@baseline", "evaluate@full"]).with(0).stdout);
    let dir = world.artifact("evaluate");
    let key = dir.file_name().unwrap().to_str().unwrap();
    let by_key = world.camflow(&["diff", "evaluate@baseline", &format!("evaluate:{}", &key[..6])]).with(0).stdout;
    assert_eq!(out, by_key);
    // Directories need no manifest.
    let dir = dir.to_str().unwrap();
    world.camflow(&["diff", dir, dir, "--manifest", "nothing.toml"]).with(0);
    world.camflow(&["diff", "evaluate", "evaluate", "--manifest", "nothing.toml"]).with(78);
    world.camflow(&["diff", "evaluate", "evaluate@nobody"]).with(69);
    world.camflow(&["diff", "evaluate", "evaluate:ffffffffff"]).with(69);
    let ambiguous = world.camflow(&["diff", "evaluate", "evaluate:"]).with(78);
    assert!(ambiguous.stderr.contains("give more digits"), "{}", ambiguous.stderr);
}
