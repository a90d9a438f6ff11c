//! The command line of the programs that stand beside the stages.

use std::process::ExitCode;

use artifact::error::exit;
use clap::Parser;

/// The words of the command line; else it is printed what is wrong with them, or their help, and how to end.
pub fn parse<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(exit::CONFIG) } else { ExitCode::SUCCESS }
    })
}
