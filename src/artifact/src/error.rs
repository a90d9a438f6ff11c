//! The one error type of the workspace, and the exit code that each kind of failure becomes.

use std::path::Path;

/// The exit codes of every program, from `sysexits.h` where it has one. 0 is success.
pub mod exit {
    /// Whatever has no code of its own.
    pub const OTHER: u8 = 1;
    /// `EX_DATAERR`: a file from outside is not what it should be.
    pub const DATA: u8 = 65;
    /// `EX_UNAVAILABLE`: an input is not committed in the store, or is damaged.
    pub const NOT_COMMITTED: u8 = 69;
    /// `EX_TEMPFAIL`: stopped by a signal, with a checkpoint.
    pub const STOPPED: u8 = 75;
    /// `EX_CONFIG`: the manifest or the command line asks for something that cannot be.
    pub const CONFIG: u8 = 78;

    /// All of them, as the help of a program lists them.
    pub const HELP: &str = "\
Exit codes:
  0   done
  65  input data is bad
  69  an artifact is not committed or damaged
  75  stopped by a signal with a checkpoint; run the same command again to go on
  78  the manifest or the command line is wrong
  1   anything else";
}

/// A parameter with a value that cannot be: its name and the reason, apart, so that whoever knows the manifest can say
/// where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct ParamError {
    /// Dotted name below the stage's table, such as `optimizer.lr`.
    pub name: String,
    /// What is wrong with the value, and what it should be.
    pub reason: String,
}

impl ParamError {
    /// Of the parameter `name`.
    pub fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), reason: reason.into() }
    }

    /// The same parameter seen from the table above `table`.
    #[must_use]
    pub fn below(self, table: &str) -> Self {
        Self { name: format!("{table}.{}", self.name), ..self }
    }
}

/// A failure, told for the person who has to mend it: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest or a command line asks for something that cannot be: [`exit::CONFIG`].
    #[error("{0}")]
    Config(String),
    /// A parameter of a stage has a value that cannot be: [`exit::CONFIG`].
    #[error(transparent)]
    Param(#[from] ParamError),
    /// A file from outside is not what it should be: [`exit::DATA`].
    #[error("{0}")]
    Data(String),
    /// An input of a stage is not committed in the store, or is damaged: [`exit::NOT_COMMITTED`].
    #[error("{0}")]
    NotCommitted(String),
    /// Stopped by a signal, with a checkpoint; the same command goes on: [`exit::STOPPED`].
    #[error("{0}")]
    Stopped(String),
    /// The computation itself failed, such as a loss that is not finite: [`exit::OTHER`].
    #[error("{0}")]
    Failed(String),
    /// The operating system refused: [`exit::OTHER`].
    #[error("{action}: {source}")]
    Io {
        /// What was tried, with the path.
        action: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The result of everything fallible here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wraps what the system said about `path`, as in `.map_err(Error::io("read", path))`.
    pub fn io(verb: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let action = format!("cannot {verb} {}", path.display());
        move |source| Self::Io { action, source }
    }

    /// The same failure, with what could not be done because of it before its message.
    #[must_use]
    pub fn within(self, what: &str) -> Self {
        match self {
            Self::Config(reason) => Self::Config(format!("{what}: {reason}")),
            Self::Param(error) => Self::Config(format!("{what}: {error}")),
            Self::Data(reason) => Self::Data(format!("{what}: {reason}")),
            Self::NotCommitted(reason) => Self::NotCommitted(format!("{what}: {reason}")),
            Self::Stopped(reason) => Self::Stopped(format!("{what}: {reason}")),
            Self::Failed(reason) => Self::Failed(format!("{what}: {reason}")),
            Self::Io { action, source } => Self::Io { action: format!("{what}: {action}"), source },
        }
    }

    /// The process exit code of this failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Data(_) => exit::DATA,
            Self::NotCommitted(_) => exit::NOT_COMMITTED,
            Self::Stopped(_) => exit::STOPPED,
            Self::Config(_) | Self::Param(_) => exit::CONFIG,
            Self::Failed(_) | Self::Io { .. } => exit::OTHER,
        }
    }

    /// The failure of a process that ended with this exit code; `None` is the end by a signal.
    pub fn from_exit_code(code: Option<i32>, message: String) -> Self {
        match code.and_then(|code| u8::try_from(code).ok()) {
            Some(exit::DATA) => Self::Data(message),
            Some(exit::NOT_COMMITTED) => Self::NotCommitted(message),
            Some(exit::STOPPED) => Self::Stopped(message),
            Some(exit::CONFIG) => Self::Config(message),
            _ => Self::Failed(message),
        }
    }
}

/// Text out of a file as a message may hold it: control characters escaped, and of a long one its first `longest`.
pub fn printable(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().take(longest) {
        if c.is_control() { shown.extend(c.escape_debug()) } else { shown.push(c) }
    }
    if text.chars().nth(longest).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_leads_back_to_its_failure() {
        for code in [exit::OTHER, exit::DATA, exit::NOT_COMMITTED, exit::STOPPED, exit::CONFIG] {
            let error = Error::from_exit_code(Some(code.into()), "said".into());
            assert_eq!((error.exit_code(), error.to_string().as_str()), (code, "said"));
            assert!(exit::HELP.contains(&format!("\n  {code:<4}")), "{code}");
        }
        for other in [None, Some(2), Some(256 + 65)] {
            assert_eq!(Error::from_exit_code(other, String::new()).exit_code(), exit::OTHER, "{other:?}");
        }
    }
}
