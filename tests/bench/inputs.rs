//! What several benchmarks work on: drawn photographs, and networks whose random weights keep the size of activations.

use std::path::{Path, PathBuf};

use data::shapes::{ShapesConfig, write_voc_layout};
use tch::{Device, Tensor, nn};
use wsss::model::{BackboneConfig, BackboneName, CamNet, CamNetConfig, Norm};

pub use crate::objective::{CLASSES, FEATURES};

/// The file of weights in a benchmark's folder.
pub const WEIGHTS: &str = "weights.safetensors";

/// `MobileNetV2` with frozen norms.
pub fn backbone() -> BackboneConfig {
    BackboneConfig { name: BackboneName::MobileNetV2, width: 32, norm: Norm::Frozen }
}

fn config() -> CamNetConfig {
    CamNetConfig { backbone: backbone(), features: FEATURES, classes: CLASSES }
}

/// A CAM net, and the store of its variables.
pub fn cam_net() -> (nn::VarStore, CamNet) {
    let vs = nn::VarStore::new(Device::Cpu);
    let net = CamNet::new(&vs.root(), &config());
    (vs, net)
}

/// A CAM net with the weights that lie in `folder`.
pub fn filled_cam_net(folder: &Path) -> (nn::VarStore, CamNet) {
    let (mut vs, net) = cam_net();
    vs.load(folder.join(WEIGHTS)).expect("weights are read");
    (vs, net)
}

/// Draws the weights of convolutions so that activations keep their size from layer to layer. Wide filters average, as
/// otherwise a grey level, by which decoders and resizers differ, would decide what a network of random weights says.
pub fn draw_weights(vs: &nn::VarStore) {
    let mut variables: Vec<_> = vs.variables().into_iter().filter(|(_, variable)| variable.dim() == 4).collect();
    variables.sort_by(|(a, _), (b, _)| a.cmp(b));
    tch::no_grad(|| {
        for (_, mut weight) in variables {
            let (to, from, side, _) = weight.size4().expect("weights are [to, from, side, side]");
            let options = (weight.kind(), weight.device());
            let average = if side == 1 {
                Tensor::ones([1], options)
            } else {
                Tensor::rand_like(&weight) * (2.0 / (side * side) as f64)
            };
            // A filter of one channel averages it; others mix channels.
            let bound = (6.0 / from as f64).sqrt();
            let mixed = if from == 1 {
                Tensor::ones([1], options)
            } else {
                (Tensor::rand([to, from, 1, 1], options) * 2.0 - 1.0) * bound
            };
            weight.copy_(&(mixed * average));
        }
    });
}

/// `count` drawn photographs as JPEGs of a `[height, width]`, every other one turned; their files, sorted.
pub fn photographs(folder: &Path, count: usize, size: [usize; 2]) -> Vec<PathBuf> {
    let config = ShapesConfig { seed: 1, images_train: count, images_val: 1, images_closeup: 0, size };
    write_voc_layout(folder, &config).expect("drawn pictures");
    let files = std::fs::read_dir(folder.join("JPEGImages")).expect("pictures");
    let mut files: Vec<_> = files.map(|file| file.expect("a picture").path()).collect();
    files.sort();
    files.truncate(count);
    files
}

/// The f32 of a file, little-endian.
pub fn read_floats(file: &Path) -> Vec<f32> {
    let bytes = std::fs::read(file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    let (floats, _) = bytes.as_chunks::<4>();
    floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// Writes f32 as [`read_floats`] reads them.
pub fn write_floats(file: &Path, values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(file, bytes).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
}
