//! The rows of a table in two artifacts beside one another: which are the same, which differ, and by how much.
//!
//! ```text
//! measure   how far apart two rows of a table are
//! curve     where two training runs part
//! ```
//!
//! Rows are paired by the table's key. The first pass keeps two digests a row, the second pairs the rows that differ as
//! they come, so that maps of ten thousand images never lie in memory together. What only says whose row it is (the
//! experiment, the key of what was scored) is not compared.

mod curve;
mod measure;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::Value;

pub use curve::{Parting, Term};

use crate::cell::CellValue;
use crate::table::{Cells, Visitor, visit};
use crate::{Artifact, Result, Row};
use curve::Curves;
use measure::Measure;

/// Columns that say whose row it is.
const WHOSE: [&str; 2] = ["experiment", "key"];

/// A table of two artifacts, A and B.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TableDifference {
    /// Name of the table.
    pub table: String,
    /// Rows of A and of B.
    pub rows: [u64; 2],
    /// Rows that are the same in both.
    pub same: u64,
    /// Rows that are in both, with other values.
    pub changed: u64,
    /// Rows that only A, only B has.
    pub only: [u64; 2],
    /// The first of those, by their key.
    pub only_first: [Vec<RowName>; 2],
    /// What `difference` is.
    pub measure: &'static str,
    /// Sum of all rows' differences.
    pub total: f64,
    /// The rows that differ most, the worst first; those that cannot be measured before them.
    pub worst: Vec<RowDifference>,
    /// Of a `curve`: where the two runs part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parting: Option<Parting>,
}

/// The key columns of a row with their values.
pub type RowName = Vec<(&'static str, Value)>;

/// A row that differs.
#[derive(Clone, Debug, Serialize)]
pub struct RowDifference {
    /// Which row.
    pub row: RowName,
    /// How much; `None` where the two cannot be measured, for example maps of two sizes.
    pub difference: Option<f64>,
    /// The columns that differ, with both values where they are short.
    pub what: String,
}

/// Compares a table that both artifacts have; `limit` rows are named. `None` if this program does not know the table.
pub fn table(name: &str, a: &Artifact, b: &Artifact, limit: usize) -> Result<Option<TableDifference>> {
    let (Some(in_a), Some(in_b)) = (a.record().tables.get(name), b.record().tables.get(name)) else { return Ok(None) };
    let mut found = TableDifference { table: name.to_owned(), rows: [in_a.rows, in_b.rows], ..Default::default() };
    let Some(measure) = visit(name, Measuring([&in_a.metadata, &in_b.metadata])) else { return Ok(None) };
    found.measure = measure.name();
    if in_a.digest == in_b.digest && in_a.version == in_b.version && in_a.metadata == in_b.metadata {
        found.same = in_a.rows;
        return Ok(Some(found));
    }
    let open = |artifact| visit(name, Opening(artifact)).unwrap_or_else(|| Ok(Box::new(std::iter::empty())));
    let mut pairs = Pairs::count([open(a)?, open(b)?], measure.keys, &mut found)?;
    if found.same != found.rows[0].max(found.rows[1]) {
        pairs.compare([open(a)?, open(b)?], &measure, limit, &mut found)?;
    }
    Ok(Some(found))
}

type Rows = Box<dyn Iterator<Item = Result<Cells>>>;

/// Opens the rows of a table.
struct Opening<'a>(&'a Artifact);

impl Visitor for Opening<'_> {
    type Output = Result<Rows>;
    fn visit<R: Row>(self) -> Self::Output {
        self.0.table::<R>()?;
        Ok(Box::new(KeyFirst::<R>(self.0.rows(&[])?)))
    }
}

/// Rows as cells, those of the key before the others.
struct KeyFirst<R>(crate::store::Rows<R>);

impl<R: Row> Iterator for KeyFirst<R> {
    type Item = Result<Cells>;
    fn next(&mut self) -> Option<Self::Item> {
        let row = self.0.next()?;
        Some(row.map(|row| {
            let mut cells = row.into_cells();
            cells.retain(|(name, _)| !WHOSE.contains(name));
            let place = |name: &str| R::KEY.iter().position(|key| *key == name).unwrap_or(R::KEY.len());
            cells.sort_by_key(|(name, _)| place(name));
            cells
        }))
    }
}

/// Finds how the rows of a table are measured.
struct Measuring<'a>([&'a BTreeMap<String, String>; 2]);

impl Visitor for Measuring<'_> {
    type Output = Measure;
    fn visit<R: Row>(self) -> Measure {
        Measure::of(R::TABLE, R::KEY.len(), self.0)
    }
}

type Hash = [u8; 32];

