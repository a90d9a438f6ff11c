//! The verdict: what the store's numbers say in one sentence, with how far they can be trusted, and a tile a number.

use std::collections::BTreeSet;

use artifact::manifest::variant_of;
use maud::{Markup, html};

use super::experiments::Experiments;
use super::order::title;
use super::scored::{Block, Gain, Miou, Scored};
use super::scores::mark;
use crate::bootstrap::{Interval, RESAMPLES};
use crate::text::{count, percent};

/// The experiments that the verdict compares.
pub(super) struct Compared {
    /// The one it is about: the main one, else the best.
    pub method: String,
    /// The one that trains with the classification loss alone, else the only other one.
    pub baseline: Option<String>,
}

impl Compared {
    /// Nothing if nothing was scored. `baselines` are the experiments without any of the paper's losses.
    pub fn of(scored: &Scored, experiments: &Experiments, baselines: &[String]) -> Option<Self> {
        let names = || scored.lines().iter().map(|line| line.score.experiment.as_str());
        let method = match names().find(|name| experiments.is_main(name)) {
            Some(main) => main,
            None => scored.blocks().next_back()?.best(),
        };
        let others: BTreeSet<_> = names().filter(|name| *name != method).collect();
        let known = others.iter().find(|name| baselines.iter().any(|baseline| baseline == variant_of(name).0));
        let baseline = known.or_else(|| others.first().filter(|_| others.len() == 1));
        Some(Self { method: method.to_owned(), baseline: baseline.map(|name| (*name).to_owned()) })
    }
}

/// The sentence, what it rests on, and the tiles.
pub(super) fn verdict(scored: &Scored, compared: Option<&Compared>, not_scored: &[String]) -> Markup {
    html! {
        section #verdict {
            h2.hidden { "Verdict" }
            @match compared {
                Some(compared) => {
                    p.verdict { (reached(scored)) (gains(scored, compared)) "." }
                    (ground(scored, compared))
                    (tiles(scored, compared))
                }
                None => p.verdict {
                    "Nothing was scored"
                    @if !not_scored.is_empty() { ", as these have no mask: " (not_scored.join(", ")) }
                    "."
                }
            }
        }
    }
}

/// What the best experiment reaches at the end of the pipeline.
fn reached(scored: &Scored) -> Markup {
    let last = scored.blocks().next_back();
    html! {
        @if let Some((block, best)) = last.map(|block| (block, block.best())) {
            @if let Some(miou) = block.miou(best) {
                strong { (best) }
                " reaches "
                strong.number { (percent(miou.mean)) " % mIoU" }
                (range(miou.interval))
                " with " (title(block.stage())) " on " (count(block.lines[0].score.images)) " images of "
                (block.split())
                @if block.experiments() > 1 { ", the best of " (block.experiments()) " experiments" }
            }
        }
    }
}

/// What the method gains over the baseline: at the first thing that both have, and at the last.
fn gains(scored: &Scored, compared: &Compared) -> Markup {
    let Some(baseline) = &compared.baseline else { return Markup::default() };
    let gain = |block: Block<'_>| Some((title(block.stage()), block.split().to_owned(), gain(block, compared)?));
    let all: Vec<_> = scored.blocks().filter_map(gain).collect();
    let ends = all.iter().take(1).chain(all.iter().skip(1).next_back());
    let is_best = scored.blocks().next_back().is_some_and(|block| block.best() == compared.method);
    html! {
        @for (index, (scored, split, gain)) in ends.enumerate() {
            @if index == 0 {
                "; " @if is_best { "its " } @else { strong { (compared.method) } "'s " }
                (scored) " on " (split) " is " strong.number { (points(gain.by)) " points" } " " (side(gain.by)) " "
                (baseline) "'s"
            } @else {
                ", its " (scored) " on " (split) " " strong.number { (points(gain.by)) } " " (side(gain.by))
            }
            (difference(gain))
        }
    }
}

fn gain(block: Block<'_>, compared: &Compared) -> Option<Gain> {
    block.gain(&compared.method, compared.baseline.as_ref()?)
}

fn side(gain: f64) -> &'static str {
    if gain < 0.0 { "below" } else { "above" }
}

/// The size of a difference.
fn points(gain: f64) -> String {
    format!("{:.1}", gain.abs() * 100.0)
}

/// A difference with its sign.
fn signed(gain: f64) -> String {
    format!("{}{}", if gain < 0.0 { "−" } else { "+" }, points(gain))
}

/// The interval of a difference, and what it means if 0 lies in it.
fn difference(gain: &Gain) -> Markup {
    html! {
        @if let Some(interval) = gain.interval {
            " (" (signed(interval.from)) " to " (signed(interval.to))
            @if interval.has_zero() { ", which these images cannot tell from 0" }
            ")"
        }
    }
}

fn range(interval: Option<Interval>) -> Markup {
    html! { @if let Some(interval) = interval { " (" (percent(interval.from)) " to " (percent(interval.to)) ")" } }
}

/// What the numbers of the sentence rest on, and what they do not tell.
fn ground(scored: &Scored, compared: &Compared) -> Markup {
    let lines = || scored.lines().iter().filter(|line| line.score.experiment == compared.method);
    let with_intervals = scored.lines().iter().any(|line| line.interval().is_some());
    let mut seeds: Vec<_> = lines().map(|line| line.score.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let several = seeds.len() > 1;
    let seeds: Vec<_> = seeds.iter().map(u64::to_string).collect();
    html! {
        p.ground {
            @if with_intervals {
                "In brackets 95 % intervals: " (count(RESAMPLES as u64)) " bootstrap resamples of the scored images, \
                 paired where two experiments are compared. "
            }
            @if several {
                "Means over seeds " (seeds.join(", ")) "; the intervals are over images and not over seeds. "
            } @else {
                "One training, seed " (seeds.join(", ")) ": another seed would give other numbers, and how far is not \
                 in the intervals. "
            }
            @if lines().any(|line| line.score.chosen_on_ground_truth) {
                "Something was " a href="#dagger" { "chosen on ground truth †" } "."
            }
        }
    }
}

/// One tile for each thing that was scored of the method.
fn tiles(scored: &Scored, compared: &Compared) -> Markup {
    html! {
        div.tiles {
            @for block in scored.blocks() {
                @if let Some(miou) = block.miou(&compared.method) { (tile(block, &miou, compared)) }
            }
        }
    }
}

fn tile(block: Block<'_>, miou: &Miou, compared: &Compared) -> Markup {
    let first = block.of(&compared.method)[0];
    html! {
        div.tile {
            span.what { (title(block.stage())) " · " (block.split()) }
            span.value { (percent(miou.mean)) (mark(&first.score)) small { "% mIoU" } }
            span.gain {
                @if let Some(deviation) = miou.deviation { "± " (points(deviation)) " over " (miou.seeds) " seeds" br; }
                @if let Some(Interval { from, to }) = miou.interval { (percent(from)) " to " (percent(to)) br; }
                @if let (Some(gain), Some(baseline)) = (gain(block, compared), &compared.baseline) {
                    (signed(gain.by)) " over " (baseline)
                }
            }
        }
    }
}
