//! The phases of a map: its pixels sorted by whether their row and column are even or odd.
//!
//! A convolution of dilation 2 d looks, from any pixel, only at pixels of the same phase, which to it are a map of half
//! the size with dilation d. So dilated layers may work on phases as if these were images of their own: exactly, zeros
//! beyond the border included, as long as both sides of the map are even. Undilated kernels are the ones that libtorch
//! computes fast: on a CPU it has no fast weight gradient of a dilated depthwise convolution.

use tch::Tensor;

/// Has a map phases of one size?
pub fn divides(map: &Tensor) -> bool {
    let (_, _, h, w) = map.size4().expect("maps are [B, C, h, w]");
    h % 2 == 0 && w % 2 == 0
}

/// The four phases of every map.
///
/// # Shapes
/// `map [B, C, h, w]` to `[4 B, C, h / 2, w / 2]`, channels innermost in memory.
pub fn split(map: &Tensor) -> Tensor {
    let (b, c, h, w) = map.size4().expect("maps are [B, C, h, w]");
    let pixels = map.reshape([b, c, h / 2, 2, w / 2, 2]).permute([3, 5, 0, 2, 4, 1]).contiguous();
    pixels.view([4 * b, h / 2, w / 2, c]).permute([0, 3, 1, 2])
}

/// The maps of which these are the phases: the inverse of [`split`].
///
/// # Shapes
/// `phases [4 B, C, h, w]` to `[B, C, 2 h, 2 w]`, channels innermost in memory.
pub fn join(phases: &Tensor) -> Tensor {
    let (b, c, h, w) = phases.size4().expect("phases are [4 B, C, h, w]");
    let pixels = phases.permute([0, 2, 3, 1]).reshape([2, 2, b / 4, h, w, c]).permute([2, 3, 0, 4, 1, 5]).contiguous();
    pixels.view([b / 4, 2 * h, 2 * w, c]).permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn a_dilated_convolution_is_an_undilated_one_on_phases() {
        let options = (Kind::Float, Device::Cpu);
        let count = |shape: &[i64]| (Tensor::arange(shape.iter().product::<i64>(), options) * 0.7).sin().reshape(shape);
        let (map, weight) = (count(&[2, 3, 6, 8]), count(&[3, 1, 3, 3]));
        let filter = |x: &Tensor, d: i64| x.conv2d::<Tensor>(&weight, None, [1, 1], [d, d], [d, d], 3);
        let difference = (join(&filter(&split(&map), 1)) - filter(&map, 2)).abs().max().double_value(&[]);
        assert!(difference < 1e-6, "{difference}");
        assert_eq!(join(&split(&map)), map);
        assert!(divides(&map) && !divides(&map.narrow(2, 0, 5)));
    }
}
