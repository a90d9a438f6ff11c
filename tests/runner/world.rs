//! A directory with a manifest, an input file, a store, and fake stages under the names of the real ones.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use artifact::store::{Claim, Contents};
use artifact::{Preimage, Store, Work};
use serde_json::json;
use tempfile::TempDir;

pub use crate::ended::{Ended, end};

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

/// `baseline` and `full` (main) share prepare-data and train-cam.
const MANIFEST: &str = r#"
[pipeline]
name = "test"
seed = 1
store = "store"
device = "cpu"
main = "full"

[data]
file = "input.txt"
value = 1

[stage.prepare-data]

[stage.train-cam]
needs = ["prepare-data"]
value = 10
round = 10
steps = 0

[stage.extract-msinf-cam]
needs = ["prepare-data", "train-cam"]
value = 1

[stage.threshold-sweep]
needs = ["prepare-data", "extract-msinf-cam"]
value = 1

[stage.train-affinity]
needs = ["prepare-data", "extract-msinf-cam"]
value = 1

[stage.random-walk]
needs = ["prepare-data", "extract-msinf-cam", "threshold-sweep", "train-affinity"]
value = 1

[stage.train-deeplab]
needs = ["prepare-data", "random-walk"]
value = 1

[stage.evaluate]
needs = ["prepare-data", "threshold-sweep", "random-walk", "train-deeplab"]
value = 1

[experiment.baseline]

[experiment.full]
extract-msinf-cam.value = 2
"#;

pub struct World {
    dir: TempDir,
    /// Environment variables of its commands.
    pub variables: BTreeMap<String, String>,
}

impl Ended {
    /// Asserts that the output is what `snapshots/NAME.snap` says.
    #[track_caller]
    pub fn shows(self, name: &str) -> Self {
        assert_shown(name, &self.stdout);
        self
    }

    /// Asserts that the error messages are what `snapshots/NAME.snap` says.
    #[track_caller]
    pub fn complains(self, name: &str) -> Self {
        assert_shown(name, &self.stderr);
        self
    }
}

/// What differs from run to run in a command's output, and what stands in its place in a snapshot. Columns are as wide
/// as what was replaced, so the space between them is replaced too.
const REPLACED: [(&str, &str); 8] = [
    (r"/\S*/\.tmp\w{6}\b", "[dir]"),
    (r"\b[0-9a-f]{64}\b", "[digest]"),
    (r"\b[0-9a-f]{16}\b", "[key]"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "[time]"),
    (r"\b\d+(\.\d)? (B|KiB|MiB)\b", "[size]"),
    (r"\b\d+(ms|s|m|h)( \d+(ms|s|m))?\b", "[duration]"),
    (r"\b\d+\.\d\b", "[s]"),
    (r"([\w\])]) {3,}", "$1  "),
];

/// Compares text with `snapshots/NAME.snap`. After a change that is meant, `INSTA_UPDATE=always cargo test -p runner`
/// writes the file anew.
#[track_caller]
pub fn assert_shown(name: &str, text: &str) {
    let mut settings = insta::Settings::new();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, instead) in REPLACED {
        settings.add_filter(pattern, instead);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}

