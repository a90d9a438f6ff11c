//! The msinf-CAM of a trained network, which becomes the `cam` artifact (paper, section 3.3; METHOD.md, section 3).

use artifact::ClassId;
use data::codec::Rgb;
use data::resize::resize_bicubic;
use tch::Tensor;

use super::cam::{divide_by_max, scaled_side, upsample};
use super::flip::Flip;
use crate::tensor::{floats, of_photo};

/// The views of a photograph whose CAMs are summed. Table 5 of the paper needs each scale alone too.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtractionOptions {
    /// Factors by which the photograph is resized.
    pub scales: Vec<f64>,
    /// Is the mirror image looked at too?
    pub flip: Flip,
}

/// The CAM of one class in the photograph's size.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassCam {
    /// A foreground class.
    pub class: ClassId,
    /// The maximum by which the sum was divided.
    pub raw_max: f32,
    /// `[H, W]`, row-major, in 0..1.
    pub values: Vec<f32>,
}

/// The msinf-CAMs of the foreground classes in `labels`: each view's CAM is upsampled, passed through `ReLU` and
/// mirrored back; the sum over the views is divided by (its maximum + 1e-5).
///
/// How this differs from the msinf-CAM of training, [`super::cam::msinf`], is said in METHOD.md, section 3.
///
/// # Shapes
/// `raw` gives a network's CAMs `[B, K, h/8, w/8]` of `[B, 3, h, w]`.
pub fn extract_msinf(
    raw: impl Fn(&Tensor) -> Tensor,
    photo: &Rgb,
    labels: &[ClassId],
    options: &ExtractionOptions,
) -> Vec<ClassCam> {
    let classes: Vec<(ClassId, i64)> =
        labels.iter().filter_map(|class| Some((*class, class.foreground()? as i64))).collect();
    if classes.is_empty() {
        return Vec::new();
    }
    let select = Tensor::from_slice(&classes.iter().map(|(_, channel)| *channel).collect::<Vec<_>>());
    let size = [photo.height as i64, photo.width as i64];
    let activations = options.scales.iter().flat_map(|scale| {
        let input = options.flip.views(&of_photo(&rescaled(photo, *scale))); // [1 or 2, 3, h, w]
        let cams = raw(&input); // [1 or 2, K, h/8, w/8]
        let cams = cams.index_select(1, &select.to_device(cams.device())); // [1 or 2, k, h/8, w/8]
        options.flip.mirrored_back(&upsample(&cams, size).relu()) // 1 or 2 of [k, H, W]
    });
    let sum: Tensor = activations.sum(); // [k, H, W]
    let maxima = floats(&sum.amax([1, 2], false)); // [k]
    let values = floats(&divide_by_max(&sum)); // [k, H, W]
    let maps = values.chunks_exact(photo.height * photo.width);
    let cams = classes.iter().zip(maxima).zip(maps);
    cams.map(|(((class, _), raw_max), map)| ClassCam { class: *class, raw_max, values: map.to_vec() }).collect()
}

/// The photograph resized by `scale`: bicubic, antialiased, sizes rounded.
fn rescaled(photo: &Rgb, scale: f64) -> Rgb {
    let [height, width] = [photo.height, photo.width].map(|side| scaled_side(side as i64, scale) as usize);
    resize_bicubic(photo, height, width)
}
