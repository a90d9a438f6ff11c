//! The options by which programs find a manifest, its store, and an artifact in it.

use std::path::PathBuf;

use artifact::Manifest;
use artifact::address::Place;
use clap::Args;

/// Which manifest, and which store.
#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// The manifest with the stages and every parameter
    #[arg(long, default_value = Manifest::DEFAULT_FILE, value_name = "FILE")]
    pub manifest: PathBuf,
    /// Lay a value over the manifest, as in --set train-cam.epochs=3 (may be repeated)
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// The artifact store, instead of the manifest's
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

/// The same for programs that are given the name of an artifact.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Where artifacts are")]
pub struct ArtifactArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Whose artifact a stage alone names, instead of the main experiment's
    #[arg(long, value_name = "NAME", add = crate::experiments())]
    experiment: Option<String>,
}

impl PlaceArgs {
    /// Where artifacts are looked up: those of these experiments, or of the main one.
    pub fn place(&self, experiments: &[String]) -> Place {
        let Self { manifest, set: sets, store } = self.clone();
        Place { manifest, sets, store, experiments: experiments.to_vec() }
    }
}

impl ArtifactArgs {
    /// Where artifacts are looked up.
    pub fn place(&self) -> Place {
        self.place.place(self.experiment.as_slice())
    }
}
