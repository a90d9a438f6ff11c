//! SQL over the tables of a store.

use std::panic::{AssertUnwindSafe, catch_unwind};

use artifact::table::{Declaration, declarations};
use artifact::{Error, Result};
use polars::prelude::{DataFrame, PolarsResult};
use polars::sql::SQLContext;

use crate::holdings::Holdings;
use crate::scan::scan;
use crate::{polars_error, tables};

/// Runs one SQL statement. A wrong statement gives an error that names the tables or columns there are.
pub fn run(holdings: &Holdings, sql: &str) -> Result<DataFrame> {
    let mut context = SQLContext::new();
    for table in declarations() {
        if let Some(scan) = scan(holdings, &table)? {
            context.register(table.name, scan);
        }
    }
    match quietly(|| context.execute(sql).and_then(polars::prelude::LazyFrame::collect)) {
        Some(Ok(frame)) => Ok(frame),
        Some(Err(error)) => Err(match polars_error(&error) {
            Error::Config(message) => Error::Config(format!("{message}\n{}", help(holdings, sql))),
            other => other,
        }),
        None => Err(Error::Config(format!("Polars cannot run this statement: {sql}\n{}", help(holdings, sql)))),
    }
}

/// Some statements that Polars does not know end in a panic there; a user's mistake shall not look like one of ours.
fn quietly<T>(run: impl FnOnce() -> PolarsResult<T>) -> Option<PolarsResult<T>> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(run));
    std::panic::set_hook(hook);
    result.ok()
}

/// What would have been right: the columns of the tables that the statement names, or else the tables.
fn help(holdings: &Holdings, sql: &str) -> String {
    let lower = sql.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let (known, unwritten): (Vec<_>, Vec<_>) =
        declarations().into_iter().partition(|table| holdings.of_table(table.name).next().is_some());
    let named = |tables: &[Declaration]| -> Vec<String> {
        tables.iter().filter(|table| words.contains(&table.name)).map(|table| table.name.to_owned()).collect()
    };
    let mut lines = Vec::new();
    if let [missing, ..] = named(&unwritten).as_slice() {
        lines.push(format!("table '{missing}' has no rows yet: no committed stage has written it"));
    }
    for table in known.iter().filter(|table| words.contains(&table.name)) {
        let columns: Vec<_> = tables::columns(table).into_iter().map(|column| column.name).collect();
        lines.push(format!("table '{}' has the columns {}", table.name, columns.join(", ")));
    }
    if named(&known).is_empty() {
        let names: Vec<_> = known.iter().map(|table| table.name).collect();
        lines.push(format!("the store has the tables {}; `camflow query --tables` describes them", names.join(", ")));
    }
    lines.join("\n")
}
