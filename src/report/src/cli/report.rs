//! `camflow report`: the store as one HTML page, or the paper's tables with its numbers as Markdown.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use artifact::{Error, Result};
use clap::Parser;
use report::catalog::{Catalog, Scope, manifest_and_store};
use report::output::save;
use report::page::{self, Options};
use report::paper;

/// Writes what the store holds as one HTML file that needs nothing beside it.
#[derive(Parser)]
#[command(name = "camflow-report", version)]
struct Args {
    /// Directory of the artifact store, instead of the manifest's.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Where to write the page.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// Images in the gallery.
    #[arg(long, value_name = "N", default_value_t = 12)]
    images: usize,
    /// The manifest to whose experiments the report keeps, and whose name is the title.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Print the paper's tables with the store's numbers beside them as Markdown, and write no page.
    #[arg(long)]
    tables: bool,
    /// Another title.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("camflow-report: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(args: Args) -> Result<()> {
    // Without a manifest all that a store has is reported on; the default one only lends its store and its name.
    let (manifest, store) = manifest_and_store(args.manifest.as_deref(), args.store)?;
    let mut catalog = Catalog::open(&store, Scope::Latest)?;
    if let (Some(path), Some(manifest)) = (&args.manifest, &manifest) {
        let left = catalog.keep(&manifest.experiments()?).into_iter().collect::<Vec<_>>().join(", ");
        if !left.is_empty() {
            eprintln!("camflow-report: left out, as {} does not have them: {left}", path.display());
        }
    }
    for warning in catalog.warnings() {
        eprintln!("camflow-report: {warning}");
    }
    if args.tables {
        return print(&paper::markdown(&catalog)?);
    }
    let named = manifest.and_then(|manifest| manifest.name().ok());
    let title = args.title.or(named).unwrap_or_else(|| "camflow".to_owned());
    let html = page::build(&catalog, &Options { title, images: args.images })?;
    save(&args.out, html.as_bytes())?;
    eprintln!("camflow-report: wrote {} ({} kB)", args.out.display(), html.len().div_ceil(1000));
    Ok(())
}

/// Prints the tables. A reader that has gone away is no failure.
fn print(tables: &str) -> Result<()> {
    if tables.is_empty() {
        eprintln!("camflow-report: no evaluated experiment of this store is a row of the paper's tables");
        return Ok(());
    }
    match std::io::stdout().write_all(tables.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::Io { action: "cannot print the tables".into(), source: error })
        }
        _ => Ok(()),
    }
}
