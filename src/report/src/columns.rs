//! Columns from one Arrow to the other: arrow-rs, in which the tables are read and written, and arrow2
//! (`polars-arrow`), of whose arrays Polars' columns consist.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, UInt8Builder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Float64Type, UInt8Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float32Array, Float64Array, Int64Array, StringArray, UInt8Array,
    UInt32Array, UInt64Array,
};
use arrow_schema::DataType as ArrowType;
use arrow2::array::{
    BinaryViewArray, BooleanArray as Booleans, ListArray as Lists, PrimitiveArray as Numbers, Utf8ViewArray,
};
use arrow2::bitmap::Bitmap;
use arrow2::offset::OffsetsBuffer;
use polars::error::{PolarsError, PolarsResult, polars_bail};
use polars::prelude::{Column, DataType, ListChunked, PlSmallStr, Series};

type Box2 = Box<dyn arrow2::array::Array>;

/// A column of a table as Polars has it.
pub(crate) fn series(name: &str, array: &ArrayRef) -> PolarsResult<Series> {
    Series::from_arrow(PlSmallStr::from(name), arrow2_array(array)?)
}

/// The types are those of the tables' cells.
fn arrow2_array(array: &dyn Array) -> PolarsResult<Box2> {
    Ok(match array.data_type() {
        ArrowType::Boolean => array.as_boolean().iter().collect::<Booleans>().boxed(),
        ArrowType::UInt8 => array.as_primitive::<UInt8Type>().iter().collect::<Numbers<u8>>().boxed(),
        ArrowType::UInt32 => array.as_primitive::<UInt32Type>().iter().collect::<Numbers<u32>>().boxed(),
        ArrowType::UInt64 => array.as_primitive::<UInt64Type>().iter().collect::<Numbers<u64>>().boxed(),
        ArrowType::Float32 => array.as_primitive::<Float32Type>().iter().collect::<Numbers<f32>>().boxed(),
        ArrowType::Float64 => array.as_primitive::<Float64Type>().iter().collect::<Numbers<f64>>().boxed(),
        ArrowType::Utf8 => Utf8ViewArray::from_slice(array.as_string::<i32>().iter().collect::<Vec<_>>()).boxed(),
        ArrowType::Binary => BinaryViewArray::from_slice(array.as_binary::<i32>().iter().collect::<Vec<_>>()).boxed(),
        ArrowType::List(_) => {
            let list = array.as_list::<i32>();
            let values = arrow2_array(list.values())?;
            let offsets = OffsetsBuffer::try_from(list.offsets().iter().map(|at| i64::from(*at)).collect::<Vec<_>>())?;
            let validity = list.nulls().map(|nulls| nulls.iter().collect::<Bitmap>());
            Lists::<i64>::new(Lists::<i64>::default_datatype(values.dtype().clone()), offsets, values, validity).boxed()
        }
        other => polars_bail!(ComputeError: "no table has cells of type {other}"),
    })
}

/// A column of an answer as arrow-rs has it. Types that no table has, such as dates, become text.
pub(crate) fn arrow_array(column: &Column) -> PolarsResult<ArrayRef> {
    Ok(match column.dtype() {
        DataType::Boolean => Arc::new(column.bool()?.iter().collect::<BooleanArray>()),
        DataType::UInt8 => Arc::new(column.u8()?.iter().collect::<UInt8Array>()),
        DataType::UInt32 => Arc::new(column.u32()?.iter().collect::<UInt32Array>()),
        DataType::UInt64 => Arc::new(column.u64()?.iter().collect::<UInt64Array>()),
        DataType::Float32 => Arc::new(column.f32()?.iter().collect::<Float32Array>()),
        DataType::Float64 => Arc::new(column.f64()?.iter().collect::<Float64Array>()),
        DataType::Binary => Arc::new(column.binary()?.iter().collect::<BinaryArray>()),
        DataType::List(inner) if **inner == DataType::UInt8 => bytes(column.list()?)?,
        DataType::List(inner) if **inner == DataType::String => texts(column.list()?)?,
        number if number.is_integer() => Arc::new(column.cast(&DataType::Int64)?.i64()?.iter().collect::<Int64Array>()),
        _ => Arc::new(column.cast(&DataType::String)?.str()?.iter().collect::<StringArray>()),
    })
}

fn bytes(lists: &ListChunked) -> PolarsResult<ArrayRef> {
    let mut builder = ListBuilder::new(UInt8Builder::new());
    for row in 0..lists.len() {
        let list = lists.get_as_series(row);
        if let Some(list) = &list {
            builder.values().extend(list.u8()?.iter());
        }
        builder.append(list.is_some());
    }
    Ok(Arc::new(builder.finish()))
}

fn texts(lists: &ListChunked) -> PolarsResult<ArrayRef> {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for row in 0..lists.len() {
        let list = lists.get_as_series(row);
        if let Some(list) = &list {
            builder.values().extend(list.str()?.iter());
        }
        builder.append(list.is_some());
    }
    Ok(Arc::new(builder.finish()))
}

/// A failure of the store on its way through Polars, which `polars_error` makes one of the store again.
pub(crate) fn store_error(error: artifact::Error) -> PolarsError {
    PolarsError::IO { error: Arc::new(std::io::Error::other(error)), msg: None }
}
