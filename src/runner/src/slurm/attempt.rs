//! One submission: the jobs that were asked for, written down before the scheduler hears of them, and what each of
//! their tasks says of its end. It lies in the store, so any machine that sees the store knows it.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use artifact::store::write_atomically;
use artifact::{Error, Key, Result, Store};
use serde::{Deserialize, Serialize};

use crate::plan::Step;

/// In an attempt's directory: what was asked for.
const FILE: &str = "attempt.json";
/// In an attempt's directory: the manifest as it was.
pub(super) const MANIFEST: &str = "manifest.toml";

/// How much of the end of an output is looked at.
const TAIL: u64 = 16 << 10;

/// A submission.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    dir: PathBuf,
    jobs: Vec<Job>,
}

/// A job that was asked for; an array where it has several tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Job {
    /// Its name within the attempt: the comment of the scheduler's job.
    pub name: String,
    /// Name of the stage.
    pub stage: String,
    /// Name of the experiment.
    pub experiment: String,
    /// What it is to compute, however far the store has come.
    pub intent: Key,
    /// The stage's command.
    pub command: Vec<String>,
    /// What its tasks are.
    pub tasks: Tasks,
    /// The scheduler's number, once it has one.
    pub number: Option<String>,
}

/// The tasks of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tasks {
    /// One: the whole stage, or what is left of it.
    Whole,
    /// One after another, each going on where the last one stopped.
    Links {
        /// How many.
        count: usize,
    },
    /// Task k computes the shard `indices[k]` of `count`.
    Shards {
        /// The shards of this job.
        indices: Vec<usize>,
        /// Of how many.
        count: usize,
    },
}

/// What a task says of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct End {
    /// The scheduler's number of the job.
    pub job: String,
    /// Where it ran.
    pub host: String,
    /// The stage's exit code; none while it runs, and none if it never said how it ended.
    pub code: Option<i32>,
    /// The signal that ended the stage.
    pub signal: Option<i32>,
}

/// Every job of some attempts.
pub(super) fn jobs(attempts: &[Attempt]) -> impl Iterator<Item = (&Attempt, &Job)> {
    attempts.iter().flat_map(|attempt| attempt.jobs.iter().map(move |job| (attempt, job)))
}

/// The jobs of some attempts that compute a step, the oldest first.
pub(super) fn jobs_of<'a>(attempts: &'a [Attempt], step: &Step) -> impl Iterator<Item = (&'a Attempt, &'a Job)> {
    jobs(attempts).filter(|(_, job)| job.stage == step.stage && job.intent == step.intent)
}

impl Tasks {
    /// How many.
    pub fn count(&self) -> usize {
        match self {
            Self::Whole => 1,
            Self::Links { count } => *count,
            Self::Shards { indices, .. } => indices.len(),
        }
    }
}

impl Attempt {
    /// A new one, with the manifest as it is.
    pub fn begin(store: &Store, manifest: &str) -> Result<Self> {
        let attempt = Self { dir: store.begin_attempt()?, jobs: Vec::new() };
        write_atomically(&attempt.manifest(), manifest.as_bytes())?;
        Ok(attempt)
    }

    /// Those of a store, the oldest first. What cannot be read is none.
    pub fn all(store: &Store) -> Vec<Self> {
        store.attempts().iter().filter_map(|dir| Self::open(dir).ok()).collect()
    }

    /// The attempt in a directory.
    pub fn open(dir: &Path) -> Result<Self> {
        let file = dir.join(FILE);
        let text = fs::read(&file).map_err(Error::io("read", &file))?;
        let jobs = serde_json::from_slice(&text)
            .map_err(|error| Error::Failed(format!("{}: is damaged ({error})", file.display())))?;
        Ok(Self { dir: dir.to_owned(), jobs })
    }

    /// The manifest as it was at submission.
    pub fn manifest(&self) -> PathBuf {
        self.dir.join(MANIFEST)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The name of all its jobs at the scheduler. Numbers are given again after a scheduler has lost its state; this
    /// name is not.
    pub fn title(&self) -> String {
        format!("camflow-{}", self.dir.file_name().unwrap_or_default().to_string_lossy())
    }

    /// The job of this name.
    pub fn job(&self, name: &str) -> Result<&Job> {
        self.jobs
            .iter()
            .find(|job| job.name == name)
            .ok_or_else(|| Error::Config(format!("{} has no job '{name}'", self.dir.join(FILE).display())))
    }

    /// Writes down that a job is about to be asked for.
    pub fn announce(&mut self, job: Job) -> Result<()> {
        self.jobs.push(job);
        self.write()
    }

    /// Writes down the number that the scheduler gave to the last job.
    pub fn numbered(&mut self, number: &str) -> Result<()> {
        if let Some(job) = self.jobs.last_mut() {
            job.number = Some(number.to_owned());
        }
        self.write()
    }

    fn write(&self) -> Result<()> {
        write_atomically(&self.dir.join(FILE), &serde_json::to_vec_pretty(&self.jobs).expect("jobs are JSON"))
    }

    /// Where a task's output goes; `%a` is the scheduler's for the number of the task.
    pub fn output(&self, job: &Job) -> PathBuf {
        let task = if job.tasks == Tasks::Whole { "0" } else { "%a" };
        self.dir.join(format!("{}.{task}.out", job.name))
    }

    fn printed_by(&self, job: &Job, task: usize) -> PathBuf {
        self.dir.join(format!("{}.{task}.out", job.name))
    }

    /// The end of what a task printed.
    pub fn tail(&self, job: &Job, task: usize) -> String {
        let tail = File::open(self.printed_by(job, task)).and_then(|mut file| {
            let start = file.metadata()?.len().saturating_sub(TAIL);
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map(|_| bytes)
        });
        String::from_utf8_lossy(&tail.unwrap_or_default()).into_owned()
    }

    /// What the tasks of a job have printed, as far as there is anything.
    pub fn printed(&self, job: &Job) -> Vec<PathBuf> {
        let files = (0..job.tasks.count()).map(|task| self.printed_by(job, task));
        files.filter(|file| fs::metadata(file).is_ok_and(|meta| meta.len() > 0)).collect()
    }

    /// What a task said of itself, if it has begun.
    pub fn end_of(&self, job: &Job, task: usize) -> Option<End> {
        serde_json::from_slice(&fs::read(self.end_file(job, task)).ok()?).ok()
    }

    /// Lets a task say something of itself.
    pub fn say(&self, job: &Job, task: usize, end: &End) -> Result<()> {
        write_atomically(&self.end_file(job, task), &serde_json::to_vec(end).expect("an end is JSON"))
    }

    fn end_file(&self, job: &Job, task: usize) -> PathBuf {
        self.dir.join(format!("{}.{task}.json", job.name))
    }
}
