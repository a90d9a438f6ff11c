//! The paper's tables with the numbers of this store beside them.

use std::fmt::Write as _;

use artifact::Result;

use super::chart::{Chart, Series, Whisker, legend};
use super::dots;
use super::html::{escape, section as html_section, slug};
use crate::catalog::Catalog;
use crate::paper::{Cell, Line, Sample, Table, tables};

/// The section; empty where no run of the store is a row of the paper.
pub(super) fn section(catalog: &Catalog) -> Result<String> {
    let tables = tables(catalog)?;
    if tables.is_empty() {
        return Ok(String::new());
    }
    let body: String = tables.iter().map(block).collect();
    let lead = "Here: mean ± standard deviation over n seeds of this store's data set and networks, which are not the \
                paper's: compare the order of the rows and their distances. Rows are recognised by their parameters.";
    Ok(html_section("paper", "Paper / here", lead, &body))
}

fn block(table: &Table) -> String {
    let mut text = format!("<h3>{}</h3>\n<p class=\"note\">{}</p>\n", escape(&table.title), escape(&table.note));
    text += &if table.lines.is_empty() { dots::figure(table) } else { lines(table) };
    text.push_str("<div class=\"wide\"><table class=\"paper\"><thead><tr>");
    for (index, name) in table.head.iter().enumerate() {
        let class = if index == 0 { "" } else { " class=\"n\"" };
        let _ = write!(text, "<th{class}>{}</th>", escape(name));
    }
    text.push_str("</tr></thead>\n<tbody>");
    for (name, cells) in &table.rows {
        let _ = write!(text, "<tr><th>{}</th>", escape(name));
        for cell in cells {
            text += &shown(cell);
        }
        text.push_str("</tr>\n");
    }
    text + "</tbody></table></div>\n"
}

fn shown(cell: &Cell) -> String {
    let number = cell.text("<a class=\"dagger\" href=\"#dagger\">†</a>");
    let number = if cell.is_here() { format!("<strong>{number}</strong>") } else { number };
    format!("<td class=\"n\">{number}</td>")
}

/// The measured lines with their deviations, the paper's faintly behind them.
fn lines(table: &Table) -> String {
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
    let svg = chart.svg(&format!("paper-{}", slug(&table.title)));
    let both = table.lines.iter().any(|line| !line.paper.is_empty());
    let caption = if both { "<figcaption>mIoU, %: strong here, faint the paper</figcaption>" } else { "" };
    format!("{}<div class=\"charts\"><figure>{caption}{svg}</figure></div>\n", legend(&names))
}
