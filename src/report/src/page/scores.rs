//! The numbers of the evaluation: the score table, and what was chosen on ground truth.

use std::collections::BTreeSet;

use artifact::Row as _;
use artifact::table::ScoreRow;
use maud::{Markup, html};

use super::Section;
use super::experiments::Experiments;
use super::order::title;
use super::scored::{Block, Line, Scored};
use crate::bootstrap::{Interval, RESAMPLES};
use crate::holdings::Holdings;
use crate::text::{count, number, percent};

/// What the names of the metrics begin with that count images which cannot be scored.
const NOT_SCORED: &str = "not_scored.";

/// The section; nothing where nothing was evaluated.
pub(super) fn section(scored: &Scored, experiments: &Experiments, not_scored: &[String]) -> Option<Section> {
    if scored.lines().is_empty() && not_scored.is_empty() {
        return None;
    }
    let body = html! {
        @if !scored.lines().is_empty() { (table(scored, experiments)) }
        @if !not_scored.is_empty() {
            div.note { p { "Not scored, as they have no mask: " (not_scored.join(", ")) "." } }
        }
        (note(scored))
    };
    let lead = if scored.lines().is_empty() {
        "Nothing was compared with ground truth.".to_owned()
    } else {
        format!(
            "Mean over the background and all classes, in percent; the best of each block is bold. The bar is the \
             mIoU, the line across its end its 95 % interval: {} bootstrap resamples of the scored images.",
            count(RESAMPLES as u64)
        )
    };
    Some(Section { id: "scores", name: "Scores", title: "Scores", lead, body })
}

/// How many images of each split have no mask, as evaluate's metrics tell it.
pub(super) fn not_scored(holdings: &Holdings) -> Vec<String> {
    let records = holdings.of_table(ScoreRow::TABLE).map(|(held, _)| held.artifact.record());
    let counts = records
        .flat_map(|record| &record.metrics)
        .filter_map(|(name, count)| Some((name.strip_prefix(NOT_SCORED)?, count.as_u64()?)));
    let counts: BTreeSet<_> = counts.collect();
    let images = |images: u64| if images == 1 { "image" } else { "images" };
    counts.into_iter().map(|(split, n)| format!("{} {} of {split}", count(n), images(n))).collect()
}

/// The mark of what was chosen on ground truth; what it was stands in the note below the table, and here on hovering.
pub(super) fn mark(score: &ScoreRow) -> Markup {
    html! {
        @if !score.chosen.is_empty() { a.dagger href="#dagger" title=(score.chosen) { "†" } }
    }
}

/// A share as a bar, from 0 on the left to 1 on the right, with a line over its interval.
fn bar(share: f64, interval: Option<Interval>) -> Markup {
    let place = |share: f64| format!("{:.1}%", if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 0.0 });
    html! {
        span.track aria-hidden="true" {
            span.filled style={ "width:" (place(share)) } {}
            @if let Some(Interval { from, to }) = interval {
                span.whisker style={ "left:" (place(from)) ";width:" (place(to - from)) } {}
            }
        }
    }
}

/// A cell with its share, and a bar below the number.
pub(super) fn share_cell(share: f64, best: bool) -> Markup {
    html! { td.n.share.best[best] { span.figure { (percent(share)) } (bar(share, None)) } }
}

fn table(scored: &Scored, experiments: &Experiments) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Scores" {
            table.scores {
                thead {
                    tr {
                        th { "Scored" } th { "Split" } th { "Experiment" } th.n { "mIoU" } th.range { "95 % interval" }
                        th.graph { (scale()) }
                        th.n { "Precision" } th.n { "Recall" } th.n { "Images" } th.n { "Threshold" } th.n { "Seed" }
                    }
                }
                @for block in scored.blocks() {
                    @let best = block.lines.iter().map(|line| line.score.miou).fold(f64::NEG_INFINITY, f64::max);
                    tbody {
                        @for (index, line) in block.lines.iter().enumerate() {
                            tr {
                                @if index == 0 {
                                    th.block rowspan=(block.lines.len()) { (title(block.stage())) }
                                    td.block rowspan=(block.lines.len()) { (block.split()) }
                                }
                                td { (experiments.label(&line.score.experiment)) }
                                (numbers(block, line, best))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The scale of the bars.
fn scale() -> Markup {
    html! { span.scale aria-hidden="true" { span { "0" } span { "50" } span { "100" } } }
}

fn numbers(block: Block<'_>, line: &Line, best: f64) -> Markup {
    let (score, interval) = (&line.score, line.interval());
    html! {
        td.n.best[block.lines.len() > 1 && score.miou >= best] { (percent(score.miou)) (mark(score)) }
        td.range {
            @if let Some(Interval { from, to }) = interval { (percent(from)) "–" (percent(to)) } @else { "–" }
        }
        td.graph { (bar(score.miou, interval)) }
        td.n { (percent(score.precision)) }
        td.n { (percent(score.recall)) }
        td.n { (count(score.images)) }
        td.n { (score.threshold.map_or("–".to_owned(), number)) }
        td.n { (score.seed) }
    }
}

/// What the marks mean: of each thing scored, everything that was chosen on ground truth in any experiment.
fn note(scored: &Scored) -> Markup {
    let of = scored.lines().chunk_by(|a, b| a.score.stage == b.score.stage).map(|block| {
        let names: BTreeSet<_> = block.iter().flat_map(|line| line.score.chosen.split("; ")).collect();
        (title(&block[0].score.stage), names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", "))
    });
    let chosen: Vec<_> = of.filter(|(_, names)| !names.is_empty()).collect();
    html! {
        @if !chosen.is_empty() {
            details.chosen {
                summary { "† What was chosen on ground truth" }
                div #dagger {
                    p {
                        "What is listed was chosen by comparing scores against pixel-level masks, so the score \
                         flatters what image-level labels give. Of all experiments together; the column "
                        code { "chosen" } " of the table " code { "score" } " tells it of each."
                    }
                    dl { @for (scored, names) in chosen { div { dt { (scored) } dd { (names) } } } }
                }
            }
        }
    }
}
