//! How a class activation map lies in a Binary cell.

use std::borrow::Cow;
use std::collections::BTreeMap;

use half::f16;
use serde::{Deserialize, Serialize};

/// Metadata of the `cam` table: the name of its [`CamEncoding`].
pub const ENCODING: &str = "encoding";

/// How a CAM is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CamEncoding {
    /// One byte: round(255 value).
    U8,
    /// The bytes of [`Self::U8`], each less those to the left and above, plus the one above to the left, modulo 256.
    /// Maps are smooth, so most are 0, 1 or 255, and compress two to three times better.
    U8Differences,
    /// Two bytes, little-endian half precision.
    F16,
}

impl CamEncoding {
    /// Every encoding.
    pub const ALL: [Self; 3] = [Self::U8, Self::U8Differences, Self::F16];

    /// The encoding that a table's metadata names.
    pub fn of(metadata: &BTreeMap<String, String>) -> Option<Self> {
        let name = metadata.get(ENCODING)?;
        Self::ALL.into_iter().find(|encoding| encoding.name() == name)
    }

    /// Its name in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::U8Differences => "u8_differences",
            Self::F16 => "f16",
        }
    }

    /// Encodes values of \[0, 1\], row-major, of a map of this width.
    pub fn encode(self, values: &[f32], width: usize) -> Vec<u8> {
        let level = |value: &f32| (value * 255.0).round() as u8;
        match self {
            Self::U8 => values.iter().map(level).collect(),
            Self::U8Differences => {
                let mut bytes: Vec<u8> = values.iter().map(level).collect();
                into_differences(&mut bytes, width);
                bytes
            }
            Self::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        }
    }

    /// The values of an encoded map of this width.
    pub fn decode(self, bytes: &[u8], width: usize) -> Vec<f32> {
        match self.levels(bytes, width) {
            Some(levels) => levels.iter().map(|level| f32::from(*level) / 255.0).collect(),
            None => bytes.as_chunks().0.iter().map(|pair| f16::from_le_bytes(*pair).to_f32()).collect(),
        }
    }

    /// The levels round(255 value) of an encoded map of this width; `None` where more than those is stored.
    pub fn levels(self, bytes: &[u8], width: usize) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::U8 => Some(Cow::Borrowed(bytes)),
            Self::U8Differences => {
                let mut levels = bytes.to_vec();
                into_levels(&mut levels, width);
                Some(Cow::Owned(levels))
            }
            Self::F16 => None,
        }
    }
}

/// From levels to their differences, in place.
fn into_differences(bytes: &mut [u8], width: usize) {
    let mut above = vec![0_u8; width];
    for row in bytes.chunks_mut(width.max(1)) {
        let (mut left, mut above_left) = (0, 0_u8);
        for (byte, above) in row.iter_mut().zip(&mut above) {
            let level = *byte;
            *byte = level.wrapping_sub(left).wrapping_sub(above.wrapping_sub(above_left));
            (left, above_left) = (level, *above);
            *above = level;
        }
    }
}

/// From differences to levels, in place: sums along a row, then the row above.
fn into_levels(bytes: &mut [u8], width: usize) {
    let mut rest = bytes;
    let mut above: &[u8] = &[];
    while !rest.is_empty() {
        let (row, below) = rest.split_at_mut(width.clamp(1, rest.len()));
        let mut sum = 0_u8;
        for byte in &mut *row {
            sum = sum.wrapping_add(*byte);
            *byte = sum;
        }
        for (byte, above) in row.iter_mut().zip(above) {
            *byte = byte.wrapping_add(*above);
        }
        (above, rest) = (row, below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_those_to_the_left_and_above() {
        let values = [10.0, 12.0, 12.0, 9.0, 12.0, 255.0].map(|level| level / 255.0);
        let encoded = CamEncoding::U8Differences.encode(&values, 3);
        assert_eq!(encoded, [10, 2, 0, 255, 1, 243]);
        assert_eq!(CamEncoding::U8Differences.levels(&encoded, 3).unwrap(), [10, 12, 12, 9, 12, 255].as_slice());
    }

    #[test]
    fn levels_come_back_from_every_encoding_and_every_size() {
        for (height, width) in [(0, 0), (1, 1), (1, 7), (7, 1), (3, 5), (16, 33)] {
            let values: Vec<f32> = (0..height * width).map(|i| ((i * 89 + i * i) % 256) as f32 / 255.0).collect();
            for encoding in CamEncoding::ALL {
                let found = encoding.decode(&encoding.encode(&values, width), width);
                assert_eq!(found.len(), values.len());
                assert!(found.iter().zip(&values).all(|(a, b)| (a - b).abs() < 1e-3), "{encoding:?} {height} {width}");
                let metadata = [(ENCODING.to_owned(), encoding.name().to_owned())].into();
                assert_eq!(CamEncoding::of(&metadata), Some(encoding));
                assert_eq!(serde_json::to_value(encoding).unwrap(), encoding.name());
            }
        }
    }
}
