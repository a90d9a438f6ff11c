//! `camflow-report`: `camflow query` and `camflow report` in one program, as each link of Polars makes 120 MB.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::main()
}
