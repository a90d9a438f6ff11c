//! A store as the stages would leave it: `baseline` has CAMs and a sweep, `rcm+mam` (the main one) everything.

use std::collections::BTreeMap;
use std::path::Path;

use artifact::store::{Claim, Contents};
use artifact::table::{
    CamRow, ClassScoreRow, ConfusionRow, CurveRow, DatasetRow, HistogramRow, LabelRow, MaskRow, ScoreRow, SweepRow,
};
use artifact::{Artifact, ClassId, ImageId, Item, Part, Preimage, Reading, Store, Work};
use serde_json::{Value, json};

use crate::drawing::{CLASSES, Drawing, HEIGHT, WIDTH};

pub const MAIN: &str = "rcm+mam";
pub const IMAGES: u32 = 24;
/// The stages, by name.
pub const STAGES: [&str; 8] = [
    "evaluate",
    "extract-msinf-cam",
    "prepare-data",
    "random-walk",
    "threshold-sweep",
    "train-affinity",
    "train-cam",
    "train-deeplab",
];
/// Images from this one on are `val`, those before it `train`.
pub const FIRST_VAL: u32 = 12;

/// tp, fp, fn of an image and class in an experiment: what the tests sum up by hand.
pub fn counts(experiment: &str, n: u32, class: usize) -> [u64; 3] {
    let (n, class) = (u64::from(n), class as u64);
    if experiment == MAIN { [300 + n, 40 + class, 50] } else { [200 + n, 90 + class * 10, 110] }
}

pub fn class_name(class: usize) -> &'static str {
    if class == 0 { "background" } else { CLASSES[class - 1] }
}

pub fn id(n: u32) -> ImageId {
    ImageId::new(&format!("2007_{n:06}")).unwrap()
}

pub fn work(store: &Store, stage: &str, params: Value, inputs: &[&Artifact]) -> Work {
    let seed = stage.starts_with("train").then_some(7);
    work_at(store, stage, &contents(stage), params, seed, inputs).unwrap_or_else(|_| panic!("{stage} is made once"))
}

/// What each stage writes.
fn contents(stage: &str) -> Contents {
    match stage {
        "prepare-data" => Contents::tables(["dataset", "mask"]),
        "extract-msinf-cam" => Contents::tables(["cam"]),
        "threshold-sweep" => Contents::tables(["sweep", "histogram"]),
        "evaluate" => Contents::tables(["score", "class_score", "confusion", "label"]),
        _ if stage.starts_with("train") => Contents::tables(["curve"]),
        _ => Contents::tables(["label"]),
    }
}

/// Where to make an artifact, or the artifact if it is made already.
pub fn work_at(
    store: &Store,
    stage: &str,
    contents: &Contents,
    params: Value,
    seed: Option<u64>,
    inputs: &[&Artifact],
) -> Result<Work, Box<Artifact>> {
    let reading = |artifact: &Artifact| {
        let items: Vec<_> = artifact.record().tables.keys().map(|table| Item::Table(table.clone())).collect();
        Reading::of(&items, |item| artifact.record().digest_of(item))
    };
    let inputs = inputs.iter().map(|artifact| (artifact.record().preimage.stage.clone(), reading(artifact))).collect();
    let preimage = Preimage {
        stage: stage.to_owned(),
        version: 1,
        params,
        seed,
        inputs,
        files: BTreeMap::new(),
        device: stage.starts_with("train").then(|| "cpu f32".to_owned()),
    };
    match store.find(stage, &preimage.key()).unwrap() {
        Some(artifact) => Err(Box::new(artifact)),
        None => Ok(store.lease(&preimage, Claim::Alone, || {}).unwrap().open(contents).unwrap()),
    }
}

pub fn publish(store: &Store, work: Work, experiment: &str) -> Artifact {
    let artifact = publish_as(work, experiment);
    link(store, &artifact, experiment);
    artifact
}

/// Publishes without a link.
pub fn publish_as(work: Work, experiment: &str) -> Artifact {
    work.publish(&[], BTreeMap::new(), experiment).unwrap()
}

pub fn link(store: &Store, artifact: &Artifact, experiment: &str) {
    let record = artifact.record();
    store.point_latest(&record.preimage.stage, (experiment != MAIN).then_some(experiment), &record.key).unwrap();
}

