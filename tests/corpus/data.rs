//! JPEGs, masks, annotations and lists, through `prepare-data`.

use std::sync::OnceLock;

use data::codec::encode_jpeg;

use crate::anatomy::Kind;
use crate::corpus::{self, Tally, keeping, named};
use crate::mutant::Mutant;
use crate::run::{Ended, healthy, limited};
use crate::samples::{CLASSES, SIZE, picture};
use crate::voc::Voc;

/// Files of one run, fewer than prepare-data names.
const TOGETHER: usize = 40;
/// Every how many files one is tried by itself too.
const ALONE: usize = 64;
const BAD_DATA: i32 = 65;

fn id(mutant: &Mutant) -> String {
    format!("m{:05}", mutant.number)
}

/// The name under which a file is reported.
fn file(mutant: &Mutant) -> String {
    match mutant.kind {
        Kind::Jpeg => format!("JPEGImages/{}.jpg: ", id(mutant)),
        Kind::Mask => format!("SegmentationClass/{}.png: ", id(mutant)),
        _ => format!("Annotations/{}.xml: ", id(mutant)),
    }
}

/// A data set of four healthy images and one for each mutant.
fn data_set(mutants: &[&Mutant]) -> Voc {
    let mut voc = Voc::new(4);
    for mutant in mutants {
        let id = id(mutant);
        voc.image(&id, &encode_jpeg(&picture(SIZE), 80), &[CLASSES[0]]);
        match mutant.kind {
            // Whatever the header says now, no mask contradicts it.
            Kind::Jpeg => voc.write(&format!("JPEGImages/{id}.jpg"), &mutant.bytes),
            Kind::Mask => voc.mask(&id, &mutant.bytes),
            _ => voc.write(&format!("Annotations/{id}.xml"), &mutant.bytes),
        }
    }
    if !mutants.is_empty() {
        voc.list("mutants", &mutants.iter().map(|mutant| id(mutant)).collect::<Vec<_>>());
    }
    voc
}

fn prepare(mutants: &[&Mutant]) -> Ended {
    keeping(mutants, || limited(&data_set(mutants).stage("prepare-data", &[]), memory()))
}

/// The address space that whole files take.
fn memory() -> u64 {
    static MEMORY: OnceLock<u64> = OnceLock::new();
    *MEMORY.get_or_init(|| {
        let (memory, ended) = healthy(&mut data_set(&[]).stage("prepare-data", &[]));
        assert_eq!(ended.code, 0, "{}", ended.said);
        memory
    })
}

/// All of a kind, many in one run. Those that a run does not name are whole as far as it can tell: a run of them alone
/// commits.
fn try_all(kind: Kind) {
    let (mutants, mut tally) = (corpus::of(kind), Tally::default());
    for together in mutants.iter().collect::<Vec<_>>().chunks(TOGETHER) {
        let ended = prepare(together);
        let bad = named(&ended, together, file);
        let accepted: Vec<_> = together.iter().copied().filter(|m| !bad.iter().any(|b| b.number == m.number)).collect();
        assert_eq!(ended.code, if bad.is_empty() { 0 } else { BAD_DATA }, "{}", ended.said);
        assert!(!ended.said.contains("… and"), "more faults than are shown: {}", ended.said);
        if !bad.is_empty() && !accepted.is_empty() {
            let again = prepare(&accepted);
            keeping(&accepted, || assert_eq!(again.code, 0, "{}", again.said));
        }
        for mutant in bad {
            tally.add(mutant, BAD_DATA, BAD_DATA, &ended.said, &file(mutant));
        }
        for mutant in accepted {
            tally.add(mutant, BAD_DATA, 0, &ended.said, "");
        }
    }
    // A few by themselves: the answer does not depend on the company.
    for mutant in mutants.iter().step_by(ALONE) {
        let ended = prepare(&[mutant]);
        Tally::default().add(mutant, BAD_DATA, ended.code, &ended.said, &file(mutant));
    }
    tally.show(kind);
}

#[test]
fn pictures() {
    try_all(Kind::Jpeg);
}

#[test]
fn masks() {
    try_all(Kind::Mask);
}

#[test]
fn annotations() {
    try_all(Kind::Annotation);
}

/// One run a list: a damaged one may have more faults than are shown.
#[test]
fn lists() {
    let mut tally = Tally::default();
    for mutant in corpus::of(Kind::List) {
        let mut voc = Voc::new(4);
        voc.list_bytes("train", &mutant.bytes);
        let ended = keeping(&[&mutant], || limited(&voc.stage("prepare-data", &[]), memory()));
        // A name that was damaged is the name of a file that is missing, and said to be listed.
        let words = ["lists/train.txt", "out of the list", "JPEGImages/", "Annotations/", "SegmentationClass/"];
        let word = words.into_iter().find(|word| ended.said.contains(word)).unwrap_or(words[0]);
        tally.add(&mutant, BAD_DATA, ended.code, &ended.said, word);
    }
    tally.show(Kind::List);
}
