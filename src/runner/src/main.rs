//! The `camflow` binary. Its one module is `cli`: commands, options, and the exit code.

use std::io::Write as _;
use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    match cli::main() {
        Ok(code) => code,
        Err(error) => {
            // The terminal may be gone.
            let _ = writeln!(std::io::stderr(), "camflow: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
