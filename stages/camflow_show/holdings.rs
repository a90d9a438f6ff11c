//! The artifacts of an experiment that have something to show.

use artifact::address::Place;
use artifact::table::{CamRow, DatasetRow, LabelRow, MaskRow, SweepRow};
use artifact::{Artifact, Error, Manifest, Result, Row};

/// What the stages of an experiment last committed, as far as it can be shown.
pub struct Holdings {
    /// Pictures.
    pub dataset: Artifact,
    /// Ground truth.
    pub masks: Option<Artifact>,
    /// Activation maps.
    pub cams: Option<Artifact>,
    /// The threshold of later stages.
    pub sweep: Option<Artifact>,
    /// Labels, those of earlier stages first.
    pub labels: Vec<Artifact>,
}

impl Holdings {
    /// Those of the experiment in question.
    pub fn open(place: &Place) -> Result<Self> {
        let manifest = Manifest::load(&place.manifest, &place.sets)?;
        let store = place.store()?;
        let name = match place.experiments.first() {
            Some(name) => manifest.select_one(name)?,
            None => manifest.main()?,
        };
        let mut held = Vec::new();
        for stage in manifest.experiment(&name)?.stages {
            held.extend(store.latest(&stage.stage, stage.link())?);
        }
        let missing =
            || Error::NotCommitted(format!("experiment '{name}' has no data set yet: `camflow run` makes it"));
        Ok(Self {
            dataset: first::<DatasetRow>(&held).ok_or_else(missing)?,
            masks: first::<MaskRow>(&held),
            cams: first::<CamRow>(&held),
            sweep: first::<SweepRow>(&held),
            labels: held.into_iter().filter(holds::<LabelRow>).collect(),
        })
    }
}

fn holds<R: Row>(artifact: &Artifact) -> bool {
    artifact.record().tables.contains_key(R::TABLE)
}

fn first<R: Row>(artifacts: &[Artifact]) -> Option<Artifact> {
    artifacts.iter().find(|artifact| holds::<R>(artifact)).cloned()
}
