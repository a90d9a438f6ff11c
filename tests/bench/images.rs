//! From the bytes of photographs to a batch of crops, against Pillow and torchvision, one thread each: decode, resize,
//! flip, colour jitter, crop, normalise, stack, with the numbers of `photographs.toml` and the paper's crop.
//!
//! The photographs are those of the folder that `CAMFLOW_BENCH_PHOTOS` names, or drawn ones of 240 x 320 pixels. What
//! is random is drawn by each side for itself; answers are compared without it, on photographs resized and flipped.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use data::augment::{Augmentation, Sample, augment};
use data::codec::{Rgb, decode_image};
use data::jitter::Jitter;
use data::random::Rng;
use serde_json::{Value, json};
use wsss::train::crops::to_tensors;

use crate::child::Child;
use crate::inputs::{photographs, read_floats};
use crate::measure::{Agreement, Bench, Measurement, Unit, best, largest_difference, seconds};

const PICTURES: usize = 64;
const BATCH: usize = 16;
const ROUNDS: usize = 6;
/// Photographs whose pixels are compared.
const COMPARED: usize = 8;
/// Five grey levels of 255, divided by the smallest deviation by which they are normalised: the two decoders of JPEG
/// interpolate colours each in its own way.
const TOLERANCE: f64 = 5.0 / 255.0 / 0.224;
const NONE: Jitter = Jitter { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.0, probability: 0.0 };

/// What is measured: how the peer is asked for it, and the least ratio that is wanted.
struct Piece {
    what: &'static str,
    /// Names of the peer, each with the form in which it is written.
    peers: &'static [(&'static str, &'static str)],
    wanted: Option<f64>,
}

const DECODING: Piece = Piece { what: "photograph decoded", peers: &[("Pillow", "decode")], wanted: None };
const ALL: Piece = Piece {
    what: "photograph to a crop of 192 in a batch",
    peers: &[("Pillow, torchvision on pictures", "pictures"), ("Pillow, torchvision on tensors", "tensors")],
    wanted: Some(6.0),
};

fn augmentation() -> Augmentation {
    let jitter = Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1, probability: 0.8 };
    Augmentation { crop: 192, scale: [0.5, 1.3], flip: 0.5, jitter }
}

/// The photographs; drawn ones are laid below `directory`.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("CAMFLOW_BENCH_PHOTOS") else {
        return photographs(directory, PICTURES, [240, 320]);
    };
    let listed = std::fs::read_dir(folder).expect("a folder of photographs");
    let mut files: Vec<PathBuf> = listed.map(|file| file.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "jpg"));
    files.sort();
    files.truncate(PICTURES);
    files
}

fn decoded(bytes: &[u8]) -> Rgb {
    decode_image(bytes).expect("a JPEG")
}

/// Batches of all photographs.
fn batches(pictures: &[Vec<u8>], round: u64) {
    for (batch, bytes) in pictures.chunks(BATCH).enumerate() {
        let sample = |(index, bytes): (usize, &Vec<u8>)| {
            let mut rng = Rng::new(1, round, &format!("{batch} {index}"));
            augment(&decoded(bytes), &[], &augmentation(), &mut rng)
        };
        let samples: Vec<Sample> = bytes.iter().enumerate().map(sample).collect();
        drop(black_box(to_tensors(&samples)));
    }
}

/// A photograph at half its size, flipped and normalised, without padding: `[3, H, W]`.
fn flipped(bytes: &[u8]) -> Vec<f32> {
    let photo = decoded(bytes);
    let how = Augmentation { crop: photo.height.max(photo.width), scale: [0.5; 2], flip: 1.0, jitter: NONE };
    let Sample { image, valid, .. } = augment(&photo, &[], &how, &mut Rng::new(1, 0, "bench"));
    let inside = image.iter().zip(valid.iter().cycle()).filter(|(_, valid)| **valid);
    inside.map(|(value, _)| *value).collect()
}

/// Decoding alone, and all of it.
pub fn measure(bench: &mut Bench) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let files = files(directory.path());
    let pictures: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).expect("a photograph")).collect();
    let theirs = directory.path().join("flipped");
    let task = json!({
        "files": files, "batch": BATCH, "crop": augmentation().crop, "compared": COMPARED, "flipped": theirs,
    });
    let mut decode = || seconds(|| pictures.iter().for_each(|bytes| drop(black_box(decoded(bytes)))));
    compare(bench, &DECODING, &task, &mut decode);
    let mut round = 0;
    let mut all = || {
        round += 1;
        seconds(|| batches(&pictures, round))
    };
    compare(bench, &ALL, &task, &mut all);
}

/// Seconds a photograph beside the faster form of the peer.
fn compare(bench: &mut Bench, piece: &Piece, task: &Value, ours: &mut dyn FnMut() -> f64) {
    let files: Vec<PathBuf> = serde_json::from_value(task["files"].clone()).expect("files");
    let (mut seconds, mut theirs) = (f64::INFINITY, Ok(f64::INFINITY));
    let (mut name, mut agreement) = (piece.peers[0].0, None);
    for (peer, form) in piece.peers {
        let mut task = task.clone();
        task["form"] = json!(form);
        match Child::peer("images_peer.py", &task, 1) {
            Ok(mut child) => {
                let [best_ours, best_theirs] = best(ROUNDS, [&mut *ours, &mut || child.run()]);
                child.end();
                seconds = seconds.min(best_ours);
                if theirs.as_ref().is_ok_and(|theirs| best_theirs < *theirs) {
                    (name, theirs) = (*peer, Ok(best_theirs));
                }
            }
            Err(missing) => {
                seconds = best(ROUNDS, [&mut *ours])[0];
                theirs = Err(missing);
                break;
            }
        }
    }
    if theirs.is_ok() {
        let compared = files.iter().take(COMPARED);
        let ours: Vec<f32> = compared.flat_map(|file| flipped(&std::fs::read(file).expect("a photograph"))).collect();
        let theirs = read_floats(Path::new(task["flipped"].as_str().expect("a file")));
        agreement = Some(Agreement { difference: largest_difference(&ours, &theirs), allowed: TOLERANCE });
    }
    let each = files.len() as f64;
    bench.add(Measurement {
        what: piece.what,
        setting: "320 pixels long, 1 thread",
        unit: Unit::Milliseconds,
        ours: seconds / each,
        peer: name,
        theirs: theirs.map(|theirs| theirs / each),
        wanted: piece.wanted,
        agreement,
        threads: 1,
    });
}
