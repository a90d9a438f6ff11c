//! The dense CRF against pydensecrf2 on the same picture, both on one core.

use std::path::{Path, PathBuf};

use data::codec::{Rgb, decode_image};
use data::random::Rng;
use serde_json::json;
use wsss::method::crf::{Bilateral, CrfOptions, DenseCrf, Gaussian};

use crate::child::Child;
use crate::inputs::{photographs, read_floats, write_floats};
use crate::measure::{Agreement, Bench, Measurement, Unit, best, largest_difference, seconds};

const SIZE: [usize; 2] = [375, 500];
const CLASSES: usize = 21;
const RUNS: usize = 5;

/// A drawn photograph of VOC's size.
fn picture(directory: &Path) -> Rgb {
    let mut files = photographs(directory, 16, SIZE).into_iter();
    let decoded = |file: &PathBuf| decode_image(&std::fs::read(file).expect("a picture")).expect("a JPEG");
    files.find_map(|file| Some(decoded(&file)).filter(|picture| picture.height == SIZE[0])).expect("one is upright")
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

/// What pydensecrf2 is to do with the picture and the probabilities in the directory.
fn peer(directory: &Path, options: &CrfOptions) -> Result<Child, String> {
    let CrfOptions { iterations, gaussian, bilateral } = options;
    let task = json!({
        "directory": directory, "height": SIZE[0], "width": SIZE[1], "classes": CLASSES, "iterations": iterations,
        "gaussian": { "sxy": gaussian.sxy, "compat": gaussian.compat },
        "bilateral": { "sxy": bilateral.sxy, "srgb": bilateral.srgb, "compat": bilateral.compat },
    });
    Child::peer("crf_peer.py", &task, 1)
}

/// The two CRFs of the pipeline.
pub fn measure(bench: &mut Bench) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let image = picture(directory.path());
    let p = probabilities(&mut Rng::new(1, 0, "bench"));
    std::fs::write(directory.path().join("image"), &image.pixels).expect("written");
    write_floats(&directory.path().join("prob"), &p);
    let options = |gaussian: [f32; 2], bilateral: [f32; 3]| CrfOptions {
        iterations: 10,
        gaussian: Gaussian { sxy: gaussian[0], compat: gaussian[1] },
        bilateral: Bilateral { sxy: bilateral[0], srgb: bilateral[1], compat: bilateral[2] },
    };
    let uses = [
        ("dense CRF of CAMs", options([3.0, 3.0], [80.0, 13.0, 10.0])),
        ("dense CRF of segmentation", options([1.0, 3.0], [67.0, 3.0, 4.0])),
    ];
    for (what, options) in uses {
        let mut q = Vec::new();
        let mut ours = || seconds(|| q = DenseCrf::new(&image, &options).infer(&p, options.iterations));
        let (seconds, theirs, theirs_q) = match peer(directory.path(), &options) {
            Ok(mut peer) => {
                let [seconds, theirs] = best(RUNS, [&mut ours, &mut || peer.run()]);
                peer.end();
                (seconds, Ok(theirs), Some(read_floats(&directory.path().join("q"))))
            }
            Err(missing) => (best(RUNS, [&mut ours])[0], Err(missing), None),
        };
        bench.add(Measurement {
            what,
            setting: "375 x 500, 21 labels, 10 steps",
            unit: Unit::Milliseconds,
            ours: seconds,
            peer: "pydensecrf2",
            theirs,
            wanted: Some(4.0),
            agreement: theirs_q.map(|theirs| Agreement { difference: largest_difference(&q, &theirs), allowed: 1e-3 }),
            threads: 1,
        });
    }
}
