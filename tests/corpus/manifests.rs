//! Manifests, through `train-cam --check` and `camflow plan`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::anatomy::Kind;
use crate::corpus::{self, Tally, keeping};
use crate::run::{binary, healthy, limited};
use crate::samples;

/// Every how many manifests `camflow plan` is asked too: it starts all stages to have them described. Of the samples it
/// is then always the first, the others' data being elsewhere.
const PLANNED: usize = 15;
const BAD_CONFIGURATION: i32 = 78;

fn check(directory: &Path) -> Command {
    let mut command = Command::new(binary("train-cam"));
    command.current_dir(directory).args(["--manifest", "manifest.toml", "--check"]);
    command
}

fn plan(directory: &Path) -> Command {
    let mut command = Command::new(binary("camflow"));
    command.current_dir(directory).args(["plan", "--manifest", "manifest.toml", "--store", "store"]);
    command
}

#[test]
fn manifests() {
    let root = tempfile::tempdir().expect("a temporary directory");
    // Where the samples lie in the repository, with what they extend.
    let directory = root.path().join("stages/manifests");
    fs::create_dir_all(&directory).expect("a temporary directory");
    for base in ["pipeline.toml", "stages/manifests/voc12.toml"] {
        fs::write(root.path().join(base), samples::file(base)).expect("a temporary file");
    }
    let path = directory.join("manifest.toml");
    fs::write(&path, &samples::of(Kind::Manifest)[0]).expect("a temporary file");
    let (memory, ended) = healthy(&mut check(&directory));
    assert_eq!(ended.code, 0, "{}", ended.said);

    let (mut tally, mut planning) = (Tally::default(), None);
    for mutant in corpus::of(Kind::Manifest) {
        fs::write(&path, &mutant.bytes).expect("a temporary file");
        let ended = keeping(&[&mutant], || limited(&check(&directory), memory));
        // Of a device that is not there, the parameter alone is named.
        let word = if ended.said.contains("pipeline.device") { "pipeline.device" } else { ".toml" };
        tally.add(&mutant, BAD_CONFIGURATION, ended.code, &ended.said, word);
        if mutant.number % PLANNED == 0 && mutant.number > 0 {
            let planning = *planning.get_or_insert_with(|| {
                fs::write(&path, &samples::of(Kind::Manifest)[0]).expect("a temporary file");
                let (planning, ended) = healthy(&mut plan(&directory));
                assert_eq!(ended.code, 0, "{}", ended.said);
                fs::write(&path, &mutant.bytes).expect("a temporary file");
                planning
            });
            let planned = keeping(&[&mutant], || limited(&plan(&directory), memory.max(planning)));
            Tally::default().add(&mutant, BAD_CONFIGURATION, planned.code, &planned.said, ".toml");
        }
    }
    tally.show(Kind::Manifest);
}

#[test]
fn manifests_that_are_none() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("manifest.toml");
    let base = samples::repository("pipeline.toml").canonicalize().expect("the default pipeline");
    let over = |text: &str| format!("extends = '{}'\n{text}", base.display());
    for (text, words) in [
        ("x = [".to_owned(), ["manifest.toml:1: not valid TOML", "array"]),
        (over("\n\n[stage.train-cam]\nvariant = \n"), ["manifest.toml:5: not valid TOML", "value"]),
        (over("[pipeline]\nseed = 9007199254740993\n"), ["manifest.toml:3", "53 bits"]),
        (over("[pipeline]\nseed = -1\n"), ["manifest.toml:3", "-1"]),
        (over("[pipeline]\nseed = 2026-01-01\n"), ["manifest.toml:3", "a date"]),
        (over("[pipeline]\n\"a\\u001bb\" = 1\n"), ["manifest.toml:3", "unknown entry 'a\\u{1b}b'"]),
        (over("[experiment.\"../x\"]\n"), ["manifest.toml:2", "no name for an experiment"]),
        ("extends = 'manifest.toml'\n".to_owned(), ["manifest.toml:1", "extends itself"]),
        ("extends = '/dev/zero'\n".to_owned(), ["/dev/zero is no manifest", "4 MiB"]),
        ("extends = '/dev'\n".to_owned(), ["cannot read the manifest /dev", "directory"]),
        (String::new(), ["manifest.toml", "missing"]),
        (format!("# {}", "x".repeat(5 << 20)), ["manifest.toml is no manifest", "4 MiB"]),
    ] {
        fs::write(&path, &text).expect("a temporary file");
        let (_, ended) = healthy(&mut check(directory.path()));
        assert_eq!(ended.code, BAD_CONFIGURATION, "{}", ended.said);
        for word in words {
            assert!(ended.said.contains(word), "'{word}' is not in: {}", ended.said);
        }
    }
}

/// Lines are looked up for every value: that must not take time by the square of their number.
#[test]
fn a_long_manifest_is_read_in_time() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut text = String::from_utf8(samples::file("pipeline.toml")).expect("TOML");
    text.push_str("\n[experiment.long.train-cam]\n");
    text.extend((0..150_000).map(|number| format!("a{number} = {number}\n")));
    fs::write(directory.path().join("manifest.toml"), text).expect("a temporary file");
    let (_, ended) = healthy(&mut check(directory.path()));
    assert_eq!(ended.code, 0, "{}", ended.said);
}
