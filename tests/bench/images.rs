//! `make bench`: from the bytes of photographs to a batch of crops, against Pillow and torchvision in the same run, one
//! thread each.
//!
//! Decode, resize, flip, colour jitter, crop, normalise, stack, with the numbers of `photographs.toml` and the paper's
//! crop. The photographs are those of the folder that `CAMFLOW_BENCH_PHOTOS` names, or drawn ones of 240 x 320 pixels.
//! The peer is `images_peer.py` beside this file, run by `$PYTHON` (python3); where it or its packages are missing, the
//! line says so.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use data::augment::{Augmentation, Sample, augment};
use data::codec::decode_image;
use data::jitter::Jitter;
use data::random::Rng;
use data::shapes::{ShapesConfig, write_voc_layout};
use wsss::train::crops::to_tensors;

const PICTURES: usize = 64;
const BATCH: usize = 16;
const ROUNDS: usize = 12;

fn augmentation() -> Augmentation {
    let jitter = Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1, probability: 0.8 };
    Augmentation { crop: 192, scale: [0.5, 1.3], flip: 0.5, jitter }
}

/// The folder of photographs; drawn ones are laid below `directory`.
fn folder(directory: &Path) -> PathBuf {
    if let Some(folder) = std::env::var_os("CAMFLOW_BENCH_PHOTOS") {
        return folder.into();
    }
    let config = ShapesConfig { seed: 1, images_train: PICTURES, images_val: 1, images_closeup: 0, size: [240, 320] };
    write_voc_layout(directory, &config).expect("drawn pictures");
    directory.join("JPEGImages")
}

/// Seconds an image of the best round: decoding alone, and all of it. What others do on the machine only adds.
fn ours(files: &[PathBuf]) -> [f64; 2] {
    let how = augmentation();
    let pictures: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).expect("a photograph")).collect();
    let decoded = |bytes: &[u8]| decode_image(bytes).expect("a JPEG");
    let best = |round: &dyn Fn(u64)| {
        let seconds = (0..ROUNDS as u64).map(|number| {
            let start = Instant::now();
            round(number);
            start.elapsed().as_secs_f64() / pictures.len() as f64
        });
        seconds.fold(f64::INFINITY, f64::min)
    };
    let decoding = best(&|_| pictures.iter().for_each(|bytes| drop(std::hint::black_box(decoded(bytes)))));
    let all = best(&|number| {
        for (batch, bytes) in pictures.chunks(BATCH).enumerate() {
            let sample = |(index, bytes): (usize, &Vec<u8>)| {
                let mut rng = Rng::new(1, number, &format!("{batch} {index}"));
                augment(&decoded(bytes), &[], &how, &mut rng)
            };
            let samples: Vec<Sample> = bytes.iter().enumerate().map(sample).collect();
            drop(std::hint::black_box(to_tensors(&samples)));
        }
    });
    [decoding, all]
}

/// The same of Pillow and torchvision, or why there is none: the name of the faster form, decoding alone, all of it.
fn peer(files: &[PathBuf]) -> Result<(String, [f64; 2]), String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/bench/images_peer.py");
    let mut command = Command::new(&python);
    command.arg(script).args([BATCH, ROUNDS, augmentation().crop].map(|number| number.to_string())).args(files);
    let output = command.env("OMP_NUM_THREADS", "1").output().map_err(|why| format!("{python}: {why}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let read = || {
        let (name, numbers) = printed.trim().split_once('|')?;
        let (decoding, all) = numbers.trim().split_once(' ')?;
        Some((name.trim().to_owned(), [decoding.parse().ok()?, all.parse().ok()?]))
    };
    read().ok_or_else(|| format!("{python} printed '{printed}'"))
}

fn main() {
    tch::set_num_threads(1);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let listed = std::fs::read_dir(folder(directory.path())).expect("a folder of photographs");
    let mut files: Vec<PathBuf> = listed.map(|file| file.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "jpg"));
    files.sort();
    files.truncate(PICTURES);
    let ours = ours(&files);
    let peer = peer(&files);
    for (index, what) in ["photograph decoded", "photograph to a crop of 192 in a batch"].into_iter().enumerate() {
        let own = ours[index] * 1e3;
        match &peer {
            Ok((name, theirs)) => {
                let theirs = theirs[index] * 1e3;
                println!("{what:44} {own:9.2} ms   {name:32} {theirs:9.2} ms   {:7.1} x", theirs / own);
            }
            Err(reason) => println!("{what:44} {own:9.2} ms   no peer: {reason}"),
        }
    }
}
