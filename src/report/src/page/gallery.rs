//! A few images side by side, in the manner of the paper's Figures 4, 5, 9 and 10: photograph, ground truth, the
//! CAMs of each class, labels, with IoU, precision and recall below each.

use std::collections::BTreeSet;

use data::codec::voc_palette;
use data::draw::HEAT;
use maud::{Markup, html};

use super::choice::{Chosen, Group, Image, choose};
use super::class_names::ClassNames;
use super::strips::{Found, Picture, Source, Strip};
use super::verdict::Compared;
use super::{Section, colour};
use crate::bootstrap::Counts;
use crate::text::percent;
use artifact::Result;

/// The value of a mask where no class is told.
const VOID: usize = 255;
/// Classes whose numbers stand below a picture; those of further ones stand in its description.
const CLASSES: usize = 3;

/// The section; nothing where no image is wanted.
pub(super) fn section(source: &Source<'_>, compared: Option<&Compared>, wanted: usize) -> Result<Option<Section>> {
    let quality = |id: &str| source.scored.quality(&compared?.method, id);
    let mut groups = Vec::new();
    let mut classes = BTreeSet::new();
    let mut images = 0;
    for Group { title, split, images: chosen } in choose(source.holdings, source.dataset, wanted, quality)? {
        if !chosen.is_empty() {
            let ids: Vec<_> = chosen.iter().map(|image| image.id.clone()).collect();
            classes.extend(chosen.iter().flat_map(|image| image.labels.clone()));
            images += chosen.len();
            groups.push(group(title, split, &chosen, &source.strips(&ids)?, source.classes));
        }
    }
    if groups.is_empty() {
        return Ok(None);
    }
    let lead = lead(compared);
    let body = html! {
        (controls(source.classes, &classes, images, compared))
        (legend(source.classes))
        @for group in groups { (group) }
        p.note #none hidden { "No image fits the filter." }
    };
    Ok(Some(Section { id: "gallery", name: "Images", title: "Images", lead, body }))
}

/// Which images these are, and how to read them.
fn lead(compared: Option<&Compared>) -> String {
    let cams = "A CAM is shown for each class of the image's label, over the photograph in grey.";
    match compared {
        Some(Compared { method, .. }) => format!(
            "A third are the best and a third the worst of {method} by the mean IoU of the image's last label; the \
             others spread over the classes. {cams} Numbers below a picture are IoU, precision and recall of a class \
             in this image, in percent."
        ),
        None => format!("Chosen by a fixed rule that spreads over the classes. {cams}"),
    }
}

/// What the script of the page shows: which images are seen, and in which order.
fn controls(classes: &ClassNames, shown: &BTreeSet<u8>, images: usize, compared: Option<&Compared>) -> Markup {
    let palette = voc_palette();
    html! {
        div.controls hidden {
            input #filter type="search" placeholder="class or image  ( / )"
                aria-label="Filter by class or name of the image";
            div.chips role="group" aria-label="Classes" {
                @for (class, name) in classes.all().filter(|(class, _)| shown.contains(class)) {
                    button.chip type="button" data-class=(class) aria-pressed="false" {
                        span.swatch style={ "background:" (colour::css(palette[class as usize])) } {} (name)
                    }
                }
            }
            select #split aria-label="Split" {
                option value="" { "val and train" } option value="val" { "val" } option value="train" { "train" }
            }
            select #sorted aria-label="Order" {
                @if compared.is_some() {
                    option value="best" { "best first" } option value="worst" { "worst first" }
                }
                option value="name" { "by name" }
            }
            output #shown aria-live="polite" { (images) " of " (images) " images" }
        }
    }
}

