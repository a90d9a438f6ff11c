//! The pipeline: which stage feeds which, how long each took, and which artifacts were found instead of computed.
//!
//! The records tell for which experiment an artifact was first computed, and so which experiments found it in the
//! store. What the last run computed and found it said itself, where the store still has its file.

use std::collections::BTreeSet;

use artifact::units::duration;
use maud::{Markup, html};

use super::Section;
use super::chart::{COLOURS, tenths};
use super::experiments::{Experiments, Shared, shared};
use super::graph::{Graph, Layout, Place};
use super::last_run::LastRun;
use super::order::Order;
use crate::holdings::{Holding, Holdings};

/// Letters of a stage's name that a node has room for.
const NAME_LETTERS: usize = 19;
/// Artifacts that a node shows as dots.
const DOTS: usize = 10;

/// The section.
pub(super) fn section(holdings: &Holdings, order: &Order, experiments: &Experiments) -> Section {
    let all = shared(holdings.all().iter(), &holdings.experiments());
    let nodes = nodes(holdings, order, &all);
    let layout = graph(&nodes, &all).reduced().layout();
    let last = LastRun::of(holdings);
    let body = html! {
        (flow(&nodes, &layout, experiments, last.as_ref(), &ACROSS))
        (flow(&nodes, &layout, experiments, last.as_ref(), &DOWN))
        p.ground { (spent(&all)) @if let Some(last) = &last { (told(last, &all)) } }
        (grid(holdings, &nodes))
        @if !holdings.warnings().is_empty() {
            div.note { @for warning in holdings.warnings() { p { (warning) } } }
        }
    };
    let lead = "Arrows show what is read; those that others imply are left out. Below, stage by stage, what was \
                computed for an experiment (●, with its time) and what it found in the store because another had \
                computed it (○).";
    Section { id: "pipeline", name: "Pipeline", title: "Pipeline", lead: lead.into(), body }
}

/// A stage.
struct Node<'a> {
    name: String,
    /// Its artifacts; none if it is read and not in the store.
    artifacts: Vec<&'a Shared<'a>>,
}

impl Node<'_> {
    /// What a run made of its artifacts: computed them anew, or found them in the cache that the store is.
    fn in_run(&self, run: &LastRun) -> Option<String> {
        match run.count(self.artifacts.iter().copied()) {
            [0, 0] => None,
            [0, _] => Some("cached".to_owned()),
            [_, 0] => Some("new".to_owned()),
            [new, found] => Some(format!("{new} of {} new", new + found)),
        }
    }
}

