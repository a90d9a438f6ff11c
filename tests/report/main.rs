//! `camflow-query` and `camflow-report` on a small store made up here: no stage and no torch is needed.
//!
//! `REPORT_STORE=DIR cargo test -p report keep_a_store` leaves such a store in DIR to look at.

mod drawing;
mod page;
mod paper;
mod query;
mod store;

use std::path::Path;
use std::process::{Command, Output};

/// Runs one of the two programs on a store.
fn run(program: &str, store: &Path, args: &[&str]) -> Output {
    let program = match program {
        "query" => env!("CARGO_BIN_EXE_camflow-query"),
        _ => env!("CARGO_BIN_EXE_camflow-report"),
    };
    Command::new(program).arg("--store").arg(store).args(args).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).expect("answers are UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn keep_a_store() {
    if let Some(dir) = std::env::var_os("REPORT_STORE") {
        store::write(Path::new(&dir));
    }
}
