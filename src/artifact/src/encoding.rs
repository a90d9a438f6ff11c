//! How a class activation map lies in a Binary cell.

use std::collections::BTreeMap;

use half::f16;
use serde::{Deserialize, Serialize};

/// Metadata of the `cam` table: the name of its [`CamEncoding`].
pub const ENCODING: &str = "encoding";

/// How a CAM is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CamEncoding {
    /// One byte: round(255 value).
    U8,
    /// Two bytes, little-endian half precision.
    F16,
}

impl CamEncoding {
    /// The encoding that a table's metadata names.
    pub fn of(metadata: &BTreeMap<String, String>) -> Option<Self> {
        let name = metadata.get(ENCODING)?;
        [Self::U8, Self::F16].into_iter().find(|encoding| encoding.name() == name)
    }

    /// Its name in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::F16 => "f16",
        }
    }

    /// Encodes values of \[0, 1\].
    pub fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::U8 => values.iter().map(|value| (value * 255.0).round() as u8).collect(),
            Self::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        }
    }

    /// The values of an encoded map.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::U8 => bytes.iter().map(|byte| f32::from(*byte) / 255.0).collect(),
            Self::F16 => bytes.as_chunks().0.iter().map(|pair| f16::from_le_bytes(*pair).to_f32()).collect(),
        }
    }
}
