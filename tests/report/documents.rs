//! The tables of the documents have the form in which `camflow report --tables` prints them.

use std::path::Path;

use crate::paper::{ALL_TABLES, store, tables};

/// The title and the head of each table that follows a bold title.
fn heads(text: &str) -> Vec<(&str, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let titles =
        lines.iter().enumerate().filter(|(_, line)| line.starts_with("**Table") || line.starts_with("**Figure"));
    let head = |at: usize| lines[at..].iter().find(|line| line.starts_with('|')).copied();
    titles.filter_map(|(at, title)| Some((*title, head(at)?))).collect()
}

#[test]
fn tables_of_the_manifests_are_as_the_report_prints_them() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stages/manifests/README.md");
    let page = std::fs::read_to_string(page).unwrap();
    let printed = tables(store(ALL_TABLES).path());
    let (shown, known) = (heads(&page), heads(&printed));
    assert!(shown.len() >= 6, "{shown:?}");
    for (title, head) in shown {
        let expected = known.iter().find(|(known, _)| *known == title);
        let (_, expected) = expected.unwrap_or_else(|| panic!("the report prints no {title}:\n{printed}"));
        assert_eq!(head, *expected, "{title}");
    }
}
