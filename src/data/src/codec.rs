//! Encoded bytes to pixels and back: JPEG and PNG pictures, palette PNG masks.
//!
//! Decoding is strict: a picture that ends early is refused, never filled with grey. Orientation tags (EXIF) are
//! ignored on purpose: masks and boxes of a data set are in the stored orientation, and VOC has no such tags. Memory is
//! taken only for as many pixels as the file's bytes can hold: a header can claim anything.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

/// Refused above this many pixels, before anything is allocated.
pub const MAX_PIXELS: usize = 64_000_000;
/// A block of 8 x 8 pixels takes a bit at the least, the shortest Huffman code, so a byte holds 8 blocks at the most.
const JPEG_PIXELS_PER_BYTE: usize = 8 * 64;
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

/// A class for every pixel: 0 = background, 255 = void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Class indices, [height, width].
    pub classes: Vec<u8>,
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

/// Decodes a JPEG (grey, colour, CMYK) or a PNG (any kind; 16 bits are cut to 8, alpha is dropped).
pub fn decode_image(bytes: &[u8]) -> Result<Rgb, Malformed> {
    match bytes {
        [0xff, 0xd8, ..] => decode_jpeg(bytes),
        [0x89, b'P', b'N', b'G', ..] => decode_png(bytes),
        [] => Err(Malformed::new("the file is empty; fetch it again")),
        _ => Err(Malformed::new("neither a JPEG nor a PNG; convert it to one of them")),
    }
}

/// Decodes a mask: palette indices as they are (1 to 8 bits), or 8-bit grey values.
pub fn decode_mask(bytes: &[u8]) -> Result<Mask, Malformed> {
    let mut reader = png_reader(bytes, png::Transformations::IDENTITY)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    let (colour, depth) = (reader.info().color_type, reader.info().bit_depth);
    let bits = match (colour, depth) {
        (png::ColorType::Indexed, bits) => bits as usize,
        (png::ColorType::Grayscale, png::BitDepth::Eight) => 8,
        (png::ColorType::Rgb | png::ColorType::Rgba, _) => {
            return Err(Malformed::new(
                "an RGB mask: masks are read as palette indices only; convert it to an 8-bit palette PNG of class \
                 indices",
            ));
        }
        _ => {
            return Err(Malformed::new(format!(
                "a mask of kind {colour:?} with {} bits; convert it to an 8-bit palette PNG of class indices",
                depth as u8
            )));
        }
    };
    let packed = read_png(&mut reader)?;
    let stride = (width * bits).div_ceil(8);
    let mut classes = Vec::with_capacity(width * height);
    for row in packed.chunks_exact(stride) {
        for x in 0..width {
            let shift = 8 - bits - (x * bits) % 8;
            classes.push((row[x * bits / 8] >> shift) & (0xff >> (8 - bits)));
        }
    }
    Ok(Mask { height, width, classes })
}

/// The mask as an 8-bit palette PNG in VOC's colours.
pub fn encode_mask(mask: &Mask) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, mask.width as u32, mask.height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(voc_palette().concat());
    write_png(encoder, &mask.classes);
    bytes
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

/// VOC's colour of a class, R, G and B: the bits of its number, three at a time, become the high bits of red, green and
/// blue. Void (255) is light: 224, 224, 192.
pub fn voc_colour(class: u8) -> [u8; 3] {
    std::array::from_fn(|channel| {
        let bit = |plane: usize| (u32::from(class) >> (3 * plane + channel) & 1) as u8;
        (0..3).fold(0, |value, plane| value | bit(plane) << (7 - plane))
    })
}

/// [`voc_colour`] of every class.
pub fn voc_palette() -> [[u8; 3]; 256] {
    std::array::from_fn(|class| voc_colour(class as u8))
}

fn decode_jpeg(bytes: &[u8]) -> Result<Rgb, Malformed> {
    if !reaches_end_of_image(bytes) {
        return Err(Malformed::new("a truncated JPEG (no end-of-image marker); fetch the file again"));
    }
    let broken = |error| {
        Malformed::new(format!("a damaged JPEG, or of an uncommon kind ({error}); fetch the file again or convert it"))
    };
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(broken)?;
    let (width, height) = decoder.dimensions().ok_or_else(|| Malformed::new("a JPEG without a frame header"))?;
    check_size(width, height)?;
    if width * height > bytes.len().saturating_mul(JPEG_PIXELS_PER_BYTE) {
        return Err(too_few_bytes(bytes, width, height));
    }
    let pixels = decoder.decode().map_err(broken)?;
    if pixels.len() != width * height * 3 {
        return Err(Malformed::new("a JPEG of an unknown colour space; convert it to RGB"));
    }
    Ok(Rgb { height, width, pixels })
}

/// Walks the markers of a JPEG: does its last scan end with the end-of-image marker?
fn reaches_end_of_image(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // Entropy-coded bytes, stuffed zeros and restart markers are passed over; so is padding before a marker.
        match (bytes.get(at), bytes.get(at + 1)) {
            (None, _) | (_, None) => return false,
            (Some(0xff), Some(0xd9)) => return true,
            (Some(0xff), Some(0xc0..=0xcf | 0xda..=0xfe)) => match bytes.get(at + 2..at + 4) {
                Some(&[high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            _ => at += 1,
        }
    }
}

fn decode_png(bytes: &[u8]) -> Result<Rgb, Malformed> {
    let mut reader = png_reader(bytes, png::Transformations::normalize_to_color8())?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    let raw = read_png(&mut reader)?;
    let pixels = match reader.output_color_type().0 {
        png::ColorType::Rgb => raw,
        png::ColorType::Rgba => raw.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
        png::ColorType::Grayscale => raw.iter().flat_map(|&v| [v; 3]).collect(),
        png::ColorType::GrayscaleAlpha => raw.chunks_exact(2).flat_map(|p| [p[0]; 3]).collect(),
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
