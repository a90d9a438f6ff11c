//! Commands, options, and exit codes.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use artifact::error::exit;
use artifact::{Error, Result};
use clap::{Parser, Subcommand};
use serde::Serialize;
use tokio::runtime::Builder;

use crate::held::Held;
use crate::pull::{Pull, Pulled};
use crate::push::{Push, Pushed};

/// Share what the stages of a pipeline have committed.
#[derive(Debug, Parser)]
#[command(name = "camflow", bin_name = "camflow", version, propagate_version = true, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Push(Push),
    Pull(Pull),
    #[command(hide = true)]
    Held(Held),
}

/// Does what the command line asks for.
pub fn main() -> ExitCode {
    let cli: Cli = match command_line::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("camflow: cannot start: {error}");
            return ExitCode::from(exit::OTHER);
        }
    };
    let (name, done) = match cli.command {
        Command::Push(push) => {
            let mut out = |done: &[Pushed], all: bool| told(done, all, push.json(), Pushed::line);
            ("camflow push", runtime.block_on(push.run(&mut out)))
        }
        Command::Pull(pull) => {
            let mut out = |done: &[Pulled], all: bool| told(done, all, pull.json(), Pulled::line);
            ("camflow pull", runtime.block_on(pull.run(&mut out)))
        }
        Command::Held(held) => ("camflow held", runtime.block_on(held.run()).and_then(|held| print(&json(&held)))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints a line for each artifact as it is done, or all of them as JSON at the end. That nobody reads is no failure.
fn told<T: Serialize>(done: &[T], all: bool, as_json: bool, line: impl Fn(&T) -> String) {
    let text = match (as_json, all) {
        (true, true) => json(done),
        (false, false) => done.iter().flat_map(|one| [line(one), "\n".to_owned()]).collect(),
        _ => return,
    };
    let _ = print(&text);
}

fn json(value: &(impl Serialize + ?Sized)) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).expect("answers are JSON"))
}

fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(source) if source.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Io { action: "cannot write to the standard output".to_owned(), source })
        }
        _ => Ok(()),
    }
}
