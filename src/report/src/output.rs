//! A query's answer as a table for the eye, as CSV, JSON or Parquet.
//!
//! Binary cells are shown by their size in the table; CSV and JSON hold them in base64.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use artifact::{Error, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use polars::prelude::{AnyValue, Column, DataFrame, Series};
use serde_json::{Map, Value};

use crate::columns::arrow_array;
use crate::{polars_error, text};

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns for a terminal.
    Table,
    /// Comma-separated values with a header line.
    Csv,
    /// An array of objects.
    Json,
    /// A Parquet file.
    Parquet,
}

/// The widest a column of the table may be.
const WIDEST: usize = 48;

/// The bytes of an answer; `limit` is the number of rows that the table shows.
pub fn render(frame: &DataFrame, format: Format, limit: usize) -> Result<Vec<u8>> {
    match format {
        Format::Table => Ok(table(frame, limit)?.into_bytes()),
        Format::Csv => Ok(csv(frame)?.into_bytes()),
        Format::Json => json(frame),
        Format::Parquet => parquet(frame),
    }
}

fn names(frame: &DataFrame) -> Vec<String> {
    frame.columns().iter().map(|column| column.name().to_string()).collect()
}

fn cell(frame: &DataFrame, column: usize, row: usize) -> Result<Value> {
    let value = frame.columns()[column].get(row).map_err(|error| polars_error(&error))?;
    json_value(&value)
}

fn json_value(value: &AnyValue<'_>) -> Result<Value> {
    Ok(match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(flag) => Value::from(*flag),
        AnyValue::String(text) => Value::from(*text),
        AnyValue::StringOwned(text) => Value::from(text.as_str()),
        AnyValue::Float32(number) => number.to_string().parse::<f64>().map_or(Value::Null, Value::from),
        AnyValue::Float64(number) => Value::from(*number),
        AnyValue::Binary(bytes) => Value::from(BASE64_STANDARD.encode(bytes)),
        AnyValue::BinaryOwned(bytes) => Value::from(BASE64_STANDARD.encode(bytes)),
        AnyValue::List(items) => list(items)?,
        number if number.is_integer() => match number.extract::<i64>() {
            Some(number) => Value::from(number),
            None => number.extract::<u64>().map_or(Value::Null, Value::from),
        },
        other => Value::from(other.to_string()),
    })
}

fn list(items: &Series) -> Result<Value> {
    let item = |index| items.get(index).map_err(|error| polars_error(&error)).and_then(|value| json_value(&value));
    (0..items.len()).map(item).collect::<Result<Vec<_>>>().map(Value::from)
}

fn json(frame: &DataFrame) -> Result<Vec<u8>> {
    let names = names(frame);
    let mut text = String::from("[");
    for row in 0..frame.height() {
        let mut object = Map::new();
        for (column, name) in names.iter().enumerate() {
            object.insert(name.clone(), cell(frame, column, row)?);
        }
        let _ = write!(text, "{}\n  {}", if row == 0 { "" } else { "," }, Value::from(object));
    }
    text.push_str(if frame.height() == 0 { "]\n" } else { "\n]\n" });
    Ok(text.into_bytes())
}

fn csv(frame: &DataFrame) -> Result<String> {
    let quoted = |text: &str| {
        let special = text.contains([',', '"', '\n', '\r']);
        if special { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
    };
    let mut text = names(frame).iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",") + "\n";
    for row in 0..frame.height() {
        for column in 0..frame.width() {
            let value = match cell(frame, column, row)? {
                Value::Null => String::new(),
                Value::String(value) => quoted(&value),
                other => quoted(&other.to_string()),
            };
            let _ = write!(text, "{}{value}", if column == 0 { "" } else { "," });
        }
        text.push('\n');
    }
    Ok(text)
}

fn parquet(frame: &DataFrame) -> Result<Vec<u8>> {
    let column = |column| arrow_array(column).map_err(|error| polars_error(&error));
    let arrays = frame.columns().iter().map(column).collect::<Result<Vec<_>>>()?;
    let field = |(name, array): (String, &ArrayRef)| Field::new(name, array.data_type().clone(), true);
    let schema = Arc::new(Schema::new(names(frame).into_iter().zip(&arrays).map(field).collect::<Vec<_>>()));
    let failed = |what: String| Error::Failed(format!("cannot write the answer as Parquet: {what}"));
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|error| failed(error.to_string()))?;
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(zstd).build();
    let mut bytes = Vec::new();
    let written = ArrowWriter::try_new(&mut bytes, schema, Some(properties)).and_then(|mut writer| {
        writer.write(&batch)?;
        writer.close()
    });
    written.map_err(|error| failed(error.to_string()))?;
    Ok(bytes)
}

/// One shown cell; floats get the digits that a person can use.
fn shown(value: &AnyValue<'_>) -> Result<String> {
    let bytes = |len: usize| format!("<{len} bytes>");
    let text = match value {
        AnyValue::Float32(number) => float(f64::from(*number)),
        AnyValue::Float64(number) => float(*number),
        AnyValue::Binary(content) => bytes(content.len()),
        AnyValue::BinaryOwned(content) => bytes(content.len()),
        other => match json_value(other)? {
            Value::Null => "-".to_owned(),
            Value::String(text) => text,
            other => other.to_string(),
        },
    };
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let cut = one_line.chars().count() > WIDEST;
    Ok(if cut { one_line.chars().take(WIDEST - 1).chain(['…']).collect() } else { one_line })
}

fn float(number: f64) -> String {
    let size = number.abs();
    match size {
        _ if number == 0.0 || !number.is_finite() || (number.fract() == 0.0 && size < 1e9) => number.to_string(),
        _ if (1e-3..1e6).contains(&size) => format!("{number:.4}"),
        _ => format!("{number:.3e}"),
    }
}

fn table(frame: &DataFrame, limit: usize) -> Result<String> {
    let shown_rows = frame.height().min(limit);
    let cell = |column: &Column, row| column.get(row).map_err(|error| polars_error(&error)).and_then(|v| shown(&v));
    let row = |row| frame.columns().iter().map(|column| cell(column, row)).collect::<Result<Vec<_>>>();
    let rows = (0..shown_rows).map(row).collect::<Result<Vec<_>>>()?;
    let numeric: Vec<_> = frame.columns().iter().map(|column| column.dtype().is_primitive_numeric()).collect();
    let mut text = text::table(names(frame), &numeric, rows);
    let all = frame.height();
    let plural = if all == 1 { "" } else { "s" };
    let _ = match all - shown_rows {
        0 => writeln!(text, "({all} row{plural})"),
        more => writeln!(text, "… {more} more of {all} rows; --limit shows more, --format csv has all"),
    };
    Ok(text)
}

/// Writes an answer to a file, whole or not at all.
pub fn save(path: &std::path::Path, bytes: &[u8]) -> Result<()> {
    let path = std::path::absolute(path).map_err(Error::io("find", path))?;
    artifact::store::write_atomically(&path, bytes)
}
