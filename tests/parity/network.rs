//! The networks: forward parity, equivariance, independence of the batch, state-dict names.

use artifact::Numerics;
use tch::{Device, Kind, Tensor, nn};
use wsss::model::{
    AffinityNet, Backbone, BackboneConfig, BackboneName, CamNet, CamNetConfig, DeepLab, Mode, Norm, Taps,
};

use crate::golden::{Golden, assert_close, noise, relative, settle};

/// Of a tensor's largest magnitude.
const TOLERANCE: f64 = 1e-3;

fn backbone(name: BackboneName, width: i64, norm: Norm) -> BackboneConfig {
    BackboneConfig { name, width, norm }
}

fn parity(prefix: &str, width: i64, features: i64, classes: i64, input: [i64; 4]) {
    let golden = Golden::open("network.safetensors");
    let vs = nn::VarStore::new(Device::Cpu);
    let config = backbone(BackboneName::ResNet38, width, Norm::Frozen);
    let net = CamNet::new(&vs.root(), &CamNetConfig { backbone: config.clone(), features, classes });
    let (images, key) = (golden.input(&format!("{prefix}.input"), &input), |name: &str| format!("{prefix}.{name}"));
    let _guard = tch::no_grad_guard();
    golden.fill(&vs);
    let output = net.forward(&images, Mode::Eval);
    assert_close("X", &output.feature, &golden.get(&key("feature_relu")), TOLERANCE);
    assert_close("A", &output.cam, &golden.get(&key("cam_after_relu")), TOLERANCE);
    let mean = output.cam.mean_dim([2, 3].as_slice(), false, Kind::Float);
    assert_close("logits", &output.logits, &mean, 1e-6);

    let vs = nn::VarStore::new(Device::Cpu);
    let net = Backbone::new(&(vs.root() / "backbone"), &config, [0.2, 0.2]);
    golden.fill(&vs);
    let Taps { conv4, conv5, conv6 } = net.forward(&images, Mode::Eval);
    assert_eq!(net.channels(), [&conv4, &conv5, &conv6].map(|tap| tap.size()[1]));
    for (name, tap) in [("conv4_mean", conv4), ("conv5_mean", conv5), ("conv6_mean", conv6)] {
        let mean = tap.mean_dim([0, 2, 3].as_slice(), false, Kind::Float);
        assert_close(name, &mean, &golden.get(&key(name)), TOLERANCE);
    }
}

#[test]
fn the_full_resnet38_is_pytorchs() {
    parity("full", 64, 256, 20, [1, 3, 64, 64]);
}

#[test]
fn a_narrow_resnet38_is_pytorchs() {
    parity("narrow", 4, 16, 5, [2, 3, 50, 41]);
}

/// The taps of a narrow backbone against `file`, which `tests/golden/backbones.py` wrote.
fn taps_parity(name: BackboneName, file: &str) {
    let golden = Golden::open(&format!("{file}.safetensors"));
    let vs = nn::VarStore::new(Device::Cpu);
    let net = Backbone::new(&(vs.root() / "backbone"), &backbone(name, narrow(name), Norm::Frozen), [0.0, 0.0]);
    golden.fill(&vs);
    let images = golden.input(&format!("{file}.input"), &[2, 3, 50, 41]);
    let Taps { conv4, conv5, conv6 } = tch::no_grad(|| net.forward(&images, Mode::Train));
    for (key, tap) in [("conv4", conv4), ("conv5", conv5), ("conv6", conv6)] {
        assert_close(key, &tap, &golden.get(key), TOLERANCE);
    }
}

#[test]
fn a_narrow_resnet50_is_pytorchs() {
    taps_parity(BackboneName::ResNet50, "resnet50");
}

#[test]
fn a_narrow_mobilenet_v2_is_pytorchs() {
    taps_parity(BackboneName::MobileNetV2, "mobilenet_v2");
}

#[test]
fn resnet38_has_106_million_parameters() {
    let vs = nn::VarStore::new(Device::Cpu);
    let config = backbone(BackboneName::ResNet38, 64, Norm::Train);
    let _net = CamNet::new(&vs.root(), &CamNetConfig { backbone: config, features: 256, classes: 20 });
    let parameters: usize = vs.trainable_variables().iter().map(Tensor::numel).sum();
    assert!((105_000_000..107_500_000).contains(&parameters), "{parameters} parameters");
}

