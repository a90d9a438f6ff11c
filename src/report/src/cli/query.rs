//! `camflow query`: Polars SQL over the tables of a store.

use std::fmt::Write as _;
use std::path::PathBuf;

use ::report::holdings::{Holdings, Scope};
use ::report::output::{Format, render, save};
use ::report::{query, tables, text};
use artifact::Result;
use artifact::table::declarations;

/// How messages begin.
pub const NAME: &str = "camflow query";

/// Ask questions of the tables of a store in SQL (Polars' dialect)
///
/// Each table is the union over the `latest` links of its stages; the columns `experiment`, `source_stage` and `key`
/// say where a row comes from. An artifact that several experiments share is there once for each: filter on experiment.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Query {
    /// The statement, such as "select experiment, stage, split, miou from score order by miou desc"
    #[arg(required_unless_present = "tables", conflicts_with = "tables")]
    sql: Option<String>,
    /// List the tables with their columns instead
    #[arg(long)]
    tables: bool,
    /// Directory of the artifact store, instead of the manifest's
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The manifest whose store is asked [default: pipeline.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Every committed artifact instead of those that `latest` names
    #[arg(long)]
    all: bool,
    /// How to write the answer
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// The same as `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write to this file instead of the terminal
    #[arg(short, long, value_name = "FILE", required_if_eq("format", "parquet"))]
    output: Option<PathBuf>,
    /// Rows that a table shows
    #[arg(long, value_name = "ROWS", default_value_t = 50)]
    limit: usize,
}

const EXAMPLES: &str = "\
Examples:
  camflow query \"select experiment, stage, split, miou from score order by miou desc\"
  camflow query \"select class, 1.0 * sum(tp) / (sum(tp) + sum(fp) + sum(fn)) as iou
                 from confusion where stage = 'cam' and image_id like '2007_%' group by class order by iou\"
  camflow query --format csv -o losses.csv \"select * from curve where name = 'loss'\"";

impl Query {
    /// Asks, and writes the answer.
    pub fn run(self) -> Result<()> {
        let (_, store) = super::manifest_and_store(self.manifest.as_deref(), self.store)?;
        let holdings = Holdings::open(&store, if self.all { Scope::All } else { Scope::Latest })?;
        super::warn(NAME, &holdings);
        let format = if self.json { Format::Json } else { self.format };
        let answer = match &self.sql {
            Some(sql) => render(&query::run(&holdings, sql)?, format, self.limit)?,
            None => described(&holdings).into_bytes(),
        };
        match &self.output {
            Some(path) => save(path, &answer),
            None => super::print(&answer),
        }
    }
}

/// The tables with their columns, and which stages have written rows.
fn described(holdings: &Holdings) -> String {
    let mut text = String::new();
    for table in declarations() {
        let mut from: Vec<_> = holdings.of_table(table.name).map(|(held, _)| held.stage.as_str()).collect();
        from.dedup();
        let rows = match from.as_slice() {
            [] => "not written yet".to_owned(),
            stages => format!("{} rows from {}", tables::count(holdings, &table), stages.join(", ")),
        };
        let columns = tables::columns(&table).into_iter().map(|column| vec![column.name, column.kind, column.doc]);
        let _ = writeln!(text, "{} ({rows})\n{}", table.name, text::indented(columns.collect()));
    }
    text
}
