//! Affinities, their labels, and the random walk.

use std::time::Instant;

use tch::{Kind, Tensor};
use wsss::method::affinity::{
    IGNORED, Offset, affinities, affinity_labels, affinity_loss, cell_labels, fitting_radius, offsets, pairs,
};
use wsss::method::random_walk::{Transition, WalkOptions, random_walk};

use crate::golden::{Golden, assert_close, noise};
use crate::loops::{Map, largest};

const TOLERANCE: f64 = 1e-4;
const RADIUS: usize = 5;
const BETA: f32 = 8.0;

fn floats(x: &Tensor) -> Vec<f32> {
    Vec::try_from(x.contiguous().view(-1)).expect("f32")
}

fn golden_transition(golden: &Golden) -> Transition {
    let found = affinities(&golden.get("features").unsqueeze(0), RADIUS);
    Transition::new(&floats(&found), [22, 27], RADIUS, BETA)
}

#[test]
fn affinities_are_pytorchs() {
    let golden = Golden::open("random_walk.safetensors");
    let found = affinities(&golden.get("features").unsqueeze(0), RADIUS).squeeze_dim(0);
    assert_close("affinity", &found, &golden.get("affinity"), TOLERANCE);
}

#[test]
fn offsets_are_the_half_disc() {
    let found = offsets(RADIUS);
    assert_eq!(found.len(), 34);
    assert_eq!(found[..5], [(0, 1), (0, 2), (0, 3), (0, 4), (1, -4)].map(|(dy, dx)| Offset { dy, dx }));
    assert_eq!(found[31..], [(4, 0), (4, 1), (4, 2)].map(|(dy, dx)| Offset { dy, dx }));
    assert_eq!(fitting_radius([47, 63], RADIUS), 5);
    assert_eq!(fitting_radius([8, 20], RADIUS), 3);
    assert!(offsets(fitting_radius([1, 3], RADIUS)).is_empty());
}

#[test]
fn the_transition_is_pytorchs() {
    let golden = Golden::open("random_walk.safetensors");
    let transition = golden_transition(&golden);
    assert_close("row", &Tensor::from_slice(&transition.row(100)), &golden.get("transition_row_100"), TOLERANCE);
    let column: Vec<f32> = (0..22 * 27).map(|i| transition.row(i)[100]).collect();
    assert_close("column", &Tensor::from_slice(&column), &golden.get("transition_col_100"), TOLERANCE);
}

#[test]
fn the_walk_is_pytorchs() {
    let golden = Golden::open("random_walk.safetensors");
    let transition = golden_transition(&golden);
    for logt in [0, 3, 6, 8] {
        let expected = golden.get(&format!("walk.logt{logt}"));
        let found = Tensor::from_slice(&transition.walk(&floats(&golden.get("cams")), logt)).reshape(expected.size());
        assert_close(&format!("logt {logt}"), &found, &expected, TOLERANCE);
    }
}

#[test]
fn columns_sum_to_one() {
    for (grid, radius) in [([9, 13], RADIUS), ([3, 4], fitting_radius([3, 4], RADIUS)), ([1, 1], 0)] {
        let features = noise("columns", &[1, 6, grid[0] as i64, grid[1] as i64]);
        let radius = fitting_radius(grid, radius);
        let transition = Transition::new(&floats(&affinities(&features, radius)), grid, radius, BETA);
        let mut sums = vec![0.0_f32; grid[0] * grid[1]];
        for i in 0..sums.len() {
            for (sum, entry) in sums.iter_mut().zip(transition.row(i)) {
                *sum += entry;
            }
        }
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5), "{grid:?}: {sums:?}");
        // The same for every power: a uniform score stays uniform.
        let walked = transition.walk(&vec![0.5; grid[0] * grid[1]], 5);
        assert!(walked.iter().all(|score| (score - 0.5).abs() < 1e-5), "{grid:?}");
    }
}

