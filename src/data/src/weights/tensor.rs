//! One tensor as a file stores it: an element type, a shape, and a strided view of bytes that lie in the file.
//!
//! Whoever makes one has shown that every element lies in the file; reading it then takes no more memory than its
//! elements, which are no more than those of its storage.

use std::borrow::Cow;
use std::fmt;

use half::{bf16, f16};

use super::cursor::Result;

/// More axes than any format's writer allows.
const MAX_AXES: usize = 32;

/// The type of an element, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// The upper half of a 32-bit float.
    Bf16,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// 16-bit integer.
    I16,
    /// 8-bit integer.
    I8,
    /// Byte.
    U8,
    /// A byte that is 0 or 1.
    Bool,
}

impl Dtype {
    /// Bytes of an element.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether it is a floating-point type, as weights are.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        };
        f.pad(name)
    }
}

/// A run of elements of one type that lies in the file: `count * dtype.size()` bytes from `start`.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    pub dtype: Dtype,
    pub start: usize,
    pub count: usize,
}

/// A tensor that has not been read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    /// In elements.
    strides: Vec<usize>,
    /// The byte at which the first element begins.
    start: usize,
}

impl Stored {
    /// The whole of `storage`, row by row.
    pub(super) fn dense(storage: &Storage, shape: &[usize]) -> Result<Self> {
        let mut strides = vec![0; shape.len()];
        let mut stride = 1_usize;
        for (axis, size) in shape.iter().enumerate().rev() {
            strides[axis] = stride;
            stride = stride.saturating_mul(*size);
        }
        Self::view(storage, 0, shape, &strides)
    }

    /// The elements of `storage` from `offset` on at `strides`.
    pub(super) fn view(storage: &Storage, offset: usize, shape: &[usize], strides: &[usize]) -> Result<Self> {
        if shape.len() != strides.len() || shape.len() > MAX_AXES {
            return Err(format!("{} axes with {} strides; at most {MAX_AXES} are read", shape.len(), strides.len()));
        }
        let Storage { dtype, start, count } = *storage;
        let elements =
            elements(shape).ok_or_else(|| format!("shape {shape:?} has more elements than can be counted"))?;
        if elements > count {
            return Err(format!("shape {shape:?} has {elements} elements, but its storage {count}"));
        }
        let last = shape
            .iter()
            .zip(strides)
            .try_fold(offset, |last, (&size, stride)| last.checked_add(size.saturating_sub(1).checked_mul(*stride)?));
        let first = if elements == 0 {
            start
        } else if last.is_some_and(|last| last < count) {
            start + offset * dtype.size()
        } else {
            return Err(format!(
                "shape {shape:?} at offset {offset} with strides {strides:?} leaves its storage of {count} elements"
            ));
        };
        Ok(Self { dtype, shape: shape.to_vec(), strides: strides.to_vec(), start: first })
    }

    /// The same in a file before which `bytes` others are put.
    pub(super) fn after(self, bytes: usize) -> Self {
        Self { start: self.start + bytes, ..self }
    }

    /// The element type in the file.
    pub const fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many elements it has.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Its elements row by row, as they are in `file`: copied only if they do not lie so.
    pub(super) fn bytes<'a>(&self, file: &'a [u8]) -> Cow<'a, [u8]> {
        let (size, elements) = (self.dtype.size(), self.elements());
        if self.is_contiguous() {
            return Cow::Borrowed(&file[self.start..self.start + elements * size]);
        }
        let mut gathered = Vec::with_capacity(elements * size);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..elements {
            let offset: usize = index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum();
            let at = self.start + offset * size;
            gathered.extend_from_slice(&file[at..at + size]);
            for (i, size) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *size {
                    break;
                }
                *i = 0;
            }
        }
        Cow::Owned(gathered)
    }

    /// Its elements row by row, rounded to 32-bit floats.
    pub(super) fn values(&self, file: &[u8]) -> Vec<f32> {
        let bytes = self.bytes(file);
        match self.dtype {
            Dtype::F64 => decode(&bytes, |b| f64::from_le_bytes(b) as f32),
            Dtype::F32 => decode(&bytes, f32::from_le_bytes),
            Dtype::F16 => decode(&bytes, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::Bf16 => decode(&bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Dtype::I64 => decode(&bytes, |b| i64::from_le_bytes(b) as f32),
            Dtype::I32 => decode(&bytes, |b| i32::from_le_bytes(b) as f32),
            Dtype::I16 => decode(&bytes, |b| f32::from(i16::from_le_bytes(b))),
            Dtype::I8 => decode(&bytes, |b| f32::from(i8::from_le_bytes(b))),
            Dtype::U8 | Dtype::Bool => decode(&bytes, |[b]: [u8; 1]| f32::from(b)),
        }
    }

    fn is_contiguous(&self) -> bool {
        let mut dense = 1;
        self.elements() == 0
            || self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
                let fits = size == 1 || stride == dense;
                dense *= size;
                fits
            })
    }
}

/// The product of `shape`, if it can be counted.
fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size))
}

fn decode<const N: usize>(bytes: &[u8], element: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|chunk| element(*chunk)).collect()
}
