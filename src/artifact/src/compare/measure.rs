//! By how much two rows of a table differ.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{RowDifference, row_name, short};
use crate::cell::CellValue;
use crate::encoding::CamEncoding;
use crate::table::Cells;

/// How rows of a table are measured.
pub(super) struct Measure {
    /// How many columns name a row.
    pub keys: usize,
    kind: Kind,
}

enum Kind {
    /// Mean absolute difference of the maps in this column.
    Map(&'static str, [CamEncoding; 2]),
    /// Number of bytes that differ in this column, one a pixel.
    Pixels(&'static str),
    /// The largest absolute difference of a number.
    Number,
}

impl Measure {
    pub fn of(table: &str, keys: usize, metadata: [&BTreeMap<String, String>; 2]) -> Self {
        let encoding = |metadata| CamEncoding::of(metadata).unwrap_or(CamEncoding::U8);
        let kind = match table {
            "cam" => Kind::Map("cam", metadata.map(encoding)),
            "crf" => Kind::Map("score", [CamEncoding::U8; 2]),
            "label" => Kind::Pixels("label"),
            _ => Kind::Number,
        };
        Self { keys, kind }
    }

    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Map(..) => "mean absolute difference",
            Kind::Pixels(_) => "pixels that differ",
            Kind::Number => "largest difference of a number",
        }
    }

    pub fn difference(&self, a: &Cells, b: &Cells) -> RowDifference {
        let difference = match self.kind {
            Kind::Map(column, encodings) => {
                let [a, b] = [(a, encodings[0]), (b, encodings[1])]
                    .map(|(row, encoding)| encoding.decode(bytes(row, column), width(row)));
                mean(a, b)
            }
            Kind::Pixels(column) => pixels(bytes(a, column), bytes(b, column)),
            Kind::Number => a.iter().zip(b).filter_map(|((_, a), (_, b))| apart(a, b)).reduce(f64::max),
        };
        let differs = a[self.keys..].iter().zip(&b[self.keys..]).filter(|((_, a), (_, b))| a != b);
        let what = differs.map(|((name, a), (_, b))| match (short(a), short(b)) {
            (Value::String(a), Value::String(b)) if a == b => (*name).to_owned(),
            (a, b) => format!("{name} {} -> {}", plain(&a), plain(&b)),
        });
        let mut row = row_name(a, self.keys);
        // A class has a number for the machine and a name for people.
        row.extend(a.iter().filter(|(name, _)| *name == "class").map(|(name, cell)| (*name, short(cell))));
        RowDifference { row, difference, what: what.collect::<Vec<_>>().join(", ") }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn bytes<'a>(cells: &'a Cells, column: &str) -> &'a [u8] {
    match cells.iter().find(|(name, _)| *name == column) {
        Some((_, CellValue::Bytes(bytes))) => bytes,
        _ => &[],
    }
}

/// The width of a row's map.
fn width(cells: &Cells) -> usize {
    match cells.iter().find(|(name, _)| *name == "width") {
        Some((_, CellValue::Number(width))) => *width as usize,
        _ => 0,
    }
}

fn mean(a: Vec<f32>, b: Vec<f32>) -> Option<f64> {
    let count = a.len();
    let same_size = count == b.len() && count > 0;
    let sum = || a.into_iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>();
    same_size.then(|| sum() / count as f64)
}

fn pixels(a: &[u8], b: &[u8]) -> Option<f64> {
    (a.len() == b.len()).then(|| a.iter().zip(b).filter(|(a, b)| a != b).count() as f64)
}

fn apart(a: &CellValue, b: &CellValue) -> Option<f64> {
    match (a, b) {
        (CellValue::Number(a), CellValue::Number(b)) if a.to_bits() != b.to_bits() => Some((a - b).abs()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_compared_by_their_values_whatever_they_are_stored_as() {
        let (u8s, f16s) = ([0, 255, 51], [0x00, 0x00, 0x00, 0x3c, 0x66, 0x32]);
        let difference = mean(CamEncoding::U8.decode(&u8s, 3), CamEncoding::F16.decode(&f16s, 3)).unwrap();
        assert!(difference < 1e-4, "{difference}");
        assert_eq!(mean(vec![0.0, 1.0], vec![0.5, 1.0]), Some(0.25));
        assert_eq!(mean(vec![0.0], vec![0.5, 1.0]), None, "maps of two sizes");
    }
}
