//! Timing, and one line of the table.

use std::time::{Instant, SystemTime};

use artifact::table::BenchRow;
use serde_json::Value;

use crate::child::Child;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Milliseconds,
    /// 10^6 bytes.
    Megabytes,
    /// 10^9 floating-point operations a second: more is better.
    Gigaflops,
}

impl Unit {
    /// As the table names it.
    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Megabytes => "MB",
            Self::Gigaflops => "GFLOP/s",
        }
    }

    /// Seconds, bytes or operations a second in this unit.
    fn of(self, plain: f64) -> f64 {
        match self {
            Self::Seconds => plain,
            Self::Milliseconds => plain * 1e3,
            Self::Megabytes => plain / 1e6,
            Self::Gigaflops => plain / 1e9,
        }
    }
}

/// How far two answers may be apart, and how far they are.
#[derive(Clone, Copy, Debug)]
pub struct Agreement {
    pub difference: f64,
    pub allowed: f64,
}

/// One line of the table. Numbers are plain: seconds, bytes, operations a second.
#[derive(Clone, Debug)]
pub struct Measurement<'a> {
    pub what: &'a str,
    pub setting: &'a str,
    pub unit: Unit,
    pub ours: f64,
    pub peer: &'a str,
    /// What the peer takes, or why it is not there.
    pub theirs: Result<f64, String>,
    /// The least ratio that is wanted.
    pub wanted: Option<f64>,
    pub agreement: Option<Agreement>,
    pub threads: usize,
}

/// The run of the benchmarks: where their lines go.
#[derive(Default)]
pub struct Bench {
    benchmark: &'static str,
    rows: Vec<BenchRow>,
    failures: Vec<String>,
}

impl Bench {
    /// The benchmark whose lines follow.
    pub fn begin(&mut self, benchmark: &'static str) {
        self.benchmark = benchmark;
    }

    /// Work of this program in a child process.
    pub fn ours(&self, task: &Value, threads: usize) -> Child {
        Child::ours(self.benchmark, task, threads)
    }

    /// Adds a line, and prints it. Answers that are too far apart fail the run at its end.
    pub fn add(&mut self, measurement: Measurement<'_>) {
        let Measurement { what, setting, unit, ours, peer, theirs, wanted, agreement, threads } = measurement;
        let better = |theirs: f64| if unit == Unit::Gigaflops { ours / theirs } else { theirs / ours };
        let row = BenchRow {
            benchmark: self.benchmark.into(),
            what: what.into(),
            setting: setting.into(),
            unit: unit.name().into(),
            ours: unit.of(ours),
            peer: peer.into(),
            theirs: theirs.as_ref().ok().map(|theirs| unit.of(*theirs)),
            ratio: theirs.as_ref().ok().map(|theirs| better(*theirs)),
            wanted,
            difference: agreement.map(|agreement| agreement.difference),
            allowed: agreement.map(|agreement| agreement.allowed),
            missing: theirs.err().unwrap_or_default(),
            threads: threads as u32,
            time: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            ..BenchRow::default()
        };
        // A difference that is no number is too large.
        if let Some(Agreement { difference, allowed }) = agreement
            && !matches!(difference.partial_cmp(&allowed), Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal))
        {
            self.failures
                .push(format!("{what}, {setting}: the answers differ by {difference:.1e}, above {allowed:.1e}"));
        }
        println!("{}", line(&row));
        self.rows.push(row);
    }

    /// What went wrong so far.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The lines.
    pub fn into_rows(self) -> Vec<BenchRow> {
        self.rows
    }
}

/// A row for the terminal.
fn line(row: &BenchRow) -> String {
    let what = format!("{}, {}", row.what, row.setting);
    let theirs = match (row.theirs, row.ratio) {
        (Some(theirs), Some(ratio)) => format!("{:32} {theirs:10.1} {}   {ratio:7.2} x", row.peer, row.unit),
        _ => format!("{} is not there: {}", row.peer, row.missing),
    };
    format!("{what:64} {:10.1} {}   {theirs}", row.ours, row.unit)
}

/// Seconds of one call.
pub fn seconds(call: impl FnOnce()) -> f64 {
    let start = Instant::now();
    call();
    start.elapsed().as_secs_f64()
}

/// The best of `runs` rounds of each side, which take turns. What else the machine does only adds to a time.
pub fn best<const SIDES: usize>(runs: usize, mut sides: [&mut dyn FnMut() -> f64; SIDES]) -> [f64; SIDES] {
    let mut best = [f64::INFINITY; SIDES];
    for _ in 0..runs {
        for (best, side) in best.iter_mut().zip(&mut sides) {
            *best = best.min(side());
        }
    }
    best
}

/// The largest difference of two answers of the same length; infinite where their lengths differ.
pub fn largest_difference(ours: &[f32], theirs: &[f32]) -> f64 {
    if ours.len() != theirs.len() {
        return f64::INFINITY;
    }
    ours.iter().zip(theirs).fold(0.0, |largest, (a, b)| {
        let difference = f64::from((a - b).abs());
        if difference.is_nan() { f64::NAN } else { f64::max(largest, difference) }
    })
}
