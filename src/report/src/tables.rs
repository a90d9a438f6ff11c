//! The tables of a store: what their columns are, and their rows.
//!
//! A table is the union over the holdings that have it. Reads the Parquet parts that an artifact's record lists; writes
//! nothing.

use artifact::store::{Filter, TableRecord};
use artifact::table::{Column, Declaration, declarations};
use artifact::{Error, Result, Row};

use crate::holdings::{Holding, Holdings};

/// Parts up to this size, which are all that hold numbers, are read only if their digest holds. Larger ones hold
/// pictures, of which a query reads a few: `camflow verify` reads them whole.
const READ_BY_DIGEST: u64 = 16 << 20;

/// The columns that every table has in SQL besides its own, with what they mean.
pub(crate) const ADDED: [(&str, &str); 3] = [
    ("experiment", "Experiment whose link leads to the artifact."),
    ("source_stage", "Stage that wrote the artifact."),
    ("key", "Key of the artifact, the name of its directory."),
];

/// The columns of a table in SQL: its own, then those that say which experiment, stage and artifact a row comes from.
pub fn columns(table: &Declaration) -> Vec<Column> {
    let added = ADDED.into_iter().filter(|(name, _)| !has_column(table, name));
    let added = added.map(|(name, doc)| Column { name: name.into(), kind: "Utf8".into(), doc: doc.into() });
    table.columns().into_iter().chain(added).collect()
}

pub(crate) fn has_column(table: &Declaration, name: &str) -> bool {
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

/// The rows of a table of pictures that are about some images. Only their pictures are read.
///
/// # Errors
/// [`Error::NotCommitted`] if a part is damaged.
pub(crate) fn rows_of_images<R: Row>(held: &Holding, ids: &[String]) -> Result<Vec<R>> {
    let Some(record) = held.artifact.record().tables.get(R::TABLE) else { return Ok(Vec::new()) };
    whole_parts(held, record)?;
    let filter = Filter::one_of("image_id", ids.iter().cloned().collect());
    held.artifact.rows::<R>(&[])?.filtered(filter).collect()
}

/// Refuses a table with a damaged part, as far as that is told by reading little.
pub(crate) fn whole_parts(held: &Holding, record: &TableRecord) -> Result<()> {
    let dir = held.artifact.dir();
    for part in &record.parts {
        if part.bytes <= READ_BY_DIGEST && !part.matches(dir)? {
            let path = dir.join(&part.file);
            return Err(Error::NotCommitted(format!(
                "{}: is damaged (its digest differs); `camflow verify` sets it aside, `camflow run` computes it anew",
                path.display()
            )));
        }
    }
    Ok(())
}
