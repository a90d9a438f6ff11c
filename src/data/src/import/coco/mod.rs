//! COCO's instances: one JSON file a split, with images, categories and annotations of objects.
//!
//! Image-level labels are the categories of an image's annotations, by name, so that their ids may have gaps. Masks are
//! drawn from the segmentations.
//!
//! ```text
//! document   the JSON as far as it is read
//! drawing    the objects of one image, painted over one another
//! raster     the pixels of a polygon or of run lengths, as pycocotools has them
//! ```

mod document;
mod drawing;
mod raster;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use artifact::ClassId;

use super::class_names::ClassNames;
use super::fault::{Fault, quoted, take};
use super::listing::{Labels, Listed, Listing, MaskSource};
use super::lists::find_list;
use super::places::{self, folder_of, id_of_path};
use super::tree::Tree;
use super::{Segmentations, Source, read_file, text};

use document::{Annotation, Document, Id, Image};
use drawing::Object;
pub(super) use drawing::{Drawing, RULE};

/// What is painted where an object is of no class: background, as in masks whose classes are not all wanted.
const UNLISTED: u8 = 0;

/// All files together.
pub(super) fn read(source: &Source, tree: &Tree) -> Listing {
    let mut listing = Listing::default();
    let mut classes = ClassNames::new(source);
    let mut digests = BTreeMap::new();
    for (split, file) in &source.splits {
        match open(source, tree, file) {
            Ok((file, document, digest)) => {
                digests.insert(file.clone(), digest);
                let reader = Reader { source, tree, split, file: &file, document: &document };
                reader.read(&mut classes, &mut listing);
            }
            Err(fault) => listing.faults.push(fault),
        }
    }
    listing.notes.extend(classes.notes());
    let drawn = listing.images.values().filter(|listed| matches!(listed.mask, MaskSource::Drawn(_))).count();
    if drawn > 0 {
        listing.notes.push(format!(
            "{drawn} masks are drawn from the segmentations (rule {RULE}): where objects overlap, the smaller lies on \
             top; crowds are not scored (255)"
        ));
        listing.metadata.insert("mask.rule".to_owned(), RULE.to_owned());
        let digests = serde_json::to_string(&digests).expect("names and digests are JSON");
        listing.metadata.insert("mask.annotations".to_owned(), digests);
    }
    listing
}

/// Names of the categories that a file annotates; none if it is no instances JSON.
pub(super) fn class_names(root: &Path, file: &str) -> Option<Vec<String>> {
    let text = text::decode(&read_file(root, file).ok()?)?;
    let document: Document = serde_json::from_str(&text).ok()?;
    let used: HashSet<&Id> = document.annotations.iter().flatten().map(|annotation| &annotation.category_id).collect();
    let named = document.categories.iter().filter(|category| used.contains(&category.id));
    Some(named.map(|category| category.name.clone()).collect())
}

fn open(source: &Source, tree: &Tree, file: &str) -> Result<(String, Document, String), Fault> {
    let file = find_list(tree, file, "json")?;
    let bytes = read_file(&source.root, &file)?;
    let digest = blake3::hash(&bytes).to_hex().to_string();
    let text = text::decode(&bytes).ok_or_else(|| Fault::new(&file, "not UTF-8 text; save it as UTF-8"))?;
    let document = serde_json::from_str(&text)
        .map_err(|error| Fault::new(&file, format!("no instances JSON of COCO ({error}); mend or export it again")))?;
    Ok((file, document, digest))
}

/// One file.
struct Reader<'a> {
    source: &'a Source,
    tree: &'a Tree,
    split: &'a str,
    file: &'a str,
    document: &'a Document,
}

/// What the annotations of one image say.
#[derive(Default)]
struct Found {
    labels: Vec<ClassId>,
    objects: Vec<Object>,
    /// Has an object of a listed class no segmentation?
    incomplete: bool,
}

