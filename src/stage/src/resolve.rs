//! Finding a stage's inputs in the store: the artifacts that the manifest, as it stands now, describes.
//!
//! A stage does not know its neighbours' code, so it cannot compute their keys; it recognises their artifacts by the
//! preimage that each carries: same parameters, seed, device and files, and inputs that are recognised in turn and hold
//! what was read of them.

use std::collections::BTreeMap;

use artifact::{Artifact, Error, ExperimentPlan, Fingerprints, Preimage, Result, StageId, StagePlan, Store};
use serde_json::Value;

/// The input artifacts of `stage`, by stage name.
pub fn inputs(
    stage: &StagePlan,
    plan: &ExperimentPlan,
    store: &Store,
    fingerprints: &Fingerprints,
) -> Result<BTreeMap<String, Artifact>> {
    let mut resolver = Resolver { plan, store, fingerprints, found: BTreeMap::new() };
    let mut inputs = BTreeMap::new();
    for need in &stage.needs {
        inputs.insert(need.stage.clone(), resolver.find(need)?);
    }
    Ok(inputs)
}

struct Resolver<'a> {
    plan: &'a ExperimentPlan,
    store: &'a Store,
    fingerprints: &'a Fingerprints,
    found: BTreeMap<StageId, Artifact>,
}

impl Resolver<'_> {
    fn find(&mut self, id: &StageId) -> Result<Artifact> {
        if let Some(artifact) = self.found.get(id) {
            return Ok(artifact.clone());
        }
        let plan = self.plan.need(id);
        let StageId { stage, experiment } = id;
        let (latest, damage) = match self.store.latest(stage, plan.link()) {
            Ok(latest) => (latest, String::new()),
            Err(error) => (None, format!("; {error}")),
        };
        let others = self.store.artifacts(stage)?;
        let mut nearest = None;
        for artifact in latest.into_iter().chain(others) {
            match self.mismatch(plan, &artifact.record().preimage)? {
                None => {
                    self.found.insert(id.clone(), artifact.clone());
                    return Ok(artifact);
                }
                Some(reason) => nearest = nearest.or(Some((artifact.record().key.clone(), reason))),
            }
        }
        let seen =
            nearest.map_or_else(String::new, |(key, reason)| format!(" (the nearest, {key}, differs: {reason})"));
        Err(Error::NotCommitted(format!(
            "the input '{stage}' of experiment '{experiment}' is not committed in {}{seen}{damage}; \
             compute it with: camflow run --experiment '{experiment}' --until {stage}",
            self.store.root().display(),
        )))
    }

    /// Why an artifact is not what the manifest describes.
    fn mismatch(&mut self, plan: &StagePlan, preimage: &Preimage) -> Result<Option<String>> {
        if let Some(name) = differing(&preimage.params, &plan.params, String::new()) {
            return Ok(Some(format!("{name}, {}", plan.place(&name))));
        }
        if preimage.seed.is_some_and(|seed| seed != plan.seed) {
            return Ok(Some("seed".into()));
        }
        if preimage.device.as_ref().is_some_and(|device| *device != plan.arithmetic()) {
            return Ok(Some("device or numerics".into()));
        }
        for (name, digest) in &preimage.files {
            let path = plan.path(name)?.unwrap_or_default();
            if !self.fingerprints.digest(&path).is_ok_and(|found| found == *digest) {
                return Ok(Some(format!("{name} (content of '{}')", path.display())));
            }
        }
        let needed: BTreeMap<_, _> = plan.needs.iter().map(|need| (&need.stage, need)).collect();
        if !preimage.inputs.keys().eq(needed.keys().copied()) {
            return Ok(Some("needs".into()));
        }
        for (input, reading) in &preimage.inputs {
            match self.find(needed[input]) {
                Ok(artifact) if artifact.record().gives(reading) => {}
                Ok(_) | Err(Error::NotCommitted(_)) => return Ok(Some(format!("its input {input}"))),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// The first parameter of a preimage that the manifest has otherwise. (The manifest also holds parameters that are
/// in no preimage.)
fn differing(stored: &Value, wanted: &Value, name: String) -> Option<String> {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => stored.iter().find_map(|(key, stored)| {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            wanted.get(key).map_or_else(|| Some(name.clone()), |wanted| differing(stored, wanted, name.clone()))
        }),
        (Value::Number(stored), Value::Number(wanted)) => (stored.as_f64() != wanted.as_f64()).then_some(name),
        (Value::Array(stored), Value::Array(wanted)) => {
            let same = |(stored, wanted)| differing(stored, wanted, String::new()).is_none();
            (stored.len() != wanted.len() || !stored.iter().zip(wanted).all(same)).then_some(name)
        }
        _ => (stored != wanted).then_some(name),
    }
}
