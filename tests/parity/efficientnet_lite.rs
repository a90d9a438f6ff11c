//! `EfficientNet`-Lite against the package whose weights it takes, and what its padding must keep.

use tch::{Device, Tensor, nn};
use wsss::model::{Backbone, BackboneConfig, BackboneName, Mode, Norm, Taps};

use crate::golden::{Golden, assert_close, noise, settle};

/// Of a tensor's largest magnitude; rounding alone makes about 1e-6.
const TOLERANCE: f64 = 1e-5;

/// The two, as the golden files call them.
const LITE: [(&str, BackboneName); 2] =
    [("lite0", BackboneName::EfficientNetLite0), ("lite2", BackboneName::EfficientNetLite2)];

/// The pictures of the golden files: every map of the first has even sides at the strides up to 8, the second's are of
/// both kinds.
const PICTURES: [(&str, [i64; 4]); 2] = [("even", [2, 3, 64, 48]), ("odd", [1, 3, 53, 34])];

fn network(name: BackboneName, width: i64, norm: Norm) -> (nn::VarStore, Backbone) {
    let vs = nn::VarStore::new(Device::Cpu);
    let net = Backbone::new(&(vs.root() / "backbone"), &BackboneConfig { name, width, norm }, [0.0, 0.0]);
    (vs, net)
}

/// A narrow network with the file's weights, and its taps of one of the pictures.
fn taps(file: &Golden, lite: (&str, BackboneName), picture: (&str, [i64; 4])) -> Taps {
    let (vs, net) = network(lite.1, 4, Norm::Frozen);
    file.fill(&vs);
    let images = file.input(&format!("{}.{}", lite.0, picture.0), &picture.1);
    tch::no_grad(|| net.forward(&images, Mode::Eval))
}

#[test]
fn taps_are_those_of_the_dilated_package() {
    for lite in LITE {
        let file = Golden::open(&format!("efficientnet_{}.safetensors", lite.0));
        for picture in PICTURES {
            let Taps { conv4, conv5, conv6 } = taps(&file, lite, picture);
            for (tap, found) in [("conv4", conv4), ("conv5", conv5), ("conv6", conv6)] {
                let key = format!("{}.{tap}", picture.0);
                assert_close(&format!("{} {key}", lite.0), &found, &file.get(&key), TOLERANCE);
            }
        }
    }
}

/// The cells of an axis that a convolution of stride 2 would have kept: it is centred on the second of each pair if
/// their number is even, else on the first.
fn halved(x: &Tensor, axis: i64) -> Tensor {
    let side = x.size()[axis as usize];
    x.slice(axis, (side + 1) % 2, side, 2)
}

#[test]
fn the_undilated_network_is_part_of_the_dilated_one() {
    for lite in LITE {
        let file = Golden::open(&format!("efficientnet_{}.safetensors", lite.0));
        for picture in PICTURES {
            let conv6 = taps(&file, lite, picture).conv6; // [B, C, ceil(H / 8), ceil(W / 8)]
            let kept = [2, 3, 2, 3].iter().fold(conv6, |x, &axis| halved(&x, axis));
            let expected = file.get(&format!("{}.stride32", picture.0)); // [B, C, ceil(H / 32), ceil(W / 32)]
            assert_close(&format!("{} {}", lite.0, picture.0), &kept, &expected, TOLERANCE);
        }
    }
}

#[test]
fn names_and_sizes_are_those_of_the_published_weights() {
    for (name, variables, shapes) in [
        (
            BackboneName::EfficientNetLite0,
            245,
            [
                ("_conv_stem.weight", vec![32, 3, 3, 3]),
                ("_blocks.0._project_conv.weight", vec![16, 32, 1, 1]),
                ("_blocks.3._depthwise_conv.weight", vec![144, 1, 5, 5]),
                ("_blocks.15._bn2.running_var", vec![320]),
            ],
        ),
        (
            BackboneName::EfficientNetLite2,
            320,
            [
                ("_bn0.running_mean", vec![32]),
                ("_blocks.4._project_conv.weight", vec![48, 144, 1, 1]),
                ("_blocks.20._expand_conv.weight", vec![1248, 208, 1, 1]),
                ("_conv_head.weight", vec![1280, 352, 1, 1]),
            ],
        ),
    ] {
        let (vs, net) = network(name, name.full_width(), Norm::Frozen);
        let found = vs.variables();
        assert_eq!(found.len(), variables);
        for (key, shape) in shapes {
            assert_eq!(found[&format!("backbone.{key}")].size(), shape, "{key}");
        }
        let taps = tch::no_grad(|| net.forward(&noise("taps", &[1, 3, 65, 48]), Mode::Eval));
        for (tap, channels) in [taps.conv4, taps.conv5, taps.conv6].iter().zip(net.channels()) {
            assert_eq!(tap.size(), [1, channels, 9, 6]);
        }
        for (key, variable) in &found {
            assert_eq!(variable.requires_grad(), variable.dim() == 4, "{key}: norms are frozen, weights learn");
        }
    }
}

#[test]
fn batch_statistics_move_by_a_hundredth() {
    let (vs, net) = network(BackboneName::EfficientNetLite0, 4, Norm::Train);
    settle(&vs);
    let mean = || vs.variables()["backbone._bn0.running_mean"].copy();
    let images = noise("statistics", &[2, 3, 32, 32]);
    let step = || {
        let before = mean();
        let _ = tch::no_grad(|| net.forward(&images, Mode::Train));
        mean() - before
    };
    let (first, second) = (step(), step());
    // The same batch twice: m becomes 0.99 m + 0.01 b.
    assert_close("second step", &second, &(&first * 0.99), 1e-3);
    assert!(first.abs().max().double_value(&[]) > 0.0);
}
