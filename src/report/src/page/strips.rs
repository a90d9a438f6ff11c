//! The columns of the gallery: each is one thing, such as the CAMs of an experiment, with its pictures for each image.

use std::collections::{BTreeMap, BTreeSet};

use artifact::encoding::CamEncoding;
use artifact::manifest::variant_of;
use artifact::table::{CamRow, DatasetRow, LabelRow, MaskRow};
use artifact::{Result, Row as _};
use data::codec::{Mask, Rgb, decode_mask};
use data::draw::{Map, heat_over};

use super::class_names::ClassNames;
use super::experiments::{Shared, sharing};
use super::order::{Order, title};
use super::picture;
use super::scored::Scored;
use crate::bootstrap::Counts;
use crate::holdings::{Holding, Holdings};
use crate::tables::rows_of_images;

/// Experiments of which a thing is shown at most.
const EXPERIMENTS: usize = 6;

/// One column.
pub(super) struct Strip {
    pub title: String,
    /// All experiments that it is of, where the title has no room for them.
    pub experiments: String,
    pub pictures: ByImage<Vec<Picture>>,
}

/// Something by the name of its image.
type ByImage<T> = BTreeMap<String, T>;

/// A picture as it stands in the page.
pub(super) struct Picture {
    /// The attribute `src`.
    pub uri: String,
    /// The class that it is of, where it is of one.
    pub class: Option<String>,
    /// What is seen.
    pub seen: String,
    /// What was found of the classes.
    pub found: Vec<Found>,
}

/// What was found of a class in an image.
pub(super) struct Found {
    pub class: u8,
    pub name: String,
    pub counts: Counts,
}

/// What the columns are made from.
pub(super) struct Source<'a> {
    pub holdings: &'a Holdings,
    pub order: &'a Order,
    pub dataset: &'a Holding,
    pub classes: &'a ClassNames,
    pub scored: &'a Scored,
}

impl Source<'_> {
    /// The columns for some images, as the paper's figures have them: photograph, ground truth, the CAMs of each class,
    /// every kind of label in the order of the pipeline.
    pub fn strips(&self, ids: &[String]) -> Result<Vec<Strip>> {
        let (photos, truth) = photographs(self.dataset, ids)?;
        let plain = |uri| Picture { uri, class: None, seen: String::new(), found: Vec::new() };
        let shown = photos.iter().map(|(id, photo)| (id.clone(), vec![plain(picture::jpeg_uri(photo))]));
        let truth = truth.iter().map(|(id, mask)| (id.clone(), vec![self.coloured(mask, Vec::new())]));
        let mut strips =
            vec![Strip::plain("Photograph", shown.collect()), Strip::plain("Ground truth", truth.collect())];
        let cams = shown_of(sharing(self.holdings, CamRow::TABLE, None));
        let alone = cams.len() < 2 && self.holdings.experiments().len() < 2;
        for shared in &cams {
            let pictures = self.overlays(shared, ids, &photos)?;
            strips.push(Strip::titled(title(CamRow::TABLE), shared, alone, pictures));
        }
        strips.extend(self.labels(ids, alone)?);
        // A column that no image of the group has tells nothing.
        strips.retain(|strip| !strip.pictures.is_empty());
        Ok(strips)
    }

    /// Columns of labels, whatever made them: what the tables name in the column `source`.
    fn labels(&self, ids: &[String], alone: bool) -> Result<Vec<Strip>> {
        let mut found = Vec::new();
        for stage in self.order.stages() {
            for shared in shown_of(sharing(self.holdings, LabelRow::TABLE, Some(stage))) {
                for (source, pictures) in self.labels_of(&shared, ids)? {
                    let strip = Strip::titled(title(&source), &shared, alone, pictures);
                    found.push((self.order.scored(&source), strip));
                }
            }
        }
        found.sort_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, strip)| strip).collect())
    }

    /// For each image and class of its label heat over the photograph.
    fn overlays(&self, shared: &Shared<'_>, ids: &[String], photos: &ByImage<Rgb>) -> Result<ByImage<Vec<Picture>>> {
        let mut overlays: ByImage<Vec<Picture>> = BTreeMap::new();
        let metadata = shared.held.artifact.metadata::<CamRow>()?;
        let Some(encoding) = CamEncoding::of(metadata) else { return Ok(overlays) };
        for CamRow { image_id, class_id, class, height, width, cam, .. } in rows_of_images(shared.held, ids)? {
            let id = image_id.as_str();
            let Some(map) = Map::new(height, width, encoding.decode(&cam, width as usize)) else { continue };
            let Some(photo) = photos.get(id) else { continue };
            let found = self.found(shared, CamRow::TABLE, id, |of| of == class_id.0);
            overlays.entry(id.to_owned()).or_default().push(Picture {
                uri: picture::jpeg_uri(&heat_over(photo, &map)),
                seen: class.clone(),
                class: Some(class),
                found,
            });
        }
        Ok(overlays)
    }

    /// The maps of a table by what made them.
    fn labels_of(&self, shared: &Shared<'_>, ids: &[String]) -> Result<BTreeMap<String, ByImage<Vec<Picture>>>> {
        let mut made: BTreeMap<String, ByImage<Vec<Picture>>> = BTreeMap::new();
        for LabelRow { image_id, height, width, source, label } in rows_of_images(shared.held, ids)? {
            let Some(map) = Map::new(height, width, label) else { continue };
            let mask = Mask { height: map.height, width: map.width, classes: map.values };
            let found = self.found(shared, &source, image_id.as_str(), |class| class != 0);
            let picture = self.coloured(&mask, found);
            made.entry(source).or_default().insert(image_id.as_str().to_owned(), vec![picture]);
        }
        Ok(made)
    }

    /// What was found in an image of some classes, by name.
    fn found(&self, shared: &Shared<'_>, scored: &str, id: &str, wanted: impl Fn(u8) -> bool) -> Vec<Found> {
        let mut names = shared.experiments.iter();
        let image = names.find_map(|name| self.scored.image(name, scored, id));
        let classes = image.into_iter().flatten().filter(|(class, _)| wanted(**class));
        classes
            .map(|(class, counts)| Found { class: *class, name: self.classes.name(*class), counts: *counts })
            .collect()
    }

    /// A mask in colour, with the names of the foreground classes in it.
    fn coloured(&self, mask: &Mask, found: Vec<Found>) -> Picture {
        let seen: BTreeSet<u8> = mask.classes.iter().copied().filter(|class| !matches!(class, 0 | 255)).collect();
        let names: Vec<_> = seen.into_iter().map(|class| self.classes.name(class)).collect();
        let seen = if names.is_empty() { "background only".to_owned() } else { names.join(", ") };
        Picture { uri: picture::classes_uri(mask), class: None, seen, found }
    }
}

impl Strip {
    /// How many figures it has for an image; that a picture is not there is told in one.
    pub fn count(&self, id: &str) -> usize {
        self.pictures.get(id).map_or(1, Vec::len)
    }

    fn plain(title: &str, pictures: ByImage<Vec<Picture>>) -> Self {
        Self { title: title.to_owned(), experiments: String::new(), pictures }
    }

    /// Of several experiments the title names the last one, which is the main one if it is among them.
    fn titled(what: String, shared: &Shared<'_>, alone: bool, pictures: ByImage<Vec<Picture>>) -> Self {
        let title = match shared.experiments.as_slice() {
            _ if alone => what,
            [.., _, _, last] => format!("{what} · {last} and {} more", shared.experiments.len() - 1),
            _ => format!("{what} · {}", shared.label()),
        };
        Self { title, experiments: shared.label(), pictures }
    }
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
