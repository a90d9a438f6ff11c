//! The options by which the programs beside the stages find an artifact.

use std::path::PathBuf;

use artifact::Manifest;
use artifact::address::Place;
use clap::Args;

#[derive(Debug, Args)]
#[command(next_help_heading = "Where artifacts are")]
pub struct PlaceArgs {
    /// The manifest, which says where the store is and which experiment is the main one.
    #[arg(long, default_value = Manifest::DEFAULT_FILE, value_name = "FILE")]
    manifest: PathBuf,
    /// Lay a value over the manifest, as in --set train-cam.epochs=3 (may be repeated).
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// The artifact store, instead of the manifest's.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Whose artifact a stage alone names, instead of the main experiment's.
    #[arg(long, value_name = "NAME", add = command_line::experiments())]
    experiment: Option<String>,
}

impl PlaceArgs {
    /// Where artifacts are looked up.
    pub fn place(&self) -> Place {
        Place {
            manifest: self.manifest.clone(),
            sets: self.set.clone(),
            store: self.store.clone(),
            experiments: self.experiment.iter().cloned().collect(),
        }
    }
}