/// The stages in their order, before them those that are read and are no longer there.
fn nodes<'a>(holdings: &Holdings, order: &Order, all: &'a [Shared<'a>]) -> Vec<Node<'a>> {
    let read = holdings.all().iter().flat_map(|held| held.artifact.record().preimage.inputs.keys());
    let gone: BTreeSet<_> = read.filter(|name| !order.stages().contains(name)).collect();
    let of = |name: &String| Node {
        name: name.clone(),
        artifacts: all.iter().filter(|shared| shared.held.stage == *name).collect(),
    };
    gone.into_iter().chain(order.stages()).map(of).collect()
}

fn graph(nodes: &[Node<'_>], all: &[Shared<'_>]) -> Graph {
    let place = |name: &str| nodes.iter().position(|node| node.name == name);
    let arrows = all.iter().flat_map(|shared| {
        let inputs = shared.held.artifact.record().preimage.inputs.keys();
        inputs.filter_map(move |input| Some((place(input)?, place(&shared.held.stage)?)))
    });
    Graph { nodes: nodes.len(), arrows: arrows.filter(|(from, to)| from < to).collect() }
}

/// How the graph is laid on the page.
struct Direction {
    class: &'static str,
    /// Of a node, and between nodes.
    width: f64,
    height: f64,
    gap: [f64; 2],
    /// Does the flow go down, and not across?
    down: bool,
}

const ACROSS: Direction =
    Direction { class: "flow across", width: 150.0, height: 86.0, gap: [30.0, 18.0], down: false };
const DOWN: Direction = Direction { class: "flow down", width: 158.0, height: 86.0, gap: [12.0, 34.0], down: true };

impl Direction {
    /// The left upper corner of a place.
    fn corner(&self, place: Place) -> [f64; 2] {
        let (column, row) = if self.down { (place.lane, place.layer) } else { (place.layer, place.lane) };
        [(self.width + self.gap[0]) * column as f64 + 1.0, (self.height + self.gap[1]) * row as f64 + 1.0]
    }

    fn size(&self, layout: &Layout) -> [f64; 2] {
        let last = Place { layer: layout.layers.saturating_sub(1), lane: layout.lanes.saturating_sub(1) };
        let [x, y] = self.corner(last);
        [x + self.width + 1.0, y + self.height + 1.0]
    }

    /// Where the flow enters a place, and where it leaves it.
    fn ends(&self, place: Place) -> [[f64; 2]; 2] {
        let [x, y] = self.corner(place);
        if self.down {
            [[x + self.width / 2.0, y], [x + self.width / 2.0, y + self.height]]
        } else {
            [[x, y + self.height / 2.0], [x + self.width, y + self.height / 2.0]]
        }
    }

    /// The path of an arrow: curves between the layers, straight through those that it passes.
    fn path(&self, places: &[Place]) -> String {
        let point = |[x, y]: [f64; 2]| format!("{x:.1} {y:.1}");
        let mut parts = Vec::new();
        for pair in places.windows(2) {
            let (from, to) = (self.ends(pair[0])[1], self.ends(pair[1])[0]);
            let middle = |axis: usize| f64::midpoint(from[axis], to[axis]);
            let (first, second) = if self.down {
                ([from[0], middle(1)], [to[0], middle(1)])
            } else {
                ([middle(0), from[1]], [middle(0), to[1]])
            };
            let start = if parts.is_empty() { 'M' } else { 'L' };
            parts.push(format!("{start}{} C{} {} {}", point(from), point(first), point(second), point(to)));
        }
        parts.join(" ")
    }

    /// The head of an arrow that enters a place.
    fn head(&self, place: Place) -> String {
        let [x, y] = self.ends(place)[0];
        let back = if self.down { "l-4 -7 h8 z" } else { "l-7 -4 v8 z" };
        format!("M{x:.1} {y:.1} {back}")
    }
}

fn flow(
    nodes: &[Node<'_>],
    layout: &Layout,
    experiments: &Experiments,
    last: Option<&LastRun>,
    direction: &Direction,
) -> Markup {
    let [width, height] = direction.size(layout);
    html! {
        svg class=(direction.class) viewBox={ "0 0 " (tenths(width)) " " (tenths(height)) }
            style={ "max-width:" (tenths(width * 1.2)) "px" } role="img" aria-label="The stages and what each reads" {
            @for arrow in &layout.arrows {
                path.arrow d=(direction.path(arrow)) {}
                @if let Some(last) = arrow.last() { path.head d=(direction.head(*last)) {} }
            }
            @for (node, place) in nodes.iter().zip(&layout.nodes) {
                @let corner = direction.corner(*place);
                (stage(node, direction, corner, experiments, last.and_then(|last| node.in_run(last))))
            }
        }
    }
}

fn stage(
    node: &Node<'_>,
    direction: &Direction,
    [x, y]: [f64; 2],
    experiments: &Experiments,
    in_run: Option<String>,
) -> Markup {
    let seconds: f64 = node.artifacts.iter().map(|shared| seconds(shared.held)).sum();
    let there = !node.artifacts.is_empty();
    let line = |row: f64| tenths(y + row);
    html! {
        g.stage.gone[!there] {
            title { (node.name) ": " (state(node)) }
            rect x=(tenths(x)) y=(tenths(y)) width=(direction.width) height=(direction.height) rx="8" {}
            text.name x=(tenths(x + 11.0)) y=(line(21.0)) { (shortened(&node.name)) }
            @if there { text.time x=(tenths(x + 11.0)) y=(line(41.0)) { (duration(seconds)) } }
            @if let Some(in_run) = in_run {
                text.run x=(tenths(x + direction.width - 11.0)) y=(line(41.0)) text-anchor="end" { (in_run) }
            }
            text.state x=(tenths(x + 11.0)) y=(line(57.0)) { (state(node)) }
            @for (index, shared) in node.artifacts.iter().take(DOTS).enumerate() {
                @let colour = experiments.colour(shared) % COLOURS;
                circle class={ "dot s" (colour) } cx=(tenths(x + 16.0 + 13.0 * index as f64)) cy=(line(72.0)) r="4" {
                    title { (shared.label()) }
                }
            }
        }
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_LETTERS {
        return name.to_owned();
    }
    name.chars().take(NAME_LETTERS - 1).chain(['…']).collect()
}

/// `2 artifacts, 1 shared`.
fn state(node: &Node<'_>) -> String {
    let common = node.artifacts.iter().filter(|shared| shared.experiments.len() > 1).count();
    match (node.artifacts.as_slice(), common) {
        ([], _) => "not in the store".to_owned(),
        ([only], 1) => format!("1 for {} experiments", only.experiments.len()),
        ([_], _) => "1 artifact".to_owned(),
        (all, 0) => format!("{} artifacts", all.len()),
        (all, common) => format!("{} artifacts, {common} shared", all.len()),
    }
}

fn seconds(held: &Holding) -> f64 {
    held.artifact.record().provenance.seconds
}

/// Was it first computed for another experiment?
fn found(held: &Holding) -> bool {
    held.artifact.record().provenance.experiment != held.experiment
}

/// What was computed and what was found, in a sentence.
fn spent(all: &[Shared<'_>]) -> String {
    let computed: f64 = all.iter().map(|shared| seconds(shared.held)).sum();
    let again: usize = all.iter().map(|shared| shared.experiments.len() - 1).sum();
    let saved: f64 = all.iter().map(|shared| seconds(shared.held) * (shared.experiments.len() - 1) as f64).sum();
    let artifacts = if all.len() == 1 { "artifact" } else { "artifacts" };
    let times = match again {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    };
    let found = if again > 0 {
        format!("; {times} an experiment found what another had computed, which saved {}", duration(saved))
    } else {
        String::new()
    };
    format!(
        "{} {artifacts}, computed in {} all together{found}. Times are of the process that committed; what shards and \
         interrupted runs took before is not in them.",
        all.len(),
        duration(computed)
    )
}

/// What the last run said of itself.
fn told(last: &LastRun, all: &[Shared<'_>]) -> String {
    let [computed, found] = last.count(all.iter());
    format!(
        " The last run that had something to compute took {}: of these it computed {computed} (new) and found {found} \
         (cached).",
        duration(last.seconds)
    )
}

/// Experiments down, stages across.
fn grid(holdings: &Holdings, nodes: &[Node<'_>]) -> Markup {
    let cell = |experiment: &str, stage: &str| {
        holdings.all().iter().find(|held| held.experiment == experiment && held.stage == stage)
    };
    html! {
        div.wide tabindex="0" role="region" aria-label="What was computed and what was found" {
            table.grid {
                thead { tr { th { "Experiment" } @for node in nodes { th scope="col" { (node.name) } } } }
                tbody {
                    @for experiment in holdings.experiments() {
                        tr {
                            th { (experiment) }
                            @for node in nodes { (origin(cell(&experiment, &node.name))) }
                        }
                    }
                }
            }
        }
    }
}

fn origin(held: Option<&Holding>) -> Markup {
    html! {
        @match held {
            None => td.none { "–" },
            Some(held) if found(held) => td.found {
                "○ of " (held.artifact.record().provenance.experiment)
            },
            Some(held) => td { "● " (duration(seconds(held))) },
        }
    }
}
