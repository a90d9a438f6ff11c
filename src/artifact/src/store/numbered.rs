//! Rows of a table by their number, read from its Parquet files when they are asked for: memory holds one row, not the
//! table.

use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;

use super::rows::{check_columns, damaged, mask};
use crate::{Error, Result, Row};

/// The rows of a table by number, from 0, in the order in which they were written. Any number of threads may ask.
///
/// Where the table says that a column holds encoded files, a row costs the reading of its own bytes, elsewhere that of
/// its row group.
pub struct NumberedRows<R> {
    reader: Reader,
    row: PhantomData<fn() -> R>,
}

impl<R: Row> NumberedRows<R> {
    pub(super) fn open(parts: impl IntoIterator<Item = PathBuf>, columns: &[&str]) -> Result<Self> {
        Ok(Self { reader: Reader::open(parts, R::schema(), columns)?, row: PhantomData })
    }

    /// The row of a number, with the columns that were asked for.
    pub fn get(&self, number: usize) -> Result<R> {
        self.reader.batch(number).map(|batch| R::from_batch(&batch, 0))
    }
}

/// The side of [`NumberedRows`] that knows no row type: Parquet's code is compiled here once, not in every binary.
struct Reader {
    parts: Vec<OpenPart>,
    schema: SchemaRef,
    columns: Vec<String>,
}

/// A part with its footer, which says where each row group and page lies.
struct OpenPart {
    path: PathBuf,
    /// Number of its first row.
    first: usize,
    /// Number of the first row of each row group, counted from the part's first.
    groups: Vec<usize>,
    metadata: ArrowReaderMetadata,
}

impl Reader {
    fn open(parts: impl IntoIterator<Item = PathBuf>, schema: SchemaRef, columns: &[&str]) -> Result<Self> {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        let (mut opened, mut first) = (Vec::new(), 0);
        for path in parts {
            let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
            let file = File::open(&path).map_err(Error::io("open", &path))?;
            let metadata = ArrowReaderMetadata::load(&file, options).map_err(damaged(&path))?;
            check_columns(&schema, metadata.schema()).map_err(damaged(&path))?;
            let (mut rows, mut groups) = (0, Vec::new());
            for group in metadata.metadata().row_groups() {
                groups.push(rows);
                rows += group.num_rows() as usize;
            }
            opened.push(OpenPart { path, first, groups, metadata });
            first += rows;
        }
        Ok(Self { parts: opened, schema, columns })
    }

    /// One row as a batch.
    fn batch(&self, number: usize) -> Result<RecordBatch> {
        let part = self.parts.partition_point(|part| part.first <= number).checked_sub(1);
        let part = &self.parts[part.expect("a table with rows has a part")];
        part.read(number - part.first, &self.schema, &self.columns).map_err(|error| match error {
            ReadError::Open(error) => Error::NotCommitted(format!("{}: is damaged ({error})", part.path.display())),
            ReadError::Parquet(error) => damaged(&part.path)(error),
        })
    }
}

/// Why a row could not be read.
enum ReadError {
    Open(std::io::Error),
    Parquet(ParquetError),
}

impl From<ParquetError> for ReadError {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error)
    }
}

impl OpenPart {
    fn read(&self, row: usize, schema: &SchemaRef, columns: &[String]) -> Result<RecordBatch, ReadError> {
        // Each read has a file of its own: one position is not shared by threads.
        let file = open(&self.path)?;
        let group = self.groups.partition_point(|first| *first <= row).saturating_sub(1);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let projection = mask(schema, columns, builder.parquet_schema());
        let selection = RowSelection::from(vec![
            RowSelector::skip(row - self.groups.get(group).copied().unwrap_or_default()),
            RowSelector::select(1),
        ]);
        let builder = builder.with_row_groups(vec![group]).with_row_selection(selection);
        let batch = builder.with_projection(projection).with_batch_size(1).build()?.next();
        let batch = batch.transpose().map_err(ParquetError::from)?;
        batch.ok_or_else(|| ReadError::Parquet(ParquetError::General(format!("row {row} is missing"))))
    }
}

fn open(path: &Path) -> Result<File, ReadError> {
    File::open(path).map_err(ReadError::Open)
}
