//! Typed reading of a collected frame, and of cell bytes through Arrow.

use arrow2::array::BinaryViewArray;
use artifact::Result;
use polars::prelude::{Column, DataFrame, DataType, Expr, LazyFrame, col, lit};

use crate::polars_error;

/// A collected answer.
pub(crate) struct Frame(DataFrame);

impl Frame {
    /// Runs a lazy query.
    pub fn collect(query: LazyFrame) -> Result<Self> {
        query.collect().map(Self).map_err(|error| polars_error(&error))
    }

    fn column(&self, name: &str) -> Result<&Column> {
        self.0.column(name).map_err(|error| polars_error(&error))
    }

    /// A column of text; null is empty.
    pub fn texts(&self, name: &str) -> Result<Vec<String>> {
        let column = self.column(name)?;
        let texts = column.str().map_err(|error| polars_error(&error))?;
        Ok(texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
    }

    /// A column of numbers of any type; null is NaN.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let floats = self.column(name)?.cast(&DataType::Float64).map_err(|error| polars_error(&error))?;
        let floats = floats.f64().map_err(|error| polars_error(&error))?;
        Ok(floats.iter().map(|number| number.unwrap_or(f64::NAN)).collect())
    }

    /// The cells of a binary column: the Arrow arrays below it, in their order.
    pub fn cells(&self, name: &str) -> Result<Vec<Option<Vec<u8>>>> {
        let binary = self.column(name)?.binary().map_err(|error| polars_error(&error))?;
        let arrays = binary.downcast_iter();
        Ok(arrays.flat_map(|array: &BinaryViewArray| array.iter().map(|cell| cell.map(<[u8]>::to_vec))).collect())
    }
}

/// Is the text column `name` one of `values`?
pub(crate) fn is_one_of(name: &str, values: &[String]) -> Expr {
    let equal = values.iter().map(|value| col(name).eq(lit(value.as_str())));
    equal.reduce(Expr::or).unwrap_or_else(|| lit(false))
}

/// Several columns by name.
pub(crate) fn columns(names: &[&str]) -> Vec<Expr> {
    names.iter().map(|name| col(*name)).collect()
}
