//! Pseudo-labels: pooling, walk and upsampling against dense products in loops, then the largest score.

use artifact::ClassId;
use tch::{Kind, Tensor};
use wsss::method::crf::{Bilateral, CrfOptions, DenseCrf, Gaussian};
use wsss::method::pseudo_label::{PseudoLabelOptions, pseudo_label, spread};
use wsss::method::random_walk::WalkOptions;
use wsss::method::scores::CamScores;
use wsss::tensor::floats;

use crate::golden::noise;
use crate::loops::{Map, assert_near, largest, picture};

/// A photograph of 10 x 12 cells, of which the last are cut.
const SIZE: [usize; 2] = [75, 90];
const GRID: [usize; 2] = [10, 12];
const RADIUS: usize = 5;
/// What fits the grid: (10 - 1) / 2.
const FITTING: i64 = 4;
const WALK: WalkOptions = WalkOptions { beta: 3.0, logt: 2 };
const CRF: CrfOptions = CrfOptions {
    iterations: 3,
    gaussian: Gaussian { sxy: 1.0, compat: 3.0 },
    bilateral: Bilateral { sxy: 24.0, srgb: 13.0, compat: 10.0 },
};

fn features() -> Tensor {
    noise("label.features", &[1, 6, GRID[0] as i64, GRID[1] as i64]) * 0.5
}

fn scores() -> CamScores {
    let shape = [3, SIZE[0] as i64, SIZE[1] as i64];
    CamScores {
        classes: vec![ClassId(0), ClassId(2), ClassId(5)],
        scores: floats(&noise("label.scores", &shape).abs()),
    }
}

/// The means of cells of 8 x 8; what is beyond the map counts as zeros.
fn pooled(map: &Map) -> Map {
    Map::from_fn(GRID, |row, column| {
        let inside = |y: &usize, x: &usize| *y < map.height && *x < map.width;
        let cell = (0..64).map(|i| (row * 8 + i / 8, column * 8 + i % 8));
        cell.filter(|(y, x)| inside(y, x)).map(|(y, x)| map.at(y, x)).sum::<f64>() / 64.0
    })
}

/// T, every entry: affinities to the power of beta over the sums of their columns.
fn transition(features: &Tensor) -> Vec<Vec<f64>> {
    let (channels, nodes) = (Map::channels(features), GRID[0] * GRID[1]);
    let affinity = |i: usize, j: usize| {
        let distance = channels.iter().map(|map| (map.values[i] - map.values[j]).abs()).sum::<f64>();
        (-distance / channels.len() as f64).exp().powf(f64::from(WALK.beta))
    };
    let mut a: Vec<Vec<f64>> = (0..nodes).map(|i| (0..nodes).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let (height, width, reach) = (GRID[0] as i64, GRID[1] as i64, FITTING - 1);
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let i = (y * width + x) as usize;
        // An origin has all of its partners: below it, and on either side.
        if y + reach >= height || x < reach || x + reach >= width {
            continue;
        }
        for (dy, dx) in (0..=reach).flat_map(|dy| (-reach..=reach).map(move |dx| (dy, dx))) {
            if dy * dy + dx * dx < FITTING * FITTING && (dy > 0 || dx > 0) {
                let j = ((y + dy) * width + x + dx) as usize;
                (a[i][j], a[j][i]) = (affinity(i, j), affinity(i, j));
            }
        }
    }
    let sums: Vec<f64> = (0..nodes).map(|j| (0..nodes).map(|i| a[i][j]).sum()).collect();
    a.iter().map(|row| row.iter().zip(&sums).map(|(a, sum)| a / sum).collect()).collect()
}

fn expected(features: &Tensor, scores: &CamScores) -> Vec<Map> {
    let t = transition(features);
    let walk = |map: &[f32]| {
        let map = Map::from_fn(SIZE, |y, x| f64::from(map[y * SIZE[1] + x]));
        let mut now = pooled(&map);
        for _ in 0..1 << WALK.logt {
            now.values =
                (0..now.values.len()).map(|j| now.values.iter().zip(&t).map(|(s, row)| s * row[j]).sum()).collect();
        }
        let full = now.upsampled(GRID.map(|side| side * 8));
        Map::from_fn(SIZE, |y, x| full.at(y, x))
    };
    scores.scores.chunks_exact(SIZE[0] * SIZE[1]).map(walk).collect()
}

