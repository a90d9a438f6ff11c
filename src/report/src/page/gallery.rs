//! A few images side by side: photograph, CAMs, pseudo-labels, the network's output, ground truth.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use artifact::Result;
use artifact::encoding::CamEncoding;
use artifact::table::CamRow;
use image::RgbImage;
use polars::prelude::{col, lit};

use super::html::{escape, section as html_section};
use super::picture::{self, Map};
use super::{Shared, colour, shared_sources};
use crate::catalog::{Catalog, Source, title_of};
use crate::frame::{Frame, columns, is_one_of};

/// Columns of CAMs at most.
const CAMS: usize = 6;

/// What is known of an image without opening it.
struct Candidate {
    id: String,
    splits: Vec<String>,
    labels: Vec<u8>,
    /// How much there is to show of it: 0 is most.
    lacks: usize,
}

/// One column of the gallery: its title and, by image, the picture as HTML attribute `src` and its description.
struct Strip {
    title: String,
    pictures: BTreeMap<String, (String, String)>,
}

/// The section on images; empty where the store has no data set.
pub(super) fn section(catalog: &Catalog, wanted: usize) -> Result<String> {
    let Some((dataset, _)) =
        catalog.sources_of("dataset").find(|(source, _)| source.main).or_else(|| catalog.sources_of("dataset").next())
    else {
        return Ok(String::new());
    };
    let classes = class_names(dataset);
    let mut body = legend(&classes);
    let mut any = false;
    for (title, chosen) in groups(catalog, dataset, wanted)? {
        if !chosen.is_empty() {
            any = true;
            body += &group(title, &chosen, &strips(catalog, dataset, &chosen, &classes)?, &classes);
        }
    }
    let lead = "Chosen by a fixed rule that spreads over the classes. A CAM is shown for the classes of the image's \
                label, the strongest at each pixel, over the photograph in grey.";
    Ok(if any { html_section("gallery", "Images", lead, &body) } else { String::new() })
}

/// Name of every class, the background first.
fn class_names(dataset: &Source) -> Vec<String> {
    let metadata = dataset.artifact.record().tables.get("dataset").and_then(|table| table.metadata.get("classes"));
    let foreground: Vec<String> = metadata.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    std::iter::once("background".to_owned()).chain(foreground).collect()
}

fn name_of(classes: &[String], class: u8) -> String {
    classes.get(class as usize).cloned().unwrap_or_else(|| format!("class {class}"))
}

fn legend(classes: &[String]) -> String {
    let mut text = String::from("<div class=\"keys\"><ul class=\"legend\">");
    let named = classes.iter().enumerate().map(|(class, name)| (colour::class(class as u8), name.as_str()));
    for (colour, name) in named.chain([(colour::VOID, "void")]) {
        let colour = colour::css(colour);
        let _ = write!(text, "<li><span class=\"swatch\" style=\"background:{colour}\"></span>{}</li>", escape(name));
    }
    let stops: Vec<_> = colour::HEAT.iter().map(|stop| colour::css(*stop)).collect();
    let _ = write!(
        text,
        "</ul>\n<div class=\"heat\">CAM 0 <span style=\"background:linear-gradient(to right,{})\"></span> 1</div></div>\n",
        stops.join(",")
    );
    text
}

