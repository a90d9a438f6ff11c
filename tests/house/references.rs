//! What texts point to is there: links of Markdown, paths in prose, sections of METHOD.md.

use std::path::Path;

use crate::tree::{exists, files, read, rust};

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

#[test]
fn links_of_markdown_lead_somewhere() {
    let pages = [files("src", ".md"), files("stages", ".md")].into_iter().flatten();
    let top = ["README.md", "CHANGELOG.md", "artifacts/README.md"].map(|path| (path.to_owned(), read(path)));
    for (path, text) in pages.map(|file| (file.path, file.text)).chain(top) {
        for link in links(&text).into_iter().filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let target = link.split('#').next().unwrap_or_default();
            let dir = Path::new(&path).parent().unwrap_or(Path::new(""));
            assert!(exists(&dir.join(target).to_string_lossy()), "{path} links to {link}, which is not there");
        }
    }
}

#[test]
fn sections_of_the_method_are_there() {
    let page = read("src/wsss/METHOD.md");
    let headings = page.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let sections: Vec<_> = headings.filter_map(|heading| heading.split(['.', ' ']).next()).collect();
    for file in rust() {
        // This file would find itself.
        for (number, line) in file.text.lines().enumerate().filter(|_| !file.path.starts_with("tests/house/")) {
            let after = line.split("METHOD ").nth(1).unwrap_or_default();
            let dangling = after.starts_with(|c: char| c.is_ascii_digit());
            assert!(!dangling, "{}:{}: METHOD.md is a file: write `METHOD.md, section n`", file.path, number + 1);
            for rest in line.split("METHOD.md, section ").skip(1) {
                let section = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                assert!(sections.contains(&section), "{}:{}: no section {section}", file.path, number + 1);
            }
        }
    }
}

#[test]
fn nothing_is_left_to_fill_in() {
    let pages = ["src", "stages", "artifacts"].iter().flat_map(|dir| files(dir, ".md"));
    for (path, text) in pages.map(|file| (file.path, file.text)).chain([("README.md".to_owned(), read("README.md"))]) {
        for mark in ["MEASURE:", "<!-- diff", "<!-- CHECK", "TODO"] {
            assert!(!text.contains(mark), "{path} still has {mark}");
        }
    }
    let lines = read("README.md").lines().count();
    assert!(lines <= 150, "README.md has {lines} lines; it is for the newcomer: 150");
}
