//! How far a mean IoU would be off had other pictures been scored: the bootstrap over images.
//!
//! A resample draws as many images as there are, with replacement, sums their confusions class by class, and takes the
//! mean IoU of the sums, as the score itself does. The interval lies between the 2.5th and the 97.5th percentile of
//! [`RESAMPLES`] resamples (Efron's percentile interval). The draws follow from the number of images alone: the n-th
//! resamples of two experiments on the same images are the same images, so that the interval of their difference is a
//! paired one. What another seed of the training would change is not in it.

use std::collections::BTreeMap;

use artifact::table::ConfusionRow;
use data::random::Rng;

/// Resamples behind every interval.
pub(crate) const RESAMPLES: usize = 2000;
/// Where the draws begin.
const SEED: u64 = 16;
/// The share of the resamples between the ends of an interval.
const LEVEL: f64 = 0.95;

/// The pixels that one image adds to one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Pixels of the class found.
    pub tp: u64,
    /// Pixels taken for the class wrongly.
    pub fp: u64,
    /// Pixels of the class missed.
    pub missed: u64,
}

impl Counts {
    /// Those of a row.
    pub fn of(row: &ConfusionRow) -> Self {
        Self { tp: row.tp, fp: row.fp, missed: row.r#fn }
    }

    /// TP / (TP + FP + FN); `None` where the class is neither there nor predicted.
    pub fn iou(self) -> Option<f64> {
        share(self.tp, self.fp + self.missed)
    }

    /// TP / (TP + FP); `None` where the class is not predicted.
    pub fn precision(self) -> Option<f64> {
        share(self.tp, self.fp)
    }

    /// TP / (TP + FN); `None` where the class is not there.
    pub fn recall(self) -> Option<f64> {
        share(self.tp, self.missed)
    }

    fn add(&mut self, other: Self) {
        self.tp += other.tp;
        self.fp += other.fp;
        self.missed += other.missed;
    }
}

fn share(part: u64, rest: u64) -> Option<f64> {
    (part + rest > 0).then(|| part as f64 / (part + rest) as f64)
}

/// What each image adds to each class that it has or is said to have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Number of classes over which the mean is taken, the background included.
    pub classes: usize,
    /// By the name of the image, and the class.
    pub images: BTreeMap<String, BTreeMap<u8, Counts>>,
}

/// From the 2.5th to the 97.5th percentile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    /// Its lower end.
    pub from: f64,
    /// Its upper end.
    pub to: f64,
}

impl Tally {
    /// The mean IoU over all images. A class that occurs in none counts as 0, as in the score.
    pub fn miou(&self) -> f64 {
        let mut sums = vec![Counts::default(); self.classes];
        for (class, counts) in self.images.values().flatten() {
            sums[*class as usize].add(*counts);
        }
        sums.iter().filter_map(|counts| counts.iou()).sum::<f64>() / self.classes as f64
    }

    /// The mean IoU of each resample; none without images. A class that occurs in the images and by chance in none of a
    /// resample is left out of that resample's mean.
    pub fn resampled(&self) -> Vec<f64> {
        let images: Vec<Vec<(usize, Counts)>> = self.images.values().map(sparse).collect();
        let mut occurs = vec![false; self.classes];
        images.iter().flatten().for_each(|(class, _)| occurs[*class] = true);
        let absent = occurs.iter().filter(|occurs| !**occurs).count();
        let resample = |number: usize| {
            let mut sums = vec![Counts::default(); self.classes];
            let mut draws = Rng::new(SEED, number as u64, "bootstrap");
            for _ in 0..images.len() {
                for (class, counts) in &images[draws.below(images.len())] {
                    sums[*class].add(*counts);
                }
            }
            let ious: Vec<_> = sums.iter().filter_map(|counts| counts.iou()).collect();
            ious.iter().sum::<f64>() / (ious.len() + absent) as f64
        };
        if images.is_empty() { Vec::new() } else { (0..RESAMPLES).map(resample).collect() }
    }

    /// Are they tallies of the same images?
    pub fn same_images(&self, other: &Self) -> bool {
        self.images.keys().eq(other.images.keys())
    }
}

fn sparse(image: &BTreeMap<u8, Counts>) -> Vec<(usize, Counts)> {
    image
        .iter()
        .filter(|(_, counts)| counts.iou().is_some())
        .map(|(class, counts)| (*class as usize, *counts))
        .collect()
}

impl Interval {
    /// That of some resamples; `None` where there are none.
    pub fn of(mut resamples: Vec<f64>) -> Option<Self> {
        resamples.sort_by(f64::total_cmp);
        let last = resamples.len().checked_sub(1)?;
        let percentile = |share: f64| {
            let place = share * last as f64;
            let (below, part) = (place as usize, place.fract());
            resamples[below] + (resamples[(below + 1).min(last)] - resamples[below]) * part
        };
        let outside = (1.0 - LEVEL) / 2.0;
        Some(Self { from: percentile(outside), to: percentile(1.0 - outside) })
    }

