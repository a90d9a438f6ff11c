//! The attentive module over scales, Eqs. 6-8, against `PyTorch`.

use tch::{Kind, Tensor};
use wsss::method::cam::normalize_by_max;
use wsss::method::terms::mam::{Attention, MamParams, Reduction, cosine_distance, scale_loss, target};

use crate::golden::{Golden, assert_close, assert_scalar, leaf, noise};

const TOLERANCE: f64 = 1e-4;
const SCALES: [&str; 3] = ["s", "m", "l"];

fn cams(golden: &Golden, net: &str) -> Vec<Tensor> {
    SCALES.map(|scale| golden.get(&format!("raw.{net}.{scale}"))).into()
}

fn options(attention: Attention, reduction: Reduction) -> MamParams {
    MamParams { attention, normalize: true, reduction }
}

#[test]
fn targets_are_pytorchs() {
    let golden = Golden::open("method.safetensors");
    let labels = golden.get("labels");
    let [main, support] = ["main", "support"]
        .map(|net| cams(&golden, net).iter().map(|c| normalize_by_max(c, &labels)).collect::<Vec<_>>());
    for (map, scale) in main.iter().zip(SCALES) {
        let found = target(map, &support, Attention::Mam);
        assert_close(scale, &found, &golden.get(&format!("mam.target.{scale}")), TOLERANCE);
    }
}

#[test]
fn losses_and_gradients_are_pytorchs() {
    let golden = Golden::open("method.safetensors");
    let (labels, support) = (golden.get("labels"), cams(&golden, "support"));
    for (variant, name) in [(Attention::Smm, "smm"), (Attention::Mmm, "mmm"), (Attention::Mam, "mam")] {
        let scales = if variant == Attention::Smm { &SCALES[1..2] } else { &SCALES[..] };
        let main: Vec<Tensor> = scales.iter().map(|s| leaf(&golden.get(&format!("raw.main.{s}")))).collect();
        let options = options(variant, Reduction::Labels);
        let loss: Tensor = main.iter().map(|map| scale_loss(map, &support, &labels, &options)).sum();
        loss.backward();
        assert_scalar(name, &loss, golden.scalar(&format!("{name}.loss")), TOLERANCE);
        for (map, scale) in main.iter().zip(scales) {
            let expected = golden.get(&format!("{name}.grad.{scale}"));
            assert_close(&format!("{name} {scale}"), &map.grad(), &expected, TOLERANCE);
        }
    }
}

#[test]
fn the_two_reductions_differ_by_the_share_of_labels() {
    let golden = Golden::open("method.safetensors");
    let (labels, main, support) = (golden.get("labels"), cams(&golden, "main"), cams(&golden, "support"));
    let of = |reduction| {
        let options = options(Attention::Mam, reduction);
        main.iter().map(|map| scale_loss(map, &support, &labels, &options).double_value(&[])).sum::<f64>()
    };
    let share = labels.sum(Kind::Double).double_value(&[]) / labels.numel() as f64;
    assert!((of(Reduction::All) - of(Reduction::Labels) * share).abs() < 1e-7);
}

#[test]
fn distances_are_one_for_equal_maps_and_two_for_absent_ones() {
    let map = noise("distance", &[1, 2, 6, 5]).abs();
    let absent = Tensor::zeros_like(&map);
    assert_close(
        "equal",
        &cosine_distance(&map, &(&map * 3.0)),
        &Tensor::ones([1, 2], (Kind::Float, tch::Device::Cpu)),
        1e-5,
    );
    assert_eq!(cosine_distance(&map, &absent), Tensor::full([1, 2], 2.0, (Kind::Float, tch::Device::Cpu)));
}
