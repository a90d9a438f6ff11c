//! The mask of one image, painted from its objects.

use crate::codec::Mask;

use super::document::{Id, Shape};
use super::raster;

/// The name of how masks are drawn; another way to draw them gets another name.
///
/// Polygons and run lengths cover the pixels that pycocotools gives them. Objects are painted by the number of those,
/// the largest first, so that the smaller lies on top; of two equal ones, that with the higher id. A crowd is painted
/// as void, an object of a class that is not listed as background.
pub(in super::super) const RULE: &str = "coco-smaller-on-top-1";

/// The objects of one image.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Drawing {
    /// The file that has them.
    pub(in super::super) file: String,
    /// Rows and columns, if that file says them.
    pub(in super::super) size: Option<(usize, usize)>,
    pub(super) objects: Vec<Object>,
}

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object {
    /// What its pixels become.
    pub(super) number: u8,
    /// Its id, and its place in the file.
    pub(super) order: (Option<Id>, usize),
    pub(super) shape: Shape,
}

impl Drawing {
    /// Is the mask of another file another one?
    pub(in super::super) fn objects_differ(&self, other: &Self) -> bool {
        let shapes =
            |drawing: &Self| -> Vec<_> { drawing.objects.iter().map(|o| (o.number, o.shape.clone())).collect() };
        shapes(self) != shapes(other)
    }

    /// The mask of an image of that size.
    pub(in super::super) fn paint(&self, height: usize, width: usize) -> Result<Mask, String> {
        let mut objects = vec![];
        for object in &self.objects {
            let pixels = raster::pixels(&object.shape, height, width).map_err(|reason| match &object.order {
                (Some(id), _) => format!("annotation {id}: {reason}"),
                (None, place) => format!("annotation at place {place}: {reason}"),
            })?;
            objects.push((object, pixels.iter().map(ExactSizeIterator::len).sum::<usize>(), pixels));
        }
        objects.sort_by(|(a, of_a, _), (b, of_b, _)| of_b.cmp(of_a).then_with(|| a.order.cmp(&b.order)));
        let mut classes = vec![0; height * width];
        for (object, _, pixels) in objects {
            for pixel in pixels.into_iter().flatten() {
                classes[pixel % height * width + pixel / height] = object.number;
            }
        }
        Ok(Mask { height, width, classes })
    }
}
