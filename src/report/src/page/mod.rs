//! The report: one HTML file that needs nothing beside it and no network. Its script filters the gallery, moves through
//! it by keys and switches the colours; without the script everything is there to read.
//!
//! ```text
//! verdict      the sentence on top, and a tile a number
//! scored       what the evaluations tell: lines with their intervals, and what was found in every image
//! pipeline     which stage feeds which, with times, and what was found instead of computed (graph: where it is drawn;
//!              last_run: what the last run says of it)
//! scores       score table, what was chosen on ground truth
//! classes      IoU by class
//! matrix       which class is taken for which, as heat maps
//! compared     the paper's tables with the numbers of the store beside them
//! curves       scores over the threshold, losses over the steps
//! gallery      photographs with what became of them (choice: of which images; strips: which columns of pictures)
//! benchmarks   what `make bench` measured beside its peers
//! provenance   which artifact came from where
//! order        the order of stages and of what is scored
//! experiments  the experiments with their places and colours; artifacts that several of them share
//! class_names  the names of a data set's classes
//! chart        a line chart as SVG
//! dots         the paper's number and the measured one as dots, as SVG
//! picture      cells of the store as small pictures
//! colour       colours as CSS writes them
//! ```
//!
//! Sections take a store's holdings and give markup, or nothing where the store has nothing to show. `style.css`,
//! `gallery.css` and `script.js` stand beside this file and go into the page as they are.

mod benchmarks;
mod chart;
mod choice;
mod class_names;
mod classes;
mod colour;
mod compared;
mod curves;
mod dots;
mod experiments;
mod gallery;
mod graph;
mod last_run;
mod matrix;
mod order;
mod picture;
mod pipeline;
mod provenance;
mod scored;
mod scores;
mod strips;
mod verdict;

use artifact::table::{BenchRow, DatasetRow, GrowthRow};
use artifact::{Result, Row as _};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::holdings::{Holding, Holdings};
use crate::paper;
use class_names::ClassNames;
use experiments::Experiments;
use order::Order;
use scored::Scored;
use strips::Source;
use verdict::Compared;

const STYLE: [&str; 2] = [include_str!("style.css"), include_str!("gallery.css")];
const SCRIPT: &str = include_str!("script.js");

/// What the report is called and how much it shows.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its title.
    pub title: String,
    /// How many images its gallery has.
    pub images: usize,
}

/// A part of the page.
struct Section {
    /// Where the navigation leads.
    id: &'static str,
    /// Its name in the navigation.
    name: &'static str,
    /// Its heading.
    title: &'static str,
    /// How to read it.
    lead: String,
    body: Markup,
}

impl Section {
    fn markup(&self) -> Markup {
        html! {
            section id=(self.id) {
                h2 { (self.title) }
                p.lead { (self.lead) }
                (self.body)
            }
        }
    }
}

/// The page. Parts for which the store has nothing are left out.
pub fn build(holdings: &Holdings, options: &Options) -> Result<String> {
    let benchmarks = benchmarks::section(holdings)?;
    // They come from no stage: nothing else on the page is about them.
    let holdings = &holdings.without(&[BenchRow::TABLE, GrowthRow::TABLE]);
    let (order, experiments) = (Order::of(holdings)?, Experiments::of(holdings));
    let scored = Scored::of(holdings, &order, &experiments)?;
    let compared = Compared::of(&scored, &experiments, &paper::baselines(holdings)?);
    let (compared, not_scored) = (compared.as_ref(), scores::not_scored(holdings));
    let dataset = dataset(holdings);
    let classes = dataset.map(ClassNames::of);
    let (mut matrices, mut gallery) = (None, None);
    if let (Some(dataset), Some(classes)) = (dataset, &classes) {
        matrices = matrix::section(holdings, &scored, compared, classes)?;
        let source = Source { holdings, order: &order, dataset, classes, scored: &scored };
        gallery = gallery::section(&source, compared, options.images)?;
    }
    let sections = [
        Some(pipeline::section(holdings, &order, &experiments)),
        scores::section(&scored, &experiments, &not_scored),
        classes::section(holdings, &order, &experiments)?,
        matrices,
        gallery,
        compared::section(holdings)?,
        curves::thresholds(holdings, &experiments)?,
        curves::losses(holdings, &order, &experiments)?,
        benchmarks,
        Some(provenance::section(holdings, &order)),
    ];
    let sections: Vec<_> = sections.into_iter().flatten().collect();
    let verdict = verdict::verdict(&scored, compared, &not_scored);
    Ok(page(&options.title, holdings, &experiments, &verdict, &sections).into_string())
}

/// The data set of the main experiment, else the first one.
fn dataset(holdings: &Holdings) -> Option<&Holding> {
    let datasets = || holdings.of_table(DatasetRow::TABLE).map(|(held, _)| held);
    datasets().find(|held| held.main).or_else(|| datasets().next())
}

fn page(title: &str, holdings: &Holdings, experiments: &Experiments, verdict: &Markup, sections: &[Section]) -> Markup {
    let newest = holdings.all().iter().map(|held| held.artifact.record().provenance.finished.as_str()).max();
    let date = newest.and_then(|instant| instant.get(..10)).unwrap_or_default();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · camflow" }
                style { @for style in STYLE { (PreEscaped(style)) } }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                nav aria-label="Parts of the page" {
                    @for section in sections { a href={ "#" (section.id) } { (section.name) } }
                    span.tools {
                        button #theme type="button" hidden { "Dark" }
                        button #keys type="button" hidden aria-expanded="false" aria-controls="help" { "Keys" }
                    }
                }
                (help())
                main #content tabindex="-1" {
                    header {
                        h1 { (title) }
                        p.experiments { @for name in experiments.names() { (experiments.label(name)) " " } }
                        p.meta { "Newest artifact of " (date) " · camflow " (env!("CARGO_PKG_VERSION")) }
                    }
                    (verdict)
                    @for section in sections { (section.markup()) }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// What each key does.
fn help() -> Markup {
    let keys = [
        ("j, k or ↓, ↑", "next and previous image (arrows: once one is chosen)"),
        ("g", "to the images"),
        ("/", "filter the images"),
        ("Esc", "clear the filter; close this"),
        ("t", "light or dark"),
        ("?", "this list"),
    ];
    html! {
        div #help hidden {
            dl { @for (key, meaning) in keys { div { dt { kbd { (key) } } dd { (meaning) } } } }
        }
    }
}

/// A link to the note on what was chosen on ground truth.
fn dagger() -> Markup {
    html! { a.dagger href="#dagger" { "†" } }
}

/// A name as part of an element's id.
fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}
