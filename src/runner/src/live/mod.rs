//! What a run shows of itself while it goes on: a table on a terminal, and the same in the store for `camflow watch`.
//!
//! ```text
//! picture   a run at one moment
//! table     a picture as lines of text
//! screen    lines on a terminal, drawn anew in their place
//! ```

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use artifact::store::RunFile;
use artifact::{Key, StageId, Store};
use stage::Reached;

use crate::plan::{Plan, Step};
use crate::reason;

mod picture;
mod screen;
mod table;

pub use picture::{Picture, Row, RowState};
pub(crate) use screen::{Screen, lasting};
pub(crate) use table::footer;

/// How often the table is drawn.
const DRAW: Duration = Duration::from_millis(250);
/// Work directories are looked at, and the run's file is written, every so many times that it is drawn.
const LOOK: usize = 4;

/// A run that shows itself.
pub(crate) struct Live {
    board: Arc<Mutex<Board>>,
    screen: Option<Screen>,
    /// What the store shows of it, until the ticker has it.
    file: Option<RunFile>,
    ticker: Option<Ticker>,
    store: Store,
}

struct Ticker {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// What is known of a run.
struct Board {
    picture: Picture,
    /// Of each row, since when it runs and where.
    running: Vec<Option<(Instant, PathBuf)>>,
    begun: Instant,
    jobs: usize,
}

impl Live {
    /// Of a run that has not begun; `screen` if it has a terminal.
    pub fn new(store: &Store, manifest: String, jobs: usize, screen: Option<Screen>) -> Self {
        let picture = Picture { manifest, ..Picture::default() };
        let board = Board { picture, running: Vec::new(), begun: Instant::now(), jobs };
        Self { board: Arc::new(Mutex::new(board)), screen, file: None, ticker: None, store: store.clone() }
    }

    /// Where its table is drawn.
    pub fn screen(&self) -> Option<&Screen> {
        self.screen.as_ref().filter(|_| self.ticker.is_some())
    }

    /// Takes up a plan whose stages have yet to be checked: `camflow watch` sees it from here on.
    pub fn announce(&mut self, plan: &Plan) {
        self.take_up(plan, |_| None);
        if plan.to_run().next().is_some() {
            // Without its file, as in a store that cannot be written to, a run shows itself on its own terminal alone.
            self.file = self.store.begin_run().ok();
            show(&self.board, false, None, self.file.as_ref());
        }
    }

    fn take_up(&self, plan: &Plan, spent: impl Fn(&Step) -> Option<f64>) {
        let mut board = self.board.lock().expect("no panic under this lock");
        board.picture.stages = rows(plan, spent);
        board.running = vec![None; board.picture.stages.len()];
    }

    /// Takes up a plan, and begins to show it.
    pub fn begin(&mut self, plan: &Plan, spent: impl Fn(&Step) -> Option<f64>) {
        self.take_up(plan, spent);
        if self.ticker.is_some() || plan.to_run().next().is_none() {
            return;
        }
        let file = self.file.take();
        let (stop, stopped) = channel::<()>();
        let (board, screen) = (Arc::clone(&self.board), self.screen.clone());
        let thread = thread::spawn(move || {
            let mut ticks = 0;
            loop {
                let look = ticks % LOOK == 0;
                show(&board, look, screen.as_ref(), file.as_ref().filter(|_| look));
                if stopped.recv_timeout(DRAW) != Err(RecvTimeoutError::Timeout) {
                    return show(&board, false, screen.as_ref(), file.as_ref());
                }
                ticks += 1;
            }
        });
        self.ticker = Some(Ticker { stop, thread });
    }

    /// A stage has been started.
    pub fn started(&self, id: &StageId, key: &Key, why: String) {
        let work = self.store.work_dir(&id.stage, key);
        self.change(id, |row, running| {
            *running = Some((Instant::now(), work));
            (row.state, row.why) = (RowState::Running, why);
            key.short().clone_into(&mut row.key);
        });
    }

    /// A stage is committed; this run has spent so many seconds on it, if any.
    pub fn committed(&self, id: &StageId, key: &Key, seconds: Option<f64>) {
        self.change(id, |row, running| {
            *running = None;
            row.state = if seconds.is_some() { RowState::Done } else { RowState::Cached };
            row.reached = None;
            row.seconds = seconds;
            key.short().clone_into(&mut row.key);
        });
    }

