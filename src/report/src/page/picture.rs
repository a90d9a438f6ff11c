//! Cells of the store as small pictures: photographs, classes in colour.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use data::codec::{Mask, Rgb, decode_image, encode_jpeg, encode_mask};
use data::resize::{resize_bicubic, resize_nearest};

/// The longer side of a picture, in pixels of the file; shown at about half of it.
const LONGEST: usize = 320;
const JPEG_QUALITY: u8 = 85;

/// The photograph of a data set's cell in the size of the report.
pub(super) fn photograph(encoded: &[u8]) -> Option<Rgb> {
    let photo = decode_image(encoded).ok()?;
    let (height, width) = shown_size(photo.height, photo.width);
    Some(resize_bicubic(&photo, height, width))
}

fn shown_size(height: usize, width: usize) -> (usize, usize) {
    let longest = height.max(width).max(1);
    let scaled = |side: usize| (side * LONGEST / longest).max(1);
    if longest <= LONGEST { (height, width) } else { (scaled(height), scaled(width)) }
}

/// A photograph as a `data:` address.
pub(super) fn jpeg_uri(picture: &Rgb) -> String {
    uri("jpeg", &encode_jpeg(picture, JPEG_QUALITY))
}

/// Classes in the colours of VOC, in the size of the report, as a `data:` address.
pub(super) fn classes_uri(mask: &Mask) -> String {
    let (height, width) = shown_size(mask.height, mask.width);
    uri("png", &encode_mask(&resize_nearest(mask, height, width)))
}

fn uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:image/{kind};base64,{}", BASE64_STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_picture_is_made_smaller_and_a_small_one_stays() {
        assert_eq!((shown_size(500, 375), shown_size(90, 120)), ((320, 240), (90, 120)));
    }
}
