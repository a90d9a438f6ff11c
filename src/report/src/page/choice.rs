//! Which images the gallery shows. Reads the tables `dataset`, `cam` and `label` without their pictures.

use std::collections::{BTreeMap, BTreeSet};

use artifact::table::{CamRow, DatasetRow, LabelRow};
use artifact::{Result, Row as _};

use super::experiments::sharing;
use crate::holdings::{Holding, Holdings};
use crate::tables::rows_without;

/// The split whose images are shown apart from all others.
const VALIDATION: &str = "val";

/// What is known of an image without opening it.
pub(super) struct Image {
    pub id: String,
    /// Its foreground classes.
    pub labels: Vec<u8>,
    /// How many of the things that other images have pictures of it lacks.
    lacks: usize,
}

/// The images that are shown, with a title for each group. Two thirds of them are validation images, one third training
/// images; where there are too few of one, the other fills up.
pub(super) fn choose(holdings: &Holdings, dataset: &Holding, wanted: usize) -> Result<[(&'static str, Vec<Image>); 2]> {
    let pictured = pictured(holdings)?;
    let (mut val, mut train) = (Vec::new(), Vec::new());
    for row in rows_without::<DatasetRow>(dataset, &["image"])? {
        let id = row.image_id.as_str().to_owned();
        let lacks = pictured.values().filter(|ids| !ids.contains(&id)).count();
        let image = Image { id, labels: row.labels.iter().map(|class| class.0).collect(), lacks };
        let group = if row.splits.iter().any(|split| split == VALIDATION) { &mut val } else { &mut train };
        group.push(image);
    }
    let of_val = (wanted - wanted / 3).min(val.len()).max(wanted.saturating_sub(train.len()));
    let val = spread_over_classes(val, of_val);
    let train = spread_over_classes(train, wanted - val.len().min(wanted));
    Ok([("Validation images", val), ("Training images", train)])
}

/// The images of which there are CAMs, and labels of each kind.
fn pictured(holdings: &Holdings) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut pictured: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for shared in sharing(holdings, CamRow::TABLE, None) {
        for row in rows_without::<CamRow>(shared.held, &["cam"])? {
            pictured.entry(CamRow::TABLE.to_owned()).or_default().insert(row.image_id.as_str().to_owned());
        }
    }
    for shared in sharing(holdings, LabelRow::TABLE, None) {
        for row in rows_without::<LabelRow>(shared.held, &["label"])? {
            pictured.entry(row.source).or_default().insert(row.image_id.as_str().to_owned());
        }
    }
    Ok(pictured)
}

/// Takes, one after another, of the images with most to show the one whose classes have been shown least; among
/// equals a hash of the name decides.
fn spread_over_classes(mut candidates: Vec<Image>, wanted: usize) -> Vec<Image> {
    candidates.sort_by_key(|image| hash(&image.id));
    let mut shown: BTreeMap<u8, usize> = BTreeMap::new();
    let mut chosen = Vec::new();
    while chosen.len() < wanted && !candidates.is_empty() {
        let often = |image: &Image| {
            let times = image.labels.iter().map(|class| shown.get(class).copied().unwrap_or(0));
            // Images of one or two classes say most; none at all say least.
            (
                image.lacks,
                times.clone().min().unwrap_or(usize::MAX),
                times.sum::<usize>(),
                image.labels.len().abs_diff(2),
            )
        };
        let best = (0..candidates.len()).min_by_key(|index| often(&candidates[*index])).unwrap_or(0);
        let image = candidates.remove(best);
        image.labels.iter().for_each(|class| *shown.entry(*class).or_default() += 1);
        chosen.push(image);
    }
    chosen.sort_by(|a, b| a.id.cmp(&b.id));
    chosen
}

/// FNV-1a: the same order on every machine and in every version.
fn hash(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_covers_the_classes_and_is_always_the_same() {
        let image =
            |n: u8| Image { id: format!("i{n:02}"), labels: vec![if n < 50 { 1 } else { n % 5 + 1 }], lacks: 0 };
        let candidates = || (0..60).map(image);
        let ids = |chosen: Vec<Image>| chosen.into_iter().map(|image| image.id).collect::<Vec<_>>();
        let chosen = spread_over_classes(candidates().collect(), 5);
        assert_eq!(chosen.iter().flat_map(|image| image.labels.clone()).collect::<BTreeSet<_>>().len(), 5);
        assert_eq!(ids(chosen), ids(spread_over_classes(candidates().rev().collect(), 5)));
        assert_eq!(spread_over_classes(candidates().collect(), 100).len(), 60);
    }
}
