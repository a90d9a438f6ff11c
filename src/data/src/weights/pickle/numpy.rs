//! Numbers, texts and arrays of `NumPy`, as `np.save` pickles them. What has any other form is a value that means
//! nothing.

use super::{Machine, Value};

/// A name of `NumPy` that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numpy {
    /// The function that begins an array.
    Reconstruct,
    /// The function that makes one number or text.
    Scalar,
    /// The types, as arguments.
    Array,
    Dtype,
}

/// What the elements of an array are.
#[derive(Clone, Copy, Debug)]
pub struct ElementType<'a> {
    /// Such as `f4`, and `O8` for objects.
    pub code: &'a str,
    big_endian: bool,
}

/// An array; before its state is set it has no elements.
#[derive(Clone, Debug)]
pub struct Array<'a> {
    pub shape: Vec<usize>,
    pub dtype: Option<ElementType<'a>>,
    /// The bytes of its elements, or a list of objects.
    pub data: Value<'a>,
}

impl Numpy {
    /// The name that a pickle gives; `NumPy` 2 moved its functions.
    pub fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Self::Reconstruct,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Self::Scalar,
            ("numpy", "ndarray") => Self::Array,
            ("numpy", "dtype") => Self::Dtype,
            _ => return None,
        })
    }
}

impl Array<'_> {
    /// The elements, where they are numbers or truth values.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        let dtype = self.dtype.filter(|dtype| !dtype.big_endian)?;
        let bytes = match self.data {
            Value::Bytes(bytes) => bytes,
            Value::Text(text) => text.as_bytes(),
            _ => return None,
        };
        let numbers: Vec<f64> = match dtype.code {
            "f8" => bytes.as_chunks().0.iter().map(|element| f64::from_le_bytes(*element)).collect(),
            "f4" => bytes.as_chunks().0.iter().map(|element| f64::from(f32::from_le_bytes(*element))).collect(),
            "f2" => bytes.as_chunks().0.iter().map(|element| half::f16::from_le_bytes(*element).to_f64()).collect(),
            code => {
                let size = size_of_integer(code)?;
                bytes
                    .chunks_exact(size)
                    .map(|element| integer(code, element).map(|n| n as f64))
                    .collect::<Option<_>>()?
            }
        };
        let size: usize = dtype.code[1..].parse().ok()?;
        let count = self.shape.iter().try_fold(1_usize, |count, side| count.checked_mul(*side))?;
        (count.checked_mul(size) == Some(bytes.len())).then_some(numbers)
    }
}

/// Bytes of an integer or truth value of that type.
fn size_of_integer(code: &str) -> Option<usize> {
    let (kind, size) = code.split_at_checked(1)?;
    let size = size.parse().ok().filter(|size| matches!(size, 1 | 2 | 4 | 8))?;
    matches!(kind, "i" | "u" | "b").then_some(size)
}

/// A little-endian integer; none if it needs more than 63 bits.
fn integer(code: &str, bytes: &[u8]) -> Option<i64> {
    let negative = code.starts_with('i') && bytes.last().is_some_and(|last| *last >= 0x80);
    let mut wide = [if negative { 0xFF } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let number = i64::from_le_bytes(wide);
    (negative || number >= 0).then_some(number)
}

impl<'a> Machine<'a> {
    /// What the call of one of `NumPy`'s names makes.
    pub(super) fn call_numpy(&mut self, function: Numpy, arguments: usize) -> Value<'a> {
        match (function, self.made.sequences[arguments].as_slice()) {
            (Numpy::Reconstruct, [Value::Global(super::Global::Numpy(Numpy::Array)), ..]) => {
                self.made.arrays.push(Array { shape: vec![], dtype: None, data: Value::None });
                Value::Array(self.made.arrays.len() - 1)
            }
            (Numpy::Dtype, &[Value::Text(code), ..]) => {
                self.made.dtypes.push(ElementType { code, big_endian: false });
                Value::Dtype(self.made.dtypes.len() - 1)
            }
            (Numpy::Scalar, &[Value::Dtype(dtype), Value::Bytes(bytes)]) => {
                let ElementType { code, big_endian } = self.made.dtypes[dtype];
                match size_of_integer(code) {
                    _ if big_endian => Value::Opaque,
                    None if code.starts_with('U') => Value::Wide(bytes),
                    Some(size) if size == bytes.len() => integer(code, bytes).map_or(Value::Opaque, Value::Int),
                    _ => Value::Opaque,
                }
            }
            _ => Value::Opaque,
        }
    }

    /// Sets the state of an array, `(version, shape, type, in columns?, elements)`, or of a type,
    /// `(version, byte order, …)`.
    pub(super) fn build_numpy(&mut self, of: Value<'a>, state: Value<'a>) {
        let Value::Tuple(state) = state else { return };
        match (of, self.made.sequences[state].as_slice()) {
            (Value::Array(array), &[_, Value::Tuple(shape), Value::Dtype(dtype), _, data]) => {
                if let Some(shape) = self.sizes(shape) {
                    let dtype = self.made.dtypes.get(dtype).copied();
                    self.made.arrays[array] = Array { shape, dtype, data };
                }
            }
            (Value::Dtype(dtype), &[_, Value::Text(order), ..]) => self.made.dtypes[dtype].big_endian = order == ">",
            _ => {}
        }
    }
}
