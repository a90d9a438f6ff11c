//! The paper's number and the measured one of each row as dots on a line, a small chart for each measure.

use std::fmt::Write as _;

use super::chart::{Axis, tidy};
use super::html::{escape, number};
use crate::paper::{Measure, Table};

const WIDTH: f64 = 400.0;
/// Width of a letter of a row's name, generously.
const LETTER: f64 = 6.6;
const RIGHT: f64 = 14.0;
const TOP: f64 = 8.0;
const ROW: f64 = 24.0;
const BOTTOM: f64 = 26.0;

/// The charts of a table; empty where nothing was measured.
pub(super) fn figure(table: &Table) -> String {
    let measures = table.measures();
    let charts: String = measures
        .iter()
        .filter(|measure| !measure.rows.is_empty())
        .map(|measure| chart(&table.title, measure))
        .collect();
    if charts.is_empty() { charts } else { format!("<div class=\"charts\">{charts}</div>\n") }
}

fn chart(title: &str, measure: &Measure<'_>) -> String {
    let ends = measure.rows.iter().flat_map(|(_, paper, here)| {
        let (mean, deviation) = (here.mean() * 100.0, here.deviation().unwrap_or(0.0) * 100.0);
        [*paper, mean - deviation, mean + deviation]
    });
    let axis = Axis::over(ends, 5.0, false);
    let longest = measure.rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    let left = (longest as f64).mul_add(LETTER, 16.0).min(0.6 * WIDTH);
    let (right, height) = (WIDTH - RIGHT, TOP + ROW * measure.rows.len() as f64 + BOTTOM);
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
    for (index, (name, paper, here)) in measure.rows.iter().enumerate() {
        let y = TOP + ROW * (index as f64 + 0.5);
        let (mean, deviation) = (here.mean() * 100.0, here.deviation().unwrap_or(0.0) * 100.0);
        let (mean, from, to, paper) = (at(mean), at(mean - deviation), at(mean + deviation), at(*paper));
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
    let name = escape(measure.name);
    format!(
        "<figure><figcaption>{name}, %: ● here, ○ paper</figcaption><svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"{}, {name}\">\n{svg}</svg></figure>",
        escape(title)
    )
}