    /// Does a difference of 0 lie in it?
    pub fn has_zero(self) -> bool {
        self.from <= 0.0 && self.to >= 0.0
    }
}

/// The mean of several runs, resample by resample.
pub(crate) fn mean(runs: &[Vec<f64>]) -> Vec<f64> {
    let Some(first) = runs.first() else { return Vec::new() };
    (0..first.len()).map(|n| runs.iter().map(|run| run[n]).sum::<f64>() / runs.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of one class with some pixels found, and some missed.
    fn tally(images: &[(u64, u64)]) -> Tally {
        let image = |(n, (tp, missed)): (usize, &(u64, u64))| {
            (format!("i{n:05}"), BTreeMap::from([(0, Counts { tp: *tp, fp: 0, missed: *missed })]))
        };
        Tally { classes: 1, images: images.iter().enumerate().map(image).collect() }
    }

    #[test]
    fn two_images_have_three_resamples() {
        // Worked out by hand: the one image has IoU 1, the other 0, both are of 10 pixels. A resample takes both ones
        // (1), both others (0), or each once (10 / 20), with chances of 1/4, 1/4 and 1/2.
        let resamples = tally(&[(10, 0), (0, 10)]).resampled();
        let share = |miou: f64| {
            resamples.iter().filter(|value| (**value - miou).abs() < 1e-12).count() as f64 / RESAMPLES as f64
        };
        let (none, half, all) = (share(0.0), share(0.5), share(1.0));
        assert!((none + half + all - 1.0).abs() < 1e-12);
        // Three standard deviations of a share of 2,000 draws.
        let off = |share: f64, chance: f64| {
            (share - chance).abs() < 3.0 * (chance * (1.0 - chance) / RESAMPLES as f64).sqrt()
        };
        assert!(off(none, 0.25) && off(half, 0.5) && off(all, 0.25), "{none} {half} {all}");
        assert_eq!(Interval::of(resamples), Some(Interval { from: 0.0, to: 1.0 }));
    }

    #[test]
    fn an_interval_is_as_wide_as_theory_has_it() {
        // Each image has the same pixels, so the mean IoU is the mean of 400 independent zeros and ones, half of each:
        // its standard error is sqrt(0.5 * 0.5 / 400) = 0.025, and 95 % lie within 1.96 of them.
        let images: Vec<_> = (0..400).map(|n| if n % 2 == 0 { (1, 0) } else { (0, 1) }).collect();
        let interval = Interval::of(tally(&images).resampled()).unwrap();
        assert!((interval.from - (0.5 - 0.049)).abs() < 0.005, "{interval:?}");
        assert!((interval.to - (0.5 + 0.049)).abs() < 0.005, "{interval:?}");
    }

    #[test]
    fn equal_images_leave_no_doubt_and_no_images_none_to_have() {
        let tally = tally(&[(3, 1); 20]);
        assert_eq!(Interval::of(tally.resampled()), Some(Interval { from: 0.75, to: 0.75 }));
        assert!((tally.miou() - 0.75).abs() < 1e-12);
        assert_eq!(Interval::of(Tally::default().resampled()), None);
    }

    #[test]
    fn a_difference_is_taken_on_the_same_images() {
        // One run finds one pixel more in every image: unpaired resamples would differ by up to 1.
        let few: Vec<_> = (0..50).map(|n| if n % 2 == 0 { (90, 10) } else { (10, 90) }).collect();
        let more: Vec<_> = few.iter().map(|(tp, missed)| (tp + 1, missed - 1)).collect();
        let (few, more) = (tally(&few), tally(&more));
        assert!(few.same_images(&more));
        let differences = more.resampled().iter().zip(few.resampled()).map(|(a, b)| a - b).collect();
        let interval = Interval::of(differences).unwrap();
        assert!((interval.from - 0.01).abs() < 1e-9 && (interval.to - 0.01).abs() < 1e-9, "{interval:?}");
        assert!(!interval.has_zero());
    }

    #[test]
    fn a_class_counts_where_it_can_occur() {
        // Class 1 is in one image of two, class 2 in none: a resample without class 1 is the mean of classes 0 and 2.
        let found = Counts { tp: 1, fp: 0, missed: 0 };
        let mut tally = tally(&[(1, 0), (1, 0)]);
        tally.classes = 3;
        tally.images.get_mut("i00001").unwrap().insert(1, found);
        assert!((tally.miou() - 2.0 / 3.0).abs() < 1e-12);
        let resamples = tally.resampled();
        assert!(resamples.iter().all(|miou| (miou - 0.5).abs() < 1e-12 || (miou - 2.0 / 3.0).abs() < 1e-12));
        assert!(resamples.iter().any(|miou| (miou - 0.5).abs() < 1e-12));
    }

    #[test]
    fn runs_are_averaged_resample_by_resample() {
        assert_eq!(mean(&[vec![0.0, 1.0], vec![1.0, 0.5]]), [0.5, 0.75]);
        assert!(mean(&[]).is_empty());
    }
}
