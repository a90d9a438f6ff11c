//! A validation split where a data set has none: some images of `train` are held out.

use std::collections::BTreeSet;

use artifact::ImageId;

use super::Source;
use super::fault::Fault;
use super::listing::Listing;

const TRAIN: &str = "train";
const VAL: &str = "val";

/// Moves about `val_share` of the images of `train` to `val`, at least one, and leaves at least one. An image's own id
/// decides, so that it stays on its side when others are added.
pub(super) fn apply(source: &Source, listing: &mut Listing) {
    if source.val_share <= 0.0 || source.splits.contains_key(VAL) {
        return;
    }
    let in_train = listing.images.iter().filter(|(_, listed)| listed.splits.iter().any(|split| split == TRAIN));
    let mut places: Vec<(f64, ImageId)> = in_train.map(|(id, _)| (place(id), id.clone())).collect();
    places.sort_by(|(a, first), (b, second)| a.total_cmp(b).then_with(|| first.cmp(second)));
    let all = places.len();
    // Where lists are faulty, these are told alone.
    if all < 2 && !listing.faults.is_empty() {
        return;
    }
    if all < 2 {
        let reason =
            format!("train has {all} images, of which none can be held out; give splits.val, or val_share = 0");
        listing.faults.push(Fault::new("val_share", reason));
        return;
    }
    let below = places.iter().filter(|(place, _)| *place < source.val_share).count();
    let held: BTreeSet<ImageId> = places.into_iter().take(below.clamp(1, all - 1)).map(|(_, id)| id).collect();
    for id in &held {
        if let Some(listed) = listing.images.get_mut(id) {
            listed.splits.iter_mut().filter(|split| *split == TRAIN).for_each(|split| VAL.clone_into(split));
            listed.splits.sort();
        }
    }
    let note =
        format!("{} of the {all} images of train are held out as val (val_share = {})", held.len(), source.val_share);
    listing.notes.push(note);
}

/// Where an image stands between 0 and 1.
fn place(id: &ImageId) -> f64 {
    let [a, b, c, d, ..] = *blake3::hash(id.as_str().as_bytes()).as_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / 2f64.powi(32)
}
