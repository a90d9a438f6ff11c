//! The tables `bench` and `growth` of the store, below `artifacts/bench/` and `artifacts/growth/`, and the same as
//! Markdown.
//!
//! A run of some benchmarks replaces their lines in the table that is there and keeps the others.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::SystemTime;

use artifact::store::{Claim, Contents};
use artifact::table::{BenchRow, GrowthRow};
use artifact::{Error, Preimage, Result, Row, Store};
use serde_json::json;

use crate::child::root;
use crate::growth;
use crate::measure::Bench;

/// Commits the lines of a run, with those of other benchmarks that are there; returns all as Markdown. `order` are the
/// names of all benchmarks.
pub fn write(bench: Bench, order: &[&str]) -> Result<String> {
    let store = Store::open(&root().join("artifacts"))?;
    let mut rows = bench.into_rows();
    let ((machine, cores), commit) = (machine(), commit());
    for row in &mut rows {
        row.machine.clone_from(&machine);
        row.cores = cores;
        row.commit.clone_from(&commit);
    }
    if let Ok(Some(earlier)) = store.latest(BenchRow::TABLE, None)
        && let Ok(earlier) = earlier.rows::<BenchRow>(&[])
    {
        let mut kept: Vec<BenchRow> = earlier.filter_map(Result::ok).collect();
        kept.retain(|old| {
            order.contains(&old.benchmark.as_str()) && !rows.iter().any(|new| new.benchmark == old.benchmark)
        });
        rows.extend(kept);
    }
    rows.sort_by_key(|row| order.iter().position(|name| *name == row.benchmark));
    let markdown = markdown(&rows);
    let newest = rows.iter().map(|row| row.time.clone()).max();
    commit_rows(&store, rows, &newest.unwrap_or_default(), &markdown)?;
    Ok(markdown)
}

/// Commits what stages cost as their inputs grow; returns it as Markdown.
pub fn write_growth(mut rows: Vec<GrowthRow>) -> Result<String> {
    let store = Store::open(&root().join("artifacts"))?;
    let ((machine, _), commit) = (machine(), commit());
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    for row in &mut rows {
        row.machine.clone_from(&machine);
        row.commit.clone_from(&commit);
        row.time.clone_from(&time);
    }
    let markdown = growth::markdown(&rows);
    commit_rows(&store, rows, &time, &markdown)?;
    Ok(markdown)
}

/// Commits a table and its Markdown below the table's name, as `latest` of no experiment.
fn commit_rows<R: Row>(store: &Store, rows: Vec<R>, time: &str, markdown: &str) -> Result<()> {
    let preimage = Preimage {
        stage: R::TABLE.into(),
        version: R::VERSION,
        params: json!({ "time": time }),
        seed: None,
        inputs: BTreeMap::new(),
        files: BTreeMap::new(),
        device: None,
    };
    let name = format!("{}.md", R::TABLE);
    let contents = Contents::tables([R::TABLE]).with_file(&name);
    let mut work = store.lease(&preimage, Claim::Alone, || {})?.open(&contents)?;
    work.declare::<R>(1, BTreeMap::new())?;
    work.write_all(rows)?;
    let file = work.file(&name);
    fs::write(&file, markdown).map_err(Error::io("write", &file))?;
    work.publish(&[&name], BTreeMap::new(), "")?;
    store.point_latest(R::TABLE, None, &preimage.key())
}

/// The lines, in a table for each machine and commit that measured them.
fn markdown(rows: &[BenchRow]) -> String {
    let mut runs: Vec<(&str, u32, &str)> = Vec::new();
    for row in rows {
        let run = (row.machine.as_str(), row.cores, row.commit.as_str());
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    let mut text = String::new();
    for (machine, cores, commit) in runs {
        let of_run =
            |row: &&BenchRow| (row.machine.as_str(), row.cores, row.commit.as_str()) == (machine, cores, commit);
        let day = rows.iter().filter(of_run).map(|row| row.time.get(..10).unwrap_or_default()).max();
        let day = day.unwrap_or_default();
        let _ = writeln!(text, "{cores} cores of {machine}; commit {commit}, {day}:\n");
        text += "| what | here | peer | | ratio | wanted | largest difference |\n|---|---|---|---|---|---|---|\n";
        for row in rows.iter().filter(of_run) {
            let theirs = row.theirs.map_or_else(|| format!("– ({})", row.missing), |theirs| number(theirs, &row.unit));
            let [ratio, wanted] = [row.ratio, row.wanted].map(|ratio| ratio.map(rounded).unwrap_or_default());
            let difference = row.difference.map(|difference| format!("{difference:.0e}")).unwrap_or_default();
            let (what, setting, ours) = (&row.what, &row.setting, number(row.ours, &row.unit));
            let _ = writeln!(
                text,
                "| {what}, {setting} | {ours} | {} | {theirs} | {ratio} | {wanted} | {difference} |",
                row.peer
            );
        }
        text += "\n";
    }
    text
}

fn number(value: f64, unit: &str) -> String {
    format!("{} {unit}", rounded(value))
}

/// Two to three digits, more only before the point.
fn rounded(value: f64) -> String {
    match value.abs() {
        size if size >= 10.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// The model of the CPU and how many cores there are (Linux).
fn machine() -> (String, u32) {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = text.lines().filter(|line| line.starts_with("processor")).count();
    (name.trim_start_matches(['\t', ' ', ':']).to_owned(), cores as u32)
}

/// The commit of the working tree; empty outside of one.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(root()).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|files| !files.is_empty());
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_default();
    if changed { commit + "+" } else { commit }
}
