//! Resizing in memory: bicubic with antialiasing for pictures, nearest for maps of classes.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};

use crate::codec::{Mask, Rgb};

/// The picture at h x w, as PIL's BICUBIC does it: Catmull-Rom (a = -0.5), widened by the factor when shrinking.
pub fn resize_bicubic(image: &Rgb, h: usize, w: usize) -> Rgb {
    if (h, w) == (image.height, image.width) {
        return image.clone();
    }
    let from = ImageRef::new(image.width as u32, image.height as u32, &image.pixels, PixelType::U8x3)
        .expect("an Rgb holds height x width x 3 bytes");
    let mut to = Image::new(w as u32, h as u32, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&from, &mut to, &options).expect("both sides are U8x3");
    Rgb { height: h, width: w, pixels: to.into_vec() }
}

/// The map at h x w: each pixel takes the class under its centre, so it stays aligned with [`resize_bicubic`].
pub fn resize_nearest(mask: &Mask, h: usize, w: usize) -> Mask {
    let columns: Vec<usize> = (0..w).map(|x| under_centre(x, mask.width, w)).collect();
    let mut classes = Vec::with_capacity(h * w);
    for y in 0..h {
        let row = &mask.classes[under_centre(y, mask.height, h) * mask.width..][..mask.width];
        classes.extend(columns.iter().map(|&x| row[x]));
    }
    Mask { height: h, width: w, classes }
}

/// floor((i + 1/2) * from / to), in integers.
pub(crate) fn under_centre(i: usize, from: usize, to: usize) -> usize {
    (2 * i + 1) * from / (2 * to)
}
