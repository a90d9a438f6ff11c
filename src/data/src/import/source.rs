//! What a manifest says of a data set.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// Where a data set lies and what of it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// How it is laid out.
    pub layout: Layout,
    /// The directory that holds all of it.
    pub root: PathBuf,
    /// Foreground classes in the order of their indices, from 1.
    pub classes: Vec<String>,
    /// Name of a split -> its list, relative to the root; or a folder, whose every picture is meant.
    pub splits: BTreeMap<String, String>,
    /// Splits whose images have no labels that anyone knows (VOC's test set): they are predicted alone.
    pub unlabelled: Vec<String>,
    /// Directory of the masks, such as `SegmentationClass`; a list that names its masks needs none.
    pub masks: Option<String>,
    /// What the masks' indices from 1 mean, when that is another list than `classes`: pixels of classes that are not
    /// wanted become background.
    pub mask_classes: Option<Vec<String>>,
    /// The colour of each class in masks, R, G and B, also of `background` and `void`; a grey value is a colour of
    /// three equal parts. Empty: what a `labelmap.txt` says, or VOC's colours.
    pub mask_colours: BTreeMap<String, [u8; 3]>,
    /// What to do about masks that contradict the image-level labels.
    pub mask_check: MaskCheck,
    /// What to do about objects whose class is not listed.
    pub unknown_classes: Unknown,
    /// What to do about an image without annotation, or with an empty one.
    pub without_annotation: WithoutAnnotation,
    /// What an orientation tag (EXIF) means.
    pub orientation: OrientationRule,
    /// A `.npy` file of image-level labels by image name, in place of annotations; VOC's layout alone.
    pub labels: Option<PathBuf>,
    /// What becomes of the segmentations of COCO's layout.
    pub segmentations: Segmentations,
    /// The share of `train` that is held out as `val`, where no split `val` is given; 0: none.
    pub val_share: f64,
    /// Pictures longer than so many pixels are made that long; 0: none is.
    pub max_side: u32,
}

/// How a data set is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Lists of images and an annotation for each, as PASCAL VOC, CVAT and Roboflow write them.
    Voc,
    /// Tables with a picture and its classes a row.
    Csv,
    /// One folder a class.
    Folders,
    /// An instances JSON for each split, as COCO has them.
    Coco,
}

/// What becomes of the segmentations of objects in COCO's layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Segmentations {
    /// Masks are drawn from them, unless a directory of masks is given.
    #[default]
    Masks,
    /// They are not read: nothing is scored.
    Skip,
}

/// What to do about objects whose class is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// It is a fault: the class list is taken to be complete.
    Refuse,
    /// They are background: a subset of the classes is wanted.
    Ignore,
}

/// What to do about an image without annotation, or with an empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutAnnotation {
    /// It is a fault: the annotation was forgotten.
    #[default]
    Refuse,
    /// The image has no object of any class.
    Background,
}

/// What to do about masks that contradict the image-level labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaskCheck {
    /// It is a fault: the masks are read wrongly, or are those of another data set.
    #[default]
    Refuse,
    /// It is said, and they are read all the same.
    Warn,
}

/// What an orientation tag (EXIF) means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrientationRule {
    /// The picture is turned as a viewer shows it, and its mask with it where that is as stored.
    #[default]
    Upright,
    /// Nothing: picture and mask are as stored.
    Stored,
}

/// The class of all pixels that are of none of the listed classes.
const BACKGROUND: [&str; 3] = ["background", "__background__", "_background_"];
/// Names of what is not scored.
const VOID: [&str; 4] = ["void", "ignore", "unlabeled", "unlabelled"];

/// Does a class list mean the background by this name?
pub(super) fn is_background(name: &str) -> bool {
    BACKGROUND.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Does a colour map mean "not scored" by this name?
pub(super) fn is_void(name: &str) -> bool {
    VOID.iter().any(|known| known.eq_ignore_ascii_case(name))
}

impl Source {
    /// A data set in VOC's layout, without masks; struct update adds the rest.
    pub fn voc(root: PathBuf, classes: Vec<String>, splits: BTreeMap<String, String>) -> Self {
        Self {
            layout: Layout::Voc,
            root,
            classes,
            splits,
            unlabelled: vec![],
            masks: None,
            mask_classes: None,
            mask_colours: BTreeMap::new(),
            mask_check: MaskCheck::Refuse,
            unknown_classes: Unknown::Refuse,
            without_annotation: WithoutAnnotation::Refuse,
            orientation: OrientationRule::Upright,
            labels: None,
            segmentations: Segmentations::Masks,
            val_share: 0.0,
            max_side: 0,
        }
    }

    /// The classes that the masks' indices from 1 mean.
    pub(super) fn classes_of_masks(&self) -> &[String] {
        self.mask_classes.as_ref().unwrap_or(&self.classes)
    }

    /// What can be said before any file is read.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = vec![];
        if !self.root.is_dir() {
            let root = self.root.display().to_string();
            return vec![Fault::new(root, "no such directory; give the one that holds the pictures and their labels")];
        }
        for (key, classes) in [("classes", Some(&self.classes)), ("mask_classes", self.mask_classes.as_ref())] {
            faults.extend(classes.into_iter().flat_map(|classes| faults_of_classes(key, classes)));
        }
        if let Some(all) = &self.mask_classes {
            for class in self.classes.iter().filter(|class| !all.contains(class)) {
                faults.push(Fault::new("mask_classes", format!("'{class}' of classes is missing here; add it")));
            }
        }
        for name in self.mask_colours.keys() {
            if !self.classes_of_masks().contains(name) && !is_background(name) && !is_void(name) {
                let reason = format!("'{name}' is none of the classes; name classes, background or void");
                faults.push(Fault::new("mask_colours", reason));
            }
        }
        if self.splits.is_empty() {
            faults.push(Fault::new("splits", "none given; name at least one list, such as train"));
        }
        if self.labels.is_some() && self.layout != Layout::Voc {
            faults.push(Fault::new("labels", "only lists in VOC's layout take their labels from it; leave it out"));
        }
        if !(0.0..1.0).contains(&self.val_share) {
            faults.push(Fault::new("val_share", format!("{} is no share; give one from 0 to below 1", self.val_share)));
        }
        if self.val_share > 0.0 && !self.splits.contains_key("train") {
            faults.push(Fault::new("val_share", "there is no split train, of which images could be held out"));
        }
        for split in self.unlabelled.iter().filter(|split| !self.splits.contains_key(*split)) {
            faults.push(Fault::new("unlabelled", format!("'{split}' is none of the splits")));
        }
        if self.unknown_classes == Unknown::Ignore
            && self.mask_classes.is_none()
            && self.mask_colours.is_empty()
            && self.masks.is_some()
        {
            faults.push(Fault::new(
                "mask_classes",
                "a subset of the classes is read, so the masks number them otherwise; list all classes of the masks \
                 in order",
            ));
        }
        faults
    }
}

fn faults_of_classes(key: &str, classes: &[String]) -> Vec<Fault> {
    let mut faults = vec![];
    if classes.is_empty() || classes.len() > 254 {
        faults.push(Fault::new(key, format!("{} classes; list 1 to 254", classes.len())));
    }
    for (index, class) in classes.iter().enumerate() {
        if classes[..index].contains(class) {
            faults.push(Fault::new(key, format!("'{class}' is listed twice; list each class once")));
        }
        if is_background(class) || is_void(class) {
            let reason = format!(
                "'{class}' is no class of objects; leave it out: index 0 of masks is background, \
                                  255 is not scored, and the first class here is index 1"
            );
            faults.push(Fault::new(key, reason));
        }
    }
    faults
}
