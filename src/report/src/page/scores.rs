//! The numbers of the evaluation: headline and score table.

use std::collections::BTreeSet;

use artifact::table::ScoreRow;
use artifact::{Result, Row as _};
use maud::{Markup, html};

use super::Section;
use super::experiments::Experiments;
use super::order::{Order, title};
use crate::holdings::Holdings;
use crate::tables;
use crate::text::{count, number, percent};

/// What the names of the metrics begin with that count images which cannot be scored.
const NOT_SCORED: &str = "not_scored.";

/// The section; nothing where nothing was evaluated.
pub(super) fn section(holdings: &Holdings, order: &Order, experiments: &Experiments) -> Result<Option<Section>> {
    let mut scores: Vec<ScoreRow> = tables::rows(holdings)?;
    let not_scored = not_scored(holdings);
    if scores.is_empty() && not_scored.is_empty() {
        return Ok(None);
    }
    scores.sort_by_key(|score| {
        let experiment = experiments.rank(&score.experiment);
        (order.scored(&score.stage), score.stage.clone(), score.split.clone(), experiment, score.seed)
    });
    let body = html! {
        (headline(&scores, experiments))
        @if !scores.is_empty() { (table(&scores, experiments)) }
        (note(&scores))
        @if !not_scored.is_empty() {
            div.note { p { "Not scored, as they have no mask: " (not_scored.join(", ")) "." } }
        }
    };
    let lead =
        "Mean over the background and all classes, in percent. The bar is the mIoU; the best of each block is bold.";
    Ok(Some(Section { id: "scores", name: "Scores", title: "Scores", lead: lead.into(), body }))
}

/// How many images of each split have no mask, as evaluate's metrics tell it.
fn not_scored(holdings: &Holdings) -> Vec<String> {
    let records = holdings.of_table(ScoreRow::TABLE).map(|(held, _)| held.artifact.record());
    let counts = records
        .flat_map(|record| &record.metrics)
        .filter_map(|(name, count)| Some((name.strip_prefix(NOT_SCORED)?, count.as_u64()?)));
    let counts: BTreeSet<_> = counts.collect();
    counts.into_iter().map(|(split, images)| format!("{} images of {split}", count(images))).collect()
}

/// Sorted scores by what was scored, and on which split.
fn blocks(scores: &[ScoreRow]) -> impl Iterator<Item = &[ScoreRow]> {
    scores.chunk_by(|a, b| a.stage == b.stage && a.split == b.split)
}

/// One tile for each thing that was scored in the main experiment, with its gain over the first other experiment; of
/// several seeds the mean.
fn headline(scores: &[ScoreRow], experiments: &Experiments) -> Markup {
    let is_main = |score: &&ScoreRow| experiments.is_main(&score.experiment);
    html! {
        div.tiles {
            @for block in blocks(scores) {
                @if let Some(score) = block.iter().find(is_main) {
                    @let miou = mean(block, &score.experiment);
                    div.tile {
                        span.what { (title(&score.stage)) " · " (score.split) }
                        span.value { (percent(miou)) small { "% mIoU" } (mark(score)) }
                        @if let Some(base) = block.iter().find(|score| !is_main(score)) {
                            @let gain = (miou - mean(block, &base.experiment)) * 100.0;
                            span.gain {
                                (if gain < 0.0 { "−" } else { "+" }) (format!("{:.1}", gain.abs()))
                                " over " (base.experiment)
                            }
                        }
                    }
                }
            }
        }
    }
}

fn mean(block: &[ScoreRow], experiment: &str) -> f64 {
    let of: Vec<_> = block.iter().filter(|score| score.experiment == experiment).map(|score| score.miou).collect();
    of.iter().sum::<f64>() / of.len() as f64
}

/// The mark of what was chosen on ground truth; what it was stands in the note below the table, and here on hovering.
fn mark(score: &ScoreRow) -> Markup {
    html! {
        @if !score.chosen.is_empty() { a.dagger href="#dagger" title=(score.chosen) { "†" } }
    }
}

/// A cell with its share as a bar behind the number, and a mark after it.
pub(super) fn bar(share: f64, best: bool, mark: &Markup) -> Markup {
    let width = if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    html! {
        td.bar.best[best] style=(format!("--v:{width:.1}%")) { (percent(share)) (mark) }
    }
}

fn table(scores: &[ScoreRow], experiments: &Experiments) -> Markup {
    html! {
        div.wide {
            table.scores {
                thead {
                    tr {
                        th { "Scored" } th { "Split" } th { "Experiment" } th.n { "Images" } th.n { "mIoU" }
                        th.n { "Precision" } th.n { "Recall" } th.n { "Threshold" } th.n { "Seed" }
                    }
                }
                @for block in blocks(scores) {
                    @let best = block.iter().map(|score| score.miou).fold(f64::NEG_INFINITY, f64::max);
                    tbody {
                        @for (index, score) in block.iter().enumerate() {
                            tr {
                                @if index == 0 {
                                    th.block rowspan=(block.len()) { (title(&score.stage)) }
                                    td.block rowspan=(block.len()) { (score.split) }
                                }
                                td { (experiments.label(&score.experiment)) }
                                td.n { (count(score.images)) }
                                (bar(score.miou, block.len() > 1 && score.miou >= best, &mark(score)))
                                td.n { (percent(score.precision)) }
                                td.n { (percent(score.recall)) }
                                td.n { (score.threshold.map_or("–".to_owned(), number)) }
                                td.n { (score.seed) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What the marks mean: of each thing scored, everything that was chosen on ground truth in any experiment.
fn note(scores: &[ScoreRow]) -> Markup {
    let of = scores.chunk_by(|a, b| a.stage == b.stage).map(|block| {
        let names: BTreeSet<_> = block.iter().flat_map(|score| score.chosen.split("; ")).collect();
        (title(&block[0].stage), names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", "))
    });
    let chosen: Vec<_> = of.filter(|(_, names)| !names.is_empty()).collect();
    html! {
        @if !chosen.is_empty() {
            div.note #dagger {
                p {
                    "† Chosen on ground truth: what is listed was chosen by comparing scores against pixel-level \
                     masks, \
                     so the score flatters what image-level labels give. Of all experiments together; the column "
                    code { "chosen" } " of the table " code { "score" } " tells it of each."
                }
                dl { @for (scored, names) in chosen { div { dt { (scored) } dd { (names) } } } }
            }
        }
    }
}
