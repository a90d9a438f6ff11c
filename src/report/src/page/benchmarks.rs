//! What `make bench` measured beside its peers.

use artifact::Result;
use artifact::table::BenchRow;
use maud::{Markup, html};

use super::Section;
use crate::holdings::Holdings;
use crate::tables::rows;
use crate::text::number;

/// The section; nothing where no benchmark was run.
pub(super) fn section(holdings: &Holdings) -> Result<Option<Section>> {
    let rows = rows::<BenchRow>(holdings)?;
    if rows.is_empty() {
        return Ok(None);
    }
    let body = html! {
        div.wide tabindex="0" role="region" aria-label="Benchmarks" {
            table.provenance {
                thead {
                    tr {
                        th { "What" } th.n { "Here" } th { "Peer" } th.n { "Peer's" } th.n { "Ratio" } th.n { "Wanted" }
                        th.n { "Difference" } th.n { "Threads" } th { "Machine" } th { "Commit" }
                        th { "Measured (UTC)" }
                    }
                }
                tbody { @for row in &rows { (line(row)) } }
            }
        }
    };
    let lead = "Measured by make bench. Ratio: how many times better this program is than the peer in the same run, \
                and what is wanted; strong where that is reached. Difference: the largest one between both answers.";
    Ok(Some(Section { id: "benchmarks", name: "Benchmarks", title: "Benchmarks", lead: lead.into(), body }))
}

fn line(row: &BenchRow) -> Markup {
    let measured = row.time.get(..16).unwrap_or(&row.time).replace('T', " ");
    let reached = row.ratio.zip(row.wanted).is_some_and(|(ratio, wanted)| ratio >= wanted);
    let ratio = row.ratio.map_or_else(|| "–".to_owned(), number);
    html! {
        tr {
            th { (row.what) ", " (row.setting) }
            td.n { (number(row.ours)) " " (row.unit) }
            td { (row.peer) @if !row.missing.is_empty() { " (not there: " (row.missing) ")" } }
            td.n { @if let Some(theirs) = row.theirs { (number(theirs)) " " (row.unit) } @else { "–" } }
            td.n { @if reached { strong { (ratio) } } @else { (ratio) } }
            td.n { (row.wanted.map_or_else(String::new, number)) }
            td.n { (row.difference.map_or_else(String::new, number)) }
            td.n { (row.threads) }
            td { (row.machine) ", " (row.cores) " cores" }
            td { code { (row.commit) } }
            td.date { (measured) }
        }
    }
}
