//! The `camflow` binary: the command line of the runner.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    match cli::main() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("camflow: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
