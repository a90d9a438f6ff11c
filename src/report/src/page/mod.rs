//! The report: one HTML file that needs nothing beside it, no script and no network.
//!
//! ```text
//! scores       headline, score table
//! classes      IoU by class
//! compared     the paper's tables with the numbers of the store beside them
//! curves       scores over the threshold, losses over the steps
//! gallery      photographs with what became of them (choice: of which images; strips: which columns of pictures)
//! provenance   which artifact came from where
//! order        the order of stages and of what is scored
//! experiments  the experiments with their places and colours; artifacts that several of them share
//! chart        a line chart as SVG
//! dots         the paper's number and the measured one as dots, as SVG
//! picture      cells of the store as small pictures
//! colour       colours of classes and of heat
//! ```
//!
//! Sections take a store's holdings and give markup, or nothing where the store has nothing to show.

mod chart;
mod choice;
mod classes;
mod colour;
mod compared;
mod curves;
mod dots;
mod experiments;
mod gallery;
mod order;
mod picture;
mod provenance;
mod scores;
mod strips;

use artifact::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::holdings::Holdings;
use experiments::Experiments;
use order::Order;

const STYLE: &str = include_str!("style.css");

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
    let (order, experiments) = (Order::of(holdings)?, Experiments::of(holdings));
    let sections = [
        scores::section(holdings, &order, &experiments)?,
        classes::section(holdings, &order, &experiments)?,
        compared::section(holdings)?,
        curves::thresholds(holdings, &experiments)?,
        gallery::section(holdings, &order, options.images)?,
        curves::losses(holdings, &order, &experiments)?,
        Some(provenance::section(holdings, &order)),
    ];
    let sections: Vec<_> = sections.into_iter().flatten().collect();
    let newest = holdings.all().iter().map(|held| held.artifact.record().provenance.finished.as_str()).max();
    let date = newest.and_then(|instant| instant.get(..10)).unwrap_or_default();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (options.title) " · camflow" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (options.title) }
                    p.experiments { @for name in experiments.names() { (experiments.label(name)) " " } }
                    p.meta { "Newest artifact of " (date) " · camflow " (env!("CARGO_PKG_VERSION")) }
                    nav { @for section in &sections { a href={ "#" (section.id) } { (section.name) } } }
                }
                main { @for section in &sections { (section.markup()) } }
            }
        }
    };
    Ok(page.into_string())
}

/// A link to the note on what was chosen on ground truth.
fn dagger() -> Markup {
    html! { a.dagger href="#dagger" { "†" } }
}

/// A name as part of an element's id.
fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}
