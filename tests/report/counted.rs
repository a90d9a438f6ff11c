//! A store whose scores are counted from its own CAMs, labels and masks, as evaluate does it: the sums over the images
//! are the scores.

use std::collections::BTreeMap;
use std::path::Path;

use artifact::table::{ClassScoreRow, ConfusionRow, HistogramRow, LabelRow, ScoreRow, SweepRow};
use artifact::{Artifact, ClassId, ImageId, Store};
use data::confusion::{ConfusionMatrix, SweepHistogram};
use serde_json::{Value, json};

use crate::drawing::{CLASSES, Drawing, HEIGHT, WIDTH};
use crate::store::{FIRST_VAL, IMAGES, MAIN, cam, class_name, curve, curve_of, dataset, id, link, publish, work};

/// The threshold of the CAMs, the eighth of twenty.
const THRESHOLD: usize = 7;
const STEPS: usize = 20;

/// What is scored on a split: its name, and the matrix of each image.
pub struct Scored {
    pub stage: &'static str,
    pub split: &'static str,
    pub images: BTreeMap<String, ConfusionMatrix>,
}

/// Writes the store, and returns what was scored of each experiment.
pub fn write(root: &Path) -> BTreeMap<&'static str, Vec<Scored>> {
    let store = Store::open(root).unwrap();
    let dataset = dataset(&store);
    let mut all = BTreeMap::new();
    for experiment in ["baseline", MAIN] {
        link(&store, &dataset, experiment);
        let main = experiment == MAIN;
        let names = ["loss", "cls", "rcm", "mam", "lr"];
        let train = curve_of(&store, "train-cam", experiment, params(main), &names, &dataset);
        let cam = cam(&store, experiment, &train);
        let histogram = histogram(main);
        sweep(&store, experiment, &cam, &histogram);
        let mut scored = vec![Scored { stage: "cam", split: "train", images: by_cam(main) }];
        let mut inputs = vec![dataset.clone(), cam.clone()];
        if main {
            let labels = labels(&store, &cam);
            inputs.push(curve(&store, "train-deeplab", experiment, &["loss", "lr"], &labels));
            scored.push(Scored { stage: "random-walk", split: "train", images: by_label(0..FIRST_VAL, 2.0) });
            scored.push(Scored { stage: "train-deeplab", split: "val", images: by_label(FIRST_VAL..IMAGES, -1.0) });
        }
        evaluate(&store, experiment, &inputs, &scored);
        all.insert(experiment, scored);
    }
    say_run(&store);
    all
}

/// What a run would have left: it computed both networks of the main experiment, and found one of the baseline.
fn say_run(store: &Store) {
    let row = |stage: &str, experiment: Option<&str>, state: &str| {
        let artifact = store.latest(stage, experiment).unwrap().unwrap();
        json!({"stage": stage, "key": artifact.record().key.short(), "state": state, "why": "", "experiment": ""})
    };
    let stages = [
        row("train-cam", Some("baseline"), "cached"),
        row("train-cam", None, "done"),
        json!({"stage": "train-affinity", "key": "", "state": "failed"}),
        row("train-deeplab", None, "done"),
    ];
    let said = json!({"manifest": "pipeline.toml", "seconds": 12.0, "ended": "failed", "stages": stages});
    store.begin_run().unwrap().say(&serde_json::to_vec(&said).unwrap());
}

/// Parameters of a training that is a row of the paper.
fn params(main: bool) -> Value {
    json!({
        "terms": if main { vec!["cls", "rcm", "mam"] } else { vec!["cls"] },
        "support": {"update": "ema"},
        "rcm": {"supervision": "contrastive"},
        "mam": {"attention": "mam"},
    })
}

fn classes() -> usize {
    CLASSES.len() + 1
}

fn thresholds() -> Vec<f32> {
    (0..STEPS).map(|step| step as f32 / STEPS as f32).collect()
}

