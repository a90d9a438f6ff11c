//! `camflow tables`: every table that a store may hold, with what its columns mean. Reads nothing.

use std::fmt::Write as _;
use std::io::Write;

use artifact::table::{Column, Declaration, declarations};
use artifact::{Error, Result};
use serde::Serialize;

use crate::text::{self, Table};

#[derive(Serialize)]
struct Described {
    table: &'static str,
    meaning: String,
    version: u32,
    /// The columns that name a row.
    key: &'static [&'static str],
    columns: Vec<Column>,
}

impl From<Declaration> for Described {
    fn from(declared: Declaration) -> Self {
        let columns = declared.columns();
        let Declaration { name, doc, version, key, .. } = declared;
        Self { table: name, meaning: doc, version, key, columns }
    }
}

/// Shows all tables, or one.
///
/// # Errors
/// [`Error::Config`] if there is no table of this name.
pub fn tables(name: Option<&str>, json: bool, out: &mut dyn Write) -> Result<()> {
    let mut all = declarations();
    if let Some(name) = name {
        let names = all.iter().map(|table| table.name).collect::<Vec<_>>().join(", ");
        all.retain(|table| table.name == name);
        if all.is_empty() {
            return Err(Error::Config(format!("there is no table '{name}'; there are {names}")));
        }
    }
    let all: Vec<_> = all.into_iter().map(Described::from).collect();
    if json {
        return text::emit_json(out, &all);
    }
    let mut shown = String::new();
    for Described { table, meaning, key, columns, .. } in all {
        // Writing into a string does not fail.
        let _ = writeln!(shown, "{table}: {meaning} One row for each {}.\n", key.join(", "));
        let mut rows = Table::new(&["  column", "type", "meaning"]);
        for Column { name, kind, doc } in columns {
            rows.row([format!("  {name}"), kind, doc]);
        }
        let _ = writeln!(shown, "{rows}");
    }
    text::emit(out, shown.trim_end_matches('\n')).and_then(|()| text::emit(out, "\n"))
}