/// A width that a test can afford.
fn narrow(name: BackboneName) -> i64 {
    if name == BackboneName::MobileNetV2 { 8 } else { 4 }
}

fn small(name: BackboneName, norm: Norm) -> (nn::VarStore, CamNet) {
    let width = narrow(name);
    let vs = nn::VarStore::new(Device::Cpu);
    let config = CamNetConfig { backbone: backbone(name, width, norm), features: 16, classes: 5 };
    let net = CamNet::new(&vs.root(), &config);
    settle(&vs);
    (vs, net)
}

#[test]
fn a_flipped_image_gives_the_flipped_cam() {
    for name in BackboneName::ALL {
        let (vs, net) = small(name, Norm::Frozen);
        // With symmetric kernels and sides of 8 n + 1, at which strides of 2 sample symmetrically, padding, strides and
        // dilations must be symmetric too.
        for mut variable in vs.variables().into_values().filter(|v| v.dim() == 4) {
            tch::no_grad(|| variable.copy_(&((&variable + variable.flip([3])) * 0.5)));
        }
        let images = noise("flip", &[1, 3, 41, 57]);
        let _guard = tch::no_grad_guard();
        let straight = net.forward(&images, Mode::Eval).cam;
        let flipped = net.forward(&images.flip([3]), Mode::Eval).cam.flip([3]);
        assert_close("flipped CAM", &flipped, &straight, 1e-4);
    }
}

#[test]
fn a_batch_equals_its_parts() {
    for name in BackboneName::ALL {
        let (_vs, net) = small(name, Norm::Train);
        let images = noise("batch", &[3, 3, 40, 33]);
        let _guard = tch::no_grad_guard();
        let whole = net.forward(&images, Mode::Eval).cam;
        let parts: Vec<Tensor> = (0..3).map(|i| net.forward(&images.narrow(0, i, 1), Mode::Eval).cam).collect();
        assert_close("batch", &Tensor::cat(&parts, 0), &whole, 1e-4);
    }
}

#[test]
fn a_network_at_work_gives_what_the_same_network_gives() {
    for name in BackboneName::ALL {
        for norm in [Norm::Frozen, Norm::Train] {
            let (vs, net) = small(name, norm);
            unsettle(&vs);
            let images = noise("work", &[2, 3, 40, 33]);
            let _guard = tch::no_grad_guard();
            let expected = net.forward(&images, Mode::Eval).cam;
            let at_work = net.for_inference();
            for _ in 0..2 {
                assert_close("CAM at work", &at_work.forward(&images, Mode::Eval).cam, &expected, 1e-4);
            }
        }
    }
}

#[test]
fn what_a_constant_norm_does_is_made_anew_when_its_variables_change() {
    for numerics in [Numerics::F32, Numerics::Tf32] {
        let (vs, net) = small(BackboneName::ResNet38, Norm::Frozen);
        let net = net.with_numerics(numerics);
        let images = noise("changed", &[1, 3, 32, 32]);
        let _guard = tch::no_grad_guard();
        let before = net.forward(&images, Mode::Eval).cam;
        unsettle(&vs);
        let (other_vs, other) = small(BackboneName::ResNet38, Norm::Frozen);
        unsettle(&other_vs);
        let (found, expected) = (net.forward(&images, Mode::Eval).cam, other.forward(&images, Mode::Eval).cam);
        assert!(relative(&found, &before) > 0.1, "the norms have changed");
        assert_close("after the change", &found, &expected, 1e-4);
    }
}

/// Gives norms something to do.
fn unsettle(vs: &nn::VarStore) {
    for (name, mut variable) in vs.variables().into_iter().filter(|(_, variable)| variable.dim() == 1) {
        let change = noise(&name, &variable.size()) * 0.3;
        tch::no_grad(|| drop(variable.g_add_(&if name.ends_with("running_var") { change.abs() } else { change })));
    }
}

