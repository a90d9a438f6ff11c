//! Ten SGD steps of the complete objective, as training takes them, against `tests/golden/ten_steps.py`.

use serde_json::json;
use tch::{Device, Kind, Tensor, nn};
use wsss::method::ema::MovingAverage;
use wsss::method::objective::{Objective, Tables};
use wsss::method::term::Site;
use wsss::method::views::{Batch, Networks, Views};
use wsss::model::{BackboneConfig, BackboneName, CamNet, CamNetConfig, Flat, Norm, WeightLayout};
use wsss::train::{OptimizerParams, Sgd};

use crate::golden::{Golden, assert_close, assert_scalar};

const BATCH: i64 = 4;
const CLASSES: i64 = 5;
const FEATURES: i64 = 16;
const SIZE: [i64; 2] = [64, 48];
const STEPS: u64 = 10;
/// alpha of the moving average.
const ALPHA: f64 = 0.9;
/// Of a loss, and of a tensor's largest magnitude, where rounding leaves that much certain.
const TOLERANCE: f64 = 1e-4;
/// How much farther than `PyTorch`'s own runs from one another, as far as rounding goes, another program may be.
const ROUNDING: f64 = 3.0;

/// `MainNet` or `SupportNet`: frozen norms and no dropout, so that a step is deterministic.
fn net(golden: &Golden) -> (nn::VarStore, CamNet) {
    let vs = nn::VarStore::new(Device::Cpu);
    let backbone = BackboneConfig { name: BackboneName::ResNet38, width: 4, norm: Norm::Frozen };
    let config = CamNetConfig { backbone, features: FEATURES, classes: CLASSES };
    let net = CamNet::with_dropout(&vs.root(), &config, [0.0, 0.0]);
    golden.fill(&vs);
    (vs, net)
}

/// The batch of a step, by the rule of the script: images that are zero in the padding, labels of which each image has
/// one for sure and lacks one for sure.
fn batch(golden: &Golden, step: u64) -> Batch {
    let [height, width] = SIZE;
    let input = |name: &str, shape: &[i64]| golden.input(&format!("step{step}.{name}"), shape);
    let labels = input("labels", &[BATCH, CLASSES]).gt(0.0).to_kind(Kind::Float);
    let border = (input("padding", &[BATCH, 4]) + 1.0) / 2.0; // top, bottom, left, right as shares of a quarter side
    let valid = Tensor::zeros([BATCH, height, width], (Kind::Bool, Device::Cpu));
    for image in 0..BATCH {
        let class = |after: i64| (image + step as i64 + after) % CLASSES;
        let _ = labels.get(image).get(class(0)).fill_(1.0);
        let _ = labels.get(image).get(class(1)).fill_(0.0);
        let cut = |side: i64, length: i64| (border.double_value(&[image, side]) * (length / 4) as f64) as i64;
        let [top, bottom, left, right] = [cut(0, height), cut(1, height), cut(2, width), cut(3, width)];
        let mut shown = valid.get(image).narrow(0, top, height - top - bottom).narrow(1, left, width - left - right);
        let _ = shown.fill_(1);
    }
    let images = input("images", &[BATCH, 3, height, width]) * valid.unsqueeze(1);
    Batch { images, labels, valid }
}

fn objective(vs: &nn::VarStore, main: &CamNet) -> Objective {
    let tables = json!({
        "cls": { "weight": 1.0, "from_epoch": 1 },
        "rcm": {
            "weight": 0.5, "from_epoch": 1, "threshold": 0.2, "temperature": 0.5, "form": "infonce",
            "supervision": "contrastive", "memory": 1,
        },
        "mam": { "weight": 2.0, "from_epoch": 1, "attention": "mam", "normalize": true, "reduction": "all" },
    });
    let tables: Tables = tables.as_object().unwrap().clone().into_iter().collect();
    let site =
        |_| Site { path: vs.root(), classes: CLASSES, features: FEATURES, taps: main.taps(), device: Device::Cpu };
    Objective::new(&["cls", "rcm", "mam"].map(str::to_owned), &tables, site).unwrap()
}

#[test]
fn ten_steps_are_pytorchs() {
    let golden = Golden::open("ten_steps.safetensors");
    let ((main_vs, main), (mut support_vs, support)) = (net(&golden), net(&golden));
    let [flat, support_flat] = [&main_vs, &support_vs].map(|vs| Flat::of(vs, WeightLayout::Plain));
    let mut average = MovingAverage::new(support_flat, &flat, ALPHA);
    support_vs.freeze();
    let params = OptimizerParams { lr: 0.005, head_lr: 2.0, momentum: 0.9, weight_decay: 5e-4, power: 0.9 };
    let (mut objective, mut sgd) = (objective(&main_vs, &main), Sgd::new(flat, &params));
    for step in 0..STEPS {
        let batch = batch(&golden, step);
        let networks = Networks { main: &main, support: &support, scales: &[0.5, 1.0, 2.0] };
        let loss = objective.loss(&Views::new(&batch, networks), 1, |summand| sgd.backward(summand));
        let terms = ["cls", "rcm", "mam"].into_iter().zip(loss.terms.iter().map(Option::as_ref));
        for (name, found) in terms.chain([("total", Some(&loss.total))]) {
            let at = |what: &str| golden.get(&format!("{what}{name}")).double_value(&[step as i64]);
            let (expected, rounding) = (at("losses."), at("rounding.losses."));
            let tolerance = TOLERANCE.max(ROUNDING * rounding / expected.abs());
            assert_scalar(&format!("{name} of step {step}"), found.expect("every term is on"), expected, tolerance);
        }
        sgd.step(params.lr_at(step, STEPS));
        average.update();
    }
    let tolerance = |name: &str, scale: &Tensor, floor: f64| {
        let rounding = golden.get(&format!("rounding.{name}")).double_value(&[0]);
        floor.max(ROUNDING * rounding / scale.abs().max().double_value(&[]))
    };
    let expected = golden.get("prototypes");
    let state = objective.state();
    let recent = &state.iter().find(|(name, _)| name == "rcm.recent").expect("the prototypes").1; // [1, K + 1, D]
    assert_close("prototypes", &recent.get(0), &expected, tolerance("prototypes", &expected, TOLERANCE));
    let first = net(&golden).0.variables();
    for (prefix, vs) in [("main", &main_vs), ("support", &support_vs)] {
        for (name, found) in vs.variables() {
            let stored = format!("{prefix}.{name}");
            let Some(expected) = golden.find(&stored) else { continue };
            assert_close(&stored, &found, &expected, tolerance(&stored, &expected, TOLERANCE));
            // What ten steps changed, which is small beside the weight.
            let (found, expected) = (found - &first[&name], expected - &first[&name]);
            assert_close(&format!("the way of {stored}"), &found, &expected, tolerance(&stored, &expected, 1e-2));
        }
    }
}
