//! A few images side by side: photograph, CAMs, labels, ground truth.

use artifact::table::DatasetRow;
use artifact::{Result, Row as _};
use data::codec::voc_palette;
use maud::{Markup, html};

use super::choice::{Image, choose};
use super::order::Order;
use super::strips::{Picture, Strip, strips};
use super::{Section, colour};
use crate::holdings::{Holding, Holdings};

/// The value of a mask where no class is told.
const VOID: usize = 255;

/// The section; nothing where the store has no data set.
pub(super) fn section(holdings: &Holdings, order: &Order, wanted: usize) -> Result<Option<Section>> {
    let datasets = || holdings.of_table(DatasetRow::TABLE).map(|(held, _)| held);
    let Some(dataset) = datasets().find(|held| held.main).or_else(|| datasets().next()) else { return Ok(None) };
    let classes = Classes::of(dataset);
    let mut groups = Vec::new();
    for (title, images) in choose(holdings, dataset, wanted)? {
        if !images.is_empty() {
            let ids: Vec<_> = images.iter().map(|image| image.id.clone()).collect();
            groups.push(group(title, &images, &strips(holdings, order, dataset, &ids, &classes)?, &classes));
        }
    }
    let lead = "Chosen by a fixed rule that spreads over the classes. A CAM is shown for the classes of the image's \
                label, the strongest at each pixel, over the photograph in grey.";
    let section = |body| Section { id: "gallery", name: "Images", title: "Images", lead: lead.into(), body };
    let any = !groups.is_empty();
    Ok(any.then(|| section(html! { (legend(&classes)) @for group in groups { (group) } })))
}

/// Names of the classes.
pub(super) struct Classes(Vec<String>);

impl Classes {
    /// Those of a data set, the background first.
    fn of(dataset: &Holding) -> Self {
        let table = dataset.artifact.record().tables.get(DatasetRow::TABLE);
        let metadata = table.and_then(|table| table.metadata.get("classes"));
        let foreground: Vec<String> = metadata.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        Self(std::iter::once("background".to_owned()).chain(foreground).collect())
    }

    /// The name of a class.
    pub fn name(&self, class: u8) -> String {
        self.0.get(class as usize).cloned().unwrap_or_else(|| format!("class {class}"))
    }
}

fn legend(classes: &Classes) -> Markup {
    let named = classes.0.iter().map(String::as_str).enumerate().chain([(VOID, "void")]);
    let palette = voc_palette();
    let stops: Vec<_> = colour::HEAT.iter().map(|stop| colour::css(*stop)).collect();
    html! {
        div.keys {
            ul.legend {
                @for (class, name) in named {
                    li { span.swatch style={ "background:" (colour::css(palette[class])) } {} (name) }
                }
            }
            div.heat {
                "CAM 0 " span style={ "background:linear-gradient(to right," (stops.join(",")) ")" } {} " 1"
            }
        }
    }
}

fn group(title: &str, chosen: &[Image], strips: &[Strip], classes: &Classes) -> Markup {
    let labels = |image: &Image| image.labels.iter().map(|class| classes.name(*class)).collect::<Vec<_>>().join(", ");
    html! {
        h3 { (title) }
        div.cards style={ "--n:" (strips.len()) } {
            @for image in chosen {
                article {
                    h4 { (image.id) " " span { (labels(image)) } }
                    div.strip { @for strip in strips { (figure(strip, &image.id)) } }
                }
            }
        }
    }
}

/// An image's picture in a strip.
fn figure(strip: &Strip, id: &str) -> Markup {
    html! {
        figure {
            @if let Some(Picture { uri, classes }) = strip.pictures.get(id) {
                @let told = if classes.is_empty() { String::new() } else { format!(": {classes}") };
                img src=(uri) alt={ (strip.title) " of " (id) (told) } title={ (strip.title) (told) };
            } @else {
                div.missing { "not computed" }
            }
            figcaption { (strip.title) }
        }
    }
}
