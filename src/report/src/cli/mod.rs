//! Command lines, exit codes, and which store is read.
//!
//! ```text
//! query   `camflow query`: SQL over the tables of a store
//! report  `camflow report`: a store as one page, or the paper's tables
//! ```

mod query;
mod report;

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::report::holdings::Holdings;
use artifact::error::exit;
use artifact::{Error, Manifest, Result};
use clap::{Parser, Subcommand};

/// Read what the stages of a pipeline have committed.
#[derive(Debug, Parser)]
#[command(name = "camflow", bin_name = "camflow", version, propagate_version = true, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Query(query::Query),
    Report(report::Report),
}

/// Does what the command line asks for.
pub fn main() -> ExitCode {
    let cli: Cli = match command_line::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let (name, done) = match cli.command {
        Command::Query(query) => (query::NAME, query.run()),
        Command::Report(report) => (report::NAME, report.run()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// The manifest and the store to read.
///
/// The manifest is the named one, else `pipeline.toml` where there is one. The store is the directory if one is named,
/// else the manifest's, else where `make pipeline` puts it.
///
/// # Errors
/// [`Error::Config`] if the manifest does not hold; that of a `pipeline.toml` which nobody named matters only where no
/// store is named either.
fn manifest_and_store(manifest: Option<&Path>, store: Option<PathBuf>) -> Result<(Option<Manifest>, PathBuf)> {
    let default = Path::new(Manifest::DEFAULT_FILE);
    let manifest = match manifest {
        Some(path) => Some(Manifest::load(path, &[])?),
        None if store.is_some() => Manifest::load(default, &[]).ok(),
        None if default.exists() => Some(Manifest::load(default, &[])?),
        None => None,
    };
    let store = match (store, &manifest) {
        (Some(store), _) => store,
        (None, Some(manifest)) => manifest.store()?,
        (None, None) => PathBuf::from("artifacts"),
    };
    Ok((manifest, store))
}

/// Says on stderr what of the store was left out.
fn warn(name: &str, holdings: &Holdings) {
    for warning in holdings.warnings() {
        eprintln!("{name}: {warning}");
    }
}

/// Writes to stdout. A reader that has gone away, such as `head`, has seen enough.
fn print(bytes: &[u8]) -> Result<()> {
    match std::io::stdout().write_all(bytes) {
        Err(source) if source.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Io { action: "cannot write to the standard output".to_owned(), source })
        }
        _ => Ok(()),
    }
}
