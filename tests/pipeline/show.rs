//! `camflow show`: what the pipeline made of an image, side by side, with the scores that evaluate counted.

use std::fs;
use std::process::{Command, Output};

use artifact::table::{ConfusionRow, DatasetRow};
use data::codec::decode_image;
use data::dataset::photograph;
use serde_json::Value;

use crate::world::{World, assert_refused};

fn show(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_camflow-show"));
    command.current_dir(world.path()).args(arguments).arg("--manifest").arg(world.manifest());
    command.arg("--store").arg(world.store()).output().unwrap()
}

/// Of a pipeline that has run to its end.
pub fn side_by_side(world: &World) {
    let rows = world.latest("prepare-data").rows::<DatasetRow>(&[]).unwrap().map(Result::unwrap);
    let image = rows.into_iter().find(|row| row.splits.iter().any(|split| split == "val")).unwrap();
    let output = show(world, &[image.image_id.as_str(), "--json", "--out", "figure.png"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let panels = said["panels"].as_array().unwrap();
    let titles: Vec<&str> = panels.iter().map(|panel| panel["title"].as_str().unwrap()).collect();
    let labels = ["cam+crf", "train-deeplab", "train-deeplab+crf", "ground truth"];
    assert_eq!(titles[0], image.image_id.as_str());
    assert_eq!(
        titles[1..=image.labels.len()].iter().filter(|title| title.starts_with("CAM ")).count(),
        image.labels.len()
    );
    assert_eq!(titles[image.labels.len() + 1..], labels);

    // What evaluate counted in this image.
    let rows = world.latest("evaluate").rows::<ConfusionRow>(&[]).unwrap().map(Result::unwrap);
    let counted = rows.filter(|row| row.image_id == image.image_id && row.stage == "train-deeplab");
    let ious = counted.filter_map(|ConfusionRow { tp, fp, r#fn, .. }| {
        let union = tp + fp + r#fn;
        (union > 0).then(|| tp as f64 / union as f64)
    });
    let ious: Vec<f64> = ious.collect();
    let expected = ious.iter().sum::<f64>() / ious.len() as f64;
    let found = panels[image.labels.len() + 2]["iou"].as_f64().unwrap();
    assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");

    let figure = decode_image(&fs::read(world.path().join("figure.png")).unwrap()).unwrap();
    assert!(figure.width >= titles.len() * 280 && figure.height > 280, "{} x {}", figure.width, figure.height);
    let photo = photograph(&image).unwrap();
    assert_eq!((photo.height, photo.width), (64, 64));

    // A CAM's is that of its class at the threshold, as evaluate counts it.
    let rows = world.latest("evaluate").rows::<ConfusionRow>(&[]).unwrap().map(Result::unwrap);
    for row in rows.filter(|row| row.image_id == image.image_id && row.stage == "cam") {
        let title = format!("CAM {}", row.class);
        if let Some(panel) = panels.iter().find(|panel| panel["title"] == title.as_str()) {
            let expected = row.tp as f64 / (row.tp + row.fp + row.r#fn).max(1) as f64;
            assert!((panel["iou"].as_f64().unwrap() - expected).abs() < 1e-9, "{title}: {panel}, not {expected}");
        }
    }

    let refused = show(world, &["no_such_image"]);
    assert_refused(&refused, 78, &["no image 'no_such_image'; the nearest names are "]);
}

/// Labels of other pictures are not laid over these.
pub fn what_is_of_another_data_set_is_left_out(world: &World) {
    world.commit("prepare-data", &["--set", "data.shapes.size=[96, 80]"]);
    let rows = world.latest("prepare-data").rows::<DatasetRow>(&[]).unwrap().map(Result::unwrap);
    let image = rows.into_iter().find(|row| row.splits.iter().any(|split| split == "val")).unwrap();
    let output = show(world, &[image.image_id.as_str(), "--json"]);
    let warned = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && warned.contains("evaluate is left out: it is of another data set"), "{warned}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let titles: Vec<&str> = said["panels"].as_array().unwrap().iter().map(|p| p["title"].as_str().unwrap()).collect();
    assert_eq!(titles, [image.image_id.as_str(), "ground truth"]);
}
