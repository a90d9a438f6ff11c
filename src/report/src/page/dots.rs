//! The paper's number and the measured one of each row as dots on a line, a small chart for each pair.

use maud::{Markup, html};

use super::chart::{Axis, tenths, tidy};
use crate::paper::{Pair, Sample, Table};
use crate::text::number;

const WIDTH: f64 = 400.0;
/// Width of a letter of a row's name, generously.
const LETTER: f64 = 7.8;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 8.0;
const ROW: f64 = 24.0;
/// Room for the numbers below the rows.
const BELOW: f64 = 26.0;

/// The charts of a table; nothing where nothing was measured.
pub(super) fn figure(table: &Table) -> Markup {
    let pairs = table.pairs();
    let measured: Vec<_> = pairs.iter().filter(|pair| !pair.rows.is_empty()).collect();
    html! {
        @if !measured.is_empty() {
            div.charts { @for pair in measured { (chart(&table.title, pair)) } }
        }
    }
}

/// Mean, and mean less and plus deviation, in percent.
fn percents(here: &Sample) -> [f64; 3] {
    let mean = here.mean();
    let [from, to] = here.range().unwrap_or([mean; 2]);
    [mean, from, to].map(|share| share * 100.0)
}

fn chart(title: &str, pair: &Pair<'_>) -> Markup {
    let ends = pair.rows.iter().flat_map(|(_, paper, here)| percents(here).into_iter().chain([*paper]));
    let axis = Axis::over(ends, 5.0);
    let longest = pair.rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    let left = (longest as f64).mul_add(LETTER, 16.0).min(0.6 * WIDTH);
    let bottom = TOP + ROW * pair.rows.len() as f64;
    let at = |percent: f64| tenths(axis.place(percent, left, RIGHT));
    html! {
        figure {
            figcaption { (pair.name) ", %: ● here, ○ paper" }
            svg.chart
                viewBox={ "0 0 " (WIDTH) " " (bottom + BELOW) }
                role="img"
                aria-label={ (title) ", " (pair.name) }
            {
                @for tick in &axis.ticks {
                    line.grid x1=(at(*tick)) x2=(at(*tick)) y1=(TOP) y2=(bottom) {}
                    text.tick x=(at(*tick)) y=(tenths(bottom + 16.0)) text-anchor="middle" { (number(tidy(*tick))) }
                }
                @for (index, (name, paper, here)) in pair.rows.iter().enumerate() {
                    @let y = TOP + ROW * (index as f64 + 0.5);
                    @let [mean, from, to] = percents(here).map(at);
                    text.label x=(tenths(left - 12.0)) y=(tenths(y + 4.0)) text-anchor="end" { (name) }
                    line.line.s0 x1=(from) x2=(to) y1=(tenths(y)) y2=(tenths(y)) {}
                    circle.mark.s0 cx=(mean) cy=(tenths(y)) r="4.5" {}
                    circle.ring cx=(at(*paper)) cy=(tenths(y)) r="4" {}
                }
            }
        }
    }
}
