//! Masks as tools leave them, and masks that contradict the labels.

use data::codec::{Paint, decode_painted, encode_jpeg, voc_colour};
use data::import::MaskCheck;

use crate::cases::{animals, classes, half, halves, rgb};
use crate::codec::{gradient, png};
use crate::import::annotation;

#[test]
fn masks_in_colours() {
    let mut f = animals();
    for (id, class) in [("c1", 1), ("c2", 1), ("d1", 2), ("d2", 2)] {
        f.write(&format!("SegmentationClass/{id}.png"), &rgb(voc_colour(class), voc_colour(255)));
    }
    assert_eq!(classes(&f), [[1, 255], [1, 255], [2, 255], [2, 255]]);
    f.write("SegmentationClass/c1.png", &rgb([0; 3], [7, 8, 9]));
    let told = "SegmentationClass/c1.png: 32 pixels have the colour 7, 8, 9, which VOC's colour map does not know";
    assert!(f.faults()[0].starts_with(told), "{:?}", f.faults());
    f.source.mask_colours =
        [("cat", [7, 8, 9]), ("dog", [1, 1, 1]), ("background", [0; 3]), ("void", [255; 3])].map(named).into();
    for (id, colour) in [("c1", [7, 8, 9]), ("c2", [7, 8, 9]), ("d1", [1; 3]), ("d2", [1; 3])] {
        f.write(&format!("SegmentationClass/{id}.png"), &rgb([255; 3], colour));
    }
    assert_eq!(classes(&f), [[1, 255], [1, 255], [2, 255], [2, 255]]);
}

fn named((name, colour): (&str, [u8; 3])) -> (String, [u8; 3]) {
    (name.to_owned(), colour)
}

#[test]
fn the_colour_map_that_cvat_writes() {
    let f = animals();
    f.write("labelmap.txt", b"# label:color_rgb:parts:actions\nbackground:0,0,0::\ndog:250,50,83::\ncat:1,2,3::\n");
    for (id, colour) in [("c1", [1, 2, 3]), ("c2", [1, 2, 3]), ("d1", [250, 50, 83]), ("d2", [250, 50, 83])] {
        f.write(&format!("SegmentationClass/{id}.png"), &rgb([0; 3], colour));
    }
    assert_eq!(classes(&f), [[0, 1], [0, 1], [0, 2], [0, 2]]);
    f.write("labelmap.txt", b"cat:1,2\n");
    assert!(f.faults()[0].starts_with("labelmap.txt:1: no colour"), "{:?}", f.faults());
}

/// A palette PNG whose palette is in another order, with VOC's colours.
fn reordered(class: u8) -> Vec<u8> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, 8, 8);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette([voc_colour(class), voc_colour(0)].concat());
    encoder.write_header().unwrap().write_image_data(&halves(1, 0)).unwrap();
    bytes
}

#[test]
fn a_palette_that_a_converter_reordered() {
    let f = animals();
    for (id, class) in [("c1", 1), ("c2", 1), ("d1", 2), ("d2", 2)] {
        f.write(&format!("SegmentationClass/{id}.png"), &reordered(class));
    }
    assert_eq!(classes(&f), [[0, 1], [0, 1], [0, 2], [0, 2]]);
    let note = &f.import().unwrap().notes[0];
    assert!(note.contains("read by colour") && note.contains("labels of 4 images"), "{note}");
    assert_eq!(decode_painted(&reordered(1)).unwrap().paint, Paint::Palette);
}

