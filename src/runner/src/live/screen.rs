//! A table on a terminal that is drawn anew in its place, and lines that appear above it.

use std::io::IsTerminal as _;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::picture::Picture;
use super::table::{Room, lines};

/// How often it is drawn in a second.
const HERTZ: u8 = 8;

/// A table in its place. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Screen(ProgressBar);

impl Screen {
    /// Where both standard output and standard error are a terminal that can draw lines anew.
    pub fn open() -> Option<Self> {
        if !(stage::is_live() && std::io::stdout().is_terminal()) {
            return None;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(HERTZ));
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is well formed"));
        Some(Self(bar))
    }

    /// Draws what the pictures show.
    pub fn draw(&self, pictures: &[Picture]) {
        let (height, width) = Term::stderr().size();
        let height = Some(usize::from(height) / pictures.len().max(1));
        let room = Room { width: usize::from(width).saturating_sub(1).max(1), height };
        let text: Vec<_> = pictures.iter().flat_map(|picture| lines(picture, room)).collect();
        self.0.set_message(text.join("\n"));
    }

    /// Writes a line above the table.
    pub fn above(&self, line: &str) {
        self.0.println(line);
    }

    /// Takes the table away.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// How wide a line is where there is no terminal.
const WIDE: u16 = 200;

/// The lines of pictures that stay: all stages of them, as wide as the terminal is.
pub(crate) fn lasting(pictures: &[Picture]) -> String {
    let width = Term::stdout().size_checked().map_or(WIDE, |(_, width)| width);
    let room = Room { width: usize::from(width), height: None };
    pictures.iter().flat_map(|picture| lines(picture, room)).map(|line| line + "\n").collect()
}
