//! Work that divides into parts by image: finished parts are never redone, and any number of processes may share them.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use artifact::{Error, Part, Result, Row};
use serde_json::json;

use crate::{Context, Progress, runner_link};

/// `I/N`: this process computes the I-th (from 0) of N shares of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Everything.
    pub const ALL: Self = Self { index: 0, count: 1 };

    /// Is this process one of several?
    pub fn is_share(self) -> bool {
        self.count > 1
    }

    /// Its number, from 0.
    pub(crate) fn index(self) -> usize {
        self.index
    }

    /// How many there are.
    pub(crate) fn count(self) -> usize {
        self.count
    }

    /// Which of `count` parts of a table are this process's.
    pub fn parts(self, count: usize) -> impl Iterator<Item = Part> {
        Part { index: self.index, count: self.count }.range(count).map(move |index| Part { index, count })
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err(Error::Config(format!("--shard {text}: expected I/N with I from 0 to N - 1, as in 0/4"))),
        }
    }
}

/// Images in a part: small enough that a killed run loses little and that shards divide a small data set, large enough
/// for few files.
const IMAGES_PER_PART: usize = 64;

/// How many images to work on at once: a runner that has several stages at work says how
/// many cores are each one's.
pub fn cores() -> usize {
    let given = std::env::var(runner_link::THREADS).ok().and_then(|threads| threads.parse().ok());
    given.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1)
}

impl<P: Sync> Context<P> {
    /// Computes the rows of `images` (sorted by image id) part by part, each image on one of [`cores`] workers, and
    /// returns how many parts other shards have yet to do. `rows` is given the stage's parameters, the number of the
    /// worker (from 0) and an image, and makes all rows of that image.
    pub fn for_each_image<T: Sync, R: Row + Send>(
        &mut self,
        images: &[T],
        metadata: BTreeMap<String, String>,
        rows: impl Fn(&P, usize, &T) -> Result<Vec<R>> + Sync,
    ) -> Result<usize> {
        let count = images.len().div_ceil(IMAGES_PER_PART).max(1);
        self.work.declare::<R>(count, metadata)?;
        if !self.party.is_first() {
            // Rank 0 computes them, with all cores of its machine; the others only read them.
            return self.party.hear(R::TABLE).map(|_| 0);
        }
        let mine: Vec<_> = self.shard.parts(count).collect();
        let open: Vec<_> = mine.iter().copied().filter(|part| !self.work.is_whole::<R>(*part)).collect();
        let images_of = |parts: &[Part]| parts.iter().map(|part| part.range(images.len()).len()).sum::<usize>();
        let (total, todo) = (images_of(&mine), images_of(&open));
        let progress = self.progress("images", total - todo, total);
        let (params, stop) = (&self.params, &self.stop);
        let worker = |index: usize, image: &T| stop.check().and_then(|()| rows(params, index, image));
        for part in open {
            let mut writer = self.work.writer::<R>(part)?;
            for rows in compute(&images[part.range(images.len())], &worker, &progress) {
                rows?.into_iter().try_for_each(|row| writer.push(row))?;
            }
            writer.finish()?;
            let fields = json!({ "part": part.index, "of": part.count, "images": images_of(&[part]) });
            self.log.event("part", &fields)?;
        }
        progress.finish();
        self.party.tell(R::TABLE, "done")?;
        Ok(Shard::ALL.parts(count).filter(|part| !self.work.is_done::<R>(*part)).count())
    }
}

/// The rows of each image, in order. Ends after the first error.
fn compute<T: Sync, R: Send>(
    images: &[T],
    rows: &(impl Fn(usize, &T) -> Result<Vec<R>> + Sync),
    progress: &Progress,
) -> Vec<Result<Vec<R>>> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = |worker: usize| {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(image) = images.get(index) else { break };
            let rows = rows(worker, image);
            failed.fetch_or(rows.is_err(), Ordering::Relaxed);
            progress.advance(1, String::new);
            done.push((index, rows));
        }
        done
    };
    let mut done: Vec<_> = std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..cores()).map(|worker| scope.spawn(move || work(worker))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    // Images are begun in order, so every image before the first error is there.
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, rows)| rows).collect()
}