#[test]
fn one_class_in_black_and_white_and_in_one_bit() {
    let mut f = animals();
    f.source.classes = vec!["animal".into()];
    for id in ["c1", "c2", "d1", "d2"] {
        f.write(&format!("Annotations/{id}.xml"), annotation(&["animal"]).as_bytes());
        let grey = png(8, 8, png::ColorType::Grayscale, png::BitDepth::Eight, &halves(0, 255));
        f.write(&format!("SegmentationClass/{id}.png"), &grey);
    }
    assert_eq!(classes(&f), [[0, 1]; 4]);
    assert!(f.import().unwrap().notes[0].contains("white is read as 'animal'"));
    for id in ["c1", "c2", "d1", "d2"] {
        let bit = png(8, 8, png::ColorType::Grayscale, png::BitDepth::One, &[0x0f; 8]);
        f.write(&format!("SegmentationClass/{id}.png"), &bit);
    }
    assert_eq!(classes(&f), [[0, 1]; 4]);
    for id in ["c1", "c2", "d1", "d2"] {
        f.write(&format!("SegmentationClass/{id}.png"), &rgb([0; 3], [255; 3]));
    }
    assert_eq!(classes(&f), [[0, 1]; 4]);
}

#[test]
fn masks_that_hold_no_class_are_refused() {
    let f = animals();
    for id in ["c1", "c2", "d1", "d2"] {
        let grey = png(8, 8, png::ColorType::Grayscale, png::BitDepth::Eight, &halves(0, 255));
        f.write(&format!("SegmentationClass/{id}.png"), &grey);
    }
    let fault = &f.faults()[0];
    assert!(fault.contains("disagree in 4 of 4 images") && fault.contains("cat 2 / 0 / 0"), "{fault}");
    assert!(fault.contains("mask_colours.cat = [255, 255, 255]"), "{fault}");
}

#[test]
fn masks_in_another_order_of_classes_are_refused_with_that_order() {
    let mut f = animals();
    f.source.classes = vec!["dog".into(), "cat".into()];
    let fault = f.faults().remove(0);
    assert!(fault.contains("mask_classes = [\"cat\", \"dog\"]"), "{fault}");
    f.source.mask_classes = Some(vec!["cat".into(), "dog".into()]);
    assert_eq!(classes(&f), [[0, 2], [0, 2], [0, 1], [0, 1]]);
    f.source.mask_classes = None;
    f.source.mask_check = MaskCheck::Warn;
    let imported = f.import().unwrap();
    assert!(imported.notes[0].contains("dog 2 / 2 / 0"), "{:?}", imported.notes);
}

#[test]
fn background_is_no_class() {
    let mut f = animals();
    f.source.classes.insert(0, "Background".into());
    assert!(f.faults()[0].starts_with("classes: 'Background' is no class of objects"), "{:?}", f.faults());
}

#[test]
fn an_object_that_few_masks_leave_out_is_no_fault() {
    let f = animals();
    f.write("SegmentationClass/c1.png", &half(255));
    assert_eq!(f.import().unwrap().notes, Vec::<String>::new());
}

#[test]
fn masks_that_are_missing_are_all_named() {
    let f = animals();
    f.remove("SegmentationClass/c2.png");
    f.remove("SegmentationClass/d1.png");
    assert_eq!(f.import().unwrap().notes, ["2 of the 4 images of train have no mask and are not scored: c2, d1"]);
}

#[test]
fn images_that_nobody_labelled_are_not_compared() {
    let mut f = animals();
    f.write("test.txt", b"t1\nt2\nt3\n");
    for id in ["t1", "t2", "t3"] {
        f.write(&format!("JPEGImages/{id}.jpg"), &encode_jpeg(&gradient(8, 8), 90));
        f.write(&format!("SegmentationClass/{id}.png"), &half(3));
    }
    f.source.splits.insert("test".into(), "test.txt".into());
    f.source.unlabelled = vec!["test".into()];
    let imported = f.import().unwrap();
    assert_eq!(imported.notes, Vec::<String>::new());
    assert!(imported.records[4..].iter().all(|record| record.labels.is_empty() && record.mask.is_some()));
}

#[test]
fn masks_that_are_called_otherwise_are_not_taken_for_none() {
    let f = animals();
    for id in ["c1", "c2", "d1", "d2"] {
        f.remove(&format!("SegmentationClass/{id}.png"));
        f.write(&format!("SegmentationClass/{id}_mask.png"), &half(1));
    }
    let fault = "SegmentationClass: no file here is the mask of an image; it holds 4 files, such as c1_mask.png";
    assert!(f.faults()[0].starts_with(fault), "{:?}", f.faults());
}
