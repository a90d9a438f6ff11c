//! Image-level labels out of `.npy` files, in place of annotations.

use std::path::PathBuf;

use artifact::ClassId;
use data::import::{Layout, Unknown, WithoutAnnotation};

use crate::import::Fixture;

const IDS: [&str; 3] = ["2007_000032", "2007_000039", "2007_000063"];

fn golden(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../tests/golden/labels", name].iter().collect()
}

/// Three pictures without annotations, in a list, and the labels of a file.
fn fixture(name: &str) -> Fixture {
    let mut f = Fixture::new(&IDS);
    for id in IDS {
        f.remove(&format!("Annotations/{id}.xml"));
    }
    f.source.masks = None;
    f.source.labels = Some(golden(name));
    f
}

fn labels(f: &Fixture) -> Vec<Vec<u8>> {
    f.read().unwrap().into_iter().map(|record| record.labels.iter().map(|class| class.0).collect()).collect()
}

fn one_fault(f: &Fixture, reason: &str) {
    let faults = f.faults();
    assert!(faults.len() == 1 && faults[0].contains(reason), "{faults:#?} | {reason}");
}

#[test]
fn names_and_numbers_of_every_kind() {
    let kinds = ["names_f4", "texts_f8", "int32_f4", "ints_i8", "files_bool", "names_u1_f2", "lists"];
    for file in kinds.iter().flat_map(|kind| [format!("{kind}_numpy1.npy"), format!("{kind}_numpy2.npy")]) {
        assert_eq!(labels(&fixture(&file)), [vec![1, 3], vec![2], vec![]], "{file}");
    }
}

#[test]
fn what_is_no_dict_of_labels_is_refused() {
    one_fault(&fixture("array_numpy2.npy"), "an array, but no dict of labels by image");
    one_fault(&fixture("plain_numpy2.npy"), "no .npy file");
    one_fault(&fixture("none.npy"), "cannot be read");
    one_fault(&fixture("big_endian_numpy2.npy"), "'2007_000032' has no array of numbers");
    let whole = std::fs::read(golden("names_f4_numpy2.npy")).unwrap();
    for length in 0..whole.len() {
        let mut f = fixture("");
        f.write("cut.npy", &whole[..length]);
        f.source.labels = Some(f.source.root.join("cut.npy"));
        assert_eq!(f.faults().len(), 1, "{length} bytes");
    }
}

#[test]
fn nothing_is_executed() {
    let mut f = fixture("");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }\n";
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header);
    bytes.extend(b"\x80\x03cposix\nsystem\nq\x00X\x0b\x00\x00\x00touch /oops\x85R.");
    f.write("bad.npy", &bytes);
    f.source.labels = Some(f.source.root.join("bad.npy"));
    one_fault(&f, "names posix.system");
}

#[test]
fn images_without_labels_are_background_if_that_is_said() {
    let mut f = fixture("names_f4_numpy2.npy");
    std::fs::rename(f.source.root.join("JPEGImages/2007_000032.jpg"), f.source.root.join("JPEGImages/new.jpg"))
        .unwrap();
    f.write("train.txt", b"new\n2007_000039\n");
    one_fault(&f, "it has no labels of 'new'");
    f.source.without_annotation = WithoutAnnotation::Background;
    let imported = f.import().unwrap();
    assert_eq!(imported.records[0].labels, [ClassId(2)]);
    assert_eq!(imported.records[1].labels, []);
    assert!(imported.notes.iter().any(|note| note.starts_with("1 images have no labels in ")), "{:?}", imported.notes);
}

#[test]
fn the_numbers_follow_the_classes() {
    let mut f = fixture("names_f4_numpy2.npy");
    f.source.mask_classes = Some(["cat", "dog", "sheep"].map(String::from).to_vec());
    f.source.classes = vec!["sheep".into(), "dog".into()];
    f.source.unknown_classes = Unknown::Ignore;
    assert_eq!(labels(&f), [vec![1], vec![2], vec![]]);
    f.source.mask_classes = None;
    let faults = f.faults();
    assert!(
        faults.len() == 3 && faults[0].contains("'2007_000032' has 3 numbers, but 2 classes are listed"),
        "{faults:?}"
    );
    f.source.layout = Layout::Folders;
    assert!(f.faults().iter().any(|fault| fault.starts_with("labels: only lists in VOC's layout")));
}
