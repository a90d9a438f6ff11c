//! The paper's number and the measured one of each row as dots on a line, a small chart for each pair.

use std::fmt::Write as _;

use super::chart::{Axis, tidy};
use super::html::{escape, number};
use crate::paper::{Pair, Sample, Table};

const WIDTH: f64 = 400.0;
/// Width of a letter of a row's name, generously.
const LETTER: f64 = 6.6;
const RIGHT: f64 = 14.0;
const TOP: f64 = 8.0;
const ROW: f64 = 24.0;
const BOTTOM: f64 = 26.0;

/// The charts of a table; empty where nothing was measured.
pub(super) fn figure(table: &Table) -> String {
    let pairs = table.pairs();
    let measured = pairs.iter().filter(|pair| !pair.rows.is_empty());
    let charts: String = measured.map(|pair| chart(&table.title, pair)).collect();
    if charts.is_empty() { charts } else { format!("<div class=\"charts\">{charts}</div>\n") }
}

/// Mean, and mean less and plus deviation, in percent.
fn percents(here: &Sample) -> [f64; 3] {
    let mean = here.mean();
    let [from, to] = here.range().unwrap_or([mean; 2]);
    [mean, from, to].map(|share| share * 100.0)
}

fn chart(title: &str, pair: &Pair<'_>) -> String {
    let ends = pair.rows.iter().flat_map(|(_, paper, here)| percents(here).into_iter().chain([*paper]));
    let axis = Axis::over(ends, 5.0, false);
    let longest = pair.rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    let left = (longest as f64).mul_add(LETTER, 16.0).min(0.6 * WIDTH);
    let (right, height) = (WIDTH - RIGHT, TOP + ROW * pair.rows.len() as f64 + BOTTOM);
    let bottom = height - BOTTOM;
    let at = |percent: f64| axis.place(percent, left, right);
    let mut svg = String::new();
    for tick in &axis.ticks {
        let x = at(*tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/><text class=\"tick\" \
             x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 16.0,
            number(tidy(*tick))
        );
    }
    for (index, (name, paper, here)) in pair.rows.iter().enumerate() {
        let y = TOP + ROW * (index as f64 + 0.5);
        let ([mean, from, to], paper) = (percents(here).map(at), at(*paper));
        let _ = writeln!(
            svg,
            "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <line class=\"line s0\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <circle class=\"mark s0\" cx=\"{mean:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>\
             <circle class=\"ring\" cx=\"{paper:.1}\" cy=\"{y:.1}\" r=\"4\"/>",
            left - 12.0,
            y + 4.0,
            escape(name)
        );
    }
    let name = escape(pair.name);
    format!(
        "<figure><figcaption>{name}, %: ● here, ○ paper</figcaption><svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"{}, {name}\">\n{svg}</svg></figure>",
        escape(title)
    )
}
