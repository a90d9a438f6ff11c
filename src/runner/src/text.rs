//! What people read: tables on a terminal, numbers, instants. Writes to a command's output.

use std::fmt;
use std::io::{ErrorKind, Write};

use artifact::store::Accepted;
use artifact::{Error, Result};
use comfy_table::presets;
use serde::Serialize;
use serde_json::Value;

/// Columns as wide as their widest cell, two spaces between them, no lines.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    pub fn new(header: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_header(header);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self(table)
    }

    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.0.add_row(cells.into_iter().map(Into::into).collect::<Vec<String>>());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.0.trim_fmt())
    }
}

/// Writes to the command's output. A reader that has gone away (`camflow status | head`) is no failure.
pub fn emit(out: &mut dyn Write, text: &str) -> Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Io { action: "cannot write the output".into(), source: error })
        }
        _ => Ok(()),
    }
}

/// Writes a value as JSON.
pub(crate) fn emit_json(out: &mut dyn Write, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("answers are JSON");
    emit(out, &format!("{text}\n"))
}

/// A metric, with the digits that one compares.
pub(crate) fn number(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => format!("{:.4}", number.as_f64().unwrap_or_default()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Seconds, with the digits that matter.
pub(crate) fn seconds(seconds: f64) -> String {
    format!("{seconds:.1}")
}

/// An instant of RFC 3339 to the second.
pub(crate) fn instant(time: &str) -> String {
    time.split('.').next().unwrap_or_default().trim_end_matches('Z').replace('T', " ")
}

/// That an artifact was taken over from an earlier version of its stage.
pub(crate) fn accepted(edge: &Accepted) -> String {
    let Accepted { from, version, reason, at, by } = edge;
    format!("accepted from {from} (version {version}) by {by} at {}: {reason}", instant(at))
}

/// Who gives the command.
pub(crate) fn user() -> String {
    std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_columns_of_the_width_of_their_content_and_no_spaces_at_its_ends() {
        let mut table = Table::new(&["stage", "", "why"]);
        table.row(["évaluate", "1", ""]);
        table.row(["a", "", "first  run"]);
        assert_eq!(table.to_string(), "stage        why\névaluate  1\na            first  run\n");
    }
}
