//! Lines for people on standard error.

use std::fmt::Display;
use std::io::Write as _;

/// Says something in the name of a stage. That nobody reads it any longer, as when the terminal or the runner is gone,
/// is no reason to stop: a checkpoint may yet have to be written.
pub fn say(name: &str, what: impl Display) {
    let _ = writeln!(std::io::stderr(), "{name}: {what}");
}
