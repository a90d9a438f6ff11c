//! The columns of the gallery: each is one thing, such as the CAMs of an experiment, with its picture for each image.

use std::collections::{BTreeMap, BTreeSet};

use artifact::encoding::CamEncoding;
use artifact::manifest::variant_of;
use artifact::table::{CamRow, DatasetRow, LabelRow, MaskRow};
use artifact::{Result, Row as _};
use data::codec::{Mask, Rgb, decode_mask};

use super::experiments::{Shared, sharing};
use super::gallery::Classes;
use super::order::{Order, title};
use super::picture::{self, Map};
use crate::holdings::{Holding, Holdings};
use crate::tables::rows_of_images;

/// Experiments of which a thing is shown at most.
const EXPERIMENTS: usize = 6;

/// One column.
pub(super) struct Strip {
    pub title: String,
    pub pictures: ByImage<Picture>,
}

/// Something by the name of its image.
type ByImage<T> = BTreeMap<String, T>;

/// A picture as it stands in the page.
pub(super) struct Picture {
    /// The attribute `src`.
    pub uri: String,
    /// The classes that are seen.
    pub classes: String,
}

/// The columns for some images: photograph, CAMs, every kind of label in the order of the pipeline, ground truth.
pub(super) fn strips(
    holdings: &Holdings,
    order: &Order,
    dataset: &Holding,
    ids: &[String],
    classes: &Classes,
) -> Result<Vec<Strip>> {
    let (photos, truth) = photographs(dataset, ids)?;
    let shown = photos
        .iter()
        .map(|(id, photo)| (id.clone(), Picture { uri: picture::jpeg_uri(photo), classes: String::new() }));
    let mut strips = vec![Strip { title: "Photograph".to_owned(), pictures: shown.collect() }];
    let cams = shown_of(sharing(holdings, CamRow::TABLE, None));
    let alone = cams.len() < 2 && holdings.experiments().len() < 2;
    for shared in &cams {
        let pictures = overlays(shared.held, ids, &photos)?;
        strips.push(Strip { title: titled(title(CamRow::TABLE), shared, alone), pictures });
    }
    strips.extend(labels(holdings, order, ids, classes, alone)?);
    let truth = truth.iter().map(|(id, mask)| (id.clone(), coloured(mask, classes)));
    strips.push(Strip { title: "Ground truth".to_owned(), pictures: truth.collect() });
    // A column that no image of the group has tells nothing.
    strips.retain(|strip| !strip.pictures.is_empty());
    Ok(strips)
}

/// One seed of each experiment; of many experiments the first ones and the main one.
fn shown_of(mut all: Vec<Shared<'_>>) -> Vec<Shared<'_>> {
    let mut seen = BTreeSet::new();
    all.reverse();
    all.retain(|shared| seen.insert(variant_of(&shared.held.experiment).0.to_owned()));
    all.reverse();
    if all.len() > EXPERIMENTS {
        let last = all.split_off(all.len() - 1);
        all.truncate(EXPERIMENTS - 1);
        all.extend(last);
    }
    all
}

fn titled(what: String, shared: &Shared<'_>, alone: bool) -> String {
    if alone { what } else { format!("{what} · {}", shared.label()) }
}

/// Columns of labels, whatever made them: what the tables name in the column `source`.
fn labels(holdings: &Holdings, order: &Order, ids: &[String], classes: &Classes, alone: bool) -> Result<Vec<Strip>> {
    let mut found = Vec::new();
    for stage in order.stages() {
        for shared in shown_of(sharing(holdings, LabelRow::TABLE, Some(stage))) {
            for (source, pictures) in labels_of(shared.held, ids, classes)? {
                found.push((order.scored(&source), Strip { title: titled(title(&source), &shared, alone), pictures }));
            }
        }
    }
    found.sort_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, strip)| strip).collect())
}

fn photographs(dataset: &Holding, ids: &[String]) -> Result<(ByImage<Rgb>, ByImage<Mask>)> {
    let (mut photos, mut masks) = (BTreeMap::new(), BTreeMap::new());
    for DatasetRow { image_id, image, .. } in rows_of_images(dataset, ids)? {
        if let Some(photo) = picture::photograph(&image) {
            photos.insert(image_id.as_str().to_owned(), photo);
        }
    }
    for MaskRow { image_id, mask } in rows_of_images(dataset, ids)? {
        if let Ok(mask) = decode_mask(&mask) {
            masks.insert(image_id.as_str().to_owned(), mask);
        }
    }
    Ok((photos, masks))
}

/// For each image the maximum over its classes as heat over the photograph.
fn overlays(held: &Holding, ids: &[String], photos: &ByImage<Rgb>) -> Result<ByImage<Picture>> {
    let Some(encoding) = CamEncoding::of(held.artifact.metadata::<CamRow>()?) else { return Ok(BTreeMap::new()) };
    let mut strongest: ByImage<(Map<f32>, Vec<String>)> = BTreeMap::new();
    for CamRow { image_id, class, height, width, cam, .. } in rows_of_images(held, ids)? {
        let Some(map) = Map::new(height, width, encoding.decode(&cam)) else { continue };
        match strongest.get_mut(image_id.as_str()) {
            Some((all, classes)) if all.values.len() == map.values.len() => {
                all.values.iter_mut().zip(map.values).for_each(|(max, value)| *max = max.max(value));
                classes.push(class);
            }
            _ => drop(strongest.insert(image_id.as_str().to_owned(), (map, vec![class]))),
        }
    }
    let shown = strongest.into_iter().filter_map(|(id, (map, classes))| {
        let uri = picture::jpeg_uri(&picture::overlay(photos.get(&id)?, &map));
        Some((id, Picture { uri, classes: classes.join(", ") }))
    });
    Ok(shown.collect())
}

/// The maps of a table by what made them.
fn labels_of(held: &Holding, ids: &[String], classes: &Classes) -> Result<BTreeMap<String, ByImage<Picture>>> {
    let mut made: BTreeMap<String, ByImage<Picture>> = BTreeMap::new();
    for LabelRow { image_id, height, width, source, label } in rows_of_images(held, ids)? {
        let Some(map) = Map::new(height, width, label) else { continue };
        let mask = Mask { height: map.height, width: map.width, classes: map.values };
        made.entry(source).or_default().insert(image_id.as_str().to_owned(), coloured(&mask, classes));
    }
    Ok(made)
}

/// A mask in colour, with the names of the foreground classes in it.
fn coloured(mask: &Mask, classes: &Classes) -> Picture {
    let found: BTreeSet<u8> = mask.classes.iter().copied().filter(|class| !matches!(class, 0 | 255)).collect();
    let names: Vec<_> = found.into_iter().map(|class| classes.name(class)).collect();
    let names = if names.is_empty() { "background only".to_owned() } else { names.join(", ") };
    Picture { uri: picture::classes_uri(mask), classes: names }
}
