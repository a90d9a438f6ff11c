//! Photographs as tensors, and tensors as plain numbers. Reads and writes nothing.

use data::augment::normalize;
use data::codec::Rgb;
use tch::{Device, Kind, Tensor};

/// A photograph as every network takes it: normalised, on the CPU.
///
/// # Shapes
/// To `[1, 3, H, W]`.
pub fn of_photo(photo: &Rgb) -> Tensor {
    Tensor::from_slice(&normalize(photo)).view([1, 3, photo.height as i64, photo.width as i64])
}

/// The elements of a tensor of any shape and device as f32, row-major.
pub fn floats(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view(-1);
    Vec::try_from(&flat).expect("a flat tensor of f32")
}
