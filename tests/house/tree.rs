//! The files of the repository, and what a Rust file consists of.

use std::fs;
use std::path::{Path, PathBuf};

/// A file with its path below the repository's root.
pub struct SourceFile {
    pub path: String,
    pub text: String,
}

/// Directories that hold what is built or fetched, not what is written.
const OUTSIDE: [&str; 3] = ["target", "artifacts", "golden"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Does a path, relative to the root, exist?
pub fn exists(path: &str) -> bool {
    root().join(path).exists()
}

/// The text of one file.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("cannot read {path}: {why}"))
}

/// Every file below `dir` whose name ends with `ending`, sorted by path.
pub fn files(dir: &str, ending: &str) -> Vec<SourceFile> {
    let mut found = Vec::new();
    collect(&root().join(dir), dir, ending, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "there is no {ending} in {dir}");
    found
}

/// Every Rust file of programs, crates and tests.
pub fn rust() -> Vec<SourceFile> {
    ["src", "stages", "tests"].iter().flat_map(|dir| files(dir, ".rs")).collect()
}

fn collect(dir: &Path, name: &str, ending: &str, found: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let file = entry.file_name().into_string().unwrap();
        let path = if name.is_empty() { file.clone() } else { format!("{name}/{file}") };
        if entry.path().is_dir() {
            if !file.starts_with('.') && !OUTSIDE.contains(&file.as_str()) {
                collect(&entry.path(), &path, ending, found);
            }
        } else if file.ends_with(ending) {
            found.push(SourceFile { path, text: fs::read_to_string(entry.path()).unwrap() });
        }
    }
}

/// A function: its name, its documentation's lines, and how many lines it has.
pub struct Function {
    pub name: String,
    pub public: bool,
    pub doc: Vec<String>,
    pub lines: usize,
}

/// The functions of a file as rustfmt lays them out: a body ends at the first `}` that stands as far left as its `fn`.
pub fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let words = code.split_whitespace().take_while(|word| *word != "fn");
        let qualifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe"];
        let is_function =
            code.split_whitespace().any(|word| word == "fn") && words.clone().all(|word| qualifiers.contains(&word));
        if !is_function {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        let (end, one_line) = (format!("{indent}}}"), code.ends_with('}') || code.ends_with(';'));
        let body = lines[start..].iter().position(|line| *line == end);
        let doc = lines[..start].iter().rev().map(|line| line.trim_start());
        let doc = doc.take_while(|line| line.starts_with("///") || line.starts_with("#["));
        let doc = doc.filter_map(|line| line.strip_prefix("///")).map(|line| line.trim().to_owned());
        let mut doc: Vec<_> = doc.collect();
        doc.reverse();
        let name = code.split("fn ").nth(1).unwrap_or_default();
        let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        found.push(Function {
            name: name.to_owned(),
            public: code.starts_with("pub fn") || code.starts_with("pub const fn"),
            doc,
            lines: if one_line { 1 } else { body.map_or(1, |length| length + 1) },
        });
    }
    found
}
