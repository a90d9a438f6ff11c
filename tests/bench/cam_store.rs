//! The store of CAMs against a `.npy` dictionary an image, as the field's repositories write them: size, reading all,
//! reading one, both as f32, from the disk and from the system's memory; and the sweep of thresholds over it, against
//! decoding the store alone and against NumPy, which reads all again at every threshold.

use std::collections::BTreeSet;
use std::fs::File;

use artifact::store::Filter;
use artifact::table::{CamRow, MaskRow};
use artifact::{Artifact, Row as _};
use data::codec::decode_mask;
use data::confusion::{ConfusionMatrix, SweepHistogram};
use data::dataset::Masks;
use data::score_maps::CamImages;
use rustix::fs::{Advice, fadvise};
use serde_json::{Value, json};
use walkdir::WalkDir;

use crate::child::Child;
use crate::measure::{Agreement, Bench, Measurement, Unit, best, seconds};
use crate::synthetic_cams::{CLASSES, ENCODING, IMAGES, SIZE, id, images, write, write_raw};

const RUNS: usize = 3;
const THRESHOLDS: usize = 90;
/// Of the thresholds, hundredths, the one whose mIoU is compared.
const COMPARED: usize = 30;
/// CAMs of the peer are f32: by half a level of 255 a pixel in a thousand gets another class.
const MIOU_TOLERANCE: f64 = 1e-3;

/// Size, reading, and the sweep.
pub fn measure(bench: &mut Bench) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let images = images();
    let artifact = write(&directory.path().join("store"), &images);
    write_raw(directory.path(), &images);
    let task = json!({
        "folder": directory.path(), "different": images.len(), "images": IMAGES, "classes": CLASSES + 1,
        "threshold": COMPARED as f64 / 100.0,
    });
    read_all(bench, &artifact, &task);
    read_one(bench, &artifact, &task);
    sweep(bench, &artifact, &task);
}

fn line<'a>(what: &'a str, ours: f64, peer: &'a str, theirs: Result<f64, String>) -> Measurement<'a> {
    Measurement {
        what,
        setting: "1,200 images of 375 x 500",
        unit: Unit::Milliseconds,
        ours,
        peer,
        theirs,
        wanted: None,
        agreement: None,
        threads: 1,
    }
}

/// The peer's side of a piece of work.
fn peer(task: &Value, form: &str) -> Result<Child, String> {
    let mut task = task.clone();
    task["form"] = json!(form);
    Child::peer("cam_store_peer.py", &task, 1)
}

/// The values of the maps of some images: how many maps, and the sum of the values at their middle.
fn values(artifact: &Artifact, images: Option<BTreeSet<String>>) -> (usize, f64) {
    let mut rows = artifact.rows::<CamRow>(&["class", "scales"]).expect("the table");
    if let Some(images) = images {
        rows = rows.filtered(Filter::one_of("image_id", images));
    }
    let maps = rows.map(|row| ENCODING.decode(&row.expect("a row").cam, SIZE[1]));
    maps.fold((0, 0.0), |(count, sum), map| (count + 1, sum + f64::from(map[map.len() / 2])))
}

/// Where files are when they are read.
#[derive(Clone, Copy)]
struct Place {
    peer: &'static str,
    /// Are they taken out of the system's memory before each reading?
    evicted: bool,
}

const PLACES: [Place; 2] = [
    Place { peer: ".npy dictionaries, from the disk", evicted: true },
    Place { peer: ".npy dictionaries, in memory", evicted: false },
];

impl Place {
    /// The seconds of a reading, when the files are there.
    fn read(self, task: &Value, reading: impl FnOnce() -> f64) -> f64 {
        if self.evicted {
            evict(task);
        }
        reading()
    }
}

/// Takes all files of both sides out of the system's memory.
fn evict(task: &Value) {
    for entry in WalkDir::new(task["folder"].as_str().expect("a folder")) {
        let entry = entry.expect("an entry");
        if entry.file_type().is_file() {
            let file = File::open(entry.path()).expect("a file");
            file.sync_all().expect("what is written can be forgotten");
            fadvise(&file, 0, None, Advice::DontNeed).expect("the system forgets the file");
        }
    }
}

