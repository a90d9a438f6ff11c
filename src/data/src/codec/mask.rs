//! Masks: what each pixel is painted with, and the class that this means.
//!
//! A palette mask has an index and a colour for each pixel, a grey one a value, an RGB one a colour alone. [`Painted`]
//! keeps all that; which class it means is decided by whoever knows the data set.

use std::collections::HashMap;

use super::{Malformed, png_reader, read_png, write_png};

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

/// How a mask's file tells its pixels apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Indices into a palette of colours.
    Palette,
    /// Grey values.
    Grey,
    /// Colours; the numbers of the pixels mean nothing.
    Colour,
}

/// A mask as painted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Painted {
    /// What the numbers are.
    pub paint: Paint,
    /// A number for every pixel: index, grey value, or the place of its colour in `colours`.
    pub numbers: Mask,
    /// The colour of each number, R, G and B.
    pub colours: Vec<[u8; 3]>,
    /// Has a class in it a byte of its own in the file, so that the file can be kept as it is?
    pub bytes: bool,
}

/// Decodes a mask of palette indices (1 to 8 bits) or grey values (1 to 8 bits); the numbers are the classes.
pub fn decode_mask(bytes: &[u8]) -> Result<Mask, Malformed> {
    let painted = decode_painted(bytes)?;
    match painted.paint {
        Paint::Palette | Paint::Grey => Ok(painted.numbers),
        Paint::Colour => Err(Malformed::new("an RGB mask: it has colours in place of class indices")),
    }
}

/// Decodes a mask of any kind. A pixel that is wholly transparent is black.
pub fn decode_painted(bytes: &[u8]) -> Result<Painted, Malformed> {
    let mut reader = png_reader(bytes, png::Transformations::IDENTITY)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    let (colour, depth) = (reader.info().color_type, reader.info().bit_depth);
    let palette = reader.info().palette.clone();
    let numbers = |classes| Mask { height, width, classes };
    let bytes = depth == png::BitDepth::Eight;
    match (colour, depth) {
        (png::ColorType::Indexed, bits) => {
            let numbers = numbers(unpack(read_png(&mut reader)?, width, bits as usize));
            let palette = palette.ok_or_else(|| Malformed::new("a palette PNG without its palette"))?;
            let colours = palette.as_chunks::<3>().0.to_vec();
            Ok(Painted { paint: Paint::Palette, numbers, colours, bytes: true })
        }
        (png::ColorType::Grayscale, bits) if bits as usize <= 8 => {
            let numbers = numbers(unpack(read_png(&mut reader)?, width, bits as usize));
            let colours = (0..=255).map(|grey| [grey; 3]).collect();
            Ok(Painted { paint: Paint::Grey, numbers, colours, bytes })
        }
        (png::ColorType::GrayscaleAlpha, png::BitDepth::Eight) => {
            let raw = read_png(&mut reader)?;
            let grey = raw.as_chunks::<2>().0.iter().map(|&[grey, alpha]| if alpha == 0 { 0 } else { grey });
            let colours = (0..=255).map(|grey| [grey; 3]).collect();
            Ok(Painted { paint: Paint::Grey, numbers: numbers(grey.collect()), colours, bytes: false })
        }
        (png::ColorType::Rgb, png::BitDepth::Eight) => {
            by_colour(read_png(&mut reader)?.as_chunks::<3>().0.iter().copied(), height, width)
        }
        (png::ColorType::Rgba, png::BitDepth::Eight) => {
            let raw = read_png(&mut reader)?;
            let opaque = |&[r, g, b, alpha]: &[u8; 4]| if alpha == 0 { [0; 3] } else { [r, g, b] };
            by_colour(raw.as_chunks::<4>().0.iter().map(opaque), height, width)
        }
        _ => Err(Malformed::new(format!(
            "a mask of kind {colour:?} with {} bits; convert it to an 8-bit palette PNG of class indices",
            depth as u8
        ))),
    }
}

/// The numbers of packed rows of `bits` bits each.
fn unpack(packed: Vec<u8>, width: usize, bits: usize) -> Vec<u8> {
    if bits == 8 {
        return packed;
    }
    let rows = packed.chunks_exact((width * bits).div_ceil(8));
    let mut numbers = Vec::with_capacity(rows.len() * width);
    for row in rows {
        let number = |x: usize| (row[x * bits / 8] >> (8 - bits - (x * bits) % 8)) & (0xff >> (8 - bits));
        numbers.extend((0..width).map(number));
    }
    numbers
}

fn by_colour(pixels: impl Iterator<Item = [u8; 3]>, height: usize, width: usize) -> Result<Painted, Malformed> {
    let (mut colours, mut places) = (Vec::new(), HashMap::new());
    let mut classes = Vec::with_capacity(height * width);
    for colour in pixels {
        let place = *places.entry(colour).or_insert_with(|| {
            colours.push(colour);
            colours.len() - 1
        });
        classes.push(u8::try_from(place).map_err(|_| {
            Malformed::new(
                "an RGB mask of more than 256 colours; edges were blurred or it was a JPEG once: export it anew, or \
                 is this the photograph?",
            )
        })?);
    }
    Ok(Painted { paint: Paint::Colour, numbers: Mask { height, width, classes }, colours, bytes: false })
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
