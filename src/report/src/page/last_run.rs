//! What the last run computed and what it found, as it said itself.
//!
//! A run writes that into the store when it has something to compute, and it stays until the next such run: a run that
//! finds everything leaves it as it is.

use std::collections::BTreeMap;

use serde_json::Value;

use super::experiments::Shared;
use crate::holdings::Holdings;

/// The artifacts of the last run that had something to compute.
pub(super) struct LastRun {
    /// By stage and first digits of the key: was it computed? Else it was found.
    computed: BTreeMap<(String, String), bool>,
    /// How long it took.
    pub seconds: f64,
}

impl LastRun {
    /// Nothing if the store does not know it, as when stages were started by hand.
    pub fn of(holdings: &Holdings) -> Option<Self> {
        let said: Value = serde_json::from_slice(&holdings.last_run()?).ok()?;
        let text = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
        let row = |row: &Value| {
            let computed = match row.get("state")?.as_str()? {
                "done" => true,
                "cached" => false,
                _ => return None,
            };
            Some(((text(row, "stage")?, text(row, "key")?), computed))
        };
        let computed: BTreeMap<_, _> = said.get("stages")?.as_array()?.iter().filter_map(row).collect();
        let seconds = said.get("seconds")?.as_f64()?;
        (!computed.is_empty()).then_some(Self { computed, seconds })
    }

    /// Did it compute an artifact (true) or find it (false)? `None` if it had nothing to do with it.
    pub fn computed(&self, shared: &Shared<'_>) -> Option<bool> {
        let key = shared.held.artifact.record().key.short().to_owned();
        self.computed.get(&(shared.held.stage.clone(), key)).copied()
    }

    /// How many of some artifacts it computed, and how many it found.
    pub fn count<'a>(&self, artifacts: impl Iterator<Item = &'a Shared<'a>>) -> [usize; 2] {
        artifacts
            .filter_map(|shared| self.computed(shared))
            .fold([0; 2], |[computed, found], new| if new { [computed + 1, found] } else { [computed, found + 1] })
    }
}
