//! A store of its own, the tiny manifest, and the binaries of this package.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use artifact::{Artifact, Error, Store};
use runner::{Interrupt, Pipeline, PipelineSource, RunOptions, Selection, Summary};
use tempfile::TempDir;

/// The stages, inputs before those that need them.
pub const STAGES: [&str; 8] = [
    "prepare-data",
    "train-cam",
    "extract-msinf-cam",
    "threshold-sweep",
    "train-affinity",
    "random-walk",
    "train-deeplab",
    "evaluate",
];

pub struct World {
    directory: TempDir,
    manifest: PathBuf,
    binaries: PathBuf,
}

/// The directory of the stage binaries.
fn binaries() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_evaluate")).parent().unwrap().to_owned()
}

/// The manifest of these tests.
fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/pipeline/tiny.toml")
}

impl World {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), manifest: tiny(), binaries: binaries() }
    }

    /// The tiny manifest with further tables laid over it.
    pub fn with_experiments(tables: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let manifest = directory.path().join("pipeline.toml");
        let tiny = tiny().canonicalize().unwrap();
        std::fs::write(&manifest, format!("extends = '{}'\n{tables}", tiny.display())).unwrap();
        Self { directory, manifest, binaries: binaries() }
    }

    /// Puts the program of another stage beside those that there are, in a directory of this world.
    pub fn add_stage(&mut self, name: &str, program: &Path) {
        let directory = self.path().join("bin");
        std::fs::create_dir(&directory).unwrap();
        for entry in std::fs::read_dir(&self.binaries).unwrap().flatten() {
            let file = entry.path();
            if file.is_file() && file.extension().is_none() {
                symlink(&file, directory.join(entry.file_name())).unwrap();
            }
        }
        std::fs::copy(program, directory.join(name)).unwrap();
        self.binaries = directory;
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn manifest(&self) -> &Path {
        &self.manifest
    }

    pub fn store(&self) -> PathBuf {
        self.path().join("store")
    }

    /// `camflow run` in this process.
    pub fn run(&self, sets: &[&str]) -> Summary {
        self.run_source(sets, Vec::new())
    }

    /// The same of one experiment.
    pub fn run_experiment(&self, experiment: &str, sets: &[&str]) -> Summary {
        self.run_source(sets, vec![experiment.to_owned()])
    }

    /// Why `camflow` refuses an experiment of this manifest.
    pub fn refused(&self, experiment: &str, sets: &[&str]) -> String {
        match Pipeline::open(&self.source(sets, vec![experiment.to_owned()])) {
            Err(error @ Error::Config(_)) => error.to_string(),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was not refused"),
        }
    }

    /// What to ask `camflow` about.
    pub fn source(&self, sets: &[&str], experiments: Vec<String>) -> PipelineSource {
        PipelineSource {
            experiments,
            manifest: self.manifest.clone(),
            sets: sets.iter().map(|set| (*set).to_owned()).collect(),
            store: Some(self.store()),
            bin_dir: Some(self.binaries.clone()),
            ..PipelineSource::default()
        }
    }

    fn run_source(&self, sets: &[&str], experiments: Vec<String>) -> Summary {
        let source = self.source(sets, experiments);
        let mut told = Vec::new();
        let (selection, interrupt) = (Selection::default(), Interrupt::default());
        let summary =
            runner::run(&RunOptions { source, selection, jobs: 1, pull: None, interrupt, json: false }, &mut told);
        summary.unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&told)))
    }

    /// A stage binary with the tiny manifest and this store, not yet started.
    pub fn stage(&self, stage: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binaries.join(stage));
        command.arg("--manifest").arg(&self.manifest).arg("--store").arg(self.store()).args(arguments);
        command
    }

    /// Runs a stage to its end.
    pub fn finish(&self, stage: &str, arguments: &[&str]) -> Output {
        self.stage(stage, arguments).output().unwrap()
    }

    /// Runs a stage that must succeed, and returns what it committed.
    pub fn commit(&self, stage: &str, arguments: &[&str]) -> Artifact {
        let output = self.finish(stage, arguments);
        assert!(output.status.success(), "{stage}: {}", String::from_utf8_lossy(&output.stderr));
        self.latest(stage)
    }

    pub fn latest(&self, stage: &str) -> Artifact {
        self.latest_of(stage, None)
    }

    pub fn latest_of(&self, stage: &str, experiment: Option<&str>) -> Artifact {
        Store::open(&self.store()).unwrap().latest(stage, experiment).unwrap().expect("committed")
    }
}

/// Asserts an exit code and that each of `words` is said.
pub fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}
