//! The JSON of COCO's instances, as far as it is read.

use std::fmt;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct Document {
    pub(super) images: Vec<Image>,
    /// A test set has none.
    pub(super) annotations: Option<Vec<Annotation>>,
    #[serde(default)]
    pub(super) categories: Vec<Category>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Image {
    pub(super) id: Id,
    pub(super) file_name: String,
    height: Option<usize>,
    width: Option<usize>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Category {
    pub(super) id: Id,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Annotation {
    pub(super) id: Option<Id>,
    pub(super) image_id: Id,
    pub(super) category_id: Id,
    segmentation: Option<Shape>,
    iscrowd: Option<Crowd>,
}

/// COCO has numbers; some tools write text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(untagged, expecting = "an id is a whole number or text")]
pub(super) enum Id {
    Number(i64),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "iscrowd is 0 or 1")]
enum Crowd {
    Number(u8),
    Flag(bool),
}

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "a segmentation is a list of polygons [[x, y, …], …], or run lengths {counts, size}")]
pub(super) enum Shape {
    /// Each x, y, x, y, … in pixels from the left upper corner; the object is their union.
    Polygons(Vec<Vec<f64>>),
    /// Lengths of runs of pixels that are alternately outside and inside, column by column.
    Runs { counts: Counts, size: [usize; 2] },
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "counts are a list of run lengths, or pycocotools' text of them")]
pub(super) enum Counts {
    Plain(Vec<usize>),
    Compressed(String),
}

impl Image {
    /// Rows and columns, if the file says them.
    pub(super) fn size(&self) -> Option<(usize, usize)> {
        Some((self.height?, self.width?)).filter(|(height, width)| *height > 0 && *width > 0)
    }
}

impl Annotation {
    /// The segmentation; none where there is but a box.
    pub(super) fn shape(&self) -> Option<&Shape> {
        let empty = |shape: &&Shape| matches!(shape, Shape::Polygons(polygons) if polygons.is_empty());
        self.segmentation.as_ref().filter(|shape| !empty(shape))
    }

    /// Is it a group of objects, of which nobody drew the outlines one by one?
    pub(super) fn is_crowd(&self) -> bool {
        match self.iscrowd {
            Some(Crowd::Number(number)) => number != 0,
            Some(Crowd::Flag(flag)) => flag,
            None => false,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "'{text}'"),
        }
    }
}