fn metadata(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Writes the store.
pub fn write(root: &Path) {
    write_with(root, None);
}

/// Writes the store; a stage that nobody has heard of may stand between random-walk and train-deeplab, and be scored.
pub fn write_with(root: &Path, made_up: Option<&str>) {
    let store = Store::open(root).unwrap();
    let dataset = dataset(&store);
    for experiment in ["baseline", MAIN] {
        link(&store, &dataset, experiment);
        let train = curve(&store, "train-cam", experiment, &["loss", "cls", "rcm", "mam", "lr"], &dataset);
        let cam = cam(&store, experiment, &train);
        sweep(&store, experiment, &cam);
        let mut inputs = vec![dataset.clone(), cam.clone()];
        if experiment == MAIN {
            let affinity = curve(&store, "train-affinity", experiment, &["loss", "lr"], &cam);
            let mut labels = made_labels(&store, "random-walk", &affinity);
            if let Some(stage) = made_up {
                labels = made_labels(&store, stage, &labels);
            }
            inputs.push(curve(&store, "train-deeplab", experiment, &["loss", "lr"], &labels));
        }
        evaluate(&store, experiment, made_up.filter(|_| experiment == MAIN), &inputs);
    }
}

pub fn dataset(store: &Store) -> Artifact {
    let mut work = work(store, "prepare-data", json!({"root": "", "kind": "shapes"}), &[]);
    let classes = serde_json::to_string(&CLASSES).unwrap();
    // Two parts, as two shards would leave it.
    work.declare::<DatasetRow>(2, metadata(&[("classes", &classes)])).unwrap();
    for index in 0..2 {
        let part = Part { index, count: 2 };
        let mut writer = work.writer::<DatasetRow>(part).unwrap();
        for n in part.range(IMAGES as usize) {
            let drawing = Drawing { n: n as u32 };
            let split =
                if drawing.n < FIRST_VAL { vec!["train".into(), "train_aug".into()] } else { vec!["val".into()] };
            let row = DatasetRow {
                image_id: id(drawing.n),
                splits: split,
                width: WIDTH,
                height: HEIGHT,
                labels: drawing.labels(),
                image: drawing.jpeg(),
            };
            writer.push(row).unwrap();
        }
        writer.finish().unwrap();
    }
    work.declare::<MaskRow>(1, BTreeMap::new()).unwrap();
    work.write_all((0..IMAGES).map(|n| MaskRow { image_id: id(n), mask: Drawing { n }.mask() })).unwrap();
    publish(store, work, "baseline")
}

pub fn curve(store: &Store, stage: &str, experiment: &str, names: &[&str], input: &Artifact) -> Artifact {
    let weight = if experiment == MAIN { 1.0 } else { 0.0 };
    let params = json!({"epochs": 15, "optimizer": {"lr": 0.01, "momentum": 0.9}, "rcm": {"weight": weight}});
    curve_of(store, stage, experiment, params, names, input)
}

/// The same with other parameters.
pub fn curve_of(
    store: &Store,
    stage: &str,
    experiment: &str,
    params: Value,
    names: &[&str],
    input: &Artifact,
) -> Artifact {
    let weight = if experiment == MAIN { 1.0 } else { 0.0 };
    let mut work = work(store, stage, params, &[input]);
    work.declare::<CurveRow>(1, BTreeMap::new()).unwrap();
    let row = |step: u64, index: usize| {
        let progress = step as f64 / 600.0;
        let noise = ((step * 7919 + index as u64 * 104_729) % 1000) as f64 / 1000.0 - 0.5;
        let value = match names[index] {
            "lr" => 0.01 * (1.0 - progress).powf(0.9),
            _ => (0.9 - 0.1 * index as f64 - 0.1 * weight) * (-3.0 * progress).exp() + 0.12 + noise * 0.12,
        };
        CurveRow { step, epoch: (step / 40 + 1) as u32, name: names[index].to_owned(), value }
    };
    work.write_all((1..=600).flat_map(|step| (0..names.len()).map(move |index| row(step, index)))).unwrap();
    publish(store, work, experiment)
}

pub fn cam(store: &Store, experiment: &str, train: &Artifact) -> Artifact {
    let half = experiment != MAIN;
    let mut work = work(store, "extract-msinf-cam", json!({"scales": [0.5, 1.0, 1.5, 2.0], "flip": true}), &[train]);
    work.declare::<CamRow>(1, metadata(&[("encoding", if half { "f16" } else { "u8" })])).unwrap();
    let spread = if half { 10.0 } else { 17.0 };
    // Little-endian f16 of n / 256: enough of the format for a picture.
    let half_float = |value: u8| -> [u8; 2] {
        let value = f32::from(value) / 256.0;
        let bits = if value == 0.0 { 0 } else { value.to_bits() };
        let exponent = ((bits >> 23) as i32 - 127 + 15).max(0) as u16;
        (exponent << 10 | (bits >> 13 & 1023) as u16).to_le_bytes()
    };
    let rows = (0..FIRST_VAL).flat_map(|n| Drawing { n }.labels().into_iter().map(move |class| (n, class)));
    work.write_all(rows.map(|(n, class_id)| {
        let cam = Drawing { n }.cam(class_id, spread);
        CamRow {
            image_id: id(n),
            class_id,
            class: class_name(class_id.0 as usize).to_owned(),
            height: HEIGHT,
            width: WIDTH,
            scales: "0.5,1,1.5,2 x flip".to_owned(),
            raw_max: 3.5,
            mean: 0.1,
            area: 0.05,
            cam: if half { cam.into_iter().flat_map(half_float).collect() } else { cam },
        }
    }))
    .unwrap();
    publish(store, work, experiment)
}

fn sweep(store: &Store, experiment: &str, cam: &Artifact) -> Artifact {
    let mut work = work(store, "threshold-sweep", json!({"split": "train", "steps": 40}), &[cam]);
    work.declare::<SweepRow>(1, BTreeMap::new()).unwrap();
    work.declare::<HistogramRow>(1, BTreeMap::new()).unwrap();
    let best = if experiment == MAIN { 0.62 } else { 0.48 };
    let row = |step: u32, class: usize| {
        let threshold = f64::from(step) / 40.0;
        let away = threshold - 0.3;
        let miou = best - 2.4 * away * away * (1.0 + away);
        let [tp, fp, r#fn] = counts(experiment, step, class);
        SweepRow {
            split: "train".to_owned(),
            threshold,
            class_id: ClassId(class as u8),
            class: class_name(class).to_owned(),
            tp,
            fp,
            r#fn,
            iou: miou.max(0.02),
            precision: if step == 40 && class == 1 { f64::NAN } else { (0.45 + threshold * 0.5).min(0.97) },
            recall: (0.95 - threshold * 0.9).max(0.0),
            miou: miou.max(0.02),
            chosen: step == 12,
            chosen_on_ground_truth: true,
        }
    };
    work.write_all((0..=40).flat_map(|step| (0..4).map(move |class| row(step, class)))).unwrap();
    let cell = |bin| HistogramRow {
        split: "train".to_owned(),
        ground_truth: ClassId(1),
        winner: ClassId(1),
        bin,
        pixels: 100,
    };
    work.write_all((0..40).map(cell)).unwrap();
    publish(store, work, experiment)
}

fn label(n: u32, source: &str, grow: f64) -> LabelRow {
    let label = Drawing { n }.classes(grow, grow > 0.0);
    LabelRow { image_id: id(n), height: HEIGHT, width: WIDTH, source: source.to_owned(), label }
}

fn made_labels(store: &Store, stage: &str, input: &Artifact) -> Artifact {
    let mut work = work(store, stage, json!({"beta": 8, "steps": 256}), &[input]);
    work.declare::<LabelRow>(1, BTreeMap::new()).unwrap();
    // One training image has no labels: the report has to live with that.
    work.write_all((0..FIRST_VAL - 1).map(|n| label(n, stage, 2.0))).unwrap();
    publish(store, work, MAIN)
}

/// What is scored, on which split, and which half of the images that is.
fn scored(main: bool, made_up: Option<&str>) -> Vec<(&str, &'static str, u32)> {
    let mut scored = vec![("cam", "train", 0)];
    if main {
        scored.push(("random-walk", "train", 0));
        scored.extend(made_up.map(|stage| (stage, "train", 0)));
        scored.push(("train-deeplab", "val", 1));
    }
    scored
}

fn evaluate(store: &Store, experiment: &str, made_up: Option<&str>, inputs: &[Artifact]) -> Artifact {
    let inputs: Vec<_> = inputs.iter().collect();
    let mut work = work(store, "evaluate", json!({"experiment": experiment, "splits": ["train", "val"]}), &inputs);
    work.declare::<ScoreRow>(1, BTreeMap::new()).unwrap();
    work.declare::<ClassScoreRow>(1, BTreeMap::new()).unwrap();
    work.declare::<ConfusionRow>(1, BTreeMap::new()).unwrap();
    let main = experiment == MAIN;
    let scored = scored(main, made_up);
    let score = |(index, (stage, split, _)): (usize, &(&str, &str, u32))| ScoreRow {
        experiment: experiment.to_owned(),
        stage: (*stage).to_owned(),
        split: (*split).to_owned(),
        images: 12,
        miou: if main { 0.637 + 0.04 * index as f64 } else { 0.484 },
        precision: 0.758,
        recall: 0.796,
        threshold: (*stage == "cam").then_some(0.3),
        chosen_on_ground_truth: *stage == "cam",
        chosen: if *stage == "cam" { "threshold (train)".to_owned() } else { String::new() },
        seed: 7,
        key: inputs[1].record().key.as_str().to_owned(),
    };
    work.write_all(scored.iter().enumerate().map(score)).unwrap();
    let by_class = scored.iter().flat_map(|scored| (0..4).map(move |class| (scored, class)));
    work.write_all(by_class.map(|((stage, split, _), class)| ClassScoreRow {
        experiment: experiment.to_owned(),
        stage: (*stage).to_owned(),
        split: (*split).to_owned(),
        class_id: ClassId(class as u8),
        class: class_name(class).to_owned(),
        iou: if main { 0.86 - 0.09 * class as f64 } else { 0.71 - 0.1 * class as f64 },
        precision: 0.7,
        recall: 0.8,
    }))
    .unwrap();
    let images = |first: u32| first * FIRST_VAL..(first + 1) * FIRST_VAL;
    let confusion = scored.iter().flat_map(|scored| images(scored.2).map(move |n| (scored, n)));
    let confusion = confusion.flat_map(|(scored, n)| (0..4).map(move |class| (scored, n, class)));
    work.write_all(confusion.map(|((stage, split, _), n, class)| {
        let [tp, fp, r#fn] = counts(experiment, n, class);
        ConfusionRow {
            experiment: experiment.to_owned(),
            stage: (*stage).to_owned(),
            split: (*split).to_owned(),
            image_id: id(n),
            class_id: ClassId(class as u8),
            class: class_name(class).to_owned(),
            tp,
            fp,
            r#fn,
        }
    }))
    .unwrap();
    work.declare::<LabelRow>(1, BTreeMap::new()).unwrap();
    // Without a segmentation network the table is there and empty.
    let predicted = if main { FIRST_VAL..IMAGES } else { 0..0 };
    work.write_all(predicted.map(|n| label(n, "train-deeplab", -1.5))).unwrap();
    publish(store, work, experiment)
}

/// Writes a store of which nothing could be scored: the evaluation has its tables, without rows, and its predictions.
pub fn write_unscored(root: &Path) {
    let store = Store::open(root).unwrap();
    let dataset = dataset(&store);
    link(&store, &dataset, MAIN);
    let train = curve(&store, "train-cam", MAIN, &["loss", "lr"], &dataset);
    let mut work = work(&store, "evaluate", json!({"experiment": MAIN}), &[&dataset, &train]);
    work.declare::<ScoreRow>(1, BTreeMap::new()).unwrap();
    work.write_all([] as [ScoreRow; 0]).unwrap();
    work.declare::<ClassScoreRow>(1, BTreeMap::new()).unwrap();
    work.write_all([] as [ClassScoreRow; 0]).unwrap();
    work.declare::<ConfusionRow>(1, BTreeMap::new()).unwrap();
    work.write_all([] as [ConfusionRow; 0]).unwrap();
    work.declare::<LabelRow>(1, BTreeMap::new()).unwrap();
    work.write_all((FIRST_VAL..IMAGES).map(|n| label(n, "train-deeplab", -1.5))).unwrap();
    let metrics = [("not_scored.test", json!(1200)), ("not_scored.val", json!(12))];
    let metrics = metrics.map(|(name, value)| (name.to_owned(), value)).into();
    let evaluated = work.publish(&[], metrics, MAIN).unwrap();
    link(&store, &evaluated, MAIN);
}
