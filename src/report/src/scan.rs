//! The tables as Polars scans them. Polars says which columns and rows it wants, and gets them from the reader of the
//! stages' own tables: its own Parquet reader would bring an object store, an HTTP client and TLS.
//!
//! Reads the Parquet parts that an artifact's record lists, row group after row group; writes nothing. Of rows that a
//! statement does not want only those columns are decoded that tell.

use std::any::Any;
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use artifact::store::Filter;
use artifact::table::Declaration;
use artifact::{Artifact, Result};
use polars::error::PolarsResult;
use polars::prelude::{
    AnonymousScan, AnonymousScanArgs, Column, DataFrame, DataType, Expr, IntoLazy as _, LazyFrame, PlSmallStr, Scalar,
    ScanArgsAnonymous, Schema, SchemaRef, lit,
};

use crate::columns::{series, store_error};
use crate::holdings::Holdings;
use crate::polars_error;
use crate::tables::{ADDED, has_column, whole_parts};

/// A table over all holdings as a lazy frame; `None` if no stage has written it yet.
///
/// # Errors
/// [`artifact::Error::NotCommitted`] if a part is damaged.
pub fn scan(holdings: &Holdings, table: &Declaration) -> Result<Option<LazyFrame>> {
    let mut sources = Vec::new();
    for (held, record) in holdings.making_up(table) {
        whole_parts(held, record)?;
        let added = [&held.experiment, &held.stage, held.artifact.record().key.short()].map(str::to_owned);
        sources.push(Source { artifact: held.artifact.clone(), added });
    }
    if sources.is_empty() {
        return Ok(None);
    }
    let scan = Scan { table: table.clone(), sources };
    let schema = scan.schema(None).map_err(|error| polars_error(&error))?;
    let args = ScanArgsAnonymous { schema: Some(schema), name: table.name, ..ScanArgsAnonymous::default() };
    LazyFrame::anonymous_scan(Arc::new(scan), args).map(Some).map_err(|error| polars_error(&error))
}

/// One artifact that has the table, and the values of the added columns.
struct Source {
    artifact: Artifact,
    added: [String; ADDED.len()],
}

/// A table over several artifacts.
struct Scan {
    table: Declaration,
    sources: Vec<Source>,
}

impl AnonymousScan for Scan {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn schema(&self, _: Option<usize>) -> PolarsResult<SchemaRef> {
        let mut schema = Schema::default();
        for field in self.table.schema.fields() {
            let empty = series(field.name(), &arrow_array::new_empty_array(field.data_type()))?;
            schema.with_column(field.name().as_str().into(), empty.dtype().clone());
        }
        for (name, _) in ADDED.into_iter().filter(|(name, _)| !has_column(&self.table, name)) {
            schema.with_column(name.into(), DataType::String);
        }
        Ok(Arc::new(schema))
    }

    fn allows_predicate_pushdown(&self) -> bool {
        true
    }

    fn allows_projection_pushdown(&self) -> bool {
        true
    }

    fn scan(&self, args: AnonymousScanArgs) -> PolarsResult<DataFrame> {
        let predicate = args.predicate.clone().map(evaluable);
        let wanted: Vec<PlSmallStr> =
            args.with_columns.map_or_else(|| args.schema.iter_names_cloned().collect(), |names| names.to_vec());
        let read: Vec<PlSmallStr> = wanted.iter().cloned().chain(predicate.iter().flat_map(leaves)).collect();
        let chosen = |frame: DataFrame| match &predicate {
            Some(predicate) => frame.lazy().filter(predicate.clone()).collect()?.select(wanted.iter().cloned()),
            None => frame.select(wanted.iter().cloned()),
        };
        // A limit is one of rows before the predicate.
        let early = predicate.as_ref().filter(|_| args.n_rows.is_none());
        let mut all: Option<DataFrame> = None;
        'sources: for source in &self.sources {
            for frame in self.frames(source, &read, early) {
                let frame = if args.n_rows.is_none() { chosen(frame?)? } else { frame? };
                match &mut all {
                    Some(all) => drop(all.vstack_mut(&frame)?),
                    None => all = Some(frame),
                }
                if args.n_rows.is_some_and(|rows| all.as_ref().is_some_and(|all| all.height() >= rows)) {
                    break 'sources;
                }
            }
        }
        match (all, args.n_rows) {
            (Some(all), Some(rows)) => chosen(all.head(Some(rows))),
            (Some(all), None) => Ok(all),
            (None, _) => DataFrame::empty_with_schema(&args.schema).select(wanted.iter().cloned()),
        }
    }
}

