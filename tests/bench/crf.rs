//! `make bench`: the dense CRF against pydensecrf on the same picture in the same run, both on one core.
//!
//! The peer is `crf_peer.py` beside this file, run by `$PYTHON` (python3); it needs numpy and pydensecrf2. Where they
//! are missing, the line says so.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use data::codec::{Rgb, decode_image};
use data::random::Rng;
use data::shapes::{ShapesConfig, write_voc_layout};
use wsss::method::crf::{Bilateral, CrfOptions, DenseCrf, Gaussian};

const SIZE: [usize; 2] = [375, 500];
const CLASSES: usize = 21;
const RUNS: usize = 5;

/// A drawn photograph of VOC's size.
fn picture(directory: &Path) -> Rgb {
    let config = ShapesConfig { seed: 1, images_train: 16, images_val: 1, images_closeup: 0, size: SIZE };
    write_voc_layout(directory, &config).expect("drawn pictures");
    let files = std::fs::read_dir(directory.join("JPEGImages")).expect("pictures");
    let mut files: Vec<_> = files.map(|file| file.expect("a picture").path()).collect();
    files.sort();
    let pictures = files.iter().map(|file| decode_image(&std::fs::read(file).expect("a picture")).expect("a JPEG"));
    pictures.into_iter().find(|picture| picture.height == SIZE[0]).expect("every other picture is upright")
}

/// Probabilities as a network gives them: smooth at stride 16, with a little noise.
fn probabilities(rng: &mut Rng) -> Vec<f32> {
    let [h, w] = SIZE;
    let (rows, columns) = (h.div_ceil(16), w.div_ceil(16));
    let coarse: Vec<f64> = (0..CLASSES * rows * columns).map(|_| rng.uniform(-3.0, 3.0)).collect();
    let mut p = Vec::with_capacity(CLASSES * h * w);
    for class in 0..CLASSES {
        for pixel in 0..h * w {
            let at = (class * rows + pixel / w / 16) * columns + pixel % w / 16;
            p.push((coarse[at] + rng.uniform(-0.5, 0.5)).exp() as f32);
        }
    }
    for pixel in 0..h * w {
        let sum: f32 = (0..CLASSES).map(|class| p[class * h * w + pixel]).sum();
        (0..CLASSES).for_each(|class| p[class * h * w + pixel] /= sum);
    }
    p
}

/// Seconds and Q of pydensecrf, or why there are none.
fn peer(directory: &Path, options: &CrfOptions) -> Result<(f64, Vec<f32>), String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/bench/crf_peer.py");
    let CrfOptions { iterations, gaussian, bilateral } = options;
    let numbers = [SIZE[0], SIZE[1], CLASSES, RUNS, *iterations as usize].map(|number| number.to_string());
    let kernels = [gaussian.sxy, gaussian.compat, bilateral.sxy, bilateral.srgb, bilateral.compat];
    let mut command = Command::new(&python);
    command.arg(script).arg(directory).args(numbers).args(kernels.map(|number| number.to_string()));
    let output = command.env("OMP_NUM_THREADS", "1").output().map_err(|why| format!("{python}: {why}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    let seconds = printed.trim().parse().map_err(|_| format!("{python} printed '{printed}'"))?;
    let q = std::fs::read(directory.join("q")).map_err(|why| why.to_string())?;
    let (floats, _) = q.as_chunks::<4>();
    Ok((seconds, floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
}

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let image = picture(directory.path());
    let p = probabilities(&mut Rng::new(1, 0, "bench"));
    std::fs::write(directory.path().join("image"), &image.pixels).expect("written");
    let bytes: Vec<u8> = p.iter().flat_map(|p| p.to_le_bytes()).collect();
    std::fs::write(directory.path().join("prob"), bytes).expect("written");
    let options = |gaussian: [f32; 2], bilateral: [f32; 3]| CrfOptions {
        iterations: 10,
        gaussian: Gaussian { sxy: gaussian[0], compat: gaussian[1] },
        bilateral: Bilateral { sxy: bilateral[0], srgb: bilateral[1], compat: bilateral[2] },
    };
    let uses =
        [("CAMs", options([3.0, 3.0], [80.0, 13.0, 10.0])), ("segmentation", options([1.0, 3.0], [67.0, 3.0, 4.0]))];
    for (name, options) in uses {
        let run = || {
            let start = Instant::now();
            let q = DenseCrf::new(&image, &options).infer(&p, options.iterations);
            (start.elapsed().as_secs_f64(), q)
        };
        // The best run: what others do on the machine only adds.
        let (times, mut qs): (Vec<f64>, Vec<_>) = (0..RUNS).map(|_| run()).unzip();
        let ours = times.into_iter().fold(f64::INFINITY, f64::min);
        let what = format!("CRF for {name}, 375 x 500, 21 labels, 10 steps");
        match peer(directory.path(), &options) {
            Ok((theirs, q)) => {
                let difference = qs.swap_remove(0).iter().zip(&q).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                println!(
                    "{what:52} {:9.1} ms   pydensecrf {:9.1} ms   {:5.1} x   largest |dQ| {difference:.1e}",
                    ours * 1e3,
                    theirs * 1e3,
                    theirs / ours
                );
            }
            Err(reason) => println!("{what:52} {:9.1} ms   no peer: {reason}", ours * 1e3),
        }
    }
}