#[test]
fn a_voc_image_walks_in_no_time() {
    let grid = [47, 63];
    let features = noise("voc", &[1, 8, 47, 63]);
    let (edges, scores) = (floats(&affinities(&features, RADIUS)), floats(&noise("scores", &[4, 47, 63]).abs()));
    let start = Instant::now();
    let walked = random_walk(&edges, grid, RADIUS, WalkOptions { beta: BETA, logt: 6 }, &scores);
    let took = start.elapsed();
    println!("4 channels of 47 x 63, logt 6: {took:?}");
    assert_eq!(walked.len(), scores.len());
    assert!(took.as_secs_f64() < 0.5, "{took:?}");
}

#[test]
fn labels_are_what_both_readings_agree_on() {
    let (low, high) = (Tensor::from_slice(&[0_i64, 0, 3, 2]), Tensor::from_slice(&[0_i64, 1, 3, 0]));
    let found = affinity_labels(&low.reshape([1, 2, 2]), &high.reshape([1, 2, 2]));
    assert_eq!(found, Tensor::from_slice(&[0, IGNORED, 3, 0]).reshape([1, 2, 2]));
}

#[test]
fn a_cell_has_the_class_of_its_largest_mean_score() {
    let [height, width] = [16_usize, 40];
    let ids = [0_i64, 4, 2];
    // The first cell is padding all over, the second half.
    let is_valid = |y: usize, x: usize| f64::from(u8::from(y >= 8 || x >= 12));
    let valid = Map::from_fn([height, width], is_valid);
    let valid_tensor = Tensor::from_slice(&valid.values).to_kind(Kind::Float).view([1, 1, 16, 40]);
    let readings = ["cells.low", "cells.high"].map(|name| noise(name, &[1, 3, 16, 40]).abs());
    let cells = |scores: &Tensor| -> Vec<i64> {
        let mean = |map: &Map, row: usize, column: usize| {
            let pixels = (0..64).map(|i| (row * 8 + i / 8, column * 8 + i % 8));
            pixels.map(|(y, x)| map.at(y, x) * is_valid(y, x)).sum::<f64>() / 64.0
        };
        let means = Map::channels(scores).into_iter().map(|map| Map::from_fn([2, 5], |y, x| mean(&map, y, x)));
        largest(&means.collect::<Vec<_>>()).into_iter().map(|index| ids[index]).collect()
    };
    let [low, high] = [cells(&readings[0]), cells(&readings[1])];
    let agreed = low.iter().zip(&high).enumerate().map(|(cell, (low, high))| match (cell, *low, *high) {
        (0, ..) => IGNORED,
        (_, _, 0) => 0,
        (_, 0, _) => IGNORED,
        (_, class, _) => class,
    });
    let expected = Tensor::from_slice(&agreed.collect::<Vec<_>>()).view([1, 2, 5]);
    let found = cell_labels(&readings[0], &readings[1], &Tensor::from_slice(&ids), &valid_tensor);
    assert_eq!(found, expected);
    let has = |id: i64| i64::try_from(found.eq(id).sum(Kind::Int64)).unwrap() > 0;
    assert!(has(0) && has(2) && has(4) && has(IGNORED), "{found:?}: a case is missing");
}

#[test]
fn pairs_are_counted_once_and_the_loss_is_their_means() {
    let labels = Tensor::zeros([1, 10, 16], (Kind::Int64, tch::Device::Cpu));
    let _ = labels.narrow(1, 0, 5).fill_(2);
    let _ = labels.narrow(2, 0, 3).fill_(IGNORED);
    let found = pairs(&labels, RADIUS);
    let all = found.background.to_kind(Kind::Int64)
        + found.foreground.to_kind(Kind::Int64)
        + found.negative.to_kind(Kind::Int64);
    assert_eq!(all.size(), [1, 34, 6, 8]);
    assert!(i64::try_from(all.max()).unwrap() == 1, "a pair is of one kind");
    let known = i64::try_from(all.sum(Kind::Int64)).unwrap();
    assert!(known < 34 * 6 * 8 && known > 30 * 6 * 8, "{known}: pairs with the unknown column are left out");
    let half = Tensor::full([1, 34, 6, 8], 0.5, (Kind::Float, tch::Device::Cpu));
    let loss = affinity_loss(&half, &found).double_value(&[]);
    assert!((loss - 0.5_f64.ln().abs()).abs() < 1e-3, "{loss}");
}
