//! Encoded bytes to pixels and back: JPEG and PNG pictures, PNG masks.
//!
//! Decoding is strict: a picture that ends early is refused, never filled with grey. A picture with an orientation tag
//! (EXIF) is turned as the tag says. Memory is taken only for as many pixels as the file's bytes can hold: a header can
//! claim anything.
//!
//! ```text
//! jpeg          JPEG bytes to pixels
//! mask          masks as painted, and as classes
//! orientation   the tag that turns a picture
//! ```

mod jpeg;
mod mask;
mod orientation;

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;

pub use mask::{Mask, Paint, Painted, decode_mask, decode_painted, encode_mask, voc_colour, voc_palette};
pub use orientation::{Orientation, as_stored};

/// Refused above this many pixels, before anything is allocated.
pub const MAX_PIXELS: usize = 64_000_000;
/// DEFLATE makes at most 1,032 bytes of one; a little more, for the few bytes before its longest run.
const PNG_BYTES_PER_BYTE: usize = 1040;

/// A colour picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 8-bit values, [height, width, 3].
    pub pixels: Vec<u8>,
}

/// Why bytes are no picture or no mask; whoever knows the file's name puts it in front.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl Malformed {
    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Do these bytes begin as a picture that [`decode_image`] reads?
pub fn is_encoded(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, 0xd8, ..] | [0x89, b'P', b'N', b'G', ..])
}

/// Decodes a JPEG (grey, colour, CMYK) or a PNG (any kind; 16 bits are cut to 8, alpha is dropped), as a viewer shows
/// it: turned as its orientation tag says.
pub fn decode_image(bytes: &[u8]) -> Result<Rgb, Malformed> {
    let stored = match bytes {
        [0xff, 0xd8, ..] => jpeg::decode(bytes),
        [0x89, b'P', b'N', b'G', ..] => decode_png(bytes),
        [] => Err(Malformed::new("the file is empty; fetch it again")),
        _ => Err(Malformed::new("neither a JPEG nor a PNG; convert it to one of them")),
    };
    stored.map(|stored| Orientation::of(bytes).turn_picture(stored))
}

/// The picture as an RGB PNG.
pub fn encode_png(image: &Rgb) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, image.width as u32, image.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    write_png(encoder, &image.pixels);
    bytes
}

/// The picture as a baseline JPEG of quality 1 to 100.
pub fn encode_jpeg(image: &Rgb, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode(&image.pixels, image.width as u32, image.height as u32, image::ExtendedColorType::Rgb8)
        .expect("a picture of at most 65,535 pixels a side goes into memory");
    bytes
}

fn flat(pixels: impl Iterator<Item = [u8; 3]>) -> Vec<u8> {
    pixels.collect::<Vec<_>>().into_flattened()
}

fn decode_png(bytes: &[u8]) -> Result<Rgb, Malformed> {
    let mut reader = png_reader(bytes, png::Transformations::normalize_to_color8())?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    let raw = read_png(&mut reader)?;
    let pixels = match reader.output_color_type().0 {
        png::ColorType::Rgb => raw,
        png::ColorType::Rgba => flat(raw.as_chunks().0.iter().map(|&[r, g, b, _]| [r, g, b])),
        png::ColorType::Grayscale => flat(raw.iter().map(|&grey| [grey; 3])),
        png::ColorType::GrayscaleAlpha => flat(raw.as_chunks().0.iter().map(|&[grey, _]| [grey; 3])),
        png::ColorType::Indexed => return Err(Malformed::new("a palette PNG without its palette")),
    };
    Ok(Rgb { height, width, pixels })
}

type PngReader<'a> = png::Reader<Cursor<&'a [u8]>>;

fn png_reader(bytes: &[u8], transformations: png::Transformations) -> Result<PngReader<'_>, Malformed> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(transformations);
    // Neither is used, and both may be compressed.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let reader = decoder.read_info().map_err(|error| broken_png(&error))?;
    let info = reader.info();
    let (width, height) = (info.width as usize, info.height as usize);
    check_size(width, height)?;
    if info.raw_row_length().saturating_mul(height) > bytes.len().saturating_mul(PNG_BYTES_PER_BYTE) {
        return Err(too_few_bytes(bytes, width, height));
    }
    Ok(reader)
}

fn read_png(reader: &mut PngReader<'_>) -> Result<Vec<u8>, Malformed> {
    let size = reader.output_buffer_size().ok_or_else(|| Malformed::new("a PNG too large for memory"))?;
    let mut raw = vec![0; size];
    let frame = reader.next_frame(&mut raw).map_err(|error| broken_png(&error))?;
    raw.truncate(frame.buffer_size());
    reader.finish().map_err(|error| broken_png(&error))?;
    Ok(raw)
}

fn broken_png(error: &png::DecodingError) -> Malformed {
    Malformed::new(format!("no whole PNG ({error}); fetch the file again"))
}

fn write_png(mut encoder: png::Encoder<'_, &mut Vec<u8>>, data: &[u8]) {
    // Not `Balanced`: its DEFLATE, and so the bytes and their digest, depend on what else is built into the workspace.
    encoder.set_compression(png::Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(data)?;
        writer.finish()
    });
    written.expect("a picture of its declared, non-zero size goes into memory");
}

fn too_few_bytes(bytes: &[u8], width: usize, height: usize) -> Malformed {
    Malformed::new(format!("{} bytes cannot hold {width} x {height} pixels; fetch the file again", bytes.len()))
}

fn check_size(width: usize, height: usize) -> Result<(), Malformed> {
    if width == 0 || height == 0 {
        return Err(Malformed::new("a picture without pixels"));
    }
    if width.saturating_mul(height) > MAX_PIXELS {
        return Err(Malformed::new(format!(
            "{width} x {height} is more than {} million pixels; shrink it first",
            MAX_PIXELS / 1_000_000
        )));
    }
    Ok(())
}
