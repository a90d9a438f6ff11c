//! Command lines: what is wrong ends with 78, help with 0.

use std::process::{Command, Output};

use crate::{PROGRAM, stderr, stdout};

fn camflow(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().expect("the program starts")
}

#[test]
fn a_wrong_command_line_ends_with_78() {
    let wrong: [(&[&str], &str); 9] = [
        (&[], "Usage: camflow"),
        (&["quarry"], "unrecognized subcommand 'quarry'"),
        (&["query"], "<SQL>"),
        (&["query", "--formt", "csv", "select 1"], "--format"),
        (&["query", "--format", "xml", "select 1"], "parquet"),
        (&["query", "--format", "parquet", "select 1"], "--output <FILE>"),
        (&["query", "--tables", "select 1"], "cannot be used with"),
        (&["report", "--images", "many"], "--images"),
        (&["report", "page.html"], "unexpected argument 'page.html'"),
    ];
    for (args, told) in wrong {
        let output = camflow(args);
        assert_eq!(output.status.code(), Some(78), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(told) && output.stdout.is_empty(), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn help_and_version_are_answers() {
    for (args, told) in [
        (&["--help"][..], "query   Ask questions of the tables of a store in SQL"),
        (&["query", "--help"], "Usage: camflow query [OPTIONS] [SQL]"),
        (&["report", "--help"], "Usage: camflow report [OPTIONS]"),
        (&["report", "--version"], env!("CARGO_PKG_VERSION")),
    ] {
        let output = camflow(args);
        assert!(stdout(&output).contains(told) && output.stderr.is_empty(), "{args:?}: {}", stdout(&output));
    }
}