impl Reader<'_> {
    fn read(&self, classes: &mut ClassNames, listing: &mut Listing) {
        let labelled = !self.source.unlabelled.iter().any(|name| name == self.split);
        if self.document.images.is_empty() {
            listing.faults.push(self.fault("it lists no image; give an instances JSON of COCO"));
            return;
        }
        if labelled && self.document.annotations.is_none() {
            let reason = "it has no annotations; name its split in unlabelled, or give the instances JSON";
            listing.faults.push(self.fault(reason));
            return;
        }
        let mut found: HashMap<&Id, Found> = HashMap::new();
        for image in &self.document.images {
            if found.insert(&image.id, Found::default()).is_some() {
                listing.faults.push(self.fault(format!("two images have the id {}; give each its own", image.id)));
            }
        }
        let annotations = if labelled { self.document.annotations.as_deref().unwrap_or_default() } else { &[] };
        self.read_annotations(annotations, &mut found, classes, listing);
        let draws = self.source.segmentations == Segmentations::Masks
            && self.source.masks.is_none()
            && annotations.iter().any(|annotation| annotation.shape().is_some());
        let empty = found.values().filter(|found| found.labels.is_empty()).count();
        if labelled && empty > 0 {
            let of = self.document.images.len();
            listing.notes.push(format!("{}: {empty} of {of} images show no class and are background", self.file));
        }
        for image in &self.document.images {
            let of_image = found.remove(&image.id).unwrap_or_default();
            let labels = if labelled { Labels::Known(of_image.labels) } else { Labels::Unknown };
            let mask = if draws && !of_image.incomplete {
                let drawing = Drawing { file: self.file.to_owned(), size: image.size(), objects: of_image.objects };
                MaskSource::Drawn(drawing.into())
            } else {
                MaskSource::Usual
            };
            let added = self.add(image, labels, mask, listing);
            let _ = take(&mut listing.faults, added.map_err(|reason| self.fault(reason)));
        }
    }

    /// Sorts labels and objects by image.
    fn read_annotations(
        &self,
        annotations: &[Annotation],
        found: &mut HashMap<&Id, Found>,
        classes: &mut ClassNames,
        listing: &mut Listing,
    ) {
        let names: HashMap<&Id, &str> = self.document.categories.iter().map(|c| (&c.id, c.name.trim())).collect();
        if names.len() < self.document.categories.len() {
            listing.faults.push(self.fault("two categories have the same id; give each its own"));
        }
        let mut refused = HashSet::new();
        for (order, annotation) in annotations.iter().enumerate() {
            let called = || annotation.id.as_ref().map_or_else(|| format!("at place {order}"), ToString::to_string);
            let mut fault = |reason: String| {
                listing.faults.push(Fault::new(self.file, reason));
            };
            let Some(found) = found.get_mut(&annotation.image_id) else {
                let image = &annotation.image_id;
                fault(format!("annotation {} is of image {image}, which is not listed; add or remove it", called()));
                continue;
            };
            let Some(name) = names.get(&annotation.category_id) else {
                let category = &annotation.category_id;
                fault(format!("annotation {} has the category {category}, which is not listed; add it", called()));
                continue;
            };
            let class = match classes.find(name) {
                Ok(class) => class,
                Err(reason) => {
                    if refused.insert(*name) {
                        fault(reason);
                    }
                    continue;
                }
            };
            found.labels.extend(class);
            match annotation.shape() {
                Some(shape) => found.objects.push(Object {
                    number: class
                        .map_or(UNLISTED, |class| if annotation.is_crowd() { ClassId::VOID.0 } else { class.0 }),
                    order: (annotation.id.clone(), order),
                    shape: shape.clone(),
                }),
                None => found.incomplete |= class.is_some(),
            }
        }
    }

    fn add(&self, image: &Image, labels: Labels, mask: MaskSource, listing: &mut Listing) -> Result<(), String> {
        let name = &image.file_name;
        let beside = folder_of(self.file);
        let within = |folder: &str| if beside.is_empty() { folder.to_owned() } else { format!("{beside}/{folder}") };
        let (images, of_split) = (within("images"), within(self.split));
        let folders = [beside, "", &images, &of_split, "images", self.split, "JPEGImages"];
        let picture = places::find(self.tree, name, &folders)?;
        let picture = picture.ok_or_else(|| places::missing(self.tree, name))?;
        let listed = Listed { splits: vec![self.split.to_owned()], image: picture.to_owned(), labels, mask };
        listing.add(self.split, id_of_path(picture)?, listed).map_err(|reason| format!("{}: {reason}", quoted(name)))
    }

    fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault::new(self.file, reason)
    }
}
