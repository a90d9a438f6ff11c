//! How far a stage has come, as a file of its work directory says it to a runner and to `camflow watch`. The file is of
//! no worth once the stage has ended: publication leaves it out.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use artifact::store::replace;
use serde::{Deserialize, Serialize};

use crate::Shard;

/// How often it is written: people look no faster, and no disk minds.
const INTERVAL: Duration = Duration::from_secs(1);

/// How far a stage has come with what it does at the moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// What is counted, such as `images` or `steps`.
    pub unit: String,
    /// How many are done.
    pub done: u64,
    /// How many there are.
    pub total: u64,
    /// How many are done in a second.
    pub rate: f64,
    /// What there is to say, such as the loss of a training.
    pub note: String,
}

impl Reached {
    /// What the processes of a stage say together, from its work directory: the images of shards add up.
    pub fn read(work: &Path) -> Option<Self> {
        let files = fs::read_dir(work).ok()?.flatten().map(|entry| entry.path()).filter(|path| is_progress(path));
        let each = files.filter_map(|path| serde_json::from_slice::<Self>(&fs::read(path).ok()?).ok());
        each.reduce(|one, other| Self {
            done: one.done + other.done,
            total: one.total + other.total,
            rate: one.rate + other.rate,
            ..one
        })
    }

    /// How long the rest takes at this rate, in seconds.
    pub fn seconds_left(&self) -> Option<f64> {
        let left = self.total.saturating_sub(self.done) as f64 / self.rate;
        (self.rate > 0.0 && left.is_finite()).then_some(left)
    }
}

fn is_progress(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("progress-") && name.ends_with(".json")
}

/// The file of one process of a stage.
pub(crate) struct ReachedFile {
    path: PathBuf,
    written: Mutex<Option<Instant>>,
}

impl ReachedFile {
    /// The file of a shard. Those of an earlier run that had another number of shards go.
    pub fn new(work: &Path, shard: Shard) -> Self {
        let ending = format!("-of-{}.json", shard.count());
        let others = fs::read_dir(work).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in others.filter(|path| is_progress(path) && !path.to_string_lossy().ends_with(&ending)) {
            let _ = fs::remove_file(path);
        }
        let path = work.join(format!("progress-{}{ending}", shard.index()));
        Self { path, written: Mutex::new(None) }
    }

    /// Is it time to write again?
    pub fn is_due(&self) -> bool {
        let written = self.written.try_lock();
        written.is_ok_and(|written| written.is_none_or(|written| written.elapsed() >= INTERVAL))
    }

    /// Writes it. A disk that is full or gone is told by the work itself.
    pub fn write(&self, reached: &Reached) {
        let Ok(mut written) = self.written.try_lock() else { return };
        *written = Some(Instant::now());
        let _ = replace(&self.path, &serde_json::to_vec(reached).expect("progress is JSON"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(done: u64, total: u64) -> Reached {
        Reached { unit: "images".into(), done, total, rate: 2.0, note: String::new() }
    }

    #[test]
    fn the_images_of_shards_add_up_and_files_of_another_number_of_shards_go() {
        let work = tempfile::tempdir().unwrap();
        let shard = |text: &str| text.parse::<Shard>().unwrap();
        assert_eq!(Reached::read(work.path()), None);
        ReachedFile::new(work.path(), shard("0/3")).write(&reached(7, 9));
        ReachedFile::new(work.path(), shard("0/2")).write(&reached(3, 10));
        ReachedFile::new(work.path(), shard("1/2")).write(&reached(5, 11));
        let both = Reached::read(work.path()).unwrap();
        assert_eq!((both.done, both.total, both.rate), (8, 21, 4.0));
        assert_eq!(both.seconds_left(), Some(13.0 / 4.0));
    }

    #[test]
    fn it_is_written_once_a_second_and_a_directory_that_is_gone_is_no_failure() {
        let work = tempfile::tempdir().unwrap();
        let file = ReachedFile::new(work.path(), Shard::ALL);
        assert!(file.is_due());
        file.write(&reached(1, 2));
        assert!(!file.is_due());
        drop(work);
        file.write(&reached(2, 2));
    }

    #[test]
    fn without_a_rate_nobody_knows_what_is_left() {
        assert_eq!(Reached { rate: 0.0, ..reached(0, 5) }.seconds_left(), None);
        assert_eq!(reached(5, 5).seconds_left(), Some(0.0));
    }
}
