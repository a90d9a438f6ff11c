//! How many bytes of how many have gone: a line on a terminal, nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// The line of a command.
#[derive(Clone, Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A line for `bytes` to come.
    pub fn new(what: &'static str, bytes: u64) -> Self {
        let bar = ProgressBar::new(bytes);
        let style = "{prefix:>6} {bar:24} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} eta {eta} \
                     {wide_msg}";
        bar.set_style(ProgressStyle::with_template(style).expect("the template is well formed"));
        bar.set_prefix(what);
        Self(bar)
    }

    /// What is going.
    pub fn at(&self, name: &str) {
        self.0.set_message(name.to_owned());
    }

    /// So many bytes more have gone, or need not go.
    pub fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Prints a line above.
    pub fn say(&self, line: &str) {
        self.0.suspend(|| eprintln!("{line}"));
    }

    /// Lets something else print above.
    pub fn above(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    /// Takes the line away.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