/// What is predicted: better and better from image to image, and in every third one class is taken for another.
fn prediction(n: u32, grow: f64) -> Vec<u8> {
    let mut label = Drawing { n }.classes(grow * f64::from(n % 7), false);
    if n.is_multiple_of(3) {
        let half = label.len() / 2;
        label[half..].iter_mut().filter(|class| **class != 0).for_each(|class| *class = *class % 3 + 1);
    }
    label
}

fn by_label(images: std::ops::Range<u32>, grow: f64) -> BTreeMap<String, ConfusionMatrix> {
    let matrix = |n| ConfusionMatrix::of(classes(), &Drawing { n }.classes(0.0, true), &prediction(n, grow));
    images.map(|n| (id(n).as_str().to_owned(), matrix(n))).collect()
}

/// The CAM of a class as the store has it: of the baseline in half precision of n / 256.
fn stored_cam(n: u32, class: ClassId, main: bool) -> Vec<f32> {
    let (spread, of) = if main { (17.0, 255.0) } else { (10.0, 256.0) };
    Drawing { n }.cam(class, spread).into_iter().map(|value| f32::from(value) / of).collect()
}

fn count(histogram: &mut SweepHistogram, n: u32, main: bool) {
    let cams: Vec<_> = Drawing { n }.labels().into_iter().map(|class| (class, stored_cam(n, class, main))).collect();
    let cams: Vec<_> = cams.iter().map(|(class, map)| (*class, map.as_slice())).collect();
    histogram.add(&cams, &Drawing { n }.classes(0.0, true));
}

fn by_cam(main: bool) -> BTreeMap<String, ConfusionMatrix> {
    let matrix = |n| {
        let mut histogram = SweepHistogram::new(classes(), &thresholds());
        count(&mut histogram, n, main);
        histogram.confusion(THRESHOLD)
    };
    (0..FIRST_VAL).map(|n| (id(n).as_str().to_owned(), matrix(n))).collect()
}

fn histogram(main: bool) -> SweepHistogram {
    let mut histogram = SweepHistogram::new(classes(), &thresholds());
    (0..FIRST_VAL).for_each(|n| count(&mut histogram, n, main));
    histogram
}

fn sweep(store: &Store, experiment: &str, cam: &Artifact, histogram: &SweepHistogram) {
    let mut work = work(store, "threshold-sweep", json!({"split": "train", "steps": STEPS}), &[cam]);
    work.declare::<SweepRow>(1, BTreeMap::new()).unwrap();
    let matrices = histogram.matrices();
    let row = |step: usize, class: usize| SweepRow {
        split: "train".to_owned(),
        threshold: f64::from(thresholds()[step]),
        class_id: ClassId(class as u8),
        class: class_name(class).to_owned(),
        tp: matrices[step].tp(class),
        fp: matrices[step].fp(class),
        r#fn: matrices[step].fn_(class),
        iou: matrices[step].iou(class),
        precision: matrices[step].precision(class),
        recall: matrices[step].recall(class),
        miou: matrices[step].miou(),
        chosen: step == THRESHOLD,
        chosen_on_ground_truth: true,
    };
    work.write_all((0..STEPS).flat_map(|step| (0..classes()).map(move |class| row(step, class)))).unwrap();
    work.declare::<HistogramRow>(1, BTreeMap::new()).unwrap();
    work.write_all(histogram.cells().map(|cell| HistogramRow {
        split: "train".to_owned(),
        ground_truth: cell.ground_truth,
        winner: cell.winner,
        bin: cell.thresholds_below as u32,
        pixels: cell.count,
    }))
    .unwrap();
    publish(store, work, experiment);
}

fn label(n: u32, source: &str, grow: f64) -> LabelRow {
    let (source, label) = (source.to_owned(), prediction(n, grow));
    LabelRow { image_id: id(n), height: HEIGHT, width: WIDTH, source, label }
}