impl Scan {
    /// The columns `read` of one artifact, a frame a row group; of rows that the predicate cannot want, none.
    fn frames(
        &self,
        source: &Source,
        read: &[PlSmallStr],
        predicate: Option<&Expr>,
    ) -> impl Iterator<Item = PolarsResult<DataFrame>> {
        let own: Vec<&str> = read.iter().map(PlSmallStr::as_str).filter(|name| has_column(&self.table, name)).collect();
        let batches = source.artifact.batches(&self.table, &own);
        let batches = batches.map(|batches| match predicate.and_then(|predicate| self.filter(predicate)) {
            Some(filter) => batches.filtered(filter),
            None => batches,
        });
        let added = ADDED.into_iter().zip(&source.added).filter(|((name, _), _)| read.iter().any(|read| read == name));
        let added: Vec<_> = added.filter(|((name, _), _)| !has_column(&self.table, name)).collect();
        batches.into_iter().flatten().map(move |batch| {
            let batch = batch.map_err(store_error)?;
            let mut frame = frame(&batch)?;
            for ((name, _), value) in &added {
                let value = Scalar::from(PlSmallStr::from(value.as_str()));
                frame.with_column(Column::new_scalar((*name).into(), value, batch.num_rows()))?;
            }
            Ok(frame)
        })
    }

    /// The predicate as a filter of the reader, if it is about columns of the table itself. A row for which it cannot
    /// be told is wanted: Polars sees it once more, and says what is wrong.
    fn filter(&self, predicate: &Expr) -> Option<Filter> {
        let columns: Vec<String> = leaves(predicate).map(|name| name.to_string()).collect();
        if columns.is_empty() || !columns.iter().all(|name| has_column(&self.table, name)) {
            return None;
        }
        let predicate = predicate.clone();
        let wants = move |batch: &RecordBatch| {
            let told = || -> Option<BooleanArray> {
                let told = frame(batch).ok()?.lazy().select([predicate.clone().alias("wanted")]).collect().ok()?;
                let told = told.column("wanted").ok()?.bool().ok()?;
                (told.len() == batch.num_rows()).then(|| told.iter().map(|wanted| Some(wanted == Some(true))).collect())
            };
            told().unwrap_or_else(|| vec![true; batch.num_rows()].into())
        };
        Some(Filter { columns, wants: Arc::new(wants), values: None })
    }
}

/// A predicate as it can be evaluated here. For `order by … limit` Polars adds one that changes while it sorts and that
/// nobody else can evaluate; it only saves rows that the sort drops anyway.
fn evaluable(predicate: Expr) -> Expr {
    predicate.map_expr(|part| if matches!(part, Expr::Display { .. }) { lit(true) } else { part })
}

/// The columns that an expression reads.
fn leaves(expression: &Expr) -> impl Iterator<Item = PlSmallStr> {
    expression.into_iter().filter_map(|part| match part {
        Expr::Column(name) => Some(name.clone()),
        _ => None,
    })
}

fn frame(batch: &RecordBatch) -> PolarsResult<DataFrame> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, array)| Ok(Column::from(series(field.name(), array)?)));
    DataFrame::new(batch.num_rows(), columns.collect::<PolarsResult<Vec<_>>>()?)
}
