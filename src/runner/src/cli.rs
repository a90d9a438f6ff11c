//! Commands and options, and the hand-over to `camflow-query`, `camflow-report` and `camflow-weights`.

use std::ffi::OsString;
use std::io::stdout;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitCode};

use artifact::{Error, Result};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use runner::{Interrupt, RunOptions, Selection, Source};

const AFTER_HELP: &str = "\
Also, where these programs stand beside camflow:
  query    Ask questions of the tables (camflow-query)
  report   Write the report (camflow-report)
  weights  Show what a file of weights holds and which backbones it fits (camflow-weights)

Exit codes:
  0   done
  65  input data is bad
  69  an artifact is not committed or damaged
  75  stopped by a signal with a checkpoint; run the same command again to go on
  78  the manifest or the command line is wrong
  1   anything else";

/// Run the stages of a pipeline that are stale, and explain why they are
#[derive(Debug, Parser)]
#[command(name = "camflow", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run what is not committed
    #[command(after_help = AFTER_HELP)]
    Run {
        #[command(flatten)]
        pipeline: Pipeline,
        #[command(flatten)]
        select: Select,
        /// Run up to N stage processes at a time: independent stages side by side, and those that work image by image
        /// as shards, with a GPU each (device = "cuda") or an even share of the cores
        #[arg(long, short, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
        jobs: u16,
        #[command(flatten)]
        output: Output,
    },
    /// What would run, why, and what it cost last time
    Plan {
        #[command(flatten)]
        pipeline: Pipeline,
        #[command(flatten)]
        select: Select,
        #[command(flatten)]
        output: Output,
    },
    /// What is committed, since when, how large
    Status {
        #[command(flatten)]
        pipeline: Pipeline,
        #[command(flatten)]
        output: Output,
    },
    /// Why a stage is committed or not: which value changed, from what to what, at which line
    Explain {
        /// The stage
        stage: String,
        #[command(flatten)]
        pipeline: Pipeline,
        #[command(flatten)]
        output: Output,
    },
    /// The stages as a tree
    Dag {
        #[command(flatten)]
        pipeline: Pipeline,
        /// Print a graph for Graphviz instead
        #[arg(long)]
        dot: bool,
    },
    /// The directory of a stage's artifact
    Path {
        /// The stage
        stage: String,
        #[command(flatten)]
        pipeline: Pipeline,
    },
    /// The log of a stage
    Logs {
        /// The stage
        stage: String,
        #[command(flatten)]
        pipeline: Pipeline,
    },
    /// The metrics of every committed stage
    Metrics {
        #[command(flatten)]
        pipeline: Pipeline,
        #[command(flatten)]
        output: Output,
    },
    /// Read every artifact whole; set the damaged ones aside
    Verify {
        #[command(flatten)]
        pipeline: Pipeline,
    },
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

#[derive(Debug, Args)]
struct Pipeline {
    /// The manifest with the stages and every parameter
    #[arg(long, default_value = "pipeline.toml", value_name = "FILE")]
    manifest: PathBuf,
    /// Lay a value over the manifest, as in --set train-cam.epochs=3 (may be repeated)
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// The artifact store, instead of the manifest's
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// cpu, cuda or cuda:N, instead of the manifest's
    #[arg(long)]
    device: Option<String>,
    /// The experiment: all if not given; the main one for explain, dag, path and logs (may be repeated)
    #[arg(long, value_name = "NAME")]
    experiment: Vec<String>,
    /// Where the stage binaries are, instead of `CAMFLOW_BIN_DIR` or the directory of camflow
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Select {
    /// Only this stage and all that depend on it
    #[arg(long, value_name = "STAGE")]
    from: Option<String>,
    /// Only this stage and all that it depends on
    #[arg(long, value_name = "STAGE")]
    until: Option<String>,
    /// Only this stage
    #[arg(long, value_name = "STAGE", conflicts_with_all = ["from", "until"])]
    only: Option<String>,
    /// Run this stage even if it is committed (may be repeated)
    #[arg(long, value_name = "STAGE")]
    force: Vec<String>,
}

#[derive(Debug, Args)]
struct Output {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl From<Pipeline> for Source {
    fn from(given: Pipeline) -> Self {
        Self {
            manifest: given.manifest,
            sets: given.set,
            store: given.store,
            device: given.device,
            experiments: given.experiment,
            bin_dir: given.bin_dir,
        }
    }
}

impl From<Select> for Selection {
    fn from(given: Select) -> Self {
        Self { from: given.from, until: given.until, only: given.only, force: given.force }
    }
}

/// Does what the command line asks for.
pub fn main() -> Result<ExitCode> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return Ok(if error.use_stderr() { ExitCode::from(78) } else { ExitCode::SUCCESS });
        }
    };
    let out = &mut stdout();
    match cli.command {
        Command::Run { pipeline, select, jobs, output } => {
            let (source, selection, jobs) = (pipeline.into(), select.into(), usize::from(jobs));
            let options =
                RunOptions { source, selection, jobs, interrupt: Interrupt::on_signals()?, json: output.json };
            runner::run(&options, out).map(drop)
        }
        Command::Plan { pipeline, select, output } => runner::plan(&pipeline.into(), &select.into(), output.json, out),
        Command::Status { pipeline, output } => runner::status(&pipeline.into(), output.json, out),
        Command::Explain { stage, pipeline, output } => {
            runner::explain(&pipeline.into(), &stage, output.json, out).map(drop)
        }
        Command::Dag { pipeline, dot: false } => runner::dag(&pipeline.into(), out),
        Command::Dag { pipeline, dot: true } => runner::dot(&pipeline.into(), out),
        Command::Path { stage, pipeline } => runner::path(&pipeline.into(), &stage, out),
        Command::Logs { stage, pipeline } => runner::logs(&pipeline.into(), &stage, out),
        Command::Metrics { pipeline, output } => runner::metrics(&pipeline.into(), output.json, out),
        Command::Verify { pipeline } => runner::verify(&pipeline.into(), out),
        Command::Other(words) => hand_over(&words),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Becomes `camflow-<name>`, as git becomes git-<name>: found beside this program, else on the PATH.
fn hand_over(words: &[OsString]) -> Result<()> {
    let (name, rest) = words.split_first().expect("clap gives the name first");
    let mut program = OsString::from("camflow-");
    program.push(name);
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.to_owned()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = beside.into_iter().chain(std::env::split_paths(&path));
    let found = dirs.map(|dir| dir.join(&program)).find(|file| file.is_file());
    let Some(file) = found else {
        let command = Cli::command();
        let known: Vec<_> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let (name, program) = (name.to_string_lossy(), Path::new(&program).display());
        return Err(Error::Config(format!(
            "no command '{name}', and no program {program} beside camflow or on the PATH; there are {}, query, report, weights",
            known.join(", ")
        )));
    };
    Err(Error::io("start", &file)(Process::new(&file).args(rest).exec()))
}
