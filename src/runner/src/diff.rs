//! `camflow diff A B`: two artifacts beside one another: what decided them, their metrics, their rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;

use artifact::compare::{self, Parting, RowName, TableDifference, Term};
use artifact::store::Accepted;
use artifact::table::{CurveRow, LOSS_HASH};
use artifact::{Artifact, Change, Item, Key, Result, Row as _};
use serde::Serialize;
use serde_json::Value;

use crate::options::PipelineSource;
use crate::reason::shown;
use crate::text::{self, Table};

/// Two artifacts beside one another.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The first.
    pub a: Side,
    /// The second.
    pub b: Side,
    /// Have they the same content?
    pub same_content: bool,
    /// What differs in that which decided their content; `old` is A's.
    pub changes: Vec<Change>,
    /// The metrics that differ.
    pub metrics: Vec<MetricDifference>,
    /// The tables that both have.
    pub tables: Vec<TableDifference>,
    /// The tables that only A, only B has, or that this program cannot compare.
    pub not_compared: Vec<String>,
    /// Have two training runs the same losses to the last step? `None` where one of them took no hash of them.
    pub same_losses: Option<bool>,
}

/// One of the two.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Name of the stage.
    pub stage: String,
    /// Its key.
    pub key: Key,
    /// The experiment for which it was computed.
    pub experiment: String,
    /// When it was published.
    pub finished: String,
    /// Digest of its content.
    pub digest: String,
    /// Each time that it was taken over from an earlier version of the stage.
    pub accepted: Vec<Accepted>,
}

/// A metric that differs.
#[derive(Clone, Debug, Serialize)]
pub struct MetricDifference {
    /// Its name.
    pub name: String,
    /// Its value in A.
    pub a: Option<Value>,
    /// Its value in B.
    pub b: Option<Value>,
    /// B's less A's, where both are numbers.
    pub difference: Option<f64>,
}

/// Compares two artifacts; `limit` rows of each table are named.
pub fn diff(
    source: &PipelineSource,
    names: [&str; 2],
    limit: usize,
    json: bool,
    out: &mut dyn Write,
) -> Result<Difference> {
    let place = source.place();
    let [a, b] = names.map(|name| place.find(name));
    let difference = Difference::of(&a?, &b?, limit)?;
    if json {
        text::emit_json(out, &difference)?;
    } else {
        text::emit(out, &difference.to_string())?;
    }
    Ok(difference)
}

impl Difference {
    fn of(a: &Artifact, b: &Artifact, limit: usize) -> Result<Self> {
        let (in_a, in_b) = (a.record(), b.record());
        let mut tables = Vec::new();
        let mut not_compared = Vec::new();
        let names: BTreeSet<_> = in_a.tables.keys().chain(in_b.tables.keys()).collect();
        for name in names {
            match compare::table(name, a, b, limit)? {
                Some(table) => tables.push(table),
                None => not_compared.push(name.clone()),
            }
        }
        let hash =
            |artifact: &Artifact| artifact.record().tables.get(CurveRow::TABLE)?.metadata.get(LOSS_HASH).cloned();
        let same_losses = hash(a).zip(hash(b)).map(|(a, b)| a == b);
        Ok(Self {
            same_content: in_a.digest == in_b.digest,
            changes: in_b.preimage.changes_from(&in_a.preimage),
            metrics: metrics(&in_a.metrics, &in_b.metrics),
            tables,
            not_compared,
            same_losses,
            a: Side::of(a),
            b: Side::of(b),
        })
    }
}

impl Side {
    fn of(artifact: &Artifact) -> Self {
        let record = artifact.record();
        Self {
            stage: record.preimage.stage.clone(),
            key: record.key.clone(),
            experiment: record.provenance.experiment.clone(),
            finished: record.provenance.finished.clone(),
            digest: record.digest.clone(),
            accepted: record.provenance.accepted.clone(),
        }
    }
}

