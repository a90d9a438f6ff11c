//! Kills at any instant, followed by a plain `camflow run`: it completes without a manual step, its artifacts are those
//! of a run that nobody disturbed, nothing committed is computed again, no process stays, and what a killed one leaves
//! lies in `work/` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use artifact::store::{LOG_FILE, RECORD_FILE};
use artifact::{Artifact, Store};
use rustix::process::{Pid, Signal, kill_process};

/// How many kills, unless the test is given another number.
const ROUNDS_VARIABLE: &str = "CAMFLOW_CRASH_ROUNDS";

/// A pipeline in a directory of its own.
pub struct Site {
    /// `camflow run`, to which arguments may be added.
    pub camflow: Box<dyn Fn() -> Command>,
    pub store: PathBuf,
}

/// Digest by stage and directory name.
type Digests = BTreeMap<String, String>;

impl Site {
    fn start(&self) -> Child {
        (self.camflow)().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("camflow starts")
    }

    /// A plain run, which must succeed.
    pub fn run(&self) {
        let output = (self.camflow)().output().expect("camflow ends");
        assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }

    fn artifacts(&self) -> Vec<Artifact> {
        let store = Store::open(&self.store).expect("the store opens");
        self.stages().iter().flat_map(|stage| store.artifacts(stage).expect("artifacts are listed")).collect()
    }

    fn stages(&self) -> Vec<String> {
        Store::open(&self.store).and_then(|store| store.stages()).expect("stages are listed")
    }

    pub fn digests(&self) -> Digests {
        let name = |artifact: &Artifact| format!("{}/{}", artifact.record().preimage.stage, artifact.record().key);
        self.artifacts().iter().map(|artifact| (name(artifact), artifact.record().digest.clone())).collect()
    }

    /// Directory and time of publication of everything committed.
    fn committed(&self) -> BTreeSet<(PathBuf, String)> {
        let of = |artifact: &Artifact| (artifact.dir().to_owned(), artifact.record().provenance.finished.clone());
        self.artifacts().iter().map(of).collect()
    }

    /// Processes with the store on their command line, but for the one given.
    fn processes(&self, but: u32) -> Vec<i32> {
        let store = self.store.to_string_lossy().into_owned();
        let ids = fs::read_dir("/proc").expect("/proc is there").flatten();
        let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ours = |id: &i32| {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            // A zombie has no command line any more.
            *id != but.cast_signed() && String::from_utf8_lossy(&line).contains(&store)
        };
        ids.filter(ours).collect()
    }

    pub fn wait_until_none_is_left(&self) {
        let since = Instant::now();
        loop {
            let left = self.processes(0);
            if left.is_empty() {
                return;
            }
            assert!(since.elapsed() < Duration::from_secs(30), "orphans: {left:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Nothing but artifacts and their links outside `work/`, nothing but what it lists in an artifact.
    pub fn assert_tidy(&self) {
        for stage in self.stages() {
            for entry in fs::read_dir(self.store.join(&stage)).expect("a stage's directory").flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = entry.path();
                if name == "latest" || name.starts_with("latest@") {
                    assert!(path.join(RECORD_FILE).is_file(), "{} leads nowhere", path.display());
                    continue;
                }
                let artifact = Artifact::open(&path).expect("it reads").unwrap_or_else(|| panic!("{}", path.display()));
                artifact.verify().expect("it is whole");
                let record = artifact.record();
                let parts = record.tables.values().flat_map(|table| &table.parts).map(|part| part.file.clone());
                let mut listed: BTreeSet<_> = parts.chain(record.files.keys().cloned()).collect();
                listed.extend([RECORD_FILE.to_owned(), LOG_FILE.to_owned()]);
                let unlisted: Vec<_> = files(&path).into_iter().filter(|file| !listed.contains(file)).collect();
                assert!(unlisted.is_empty(), "{}: {unlisted:?}", path.display());
            }
        }
    }

    /// Forgets the artifacts of some stages, so that the next run has to do.
    fn forget(&self, random: &mut Random) {
        for stage in self.stages() {
            if random.below(3) > 0 {
                fs::remove_dir_all(self.store.join(stage)).expect("a stage is forgotten");
            }
        }
    }
}

/// Names of all files below a directory.
fn files(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.path() {
            path if path.is_dir() => names.extend(files(&path).into_iter().map(|below| format!("{name}/{below}"))),
            _ => names.push(name),
        }
    }
    names
}

/// The number of kills of a test.
pub fn rounds(default: u64) -> u64 {
    std::env::var(ROUNDS_VARIABLE).ok().map_or(default, |rounds| rounds.parse().expect("a number of rounds"))
}

/// Kills the runner or a stage at a random instant, `rounds` times, each followed by a plain run. A run that ends
/// before its kill does not count, and makes the next kill come sooner.
pub fn kill_at_random(site: &Site, rounds: u64) {
    let since = Instant::now();
    site.run();
    let mut latest = since.elapsed();
    let expected = site.digests();
    let mut random = Random(1);
    let (mut runners, mut stages, mut late) = (0, 0, 0);
    while runners + stages < rounds {
        site.forget(&mut random);
        let mut run = site.start();
        thread::sleep(latest.mul_f64(random.below(1000) as f64 / 1000.0));
        let running = site.processes(run.id());
        if run.try_wait().expect("the run is looked at").is_some() {
            late += 1;
            latest = latest.mul_f64(0.9);
        } else if let Some(stage) = running.first().filter(|_| random.below(2) == 0) {
            // It may have ended by itself meanwhile.
            let _ = kill_process(Pid::from_raw(*stage).expect("a process id"), Signal::KILL);
            stages += 1;
        } else {
            run.kill().expect("the runner is killed");
            runners += 1;
        }
        run.wait().expect("the run ends");
        site.wait_until_none_is_left();
        let committed = site.committed();
        site.run();
        let round = runners + stages;
        assert!(committed.is_subset(&site.committed()), "round {round}: committed work was done again");
        assert_eq!(site.digests(), expected, "round {round}");
        site.assert_tidy();
        assert!(late < 20 * rounds + 100, "the kills come too late to show anything");
    }
    println!("{rounds} kills: {runners} runners and {stages} stages; {late} runs had ended before");
}

/// A small generator: kills need to be spread, not unpredictable.
pub struct Random(u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
