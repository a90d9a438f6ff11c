//! Confusion matrices with their scores, and the matrices of every threshold of a sweep from one pass over the pixels
//! (METHOD.md, section 4). No torch.
//!
//! Which class wins a pixel does not depend on the threshold. So it is enough to count (ground truth, winner, number of
//! thresholds below the winner's score): the matrix of a threshold is a sum over the counts above it.

use artifact::ClassId;

/// Keeps scores of classes that never occur finite.
const EPS: f64 = 1e-10;

/// Counts of (ground truth, prediction).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// Classes, the background included.
    pub classes: usize,
    /// `counts[ground_truth * classes + prediction]`.
    pub counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// Nothing counted.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// The matrix of one image; see [`ConfusionMatrix::add`].
    pub fn of(classes: usize, ground_truth: &[u8], prediction: &[u8]) -> Self {
        let mut matrix = Self::new(classes);
        matrix.add(ground_truth, prediction);
        matrix
    }

    /// Counts an image. Pixels whose ground truth is [`ClassId::VOID`] are left out.
    pub fn add(&mut self, ground_truth: &[u8], prediction: &[u8]) {
        assert_eq!(ground_truth.len(), prediction.len(), "ground truth and prediction of one image");
        for (&truth, &predicted) in ground_truth.iter().zip(prediction) {
            if ClassId(truth) != ClassId::VOID {
                self.counts[truth as usize * self.classes + predicted as usize] += 1;
            }
        }
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.classes, other.classes, "matrices of the same classes");
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// Pixels of `class` predicted as such.
    pub fn tp(&self, class: usize) -> u64 {
        self.counts[class * self.classes + class]
    }

    /// Pixels predicted as `class` that are not.
    pub fn fp(&self, class: usize) -> u64 {
        self.counts.iter().skip(class).step_by(self.classes).sum::<u64>() - self.tp(class)
    }

    /// Pixels of `class` predicted as something else.
    pub fn fn_(&self, class: usize) -> u64 {
        self.counts[class * self.classes..(class + 1) * self.classes].iter().sum::<u64>() - self.tp(class)
    }

    /// TP / (TP + FP + FN).
    pub fn iou(&self, class: usize) -> f64 {
        self.tp(class) as f64 / ((self.tp(class) + self.fp(class) + self.fn_(class)) as f64 + EPS)
    }

    /// TP / (TP + FP).
    pub fn precision(&self, class: usize) -> f64 {
        self.tp(class) as f64 / ((self.tp(class) + self.fp(class)) as f64 + EPS)
    }

    /// TP / (TP + FN).
    pub fn recall(&self, class: usize) -> f64 {
        self.tp(class) as f64 / ((self.tp(class) + self.fn_(class)) as f64 + EPS)
    }

    /// [`ConfusionMatrix::iou`] averaged over the classes, background included.
    pub fn miou(&self) -> f64 {
        self.mean(Self::iou)
    }

    /// [`ConfusionMatrix::precision`] averaged over the classes, background included.
    pub fn mean_precision(&self) -> f64 {
        self.mean(Self::precision)
    }

    /// [`ConfusionMatrix::recall`] averaged over the classes, background included.
    pub fn mean_recall(&self) -> f64 {
        self.mean(Self::recall)
    }

    fn mean(&self, score: impl Fn(&Self, usize) -> f64) -> f64 {
        (0..self.classes).map(|class| score(self, class)).sum::<f64>() / self.classes as f64
    }
}

/// The index of the matrix with the largest mIoU, the first of equals: of a sweep's matrices the best threshold. It is
/// chosen on ground truth, and whoever uses it says so.
pub fn best(matrices: &[ConfusionMatrix]) -> usize {
    let mious: Vec<f64> = matrices.iter().map(ConfusionMatrix::miou).collect();
    (0..mious.len()).fold(0, |best, index| if mious[index] > mious[best] { index } else { best })
}

/// One count of a [`SweepHistogram`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepCell {
    /// Class of the ground truth.
    pub ground_truth: ClassId,
    /// The foreground class of the largest score; background where no class has a positive score.
    pub winner: ClassId,
    /// How many thresholds lie below its score.
    pub thresholds_below: usize,
    /// Pixels.
    pub count: u64,
}

/// Counts from which the confusion matrix of every threshold follows.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepHistogram {
    classes: usize,
    thresholds: Vec<f32>,
    /// `[ground truth, winner, thresholds below]`.
    counts: Vec<u64>,
}

impl SweepHistogram {
    /// Nothing counted. `thresholds` ascend and are not negative, so that an absent class, whose score is 0, never
    /// wins.
    pub fn new(classes_with_background: usize, thresholds: &[f32]) -> Self {
        assert!(
            thresholds.is_sorted_by(|a, b| a < b) && thresholds.iter().all(|&t| t >= 0.0),
            "thresholds ascend from 0"
        );
        let counts = vec![0; classes_with_background * classes_with_background * (thresholds.len() + 1)];
        Self { classes: classes_with_background, thresholds: thresholds.to_vec(), counts }
    }

    /// The thresholds.
    pub fn thresholds(&self) -> &[f32] {
        &self.thresholds
    }

    /// Counts an image: the maps of the classes it shows, and its ground truth with 255 for void.
    pub fn add(&mut self, cams: &[(ClassId, &[f32])], ground_truth: &[u8]) {
        let (order, winners, largest) = winners(cams, ground_truth);
        for ((&truth, &winner), &score) in ground_truth.iter().zip(&winners).zip(&largest) {
            if ClassId(truth) != ClassId::VOID {
                let below = self.thresholds.partition_point(|&t| t < score);
                let at = self.index(ClassId(truth), order[usize::from(winner)], below);
                self.counts[at] += 1;
            }
        }
    }

