//! The tables of a store: typed rows for the report's numbers; lazy scans for SQL and for the report's pictures.
//!
//! A table is the union over the holdings that have it. Reads the Parquet parts that an artifact's record lists; writes
//! nothing. A scan opens no file until it is collected, and reads of it only the columns and rows that are asked for.

use std::path::PathBuf;

use artifact::store::TableRecord;
use artifact::table::{Declaration, declarations};
use artifact::{Error, Result, Row};
use polars::io::HiveOptions;
use polars::prelude::{LazyFrame, OptFlags, PlRefPath, ScanArgsParquet, UnionArgs, concat, lit};

use crate::holdings::{Holding, Holdings};
use crate::polars_error;

/// Parts up to this size, which are all that hold numbers, are read only if their digest holds. Larger ones hold
/// pictures, of which a query reads a few: `camflow verify` reads them whole.
const READ_BY_DIGEST: u64 = 16 << 20;

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its Arrow type, as text.
    pub kind: String,
    /// What it means.
    pub doc: String,
}

/// The columns of a table in SQL: its own, then those that say which experiment, stage and artifact a row comes from.
pub fn columns(table: &Declaration) -> Vec<Column> {
    let own = table.schema.fields().iter().map(|field| Column {
        name: field.name().clone(),
        kind: field.data_type().to_string(),
        doc: field.metadata().get("doc").cloned().unwrap_or_default(),
    });
    let added = [
        ("experiment", "Experiment whose link leads to the artifact."),
        ("source_stage", "Stage that wrote the artifact."),
        ("key", "Key of the artifact, the name of its directory."),
    ];
    let added = added.into_iter().filter(|(name, _)| !has_column(table, name));
    let added = added.map(|(name, doc)| Column { name: name.into(), kind: "Utf8".into(), doc: doc.into() });
    own.chain(added).collect()
}

fn has_column(table: &Declaration, name: &str) -> bool {
    table.schema.field_with_name(name).is_ok()
}

/// Number of rows of a table over all holdings.
pub fn count(holdings: &Holdings, table: &Declaration) -> u64 {
    holdings.making_up(table).iter().map(|(_, record)| record.rows).sum()
}

/// The rows of a table of numbers over all holdings.
///
/// # Errors
/// [`Error::NotCommitted`] if a part is damaged.
pub fn rows<R: Row>(holdings: &Holdings) -> Result<Vec<R>> {
    let mut rows = Vec::new();
    for table in declarations().iter().filter(|table| table.name == R::TABLE) {
        for (held, _) in holdings.making_up(table) {
            rows.extend(rows_of::<R>(held)?);
        }
    }
    Ok(rows)
}

/// The rows of one holding's table of numbers; none if it has no such table.
///
/// # Errors
/// [`Error::NotCommitted`] if a part is damaged.
pub fn rows_of<R: Row>(held: &Holding) -> Result<Vec<R>> {
    rows_without(held, &[])
}

/// The same of a table of pictures, without the columns named, in which these are.
///
/// # Errors
/// [`Error::NotCommitted`] if a part is damaged.
pub fn rows_without<R: Row>(held: &Holding, pictures: &[&str]) -> Result<Vec<R>> {
    let Some(record) = held.artifact.record().tables.get(R::TABLE) else { return Ok(Vec::new()) };
    whole_parts(held, record)?;
    held.artifact.rows::<R>(pictures)?.collect()
}

/// A lazy scan of a table over all holdings; `None` if no stage has written it yet.
pub fn scan(holdings: &Holdings, table: &Declaration) -> Result<Option<LazyFrame>> {
    let mut scans = Vec::new();
    for (held, record) in holdings.making_up(table) {
        let values = [&held.experiment, &held.stage, held.artifact.record().key.short()];
        let added = ["experiment", "source_stage", "key"].into_iter().zip(values);
        let added = added.filter(|(name, _)| !has_column(table, name));
        let added: Vec<_> = added.map(|(name, value)| lit(value.to_owned()).alias(name)).collect();
        scans.push(scan_parts(held, record)?.with_columns(added));
    }
    match scans.len() {
        0 | 1 => Ok(scans.pop()),
        _ => concat(scans, UnionArgs::default()).map(counted).map(Some).map_err(|error| polars_error(&error)),
    }
}

/// A lazy scan of the table of one holding, as it is; `None` if it has no such table.
pub fn scan_of(held: &Holding, table: &str) -> Result<Option<LazyFrame>> {
    match held.artifact.record().tables.get(table) {
        Some(record) if !record.parts.is_empty() => scan_parts(held, record).map(Some),
        _ => Ok(None),
    }
}

/// Polars counts the rows of a union in 128 bits, which is a feature that costs minutes of build time, and fails
/// without it. It does not see the union through a map that changes nothing; filters and projections still pass.
fn counted(union: LazyFrame) -> LazyFrame {
    let transparent = OptFlags::PREDICATE_PUSHDOWN | OptFlags::PROJECTION_PUSHDOWN | OptFlags::STREAMING;
    union.map(Ok, transparent, None, Some("union"))
}

fn scan_parts(held: &Holding, record: &TableRecord) -> Result<LazyFrame> {
    let mut paths = Vec::new();
    for path in whole_parts(held, record)? {
        paths.push(PlRefPath::try_from_path(&path).map_err(|error| polars_error(&error))?);
    }
    let hive_options = HiveOptions { enabled: Some(false), ..HiveOptions::default() };
    let args = ScanArgsParquet { glob: false, hive_options, ..ScanArgsParquet::default() };
    LazyFrame::scan_parquet_files(paths.into_iter().collect(), args).map_err(|error| polars_error(&error))
}

/// The files of exactly the parts that the record lists, below the directory of the key: a link may move meanwhile.
fn whole_parts(held: &Holding, record: &TableRecord) -> Result<Vec<PathBuf>> {
    let link = held.artifact.dir();
    let dir = link.parent().unwrap_or(link).join(held.artifact.record().key.short());
    let mut paths = Vec::new();
    for part in &record.parts {
        let path = dir.join(&part.file);
        if part.bytes <= READ_BY_DIGEST && !part.matches(&dir)? {
            let path = path.display();
            return Err(Error::NotCommitted(format!(
                "{path}: is damaged (its digest differs); `camflow verify` sets it aside, `camflow run` computes it \
                 anew"
            )));
        }
        paths.push(std::path::absolute(&path).map_err(Error::io("find", &path))?);
    }
    Ok(paths)
}
