//! `camflow query`: Polars SQL over the tables of a store.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use artifact::{Error, Result};
use clap::Parser;
use report::catalog::{Catalog, Scope, added_columns, declared_tables, manifest_and_store};
use report::output::{Format, render, save};
use report::query;

/// Asks the tables of a store in SQL (Polars' dialect).
///
/// Each table is the union over the `latest` links of its stages; the columns `experiment`, `source_stage` and `key` say
/// where a row comes from. An artifact that several experiments share is there once for each: filter on experiment.
#[derive(Parser)]
#[command(name = "camflow-query", version, after_help = EXAMPLES)]
struct Args {
    /// The statement, such as "select experiment, stage, split, miou from score order by miou desc".
    #[arg(required_unless_present = "tables", conflicts_with = "tables")]
    sql: Option<String>,
    /// List the tables with their columns instead.
    #[arg(long)]
    tables: bool,
    /// Directory of the artifact store, instead of the manifest's.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The manifest whose store is asked [default: pipeline.toml, where there is one].
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Every committed artifact instead of those that `latest` names.
    #[arg(long)]
    all: bool,
    /// How to write the answer.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write to this file instead of the terminal.
    #[arg(short, long, value_name = "FILE", required_if_eq("format", "parquet"))]
    output: Option<PathBuf>,
    /// Rows that a table shows.
    #[arg(long, value_name = "ROWS", default_value_t = 50)]
    limit: usize,
}

const EXAMPLES: &str = "\
Examples:
  camflow query \"select experiment, stage, split, miou from score order by miou desc\"
  camflow query \"select class, 1.0 * sum(tp) / (sum(tp) + sum(fp) + sum(fn)) as iou
                 from confusion where stage = 'cam' and image_id like '2007_%' group by class order by iou\"
  camflow query --format csv -o losses.csv \"select * from curve where name = 'loss'\"";

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader, such as `head`, has seen enough.
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("camflow-query: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(args: Args) -> Result<()> {
    let (_, store) = manifest_and_store(args.manifest.as_deref(), args.store)?;
    let catalog = Catalog::open(&store, if args.all { Scope::All } else { Scope::Latest })?;
    for warning in catalog.warnings() {
        eprintln!("camflow-query: {warning}");
    }
    let format = if args.json { Format::Json } else { args.format };
    let bytes = match &args.sql {
        Some(sql) => render(&mut query::run(&catalog, sql)?, format, args.limit)?,
        None => tables(&catalog).into_bytes(),
    };
    match &args.output {
        Some(path) => save(path, &bytes),
        None => std::io::stdout()
            .write_all(&bytes)
            .map_err(|source| Error::Io { action: "cannot write the answer".to_owned(), source }),
    }
}

fn tables(catalog: &Catalog) -> String {
    let mut text = String::new();
    for table in declared_tables() {
        let mut from: Vec<_> = catalog.sources_of(table.name).map(|(source, _)| source.stage.as_str()).collect();
        from.dedup();
        let rows = match from.as_slice() {
            [] => "not written yet".to_owned(),
            stages => format!("{} rows from {}", catalog.rows(table.name), stages.join(", ")),
        };
        let _ = writeln!(text, "{} ({rows})", table.name);
        for column in table.columns.iter().chain(&added_columns(&table)) {
            let _ = writeln!(text, "  {:<22} {:<12} {}", column.name, column.kind, column.doc);
        }
        text.push('\n');
    }
    text
}
