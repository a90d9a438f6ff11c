//! Cells of the store as small pictures: photographs, heat over a photograph, classes in colour.

use std::io::Cursor;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, grayscale, resize};
use image::{ImageFormat, RgbImage};

use super::colour;

/// The longer side of a picture, in pixels of the file; shown at about half of it.
const LONGEST: u32 = 320;
/// Share of the heat colour in an overlay where the map is 0, and what is added to it where it is 1.
const HEAT_SHARE: [f32; 2] = [0.3, 0.45];
const JPEG_QUALITY: u8 = 85;

/// A map of one value a pixel, row-major.
pub(super) struct Map<T> {
    pub width: u32,
    pub height: u32,
    pub values: Vec<T>,
}

impl<T> Map<T> {
    /// `None` if the values do not fill the map.
    pub fn new(width: u32, height: u32, values: Vec<T>) -> Option<Self> {
        let full = width > 0 && height > 0 && values.len() as u64 == u64::from(width) * u64::from(height);
        full.then_some(Self { width, height, values })
    }
}

/// The photograph of a data set's cell in the size of the report.
pub(super) fn photograph(encoded: &[u8]) -> Option<RgbImage> {
    let photo = image::load_from_memory(encoded).ok()?.to_rgb8();
    let (width, height) = shown_size(photo.width(), photo.height());
    Some(if photo.dimensions() == (width, height) {
        photo
    } else {
        resize(&photo, width, height, FilterType::Triangle)
    })
}

/// The classes of a palette PNG, by index and never by colour.
pub(super) fn palette_indices(encoded: &[u8]) -> Option<Map<u8>> {
    let mut decoder = png::Decoder::new(Cursor::new(encoded));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().ok()?;
    let mut bytes = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut bytes).ok()?;
    if !matches!(info.color_type, png::ColorType::Indexed | png::ColorType::Grayscale) {
        return None;
    }
    let bits = info.bit_depth as usize;
    if bits > 8 {
        return None;
    }
    let (width, per_byte) = (info.width as usize, 8 / bits);
    let index = |row: &[u8], x: usize| {
        let shift = 8 - bits - x % per_byte * bits;
        row[x / per_byte] >> shift & (0xff_u8 >> (8 - bits))
    };
    let rows = bytes[..info.buffer_size()].chunks_exact(info.line_size);
    let values = rows.flat_map(|row| (0..width).map(move |x| index(row, x))).collect();
    Map::new(info.width, info.height, values)
}

/// Heat over the photograph in grey.
pub(super) fn overlay(photo: &RgbImage, activation: &Map<f32>) -> RgbImage {
    let grey = grayscale(photo);
    RgbImage::from_fn(photo.width(), photo.height(), |x, y| {
        let value = nearest(activation, photo, x, y).clamp(0.0, 1.0);
        let grey = grey.get_pixel(x, y).0[0];
        let share = HEAT_SHARE[0] + HEAT_SHARE[1] * value;
        image::Rgb(colour::heat(value).map(|heat| colour::mix(grey, heat, share)))
    })
}

fn nearest<T: Copy>(map: &Map<T>, shown: &RgbImage, x: u32, y: u32) -> T {
    let scaled = |place: u32, from: u32, to: u32| (u64::from(place) * u64::from(to) / u64::from(from)) as usize;
    let (column, row) = (scaled(x, shown.width(), map.width), scaled(y, shown.height(), map.height));
    map.values[row * map.width as usize + column]
}

/// Classes in the colours of VOC.
pub(super) fn classes(map: &Map<u8>) -> RgbImage {
    let (width, height) = shown_size(map.width, map.height);
    let mut picture = RgbImage::new(width, height);
    for y in 0..height {
        for x in 0..width {
            let class = nearest(map, &picture, x, y);
            picture.put_pixel(x, y, image::Rgb(colour::class(class)));
        }
    }
    picture
}

fn shown_size(width: u32, height: u32) -> (u32, u32) {
    let longest = width.max(height).max(1);
    let scaled = |side: u32| (u64::from(side) * u64::from(LONGEST) / u64::from(longest)).max(1) as u32;
    if longest <= LONGEST { (width, height) } else { (scaled(width), scaled(height)) }
}

/// A picture as a `data:` address: PNG for flat colours, else JPEG.
pub(super) fn data_uri(picture: &RgbImage, flat: bool) -> Option<String> {
    let mut bytes = Cursor::new(Vec::new());
    let (kind, written) = if flat {
        ("png", picture.write_to(&mut bytes, ImageFormat::Png))
    } else {
        ("jpeg", JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(picture))
    };
    written.ok()?;
    Some(format!("data:image/{kind};base64,{}", BASE64_STANDARD.encode(bytes.into_inner())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_of_few_classes_is_unpacked() {
        let mut encoded = Vec::new();
        let mut encoder = png::Encoder::new(&mut encoded, 3, 2);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Four);
        encoder.set_palette(vec![0; 48]);
        encoder.write_header().unwrap().write_image_data(&[0x12, 0x30, 0x45, 0x60]).unwrap();
        assert_eq!(palette_indices(&encoded).unwrap().values, [1, 2, 3, 4, 5, 6]);
        assert!(palette_indices(b"no PNG").is_none());
    }

    #[test]
    fn a_map_must_be_full() {
        assert!(Map::new(2, 2, vec![0u8; 3]).is_none() && Map::new(0, 2, Vec::<u8>::new()).is_none());
    }
}