fn hash<'a>(cells: impl Iterator<Item = &'a CellValue>) -> Hash {
    let mut hasher = blake3::Hasher::new();
    for cell in cells {
        let (kind, bytes): (u8, &[u8]) = match cell {
            CellValue::Missing => (0, &[]),
            CellValue::Number(number) => (1, &number.to_bits().to_le_bytes()),
            CellValue::Text(text) => (2, text.as_bytes()),
            CellValue::Bytes(bytes) => (3, bytes),
        };
        hasher.update(&[kind]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }
    hasher.finalize().into()
}

/// Names rows by their key; a key that comes again is another name, so that no row is lost.
#[derive(Default)]
struct Names(HashMap<Hash, u32>);

impl Names {
    fn name(&mut self, cells: &Cells, keys: usize) -> Hash {
        let key = hash(cells[..keys].iter().map(|(_, cell)| cell));
        let times = self.0.entry(key).and_modify(|times| *times += 1).or_insert(0);
        if *times == 0 { key } else { hash([CellValue::Bytes(key.into()), CellValue::Number((*times).into())].iter()) }
    }
}

/// What the first pass knows of every row.
struct Pairs(HashMap<Hash, [Option<Hash>; 2]>);

impl Pairs {
    fn count(sides: [Rows; 2], keys: usize, found: &mut TableDifference) -> Result<Self> {
        let mut pairs: HashMap<Hash, [Option<Hash>; 2]> = HashMap::new();
        for (side, rows) in sides.into_iter().enumerate() {
            let mut names = Names::default();
            for cells in rows {
                let cells = cells?;
                let value = hash(cells[keys..].iter().map(|(_, cell)| cell));
                pairs.entry(names.name(&cells, keys)).or_default()[side] = Some(value);
            }
        }
        for pair in pairs.values() {
            match pair {
                [Some(a), Some(b)] if a == b => found.same += 1,
                [Some(_), Some(_)] => found.changed += 1,
                [a, _] => found.only[usize::from(a.is_none())] += 1,
            }
        }
        Ok(Self(pairs))
    }

    fn compare(
        &mut self,
        sides: [Rows; 2],
        measure: &Measure,
        limit: usize,
        found: &mut TableDifference,
    ) -> Result<()> {
        let keys = measure.keys;
        let mut names = [Names::default(), Names::default()];
        let mut curves = (found.table == "curve").then(Curves::default);
        let mut waiting: HashMap<Hash, Cells> = HashMap::new();
        let mut sides = sides.map(Iterator::fuse);
        loop {
            let next = [sides[0].next(), sides[1].next()];
            if next.iter().all(Option::is_none) {
                break;
            }
            for (side, cells) in next.into_iter().enumerate() {
                let Some(cells) = cells.transpose()? else { continue };
                if let Some(curves) = &mut curves {
                    curves.see(side, &cells);
                }
                let name = names[side].name(&cells, keys);
                match self.0.get(&name) {
                    Some([Some(a), Some(b)]) if a == b => {}
                    Some([Some(_), Some(_)]) => match waiting.remove(&name) {
                        None => drop(waiting.insert(name, cells)),
                        Some(other) => {
                            let (a, b) = if side == 1 { (&other, &cells) } else { (&cells, &other) };
                            if let Some(curves) = &mut curves {
                                curves.differ(a, b);
                            }
                            found.add(measure.difference(a, b), limit);
                        }
                    },
                    _ if found.only_first[side].len() < limit => found.only_first[side].push(row_name(&cells, keys)),
                    _ => {}
                }
            }
        }
        found.sort(limit);
        found.parting = curves.map(Curves::parting);
        Ok(())
    }
}

impl TableDifference {
    fn add(&mut self, row: RowDifference, limit: usize) {
        self.total += row.difference.unwrap_or_default();
        self.worst.push(row);
        // Sorted now and then, so that a table of a million rows keeps a few.
        if self.worst.len() >= 2 * limit + 1024 {
            self.sort(limit);
        }
    }

    fn sort(&mut self, limit: usize) {
        let size = |row: &RowDifference| row.difference.unwrap_or(f64::INFINITY);
        self.worst.sort_by(|a, b| size(b).total_cmp(&size(a)));
        self.worst.truncate(limit);
    }
}

fn row_name(cells: &Cells, keys: usize) -> RowName {
    cells[..keys].iter().map(|(name, cell)| (*name, short(cell))).collect()
}

/// A value as one shows it: bytes by their number only.
fn short(cell: &CellValue) -> Value {
    match cell {
        CellValue::Missing => Value::Null,
        CellValue::Number(number) if number.fract() == 0.0 && number.abs() < 2f64.powi(53) => {
            Value::from(*number as i64)
        }
        CellValue::Number(number) => Value::from(*number),
        CellValue::Text(text) => Value::from(text.clone()),
        CellValue::Bytes(bytes) => Value::from(format!("{} bytes", bytes.len())),
    }
}
