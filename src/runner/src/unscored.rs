//! What cannot be scored, for want of masks: known from the metrics of the stage that imports the data set.

use std::collections::{BTreeMap, BTreeSet};

use artifact::store::Record;
use artifact::table::MaskRow;
use artifact::{Item, Key, Result, StageId};
use serde_json::Value;

use crate::pipeline::Pipeline;
use crate::plan::Step;

/// One line a data set of which a split that is to be scored has images without a mask; `known` gives what is
/// committed. The splits are those that a stage which reads masks names in its parameters.
pub(crate) fn lines<'a>(
    pipeline: &Pipeline,
    steps: &[Step],
    known: impl Fn(&StageId) -> Option<&'a Record>,
) -> Result<Vec<String>> {
    let mut splits: BTreeMap<&Key, (&Record, BTreeSet<&str>)> = BTreeMap::new();
    for step in steps.iter().filter(|step| step.selected) {
        let reads = &pipeline.program(&step.stage)?.description.reads;
        if !reads.iter().any(|read| read.what == Item::table::<MaskRow>()) {
            continue;
        }
        for data in step.plan.needs.iter().filter_map(&known) {
            let named = texts(&step.plan.params).into_iter().filter(|name| count(data, "images", name).is_some());
            splits.entry(&data.key).or_insert((data, BTreeSet::new())).1.extend(named);
        }
    }
    let lines: BTreeSet<_> = splits.values().filter_map(|(data, splits)| line(data, splits)).collect();
    Ok(lines.into_iter().collect())
}

fn line(data: &Record, splits: &BTreeSet<&str>) -> Option<String> {
    let lacking = splits.iter().filter_map(|split| {
        let (images, masks) = (count(data, "images", split)?, count(data, "masks", split)?);
        let without = images.checked_sub(masks).filter(|without| *without > 0)?;
        let how_many = if masks == 0 { format!("all {images}") } else { format!("{without} of {images}") };
        Some(format!("{how_many} images of {split}"))
    });
    let lacking: Vec<_> = lacking.collect();
    (!lacking.is_empty()).then(|| format!("not scored, as they have no mask: {}", lacking.join(", ")))
}

fn count(data: &Record, what: &str, split: &str) -> Option<u64> {
    data.metrics.get(&format!("{what}.{split}"))?.as_u64()
}

/// Every text among some parameters.
fn texts(params: &Value) -> Vec<&str> {
    match params {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(table) => table.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