/// Two thirds of the images show the network's output on validation images, one third pseudo-labels on training
/// images; where there is too little of one, the other fills up.
fn groups(catalog: &Catalog, dataset: &Source, wanted: usize) -> Result<[(&'static str, Vec<Candidate>); 2]> {
    let (scored, labelled) = (ids(catalog, "label", "evaluate")?, ids(catalog, "label", "random-walk")?);
    let mapped = ids(catalog, "cam", "")?;
    let in_val = |candidate: &Candidate| candidate.splits.iter().any(|split| split == "val");
    let (mut val, mut train): (Vec<_>, Vec<_>) = candidates(dataset)?.into_iter().partition(in_val);
    for candidate in &mut val {
        candidate.lacks = usize::from(!scored.contains(&candidate.id));
    }
    for candidate in &mut train {
        let has = [&labelled, &mapped].map(|ids| usize::from(!ids.contains(&candidate.id)));
        candidate.lacks = has.iter().sum();
    }
    let of_val = (wanted - wanted / 3).min(val.len()).max(wanted.saturating_sub(train.len()));
    let val = choose(val, of_val);
    let train = choose(train, wanted - val.len().min(wanted));
    Ok([("Validation images", val), ("Training images", train)])
}

fn candidates(dataset: &Source) -> Result<Vec<Candidate>> {
    let Some(scan) = Catalog::scan_source(dataset, "dataset")? else { return Ok(Vec::new()) };
    let frame = Frame::collect(scan.select(columns(&["image_id", "splits", "labels"])))?;
    let (ids, splits, labels) = (frame.texts("image_id")?, frame.text_lists("splits")?, frame.byte_lists("labels")?);
    let all = ids.into_iter().zip(splits).zip(labels);
    Ok(all.map(|((id, splits), labels)| Candidate { id, splits, labels, lacks: 0 }).collect())
}

/// The images that a table knows; of one stage, or of any if `stage` is empty.
fn ids(catalog: &Catalog, table: &str, stage: &str) -> Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    for shared in shared_sources(catalog, table, (!stage.is_empty()).then_some(stage)) {
        if let Some(scan) = Catalog::scan_source(shared.source, table)? {
            ids.extend(Frame::collect(scan.select([col("image_id")]))?.texts("image_id")?);
        }
    }
    Ok(ids)
}

/// Takes, one after another, of the images with most to show the one whose classes have been shown least; among
/// equals a hash of the name decides.
fn choose(mut candidates: Vec<Candidate>, wanted: usize) -> Vec<Candidate> {
    candidates.sort_by_key(|candidate| spread(&candidate.id));
    let mut shown: BTreeMap<u8, usize> = BTreeMap::new();
    let mut chosen = Vec::new();
    while chosen.len() < wanted && !candidates.is_empty() {
        let often = |candidate: &Candidate| {
            let times = candidate.labels.iter().map(|class| shown.get(class).copied().unwrap_or(0));
            // Images of one or two classes say most; none at all say least.
            (
                candidate.lacks,
                times.clone().min().unwrap_or(usize::MAX),
                times.sum::<usize>(),
                candidate.labels.len().abs_diff(2),
            )
        };
        let best = (0..candidates.len()).min_by_key(|index| often(&candidates[*index])).unwrap_or(0);
        let candidate = candidates.remove(best);
        candidate.labels.iter().for_each(|class| *shown.entry(*class).or_default() += 1);
        chosen.push(candidate);
    }
    chosen.sort_by(|a, b| a.id.cmp(&b.id));
    chosen
}

