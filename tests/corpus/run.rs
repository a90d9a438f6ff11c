//! The real binaries under limits of time and address space, and what may be said of any of their ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Seconds of the processor after which a program hangs; a run takes one or two, however busy the machine is.
const PROCESSOR: u64 = 60;
/// After this a program waits for what never comes.
const PATIENCE: Duration = Duration::from_mins(10);
/// What a damaged file may cost above a healthy one, in KiB: 1 GiB.
const MORE_MEMORY: u64 = 1 << 20;
/// A message is for a person, whatever the file holds.
const LONGEST_MESSAGE: usize = 64 * 1024;
/// Of README.
const EXIT_CODES: [i32; 6] = [0, 1, 65, 69, 75, 78];

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    /// Its standard error.
    pub said: String,
}

/// A binary of this workspace.
pub fn binary(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_BIN_EXE_prepare-data")).parent().expect("a file has a directory");
    let path = directory.join(name);
    assert!(path.is_file(), "{} is not built; run make build", path.display());
    path
}

/// The address space in KiB that a program takes with healthy files, and its end. It polls: what is taken in the last
/// millisecond may be missed, which the gigabyte above it forgives.
pub fn healthy(command: &mut Command) -> (u64, Ended) {
    let mut peak = 0;
    let ended = finish(command, &mut |child| {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
        let now = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(now.unwrap_or(0));
    });
    (peak, ended)
}

/// Runs a program whose address space is limited to 1 GiB more than `healthy` KiB, and its time of the processor to a
/// minute: more of either ends it by a signal.
pub fn limited(command: &Command, healthy: u64) -> Ended {
    assert!(healthy > 0, "measure a healthy run first");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -c 0; ulimit -t {PROCESSOR}; ulimit -v \"$0\"; exec \"$@\"")]);
    shell.arg((healthy + MORE_MEMORY).to_string()).arg(command.get_program()).args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        shell.current_dir(directory);
    }
    finish(&mut shell, &mut |_| {})
}

fn finish(command: &mut Command, watch: &mut dyn FnMut(&Child)) -> Ended {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (out, err) = (directory.path().join("out"), directory.path().join("err"));
    let file = |path: &Path| File::create(path).expect("a temporary file");
    command.env("OMP_NUM_THREADS", "1").env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err));
    let mut child = command.spawn().expect("the binary starts");
    let begin = Instant::now();
    let status = loop {
        watch(&child);
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break Some(status);
        }
        if begin.elapsed() > PATIENCE {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
            break None;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let said = fs::read(&err).expect("what it said");
    let said = String::from_utf8_lossy(&said).into_owned();
    let status = status.unwrap_or_else(|| panic!("hangs: {command:?}\n{said}"));
    let code = status.code().unwrap_or_else(|| panic!("ended by {status}: {command:?}\n{said}"));
    let ended = Ended { code, said };
    ended.check(&format!("{command:?}"));
    ended
}

impl Ended {
    /// What holds however a program ends.
    fn check(&self, command: &str) {
        let Self { code, said } = self;
        assert!(EXIT_CODES.contains(code), "exit code {code} of {command}\n{said}");
        assert!(said.len() < LONGEST_MESSAGE, "{} bytes said by {command}", said.len());
        for word in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
            assert!(!said.contains(word), "'{word}' is said by {command}\n{said}");
        }
        let control = said.chars().find(|c| c.is_control() && *c != '\n');
        assert!(control.is_none(), "{control:?} goes to the terminal from {command}\n{said:?}");
    }
}
