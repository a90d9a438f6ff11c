//! `camflow report`: the store as one HTML page, or the paper's tables with its numbers as Markdown.

use std::path::PathBuf;

use ::report::holdings::{Holdings, Scope};
use ::report::output::save;
use ::report::page::{self, Options};
use ::report::paper;
use artifact::{Result, units};

/// How messages begin.
pub const NAME: &str = "camflow report";

/// Write what a store holds as one HTML file that needs nothing beside it
#[derive(Debug, clap::Args)]
pub struct Report {
    /// Directory of the artifact store, instead of the manifest's
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Where to write the page
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// Images in the gallery
    #[arg(long, value_name = "N", default_value_t = 24)]
    images: usize,
    /// The manifest to whose experiments the report keeps, and whose name is the title
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Print the paper's tables with the store's numbers beside them as Markdown, and write no page
    #[arg(long)]
    tables: bool,
    /// Another title
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

impl Report {
    /// Writes the page, or prints the tables.
    pub fn run(self) -> Result<()> {
        // Without a manifest all that a store has is reported on; the default one only lends its store and its name.
        let (manifest, store) = super::manifest_and_store(self.manifest.as_deref(), self.store)?;
        let mut holdings = Holdings::open(&store, Scope::Latest)?;
        if let (Some(path), Some(manifest)) = (&self.manifest, &manifest) {
            let left = holdings.keep(&manifest.experiments()?).into_iter().collect::<Vec<_>>().join(", ");
            if !left.is_empty() {
                eprintln!("{NAME}: left out, as {} does not have them: {left}", path.display());
            }
        }
        super::warn(NAME, &holdings);
        if self.tables {
            return tables(&holdings);
        }
        let named = manifest.and_then(|manifest| manifest.name().ok());
        let title = self.title.or(named).unwrap_or_else(|| "camflow".to_owned());
        let html = page::build(&holdings, &Options { title, images: self.images })?;
        save(&self.out, html.as_bytes())?;
        eprintln!("{NAME}: wrote {} ({})", self.out.display(), units::bytes(html.len() as u64));
        Ok(())
    }
}

fn tables(holdings: &Holdings) -> Result<()> {
    let tables = paper::markdown(holdings)?;
    if tables.is_empty() {
        eprintln!("{NAME}: no evaluated experiment of this store is a row of the paper's tables");
    }
    super::print(tables.as_bytes())
}
