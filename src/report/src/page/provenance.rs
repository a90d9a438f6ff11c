//! Which artifact came from where: one row each, with everything that decided its content.

use std::fmt::Write as _;

use serde_json::Value;

use super::html::{bytes, count, duration, escape, section as html_section};
use super::{Shared, shared, stage_rank};
use crate::catalog::Catalog;

/// The section on provenance.
pub(super) fn section(catalog: &Catalog) -> String {
    let mut all = shared(catalog.sources().iter(), &catalog.experiments());
    all.sort_by_key(|shared| (stage_rank(&shared.source.stage), shared.source.stage.clone()));
    let mut text = String::from(
        "<div class=\"wide\"><table class=\"provenance\"><thead><tr><th>Stage</th><th>Experiment</th><th>Key</th>\
         <th>Rows</th><th class=\"n\">Size</th><th class=\"n\">Time</th><th>Host</th><th>Device</th>\
         <th class=\"n\">Seed</th><th>Finished (UTC)</th></tr></thead>\n",
    );
    for shared in &all {
        text += &row(shared);
    }
    text.push_str("</table></div>\n");
    let lead = "The committed artifacts behind this page. An artifact that experiments share was computed once.";
    html_section("provenance", "Provenance", lead, &text)
}

fn row(shared: &Shared<'_>) -> String {
    let record = shared.source.artifact.record();
    let (preimage, provenance) = (&record.preimage, &record.provenance);
    let size: u64 = record.tables.values().flat_map(|table| &table.parts).map(|part| part.bytes).sum::<u64>()
        + record.files.values().map(|file| file.bytes).sum::<u64>();
    let rows: Vec<_> =
        record.tables.iter().map(|(name, table)| format!("{} {}", count(table.rows), escape(name))).collect();
    let seed = preimage.seed.map_or_else(|| "–".to_owned(), |seed| seed.to_string());
    let mut text = format!(
        "<tbody><tr><th>{}</th><td>{}</td><td><code>{}</code></td><td>{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td>{}</td><td class=\"device\">{}</td><td class=\"n\">{seed}</td><td class=\"date\">{}</td></tr>\n",
        escape(&shared.source.stage),
        escape(&shared.label()),
        record.key.short(),
        rows.join(", "),
        bytes(size),
        duration(provenance.seconds),
        escape(&provenance.host),
        escape(preimage.device.as_deref().unwrap_or("–")),
        escape(&provenance.finished.get(..16).unwrap_or(&provenance.finished).replace('T', " ")),
    );
    let mut entries = Vec::new();
    flatten("", &preimage.params, &mut entries);
    let short = |digest: &String| digest.get(..16).unwrap_or(digest).to_owned();
    entries.extend(preimage.inputs.iter().map(|(name, digest)| (format!("input {name}"), short(digest))));
    entries.extend(preimage.files.iter().map(|(name, digest)| (format!("file {name}"), short(digest))));
    entries.extend(record.metrics.iter().map(|(name, value)| (format!("metric {name}"), plain(value))));
    entries.push(("digest".to_owned(), short(&record.digest)));
    entries.push(("command".to_owned(), provenance.command.join(" ")));
    entries.push(("version".to_owned(), format!("stage {}, camflow {}", preimage.version, provenance.camflow)));
    text.push_str("<tr class=\"more\"><td colspan=\"10\"><details><summary>parameters and inputs</summary><dl>");
    for (name, value) in entries {
        let _ = write!(text, "<div><dt>{}</dt><dd>{}</dd></div>", escape(&name), escape(&value));
    }
    text + "</dl></details></td></tr></tbody>\n"
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The leaves of a JSON value under dotted names.
fn flatten(name: &str, value: &Value, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(&format!("{name}{dot}{key}"), value, leaves);
            }
        }
        leaf => leaves.push((name.to_owned(), plain(leaf))),
    }
}
