//! DeepLab's loss and its inference over scales and mirror images, against their definitions in loops.

use tch::{Device, Kind, Tensor, nn};
use wsss::method::flip::Flip;
use wsss::method::segmentation::{LogitLosses, probabilities, segmentation_loss};
use wsss::model::{BackboneConfig, BackboneName, DeepLab, Mode, Norm};
use wsss::tensor::floats;

use crate::golden::{assert_scalar, noise, settle};
use crate::loops::{Map, assert_near};

const SIZE: [usize; 2] = [40, 56];
const CLASSES: i64 = 4;
const VOID: i64 = 255;

/// A narrow network without dropout whose norms do not learn: the same in training as at rest.
fn net(vs: &nn::VarStore) -> DeepLab {
    let backbone = BackboneConfig { name: BackboneName::MobileNetV2, width: 8, norm: Norm::Frozen };
    let net = DeepLab::new(&vs.root(), &backbone, CLASSES, 8);
    settle(vs);
    net
}

fn image() -> Tensor {
    noise("segmentation.image", &[1, 3, SIZE[0] as i64, SIZE[1] as i64]) * 2.0
}

fn tensor(maps: &[Map]) -> Tensor {
    let values: Vec<f32> = maps.iter().flat_map(|map| map.values.iter().map(|value| *value as f32)).collect();
    Tensor::from_slice(&values).view([1, -1, maps[0].height as i64, maps[0].width as i64])
}

fn mirrored(maps: &[Map]) -> Vec<Map> {
    maps.iter().map(Map::mirrored).collect()
}

/// Logits in the image's size, computed at another scale.
fn logits(net: &DeepLab, image: &[Map], scale: f64) -> Vec<Map> {
    let scaled = SIZE.map(|side| (side as f64 * scale).round() as usize);
    let image: Vec<Map> = image.iter().map(|channel| channel.upsampled(scaled)).collect();
    Map::channels(&net.forward(&tensor(&image), Mode::Eval)).iter().map(|map| map.upsampled(SIZE)).collect()
}

fn softmax(logits: &[Map]) -> Vec<Map> {
    let sum = |y: usize, x: usize| logits.iter().map(|map| map.at(y, x).exp()).sum::<f64>();
    logits.iter().map(|map| Map::from_fn(SIZE, |y, x| map.at(y, x).exp() / sum(y, x))).collect()
}

#[test]
fn probabilities_are_the_mean_of_what_each_view_says() {
    let vs = nn::VarStore::new(Device::Cpu);
    let (net, image) = (net(&vs), image());
    let _guard = tch::no_grad_guard();
    let channels = Map::channels(&image);
    for (scales, flip) in
        [(&[1.0][..], Flip::None), (&[0.5], Flip::Both), (&[0.75, 1.0, 1.5], Flip::None), (&[0.75, 1.0], Flip::Both)]
    {
        let mut views = Vec::new();
        for scale in scales {
            views.push(softmax(&logits(&net, &channels, *scale)));
            if flip == Flip::Both {
                views.push(mirrored(&softmax(&logits(&net, &mirrored(&channels), *scale))));
            }
        }
        let found = floats(&probabilities(&net, &image, scales, flip));
        for (class, found) in found.chunks_exact(SIZE[0] * SIZE[1]).enumerate() {
            let mean = |y, x| views.iter().map(|view| view[class].at(y, x)).sum::<f64>() / views.len() as f64;
            assert_near(&format!("class {class}, {scales:?}, {flip:?}"), found, &Map::from_fn(SIZE, mean), 1e-4);
        }
    }
}

/// Mean of -ln softmax of the label over the labelled pixels.
fn cross_entropy(logits: &[Map], labels: &[i64]) -> f64 {
    let softmax = softmax(logits);
    let labelled: Vec<_> = labels.iter().enumerate().filter(|(_, label)| **label != VOID).collect();
    labelled.iter().map(|(pixel, label)| -softmax[**label as usize].values[*pixel].ln()).sum::<f64>()
        / labelled.len() as f64
}

#[test]
fn the_loss_sums_the_cross_entropies_of_scales_and_of_their_maximum() {
    let vs = nn::VarStore::new(Device::Cpu);
    let (net, image) = (net(&vs), image());
    let channels = Map::channels(&image);
    let ids: Vec<i64> = (0..SIZE[0] * SIZE[1]).map(|i| [0, 3, VOID, 1, 2][i / 7 % 5]).collect();
    let labels = Tensor::from_slice(&ids).view([1, SIZE[0] as i64, SIZE[1] as i64]);
    let scales = [1.0, 0.75, 0.5].map(|scale| logits(&net, &channels, scale));
    let largest: Vec<Map> = (0..CLASSES as usize)
        .map(|class| Map::from_fn(SIZE, |y, x| scales.iter().map(|maps| maps[class].at(y, x)).fold(f64::MIN, f64::max)))
        .collect();
    let single = cross_entropy(&scales[0], &ids);
    let multi = scales.iter().chain([&largest]).map(|logits| cross_entropy(logits, &ids)).sum::<f64>();
    for (losses, expected) in [(LogitLosses::Single, single), (LogitLosses::Multi, multi)] {
        let found = segmentation_loss(&net, &image, &labels, losses);
        assert_scalar(&format!("{losses:?}"), &found, expected, 1e-4);
    }
}

#[test]
fn a_batch_without_a_label_costs_nothing() {
    let vs = nn::VarStore::new(Device::Cpu);
    let net = net(&vs);
    let void = Tensor::full([1, SIZE[0] as i64, SIZE[1] as i64], VOID, (Kind::Int64, Device::Cpu));
    let loss = segmentation_loss(&net, &image(), &void, LogitLosses::Multi).double_value(&[]);
    assert!(loss.abs() < f64::EPSILON, "{loss}");
}
