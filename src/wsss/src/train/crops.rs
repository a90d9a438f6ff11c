//! Crops of pictures as the tensors of a batch.

use std::borrow::Borrow;

use data::augment::Sample;
use tch::kind::Element;
use tch::{Device, Kind, Tensor};

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
    let samples: Vec<&Sample> = samples.iter().map(Borrow::borrow).collect();
    let side = samples.first().map_or(0, |sample| sample.crop) as i64;
    let maps = samples.first().map_or(0, |sample| sample.maps.len());
    Crops {
        images: images(&samples),                                                    // [b, 3, h, w]
        valid: stacked(&samples, &[side, side], Kind::Bool, |sample| &sample.valid), // [b, h, w]
        maps: (0..maps)
            .map(|index| stacked(&samples, &[side, side], Kind::Int64, |sample| &sample.maps[index])) // [b, h, w]
            .collect(),
    }
}

/// The pictures of samples of one crop size, [B, 3, H, W] f32.
pub fn images(samples: &[&Sample]) -> Tensor {
    let side = samples.first().map_or(0, |sample| sample.crop) as i64;
    stacked(samples, &[3, side, side], Kind::Float, |sample| &sample.image)
}

/// One part of every sample, each of this size, as one tensor. One sample after another is copied while it is in the
/// cache.
fn stacked<T: Element>(samples: &[&Sample], size: &[i64], kind: Kind, part: impl Fn(&Sample) -> &[T]) -> Tensor {
    let b = samples.len() as i64;
    let out = Tensor::empty([&[b], size].concat(), (kind, Device::Cpu));
    for (at, sample) in samples.iter().enumerate() {
        out.get(at as i64).copy_(&Tensor::from_slice(part(sample)).view(size));
    }
    out
}