fn labels(store: &Store, cam: &Artifact) -> Artifact {
    let mut work = work(store, "random-walk", json!({"beta": 8, "steps": 256}), &[cam]);
    work.declare::<LabelRow>(1, BTreeMap::new()).unwrap();
    work.write_all((0..FIRST_VAL).map(|n| label(n, "random-walk", 2.0))).unwrap();
    publish(store, work, MAIN)
}

fn evaluate(store: &Store, experiment: &str, inputs: &[Artifact], scored: &[Scored]) {
    let read: Vec<_> = inputs.iter().collect();
    let mut work = work(store, "evaluate", json!({"experiment": experiment, "splits": ["train", "val"]}), &read);
    work.declare::<ScoreRow>(1, BTreeMap::new()).unwrap();
    work.write_all(scored.iter().map(|scored| scored.score(experiment, &inputs[1]))).unwrap();
    work.declare::<ClassScoreRow>(1, BTreeMap::new()).unwrap();
    let classes = || 0..classes();
    work.write_all(scored.iter().flat_map(|scored| classes().map(move |class| scored.class_score(experiment, class))))
        .unwrap();
    work.declare::<ConfusionRow>(1, BTreeMap::new()).unwrap();
    let images = scored.iter().flat_map(|scored| scored.images.iter().map(move |image| (scored, image)));
    let rows = images.flat_map(|(scored, (image, matrix))| {
        classes().filter_map(move |class| scored.confusion(experiment, image, matrix, class))
    });
    work.write_all(rows).unwrap();
    work.declare::<LabelRow>(1, BTreeMap::new()).unwrap();
    let predicted = if experiment == MAIN { FIRST_VAL..IMAGES } else { 0..0 };
    work.write_all(predicted.map(|n| label(n, "train-deeplab", -1.0))).unwrap();
    publish(store, work, experiment);
}

impl Scored {
    pub fn total(&self) -> ConfusionMatrix {
        self.images.values().fold(ConfusionMatrix::new(classes()), |mut total, matrix| {
            total.merge(matrix);
            total
        })
    }

    fn score(&self, experiment: &str, cam: &Artifact) -> ScoreRow {
        let (total, of_cam) = (self.total(), self.stage == "cam");
        ScoreRow {
            experiment: experiment.to_owned(),
            stage: self.stage.to_owned(),
            split: self.split.to_owned(),
            images: self.images.len() as u64,
            miou: total.miou(),
            precision: total.mean_precision(),
            recall: total.mean_recall(),
            threshold: of_cam.then(|| f64::from(thresholds()[THRESHOLD])),
            chosen_on_ground_truth: of_cam,
            chosen: if of_cam { "threshold (train)".to_owned() } else { String::new() },
            seed: 7,
            key: cam.record().key.as_str().to_owned(),
        }
    }

    fn class_score(&self, experiment: &str, class: usize) -> ClassScoreRow {
        let total = self.total();
        ClassScoreRow {
            experiment: experiment.to_owned(),
            stage: self.stage.to_owned(),
            split: self.split.to_owned(),
            class_id: ClassId(class as u8),
            class: class_name(class).to_owned(),
            iou: total.iou(class),
            precision: total.precision(class),
            recall: total.recall(class),
        }
    }

    /// Nothing where the class neither is there nor is predicted, as with evaluate.
    fn confusion(&self, experiment: &str, image: &str, matrix: &ConfusionMatrix, class: usize) -> Option<ConfusionRow> {
        let [tp, fp, missed] = [matrix.tp(class), matrix.fp(class), matrix.fn_(class)];
        (tp + fp + missed > 0).then(|| ConfusionRow {
            experiment: experiment.to_owned(),
            stage: self.stage.to_owned(),
            split: self.split.to_owned(),
            image_id: ImageId::new(image).unwrap(),
            class_id: ClassId(class as u8),
            class: class_name(class).to_owned(),
            tp,
            fp,
            r#fn: missed,
        })
    }
}
