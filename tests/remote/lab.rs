//! Two stores and a remote in a directory, with a manifest of two experiments that share their first stage.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use artifact::store::{Claim, Contents, LOG_FILE};
use artifact::table::CurveRow;
use artifact::{Artifact, Item, Part, Preimage, Reading, Store};
use serde_json::json;
use tempfile::TempDir;

pub use crate::ended::{Ended, end};

const MANIFEST: &str = r#"
[pipeline]
name = "lab"
seed = 1
store = "a"
device = "cpu"
main = "full"

[stage.prepare]
needs = []

[stage.train]
needs = ["prepare"]

[stage.evaluate]
needs = ["prepare", "train"]

[experiment.baseline]

[experiment.full]
"#;

/// Bytes of a file that goes in several pieces.
pub const LARGE: usize = (16 << 20) + 5;

/// Rows of a part of a table.
pub const ROWS: u64 = 50;

pub struct Lab {
    dir: TempDir,
}

impl Ended {
    /// Asserts that an error is one line which says these words.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "'{word}' is not in: {}", self.stderr);
        }
        self
    }
}

/// An artifact to be made.
pub struct Make<'a> {
    pub stage: &'a str,
    /// Decides the key.
    pub value: u64,
    /// Decides the content, as another kind of machine would.
    pub machine: u64,
    /// Size of its file `net`.
    pub bytes: usize,
    /// Rows of each of the three parts of its table.
    pub rows: u64,
    pub inputs: &'a [&'a Artifact],
    pub experiment: &'a str,
}

impl Lab {
    /// With an empty remote and no artifact.
    pub fn new() -> Self {
        let lab = Self { dir: TempDir::new().expect("a directory for the test") };
        fs::write(lab.path("pipeline.toml"), MANIFEST).expect("the manifest is written");
        fs::create_dir(lab.path("remote")).expect("the remote is made");
        lab
    }

    /// With artifacts of both experiments in the store `a`, the file of each of `bytes`.
    pub fn filled(bytes: usize) -> Self {
        let lab = Self::new();
        lab.fill("a", bytes);
        lab
    }

    pub fn fill(&self, store: &str, bytes: usize) {
        let make = |stage, value, inputs: &[&Artifact], experiment| {
            let artifact = self.make(store, &Make { stage, value, machine: 0, bytes, rows: ROWS, inputs, experiment });
            let link = (experiment != "full").then_some(experiment);
            self.store(store).point_latest(stage, link, &artifact.record().key).expect("a link is made");
            artifact
        };
        let prepare = make("prepare", 1, &[], "baseline");
        self.store(store).point_latest("prepare", None, &prepare.record().key).expect("a link is made");
        for (value, experiment) in [(1, "baseline"), (2, "full")] {
            let train = make("train", value, &[&prepare], experiment);
            make("evaluate", value, &[&prepare, &train], experiment);
        }
    }

