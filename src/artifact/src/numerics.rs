//! In which numbers tensors are computed: a part of the result, and so of a key.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParamError;

/// `pipeline.numerics`. Weights, prototypes, losses, softmaxes and moving averages are f32 in all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Numerics {
    /// 32-bit floats throughout: what the reference vectors hold it to.
    #[default]
    F32,
    /// 32-bit floats, of which a GPU multiplies the upper 19 bits. On a CPU the same as [`Numerics::F32`].
    Tf32,
    /// Activations and convolutions in bfloat16.
    Bf16,
}

impl Numerics {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::Tf32, Self::Bf16];

    /// As the manifest and a key name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }
}

impl FromStr for Numerics {
    type Err = ParamError;

    fn from_str(text: &str) -> Result<Self, ParamError> {
        let found = Self::ALL.into_iter().find(|numerics| numerics.name() == text);
        found.ok_or_else(|| ParamError::new("numerics", format!("there is no '{text}'; use f32, tf32 or bf16")))
    }
}
