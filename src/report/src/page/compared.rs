//! The paper's tables with the numbers of this store beside them.

use artifact::Result;
use maud::{Markup, html};

use super::chart::{Chart, Series, Whisker, legend};
use super::{Section, dagger, dots, slug};
use crate::holdings::Holdings;
use crate::paper::{Cell, Line, Sample, Table, tables};

/// The section; nothing where no run of the store is a row of the paper.
pub(super) fn section(holdings: &Holdings) -> Result<Option<Section>> {
    let tables = tables(holdings)?;
    if tables.is_empty() {
        return Ok(None);
    }
    let lead = "Here: mean ± standard deviation over n seeds of this store's data set and networks, which are not the \
                paper's: compare the order of the rows and their distances. Rows are recognised by their parameters.";
    let body = html! { @for table in &tables { (block(table)) } };
    Ok(Some(Section { id: "paper", name: "Paper / here", title: "Paper / here", lead: lead.into(), body }))
}

fn block(table: &Table) -> Markup {
    html! {
        h3 { (table.title) }
        p.note { (table.note) }
        @if table.lines.is_empty() { (dots::figure(table)) } @else { (lines(table)) }
        div.wide tabindex="0" role="region" aria-label=(table.title) {
            table.paper {
                thead {
                    tr {
                        @for (index, name) in table.head.iter().enumerate() { th.n[index > 0] { (name) } }
                    }
                }
                tbody {
                    @for (name, cells) in &table.rows {
                        tr { th { (name) } @for cell in cells { td.n { (shown(cell)) } } }
                    }
                }
            }
        }
    }
}

/// What was measured here stands out.
fn shown(cell: &Cell) -> Markup {
    html! {
        @match cell {
            Cell::Here(sample) => strong { (cell.text()) @if sample.chosen_on_ground_truth { (dagger()) } },
            _ => (cell.text()),
        }
    }
}

/// The measured lines with their deviations, the paper's faintly behind them.
fn lines(table: &Table) -> Markup {
    let whisker = |(at, sample): &(f64, Sample)| sample.range().map(|[from, to]| Whisker { at: *at, from, to });
    let series = |(colour, line): (usize, &Line)| Series {
        colour,
        points: line.here.iter().map(|(at, sample)| (*at, sample.mean())).collect(),
        raw: line.paper.iter().map(|(at, percent)| (*at, percent / 100.0)).collect(),
        whiskers: line.here.iter().filter_map(whisker).collect(),
        ..Series::default()
    };
    let series: Vec<_> = table.lines.iter().enumerate().map(series).collect();
    let names: Vec<_> = table.lines.iter().enumerate().map(|(colour, line)| (colour, line.name.clone())).collect();
    let x_label = table.head.first().map_or("", String::as_str);
    let chart = Chart { title: &table.title, x_label, percent: true, series: &series };
    let both = table.lines.iter().any(|line| !line.paper.is_empty());
    html! {
        (legend(&names))
        div.charts {
            figure {
                @if both { figcaption { "mIoU, %: strong here, faint the paper" } }
                (chart.svg(&format!("paper-{}", slug(&table.title))))
            }
        }
    }
}