    /// Commits an artifact with a table of three parts, a file and a log.
    pub fn make(&self, store: &str, make: &Make) -> Artifact {
        let read = |input: &&Artifact| {
            let items = [Item::table::<CurveRow>()];
            (input.record().preimage.stage.clone(), Reading::of(&items, |item| input.record().digest_of(item)))
        };
        let preimage = Preimage {
            stage: make.stage.to_owned(),
            version: 1,
            params: json!({ "value": make.value }),
            seed: None,
            inputs: make.inputs.iter().map(read).collect(),
            files: BTreeMap::new(),
            device: None,
        };
        let lease = self.store(store).lease(&preimage, Claim::Alone, || {}).expect("nobody works on it");
        lease.clear().expect("the work is empty");
        let mut work = lease.open(&Contents::tables(["curve"]).with_file("net")).expect("it opens");
        let key = |input: &&Artifact| (input.record().preimage.stage.clone(), input.record().key.clone());
        work.computed_from(make.inputs.iter().map(key).collect());
        work.declare::<CurveRow>(3, BTreeMap::new()).expect("it is declared");
        for index in 0..3 {
            let mut writer = work.writer::<CurveRow>(Part { index, count: 3 }).expect("a part opens");
            for step in 0..make.rows {
                let value = ((make.value * 31 + make.machine * 7 + step) as f64).sqrt();
                let row = CurveRow { step: index as u64 * make.rows + step, epoch: 1, name: "loss".into(), value };
                writer.push(row).expect("a row is written");
            }
            writer.finish().expect("a part is written");
        }
        let seed = make.value * 13 + make.machine;
        let byte = |place: usize| (place as u64 ^ (place as u64 >> 9)).wrapping_mul(seed * 2 + 1) as u8;
        fs::write(work.file("net"), (0..make.bytes).map(byte).collect::<Vec<_>>()).expect("a file is written");
        fs::write(work.file(LOG_FILE), format!("{{\"seed\":{seed}}}\n")).expect("a log is written");
        work.publish(&["net"], BTreeMap::new(), make.experiment).expect("it is published")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn store(&self, name: &str) -> Store {
        Store::open(&self.path(name)).expect("the store opens")
    }

    /// Every artifact of a store.
    pub fn artifacts(&self, store: &str) -> Vec<Artifact> {
        let store = self.store(store);
        let stages = store.stages().expect("stages are listed");
        stages.iter().flat_map(|stage| store.artifacts(stage).expect("artifacts are listed")).collect()
    }

    /// The latest artifact of a stage in the main experiment.
    pub fn latest(&self, store: &str, stage: &str) -> Artifact {
        self.store(store).latest(stage, None).expect("it reads").expect("it is there")
    }

    /// A command on a store; the remote is the directory unless `words` name another.
    pub fn command(&self, word: &str, store: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_camflow-remote"));
        command.arg(word).arg("--store").arg(self.path(store)).args(words).current_dir(self.dir.path());
        if !words.contains(&"--remote") {
            command.arg("--remote").arg(format!("file://{}", self.path("remote").display()));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, word: &str, store: &str, words: &[&str]) -> Ended {
        end(self.command(word, store, words).spawn().expect("camflow-remote starts"))
    }

    pub fn push(&self, store: &str, words: &[&str]) -> Ended {
        self.run("push", store, words)
    }

    pub fn pull(&self, store: &str, words: &[&str]) -> Ended {
        self.run("pull", store, words)
    }

    /// The files of the remote that hold content: neither pointers nor the marker.
    pub fn sent(&self) -> Vec<PathBuf> {
        let mut sent = files(&self.path("remote"));
        sent.retain(|path| path.components().count() >= self.path("remote/a/b/c/d").components().count());
        sent
    }

    /// Every artifact of `b` is whole, and the very same as in `a`; returns how many there are. Outside of `work/`
    /// there is nothing else.
    #[track_caller]
    pub fn assert_same(&self, a: &str, b: &str) -> usize {
        let there = self.artifacts(b);
        for artifact in &there {
            artifact.verify().expect("it is whole");
            let below = artifact.dir().strip_prefix(self.path(b)).expect("it lies in the store").to_owned();
            let origin = self.path(a).join(&below);
            let listed = |dir: &Path| -> Vec<PathBuf> {
                files(dir).iter().map(|file| file.strip_prefix(dir).expect("it lies below").to_owned()).collect()
            };
            assert_eq!(listed(artifact.dir()), listed(&origin), "{}", below.display());
            for file in listed(&origin) {
                let [one, other] = [&origin, artifact.dir()].map(|dir| fs::read(dir.join(&file)).expect("it reads"));
                assert!(one == other, "{}/{} differs", below.display(), file.display());
            }
        }
        let places = self.store(b).places().expect("places are listed");
        assert_eq!(places.len(), there.len(), "something else lies in {b}: {places:?}");
        there.len()
    }
}

/// Every file below a directory, in order.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Changes one bit of a file and leaves its size.
pub fn flip(file: &Path, bit: usize) {
    let mut bytes = fs::read(file).expect("it reads");
    let bit = bit % (bytes.len() * 8).max(1);
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(file, bytes).expect("it is written");
}

/// A small generator: faults need to be spread, not unpredictable.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