/// FNV-1a: the same order on every machine and in every version.
fn spread(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn strips(catalog: &Catalog, dataset: &Source, chosen: &[Candidate], classes: &[String]) -> Result<Vec<Strip>> {
    let ids: Vec<String> = chosen.iter().map(|candidate| candidate.id.clone()).collect();
    let (photos, truth) = photographs(dataset, &ids)?;
    let shown =
        photos.iter().filter_map(|(id, photo)| Some((id.clone(), (picture::data_uri(photo, false)?, String::new()))));
    let mut strips = vec![Strip { title: "Photograph".to_owned(), pictures: shown.collect() }];
    let cams = shown_cams(catalog);
    let alone = cams.len() < 2 && catalog.experiments().len() < 2;
    for shared in &cams {
        strips.push(Strip { title: titled("CAM", shared, alone), pictures: overlays(shared.source, &ids, &photos)? });
    }
    let made = [
        ("random-walk", "random-walk", "Pseudo-label"),
        ("evaluate", "cam+crf", "CAM + CRF"),
        ("evaluate", "deeplab", "DeepLab"),
        ("evaluate", "deeplab+crf", "DeepLab + CRF"),
    ];
    for (stage, maker, title) in made {
        for shared in shared_sources(catalog, "label", Some(stage)) {
            let pictures = labels(shared.source, maker, &ids, classes)?;
            strips.push(Strip { title: titled(title, &shared, alone), pictures });
        }
    }
    let truth = truth.iter().filter_map(|(id, map)| Some((id.clone(), coloured(map, classes)?)));
    strips.push(Strip { title: "Ground truth".to_owned(), pictures: truth.collect() });
    // A column that no image of the group has tells nothing.
    strips.retain(|strip| !strip.pictures.is_empty());
    Ok(strips)
}

/// One seed of each experiment; of many experiments the first ones and the main one.
fn shown_cams(catalog: &Catalog) -> Vec<Shared<'_>> {
    let mut cams = shared_sources(catalog, "cam", None);
    let mut seen = BTreeSet::new();
    cams.reverse();
    cams.retain(|shared| seen.insert(title_of(&shared.source.experiment).to_owned()));
    cams.reverse();
    if cams.len() > CAMS {
        let last = cams.split_off(cams.len() - 1);
        cams.truncate(CAMS - 1);
        cams.extend(last);
    }
    cams
}

fn titled(what: &str, shared: &Shared<'_>, alone: bool) -> String {
    if alone { what.to_owned() } else { format!("{what} · {}", shared.label()) }
}

type ByImage<T> = BTreeMap<String, T>;

fn photographs(dataset: &Source, ids: &[String]) -> Result<(ByImage<RgbImage>, ByImage<Map<u8>>)> {
    let Some(scan) = Catalog::scan_source(dataset, "dataset")? else { return Ok(Default::default()) };
    let query = scan.filter(is_one_of("image_id", ids)).select(columns(&["image_id", "image", "mask"]));
    let frame = Frame::collect(query)?;
    let (mut photos, mut masks) = (BTreeMap::new(), BTreeMap::new());
    let cells = frame.cells("image")?.into_iter().zip(frame.cells("mask")?);
    for (id, (photo, mask)) in frame.texts("image_id")?.into_iter().zip(cells) {
        if let Some(mask) = mask.and_then(|mask| picture::palette_indices(&mask)) {
            masks.insert(id.clone(), mask);
        }
        if let Some(photo) = photo.and_then(|photo| picture::photograph(&photo)) {
            photos.insert(id, photo);
        }
    }
    Ok((photos, masks))
}

/// For each image the maximum over its classes as heat over the photograph.
fn overlays(source: &Source, ids: &[String], photos: &ByImage<RgbImage>) -> Result<ByImage<(String, String)>> {
    let Some(scan) = Catalog::scan_source(source, "cam")? else { return Ok(BTreeMap::new()) };
    let Some(encoding) = CamEncoding::of(source.artifact.metadata::<CamRow>()?) else { return Ok(BTreeMap::new()) };
    let query =
        scan.filter(is_one_of("image_id", ids)).select(columns(&["image_id", "class", "width", "height", "cam"]));
    let frame = Frame::collect(query)?;
    let (names, cams) = (frame.texts("class")?, frame.cells("cam")?);
    let (width, height) = (frame.numbers("width")?, frame.numbers("height")?);
    let mut strongest: ByImage<(Map<f32>, Vec<String>)> = BTreeMap::new();
    for (row, id) in frame.texts("image_id")?.into_iter().enumerate() {
        let values = encoding.decode(cams[row].as_deref().unwrap_or_default());
        let Some(map) = Map::new(width[row] as u32, height[row] as u32, values) else { continue };
        match strongest.get_mut(&id) {
            Some((all, classes)) if all.values.len() == map.values.len() => {
                all.values.iter_mut().zip(map.values).for_each(|(max, value)| *max = max.max(value));
                classes.push(names[row].clone());
            }
            _ => drop(strongest.insert(id, (map, vec![names[row].clone()]))),
        }
    }
    let shown = strongest.into_iter().filter_map(|(id, (map, classes))| {
        let uri = picture::data_uri(&picture::overlay(photos.get(&id)?, &map), false)?;
        Some((id, (uri, classes.join(", "))))
    });
    Ok(shown.collect())
}

