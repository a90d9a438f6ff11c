//! The artifacts of an experiment that have something to show.

use artifact::address::Place;
use artifact::table::{CamRow, DatasetRow, LabelRow, MaskRow, SweepRow};
use artifact::{Artifact, Error, Manifest, Result, Row};
use data::dataset::behind;

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
        let dataset = first::<DatasetRow>(&held).ok_or_else(missing)?;
        held.retain(|one| {
            holds::<MaskRow>(one) || holds::<CamRow>(one) || holds::<SweepRow>(one) || holds::<LabelRow>(one)
        });
        // What was computed from other pictures, or other classes, stands beside these for nothing.
        held.retain(|artifact| {
            let is_current = is_of(artifact, &dataset);
            if !is_current {
                let stage = &artifact.record().preimage.stage;
                let said = format!("{stage} is left out: it is of another data set; `camflow run` renews it");
                stage::say("camflow show", said);
            }
            is_current
        });
        Ok(Self {
            dataset,
            masks: first::<MaskRow>(&held),
            cams: first::<CamRow>(&held),
            sweep: first::<SweepRow>(&held),
            labels: held.into_iter().filter(holds::<LabelRow>).collect(),
        })
    }
}

/// Was an artifact computed from the images of this data set?
fn is_of(artifact: &Artifact, dataset: &Artifact) -> bool {
    let content = |artifact: &Artifact| {
        let table = artifact.table::<DatasetRow>().ok()?;
        Some((table.digest.clone(), table.metadata.clone()))
    };
    behind(artifact).is_ok_and(|found| content(&found) == content(dataset))
}

fn holds<R: Row>(artifact: &Artifact) -> bool {
    artifact.record().tables.contains_key(R::TABLE)
}

fn first<R: Row>(artifacts: &[Artifact]) -> Option<Artifact> {
    artifacts.iter().find(|artifact| holds::<R>(artifact)).cloned()
}
