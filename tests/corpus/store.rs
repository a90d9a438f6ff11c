//! Parquet files and `artifact.json` of committed artifacts, through a stage that reads them: `threshold-sweep`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::anatomy::Kind;
use crate::corpus::{self, Tally, keeping};
use crate::mutant::Mutant;
use crate::run::{healthy, limited};
use crate::voc::Voc;

const DAMAGED: i32 = 69;
const RECORD: &str = "artifact.json";
const PART: &str = "data/part-00000-of-00001.parquet";
const BASELINE: [&str; 2] = ["train-cam.terms=[\"cls\"]", "train-cam.loop.epochs=1"];

/// The two files of an artifact that are damaged.
pub struct Damageable {
    stage: &'static str,
    /// Of the artifact, below the store.
    dir: PathBuf,
    pub part: Vec<u8>,
    pub record: Vec<u8>,
}

struct Made {
    voc: Voc,
    files: Vec<Damageable>,
}

/// A store in which everything that threshold-sweep needs is committed.
fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut voc = Voc::new(4);
        voc.list("val", &["whole_0"]);
        for stage in ["prepare-data", "train-cam", "extract-msinf-cam"] {
            let (_, ended) = healthy(&mut voc.stage(stage, &BASELINE));
            assert_eq!(ended.code, 0, "{}", ended.said);
        }
        let files = ["prepare-data", "extract-msinf-cam"].map(|stage| {
            let latest = voc.store().join(stage).join("latest");
            let dir = Path::new(stage).join(fs::read_link(&latest).expect("it is committed"));
            let record = timeless(&latest.join(RECORD));
            Damageable { stage, dir, part: fs::read(latest.join(PART)).expect("its part"), record }
        });
        Made { files: files.into(), voc }
    })
}

/// The artifacts whose files are damaged, in the order of the samples.
pub fn damageable() -> &'static [Damageable] {
    &made().files
}

/// The record without what differs between two runs, so that the corpus does not.
fn timeless(path: &Path) -> Vec<u8> {
    let mut record: Value = serde_json::from_slice(&fs::read(path).expect("it is committed")).expect("it is JSON");
    record["provenance"] = json!({
        "camflow": "0.1.0", "host": "host", "command": ["command"], "experiment": "main", "seconds": 1.5,
        "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:01Z",
    });
    serde_json::to_vec_pretty(&record).expect("it is JSON")
}

/// A copy of the store: a damaged artifact is set aside, and what the sweep commits is in the way of the next one.
fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().expect("a temporary directory");
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temporary directory");
    for entry in fs::read_dir(from).expect("the store").map(|entry| entry.expect("an entry")) {
        let (kind, to) = (entry.file_type().expect("its type"), to.join(entry.file_name()));
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path()).expect("a link"), to).expect("a link");
        } else if kind.is_dir() {
            copy_into(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

fn sweep(store: &Path) -> Command {
    made().voc.stage_in(store, "threshold-sweep", &BASELINE)
}

fn try_all(kind: Kind) {
    let store = copy(&made().voc.store());
    let (memory, ended) = healthy(&mut sweep(store.path()));
    assert_eq!(ended.code, 0, "{}", ended.said);
    let mut tally = Tally::default();
    for mutant in corpus::of(kind) {
        let damaged = &damageable()[mutant.number % damageable().len()];
        try_one(&mutant, damaged, memory, &mut tally);
    }
    tally.show(kind);
}

fn try_one(mutant: &Mutant, damaged: &Damageable, memory: u64, tally: &mut Tally) {
    let store = copy(&made().voc.store());
    let file = if mutant.kind == Kind::Parquet { PART } else { RECORD };
    fs::write(store.path().join(&damaged.dir).join(file), &mutant.bytes).expect("a temporary file");
    let ended = keeping(&[mutant], || limited(&sweep(store.path()), memory));
    // A part is named by its path. Of a damaged record the stage alone is certain.
    let word = if mutant.kind == Kind::Parquet { PART } else { damaged.stage };
    tally.add(mutant, DAMAGED, ended.code, &ended.said, word);
}

#[test]
fn parts() {
    try_all(Kind::Parquet);
}

#[test]
fn records() {
    try_all(Kind::Record);
}
