//! SQL over the tables of a store.

use std::collections::BTreeSet;
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
            Error::Config(message) => Error::Config(mistake(holdings, sql, first_line(&message))),
            other => other,
        }),
        None => Err(Error::Config(mistake(holdings, sql, "Polars cannot run this statement"))),
    }
}

/// What Polars says before it lists plans and schemas.
fn first_line(message: &str) -> &str {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.split("; valid columns:").next().unwrap_or(line).trim_end_matches([':', ' '])
}

/// Some statements that Polars does not know end in a panic there; a user's mistake shall not look like one of ours.
fn quietly<T>(run: impl FnOnce() -> PolarsResult<T>) -> Option<PolarsResult<T>> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(run));
    std::panic::set_hook(hook);
    result.ok()
}

/// One line: what is wrong, the nearest name, and the columns of the tables that the statement names, or else the
/// tables.
fn mistake(holdings: &Holdings, sql: &str, what: &str) -> String {
    let words = words(sql);
    let (known, unwritten): (Vec<_>, Vec<_>) =
        declarations().into_iter().partition(|table| holdings.of_table(table.name).next().is_some());
    let columns = |table: &Declaration| tables::columns(table).into_iter().map(|column| column.name);
    let named: Vec<_> = known.iter().filter(|table| words.contains(table.name)).collect();
    let names = known.iter().map(|table| table.name.to_owned()).chain(named.iter().flat_map(|table| columns(table)));
    let near = nearest(&words, what, &names.collect()).map(|name| format!(" (did you mean '{name}'?)"));
    let mut parts = vec![format!("{what}{}", near.unwrap_or_default())];
    if let Some(missing) = unwritten.iter().find(|table| words.contains(table.name)) {
        parts.push(format!("table '{}' has no rows yet: no committed stage has written it", missing.name));
    }
    for table in &named {
        parts.push(format!("table '{}' has the columns {}", table.name, columns(table).collect::<Vec<_>>().join(", ")));
    }
    if named.is_empty() {
        let names: Vec<_> = known.iter().map(|table| table.name).collect();
        parts.push(format!("the store has the tables {}; `camflow query --tables` describes them", names.join(", ")));
    }
    parts.join("; ")
}

fn words(text: &str) -> BTreeSet<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect()
}

/// The known name that is nearest to a word of the statement which the error message names, if one is near.
fn nearest(of_statement: &BTreeSet<String>, message: &str, names: &BTreeSet<String>) -> Option<String> {
    let of_message = words(message);
    let blamed = of_statement.iter().filter(|word| of_message.contains(*word) && !names.contains(*word));
    let near = blamed.flat_map(|word| {
        let distance = move |name: &String| (strsim::damerau_levenshtein(word, name), name.clone());
        names.iter().map(distance).filter(|(distance, name)| *distance <= word.len().min(name.len()).div_ceil(3))
    });
    near.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_that_of_the_word_which_is_blamed() {
        let names: BTreeSet<_> = ["miou", "stage", "split", "score"].map(str::to_owned).into();
        let near = |sql: &str, message: &str| nearest(&words(sql), message, &names);
        assert_eq!(near("select miuo from score", "unable to find column \"miuo\""), Some("miou".into()));
        assert_eq!(near("select stag, Splitt from score", "column 'Splitt'"), Some("split".into()));
        assert_eq!(near("select humidity from score", "column 'humidity'"), None);
        assert_eq!(near("select stage from score", "stage and score"), None);
    }

    #[test]
    fn of_a_long_message_the_first_line_stays() {
        let said =
            "unable to find column \"miuo\"; valid columns: [\"a\", \"b\"]\n\nResolved plan until failure:\n\n\tDF";
        assert_eq!(first_line(said), "unable to find column \"miuo\"");
    }
}
