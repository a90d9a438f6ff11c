//! What is wrong with a data set: every fault is found before any is told.

use std::path::Path;

use artifact::Error;
use artifact::error::printable;

/// Faults shown by name; the rest is counted.
const SHOWN: usize = 50;
/// Characters of a name out of a file that a message shows.
pub(super) const QUOTED: usize = 80;

/// Something wrong with one file or one parameter.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fault {
    file: String,
    reason: String,
}

impl Fault {
    pub(super) fn new(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { file: file.into(), reason: reason.into() }
    }

    /// On one line, whatever a file's name or content put into it.
    fn line(&self) -> String {
        printable(&format!("{}: {}", self.file, self.reason), usize::MAX)
    }
}

/// A name out of a file, not all of a long one.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", printable(text, QUOTED))
}

/// Keeps the fault, if it is one.
pub(super) fn take<T>(faults: &mut Vec<Fault>, outcome: Result<T, Fault>) -> Option<T> {
    outcome.map_err(|fault| faults.push(fault)).ok()
}

/// The one error that tells them all.
pub(super) fn report(root: &Path, mut faults: Vec<Fault>) -> Error {
    faults.sort();
    faults.dedup();
    let count = if faults.len() == 1 { "1 fault".to_owned() } else { format!("{} faults", faults.len()) };
    let shown: Vec<String> = faults.iter().take(SHOWN).map(|fault| format!("\n  {}", fault.line())).collect();
    let rest = match faults.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("\n  … and {more} more"),
    };
    Error::Data(format!("{count} in the data set at {}:{}{rest}", root.display(), shown.concat()))
}
