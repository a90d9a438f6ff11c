//! Reading a table back from its Parquet files: rows of its type, or Arrow batches of some of its columns.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::marker::PhantomData;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array as _, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{FieldRef, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowFilter,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::schema::types::SchemaDescriptor;

use crate::{Error, Result, Row};

/// Which rows are wanted. Of the others only the filter's own columns are decoded.
#[derive(Clone)]
pub struct Filter {
    /// The columns that tell.
    pub columns: Vec<String>,
    /// Says it of each row of a batch of these columns.
    pub wants: Arc<dyn Fn(&RecordBatch) -> BooleanArray + Send + Sync>,
    /// The values of the only column that are wanted, where the filter is a list of them: row groups without any are
    /// not read at all.
    pub values: Option<BTreeSet<String>>,
}

impl Filter {
    /// The rows in which a column of text has one of some values.
    pub fn one_of(column: &str, values: BTreeSet<String>) -> Self {
        let among = values.clone();
        let wants = move |batch: &RecordBatch| {
            let texts = batch.column(0).as_any().downcast_ref::<StringArray>().expect("the column is text");
            texts.iter().map(|text| Some(text.is_some_and(|text| among.contains(text)))).collect()
        };
        Self { columns: vec![column.to_owned()], wants: Arc::new(wants), values: Some(values) }
    }

    /// May a row group hold wanted rows, by the least and largest value that Parquet keeps of its columns?
    fn may_want(&self, group: &RowGroupMetaData) -> bool {
        let column = group.columns().iter().find(|column| column.column_path().string() == self.columns[0]);
        let statistics = column.and_then(|column| column.statistics());
        let bounds = statistics.and_then(|known| Some((known.min_bytes_opt()?, known.max_bytes_opt()?)));
        let text = |bytes| std::str::from_utf8(bytes).ok();
        match (&self.values, bounds.and_then(|(least, largest)| Some((text(least)?, text(largest)?)))) {
            (Some(values), Some((least, largest))) if least <= largest => {
                values.range::<str, _>((Bound::Included(least), Bound::Included(largest))).next().is_some()
            }
            _ => true,
        }
    }
}

/// The rows of a table, part after part, decoded as they are asked for.
pub struct Rows<R> {
    batches: Batches,
    batch: Option<RecordBatch>,
    next: usize,
    row: PhantomData<R>,
}

impl<R: Row> Rows<R> {
    pub(super) fn new(parts: VecDeque<PathBuf>, without: &[&str]) -> Self {
        let schema = R::schema();
        let kept = schema.fields().iter().map(|field| field.name().as_str());
        let kept: Vec<_> = kept.filter(|name| !without.contains(name)).collect();
        Self { batches: Batches::new(parts, schema.clone(), &kept), batch: None, next: 0, row: PhantomData }
    }

    /// Those of the rows that a filter wants.
    #[must_use]
    pub fn filtered(self, filter: Filter) -> Self {
        Self { batches: self.batches.filtered(filter), ..self }
    }
}

impl<R: Row> Iterator for Rows<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.next < batch.num_rows()) {
                self.next += 1;
                return Some(Ok(R::from_batch(batch, self.next - 1)));
            }
            self.next = 0;
            match self.batches.next()? {
                Ok(batch) => self.batch = Some(batch),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// A table as Arrow batches, part after part. Knows no row type, so that Parquet's code is compiled here once.
pub struct Batches {
    parts: VecDeque<PathBuf>,
    schema: SchemaRef,
    columns: Vec<String>,
    filter: Option<Filter>,
    current: Option<(PathBuf, ParquetRecordBatchReader)>,
}

impl Batches {
    /// Some columns of a table, in the order in which it has them.
    pub(super) fn new(parts: VecDeque<PathBuf>, schema: SchemaRef, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        Self { parts, schema, columns, filter: None, current: None }
    }

    /// Those of the rows that a filter wants.
    #[must_use]
    pub fn filtered(self, filter: Filter) -> Self {
        Self { filter: Some(filter), ..self }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some((path, reader)) = &mut self.current {
                match reader.next() {
                    Some(batch) => return batch.map(Some).map_err(|error| damaged(path)(error.into())),
                    None => self.current = None,
                }
            }
            let Some(path) = self.parts.pop_front() else { return Ok(None) };
            self.current = Some((path.clone(), self.open(&path)?));
        }
    }

    fn open(&self, path: &Path) -> Result<ParquetRecordBatchReader> {
        let damaged = damaged(path);
        let file = File::open(path).map_err(Error::io("open", path))?;
        // Where pages begin is of use only if some are left out.
        let pages = if self.filter.is_some() { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
        let options = ArrowReaderOptions::new().with_page_index_policy(pages);
        let mut builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(&damaged)?;
        check_columns(&self.schema, builder.schema()).map_err(&damaged)?;
        let mask = |columns: &[String]| mask(&self.schema, columns, builder.parquet_schema());
        let projection = mask(&self.columns);
        if let Some(filter) = self.filter.clone() {
            let groups = builder.metadata().row_groups().iter().enumerate();
            let wanted = groups.filter(|(_, group)| filter.may_want(group)).map(|(index, _)| index).collect();
            let predicate = ArrowPredicateFn::new(mask(&filter.columns), move |batch| Ok((filter.wants)(&batch)));
            builder = builder.with_row_groups(wanted).with_row_filter(RowFilter::new(vec![Box::new(predicate)]));
        }
        // A row group at a time: it is small where cells are large.
        let rows = builder.metadata().row_groups().first().map_or(1, |group| group.num_rows().max(1));
        builder.with_projection(projection).with_batch_size(rows as usize).build().map_err(damaged)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

/// Refuses a file whose columns are not those of the table.
pub(super) fn check_columns(expected: &SchemaRef, found: &SchemaRef) -> Result<(), ParquetError> {
    let (expected, found) = (expected.fields(), found.fields());
    let same = |(a, b): (&FieldRef, &FieldRef)| a.name() == b.name() && a.data_type() == b.data_type();
    if expected.len() == found.len() && expected.iter().zip(found).all(same) {
        return Ok(());
    }
    Err(ParquetError::General("its columns are not those of this version of the table".to_owned()))
}

/// These columns of a table's file.
pub(super) fn mask(schema: &SchemaRef, columns: &[String], file: &SchemaDescriptor) -> ProjectionMask {
    let kept = schema.fields().iter().enumerate().filter(|(_, field)| columns.contains(field.name()));
    ProjectionMask::roots(file, kept.map(|(index, _)| index))
}

pub(super) fn damaged(path: &Path) -> impl Fn(ParquetError) -> Error + use<> {
    let path = path.display().to_string();
    move |error| Error::NotCommitted(format!("{path}: is damaged ({error})"))
}
