//! Readings of the equations that the reference vectors do not have, against numbers worked out by hand.

use tch::{Device, Kind, Tensor};
use wsss::method::terms::direct::direct_loss;
use wsss::method::terms::mam::{Attention, MamParams, Reduction, scale_loss};
use wsss::method::terms::rcm::Prototypes;

use crate::golden::{assert_close, assert_scalar};

const TOLERANCE: f64 = 1e-4;

#[test]
fn a_prototype_averages_as_many_latest_vectors_as_its_memory_holds() {
    let vectors = [[1_f32, 0.0], [0.0, 3.0], [5.0, 1.0]];
    let after = [[1_f32, 0.0], [0.5, 1.5], [2.5, 2.0]];
    let regions = Tensor::from_slice(&[1_i64; 16]).reshape([1, 4, 4]);
    let valid = regions.ones_like().to_kind(Kind::Bool);
    let mut prototypes = Prototypes::new(2, 2, 2, Device::Cpu);
    for (vector, mean) in vectors.iter().zip(after) {
        let map = Tensor::from_slice(vector).reshape([1, 2, 1, 1]);
        prototypes.update(&map, &regions, &valid);
        let table = Tensor::from_slice2(&[[0.0, 0.0], mean, [0.0, 0.0]]);
        assert_close("table", &prototypes.table(), &table, TOLERANCE);
        assert_eq!(prototypes.seen(), Tensor::from_slice(&[false, true, false]));
    }
}

#[test]
fn direct_supervision_is_a_cross_entropy_of_the_maps() {
    let cam = Tensor::from_slice(&[4_f32, 2.0, -1.0, 3.0]).reshape([1, 2, 1, 2]);
    let labels = Tensor::from_slice2(&[[1_f32, 0.0]]);
    let regions = Tensor::from_slice(&[1_i64, 0]).reshape([1, 1, 2]);
    // Scores of (background, first, second): (0, 1, 0) and (1/2, 1/2, 0).
    let pixels = [(2.0 + 1_f64.exp()).ln() - 1.0, (1.0 + 2.0 * 0.5_f64.exp()).ln() - 0.5];
    let loss = |valid: &[bool; 2]| direct_loss(&cam, &labels, &regions, &Tensor::from_slice(valid).reshape([1, 1, 2]));
    assert_scalar("both", &loss(&[true, true]), f64::midpoint(pixels[0], pixels[1]), TOLERANCE);
    assert_scalar("without padding", &loss(&[true, false]), pixels[0], TOLERANCE);
}

#[test]
fn maps_of_mam_are_compared_raw_or_divided_by_their_maximum() {
    let main = Tensor::from_slice(&[2_f32, -1.0, 9.0, 9.0]).reshape([1, 2, 1, 2]);
    let support = Tensor::from_slice(&[1_f32, 1.0, 9.0, 9.0]).reshape([1, 2, 1, 2]);
    let labels = Tensor::from_slice2(&[[1_f32, 0.0]]);
    let xi = 2.0 - 0.5_f64.sqrt(); // 2 - cos((2, 0), (1, 1))
    for (normalize, peak) in [(false, 2.0), (true, 1.0)] {
        let sum = (peak - xi).abs() + xi;
        for (reduction, expected) in [(Reduction::All, sum / 4.0), (Reduction::Labels, sum / 2.0)] {
            let options = MamParams { attention: Attention::Mam, normalize, reduction };
            let loss = scale_loss(&main, &[support.shallow_clone()], &labels, &options);
            assert_scalar(&format!("{options:?}"), &loss, expected, TOLERANCE);
        }
    }
}
