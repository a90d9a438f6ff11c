//! What people read: Polars SQL over the tables of a store, and the report as one HTML file. No torch here.
//!
//! ```text
//! holdings  which artifacts the store holds, and under which names
//! tables    the rows of the holdings' tables
//! scan      the tables as Polars scans them (columns: between arrow-rs and Polars)
//! query     SQL over the tables
//! output    an answer as table, CSV, JSON or Parquet
//! bootstrap the interval of a mean IoU, over images
//! paper     the paper's tables, with the runs of the store beside them
//! page      the report: scores, curves, pictures, provenance
//! text      numbers and tables as people read them
//! ```
//!
//! The program `camflow-report` (`main`, with its command lines in `cli`) is `camflow query` and `camflow report`.

mod bootstrap;
mod columns;
pub mod holdings;
pub mod output;
pub mod page;
pub mod paper;
pub mod query;
mod scan;
pub mod tables;
pub mod text;

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
