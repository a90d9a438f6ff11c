//! How one Rust value becomes one Parquet cell and one contribution to a row's digest.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, UInt8Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow_schema::{DataType, Field};

use crate::{ClassId, ImageId};

/// A value as one who compares two rows sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum CellValue {
    /// Null.
    Missing,
    /// A number; counts of pixels are far below 2^53, to which an f64 is exact.
    Number(f64),
    /// A name, a yes or no, a list.
    Text(String),
    /// An image, a mask or a map.
    Bytes(Vec<u8>),
}

/// A value that a column can hold.
pub trait Cell: Sized + Default {
    /// May the column hold nulls?
    const NULLABLE: bool = false;

    /// The Arrow type of the column.
    fn data_type() -> DataType;

    /// A column of these values.
    fn array(values: &[&Self]) -> ArrayRef;

    /// The value at `row`. The array has [`Cell::data_type`]: a reader checks that first.
    fn get(array: &dyn Array, row: usize) -> Self;

    /// Feeds the value to a digest such that no two different rows feed the same bytes.
    fn hash(&self, hasher: &mut blake3::Hasher);

    /// The value for a comparison.
    fn into_value(self) -> CellValue;
}

/// Length first, then the bytes: no two sequences of fields run into one another.
fn hash_bytes(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

macro_rules! primitive_cell {
    ($($rust:ty => $arrow:ty, $data_type:ident;)*) => {$(
        impl Cell for $rust {
            fn data_type() -> DataType {
                DataType::$data_type
            }
            fn array(values: &[&Self]) -> ArrayRef {
                Arc::new(PrimitiveArray::<$arrow>::from_iter_values(values.iter().map(|v| **v)))
            }
            fn get(array: &dyn Array, row: usize) -> Self {
                array.as_primitive::<$arrow>().value(row)
            }
            fn hash(&self, hasher: &mut blake3::Hasher) {
                hasher.update(&self.to_le_bytes());
            }
            fn into_value(self) -> CellValue {
                CellValue::Number(self as f64)
            }
        }
    )*};
}

primitive_cell! {
    u8 => UInt8Type, UInt8;
    u16 => UInt16Type, UInt16;
    u32 => UInt32Type, UInt32;
    u64 => UInt64Type, UInt64;
    f32 => Float32Type, Float32;
    f64 => Float64Type, Float64;
}

impl Cell for bool {
    fn data_type() -> DataType {
        DataType::Boolean
    }
    fn array(values: &[&Self]) -> ArrayRef {
        Arc::new(values.iter().map(|v| Some(**v)).collect::<BooleanArray>())
    }
    fn get(array: &dyn Array, row: usize) -> Self {
        array.as_boolean().value(row)
    }
    fn hash(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&[u8::from(*self)]);
    }
    fn into_value(self) -> CellValue {
        CellValue::Text(self.to_string())
    }
}

impl Cell for String {
    fn data_type() -> DataType {
        DataType::Utf8
    }
    fn array(values: &[&Self]) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(values))
    }
    fn get(array: &dyn Array, row: usize) -> Self {
        array.as_string::<i32>().value(row).to_owned()
    }
    fn hash(&self, hasher: &mut blake3::Hasher) {
        hash_bytes(hasher, self.as_bytes());
    }
    fn into_value(self) -> CellValue {
        CellValue::Text(self)
    }
}

impl Cell for ImageId {
    fn data_type() -> DataType {
        DataType::Utf8
    }
    fn array(values: &[&Self]) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(values.iter().map(|v| v.as_str())))
    }
    fn get(array: &dyn Array, row: usize) -> Self {
        Self::from_stored(array.as_string::<i32>().value(row))
    }
    fn hash(&self, hasher: &mut blake3::Hasher) {
        hash_bytes(hasher, self.as_str().as_bytes());
    }
    fn into_value(self) -> CellValue {
        CellValue::Text(self.to_string())
    }
}

impl Cell for ClassId {
    fn data_type() -> DataType {
        DataType::UInt8
    }
    fn array(values: &[&Self]) -> ArrayRef {
        Arc::new(PrimitiveArray::<UInt8Type>::from_iter_values(values.iter().map(|v| v.0)))
    }
    fn get(array: &dyn Array, row: usize) -> Self {
        Self(array.as_primitive::<UInt8Type>().value(row))
    }
    fn hash(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&[self.0]);
    }
    fn into_value(self) -> CellValue {
        CellValue::Number(f64::from(self.0))
    }
}

/// Bytes of an image, a mask or a map. (`Vec<u8>` is a Binary cell, never a list of numbers.)
impl Cell for Vec<u8> {
    fn data_type() -> DataType {
        DataType::Binary
    }
    fn array(values: &[&Self]) -> ArrayRef {
        Arc::new(BinaryArray::from_iter_values(values))
    }
    fn get(array: &dyn Array, row: usize) -> Self {
        array.as_binary::<i32>().value(row).to_vec()
    }
    fn hash(&self, hasher: &mut blake3::Hasher) {
        hash_bytes(hasher, self);
    }
    fn into_value(self) -> CellValue {
        CellValue::Bytes(self)
    }
}

impl Cell for Option<f64> {
    const NULLABLE: bool = true;

    fn data_type() -> DataType {
        DataType::Float64
    }
    fn array(values: &[&Self]) -> ArrayRef {
        Arc::new(values.iter().map(|v| **v).collect::<PrimitiveArray<Float64Type>>())
    }
    fn get(array: &dyn Array, row: usize) -> Self {
        array.is_valid(row).then(|| array.as_primitive::<Float64Type>().value(row))
    }
    fn hash(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&[u8::from(self.is_some())]);
        hasher.update(&self.unwrap_or_default().to_le_bytes());
    }
    fn into_value(self) -> CellValue {
        self.map_or(CellValue::Missing, CellValue::Number)
    }
}

impl Cell for Vec<String> {
    fn data_type() -> DataType {
        DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
    }
    fn array(values: &[&Self]) -> ArrayRef {
        let mut builder = ListBuilder::new(StringBuilder::new());
        for value in values {
            for item in *value {
                builder.values().append_value(item);
            }
            builder.append(true);
        }
        Arc::new(builder.finish())
    }
    fn get(array: &dyn Array, row: usize) -> Self {
        let list = array.as_list::<i32>().value(row);
        list.as_string::<i32>().iter().map(|item| item.unwrap_or_default().to_owned()).collect()
    }
    fn hash(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&(self.len() as u64).to_le_bytes());
        for item in self {
            item.hash(hasher);
        }
    }
    fn into_value(self) -> CellValue {
        CellValue::Text(self.join(", "))
    }
}

impl Cell for Vec<ClassId> {
    fn data_type() -> DataType {
        DataType::List(Arc::new(Field::new_list_field(DataType::UInt8, true)))
    }
    fn array(values: &[&Self]) -> ArrayRef {
        let mut builder = ListBuilder::new(UInt8Builder::new());
        for value in values {
            for item in *value {
                builder.values().append_value(item.0);
            }
            builder.append(true);
        }
        Arc::new(builder.finish())
    }
    fn get(array: &dyn Array, row: usize) -> Self {
        let list = array.as_list::<i32>().value(row);
        list.as_primitive::<UInt8Type>().values().iter().map(|item| ClassId(*item)).collect()
    }
    fn hash(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&(self.len() as u64).to_le_bytes());
        for item in self {
            item.hash(hasher);
        }
    }
    fn into_value(self) -> CellValue {
        CellValue::Text(self.iter().map(|class| class.0.to_string()).collect::<Vec<_>>().join(", "))
    }
}