    /// A stage has failed.
    pub fn failed(&self, id: &StageId) {
        self.change(id, |row, running| {
            *running = None;
            row.state = RowState::Failed;
        });
    }

    /// A stage is not run.
    pub fn lost(&self, id: &StageId) {
        self.change(id, |row, _| row.state = RowState::NotRun);
    }

    fn change(&self, id: &StageId, change: impl FnOnce(&mut Row, &mut Option<(Instant, PathBuf)>)) {
        let mut board = self.board.lock().expect("no panic under this lock");
        let Board { picture, running, .. } = &mut *board;
        let place = picture.stages.iter().position(|row| row.stage == id.stage && row.experiment == id.experiment);
        // A step that is the same as another's has no row.
        if let Some(place) = place {
            change(&mut picture.stages[place], &mut running[place]);
        }
    }

    /// Shows a last picture; `None` if there was nothing to show.
    pub fn end(&mut self, how: &str) -> Option<Picture> {
        if let Some(file) = self.file.take() {
            // It was checked and not begun.
            self.board.lock().expect("no panic under this lock").picture.ended = Some(how.to_owned());
            show(&self.board, false, None, Some(&file));
        }
        let Ticker { stop, thread } = self.ticker.take()?;
        {
            let mut board = self.board.lock().expect("no panic under this lock");
            board.picture.ended = Some(how.to_owned());
            board.look();
        }
        drop(stop);
        let _ = thread.join();
        if let Some(screen) = &self.screen {
            screen.clear();
        }
        Some(self.board.lock().expect("no panic under this lock").picture.clone())
    }
}

/// Draws the picture and writes it down, after a look at the work.
fn show(board: &Mutex<Board>, look: bool, screen: Option<&Screen>, file: Option<&RunFile>) {
    let mut board = board.lock().expect("no panic under this lock");
    if look {
        board.look();
    }
    board.count_time();
    let picture = board.picture.clone();
    drop(board);
    if let Some(screen) = screen {
        screen.draw(std::slice::from_ref(&picture));
    }
    if let Some(file) = file {
        file.say(&serde_json::to_vec(&picture).expect("a picture is JSON"));
    }
}

impl Board {
    /// Looks how far the running stages have come.
    fn look(&mut self) {
        for (row, running) in self.picture.stages.iter_mut().zip(&self.running) {
            let Some((_, work)) = running else { continue };
            row.reached = Reached::read(work).or(row.reached.take());
        }
    }

    fn count_time(&mut self) {
        if self.picture.ended.is_none() {
            self.picture.seconds = self.begun.elapsed().as_secs_f64();
        }
        for (row, running) in self.picture.stages.iter_mut().zip(&self.running) {
            row.seconds = running.as_ref().map(|(since, _)| since.elapsed().as_secs_f64()).or(row.seconds);
        }
        self.picture.look_ahead(self.jobs);
    }
}

/// A row for each computation of the selected stages.
fn rows(plan: &Plan, spent: impl Fn(&Step) -> Option<f64>) -> Vec<Row> {
    let mut steps: Vec<&Step> = Vec::new();
    for step in plan.steps.iter().filter(|step| step.selected && step.shared_with.is_none()) {
        let same = |other: &&Step| other.is_cached() && other.stage == step.stage && other.key == step.key;
        if !(step.is_cached() && steps.iter().any(same)) {
            steps.push(step);
        }
    }
    // What is committed takes no time: nobody waits for it.
    let place = |need: &StageId| {
        let shared = plan.step(need).and_then(|step| step.shared_with.as_ref()).unwrap_or(&need.experiment);
        steps.iter().position(|step| step.stage == need.stage && step.experiment == *shared)
    };
    let row = |step: &Step| {
        let seconds = spent(step);
        let state = match (step.is_cached(), seconds) {
            (true, Some(_)) => RowState::Done,
            (true, None) => RowState::Cached,
            (false, _) => RowState::Waiting,
        };
        Row {
            experiment: step.experiment.clone(),
            stage: step.stage.clone(),
            state,
            key: step.key.as_ref().map(|key| key.short().to_owned()).unwrap_or_default(),
            reached: None,
            seconds: seconds.filter(|_| state == RowState::Done),
            last_seconds: step.last_seconds,
            why: reason::sentence(&step.reasons),
            needs: step.plan.needs.iter().filter_map(place).collect(),
        }
    };
    steps.iter().map(|step| row(step)).collect()
}
