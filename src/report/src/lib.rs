//! What people read: Polars SQL over the tables of a store, and the report as one HTML file. No torch here.
//!
//! ```text
//! catalog   which tables the store holds, and their lazy scans
//! query     SQL over the catalog (output: as table, CSV, JSON, Parquet)
//! frame     typed reading of what a query gave
//! paper     the paper's tables, with the runs of the store beside them
//! page      the report: score tables, curves, pictures, provenance
//! ```

pub mod catalog;
mod frame;
pub mod output;
pub mod page;
pub mod paper;
pub mod query;

use artifact::Error;
use polars::error::PolarsError;

/// A failure inside polars: a file that cannot be read is a damaged store, anything else is a wrong question.
pub(crate) fn polars_error(error: &PolarsError) -> Error {
    let message = error.to_string();
    match error {
        PolarsError::Context { error, .. } | PolarsError::ExprContext { error, .. } => polars_error(error),
        PolarsError::IO { .. } => Error::NotCommitted(format!("cannot read the store: {message}")),
        PolarsError::ComputeError(_) if message.starts_with("parquet") => {
            Error::NotCommitted(format!("a file of the store is damaged: {message}; `camflow verify` names it"))
        }
        _ => Error::Config(message),
    }
}
