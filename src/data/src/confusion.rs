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
    /// Pixels are counted by their value first: which thresholds lie below it is asked once a value.
    pub fn add_u8(&mut self, cams: &[(ClassId, &[u8])], ground_truth: &[u8]) {
        let (order, cams) = in_order(cams, ground_truth);
        let places = order.len();
        let mut counts = KeyCounts::new(256 * places);
        let mut keys = [0; BLOCK];
        for (block, truths) in ground_truth.chunks(BLOCK).enumerate() {
            let keys = &mut keys[..truths.len()];
            winning_keys(&cams, block * BLOCK, keys);
            counts.add(truths, keys);
        }
        let below = std::array::from_fn::<usize, 256, _>(|value| {
            let score = value as f32 / 255.0;
            self.thresholds.partition_point(|&t| t < score)
        });
        for (truth, key, count) in counts.found().filter(|(truth, ..)| *truth != ClassId::VOID) {
            assert!(usize::from(truth.0) < self.classes, "the ground truth has classes of the data set and void");
            let at = self.index(truth, order[places - 1 - key % places], below[key / places]);
            self.counts[at] += count;
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

/// The background, which wins where no score is above 0, the score of absent classes, and then the classes of the maps,
/// ascending; their maps in that order.
fn in_order<'a, T>(cams: &[(ClassId, &'a [T])], ground_truth: &[u8]) -> (Vec<ClassId>, Vec<&'a [T]>) {
    let mut cams = cams.to_vec();
    cams.sort_by_key(|(class, _)| *class); // ties go to the lowest class
    for (class, map) in &cams {
        assert_eq!(map.len(), ground_truth.len(), "the map of class {} and the ground truth", class.0);
    }
    let classes = cams.iter().map(|(class, _)| *class);
    (std::iter::once(ClassId::BACKGROUND).chain(classes).collect(), cams.iter().map(|(_, map)| *map).collect())
}

/// For each pixel the class of the largest score, as its place in the list that comes first, and that score.
fn winners(cams: &[(ClassId, &[f32])], ground_truth: &[u8]) -> (Vec<ClassId>, Vec<u8>, Vec<f32>) {
    let (order, cams) = in_order(cams, ground_truth);
    let (mut winners, mut largest) = (vec![0; ground_truth.len()], vec![0.0; ground_truth.len()]);
    for (place, map) in (1..).zip(cams) {
        // Without a branch, so that it is done for many pixels at once.
        for ((winner, largest), &score) in winners.iter_mut().zip(&mut largest).zip(map) {
            let larger = score > *largest;
            *winner = if larger { place } else { *winner };
            *largest = if larger { score } else { *largest };
        }
    }
    (order, winners, largest)
}

/// Pixels whose keys are worked out at a time.
const BLOCK: usize = 2048;
/// Pixels that take turns at a count, so that none waits for the count of the one before.
const LANES: usize = 4;
/// Neighbours whose ground truth is mostly the same.
const NEIGHBOURS: usize = 16;

/// The largest value of each pixel from `start` on and the place of its class, as one number of which the largest wins:
/// value * places + (places - 1 - place).
fn winning_keys(cams: &[&[u8]], start: usize, keys: &mut [u16]) {
    let places = cams.len() as u16 + 1;
    keys.fill(places - 1); // 0, the background
    for (rank, map) in (0..places - 1).rev().zip(cams) {
        for (key, &value) in keys.iter_mut().zip(&map[start..]) {
            *key = (*key).max(u16::from(value) * places + rank);
        }
    }
}

/// How many pixels of each ground truth have each key.
struct KeyCounts {
    keys: usize,
    /// Where the counts of a class of the ground truth begin, once there are any.
    rows: [Option<usize>; 256],
    counts: Vec<[u32; LANES]>,
}

impl KeyCounts {
    fn new(keys: usize) -> Self {
        Self { keys, rows: [None; 256], counts: Vec::new() }
    }

    fn row(&mut self, truth: u8) -> &mut [[u32; LANES]] {
        let at = *self.rows[usize::from(truth)].get_or_insert(self.counts.len());
        if at == self.counts.len() {
            self.counts.resize(at + self.keys, [0; LANES]);
        }
        &mut self.counts[at..at + self.keys]
    }

    fn add(&mut self, truths: &[u8], keys: &[u16]) {
        let (some_truths, last_truths) = truths.as_chunks::<NEIGHBOURS>();
        let (some_keys, last_keys) = keys.as_chunks::<NEIGHBOURS>();
        for (truths, keys) in some_truths.iter().zip(some_keys) {
            if *truths == [truths[0]; NEIGHBOURS] {
                let counts = self.row(truths[0]);
                keys.iter().enumerate().for_each(|(lane, key)| counts[usize::from(*key)][lane % LANES] += 1);
            } else {
                self.add_each(truths, keys);
            }
        }
        self.add_each(last_truths, last_keys);
    }

    fn add_each(&mut self, truths: &[u8], keys: &[u16]) {
        truths.iter().zip(keys).for_each(|(truth, key)| self.row(*truth)[usize::from(*key)][0] += 1);
    }

    /// Ground truth, key and count of what there is.
    fn found(&self) -> impl Iterator<Item = (ClassId, usize, u64)> + '_ {
        let rows = (0..=255).filter_map(|truth| Some((ClassId(truth), self.rows[usize::from(truth)]?)));
        rows.flat_map(|(truth, at)| {
            let counts = self.counts[at..at + self.keys].iter().enumerate();
            let counts =
                counts.map(move |(key, lanes)| (truth, key, lanes.iter().map(|count| u64::from(*count)).sum()));
            counts.filter(|(.., count)| *count > 0)
        })
    }
}