/// The maps that `maker` made (the column `source`).
fn labels(source: &Source, maker: &str, ids: &[String], classes: &[String]) -> Result<ByImage<(String, String)>> {
    let Some(scan) = Catalog::scan_source(source, "label")? else { return Ok(BTreeMap::new()) };
    let made = is_one_of("image_id", ids).and(col("source").eq(lit(maker)));
    let query = scan.filter(made).select(columns(&["image_id", "width", "height", "label"]));
    let frame = Frame::collect(query)?;
    let (width, height) = (frame.numbers("width")?, frame.numbers("height")?);
    let rows = frame.texts("image_id")?.into_iter().zip(frame.cells("label")?).enumerate();
    let shown = rows.filter_map(|(row, (id, cell))| {
        let map = Map::new(width[row] as u32, height[row] as u32, cell?)?;
        Some((id, coloured(&map, classes)?))
    });
    Ok(shown.collect())
}

/// A map in colour, with the names of the foreground classes in it.
fn coloured(map: &Map<u8>, classes: &[String]) -> Option<(String, String)> {
    let found: BTreeSet<u8> = map.values.iter().copied().filter(|class| *class != 0 && *class != 255).collect();
    let names: Vec<_> = found.into_iter().map(|class| name_of(classes, class)).collect();
    let names = if names.is_empty() { "background only".to_owned() } else { names.join(", ") };
    Some((picture::data_uri(&picture::classes(map), true)?, names))
}

fn group(title: &str, chosen: &[Candidate], strips: &[Strip], classes: &[String]) -> String {
    let mut text = format!("<h3>{title}</h3>\n<div class=\"cards\" style=\"--n:{}\">\n", strips.len());
    for candidate in chosen {
        let id = escape(&candidate.id);
        let labels: Vec<_> = candidate.labels.iter().map(|class| escape(&name_of(classes, *class))).collect();
        let _ = write!(text, "<article><h4>{id} <span>{}</span></h4>\n<div class=\"strip\">", labels.join(", "));
        for strip in strips {
            let title = escape(&strip.title);
            let picture = strip.pictures.get(&candidate.id).map_or_else(
                || "<div class=\"missing\">not computed</div>".to_owned(),
                |(uri, told)| {
                    let told = if told.is_empty() { String::new() } else { format!(": {}", escape(told)) };
                    format!("<img src=\"{uri}\" alt=\"{title} of {id}{told}\" title=\"{title}{told}\">")
                },
            );
            let _ = write!(text, "<figure>{picture}<figcaption>{title}</figcaption></figure>");
        }
        text.push_str("</div></article>\n");
    }
    text + "</div>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_covers_the_classes_and_is_always_the_same() {
        let candidate = |n: u8| Candidate {
            id: format!("i{n:02}"),
            splits: Vec::new(),
            labels: vec![if n < 50 { 1 } else { n % 5 + 1 }],
            lacks: 0,
        };
        let candidates = || (0..60).map(candidate);
        let ids = |chosen: Vec<Candidate>| chosen.into_iter().map(|candidate| candidate.id).collect::<Vec<_>>();
        let chosen = choose(candidates().collect(), 5);
        assert_eq!(chosen.iter().flat_map(|candidate| candidate.labels.clone()).collect::<BTreeSet<_>>().len(), 5);
        assert_eq!(ids(chosen), ids(choose(candidates().rev().collect(), 5)));
        assert_eq!(choose(candidates().collect(), 100).len(), 60);
    }
}