#[test]
fn frozen_norms_do_not_move_and_the_stem_does_not_learn() {
    let (vs, net) = small(BackboneName::ResNet38, Norm::Frozen);
    let before = vs.variables()["backbone.b4.bn_branch2a.running_mean"].copy();
    let output = net.forward(&noise("frozen", &[2, 3, 32, 32]), Mode::Train);
    output.logits.square().sum(Kind::Float).backward();
    let variables = vs.variables();
    assert_eq!(variables["backbone.b4.bn_branch2a.running_mean"], before);
    for fixed in ["conv1a.weight", "b2.conv_branch2a.weight", "b2_2.conv_branch2b1.weight", "b6.bn_branch2a.weight"] {
        assert!(!variables[&format!("backbone.{fixed}")].requires_grad(), "{fixed} is frozen");
    }
    assert!(variables["backbone.b3.conv_branch1.weight"].grad().defined(), "b3 learns");

    let (vs, net) = small(BackboneName::ResNet38, Norm::Train);
    net.forward(&noise("moving", &[2, 3, 32, 32]), Mode::Train).logits.square().sum(Kind::Float).backward();
    let variables = vs.variables();
    assert_ne!(variables["backbone.b4.bn_branch2a.running_mean"], before, "batch statistics are recorded");
    assert!(variables["backbone.conv1a.weight"].grad().defined(), "the stem learns from scratch");
}

#[test]
fn mobilenet_v2_has_torchvisions_names_and_stride_8() {
    let vs = nn::VarStore::new(Device::Cpu);
    let config = backbone(BackboneName::MobileNetV2, 32, Norm::Frozen);
    let net = Backbone::new(&(vs.root() / "backbone"), &config, [0.0, 0.0]);
    let variables = vs.variables();
    assert_eq!(variables.len(), 260);
    for (name, size) in [
        ("features.0.0.weight", vec![32, 3, 3, 3]),
        ("features.1.conv.1.weight", vec![16, 32, 1, 1]),
        ("features.10.conv.1.0.weight", vec![384, 1, 3, 3]),
        ("features.17.conv.3.running_var", vec![320]),
        ("features.18.0.weight", vec![1280, 320, 1, 1]),
    ] {
        assert_eq!(variables[&format!("backbone.{name}")].size(), size, "{name}");
    }
    let taps = tch::no_grad(|| net.forward(&noise("taps", &[1, 3, 65, 48]), Mode::Eval));
    assert_eq!(taps.conv4.size(), [1, 32, 9, 6]);
    assert_eq!(taps.conv5.size(), [1, 96, 9, 6]);
    assert_eq!(taps.conv6.size(), [1, 1280, 9, 6]);
}

#[test]
fn resnet50_has_torchvisions_names_and_a_stem_that_does_not_learn() {
    let vs = nn::VarStore::new(Device::Cpu);
    let net = Backbone::new(&vs.root(), &backbone(BackboneName::ResNet50, 64, Norm::Frozen), [0.0, 0.0]);
    let variables = vs.variables();
    // 53 convolutions with a norm of four tensors each.
    assert_eq!(variables.len(), 53 * 5);
    for (name, size) in [
        ("conv1.weight", vec![64, 3, 7, 7]),
        ("layer1.0.conv1.weight", vec![64, 64, 1, 1]),
        ("layer1.0.downsample.1.running_mean", vec![256]),
        ("layer2.0.downsample.0.weight", vec![512, 256, 1, 1]),
        ("layer3.5.conv2.weight", vec![256, 256, 3, 3]),
        ("layer4.2.bn3.weight", vec![2048]),
    ] {
        assert_eq!(variables[name].size(), size, "{name}");
    }
    assert_eq!(net.channels(), [512, 1024, 2048]);
    for (name, variable) in &variables {
        let learns = variable.dim() == 4 && !name.starts_with("conv1.") && !name.starts_with("layer1.");
        assert_eq!(variable.requires_grad(), learns, "{name}");
    }
}

#[test]
fn the_other_two_nets_have_their_shapes() {
    let _guard = tch::no_grad_guard();
    for name in BackboneName::ALL {
        let (config, images) = (backbone(name, narrow(name), Norm::Train), noise("shapes", &[2, 3, 48, 40]));
        let vs = nn::VarStore::new(Device::Cpu);
        assert_eq!(AffinityNet::new(&vs.root(), &config).forward(&images, Mode::Eval).size(), [2, 448, 6, 5]);
        let vs = nn::VarStore::new(Device::Cpu);
        assert_eq!(DeepLab::new(&vs.root(), &config, 6, 32).forward(&images, Mode::Eval).size(), [2, 6, 6, 5]);
    }
}
