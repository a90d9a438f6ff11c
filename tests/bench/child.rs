//! Child processes that repeat a piece of work when they are asked to: this program, or a peer in Python.
//!
//! A child reads its task, one line of JSON, prepares, and says `{}`, or `{"missing": why}` if it cannot. To each line
//! `run` it does its work once and says `{"seconds": …}`; to `end` it says what it has found, and ends. `peer.py`
//! beside this file is the other side in Python. Peak memory belongs to a process, so work of this program is a child
//! too where that counts.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::measure::seconds;

/// The argument that makes this program a child; the benchmark's name follows.
pub const ARGUMENT: &str = "child";

/// What a child of this program does.
pub trait Work {
    /// Once more.
    fn run(&mut self);
    /// What it has found.
    fn found(&mut self) -> Value;
}

/// A child that waits.
pub struct Child {
    name: String,
    process: std::process::Child,
    answers: BufReader<std::process::ChildStdout>,
}

/// The top of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A program of this project, built for release.
pub fn program(name: &str) -> PathBuf {
    let bench = std::env::current_exe().expect("this program");
    bench.ancestors().nth(2).expect("the directory of the build").join(name)
}

/// Python on the packages of the peers.
pub fn python() -> Command {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(python);
    let packages = root().join(".bench-peers");
    if packages.is_dir() {
        command.env("PYTHONPATH", packages);
    }
    command.args(["-B", "-W", "ignore"]);
    command
}

impl Child {
    /// This program as a child.
    pub fn ours(benchmark: &str, task: &Value, threads: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args([ARGUMENT, benchmark]);
        Self::start(benchmark, command, task, threads).expect("a child of this program is never missing")
    }

    /// A script beside this file, or why it cannot run. It sees the task with the number of its threads as `threads`.
    pub fn peer(script: &str, task: &Value, threads: usize) -> Result<Self, String> {
        let mut command = python();
        command.arg(root().join("tests/bench").join(script));
        Self::start(script, command, task, threads)
    }

    fn start(name: &str, mut command: Command, task: &Value, threads: usize) -> Result<Self, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        command.env("OMP_NUM_THREADS", threads.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|why| format!("{program} does not run: {why}"))?;
        let answers = BufReader::new(process.stdout.take().expect("its output is piped"));
        let mut child = Self { name: name.to_owned(), process, answers };
        let mut task = task.clone();
        task["threads"] = json!(threads);
        child.say(&task.to_string());
        match child.answer() {
            Some(Value::Object(said)) if said.contains_key("missing") => {
                Err(said["missing"].as_str().unwrap_or_default().to_owned())
            }
            Some(_) => Ok(child),
            None => Err(format!("{name} ended before it was ready")),
        }
    }

    /// Does the work once more; returns its seconds.
    pub fn run(&mut self) -> f64 {
        self.say("run");
        let answer = self.answer();
        let seconds = answer.as_ref().and_then(|answer| answer["seconds"].as_f64());
        seconds.unwrap_or_else(|| panic!("{} ended in the middle of its work", self.name))
    }

    /// The largest resident memory of the child so far, in bytes (`VmHWM`, Linux).
    pub fn peak_memory(&self) -> f64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).expect("/proc/PID/status: Linux only");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line VmHWM");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("kilobytes") * 1024.0
    }

    /// What it has found; it ends.
    pub fn end(mut self) -> Value {
        self.say("end");
        self.answer().unwrap_or_else(|| panic!("{} ended without an answer", self.name))
    }

    fn say(&mut self, line: &str) {
        let input = self.process.stdin.as_mut().expect("its input is piped");
        // One that has ended is noticed when it does not answer.
        let _ = writeln!(input, "{line}").and_then(|()| input.flush());
    }

    fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }
}

impl Drop for Child {
    /// A child ends with its input.
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// This program as a child: its side of the talk.
pub fn answer(make: fn(&Value) -> Box<dyn Work>) {
    let mut lines = std::io::stdin().lines().map_while(Result::ok);
    let task = lines.next().and_then(|line| serde_json::from_str(&line).ok()).expect("a task");
    let mut work = make(&task);
    println!("{{}}");
    for line in lines {
        if line == "run" {
            println!("{}", json!({ "seconds": seconds(|| work.run()) }));
        } else {
            println!("{}", work.found());
            return;
        }
    }
}
