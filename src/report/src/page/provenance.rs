//! Which artifact came from where: one row each, with everything that decided its content.

use artifact::dotted::leaves;
use artifact::store::Record;
use artifact::units::{bytes, duration};
use maud::{Markup, html};
use serde_json::Value;

use super::Section;
use super::experiments::{Shared, shared};
use super::order::Order;
use crate::holdings::Holdings;
use crate::text::count;

/// The section.
pub(super) fn section(holdings: &Holdings, order: &Order) -> Section {
    let mut all = shared(holdings.all().iter(), &holdings.experiments());
    all.sort_by_key(|shared| order.stage(&shared.held.stage));
    let body = html! {
        div.wide tabindex="0" role="region" aria-label="Provenance" {
            table.provenance {
                thead {
                    tr {
                        th { "Stage" } th { "Experiment" } th { "Key" } th { "Rows" } th.n { "Size" } th.n { "Time" }
                        th { "Host" } th { "Device" } th.n { "Seed" } th { "Finished (UTC)" }
                    }
                }
                @for shared in &all { (row(shared)) }
            }
        }
    };
    let lead = "The committed artifacts behind this page. An artifact that experiments share was computed once.";
    Section { id: "provenance", name: "Provenance", title: "Provenance", lead: lead.into(), body }
}

fn row(shared: &Shared<'_>) -> Markup {
    let record = shared.held.artifact.record();
    let (preimage, provenance) = (&record.preimage, &record.provenance);
    let size: u64 = record.tables.values().flat_map(|table| &table.parts).map(|part| part.bytes).sum::<u64>()
        + record.files.values().map(|file| file.bytes).sum::<u64>();
    let rows: Vec<_> = record.tables.iter().map(|(name, table)| format!("{} {name}", count(table.rows))).collect();
    let finished = provenance.finished.get(..16).unwrap_or(&provenance.finished).replace('T', " ");
    html! {
        tbody {
            tr {
                th { (shared.held.stage) }
                td { (shared.label()) }
                td { code { (record.key.short()) } }
                td { (rows.join(", ")) }
                td.n { (bytes(size)) }
                td.n { (duration(provenance.seconds)) }
                td { (provenance.host) }
                td.device { (preimage.device.as_deref().unwrap_or("–")) }
                td.n { (preimage.seed.map_or_else(|| "–".to_owned(), |seed| seed.to_string())) }
                td.date { (finished) }
            }
            tr.more {
                td colspan="10" {
                    details {
                        summary { "parameters and inputs" }
                        dl { @for (name, value) in entries(record) { div { dt { (name) } dd { (value) } } } }
                    }
                }
            }
        }
    }
}

/// Everything that decided an artifact's content, and how it was made.
fn entries(record: &Record) -> Vec<(String, String)> {
    let (preimage, provenance) = (&record.preimage, &record.provenance);
    let short = |digest: &str| digest.get(..16).unwrap_or(digest).to_owned();
    let mut entries: Vec<_> = leaves(&preimage.params).into_iter().map(|(name, value)| (name, plain(value))).collect();
    for (stage, reading) in &preimage.inputs {
        entries.extend(reading.parts().map(|(item, digest)| (format!("{item} of {stage}"), short(digest))));
    }
    entries.extend(preimage.files.iter().map(|(name, digest)| (format!("file {name}"), short(digest))));
    entries.extend(record.metrics.iter().map(|(name, value)| (format!("metric {name}"), plain(value))));
    entries.push(("digest".to_owned(), short(&record.digest)));
    entries.push(("command".to_owned(), provenance.command.join(" ")));
    entries.push(("version".to_owned(), format!("stage {}, camflow {}", preimage.version, provenance.camflow)));
    entries
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
