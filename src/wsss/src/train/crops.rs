//! Crops of pictures as the tensors of a batch.

use std::borrow::Borrow;

use data::augment::Sample;
use tch::{Device, Tensor};

/// A batch of crops as the training loops take it, on the CPU.
#[derive(Debug)]
pub struct Crops {
    /// Normalised pictures, [B, 3, H, W] f32.
    pub images: Tensor,
    /// Pixels that are of a picture, [B, H, W] bool.
    pub valid: Tensor,
    /// The samples' maps, each [B, H, W] i64.
    pub maps: Vec<Tensor>,
}

/// A tensor of the CPU on `device`. A GPU fetches it by itself, while the next operations are already asked for: the
/// copy that it reads stays in memory that is never moved.
pub fn upload(tensor: &Tensor, device: Device) -> Tensor {
    if !device.is_cuda() {
        return tensor.to_device(device);
    }
    tensor.pin_memory(device).to_device_(device, tensor.kind(), true, false)
}

/// Stacks samples of one crop size and one number of maps.
pub fn to_tensors<S: Borrow<Sample>>(samples: &[S]) -> Crops {
    let b = samples.len() as i64;
    let side = samples.first().map_or(0, |s| s.borrow().crop) as i64;
    let maps = samples.first().map_or(0, |s| s.borrow().maps.len());
    let image: Vec<f32> = samples.iter().flat_map(|s| s.borrow().image.iter().copied()).collect();
    let valid: Vec<bool> = samples.iter().flat_map(|s| s.borrow().valid.iter().copied()).collect();
    let map = |index: usize| {
        let classes: Vec<u8> = samples.iter().flat_map(|s| s.borrow().maps[index].iter().copied()).collect();
        Tensor::from_slice(&classes).view([b, side, side]).to_kind(tch::Kind::Int64) // [b, h, w]
    };
    Crops {
        images: Tensor::from_slice(&image).view([b, 3, side, side]), // [b, 3, h, w]
        valid: Tensor::from_slice(&valid).view([b, side, side]),     // [b, h, w]
        maps: (0..maps).map(map).collect(),
    }
}
