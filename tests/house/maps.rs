//! The `//!` of a module names every module below it.

use crate::tree::files;

/// The modules that a file declares, tests aside.
fn modules(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let declared = code.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) ")).unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    declared.map(str::to_owned).collect()
}

/// The words of the `//!` at the top.
fn map(text: &str) -> Vec<String> {
    let doc = text.lines().map_while(|line| line.strip_prefix("//!"));
    let words = doc.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.map(str::to_owned).collect()
}

#[test]
fn maps_name_every_module() {
    let mut missing = Vec::new();
    for file in files("src", ".rs").into_iter().chain(files("stages", ".rs")).chain(files("tests", ".rs")) {
        let declared = modules(&file.text);
        if declared.len() < 2 || file.path.starts_with("tests/") && !file.text.contains("```text") {
            continue;
        }
        let map = map(&file.text);
        for name in declared.iter().filter(|name| !map.contains(name)) {
            missing.push(format!("{}: {name}", file.path));
        }
    }
    assert!(missing.is_empty(), "modules that no map names:\n{}", missing.join("\n"));
}
