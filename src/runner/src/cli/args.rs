//! What the commands have in common: options, and the ends of their help.

use std::path::PathBuf;

use artifact::error::exit;
use clap::Args;
use command_line::PlaceArgs;
use runner::{PipelineSource, RemoteSource, Selection};

use super::other;

/// Ends the help of camflow and of `run`.
pub fn after_help() -> String {
    format!("{}\n{}", other::help(), exit::HELP)
}

#[derive(Debug, Args)]
pub struct PipelineArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// cpu, cuda or cuda:N, instead of the manifest's
    #[arg(long)]
    device: Option<String>,
    /// The experiment: all if not given; the main one for explain, dag, path, logs, diff and pin (may be repeated)
    #[arg(long, value_name = "NAME", add = command_line::experiments())]
    experiment: Vec<String>,
    /// Where the stage binaries are, instead of `CAMFLOW_BIN_DIR` or the directory of camflow
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SelectArgs {
    /// Only this stage and all that depend on it
    #[arg(long, value_name = "STAGE", add = command_line::stages())]
    from: Option<String>,
    /// Only this stage and all that it depends on
    #[arg(long, value_name = "STAGE", add = command_line::stages())]
    until: Option<String>,
    /// Only this stage
    #[arg(long, value_name = "STAGE", conflicts_with_all = ["from", "until"], add = command_line::stages())]
    only: Option<String>,
    /// Run this stage even if it is committed (may be repeated)
    #[arg(long, value_name = "STAGE", add = command_line::stages())]
    force: Vec<String>,
}

#[derive(Debug, Args)]
pub struct PullArgs {
    /// Fetch what the remote holds instead of computing it
    #[arg(long)]
    pull: bool,
    /// URL of the remote, instead of the manifest's `pipeline.remote`: file://, s3://, gs://, az://, or a directory
    #[arg(long, value_name = "URL", requires = "pull")]
    remote: Option<String>,
}

#[derive(Debug, Args)]
pub struct PushedArgs {
    /// Remove of the artifacts only those that the remote holds; every file of them is read there first
    #[arg(long)]
    pushed: bool,
    /// URL of the remote, instead of the manifest's `pipeline.remote`
    #[arg(long, value_name = "URL", requires = "pushed")]
    remote: Option<String>,
}

#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl From<PullArgs> for Option<RemoteSource> {
    fn from(given: PullArgs) -> Self {
        given.pull.then_some(RemoteSource { url: given.remote })
    }
}

impl From<PushedArgs> for Option<RemoteSource> {
    fn from(given: PushedArgs) -> Self {
        given.pushed.then_some(RemoteSource { url: given.remote })
    }
}

impl From<PipelineArgs> for PipelineSource {
    fn from(given: PipelineArgs) -> Self {
        Self {
            manifest: given.place.manifest,
            sets: given.place.set,
            store: given.place.store,
            device: given.device,
            experiments: given.experiment,
            bin_dir: given.bin_dir,
        }
    }
}

impl From<SelectArgs> for Selection {
    fn from(given: SelectArgs) -> Self {
        Self { from: given.from, until: given.until, only: given.only, force: given.force }
    }
}
