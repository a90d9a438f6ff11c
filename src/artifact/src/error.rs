//! The one error type of the workspace, and the exit code that each kind of failure becomes.

use std::path::Path;

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
    /// The manifest or a command line asks for something that cannot be. Exit code 78.
    #[error("{0}")]
    Config(String),
    /// A parameter of a stage has a value that cannot be. Exit code 78.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// A file from outside is not what it should be. Exit code 65.
    #[error("{0}")]
    Data(String),
    /// An input of a stage is not committed in the store, or is damaged. Exit code 69.
    #[error("{0}")]
    NotCommitted(String),
    /// Stopped by a signal, with a checkpoint: run the same command again. Exit code 75.
    #[error("{0}")]
    Stopped(String),
    /// The computation itself failed, such as a loss that is not finite. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The operating system refused. Exit code 1.
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

    /// The process exit code of this failure (sysexits.h where it has one).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Data(_) => 65,
            Self::NotCommitted(_) => 69,
            Self::Stopped(_) => 75,
            Self::Config(_) | Self::Param(_) => 78,
            Self::Failed(_) | Self::Io { .. } => 1,
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
