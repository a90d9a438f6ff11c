//! Masks in a directory of their own, for pictures that lie in folders: `masks/cat/001.png` or `masks/001.png` for
//! `images/cat/001.jpg`.

use std::collections::BTreeMap;

use artifact::ImageId;

use super::Source;
use super::fault::Fault;
use super::listing::{Listing, MaskSource, only};
use super::tree::Tree;

/// Gives each image the mask at the longest end of its path. A mask that two images could have is a fault.
pub(super) fn pair(source: &Source, tree: &Tree, listing: &mut Listing) {
    let Some(directory) = source.masks.as_deref().map(|directory| directory.trim_matches('/')) else { return };
    let mut owners: BTreeMap<String, Vec<ImageId>> = BTreeMap::new();
    for id in listing.images.keys() {
        match mask_of(tree, directory, id.as_str()) {
            Ok(Some(mask)) => owners.entry(mask.to_owned()).or_default().push(id.clone()),
            Ok(None) => {}
            Err(reason) => listing.faults.push(Fault::new(directory, reason)),
        }
    }
    for (mask, ids) in owners {
        if let [id] = ids.as_slice() {
            if let Some(listed) = listing.images.get_mut(id) {
                listed.mask = MaskSource::File(mask);
            }
        } else {
            let images: Vec<&str> = ids.iter().take(3).map(ImageId::as_str).collect();
            let reason = format!(
                "can be the mask of {}; put the masks into folders named as those of the pictures",
                images.join(" and of ")
            );
            listing.faults.push(Fault::new(mask, reason));
        }
    }
}

fn mask_of<'t>(tree: &'t Tree, directory: &str, id: &str) -> Result<Option<&'t str>, String> {
    let starts = std::iter::once(0).chain(id.match_indices('/').map(|(at, _)| at + 1));
    for start in starts {
        let path = format!("{directory}/{}.png", &id[start..]);
        if let Some(mask) = only(&tree.file(&path), &path)? {
            return Ok(Some(mask));
        }
    }
    Ok(None)
}
