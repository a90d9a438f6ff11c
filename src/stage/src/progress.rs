//! One live line a stage; plain lines where nobody watches.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How often a plain line is printed.
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);

/// Done / total, rate, time left, and a message such as the loss.
pub struct Progress {
    bar: ProgressBar,
    name: String,
    unit: &'static str,
    plain: Option<Mutex<Instant>>,
}

impl Progress {
    /// A line for `total` units of work of which `done` are done already.
    pub fn new(name: &str, unit: &'static str, done: usize, total: usize) -> Self {
        let live = std::io::stderr().is_terminal();
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
        Self { bar, name: name.to_owned(), unit, plain: (!live).then(|| Mutex::new(Instant::now())) }
    }

    /// `done` of `total` units are done; for work that counts itself, from any thread.
    pub fn set(&self, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
    }

    /// `count` more units are done; `message` stands at the end of the line.
    pub fn advance(&self, count: usize, message: impl FnOnce() -> String) {
        self.bar.inc(count as u64);
        let Some(last) = &self.plain else {
            return self.bar.set_message(message());
        };
        let mut last = last.lock().expect("no panic under this lock");
        if last.elapsed() >= PLAIN_INTERVAL {
            *last = Instant::now();
            let (position, length) = (self.bar.position(), self.bar.length().unwrap_or_default());
            let (rate, eta) = (self.bar.per_sec(), self.bar.eta().as_secs());
            let (name, unit) = (&self.name, self.unit);
            eprintln!("{name}: {position}/{length} {unit}, {rate:.1} {unit}/s, {eta} s left {}", message());
        }
    }

    /// Removes the live line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
