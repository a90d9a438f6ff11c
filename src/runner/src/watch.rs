//! `camflow watch`: the table of the runs that go on in a store, from what they say of themselves there, and of stages
//! that somebody started by hand, from their work directories. Reads the store alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use artifact::store::LOG_FILE;
use artifact::{Error, Result, Store};
use serde::Deserialize;
use stage::Reached;

use crate::live::{Picture, Row, RowState, Screen, footer, lasting};
use crate::text;

/// How often the store is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often a plain line is printed of a stage that goes on.
const PLAIN: Duration = Duration::from_secs(15);
/// How a run ended that did not say so.
const GONE: &str = "gone without a word: it was killed, or its machine was";

/// How runs are watched.
#[derive(Clone, Copy, Debug, Default)]
pub struct WatchOptions {
    /// Look once instead of to the end.
    pub once: bool,
    /// Print a line of JSON whenever something has changed: a list of pictures.
    pub json: bool,
}

/// Watches what goes on in the store at `root`, to its end.
///
/// # Errors
/// [`Error::Config`] if there is no store.
pub fn watch(root: &Path, options: WatchOptions, out: &mut dyn Write) -> Result<()> {
    if !root.is_dir() {
        let root = root.display();
        return Err(Error::Config(format!("{root}: there is no store; name another with --store or --manifest")));
    }
    let mut watcher = Watcher { store: Store::open(root)?, runs: BTreeMap::new(), by_hand: BTreeMap::new() };
    let mut shown = Shown::new(options);
    let mut is_seen = false;
    while watcher.look() {
        is_seen = true;
        shown.show(&watcher.pictures(), out)?;
        if options.once {
            return shown.end(&[], out);
        }
        thread::sleep(LOOK);
    }
    let pictures = watcher.pictures();
    if pictures.is_empty() && !options.json {
        return text::emit(out, &format!("nothing is running in {}\n", root.display()));
    }
    if !is_seen && !options.json {
        text::emit(out, &format!("nothing is running in {}; the last run:\n", root.display()))?;
    }
    shown.show(&pictures, out)?;
    shown.end(&pictures, out)
}

/// What is known of a store.
struct Watcher {
    store: Store,
    /// The runs that were going on when they were first seen, and the last one that ended before.
    runs: BTreeMap<String, Picture>,
    /// Stages that no run has started, by their work directories.
    by_hand: BTreeMap<PathBuf, Row>,
}

/// The first line of a stage's log.
#[derive(Deserialize)]
struct Start {
    stage: String,
    key: String,
    experiment: String,
}

impl Watcher {
    /// Looks at the store; is anything going on?
    fn look(&mut self) -> bool {
        let found = self.store.runs();
        let mut wanted: Vec<_> = found.iter().filter(|run| run.alive || self.runs.contains_key(&run.name)).collect();
        if wanted.is_empty() && self.runs.is_empty() {
            wanted.extend(found.last());
        }
        // The file of a run that is over goes when another begins.
        for (name, picture) in &mut self.runs {
            if !wanted.iter().any(|run| run.name == *name) {
                picture.ended.get_or_insert_with(|| "ended".to_owned());
            }
        }
        for run in wanted {
            // A picture of another version of camflow is none of this one's.
            let Ok(mut picture) = serde_json::from_slice::<Picture>(&run.said) else { continue };
            if !run.alive {
                picture.ended.get_or_insert_with(|| GONE.to_owned());
            }
            self.runs.insert(run.name.clone(), picture);
        }
        self.look_by_hand();
        self.runs.values().any(|picture| picture.ended.is_none()) || self.is_by_hand()
    }

    fn is_by_hand(&self) -> bool {
        self.by_hand.values().any(|row| row.state == RowState::Running)
    }

