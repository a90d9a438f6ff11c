//! The `camflow` binary. Its one module is `cli`: commands, options, and the exit code.

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
