//! What a command is asked for, independent of the command line it may have come from.

use std::path::PathBuf;

use artifact::Manifest;
use artifact::address::Place;

use crate::process::Interrupt;
use crate::remote::RemoteSource;

/// Which pipeline, in which store, with which stage binaries.
#[derive(Clone, Debug)]
pub struct PipelineSource {
    /// The manifest.
    pub manifest: PathBuf,
    /// `--set` assignments, such as `train-cam.epochs=3`.
    pub sets: Vec<String>,
    /// Wins over the manifest's `pipeline.store`.
    pub store: Option<PathBuf>,
    /// Wins over the manifest's `pipeline.device`.
    pub device: Option<String>,
    /// The experiments in question; all of the manifest if empty.
    pub experiments: Vec<String>,
    /// Where the stage binaries are; else `CAMFLOW_BIN_DIR`, else the directory of this program.
    pub bin_dir: Option<PathBuf>,
}

/// Which stages may run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// This stage and all that depend on it.
    pub from: Option<String>,
    /// This stage and all that it depends on.
    pub until: Option<String>,
    /// This stage alone.
    pub only: Option<String>,
    /// Stages that run although they are committed.
    pub force: Vec<String>,
}

/// Options of [`run()`](crate::run()).
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The pipeline.
    pub source: PipelineSource,
    /// The stages that may run.
    pub selection: Selection,
    /// How many stage processes may run at a time; at least 1.
    pub jobs: usize,
    /// The remote that is asked for a key before it is computed.
    pub pull: Option<RemoteSource>,
    /// How the run is told to stop.
    pub interrupt: Interrupt,
    /// Print the summary as JSON; progress and the stages' own output then go to standard error.
    pub json: bool,
}

impl Default for PipelineSource {
    fn default() -> Self {
        Self {
            manifest: PathBuf::from(Manifest::DEFAULT_FILE),
            sets: Vec::new(),
            store: None,
            device: None,
            experiments: Vec::new(),
            bin_dir: None,
        }
    }
}

impl PipelineSource {
    /// All assignments, that of the device included, in the order in which they are laid over the manifest.
    pub(crate) fn all_sets(&self) -> Vec<String> {
        let device = self.device.iter().map(|device| format!("pipeline.device={device}"));
        self.sets.iter().cloned().chain(device).collect()
    }

    /// Where the artifacts are that a command names.
    pub(crate) fn place(&self) -> Place {
        let Self { manifest, store, experiments, .. } = self.clone();
        Place { manifest, sets: self.all_sets(), store, experiments }
    }
}