    fn look_by_hand(&mut self) {
        let busy = self.store.busy();
        for dir in &busy {
            if !self.by_hand.contains_key(dir)
                && let Some(Start { stage, key, experiment }) = start(dir)
            {
                let key = key.chars().take(16).collect();
                self.by_hand.insert(dir.clone(), Row { experiment, stage, key, ..Row::default() });
            }
        }
        let going_on = self.runs.values().filter(|picture| picture.ended.is_none());
        let of_runs: BTreeSet<_> =
            going_on.flat_map(|picture| picture.stages.iter().map(|row| (&row.stage, &row.experiment))).collect();
        self.by_hand.retain(|_, row| !of_runs.contains(&(&row.stage, &row.experiment)));
        for (dir, row) in &mut self.by_hand {
            row.reached = Reached::read(dir).or(row.reached.take());
            row.state = match (busy.contains(dir), dir.is_dir()) {
                (true, _) => RowState::Running,
                (false, true) => RowState::Unfinished,
                // It has become the artifact.
                (false, false) => RowState::Done,
            };
            if row.state == RowState::Done {
                row.reached = None;
            }
        }
    }

    fn pictures(&self) -> Vec<Picture> {
        let mut pictures: Vec<_> = self.runs.values().cloned().collect();
        if !self.by_hand.is_empty() {
            let stages = self.by_hand.values().cloned().collect();
            let mut picture = Picture { stages, ..Picture::default() };
            picture.look_ahead(self.by_hand.len());
            picture.ended = (!self.is_by_hand()).then(|| "ended".to_owned());
            pictures.push(picture);
        }
        pictures
    }
}

/// What a log says first.
fn start(work: &Path) -> Option<Start> {
    let mut line = String::new();
    BufReader::new(File::open(work.join(LOG_FILE)).ok()?).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

/// How pictures are shown: in place, as lines, or as JSON.
struct Shown {
    options: WatchOptions,
    screen: Option<Screen>,
    /// What was said last, and when, of each line.
    said: BTreeMap<String, (String, Instant)>,
}

impl Shown {
    fn new(options: WatchOptions) -> Self {
        let screen = if options.once || options.json { None } else { Screen::open() };
        Self { options, screen, said: BTreeMap::new() }
    }

    fn show(&mut self, pictures: &[Picture], out: &mut dyn Write) -> Result<()> {
        if self.options.json {
            let line = serde_json::to_string(pictures).expect("pictures are JSON");
            return if self.is_news("", &line) { text::emit(out, &format!("{line}\n")) } else { Ok(()) };
        }
        if let Some(screen) = &self.screen {
            screen.draw(pictures);
            return Ok(());
        }
        if self.options.once {
            return text::emit(out, &lasting(pictures));
        }
        for row in pictures.iter().flat_map(|picture| &picture.stages) {
            let name = format!("{} ({})", row.stage, row.experiment);
            if self.is_news(&name, row.state.word()) || row.state == RowState::Running && self.is_time(&name) {
                text::emit(out, &format!("{name}: {}\n", sentence(row)))?;
            }
        }
        Ok(())
    }

    /// Is this something else than was said before under that name?
    fn is_news(&mut self, name: &str, what: &str) -> bool {
        let is_news = self.said.get(name).is_none_or(|(said, _)| said != what);
        if is_news {
            self.said.insert(name.to_owned(), (what.to_owned(), Instant::now()));
        }
        is_news
    }

    /// Is it time to say more of what goes on?
    fn is_time(&mut self, name: &str) -> bool {
        let said = self.said.get_mut(name).filter(|(_, when)| when.elapsed() >= PLAIN);
        said.map(|(_, when)| *when = Instant::now()).is_some()
    }

    /// Leaves the last pictures where they are seen.
    fn end(self, pictures: &[Picture], out: &mut dyn Write) -> Result<()> {
        match self.screen {
            Some(screen) => {
                screen.clear();
                text::emit(out, &lasting(pictures))
            }
            None if self.options.json || self.options.once => Ok(()),
            None => pictures.iter().try_for_each(|picture| text::emit(out, &format!("{}\n", footer(picture)))),
        }
    }
}

/// A stage in a line, as in `running, 120/400 steps, 3.2/s, loss 0.69`.
fn sentence(row: &Row) -> String {
    let mut text = row.state.word().to_owned();
    if let Some(Reached { unit, done, total, rate, note }) = row.reached.as_ref().filter(|reached| reached.total > 0) {
        let _ = write!(text, ", {done}/{total} {unit}, {rate:.1}/s");
        if !note.is_empty() {
            let _ = write!(text, ", {note}");
        }
    }
    text
}
