//! `make bench`: what is claimed to be fast, as ratios against a named peer measured in the same run.
//!
//! - The sparse random walk against squaring the dense matrix, as the original AffinityNet code does it.
//! - RCM from stride-8 features against RCM on upsampled features: time and peak memory, see [`rcm`].
//! - The one-pass sweep of 60 thresholds against one confusion a threshold.

#[path = "../parity/plain.rs"]
mod plain;
mod rcm;

use std::time::Instant;

use artifact::ClassId;
use data::confusion::{ConfusionMatrix, SweepHistogram};
use data::random::Rng;
use tch::Tensor;
use wsss::method::random_walk::Transition;

/// Median seconds of `runs` calls, after one that is not counted.
fn seconds(runs: usize, mut call: impl FnMut()) -> f64 {
    call();
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[runs / 2]
}

fn row(what: &str, ours: f64, peer: &str, theirs: f64) {
    println!("{what:44} {:9.1} ms   {peer:32} {:9.1} ms   {:7.1} x", ours * 1e3, theirs * 1e3, theirs / ours);
}

fn uniform(rng: &mut Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.uniform(0.0, 1.0) as f32).collect()
}

fn random_walk(rng: &mut Rng) {
    let (h, w, radius, logt) = (47, 63, 5, 6); // 375 x 500 at stride 8
    let affinities = uniform(rng, 34 * (h - 4) * (w - 8));
    let scores = uniform(rng, 4 * h * w);
    let ours = seconds(5, || drop(Transition::new(&affinities, [h, w], radius, 8.0).walk(&scores, logt)));
    let transition = Transition::new(&affinities, [h, w], radius, 8.0);
    let dense: Vec<f32> = (0..h * w).flat_map(|i| transition.row(i)).collect();
    let dense = Tensor::from_slice(&dense).view([(h * w) as i64, -1]);
    let scores = Tensor::from_slice(&scores).view([4, -1]);
    let theirs = seconds(1, || {
        let power = (0..logt).fold(dense.shallow_clone(), |power, _| power.matmul(&power));
        drop(scores.matmul(&power));
    });
    row("random walk, 375 x 500, 3 classes, 64 steps", ours, "dense squaring (torch)", theirs);
}

fn sweep(rng: &mut Rng) {
    let pixels = 375 * 500;
    let cams: Vec<Vec<u8>> =
        (0..2).map(|_| uniform(rng, pixels).iter().map(|value| (value * 255.0) as u8).collect()).collect();
    let truth: Vec<u8> = (0..pixels).map(|_| rng.below(3) as u8).collect();
    let thresholds: Vec<f32> = (0..60).map(|i| i as f32 / 100.0).collect();
    let maps: Vec<_> = cams.iter().enumerate().map(|(i, cam)| (ClassId(i as u8 + 1), cam.as_slice())).collect();
    let ours = seconds(5, || {
        let mut histogram = SweepHistogram::new(21, &thresholds);
        histogram.add_u8(&maps, &truth);
        (0..thresholds.len()).for_each(|index| drop(histogram.confusion(index)));
    });
    let theirs = seconds(3, || {
        for threshold in &thresholds {
            let least = (threshold * 255.0) as u8;
            let prediction: Vec<u8> = (0..pixels)
                .map(|at| {
                    let (class, score) = if cams[1][at] > cams[0][at] { (2, cams[1][at]) } else { (1, cams[0][at]) };
                    if score > least { class } else { 0 }
                })
                .collect();
            ConfusionMatrix::new(21).add(&truth, &prediction);
        }
    });
    row("sweep of 60 thresholds, 375 x 500", ours, "one confusion a threshold", theirs);
}

fn main() {
    tch::set_num_threads(1);
    if rcm::measure_if_asked() {
        return;
    }
    let mut rng = Rng::new(1, 0, "bench");
    random_walk(&mut rng);
    rcm::compare();
    sweep(&mut rng);
}
