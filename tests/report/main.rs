//! `camflow query` and `camflow report` on a small store made up here: no stage and no torch is needed.
//!
//! `REPORT_STORE=DIR cargo test -p report the_made_up_store` leaves such a store in DIR to look at.
//!
//! ```text
//! store         the made-up store
//! drawing       its images
//! counted       another one, whose scores are those of its own labels
//! command_line  exit codes and help
//! query         questions in SQL
//! page          the report
//! verdict       what it says of the counted store: sentence, intervals, confusion, gallery
//! looks         the report in Chromium: widths, colours, keys, filter, print
//! browser       Chromium, driven
//! paper         the paper's tables
//! benchmarks    what `make bench` leaves in a store
//! peers         Python with other programs' packages
//! questions     the questions of the store's page, also in Polars and DuckDB
//! documents     tables of the documents have the form of the report's
//! ```

mod benchmarks;
mod browser;
mod command_line;
mod counted;
mod documents;
mod drawing;
mod looks;
mod page;
mod paper;
#[path = "../peers/mod.rs"]
#[expect(dead_code, reason = "other tests run programs without `.peers`")]
mod peers;
mod query;
mod questions;
mod store;
mod verdict;

use std::path::Path;
use std::process::{Command, Output};

/// The program that is both `camflow query` and `camflow report`.
const PROGRAM: &str = env!("CARGO_BIN_EXE_camflow-report");

/// Runs one of the two commands on a store.
fn run(command: &str, store: &Path, args: &[&str]) -> Output {
    Command::new(PROGRAM).arg(command).arg("--store").arg(store).args(args).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).expect("answers are UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_made_up_store_is_whole() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = std::env::var_os("REPORT_STORE").map_or(temporary.path().to_owned(), Into::into);
    store::write(&dir);
    let store = artifact::Store::open(&dir).unwrap();
    assert_eq!(store.stages().unwrap(), store::STAGES);
    for place in store.places().unwrap() {
        let artifact = place.found.unwrap().expect("every directory of a stage holds an artifact");
        artifact.verify().unwrap();
        assert_eq!(
            artifact.verify_content().unwrap(),
            [""; 0],
            "{}: tables that are not declared",
            place.dir.display()
        );
    }
    assert!(store.dangling_links().unwrap().is_empty());
}
