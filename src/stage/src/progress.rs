//! How far a stage has come: one live line on a terminal, plain lines where nobody watches, nothing where a runner
//! shows it, and in each case a file in the work directory (`reached`).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::reached::{Reached, ReachedFile};
use crate::{runner_link, say};

/// How often a plain line is printed.
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);

/// Done / total, rate, time left, and a message such as the loss.
pub struct Progress {
    bar: ProgressBar,
    name: String,
    unit: &'static str,
    shown: Shown,
    file: Option<ReachedFile>,
}

/// Where people see it.
enum Shown {
    /// In a line of this process.
    Live,
    /// In a line now and then, the last one at this instant.
    Plain(Mutex<Instant>),
    /// In the table of the runner.
    Elsewhere,
}

impl Progress {
    /// A line for `total` units of work of which `done` are done already.
    pub fn new(name: &str, unit: &'static str, done: usize, total: usize) -> Self {
        let shown = Self::shown();
        Self::shown_in(shown, name, unit, [done, total])
    }

    /// As [`Progress::new`], of work that another process shows.
    pub(crate) fn unseen(name: &str, unit: &'static str, done: usize, total: usize) -> Self {
        Self::shown_in(Shown::Elsewhere, name, unit, [done, total])
    }

    fn shown() -> Shown {
        match (runner_link::is_shown(), is_live()) {
            (true, _) => Shown::Elsewhere,
            (false, true) => Shown::Live,
            (false, false) => Shown::Plain(Mutex::new(Instant::now())),
        }
    }

    fn shown_in(shown: Shown, name: &str, unit: &'static str, [done, total]: [usize; 2]) -> Self {
        let live = matches!(shown, Shown::Live);
        let target = if live { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total as u64), target);
        let rate = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{:.1} {unit}/s", state.per_sec());
        };
        let style = ProgressStyle::with_template("{prefix:>18} {bar:24} {pos}/{len} {rate} eta {eta} {wide_msg}")
            .expect("the template is well formed")
            .with_key("rate", rate);
        bar.set_style(style);
        bar.set_prefix(name.to_owned());
        bar.set_position(done as u64);
        bar.reset_eta();
        Self { bar, name: name.to_owned(), unit, shown, file: None }
    }

    /// The same, kept in a file too.
    pub(crate) fn kept(self, file: ReachedFile) -> Self {
        file.write(&self.reached(String::new()));
        Self { file: Some(file), ..self }
    }

    /// `done` of `total` units are done; for work that counts itself, from any thread.
    pub fn set(&self, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        self.write(String::new);
    }

    /// `count` more units are done; `message` stands at the end of the line.
    pub fn advance(&self, count: usize, message: impl Fn() -> String) {
        self.bar.inc(count as u64);
        match &self.shown {
            Shown::Live => self.bar.set_message(message()),
            Shown::Plain(last) => {
                let mut last = last.lock().expect("no panic under this lock");
                if last.elapsed() >= PLAIN_INTERVAL {
                    *last = Instant::now();
                    self.say(&message());
                }
            }
            Shown::Elsewhere => {}
        }
        self.write(message);
    }

    /// Does something on the terminal while the live line is away.
    pub fn suspended<T>(&self, work: impl FnOnce() -> T) -> T {
        self.bar.suspend(work)
    }

    /// Removes the live line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self, message: &str) {
        let Reached { done, total, rate, .. } = self.reached(String::new());
        let (unit, eta) = (self.unit, self.bar.eta().as_secs());
        say(&self.name, format_args!("{done}/{total} {unit}, {rate:.1} {unit}/s, {eta} s left {message}"));
    }

    /// Writes the file if it is time to, and once all is done.
    fn write(&self, message: impl Fn() -> String) {
        let Some(file) = &self.file else { return };
        if file.is_due() || Some(self.bar.position()) == self.bar.length() {
            file.write(&self.reached(message()));
        }
    }

    fn reached(&self, note: String) -> Reached {
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or_default());
        let rate = Some(self.bar.per_sec()).filter(|rate| rate.is_finite()).unwrap_or_default();
        Reached { unit: self.unit.to_owned(), done, total, rate, note }
    }
}

/// Is standard error a terminal on which lines can be drawn anew?
pub fn is_live() -> bool {
    !ProgressDrawTarget::stderr().is_hidden()
}
