//! The order in which the page shows stages and what they made: that of the pipeline, whatever stages it has.
//!
//! Stages stand in the order in which data flows through them, as the inputs of their artifacts tell. What is scored
//! stands in the order in which the `score` tables list it, and whatever labels there are besides in the order of the
//! stages.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use artifact::table::ScoreRow;
use artifact::{Result, Row as _};

use crate::holdings::Holdings;
use crate::tables::rows_of;

/// What stands after the name of what went through a CRF.
const CRF: &str = "+crf";

/// The order of stages and of what is scored.
pub(super) struct Order {
    stages: Vec<String>,
    scored: Vec<String>,
}

impl Order {
    /// The order that a store's records and scores tell.
    pub fn of(holdings: &Holdings) -> Result<Self> {
        let mut inputs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for held in holdings.all() {
            let preimage = &held.artifact.record().preimage;
            inputs.entry(&held.stage).or_default().extend(preimage.inputs.keys().map(String::as_str));
        }
        let mut lists = Vec::new();
        for (held, _) in holdings.of_table(ScoreRow::TABLE) {
            lists.push(rows_of::<ScoreRow>(held)?.into_iter().map(|row| row.stage).collect());
        }
        Ok(Self { stages: by_flow(&inputs), scored: merged(lists) })
    }

    /// The stages, those before others that they give data to.
    pub fn stages(&self) -> &[String] {
        &self.stages
    }

    /// The place of a stage.
    pub fn stage(&self, stage: &str) -> usize {
        place(&self.stages, stage)
    }

    /// The place of something that is scored, or of labels by what made them.
    pub fn scored(&self, name: &str) -> (usize, usize) {
        (place(&self.scored, name), self.stage(name.trim_end_matches(CRF)))
    }
}

fn place(names: &[String], name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or(names.len())
}

/// Stages by the longest way that data takes to them.
fn by_flow(inputs: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    // As many rounds as there are stages: enough for any way, and an end even if experiments have opposite ones.
    for _ in 0..inputs.len() {
        for (stage, inputs) in inputs {
            let above = inputs.iter().filter(|input| *input != stage);
            let above = above.map(|input| depths.get(input).copied().unwrap_or(0) + 1).max();
            depths.insert(stage, above.unwrap_or(0));
        }
    }
    let mut stages: Vec<_> = depths.into_iter().map(|(stage, depth)| (depth, stage.to_owned())).collect();
    stages.sort();
    stages.into_iter().map(|(_, stage)| stage).collect()
}

/// One list of all names. The longest list gives the order; what another one has besides follows what it follows there.
fn merged(mut lists: Vec<Vec<String>>) -> Vec<String> {
    lists.sort_by_key(|list| Reverse(list.iter().collect::<BTreeSet<_>>().len()));
    let mut all: Vec<String> = Vec::new();
    for list in lists {
        let mut next = 0;
        for name in list {
            let known = all.iter().position(|known| *known == name);
            let place = known.unwrap_or(next);
            if known.is_none() {
                all.insert(place, name);
            }
            next = place + 1;
        }
    }
    all
}

/// The name of what is scored as a reader knows it: `cam+crf` is `CAM + CRF`; the names of stages stay as they are.
pub(super) fn title(scored: &str) -> String {
    let (name, crf) = scored.strip_suffix(CRF).map_or((scored, ""), |name| (name, " + CRF"));
    let name = if name == "cam" { "CAM" } else { name };
    format!("{name}{crf}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_stand_after_their_inputs() {
        let inputs = BTreeMap::from([
            ("a-last", BTreeSet::from(["middle", "made-up"])),
            ("made-up", BTreeSet::from(["middle"])),
            ("middle", BTreeSet::from(["source", "middle"])),
            ("source", BTreeSet::new()),
        ]);
        assert_eq!(by_flow(&inputs), ["source", "middle", "made-up", "a-last"]);
        let opposite = BTreeMap::from([("a", BTreeSet::from(["b"])), ("b", BTreeSet::from(["a"]))]);
        assert_eq!(by_flow(&opposite).len(), 2);
    }

    #[test]
    fn lists_are_merged_where_they_agree() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let lists = vec![list(&["cam", "cam", "cam+crf"]), list(&["cam", "random-walk", "train-deeplab"])];
        assert_eq!(merged(lists), ["cam", "cam+crf", "random-walk", "train-deeplab"]);
    }

    #[test]
    fn titles_keep_the_names_of_stages() {
        assert_eq!(["cam", "cam+crf", "smooth+crf"].map(title), ["CAM", "CAM + CRF", "smooth + CRF"]);
    }
}
