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
    let (planning, ended) = healthy(&mut plan(&directory));
    assert_eq!(ended.code, 0, "{}", ended.said);

    let mut tally = Tally::default();
    for mutant in corpus::of(Kind::Manifest) {
        fs::write(&path, &mutant.bytes).expect("a temporary file");
        let ended = keeping(&[&mutant], || limited(&check(&directory), memory));
        tally.add(&mutant, BAD_CONFIGURATION, ended.code, &ended.said, ".toml");
        if mutant.number % PLANNED == 0 {
            let planned = keeping(&[&mutant], || limited(&plan(&directory), memory.max(planning)));
            Tally::default().add(&mutant, BAD_CONFIGURATION, planned.code, &planned.said, ".toml");
        }
    }
    tally.show(Kind::Manifest);
}
