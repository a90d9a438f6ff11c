//! Cells of the store as small pictures: photographs, heat over a photograph, classes in colour.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use data::codec::{Mask, Rgb, decode_image, encode_jpeg, encode_mask};
use data::resize::{resize_bicubic, resize_nearest};

use super::colour;

/// The longer side of a picture, in pixels of the file; shown at about half of it.
const LONGEST: usize = 320;
/// Share of the heat colour in an overlay where the map is 0, and what is added to it where it is 1.
const HEAT_SHARE: [f32; 2] = [0.3, 0.45];
const JPEG_QUALITY: u8 = 85;

/// A map of one value a pixel, row-major.
pub(super) struct Map<T> {
    pub height: usize,
    pub width: usize,
    pub values: Vec<T>,
}

impl<T> Map<T> {
    /// `None` if the values do not fill the map.
    pub fn new(height: u32, width: u32, values: Vec<T>) -> Option<Self> {
        let (height, width) = (height as usize, width as usize);
        let full = height > 0 && width > 0 && values.len() == height * width;
        full.then_some(Self { height, width, values })
    }
}

/// The photograph of a data set's cell in the size of the report.
pub(super) fn photograph(encoded: &[u8]) -> Option<Rgb> {
    let photo = decode_image(encoded).ok()?;
    let (height, width) = shown_size(photo.height, photo.width);
    Some(resize_bicubic(&photo, height, width))
}

/// Heat over the photograph in grey.
pub(super) fn overlay(photo: &Rgb, activation: &Map<f32>) -> Rgb {
    let (pixels, _) = photo.pixels.as_chunks::<3>();
    let heated = pixels.iter().enumerate().flat_map(|(place, pixel)| {
        let row = place / photo.width * activation.height / photo.height;
        let column = place % photo.width * activation.width / photo.width;
        let value = activation.values[row * activation.width + column].clamp(0.0, 1.0);
        let share = HEAT_SHARE[0] + HEAT_SHARE[1] * value;
        colour::heat(value).map(|heat| colour::mix(colour::grey(*pixel), heat, share))
    });
    Rgb { height: photo.height, width: photo.width, pixels: heated.collect() }
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
    fn a_map_must_be_full() {
        assert!(Map::new(2, 2, vec![0u8; 3]).is_none() && Map::new(0, 2, Vec::<u8>::new()).is_none());
    }

    #[test]
    fn heat_lies_where_the_map_is_high() {
        let photo = Rgb { height: 2, width: 4, pixels: vec![128; 24] };
        let map = Map::new(1, 2, vec![0.0, 1.0]).unwrap();
        let heated = overlay(&photo, &map).pixels;
        let (left, right) = (&heated[..3], &heated[9..12]);
        assert!(left[0] < 128 && right[0] > left[0], "dark on the left, light on the right: {left:?}, {right:?}");
        assert_eq!((&heated[12..15], &heated[21..]), (left, right), "both rows are of the map's one row");
    }

    #[test]
    fn a_large_picture_is_made_smaller_and_a_small_one_stays() {
        assert_eq!((shown_size(500, 375), shown_size(90, 120)), ((320, 240), (90, 120)));
    }
}
