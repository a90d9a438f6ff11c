//! JPEG bytes to pixels, as libjpeg reads them: bytes between two segments are passed over. A picture that ends early
//! is refused.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

use super::{Malformed, Rgb, check_size, too_few_bytes};

/// A block of 8 x 8 pixels takes a bit at the least, the shortest Huffman code, so a byte holds 8 blocks at the most.
const PIXELS_PER_BYTE: usize = 8 * 64;
/// Bytes put in place of an end that is missing: as many as one unit of a baseline scan can take, and more.
const FILLER: usize = 4096;

/// The pixels as stored.
pub(super) fn decode(bytes: &[u8]) -> Result<Rgb, Malformed> {
    let bytes = without_junk(bytes);
    if reaches_end_of_image(&bytes) { decode_whole(&bytes) } else { decode_without_end(&bytes) }
}

/// One segment before the picture's entropy-coded bytes.
pub(super) struct Segment {
    pub(super) marker: u8,
    /// From the marker to the end of the segment.
    range: Range<usize>,
    /// What follows the length.
    pub(super) body: Range<usize>,
}

/// The segments up to the first scan's header, that included. Whatever stands between two is passed over.
pub(super) fn segments(bytes: &[u8]) -> impl Iterator<Item = Segment> {
    let mut at = Some(2);
    std::iter::from_fn(move || {
        let mut from = at?;
        // A marker is 0xff and a byte that is neither 0 nor 0xff; restart markers and the like carry nothing.
        while !matches!((bytes.get(from)?, bytes.get(from + 1)?), (0xff, 0x02..=0xcf | 0xda..=0xfe)) {
            if (bytes[from], bytes[from + 1]) == (0xff, 0xd9) {
                return None;
            }
            from += 1;
        }
        let length = usize::from(u16::from_be_bytes([*bytes.get(from + 2)?, *bytes.get(from + 3)?]));
        let end = from + 2 + length.max(2);
        let marker = bytes[from + 1];
        at = (marker != 0xda).then_some(end);
        (end <= bytes.len()).then(|| Segment { marker, range: from..end, body: from + 4..end })
    })
}

/// The file without what stands between its segments, before the first scan.
fn without_junk(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (mut kept, mut end) = (bytes[..2].to_vec(), 2);
    let mut junk = false;
    for segment in segments(bytes) {
        junk |= segment.range.start != end;
        end = segment.range.end;
        kept.extend_from_slice(&bytes[segment.range]);
    }
    if !junk {
        return Cow::Borrowed(bytes);
    }
    kept.extend_from_slice(&bytes[end..]);
    Cow::Owned(kept)
}

/// A file that lacks its end marker is whole if its picture does not depend on what would follow. That is asked of one
/// scan of all components without restarts: of others a part may be missing that nothing stands for.
fn decode_without_end(bytes: &[u8]) -> Result<Rgb, Malformed> {
    let truncated = || Malformed::new("a truncated JPEG (no end-of-image marker); fetch the file again");
    let (mut frame, mut scan) = (None, None);
    for segment in segments(bytes) {
        let components = |offset: usize| bytes[segment.body.clone()].get(offset).copied();
        match segment.marker {
            0xc0 | 0xc1 => frame = components(5),
            0xda => scan = components(0),
            0xdd => return Err(truncated()),
            _ => {}
        }
    }
    if frame.is_none() || frame != scan {
        return Err(truncated());
    }
    let whole = bytes.strip_suffix(&[0xff]).unwrap_or(bytes);
    let ended = |filler: u8| {
        let bytes = [whole, &[filler; FILLER], &[0xff, 0xd9]].concat();
        decode_whole(&bytes).map_err(|_| truncated())
    };
    let (zeros, others) = (ended(0)?, ended(0xaa)?);
    if zeros == others { Ok(zeros) } else { Err(truncated()) }
}

fn decode_whole(bytes: &[u8]) -> Result<Rgb, Malformed> {
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
    if width * height > bytes.len().saturating_mul(PIXELS_PER_BYTE) {
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
        at += bytes.get(at..).and_then(|rest| memchr(0xff, rest)).unwrap_or(bytes.len());
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