impl World {
    pub fn new() -> Self {
        let world = Self { dir: TempDir::new().expect("a directory for the test"), variables: BTreeMap::new() };
        let tests = std::env::current_exe().expect("the test has a path");
        let fake = tests.parent().and_then(Path::parent).expect("target/release").join("examples/fake-stage");
        assert!(fake.is_file(), "{} is not built: run `cargo test -p runner`", fake.display());
        fs::create_dir(world.bin()).expect("bin is made");
        for stage in STAGES {
            symlink(&fake, world.bin().join(stage)).expect("a stage is linked");
        }
        fs::write(world.path("pipeline.toml"), MANIFEST).expect("the manifest is written");
        fs::write(world.path("input.txt"), "photographs").expect("the input is written");
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn bin(&self) -> PathBuf {
        self.path("bin")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_camflow"));
        command.args(args).env("CAMFLOW_BIN_DIR", self.bin()).env("USER", "tester").current_dir(self.dir.path());
        command.envs(&self.variables);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().expect("camflow starts")
    }

    /// Starts a command whose output nobody reads while it runs.
    pub fn start_quietly(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("camflow starts")
    }

    pub fn camflow(&self, args: &[&str]) -> Ended {
        end(self.start(args))
    }

    /// Replaces text of the manifest.
    #[track_caller]
    pub fn edit(&self, from: &str, to: &str) {
        let file = self.path("pipeline.toml");
        let text = fs::read_to_string(&file).expect("the manifest is there");
        assert!(text.contains(from), "the manifest has no '{from}'");
        fs::write(file, text.replacen(from, to, 1)).expect("the manifest is written");
    }

    /// Puts other tables in the place of the manifest's experiments.
    pub fn experiments(&self, tables: &str) {
        let stages = MANIFEST.split("[experiment.").next().expect("the manifest has stages");
        fs::write(self.path("pipeline.toml"), format!("{stages}{tables}")).expect("the manifest is written");
    }

    /// Gives a stage's binary another VERSION, as a new build would.
    pub fn raise_version(&self, stage: &str, version: u32) {
        fs::write(self.bin().join(format!("{stage}.version")), version.to_string()).expect("the version is written");
        // The binary itself is the same file as before: what it said is remembered.
        fs::remove_file(self.path("store/work/describe.json")).expect("descriptions were remembered");
    }

    /// What happened to the stages since the last question: `run train-cam full`.
    pub fn events(&self) -> Vec<String> {
        let events = self.all_events();
        let _ = fs::remove_file(self.bin().join("events"));
        events.iter().filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
    }

    /// The stages that ran since the last question, in that order: `train-cam full`.
    pub fn ran(&self) -> Vec<String> {
        self.events().iter().filter_map(|line| line.strip_prefix("run ").map(str::to_owned)).collect()
    }

    /// Waits until a stage runs; its process id.
    pub fn wait_for(&self, stage: &str) -> i32 {
        wait(&format!("{stage} runs"), || {
            let events = self.all_events();
            let found = events.iter().find_map(|line| line.strip_prefix(&format!("run {stage} ")));
            found.and_then(|rest| rest.rsplit_once(' ')?.1.parse().ok())
        })
    }

    /// Waits until a stage that runs has written a checkpoint.
    pub fn wait_for_checkpoint(&self, stage: &str) {
        wait(&format!("{stage} has a checkpoint"), || {
            let work = fs::read_dir(self.path("store/work")).ok()?.flatten();
            let mut own = work.filter(|entry| entry.file_name().to_string_lossy().starts_with(stage));
            own.any(|entry| entry.path().join("checkpoint").exists()).then_some(())
        });
    }

    /// The work directories of a stage, and their locks.
    fn work(&self, stage: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("store/work")).expect("the store is there").flatten();
        let own = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&format!("{stage}-"));
        entries.filter(own).map(|entry| entry.path()).collect()
    }

    /// Removes the work directories of a stage.
    pub fn forget_work(&self, stage: &str) {
        for dir in self.work(stage).iter().filter(|path| path.is_dir()) {
            fs::remove_dir_all(dir).expect("work can be removed");
        }
    }

    /// Has a stage unfinished work?
    pub fn has_work(&self, stage: &str) -> bool {
        self.work(stage).iter().any(|path| path.is_dir())
    }

    /// Makes everything in the store's work two days old.
    pub fn age_work(&self) {
        fn age(path: &Path) {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                age(&entry.path());
            }
            let then = SystemTime::now() - Duration::from_hours(48);
            fs::File::open(path).and_then(|file| file.set_modified(then)).expect("the time can be set");
        }
        age(&self.path("store/work"));
    }

    fn all_events(&self) -> Vec<String> {
        let text = fs::read_to_string(self.bin().join("events")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Where to make an artifact by hand; `value` decides its key.
    pub fn by_hand(&self, stage: &str, value: u64, contents: &Contents) -> Work {
        let preimage = Preimage {
            stage: stage.to_owned(),
            version: 1,
            params: json!({ "value": value }),
            seed: None,
            inputs: BTreeMap::new(),
            files: BTreeMap::new(),
            device: None,
        };
        let store = Store::open(&self.path("store")).expect("the store opens");
        store
            .lease(&preimage, Claim::Alone, || {})
            .and_then(|lease| lease.open(contents))
            .expect("nobody else works on it")
    }

    /// The directory of a stage's artifact.
    pub fn artifact(&self, stage: &str) -> PathBuf {
        self.path(self.camflow(&["path", stage]).with(0).stdout.trim())
    }
}

/// Changes one byte of the first table of an artifact and leaves its size.
pub fn flip(artifact: &Path) {
    let file = fs::read_dir(artifact.join("data")).expect("it has a table").next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).expect("it can be read");
    bytes[10] ^= 1;
    fs::write(file, bytes).expect("it can be written");
}

fn wait<T>(what: &str, found: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal.
pub fn signal(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("the process is there");
}
