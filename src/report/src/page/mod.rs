//! The report: one HTML file that needs nothing beside it, no script and no network.
//!
//! ```text
//! scores      headline, score table, IoU by class
//! compared    the paper's tables with the numbers of the store beside them (dots: one of their figures)
//! curves      scores over the threshold, losses over the steps (chart: a line chart as SVG)
//! gallery     photographs with what became of them (picture: cells to pixels; colour: palettes)
//! provenance  which artifact came from where
//! html        escaping, numbers
//! ```

mod chart;
mod colour;
mod compared;
mod curves;
mod dots;
mod gallery;
pub(crate) mod html;
mod picture;
mod provenance;
mod scores;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use artifact::Result;

use crate::catalog::{Catalog, Declared, Source, declared_tables, title_of};

const STYLE: &str = include_str!("style.css");
/// The stages in the order of the pipeline; others follow by name.
const ORDER: [&str; 8] = [
    "prepare-data",
    "train-cam",
    "extract-msinf-cam",
    "threshold-sweep",
    "train-affinity",
    "random-walk",
    "train-deeplab",
    "evaluate",
];

/// What the report is called and how much it shows.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its title.
    pub title: String,
    /// How many images its gallery has.
    pub images: usize,
}

/// The page. Parts for which the store has nothing are left out.
pub fn build(catalog: &Catalog, options: &Options) -> Result<String> {
    let experiments = Experiments::of(catalog);
    let sections = [
        scores::sections(catalog, &experiments)?,
        compared::section(catalog)?,
        curves::thresholds(catalog, &experiments)?,
        gallery::section(catalog, options.images)?,
        curves::losses(catalog, &experiments)?,
        provenance::section(catalog),
    ];
    let newest = catalog.sources().iter().map(|source| source.artifact.record().provenance.finished.as_str()).max();
    let date = newest.and_then(|instant| instant.get(..10)).unwrap_or_default();
    let title = html::escape(&options.title);
    let names: Vec<_> = experiments.names.iter().map(|name| experiments.label(name)).collect();
    let body = sections.concat();
    let parts = [
        ("scores", "Scores"),
        ("classes", "Classes"),
        ("paper", "Paper / here"),
        ("thresholds", "Threshold"),
        ("gallery", "Images"),
        ("training", "Training"),
        ("provenance", "Provenance"),
    ];
    let mut nav = String::new();
    for (id, name) in parts {
        if body.contains(&format!("<section id=\"{id}\">")) {
            let _ = write!(nav, "<a href=\"#{id}\">{name}</a>");
        }
    }
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · camflow</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n\
         <p class=\"experiments\">{}</p>\n<p class=\"meta\">Newest artifact of {date} · camflow {}</p>\n\
         <nav>{nav}</nav>\n</header>\n<main>\n{body}</main>\n</body>\n</html>\n",
        names.join(" "),
        env!("CARGO_PKG_VERSION"),
    ))
}

/// The experiments of a store, each with its place and colour; a variant at several seeds is one.
struct Experiments {
    names: Vec<String>,
    main: Option<String>,
}

impl Experiments {
    fn of(catalog: &Catalog) -> Self {
        let main = catalog.sources().iter().find(|source| source.main).map(|source| &source.experiment);
        let main = main.map(|name| title_of(name).to_owned());
        let mut names: Vec<_> = catalog.experiments().iter().map(|name| title_of(name).to_owned()).collect();
        names.sort_by_key(|name| (Some(name) == main.as_ref(), name.clone()));
        names.dedup();
        Self { names, main }
    }

    fn is_main(&self, name: &str) -> bool {
        self.main.as_deref() == Some(title_of(name))
    }

    /// Its place in tables; an experiment that only a table's rows name comes last.
    fn rank(&self, name: &str) -> usize {
        self.names.iter().position(|known| known == title_of(name)).unwrap_or(self.names.len())
    }

    /// The main experiment has the first colour, in every report.
    fn colour_of(&self, name: &str) -> usize {
        if self.is_main(name) { 0 } else { 1 + self.rank(name) }
    }

    /// The colour of a line that several experiments may share.
    fn colour(&self, shared: &Shared<'_>) -> usize {
        shared.experiments.iter().map(|name| self.colour_of(name)).min().unwrap_or(0)
    }

    /// Its name with its colour.
    fn label(&self, name: &str) -> String {
        let colour = self.colour_of(name) % chart::COLOURS;
        format!("<span class=\"experiment\"><span class=\"key s{colour}\"></span>{}</span>", html::escape(name))
    }
}

/// One artifact with the experiments that share it.
struct Shared<'a> {
    source: &'a Source,
    experiments: Vec<String>,
}

impl Shared<'_> {
    fn label(&self) -> String {
        self.experiments.join(", ")
    }
}

/// The artifacts that hold a table, each once; of one stage, or of all.
fn shared_sources<'a>(catalog: &'a Catalog, table: &str, stage: Option<&str>) -> Vec<Shared<'a>> {
    let holding = catalog.sources_of(table).map(|(source, _)| source);
    shared(holding.filter(|source| stage.is_none_or(|stage| source.stage == stage)), &catalog.experiments())
}

/// Sources with the same artifact as one, in the order of the experiments.
fn shared<'a>(sources: impl Iterator<Item = &'a Source>, order: &[String]) -> Vec<Shared<'a>> {
    let rank = |source: &Source| order.iter().position(|name| *name == source.experiment);
    let mut sources: Vec<_> = sources.collect();
    sources.sort_by_key(|source| rank(source));
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut all: Vec<Shared<'a>> = Vec::new();
    for source in sources {
        let place = *places.entry((&source.stage, source.artifact.record().key.short())).or_insert_with(|| {
            all.push(Shared { source, experiments: Vec::new() });
            all.len() - 1
        });
        all[place].experiments.push(source.experiment.clone());
    }
    all
}

fn stage_rank(stage: &str) -> usize {
    ORDER.iter().position(|known| *known == stage).unwrap_or(ORDER.len())
}

/// A table by its name, which must be one that `artifact` declares.
fn declared(name: &str) -> Declared {
    let table = declared_tables().into_iter().find(|table| table.name == name);
    table.expect("the report asks for declared tables only")
}
