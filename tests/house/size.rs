//! How long files and functions are, and how wide lines.

use crate::tree::{files, functions, rust};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;
const COLUMNS: usize = 120;

#[test]
fn files_are_short() {
    for file in rust() {
        let lines = file.text.lines().count();
        assert!(lines <= FILE_LINES, "{} has {lines} lines; {FILE_LINES} are enough", file.path);
    }
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for file in rust() {
        for function in functions(&file.text).iter().filter(|function| function.lines > FUNCTION_LINES) {
            long.push(format!("{}: {} has {} lines", file.path, function.name, function.lines));
        }
    }
    assert!(long.is_empty(), "functions have at most {FUNCTION_LINES} lines:\n{}", long.join("\n"));
}

#[test]
fn lines_are_narrow() {
    let mut wide = Vec::new();
    let manifests = files("stages", ".toml").into_iter().chain(files("", "pipeline.toml")).chain(files("src", ".toml"));
    for file in rust().into_iter().chain(manifests).chain(files("tests", ".py")) {
        for (number, line) in file.text.lines().enumerate().filter(|(_, line)| line.chars().count() > COLUMNS) {
            wide.push(format!("{}:{}: {} columns", file.path, number + 1, line.chars().count()));
        }
    }
    assert!(wide.is_empty(), "lines have at most {COLUMNS} columns:\n{}", wide.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    for file in rust() {
        assert!(file.text.starts_with("//!"), "{} does not open with its `//!`", file.path);
    }
}
