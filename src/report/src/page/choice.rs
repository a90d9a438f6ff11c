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
    /// The mean IoU of its last label, where it was scored.
    pub quality: Option<f64>,
    /// Why it is shown.
    pub chosen: Chosen,
    /// How many of the things that other images have pictures of it lacks.
    lacks: usize,
}

/// Why an image is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// Its label is one of the best.
    Best,
    /// Its label is one of the worst.
    Worst,
    /// It helps to show every class.
    ForItsClasses,
}

/// Images with the title of their group.
pub(super) struct Group {
    pub title: &'static str,
    /// What the page's filter calls it.
    pub split: &'static str,
    pub images: Vec<Image>,
}

/// The images that are shown. Two thirds of them are validation images, one third training images; where there are too
/// few of one, the other fills up. Of each, a third are the best, a third the worst, and the others spread over the
/// classes.
pub(super) fn choose(
    holdings: &Holdings,
    dataset: &Holding,
    wanted: usize,
    quality: impl Fn(&str) -> Option<f64>,
) -> Result<[Group; 2]> {
    let pictured = pictured(holdings)?;
    let (mut val, mut train) = (Vec::new(), Vec::new());
    for row in rows_without::<DatasetRow>(dataset, &["image"])? {
        let id = row.image_id.as_str().to_owned();
        let lacks = pictured.values().filter(|ids| !ids.contains(&id)).count();
        let labels = row.labels.iter().map(|class| class.0).collect();
        let image = Image { quality: quality(&id), labels, lacks, chosen: Chosen::ForItsClasses, id };
        let group = if row.splits.iter().any(|split| split == VALIDATION) { &mut val } else { &mut train };
        group.push(image);
    }
    let of_val = (wanted - wanted / 3).min(val.len()).max(wanted.saturating_sub(train.len()));
    let val = chosen(val, of_val);
    let train = chosen(train, wanted - val.len().min(wanted));
    Ok([
        Group { title: "Validation images", split: "val", images: val },
        Group { title: "Training images", split: "train", images: train },
    ])
}

/// The best, the worst and those that show the classes, the best first; images that were not scored come last, by name.
fn chosen(mut candidates: Vec<Image>, wanted: usize) -> Vec<Image> {
    let least = candidates.iter().map(|image| image.lacks).min();
    let (mut scored, rest): (Vec<_>, Vec<_>) =
        candidates.drain(..).partition(|image| image.quality.is_some() && Some(image.lacks) == least);
    let quality = |image: &Image| image.quality.unwrap_or(f64::NEG_INFINITY);
    let by_quality = |a: &Image, b: &Image| quality(b).total_cmp(&quality(a)).then_with(|| a.id.cmp(&b.id));
    scored.sort_by(by_quality);
    let third = (wanted / 3).min(scored.len() / 3);
    let worst = scored.split_off(scored.len() - third);
    let between = scored.split_off(third);
    let told = |images: Vec<Image>, chosen| images.into_iter().map(move |image| Image { chosen, ..image });
    let mut shown: Vec<_> = told(scored, Chosen::Best).chain(told(worst, Chosen::Worst)).collect();
    let others = between.into_iter().chain(rest).collect();
    shown.extend(spread_over_classes(others, wanted - shown.len().min(wanted)));
    shown.sort_by(by_quality);
    shown
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
    chosen
}

/// FNV-1a: the same order on every machine and in every version.
fn hash(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(n: u8) -> Image {
        let labels = vec![if n < 50 { 1 } else { n % 5 + 1 }];
        Image { id: format!("i{n:02}"), labels, quality: None, chosen: Chosen::ForItsClasses, lacks: 0 }
    }

    fn ids(chosen: &[Image]) -> Vec<&str> {
        chosen.iter().map(|image| image.id.as_str()).collect()
    }

    #[test]
    fn the_choice_covers_the_classes_and_is_always_the_same() {
        let candidates = || (0..60).map(image);
        let first = chosen(candidates().collect(), 5);
        assert_eq!(first.iter().flat_map(|image| image.labels.clone()).collect::<BTreeSet<_>>().len(), 5);
        assert_eq!(ids(&first), ids(&chosen(candidates().rev().collect(), 5)));
        assert_eq!(chosen(candidates().collect(), 100).len(), 60);
    }

    #[test]
    fn the_best_and_the_worst_are_among_the_chosen() {
        let scored = |n: u8| Image { quality: Some(f64::from(u32::from(n) * 7 % 60) / 60.0), ..image(n) };
        let shown = chosen((0..60).map(scored).collect(), 9);
        let qualities: Vec<_> = shown.iter().map(|image| (image.quality.unwrap() * 60.0).round() as u8).collect();
        assert_eq!((&qualities[..3], &qualities[6..]), (&[59, 58, 57][..], &[2, 1, 0][..]));
        let of = |chosen| shown.iter().filter(|image| image.chosen == chosen).count();
        assert_eq!([Chosen::Best, Chosen::ForItsClasses, Chosen::Worst].map(of), [3; 3]);
        // One that lacks a picture is neither, however good it is.
        let lacking = Image { quality: Some(1.0), lacks: 1, ..image(60) };
        let shown = chosen((0..60).map(scored).chain([lacking]).collect(), 9);
        assert!(!ids(&shown).contains(&"i60"));
    }
}
