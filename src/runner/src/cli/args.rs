//! What the commands have in common: options, and the ends of their help.

use std::path::PathBuf;

use artifact::Manifest;
use artifact::error::exit;
use clap::Args;
use runner::{PipelineSource, Selection};

/// Where the commands are that other programs answer.
const OTHER_PROGRAMS: &str = "\
Also, where these programs stand beside camflow:
  init     Look at a folder of pictures and labels and write its manifest (camflow-init)
  doctor   Look at this machine: libtorch, GPU, cores, disk, weights (camflow-doctor)
  export   Write masks, activation maps, a submission or a network as files (camflow-export)
  query    Ask questions of the tables (camflow-report)
  report   Write the report (camflow-report)
  weights  Show what a file of weights holds and which backbones it fits (camflow-weights)";

/// Ends the help of camflow and of `run`.
pub fn after_help() -> String {
    format!("{OTHER_PROGRAMS}\n\n{}", exit::HELP)
}

#[derive(Debug, Args)]
pub struct PipelineArgs {
    /// The manifest with the stages and every parameter
    #[arg(long, default_value = Manifest::DEFAULT_FILE, value_name = "FILE")]
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
    /// The experiment: all if not given; the main one for explain, dag, path, logs, diff and pin (may be repeated)
    #[arg(long, value_name = "NAME")]
    experiment: Vec<String>,
    /// Where the stage binaries are, instead of `CAMFLOW_BIN_DIR` or the directory of camflow
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SelectArgs {
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
pub struct OutputArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl From<PipelineArgs> for PipelineSource {
    fn from(given: PipelineArgs) -> Self {
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

impl From<SelectArgs> for Selection {
    fn from(given: SelectArgs) -> Self {
        Self { from: given.from, until: given.until, only: given.only, force: given.force }
    }
}