    /// As [`SweepHistogram::add`] for stored maps, in which v stands for v / 255.
    ///
    /// Pixels are counted by their value first: which thresholds lie below it is asked once a value. Several tables
    /// take turns, so that no pixel waits for the count of the one before.
    pub fn add_u8(&mut self, cams: &[(ClassId, &[u8])], ground_truth: &[u8]) {
        const TABLES: usize = 4;
        let (order, winners, largest) = winners(cams, ground_truth);
        // A table is [ground truth, winner's place in `order`, value]; void comes after the classes.
        let place = order.len() * 256;
        let rows: [usize; 256] = std::array::from_fn(|truth| truth.min(self.classes) * place);
        let known = |truth: &u8| usize::from(*truth) < self.classes || ClassId(*truth) == ClassId::VOID;
        assert!(ground_truth.iter().all(known), "the ground truth has classes of the data set and void");
        let mut tables: [Vec<u32>; TABLES] = std::array::from_fn(|_| vec![0; (self.classes + 1) * place]);
        let at = |truth: u8, winner: u8, value: u8| {
            rows[usize::from(truth)] + usize::from(winner) * 256 + usize::from(value)
        };
        let (truths, last_truths) = ground_truth.as_chunks::<TABLES>();
        let (places, last_places) = winners.as_chunks::<TABLES>();
        let (values, last_values) = largest.as_chunks::<TABLES>();
        for ((truths, places), values) in truths.iter().zip(places).zip(values) {
            for (lane, table) in tables.iter_mut().enumerate() {
                table[at(truths[lane], places[lane], values[lane])] += 1;
            }
        }
        for ((truth, place), value) in last_truths.iter().zip(last_places).zip(last_values) {
            tables[0][at(*truth, *place, *value)] += 1;
        }
        let below = std::array::from_fn::<usize, 256, _>(|value| {
            let score = value as f32 / 255.0;
            self.thresholds.partition_point(|&t| t < score)
        });
        for at in 0..self.classes * place {
            let count: u32 = tables.iter().map(|table| table[at]).sum();
            if count > 0 {
                let (truth, winner, value) = (at / place, order[at % place / 256], at % 256);
                let at = self.index(ClassId(truth as u8), winner, below[value]);
                self.counts[at] += u64::from(count);
            }
        }
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        assert!(self.classes == other.classes && self.thresholds == other.thresholds, "histograms of the same sweep");
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// The counts that are not zero.
    pub fn cells(&self) -> impl Iterator<Item = SweepCell> + '_ {
        let bins = self.thresholds.len() + 1;
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(move |(at, &count)| SweepCell {
            ground_truth: ClassId((at / bins / self.classes) as u8),
            winner: ClassId((at / bins % self.classes) as u8),
            thresholds_below: at % bins,
            count,
        })
    }

    /// Adds a count that [`SweepHistogram::cells`] gave.
    pub fn add_cell(&mut self, cell: SweepCell) {
        let at = self.index(cell.ground_truth, cell.winner, cell.thresholds_below);
        self.counts[at] += cell.count;
    }

    /// The matrix of the threshold at `index`: foreground class k wins iff its score exceeds the threshold.
    pub fn confusion(&self, index: usize) -> ConfusionMatrix {
        let mut matrix = ConfusionMatrix::new(self.classes);
        for cell in self.cells() {
            let prediction = if cell.thresholds_below > index { cell.winner } else { ClassId::BACKGROUND };
            matrix.counts[cell.ground_truth.0 as usize * self.classes + prediction.0 as usize] += cell.count;
        }
        matrix
    }

    /// The matrix of every threshold, in their order.
    pub fn matrices(&self) -> Vec<ConfusionMatrix> {
        (0..self.thresholds.len()).map(|index| self.confusion(index)).collect()
    }

    fn index(&self, ground_truth: ClassId, winner: ClassId, below: usize) -> usize {
        (ground_truth.0 as usize * self.classes + winner.0 as usize) * (self.thresholds.len() + 1) + below
    }
}

/// For each pixel the class of the largest score, as its place in the list that comes first, and that score. The list
/// begins with the background, which wins where no score is above `T::default()`, the score of absent classes.
fn winners<T: Copy + Default + PartialOrd>(
    cams: &[(ClassId, &[T])],
    ground_truth: &[u8],
) -> (Vec<ClassId>, Vec<u8>, Vec<T>) {
    let mut cams = cams.to_vec();
    cams.sort_by_key(|(class, _)| *class); // ties go to the lowest class
    let mut order = vec![ClassId::BACKGROUND];
    let mut winners = vec![0; ground_truth.len()];
    let mut largest = vec![T::default(); ground_truth.len()];
    for (class, map) in cams {
        assert_eq!(map.len(), ground_truth.len(), "the map of class {} and the ground truth", class.0);
        let place = order.len() as u8;
        order.push(class);
        // Without a branch, so that it is done for many pixels at once.
        for ((winner, largest), &score) in winners.iter_mut().zip(&mut largest).zip(map) {
            let larger = score > *largest;
            *winner = if larger { place } else { *winner };
            *largest = if larger { score } else { *largest };
        }
    }
    (order, winners, largest)
}
