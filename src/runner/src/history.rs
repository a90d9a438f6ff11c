//! The artifacts of a stage, each record read once: a plan asks for them at every step of every experiment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex};

use artifact::store::{RECORD_FILE, Stamp, artifact_dirs};
use artifact::{Artifact, Store};

/// What was read so far.
#[derive(Default)]
pub(crate) struct History(Mutex<BTreeMap<String, Known>>);

/// The records of a stage by the name of their directory; `None` for one that cannot be read.
type Known = BTreeMap<OsString, (Stamp, Option<Arc<Artifact>>)>;

impl History {
    /// Every committed artifact of a stage, newest first.
    pub fn of(&self, store: &Store, stage: &str) -> Vec<Arc<Artifact>> {
        let mut memory = self.0.lock().expect("no panic under this lock");
        let known = memory.entry(stage.to_owned()).or_default();
        let mut now = Known::new();
        for dir in artifact_dirs(&store.root().join(stage)).unwrap_or_default() {
            let name = dir.file_name().unwrap_or_default().to_owned();
            let Ok(stamp) = Stamp::of(&dir.join(RECORD_FILE)) else { continue };
            let read = || (stamp, Artifact::open(&dir).ok().flatten().map(Arc::new));
            let entry = known.remove(&name).filter(|(then, _)| *then == stamp).unwrap_or_else(read);
            now.insert(name, entry);
        }
        let mut artifacts: Vec<_> = now.values().filter_map(|(_, artifact)| artifact.clone()).collect();
        artifacts.sort_by(|a, b| b.record().provenance.finished.cmp(&a.record().provenance.finished));
        *known = now;
        artifacts
    }
}
