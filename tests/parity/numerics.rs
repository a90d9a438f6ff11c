//! The same code in other numbers: bf16 is near f32, TF32 on a CPU is f32, and what must be f32 stays so.

use artifact::Numerics;
use tch::{Device, Kind, Tensor, nn};
use wsss::method::terms::mam::cosine_distance;
use wsss::method::views::{Networks, Views};
use wsss::model::{
    AffinityNet, BackboneConfig, BackboneName, CamNet, CamNetConfig, DeepLab, Flat, Mode, Norm, WeightLayout,
};
use wsss::train::{OptimizerParams, Sgd};

use crate::golden::{noise, settle};
use crate::step::{batch, net, objective, tables};

/// Of a tensor's length. bf16 has eight bits, and a network of random weights fifty layers.
const BF16: f64 = 0.15;

/// How far two tensors are apart, as a part of the length of one.
fn apart(found: &Tensor, expected: &Tensor) -> f64 {
    ((found - expected).norm() / expected.norm()).double_value(&[])
}

/// What the three networks make of two pictures: CAMs, features, the features of affinities, logits.
fn looks(name: BackboneName, norm: Norm, numerics: Numerics) -> [Tensor; 4] {
    let backbone = BackboneConfig { name, width: 8, norm };
    let vs = nn::VarStore::new(Device::Cpu);
    let root = vs.root();
    let config = CamNetConfig { backbone: backbone.clone(), features: 16, classes: 3 };
    let cam = CamNet::new(&(&root / "cam"), &config).with_numerics(numerics);
    let affinity = AffinityNet::new(&(&root / "affinity"), &backbone).with_numerics(numerics);
    let deeplab = DeepLab::new(&(&root / "deeplab"), &backbone, 4, 16).with_numerics(numerics);
    settle(&vs);
    let _flat = Flat::of(&vs, WeightLayout::of(numerics));
    let images = noise("numerics.images", &[2, 3, 48, 40]);
    tch::no_grad(|| {
        let seen = cam.forward(&images, Mode::Eval);
        [seen.cam, seen.feature, affinity.forward(&images, Mode::Eval), deeplab.forward(&images, Mode::Eval)]
    })
}

#[test]
fn every_network_is_nearly_itself_in_bf16_and_itself_in_tf32_on_a_cpu() {
    for name in BackboneName::ALL {
        for norm in [Norm::Frozen, Norm::Train] {
            let expected = looks(name, norm, Numerics::F32);
            for (numerics, tolerance) in [(Numerics::Bf16, BF16), (Numerics::Tf32, 1e-5)] {
                for (found, expected) in looks(name, norm, numerics).iter().zip(&expected) {
                    assert_eq!(found.kind(), Kind::Float);
                    let apart = apart(found, expected);
                    assert!(apart < tolerance, "{name:?} {norm:?} {numerics:?}: {apart}");
                    assert!(numerics != Numerics::Bf16 || apart > 1e-4, "{name:?}: not computed in bf16");
                }
            }
        }
    }
}

/// The gradient of the whole objective, and its terms' values, of one step in these numbers.
fn step(numerics: Numerics) -> (Tensor, Vec<f64>) {
    let ((main_vs, main), (_support_vs, support)) = (net(Norm::Frozen), net(Norm::Frozen));
    let (main, support) = (main.with_numerics(numerics), support.with_numerics(numerics));
    let mut objective = objective(&main_vs, &main, &["cls", "rcm", "mam"], &tables());
    let flat = Flat::of(&main_vs, WeightLayout::of(numerics));
    let before = flat.trained.copy();
    let networks = Networks { main: &main, support: &support, scales: &[0.5, 1.0, 2.0] };
    let params = OptimizerParams { lr: 1.0, head_lr: 1.0, momentum: 0.0, weight_decay: 0.0, power: 0.9 };
    let after = flat.trained.shallow_clone();
    let mut sgd = Sgd::new(flat, &params);
    let losses = objective.loss(&Views::new(&batch(), networks), 2, |summand| sgd.backward(summand));
    sgd.step(1.0);
    assert!(main_vs.variables().values().all(|variable| variable.kind() == Kind::Float));
    let values = losses.terms.iter().flatten().map(|term| term.double_value(&[])).collect();
    (before - after, values)
}

#[test]
fn a_step_in_bf16_goes_where_one_in_f32_goes() {
    let ((exact, terms), (found, found_terms)) = (step(Numerics::F32), step(Numerics::Bf16));
    assert_eq!(terms.len(), 3);
    for (exact, found) in terms.iter().zip(&found_terms) {
        assert!((found / exact - 1.0).abs() < BF16 && found.is_finite(), "{terms:?} {found_terms:?}");
    }
    // The layouts differ, so lengths and the sum of what each variable does are compared, variable by variable.
    assert_eq!(exact.size(), found.size());
    let ratio = (found.norm() / exact.norm()).double_value(&[]);
    assert!((ratio - 1.0).abs() < BF16, "{ratio}");
}

#[test]
fn cosines_of_maps_that_were_bf16_stay_stable() {
    let map = noise("numerics.map", &[2, 3, 40, 40]).abs();
    let rounded = map.to_kind(Kind::BFloat16).to_kind(Kind::Float);
    let distance = cosine_distance(&rounded, &map) - 1.0;
    assert!(distance.abs().max().double_value(&[]) < 1e-4, "{distance}");
    // Thousands of addends of one size are counted, not lost.
    let ones = Tensor::ones([1, 1, 400, 400], (Kind::BFloat16, Device::Cpu)).to_kind(Kind::Float);
    assert!((cosine_distance(&ones, &ones) - 1.0).abs().max().double_value(&[]) < 1e-6);
}