fn options(crf: Option<CrfOptions>) -> PseudoLabelOptions {
    PseudoLabelOptions { radius: RADIUS, walk: WALK, crf }
}

/// The network's part: it sees the photograph padded to whole cells.
fn network(padded: &Tensor) -> Tensor {
    assert_eq!(padded.size(), [1, 3, 8 * GRID[0] as i64, 8 * GRID[1] as i64]);
    assert!(padded.narrow(2, SIZE[0] as i64, 5).abs().max().double_value(&[]) < f64::EPSILON, "zeros below");
    features()
}

#[test]
fn scores_spread_as_the_dense_matrix_says() {
    let scores = scores();
    let tensor = Tensor::from_slice(&scores.scores).view([1, 3, SIZE[0] as i64, SIZE[1] as i64]);
    let found = spread(&features(), &tensor, RADIUS, WALK);
    assert_eq!(found.size(), tensor.size());
    let found = floats(&found);
    for (class, (found, expected)) in
        found.chunks_exact(SIZE[0] * SIZE[1]).zip(expected(&features(), &scores)).enumerate()
    {
        assert_near(&format!("class {class}"), found, &expected, 1e-5);
    }
}

#[test]
fn the_label_is_the_largest_walked_score() {
    let (photo, scores) = (picture("label.photo", SIZE[0], SIZE[1]), scores());
    let found = pseudo_label(network, &photo, &scores, &options(None));
    let expected = largest(&expected(&features(), &scores)).into_iter().map(|index| scores.classes[index].0);
    let other = expected.zip(&found).filter(|(a, b)| a != *b).count();
    // Where two scores are equal to the last digit, either may win.
    assert!(other <= 2, "{other} of {} pixels differ", found.len());
    assert!(scores.classes.iter().all(|class| found.contains(&class.0)), "every class wins somewhere");
}

#[test]
fn a_crf_smooths_the_walked_scores_as_shares_of_one() {
    let (photo, scores) = (picture("label.photo", SIZE[0], SIZE[1]), scores());
    let walked = expected(&features(), &scores);
    let share = |map: &Map, pixel: usize| map.values[pixel] / walked.iter().map(|map| map.values[pixel]).sum::<f64>();
    let shares: Vec<f32> = walked.iter().flat_map(|map| (0..map.values.len()).map(|p| share(map, p) as f32)).collect();
    let smooth = DenseCrf::new(&photo, &CRF).infer(&shares, CRF.iterations);
    let maps = smooth.chunks_exact(SIZE[0] * SIZE[1]).map(|map| Map::from_fn(SIZE, |y, x| map[y * SIZE[1] + x].into()));
    let expected = largest(&maps.collect::<Vec<_>>()).into_iter().map(|index| scores.classes[index].0);
    let found = pseudo_label(network, &photo, &scores, &options(Some(CRF)));
    let other = expected.zip(&found).filter(|(a, b)| a != *b).count();
    assert!(other * 500 <= found.len(), "{other} of {} pixels differ", found.len());
    assert_ne!(found, pseudo_label(network, &photo, &scores, &options(None)), "the CRF changes something");
}

#[test]
fn where_all_cells_are_alike_a_long_walk_ends_in_one_label() {
    let photo = picture("label.alike", 64, 72);
    let same = |padded: &Tensor| {
        Tensor::ones([1, 4, padded.size()[2] / 8, padded.size()[3] / 8], (Kind::Float, tch::Device::Cpu))
    };
    let share =
        |class: usize| (0..64 * 72).map(move |i| if i % 4 == 0 { [0.9, 0.1][class] } else { [0.2, 0.5][class] });
    let scores = CamScores { classes: vec![ClassId(0), ClassId(3)], scores: (0..2).flat_map(share).collect() };
    let options = PseudoLabelOptions { walk: WalkOptions { beta: 8.0, logt: 8 }, ..options(None) };
    assert_eq!(pseudo_label(same, &photo, &scores, &options), vec![3; 64 * 72], "0.4 beats 0.375");
}
