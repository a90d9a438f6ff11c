//! Sizes and times as people read and write them.

use std::time::Duration;

use bytesize::ByteSize;

/// A size in bytes, in the unit of 1024 that suits it: `3.4 MiB`.
pub fn bytes(size: u64) -> String {
    ByteSize(size).display().iec().to_string()
}

/// A time for people, as in `340ms`, `1m 40s`, `3h 25m`, `2days 4h`: rounded to a unit that leaves two to three digits.
pub fn duration(seconds: f64) -> String {
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
pub fn parse_bytes(text: &str) -> Result<u64, String> {
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
            assert_eq!(parse_bytes(text), Ok(size), "{text}");
        }
        for text in ["", "much", "-1", "1.5.5M", "1X", "M", "nan", "1e3"] {
            assert!(parse_bytes(text).is_err(), "{text}");
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
}