fn read_all(bench: &mut Bench, artifact: &Artifact, task: &Value) {
    let bytes: u64 = artifact.record().tables[CamRow::TABLE].parts.iter().map(|part| part.bytes).sum();
    for place in PLACES {
        let mut read = (0, 0.0);
        let mut ours = || place.read(task, || seconds(|| read = values(artifact, None)));
        let (seconds, theirs, their_bytes, agreement) = match peer(task, "all") {
            Ok(mut peer) => {
                let [seconds, theirs] = best(RUNS, [&mut ours, &mut || place.read(task, || peer.run())]);
                let found = peer.end();
                let number = |name: &str| found[name].as_f64().expect("a number");
                let difference = (read.1 - number("middle")).abs() / read.0 as f64;
                (seconds, Ok(theirs), Ok(number("bytes")), Some(Agreement { difference, allowed: 0.5 / 255.0 }))
            }
            Err(missing) => (best(RUNS, [&mut ours])[0], Err(missing.clone()), Err(missing), None),
        };
        if place.evicted {
            let size = line("CAMs, size", bytes as f64, ".npy dictionaries", their_bytes);
            bench.add(Measurement { unit: Unit::Megabytes, wanted: Some(20.0), ..size });
        }
        let reading = line("CAMs, reading all", seconds, place.peer, theirs);
        bench.add(Measurement { wanted: Some(5.0), agreement, ..reading });
    }
}

fn read_one(bench: &mut Bench, artifact: &Artifact, task: &Value) {
    for place in PLACES {
        let mut next = 0;
        let mut ours = || {
            next = (next + IMAGES / 20 + 1) % IMAGES;
            let image = BTreeSet::from([id(next).to_string()]);
            place.read(task, || seconds(|| assert!(values(artifact, Some(image)).0 > 0)))
        };
        let (seconds, theirs) = match peer(task, "one") {
            Ok(mut peer) => {
                let [seconds, theirs] = best(20, [&mut ours, &mut || place.read(task, || peer.run())]);
                peer.end();
                (seconds, Ok(theirs))
            }
            Err(missing) => (best(20, [&mut ours])[0], Err(missing)),
        };
        let reading = line("CAMs, reading one image", seconds, place.peer, theirs);
        bench.add(Measurement { wanted: Some(1.0), ..reading });
    }
}

/// Decodes the tables `cam` and `mask`.
fn decode(artifact: &Artifact) {
    let cams = artifact.rows::<CamRow>(&["class", "scales"]).expect("the table");
    let levels = |cam: &[u8]| ENCODING.levels(cam, SIZE[1]).map_or(0, |levels| levels.len());
    let masks = artifact.rows::<MaskRow>(&[]).expect("the table");
    let cams: usize = cams.map(|row| levels(&row.expect("a row").cam)).sum();
    let masks: usize = masks.map(|row| decode_mask(&row.expect("a row").mask).expect("a mask").classes.len()).sum();
    assert!(cams >= masks && masks > 0, "nothing was decoded");
}

/// What threshold-sweep does.
fn matrices(artifact: &Artifact) -> Vec<ConfusionMatrix> {
    let thresholds: Vec<f32> = (0..THRESHOLDS).map(|index| index as f32 / 100.0).collect();
    let masks = Masks::load(Some(artifact)).expect("masks");
    let mut histogram = SweepHistogram::new(CLASSES + 1, &thresholds);
    let wanted = (0..IMAGES).map(|n| id(n).to_string()).collect();
    for cams in CamImages::new(artifact, wanted).expect("the table") {
        let cams = cams.expect("an image");
        cams.count(&mut histogram, &masks.truth(&cams.image).expect("a mask").classes);
    }
    histogram.matrices()
}

fn sweep(bench: &mut Bench, artifact: &Artifact, task: &Value) {
    const WHAT: &str = "threshold-sweep, 90 thresholds";
    let mut found = Vec::new();
    let mut ours = || seconds(|| found = matrices(artifact));
    let [sweeping, decoding] = best(RUNS, [&mut ours, &mut || seconds(|| decode(artifact))]);
    let beside = line(WHAT, sweeping, "decoding CAMs and masks alone", Ok(decoding));
    bench.add(Measurement { wanted: Some(1.0 / 1.3), ..beside });
    // The peer sweeps one threshold over the images that differ, once.
    let work = task["different"].as_f64().expect("a number");
    let (theirs, agreement) = match peer(task, "sweep") {
        Ok(mut peer) => {
            let each = peer.run() / work;
            let miou = peer.end()["miou"].as_f64().expect("an mIoU");
            let difference = (miou - found[COMPARED].miou()).abs();
            (Ok(each * (IMAGES * THRESHOLDS) as f64), Some(Agreement { difference, allowed: MIOU_TOLERANCE }))
        }
        Err(missing) => (Err(missing), None),
    };
    bench.add(Measurement { agreement, ..line(WHAT, sweeping, "NumPy, reading anew at each", theirs) });
}