fn metrics(a: &BTreeMap<String, Value>, b: &BTreeMap<String, Value>) -> Vec<MetricDifference> {
    let names: BTreeSet<_> = a.keys().chain(b.keys()).filter(|name| a.get(*name) != b.get(*name)).collect();
    let metric = |name: &String| {
        let (a, b) = (a.get(name).cloned(), b.get(name).cloned());
        let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_f64);
        let difference = number(&a).zip(number(&b)).map(|(a, b)| b - a);
        MetricDifference { name: name.clone(), a, b, difference }
    };
    names.into_iter().map(metric).collect()
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sides = Table::new(&["", "stage", "key", "experiment", "finished"]);
        for (name, side) in [("A", &self.a), ("B", &self.b)] {
            let finished = text::instant(&side.finished);
            sides.row([name, &side.stage, side.key.short(), &side.experiment, &finished]);
        }
        write!(f, "{sides}")?;
        for (name, side) in [("A", &self.a), ("B", &self.b)] {
            side.accepted.iter().try_for_each(|accepted| writeln!(f, "{name} was {}", text::accepted(accepted)))?;
        }
        self.write_changes(f)?;
        if !self.metrics.is_empty() {
            let mut table = Table::new(&["metric", "A", "B", "B - A"]);
            let number = |value: &Option<Value>| value.as_ref().map(text::number).unwrap_or_default();
            for MetricDifference { name, a, b, difference } in &self.metrics {
                let difference = difference.map(|difference| format!("{difference:+.4}")).unwrap_or_default();
                table.row([name, &number(a), &number(b), &difference]);
            }
            write!(f, "\n{table}")?;
        }
        if self.same_content {
            return writeln!(f, "\nthe content is the same, {} tables to the last row", self.tables.len());
        }
        let mut table = Table::new(&["table", "rows A", "rows B", "same", "changed", "only A", "only B"]);
        for difference in &self.tables {
            let TableDifference { table: name, rows: [a, b], same, changed, only: [only_a, only_b], .. } = difference;
            table.row(std::iter::once(name.clone()).chain([a, b, same, changed, only_a, only_b].map(u64::to_string)));
        }
        write!(f, "\n{table}")?;
        self.not_compared.iter().try_for_each(|name| writeln!(f, "{name}: only one of them has this table"))?;
        self.tables.iter().try_for_each(|table| write_rows(f, table))?;
        match self.same_losses {
            Some(true) => writeln!(f, "\nthe two runs have the same losses to the last step"),
            _ => Ok(()),
        }
    }
}

impl Difference {
    /// Parameters with both values; of inputs what differs, as digests tell nobody anything.
    fn write_changes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (inputs, others): (Vec<_>, Vec<_>) =
            self.changes.iter().partition(|change| Item::of_field(&change.field).is_some());
        if !others.is_empty() {
            let mut table = Table::new(&["field", "A", "B"]);
            for Change { field, old, new } in others {
                table.row([field, &shown(old.as_ref()), &shown(new.as_ref())]);
            }
            write!(f, "\n{table}")?;
        }
        if !inputs.is_empty() {
            writeln!(f)?;
        }
        for (stage, item) in inputs.iter().filter_map(|change| Item::of_field(&change.field)) {
            writeln!(f, "{item} of {stage} differs")?;
        }
        Ok(())
    }
}

/// The rows of a table that differ, the worst first.
fn write_rows(f: &mut fmt::Formatter<'_>, table: &TableDifference) -> fmt::Result {
    if let Some(parting) = &table.parting {
        return write_parting(f, parting);
    }
    let name = |row: &RowName| row.iter().map(|(_, value)| text::number(value)).collect::<Vec<_>>();
    if let Some(first) = table.worst.first() {
        writeln!(f, "\n{}: rows that differ, by {} (sum {})", table.table, table.measure, digits(table.total))?;
        let columns: Vec<_> = first.row.iter().map(|(column, _)| *column).chain(["difference", "what"]).collect();
        let mut rows = Table::new(&columns);
        for row in &table.worst {
            let difference = row.difference.map_or_else(|| "not to be measured".to_owned(), digits);
            rows.row(name(&row.row).into_iter().chain([difference, row.what.clone()]));
        }
        write!(f, "{rows}")?;
    }
    for (side, rows, count) in [("A", &table.only_first[0], table.only[0]), ("B", &table.only_first[1], table.only[1])]
    {
        if count > 0 {
            let rows: Vec<_> = rows.iter().map(|row| name(row).join(" ")).collect();
            let more = if count as usize > rows.len() { ", ..." } else { "" };
            writeln!(f, "{}: only in {side}: {}{more}", table.table, rows.join(", "))?;
        }
    }
    Ok(())
}

fn write_parting(f: &mut fmt::Formatter<'_>, parting: &Parting) -> fmt::Result {
    let Parting { step, terms, last: [last_a, last_b], only } = parting;
    match step {
        Some(step) => {
            writeln!(f, "\ncurve: the two runs part at step {step}")?;
            let mut table = Table::new(&["term", "A", "B"]);
            for Term { name, a, b } in terms {
                table.row([name.clone(), a.to_string(), b.to_string()]);
            }
            write!(f, "{table}")?;
        }
        None => writeln!(f, "\ncurve: every value that both runs have is the same")?,
    }
    if last_a != last_b {
        writeln!(f, "curve: A ends at step {last_a}, B at step {last_b}")?;
    }
    for (side, terms) in [("A", &only[0]), ("B", &only[1])].iter().filter(|(_, terms)| !terms.is_empty()) {
        writeln!(f, "curve: only {side} has {}", terms.join(", "))?;
    }
    Ok(())
}

/// A difference, be it of probabilities or of pixels.
fn digits(number: f64) -> String {
    if number.fract() == 0.0 { number.to_string() } else { format!("{number:.6}") }
}
