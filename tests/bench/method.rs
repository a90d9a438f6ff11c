//! The sparse random walk against squaring the dense matrix, as the original AffinityNet code does it; the one-pass
//! sweep of 60 thresholds against one confusion a threshold.

use artifact::ClassId;
use data::confusion::{ConfusionMatrix, SweepHistogram};
use data::random::Rng;
use tch::Tensor;
use wsss::method::random_walk::Transition;
use wsss::tensor::floats;

use crate::measure::{Agreement, Bench, Measurement, Unit, best, largest_difference, seconds};

fn uniform(rng: &mut Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.uniform(0.0, 1.0) as f32).collect()
}

/// 375 x 500 at stride 8.
pub fn random_walk(bench: &mut Bench) {
    let mut rng = Rng::new(1, 0, "bench");
    let (h, w, radius, logt) = (47, 63, 5, 6);
    let affinities = uniform(&mut rng, 34 * (h - 4) * (w - 8));
    let scores = uniform(&mut rng, 4 * h * w);
    let mut walked = Vec::new();
    let ours =
        best(5, [&mut || seconds(|| walked = Transition::new(&affinities, [h, w], radius, 8.0).walk(&scores, logt))]);
    let transition = Transition::new(&affinities, [h, w], radius, 8.0);
    let dense: Vec<f32> = (0..h * w).flat_map(|i| transition.row(i)).collect();
    let dense = Tensor::from_slice(&dense).view([(h * w) as i64, -1]);
    let scores = Tensor::from_slice(&scores).view([4, -1]);
    let mut squared = Tensor::new();
    let theirs = seconds(|| {
        let power = (0..logt).fold(dense.shallow_clone(), |power, _| power.matmul(&power));
        squared = scores.matmul(&power);
    });
    bench.add(Measurement {
        what: "random walk",
        setting: "375 x 500, 3 classes, 64 steps",
        unit: Unit::Milliseconds,
        ours: ours[0],
        peer: "dense squaring (torch)",
        theirs: Ok(theirs),
        wanted: Some(541.0),
        agreement: Some(Agreement { difference: largest_difference(&walked, &floats(&squared)), allowed: 1e-4 }),
        threads: 1,
    });
}

/// Two CAMs of one photograph.
pub fn thresholds(bench: &mut Bench) {
    let mut rng = Rng::new(1, 0, "bench");
    let pixels = 375 * 500;
    let mut cam = || uniform(&mut rng, pixels).iter().map(|value| (value * 255.0) as u8).collect::<Vec<u8>>();
    let cams = [cam(), cam()];
    let truth: Vec<u8> = (0..pixels).map(|_| rng.below(3) as u8).collect();
    let thresholds: Vec<f32> = (0..60).map(|i| i as f32 / 100.0).collect();
    let maps: Vec<_> = cams.iter().enumerate().map(|(i, cam)| (ClassId(i as u8 + 1), cam.as_slice())).collect();
    let one_pass = || {
        let mut histogram = SweepHistogram::new(21, &thresholds);
        histogram.add_u8(&maps, &truth);
        (0..thresholds.len()).map(|index| histogram.confusion(index)).collect::<Vec<_>>()
    };
    let one_each = || {
        let of_threshold = |threshold: &f32| {
            // A class wins above the threshold; values are a 255th apart.
            let wins = |score: u8| f32::from(score) / 255.0 > *threshold;
            let prediction: Vec<u8> = (0..pixels)
                .map(|at| {
                    let (class, score) = if cams[1][at] > cams[0][at] { (2, cams[1][at]) } else { (1, cams[0][at]) };
                    if wins(score) { class } else { 0 }
                })
                .collect();
            let mut confusion = ConfusionMatrix::new(21);
            confusion.add(&truth, &prediction);
            confusion
        };
        thresholds.iter().map(of_threshold).collect::<Vec<_>>()
    };
    let [ours, theirs] = best(4, [&mut || seconds(|| drop(one_pass())), &mut || seconds(|| drop(one_each()))]);
    let differing = one_pass().iter().zip(&one_each()).filter(|(a, b)| a != b).count();
    bench.add(Measurement {
        what: "sweep of one image",
        setting: "375 x 500, 60 thresholds",
        unit: Unit::Milliseconds,
        ours,
        peer: "one confusion a threshold",
        theirs: Ok(theirs),
        wanted: None,
        agreement: Some(Agreement { difference: differing as f64, allowed: 0.0 }),
        threads: 1,
    });
}