fn legend(classes: &ClassNames) -> Markup {
    let palette = voc_palette();
    let foreground = classes.count();
    let named = classes.all().map(|(class, name)| (class as usize, name)).chain([(VOID, "void")]);
    let stops: Vec<_> = HEAT.iter().map(|stop| colour::css(*stop)).collect();
    html! {
        div.keys {
            ul.legend.of-classes {
                @for (class, name) in named {
                    li.foreground[class > 0 && class < foreground] {
                        span.swatch style={ "background:" (colour::css(palette[class])) } {} (name)
                    }
                }
            }
            div.heat {
                "CAM 0 " span style={ "background:linear-gradient(to right," (stops.join(",")) ")" } {} " 1"
            }
        }
    }
}

fn group(title: &str, split: &str, chosen: &[Image], strips: &[Strip], classes: &ClassNames) -> Markup {
    html! {
        div.images {
            h3 { (title) }
            div.cards style={ "--n:" (strips.len()) } {
                @for image in chosen { (card(image, split, strips, classes)) }
            }
        }
    }
}

fn card(image: &Image, split: &str, strips: &[Strip], classes: &ClassNames) -> Markup {
    let names: Vec<_> = image.labels.iter().map(|class| classes.name(*class)).collect();
    let ids: Vec<_> = image.labels.iter().map(u8::to_string).collect();
    let quality = image.quality.map(|quality| format!("{quality:.6}"));
    html! {
        article.card tabindex="0" data-split=(split) data-classes={ " " (ids.join(" ")) " " } data-quality=[quality]
            data-name=(image.id) aria-label={ (image.id) ", " (names.join(", ")) } {
            h4 {
                (image.id) " " span { (names.join(", ")) }
                @if let Some(quality) = image.quality { span.quality { "mIoU " (percent(quality)) } }
                @match image.chosen {
                    Chosen::Best => span.tag.good { "best" },
                    Chosen::Worst => span.tag.bad { "worst" },
                    Chosen::ForItsClasses => {},
                }
            }
            div.strip style={ "--n:" (strips.iter().map(|strip| strip.count(&image.id)).sum::<usize>()) } {
                @for strip in strips { (figures(strip, &image.id)) }
            }
        }
    }
}

/// An image's pictures in a strip.
fn figures(strip: &Strip, id: &str) -> Markup {
    html! {
        @match strip.pictures.get(id) {
            Some(pictures) => { @for picture in pictures { (figure(strip, picture, id)) } }
            None => figure { div.missing { "not computed" } figcaption { (strip.title) } },
        }
    }
}

fn figure(strip: &Strip, picture: &Picture, id: &str) -> Markup {
    let Picture { uri, class, seen, found } = picture;
    let seen = if seen.is_empty() { Vec::new() } else { vec![seen.clone()] };
    let told = seen.into_iter().chain(found.iter().skip(CLASSES).map(in_words)).collect::<Vec<_>>().join("; ");
    let told = if told.is_empty() { told } else { format!(": {told}") };
    html! {
        figure {
            img src=(uri) alt={ (strip.title) " of " (id) (told) } title={ (strip.title) (told) };
            figcaption title=(strip.experiments) {
                @if let Some(class) = class { b { (class) } " " }
                (strip.title)
            }
            @if !found.is_empty() {
                table.numbers { @for found in found.iter().take(CLASSES) { (row(found)) } }
            }
        }
    }
}

/// A class with its numbers. The colour tells it where there is no room for the name.
fn row(found: &Found) -> Markup {
    let colour = colour::css(voc_palette()[found.class as usize]);
    html! {
        tr title=(in_words(found)) {
            th { span.swatch style={ "background:" (colour) } {} span.name { (found.name) } }
            @for number in numbers(found.counts) { td { (number) } }
        }
    }
}

fn in_words(Found { name, counts, .. }: &Found) -> String {
    let [iou, precision, recall] = numbers(*counts);
    format!("{name}: IoU {iou}, precision {precision}, recall {recall}")
}

/// IoU, precision and recall.
fn numbers(counts: Counts) -> [String; 3] {
    let whole = |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{:.0}", share * 100.0));
    [counts.iou(), counts.precision(), counts.recall()].map(whole)
}
