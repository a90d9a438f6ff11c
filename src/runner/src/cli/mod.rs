//! Commands and options.
//!
//! ```text
//! args    what the commands have in common: options, and the ends of their help
//! other   commands that other programs answer: `camflow-report`, which also answers queries, and more
//! shell   completions and manual pages
//! ```

use std::ffi::OsString;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use artifact::{Manifest, Result, address, units};
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use runner::{GcOptions, Interrupt, LogOptions, RemoteSource, RunOptions, WatchOptions};

use args::{OutputArgs, PipelineArgs, PullArgs, PushedArgs, SelectArgs, after_help};

mod args;
mod other;
mod shell;

/// Run the stages of a pipeline that are stale, and explain why they are
#[derive(Debug, Parser)]
#[command(name = "camflow", version, after_help = after_help())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run what is not committed
    #[command(after_help = after_help())]
    Run {
        #[command(flatten)]
        pipeline: PipelineArgs,
        #[command(flatten)]
        select: SelectArgs,
        /// Run up to N stage processes at a time: independent stages side by side, and those that work image by image
        /// as shards, with a GPU each (device = "cuda") or an even share of the cores
        #[arg(long, short, default_value_t = 1, value_name = "N")]
        #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
        jobs: u16,
        /// Who starts the processes: this command, or Slurm, to which all that is stale is handed at once
        #[arg(long, value_enum, default_value_t = Executor::Local, value_name = "WHO")]
        executor: Executor,
        #[command(flatten)]
        pull: PullArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// End the jobs that were handed to Slurm from this store and have not ended
    Cancel {
        #[command(flatten)]
        pipeline: PipelineArgs,
    },
    /// One task of a job: what `camflow run --executor slurm` has jobs do
    #[command(hide = true)]
    SlurmTask { attempt: PathBuf, job: String },
    /// How far the runs that go on have come, from another terminal or another machine on the same store
    ///
    /// Ends when they end. Stages that were started by hand are shown too.
    Watch {
        /// The manifest whose store is looked at
        #[arg(long, default_value = Manifest::DEFAULT_FILE, value_name = "FILE")]
        manifest: PathBuf,
        /// The artifact store, instead of the manifest's
        #[arg(long, value_name = "DIR")]
        store: Option<PathBuf>,
        /// Show how far they are now, and end
        #[arg(long)]
        once: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// What would run, why, and about how long it would take
    Plan {
        #[command(flatten)]
        pipeline: PipelineArgs,
        #[command(flatten)]
        select: SelectArgs,
        /// Print each process that is to run as a line of JSON: its command, its inputs, and what it waits for
        #[arg(long)]
        units: bool,
        /// Divide the stages that work image by image into N units each
        #[arg(long, default_value_t = 1, value_name = "N", requires = "units")]
        #[arg(value_parser = clap::value_parser!(u16).range(1..))]
        shards: u16,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// What is committed, since when, how large
    Status {
        /// Say too what the remote holds: that of URL, or the manifest's `pipeline.remote`
        #[arg(long, value_name = "URL", num_args = 0..=1)]
        #[expect(clippy::option_option, reason = "the option may stand without a URL")]
        remote: Option<Option<String>>,
        #[command(flatten)]
        pipeline: PipelineArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Why a stage is committed or not: which value changed, from what to what, at which line
    Explain {
        /// The stage
        #[arg(add = command_line::stages())]
        stage: String,
        #[command(flatten)]
        pipeline: PipelineArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// The stages as a tree
    Dag {
        #[command(flatten)]
        pipeline: PipelineArgs,
        /// Print a graph for Graphviz instead
        #[arg(long, conflicts_with = "json")]
        dot: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// The directory of a stage's artifact
    Path {
        /// The stage
        #[arg(add = command_line::stages())]
        stage: String,
        #[command(flatten)]
        pipeline: PipelineArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// The log of a stage, of its artifact or of the work in progress
    Logs {
        /// The stage
        #[arg(add = command_line::stages())]
        stage: String,
        /// Go on with what is written until the stage commits
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        pipeline: PipelineArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// The tables of a store: their columns, with type and meaning
    ///
    /// `camflow query` asks them in SQL, and adds the columns `experiment`, `source_stage` and `key`; with --tables it
    /// says which of them the store holds.
    Tables {
        /// The table; all if not given
        table: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// The metrics of every committed stage
    Metrics {
        #[command(flatten)]
        pipeline: PipelineArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Two artifacts beside one another: parameters, metrics, and rows, the worst first
    #[command(after_help = address::HELP)]
    Diff {
        /// The first artifact, such as train-cam@baseline or extract-msinf-cam:3f2a
        #[arg(value_name = "A")]
        a: String,
        /// The second artifact
        #[arg(value_name = "B")]
        b: String,
        /// How many rows of each table are named
        #[arg(long, default_value_t = 10, value_name = "N")]
        limit: usize,
        #[command(flatten)]
        pipeline: PipelineArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Read every artifact that is needed; set the damaged ones aside
    Verify {
        /// Read every artifact of the store, decode every row, and list what belongs to none
        #[arg(long)]
        deep: bool,
        #[command(flatten)]
        pipeline: PipelineArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Take over the result of an earlier version of a stage, of which nothing else has changed
    Accept {
        /// The stage
        #[arg(add = command_line::stages())]
        stage: String,
        /// Why the result is the same; kept with the artifact
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        pipeline: PipelineArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Remove the artifacts that neither the manifest nor a latest link or pin needs, and what is old in work/
    ///
    /// The manifest needs what its experiments resolve to, so its stage binaries have to be there. Whatever a kept
    /// artifact was computed from is kept too, and what somebody works on. Unfinished work and what was set aside as
    /// damaged stay for a day unless --older says otherwise. Where a stage has artifacts and no latest link at all,
    /// nothing is removed.
    Gc {
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
        /// Remove, the oldest first, until the store is no larger than this (500M, 20G)
        #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes)]
        max_size: Option<u64>,
        /// Remove only what is older than this (30m, 12h, 7d)
        #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
        older: Option<std::time::Duration>,
        #[command(flatten)]
        pushed: PushedArgs,
        #[command(flatten)]
        pipeline: PipelineArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Keep an artifact, and what it was computed from, whatever gc removes
    #[command(after_help = address::HELP)]
    Pin {
        /// The artifact
        artifact: String,
        /// What for
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        pipeline: PipelineArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Take a pin away
    #[command(after_help = address::HELP)]
    Unpin {
        /// The artifact
        artifact: String,
        #[command(flatten)]
        pipeline: PipelineArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// What makes a shell complete the command lines of camflow and of the stages: source <(camflow completions bash)
    Completions {
        /// bash, zsh, fish, elvish or powershell; that of `SHELL` if not given
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(command_line::shells()))]
        shell: Option<String>,
    },
    /// Write the manual pages of camflow, of the programs beside it, and of the manifest's stages
    Man {
        /// The directory, such as ~/.local/share/man/man1
        #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
        dir: PathBuf,
        /// The manifest whose stages are looked for
        #[arg(long, default_value = Manifest::DEFAULT_FILE, value_name = "FILE")]
        manifest: PathBuf,
    },
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// Who starts the processes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Executor {
    /// This command.
    Local,
    /// `[slurm]` of the manifest says what jobs ask for.
    Slurm,
}

/// Does what the command line asks for.
pub fn main() -> Result<ExitCode> {
    other::complete();
    // Asked for completions, camflow knows the commands of other programs too. The question is an environment variable,
    // which is read before the words are.
    let completes = command_line::is_asked();
    let command = || if completes { Cli::command().subcommands(other::stubs()) } else { Cli::command() };
    let cli: Cli = match command_line::parse_as(command) {
        Ok(cli) => cli,
        Err(code) => return Ok(code),
    };
    let out = &mut stdout();
    match cli.command {
        Command::Run { pipeline, select, executor: Executor::Slurm, pull, output, .. } => {
            let (source, selection, pull) = (pipeline.into(), select.into(), Option::from(pull));
            runner::pull_ahead(&source, &selection, pull.as_ref())?;
            runner::submit(&source, &selection, output.json, out)
        }
        Command::Cancel { pipeline } => runner::cancel(&pipeline.into(), out).map(drop),
        Command::SlurmTask { attempt, job } => {
            return runner::run_task(&attempt, &job).map(ExitCode::from);
        }
        Command::Run { pipeline, select, jobs, pull, output, .. } => {
            let (source, selection, jobs, pull) = (pipeline.into(), select.into(), usize::from(jobs), pull.into());
            let interrupt = Interrupt::on_signals()?;
            let options = RunOptions { source, selection, jobs, pull, interrupt, json: output.json };
            runner::run(&options, out).map(drop)
        }
        Command::Watch { manifest, store, once, output } => {
            let store = store.map_or_else(|| Manifest::load(&manifest, &[])?.store(), Ok)?;
            runner::watch(&store, WatchOptions { once, json: output.json }, out)
        }
        Command::Verify { deep, pipeline, output } => {
            runner::verify(&pipeline.into(), deep, output.json, out).map(drop)
        }
        Command::Accept { stage, reason, pipeline, output } => {
            runner::accept(&pipeline.into(), &stage, &reason, output.json, out).map(drop)
        }
        Command::Gc { dry_run, max_size, older, pushed, pipeline, output } => {
            let options = GcOptions { dry_run, max_size, older, pushed: pushed.into() };
            runner::gc(&pipeline.into(), &options, output.json, out).map(drop)
        }
        Command::Pin { artifact, reason, pipeline, output } => {
            runner::pin(&pipeline.into(), &artifact, &reason, output.json, out)
        }
        Command::Unpin { artifact, pipeline, output } => runner::unpin(&pipeline.into(), &artifact, output.json, out),
        Command::Completions { shell } => shell::completions(shell.as_deref(), out),
        Command::Man { dir, manifest } => shell::man(&dir, &manifest, out),
        Command::Other(words) => other::hand_over(&words),
        question => answer(question, out),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Answers a question that changes nothing.
fn answer(question: Command, out: &mut dyn Write) -> Result<()> {
    match question {
        Command::Plan { pipeline, select, units: true, shards, .. } => {
            runner::units(&pipeline.into(), &select.into(), usize::from(shards), out)
        }
        Command::Plan { pipeline, select, output, .. } => {
            runner::plan(&pipeline.into(), &select.into(), output.json, out)
        }
        Command::Status { remote, pipeline, output } => {
            let remote = remote.map(|url| RemoteSource { url });
            runner::status(&pipeline.into(), remote.as_ref(), output.json, out)
        }
        Command::Explain { stage, pipeline, output } => {
            runner::explain(&pipeline.into(), &stage, output.json, out).map(drop)
        }
        Command::Dag { pipeline, dot: true, .. } => runner::dot(&pipeline.into(), out),
        Command::Dag { pipeline, dot: false, output } => runner::dag(&pipeline.into(), output.json, out),
        Command::Path { stage, pipeline, output } => runner::path(&pipeline.into(), &stage, output.json, out),
        Command::Logs { stage, follow, pipeline, output } => {
            runner::logs(&pipeline.into(), &stage, LogOptions { follow, json: output.json }, out)
        }
        Command::Tables { table, output } => runner::tables(table.as_deref(), output.json, out),
        Command::Metrics { pipeline, output } => runner::metrics(&pipeline.into(), output.json, out),
        Command::Diff { a, b, limit, pipeline, output } => {
            runner::diff(&pipeline.into(), [&a, &b], limit, output.json, out).map(drop)
        }
        _ => unreachable!("every other command is done above"),
    }
}
