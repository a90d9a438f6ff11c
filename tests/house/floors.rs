//! Who may use whom: crates by their manifests, floors inside wsss by their `use` lines.

use std::collections::BTreeMap;

use toml_edit::Document;

use crate::tree::{files, read};

/// Each crate, what of the workspace it may use, and which of the heavy libraries.
const CRATES: [(&str, &[&str]); 10] = [
    ("src/artifact", &[]),
    ("src/command_line", &["artifact"]),
    ("src/stage", &["artifact", "command-line"]),
    ("src/data", &["artifact"]),
    ("src/collective", &["tch"]),
    ("src/wsss", &["artifact", "stage", "data", "collective", "tch"]),
    ("src/runner", &["artifact", "command-line", "stage"]),
    ("src/report", &["artifact", "command-line", "data", "polars", "arrow2"]),
    ("src/remote", &["artifact", "command-line", "object_store"]),
    ("stages", &["artifact", "command-line", "stage", "data", "wsss", "tch"]),
];

/// The floors of wsss, each of which uses only those before it.
const FLOORS: [&str; 8] = ["device", "ranks", "tensor", "model", "method", "train", "infer", "export"];

#[test]
fn crates_use_only_what_lies_below_them() {
    let workspace =
        ["artifact", "command-line", "stage", "data", "collective", "wsss", "runner", "report", "remote", "stages"];
    let heavy = ["tch", "polars", "arrow2", "torch-sys", "object_store"];
    for (crate_dir, allowed) in CRATES {
        let text = read(&format!("{crate_dir}/Cargo.toml"));
        let manifest = Document::parse(&text).unwrap();
        let dependencies = manifest.get("dependencies").and_then(|table| table.as_table_like());
        for (name, _) in dependencies.into_iter().flat_map(|table| table.iter()) {
            let watched = workspace.contains(&name) || heavy.contains(&name);
            assert!(!watched || allowed.contains(&name), "{crate_dir} uses {name}");
        }
    }
}

#[test]
fn every_floor_of_wsss_uses_only_those_before_it() {
    for (index, floor) in FLOORS.iter().enumerate() {
        let above = &FLOORS[index + 1..];
        for file in files("src/wsss/src", ".rs") {
            let of_floor = file.path.starts_with(&format!("src/wsss/src/{floor}/"))
                || file.path == format!("src/wsss/src/{floor}.rs");
            for name in above.iter().filter(|_| of_floor) {
                let used = file.text.contains(&format!("crate::{name}::"));
                assert!(!used, "{} uses {name}, which lies above", file.path);
            }
        }
    }
}

#[test]
fn the_method_reads_and_writes_no_file() {
    for file in files("src/wsss/src/method", ".rs") {
        for word in ["std::fs", "std::io", "std::env", "std::process", "File::", "println!", "eprintln!"] {
            assert!(!file.text.contains(word), "{} has {word}", file.path);
        }
    }
}

#[test]
fn nothing_unwraps_outside_of_tests() {
    for file in files("src", ".rs").into_iter().chain(files("stages", ".rs")) {
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            assert!(!code.contains(".unwrap()"), "{}:{} unwraps", file.path, number + 1);
        }
    }
}

#[test]
fn unsafe_stands_where_the_map_says() {
    let places = ["src/wsss/src/foreign.rs", "src/collective/src/native.rs", "src/collective/src/nccl.rs"];
    for file in files("src", ".rs").into_iter().chain(files("stages", ".rs")) {
        let has = file.text.lines().any(|line| line.split("//").next().unwrap_or_default().contains("unsafe "));
        assert!(!has || places.contains(&file.path.as_str()), "{} has unsafe code", file.path);
    }
    let foreign: Vec<_> = files("src", ".cpp").into_iter().map(|file| file.path).collect();
    assert_eq!(foreign, ["src/collective/c10d/shim.cpp"], "one file of C++");
}

#[test]
fn a_library_has_one_version_and_one_place() {
    // A member names versions of its own only where no other member has the library.
    let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (crate_dir, _) in CRATES {
        let text = read(&format!("{crate_dir}/Cargo.toml"));
        let manifest = Document::parse(&text).unwrap();
        for section in ["dependencies", "dev-dependencies"] {
            let table = manifest.get(section).and_then(|table| table.as_table_like());
            for (name, item) in table.into_iter().flat_map(|table| table.iter()) {
                let shared = item.as_table_like().is_some_and(|item| item.contains_key("workspace"));
                if !shared {
                    places.entry(name.to_owned()).or_default().push(crate_dir);
                }
            }
        }
    }
    for (name, places) in places {
        assert!(places.len() == 1, "{name} is given a version in {places:?}; put it into the workspace's Cargo.toml");
    }
}
