//! Work that divides into parts by image: finished parts are never redone, and any number of processes may share them.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use artifact::{Error, Part, Result, Row, Work};

use crate::{Log, Progress, Stop, runner_link};

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

/// Images in a part: small enough that a killed run loses little and that shards divide a small data set, large enough for
/// few files.
const IMAGES_PER_PART: usize = 64;

/// What [`for_each_part`] runs under.
pub struct Parts<'a> {
    /// The work directory; the table is declared by [`for_each_part`].
    pub work: &'a mut Work,
    /// The share of this process.
    pub shard: Shard,
    /// Stops between two images.
    pub stop: &'a Stop,
    /// Told of each part.
    pub log: &'a mut Log,
    /// Name on the progress line.
    pub name: &'a str,
}

/// How many images to work on at once: a runner that has several stages at work says how
/// many cores are each one's.
pub fn cores() -> usize {
    let given = std::env::var(runner_link::THREADS).ok().and_then(|threads| threads.parse().ok());
    given.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1)
}

/// Computes the rows of `items` (sorted by image id) part by part and returns how many parts other shards have yet
/// to do. Each of `workers` computes all rows of one item.
pub fn for_each_part<T: Sync, R: Row + Send, W: FnMut(&T) -> Result<Vec<R>> + Send>(
    parts: &mut Parts<'_>,
    metadata: BTreeMap<String, String>,
    items: &[T],
    workers: &mut [W],
) -> Result<usize> {
    let count = items.len().div_ceil(IMAGES_PER_PART).max(1);
    parts.work.declare::<R>(count, metadata);
    let all = || (0..count).map(|index| Part { index, count });
    let mine = Part { index: parts.shard.index, count: parts.shard.count }.range(count);
    let open: Vec<_> = all().filter(|part| mine.contains(&part.index) && !parts.work.is_whole::<R>(*part)).collect();
    let images = |part: &Part| part.range(items.len()).len();
    let total: usize = all().filter(|part| mine.contains(&part.index)).map(|part| images(&part)).sum();
    let todo: usize = open.iter().map(images).sum();
    let progress = Progress::new(parts.name, "images", total - todo, total);
    for part in open {
        let mut writer = parts.work.writer::<R>(part)?;
        for rows in compute(&items[part.range(items.len())], workers, parts.stop, &progress) {
            rows?.into_iter().try_for_each(|row| writer.push(row))?;
        }
        writer.finish()?;
        let fields = serde_json::json!({ "part": part.index, "of": part.count, "images": images(&part) });
        parts.log.event("part", &fields)?;
    }
    progress.finish();
    Ok(all().filter(|part| !parts.work.is_done::<R>(*part)).count())
}

/// The rows of each item, in order. Ends after the first error.
fn compute<T: Sync, R: Row + Send, W: FnMut(&T) -> Result<Vec<R>> + Send>(
    items: &[T],
    workers: &mut [W],
    stop: &Stop,
    progress: &Progress,
) -> Vec<Result<Vec<R>>> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = |worker: &mut W| {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            let rows = stop.check().and_then(|()| worker(item));
            failed.fetch_or(rows.is_err(), Ordering::Relaxed);
            progress.advance(1, String::new);
            done.push((index, rows));
        }
        done
    };
    let mut done: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(|| work(worker))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    // Items are begun in order, so every item before the first error is there.
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, rows)| rows).collect()
}
