//! `camflow dag`: the stages as a tree on a terminal, or as a graph for Graphviz. Starts no stage, opens no store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;

use artifact::{ExperimentPlan, Manifest, Result, StageId};
use serde::Serialize;

use super::single;
use crate::options::PipelineSource;
use crate::text;

fn experiment(source: &PipelineSource) -> Result<ExperimentPlan> {
    let source = single(source)?;
    Manifest::load(&source.manifest, &source.all_sets())?.experiment(&source.experiments[0])
}

/// The stages of an experiment by their names in it, inputs first, each with the names of its inputs.
fn named(experiment: &ExperimentPlan) -> Vec<(String, Vec<String>)> {
    let seen = |id: &StageId| id.seen_from(&experiment.name);
    experiment.stages.iter().map(|plan| (seen(&plan.id()), plan.needs.iter().map(seen).collect())).collect()
}

/// A stage and its inputs but for the one below which it stands.
type Branch<'a> = (&'a str, Vec<&'a str>);

/// A stage and the stages that it needs.
#[derive(Clone, Debug, Serialize)]
pub struct Edges {
    /// Its name.
    pub stage: String,
    /// Their names.
    pub needs: Vec<String>,
}

/// The stages as a tree: each stands below the input after which it can start, its other inputs beside it.
pub fn dag(source: &PipelineSource, json: bool, out: &mut dyn Write) -> Result<()> {
    let stages = named(&experiment(source)?);
    if json {
        let edges = stages.into_iter().map(|(stage, needs)| Edges { stage, needs });
        return text::emit_json(out, &edges.collect::<Vec<_>>());
    }
    let order: BTreeMap<_, _> = stages.iter().enumerate().map(|(i, (stage, _))| (stage.as_str(), i)).collect();
    let mut above: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut children: BTreeMap<Option<&str>, Vec<Branch<'_>>> = BTreeMap::new();
    for (stage, needs) in &stages {
        let needs: Vec<_> = needs.iter().map(String::as_str).collect();
        let all: BTreeSet<_> = needs.iter().flat_map(|need| above[need].iter().chain([need])).copied().collect();
        // An input of an input goes without saying.
        let mut direct: Vec<_> =
            needs.iter().copied().filter(|need| !needs.iter().any(|other| above[other].contains(need))).collect();
        direct.sort_by_key(|need| order[need]);
        let last = direct.pop();
        children.entry(last).or_default().push((stage, direct));
        above.insert(stage, all);
    }
    let mut lines = String::new();
    for (root, _) in children.get(&None).into_iter().flatten() {
        let _ = writeln!(lines, "{root}");
        branches(root, "", &children, &mut lines);
    }
    text::emit(out, &lines)
}

fn branches(stage: &str, indent: &str, children: &BTreeMap<Option<&str>, Vec<Branch<'_>>>, lines: &mut String) {
    let below = children.get(&Some(stage)).map(Vec::as_slice).unwrap_or_default();
    for (index, (stage, others)) in below.iter().enumerate() {
        let (branch, trunk) = if index + 1 == below.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let also = if others.is_empty() { String::new() } else { format!("  (and {})", others.join(", ")) };
        let _ = writeln!(lines, "{indent}{branch}{stage}{also}");
        branches(stage, &format!("{indent}{trunk}"), children, lines);
    }
}

/// The stages as a graph in Graphviz' language.
pub fn dot(source: &PipelineSource, out: &mut dyn Write) -> Result<()> {
    let mut lines = "digraph camflow {\n  rankdir = LR;\n  node [shape = box];\n".to_owned();
    for (stage, needs) in named(&experiment(source)?) {
        let _ = writeln!(lines, "  {stage:?};");
        for need in needs {
            let _ = writeln!(lines, "  {need:?} -> {stage:?};");
        }
    }
    text::emit(out, &format!("{lines}}}\n"))
}
