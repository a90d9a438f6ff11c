//! `camflow report`: the store as one HTML page.

use std::path::PathBuf;
use std::process::ExitCode;

use artifact::{Manifest, Result};
use clap::Parser;
use report::catalog::{Catalog, Scope};
use report::output::save;
use report::page::{self, Options};

/// Writes what the store holds as one HTML file that needs nothing beside it.
#[derive(Parser)]
#[command(name = "camflow-report", version)]
struct Args {
    /// Directory of the artifact store.
    #[arg(long, value_name = "DIR", default_value = "artifacts")]
    store: PathBuf,
    /// Where to write the page.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// Images in the gallery.
    #[arg(long, value_name = "N", default_value_t = 12)]
    images: usize,
    /// The manifest whose name is the title.
    #[arg(long, value_name = "FILE", default_value = "pipeline.toml")]
    manifest: PathBuf,
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
    let catalog = Catalog::open(&args.store, Scope::Latest)?;
    for warning in catalog.warnings() {
        eprintln!("camflow-report: {warning}");
    }
    // The title only: a store is reported on without its manifest, too.
    let named = || Manifest::load(&args.manifest, &[]).and_then(|manifest| manifest.name()).ok();
    let title = args.title.or_else(named).unwrap_or_else(|| "camflow".to_owned());
    let html = page::build(&catalog, &Options { title, images: args.images })?;
    save(&args.out, html.as_bytes())?;
    eprintln!("camflow-report: wrote {} ({} kB)", args.out.display(), html.len().div_ceil(1000));
    Ok(())
}
