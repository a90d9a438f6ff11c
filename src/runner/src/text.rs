//! What people read and write: tables on a terminal, sizes, times, numbers. Writes to a command's output.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::time::Duration;

use artifact::store::Accepted;
use artifact::{Error, Result};
use bytesize::ByteSize;
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

/// A size in bytes for people, in units of 1024.
pub(crate) fn bytes(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
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

/// A time for people, as in `340ms`, `1m 40s`, `3h 25m`, `2days 4h`: rounded to a unit that leaves two to three digits.
pub(crate) fn duration(seconds: f64) -> String {
    let unit = match seconds {
        seconds if seconds < 1.0 => 0.001,
        seconds if seconds < 600.0 => 1.0,
        seconds if seconds < 86_400.0 => 60.0,
        _ => 3600.0,
    };
    let rounded = Duration::try_from_secs_f64((seconds / unit).round() * unit).unwrap_or_default();
    humantime::format_duration(rounded).to_string()
}

/// A size on the command line: `500M`, `1.5G` and `20GiB` are in units of 1024, `500MB` is in units of 1000.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    // A letter alone is the binary unit, as it is for `du`.
    let binary = text.ends_with(['k', 'K', 'm', 'M', 'g', 'G', 't', 'T']);
    let size = format!("{text}{}", if binary { "iB" } else { "" }).parse::<ByteSize>();
    size.map(|size| size.as_u64()).map_err(|_| "expected a size, as in 500M, 20G or 1.5T".into())
}

/// A time on the command line: `30m`, `12h`, `7d`, `1h 30m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a time, as in 30m, 12h, 7d or 2w".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown_in_units_of_1024_unless_they_say_otherwise() {
        let sizes = [("0", 0), ("500", 500), ("1K", 1 << 10), ("1.5m", 3 << 19), ("20 GiB", 20 << 30), ("1T", 1 << 40)];
        for (text, size) in sizes.into_iter().chain([("2MB", 2_000_000), ("7B", 7)]) {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for text in ["", "much", "-1", "1.5.5M", "1X", "M", "nan", "1e3"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        for (size, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn times_are_read_in_their_units_and_shown_short() {
        for (text, seconds) in
            [("0s", 0), ("30m", 1800), ("1.5h", 5400), ("1h 30min", 5400), ("7d", 604_800), ("2w", 1_209_600)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "7", "5 parsecs", "-1h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        let shown = [
            (0.0, "0s"),
            (0.3402, "340ms"),
            (99.7, "1m 40s"),
            (3599.0, "1h"),
            (12_310.0, "3h 25m"),
            (187_900.0, "2days 4h"),
        ];
        for (seconds, text) in shown {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn a_table_has_columns_of_the_width_of_their_content_and_no_spaces_at_its_ends() {
        let mut table = Table::new(&["stage", "", "why"]);
        table.row(["évaluate", "1", ""]);
        table.row(["a", "", "first  run"]);
        assert_eq!(table.to_string(), "stage        why\névaluate  1\na            first  run\n");
    }
}
