//! The orientation tag (EXIF 0x0112): how the stored pixels are turned for a person who looks at them.
//!
//! One rule for all eight values: a picture is turned as its tag says, whoever decodes it.

use std::ops::Range;

use super::jpeg::segments;
use super::{Mask, Rgb};

const EXIF: &[u8] = b"Exif\0\0";
const PNG_SIGNATURE: usize = 8;

/// The value of the tag, 1 to 8; 1 means "as stored", and stands for files without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orientation(u8);

impl Orientation {
    /// As stored.
    pub const UPRIGHT: Self = Self(1);

    /// What the tag of a JPEG or PNG says.
    pub fn of(bytes: &[u8]) -> Self {
        tag(bytes).and_then(|at| Self::known(u16_at(bytes, &at)?)).unwrap_or(Self::UPRIGHT)
    }

    fn known(value: u16) -> Option<Self> {
        u8::try_from(value).ok().filter(|value| (1..=8).contains(value)).map(Self)
    }

    /// Do the sides change places?
    pub fn swaps_sides(self) -> bool {
        self.0 >= 5
    }

    /// The picture as a viewer shows it.
    pub(super) fn turn_picture(self, image: Rgb) -> Rgb {
        if self == Self::UPRIGHT {
            return image;
        }
        let (pixels, _) = image.pixels.as_chunks::<3>();
        let (height, width, pixels) = self.turned(pixels, image.height, image.width);
        Rgb { height, width, pixels: pixels.concat() }
    }

    /// The mask of a picture, turned as that picture is.
    pub fn turn_mask(self, mask: &Mask) -> Mask {
        let (height, width, classes) = self.turned(&mask.classes, mask.height, mask.width);
        Mask { height, width, classes }
    }

    /// Height, width and pixels after the turn of a picture of [h, w] pixels.
    fn turned<T: Copy>(self, pixels: &[T], h: usize, w: usize) -> (usize, usize, Vec<T>) {
        let (height, width) = if self.swaps_sides() { (w, h) } else { (h, w) };
        let at = |y: usize, x: usize| match self.0 {
            2 => (y, w - 1 - x),
            3 => (h - 1 - y, w - 1 - x),
            4 => (h - 1 - y, x),
            5 => (x, y),
            6 => (h - 1 - x, y),
            7 => (h - 1 - x, w - 1 - y),
            8 => (x, w - 1 - y),
            _ => (y, x),
        };
        let mut turned = Vec::with_capacity(pixels.len());
        for y in 0..height {
            turned.extend((0..width).map(|x| {
                let (row, column) = at(y, x);
                pixels[row * w + column]
            }));
        }
        (height, width, turned)
    }
}

/// The same file with a tag that says "as stored".
pub fn as_stored(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some(at) = tag(&bytes) else { return bytes };
    if let Some(chunk) = png_exif(&bytes) {
        // A chunk of a PNG has a checksum; without the chunk there is none to mend.
        bytes.drain(chunk.start - 8..chunk.end + 4);
        return bytes;
    }
    let one = if at.little { 1_u16.to_le_bytes() } else { 1_u16.to_be_bytes() };
    bytes[at.value].copy_from_slice(&one);
    bytes
}

/// Where the tag's value stands in a file.
struct Tag {
    value: Range<usize>,
    little: bool,
}

fn u16_at(bytes: &[u8], at: &Tag) -> Option<u16> {
    let pair = <[u8; 2]>::try_from(bytes.get(at.value.clone())?).ok()?;
    Some(if at.little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
}

fn tag(bytes: &[u8]) -> Option<Tag> {
    let tiff = if bytes.starts_with(&[0xff, 0xd8]) {
        let exif = |body: &Range<usize>| bytes[body.clone()].starts_with(EXIF);
        let body = segments(bytes).filter(|s| s.marker == 0xe1).map(|s| s.body).find(exif)?;
        body.start + EXIF.len()..body.end
    } else {
        png_exif(bytes)?
    };
    in_tiff(&bytes[tiff.clone()], tiff.start)
}

/// The tag in the first directory of a TIFF header that stands at `base` of its file.
fn in_tiff(tiff: &[u8], base: usize) -> Option<Tag> {
    let little = match tiff.get(..4)? {
        [b'I', b'I', 42, 0] => true,
        [b'M', b'M', 0, 42] => false,
        _ => return None,
    };
    let short = |at: usize| u16_at(tiff, &Tag { value: at..at.checked_add(2)?, little });
    let [first, second] = [short(4)?, short(6)?].map(usize::from);
    let directory = if little { second << 16 | first } else { first << 16 | second };
    (0..usize::from(short(directory)?)).find_map(|number| {
        let entry = directory + 2 + 12 * number;
        let is_orientation = short(entry)? == 0x0112 && short(entry + 2)? == 3;
        short(entry + 8).filter(|_| is_orientation)?;
        Some(Tag { value: base + entry + 8..base + entry + 10, little })
    })
}

/// The data of a PNG's `eXIf` chunk.
fn png_exif(bytes: &[u8]) -> Option<Range<usize>> {
    let mut at = bytes.starts_with(b"\x89PNG").then_some(PNG_SIGNATURE)?;
    loop {
        let head = bytes.get(at..at + 8)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let data = at + 8..(at + 8).checked_add(length)?;
        if &head[4..] == b"eXIf" && bytes.len() >= data.end + 4 {
            return Some(data);
        }
        at = data.end.checked_add(4)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_turns_as_its_definition_says() {
        // 0 1 2
        // 3 4 5
        let mask = Mask { height: 2, width: 3, classes: (0..6).collect() };
        for (value, height, classes) in [
            (1, 2, [0, 1, 2, 3, 4, 5]),
            (2, 2, [2, 1, 0, 5, 4, 3]),
            (3, 2, [5, 4, 3, 2, 1, 0]),
            (4, 2, [3, 4, 5, 0, 1, 2]),
            (5, 3, [0, 3, 1, 4, 2, 5]),
            (6, 3, [3, 0, 4, 1, 5, 2]),
            (7, 3, [5, 2, 4, 1, 3, 0]),
            (8, 3, [2, 5, 1, 4, 0, 3]),
        ] {
            let turned = Orientation(value).turn_mask(&mask);
            assert_eq!((turned.height, &turned.classes[..]), (height, &classes[..]), "{value}");
        }
    }
}
