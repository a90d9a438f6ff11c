//! Data sets as tools and people leave them: each is read as it is meant, or refused with what to do.

use artifact::ClassId;
use data::codec::{Mask, decode_image, decode_mask, encode_jpeg, encode_mask};
use data::import::{OrientationRule, WithoutAnnotation};

use crate::codec::{gradient, png};
use crate::import::{Fixture, annotation, ids};

/// The classes in the masks of the records, each once.
pub(crate) fn classes(f: &Fixture) -> Vec<Vec<u8>> {
    let of = |mask: &Option<Vec<u8>>| {
        let mut classes = decode_mask(mask.as_ref().expect("a mask")).unwrap().classes;
        classes.sort_unstable();
        classes.dedup();
        classes
    };
    f.read().unwrap().iter().map(|record| of(&record.mask)).collect()
}

/// Four images, two of a cat and two of a dog, with masks of half background.
pub(crate) fn animals() -> Fixture {
    let f = Fixture::new(&["c1", "c2", "d1", "d2"]);
    for (id, class) in [("c1", 1), ("c2", 1), ("d1", 2), ("d2", 2)] {
        f.write(&format!("Annotations/{id}.xml"), annotation(&[["cat", "dog"][class as usize - 1]]).as_bytes());
        f.write(&format!("SegmentationClass/{id}.png"), &half(class));
    }
    f
}

/// A mask of 8 x 8 pixels, the left half background.
pub(crate) fn half(class: u8) -> Vec<u8> {
    encode_mask(&Mask { height: 8, width: 8, classes: halves(0, class) })
}

pub(crate) fn halves(left: u8, right: u8) -> Vec<u8> {
    (0..64).map(|at| if at % 8 < 4 { left } else { right }).collect()
}

pub(crate) fn rgb(left: [u8; 3], right: [u8; 3]) -> Vec<u8> {
    let pixels: Vec<u8> = (0..64).flat_map(|at| if at % 8 < 4 { left } else { right }).collect();
    png(8, 8, png::ColorType::Rgb, png::BitDepth::Eight, &pixels)
}

fn moved(f: &Fixture, from: &str, to: &str) {
    let (from, to) = (f.source.root.join(from), f.source.root.join(to));
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::rename(from, to).unwrap();
}

#[test]
fn endings_in_any_case_and_in_the_list() {
    let f = Fixture::new(&["a", "b", "c", "d"]);
    for (from, to) in [("a", "a.JPG"), ("b", "b.JPEG"), ("c", "c.Jpg")] {
        moved(&f, &format!("JPEGImages/{from}.jpg"), &format!("JPEGImages/{to}"));
    }
    moved(&f, "SegmentationClass/a.png", "SegmentationClass/a.PNG");
    moved(&f, "Annotations/a.xml", "Annotations/a.XML");
    f.write("train.txt", b"a\nb\nc.JPG\nd.jpg\n");
    assert_eq!(ids(&f.read().unwrap()), ["a", "b", "c", "d"]);
    assert_eq!(classes(&f), [[2]; 4]);
}

#[test]
fn names_with_blanks_brackets_and_signs() {
    let names = ["IMG(2)", "a,b", "cat@2x", "frame+001", "img (1)", "my own photo", "video[0'6-0'7]_94", "100%"];
    let f = Fixture::new(&names);
    assert_eq!(ids(&f.read().unwrap()).len(), names.len());
    f.write("train.txt", b"JPEGImages/img (1).jpg SegmentationClass/my own photo.png\nmy own photo.jpg\n");
    let records = f.read().unwrap();
    assert_eq!(ids(&records), ["img (1)", "my own photo"]);
    f.write("train.txt", b"img\n");
    assert!(f.faults()[0].starts_with("train.txt:1: no picture is called 'img'"), "{:?}", f.faults());
}

#[test]
fn accents_in_two_forms_are_one_name() {
    let f = Fixture::new(&["cafe\u{301}", "x"]);
    // The list is composed, the file system is not, and the annotation is the other way round.
    f.write("train.txt", "caf\u{e9}\nx\n".as_bytes());
    moved(&f, "Annotations/cafe\u{301}.xml", "Annotations/caf\u{e9}.xml");
    let records = f.read().unwrap();
    assert_eq!(ids(&records), ["caf\u{e9}", "x"]);
    assert!(records.iter().all(|record| record.mask.is_some() && record.labels == [ClassId(2)]));
}

#[test]
fn two_files_of_one_name_are_told_apart_by_their_endings() {
    let f = Fixture::new(&["a"]);
    f.write("JPEGImages/a.png", &data::codec::encode_png(&gradient(8, 8)));
    assert!(f.faults()[0].contains("'a' can mean JPEGImages/a.jpg and JPEGImages/a.png"), "{:?}", f.faults());
    f.write("train.txt", b"a.png");
    assert!(f.read().unwrap()[0].image.starts_with(b"\x89PNG"));
}

#[test]
fn backslashes_and_paths_of_another_machine() {
    let f = Fixture::new(&["a", "b"]);
    f.write("train.txt", b"JPEGImages\\a.jpg SegmentationClass\\a.png\r\nJPEGImages\\b.jpg SegmentationClass\\b.png");
    assert_eq!(ids(&f.read().unwrap()), ["a", "b"]);
    f.write("train.txt", b"/data/mine/voc/JPEGImages/a.jpg\nC:\\mine\\JPEGImages\\b.jpg\n");
    let imported = f.import().unwrap();
    assert_eq!(ids(&imported.records), ["a", "b"]);
    assert!(imported.notes[0].contains("train.txt: 1 absolute paths"), "{:?}", imported.notes);
    f.write("train.txt", format!("{}/JPEGImages/a.jpg", f.source.root.display()).as_bytes());
    assert_eq!(ids(&f.read().unwrap()), ["a"]);
    f.write("train.txt", b"/data/mine/elsewhere/a.jpg\n");
    assert!(f.faults()[0].contains("missing"), "a name alone is no path: {:?}", f.faults());
}

#[test]
fn a_root_one_level_off() {
    let mut f = Fixture::new(&["a"]);
    let root = f.source.root.clone();
    for folder in ["JPEGImages", "Annotations", "SegmentationClass", "train.txt"] {
        moved(&f, folder, &format!("VOCdevkit/VOC2012/{folder}"));
    }
    for above in ["", "VOCdevkit"] {
        f.source.root = root.join(above);
        let imported = f.import().unwrap();
        assert_eq!(ids(&imported.records), ["a"]);
        assert!(imported.notes[0].contains("VOCdevkit/VOC2012"), "{:?}", imported.notes);
    }
    f.source.root = root.join("VOCdevkit/VOC2012/JPEGImages");
    let told = format!("one level up; give root = \"{}\"", root.join("VOCdevkit/VOC2012").display());
    assert!(f.faults()[0].contains(&told), "{:?}", f.faults());
}

#[test]
fn a_missing_list_is_told_with_those_that_are_there() {
    let f = Fixture::new(&["a"]);
    moved(&f, "train.txt", "default.txt");
    f.write("val.txt", b"a");
    assert_eq!(
        f.faults(),
        ["train.txt: missing; beside it there is default.txt, val.txt: name it in splits, or make this list"]
    );
}

#[test]
fn annotations_in_the_encodings_of_tools() {
    let f = Fixture::new(&["a", "b", "c", "d", "e", "f"]);
    let xml = |encoding: &str| {
        format!(
            "<?xml version=\"1.0\" encoding='{encoding}'?><annotation><source>\u{e9}</source><object><name>cat</name>\
             </object></annotation>"
        )
    };
    let utf16 = |order: fn(u16) -> [u8; 2]| xml("UTF-16").encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let latin: Vec<u8> = xml("ISO-8859-1").chars().map(|c| c as u8).collect();
    let undeclared = latin.iter().copied().skip_while(|byte| *byte != b'>').skip(1).collect();
    let gb2312 = xml("gb2312").replace('\u{e9}', "@").into_bytes();
    let gb2312 = gb2312.into_iter().flat_map(|byte| if byte == b'@' { vec![0xd5, 0xd5] } else { vec![byte] });
    for (id, bytes) in [
        ("a", latin),
        ("b", gb2312.collect()),
        ("c", utf16(u16::to_le_bytes)),
        ("d", utf16(u16::to_be_bytes)),
        ("e", ["\u{feff}", &xml("UTF-8")].concat().into_bytes()),
        ("f", undeclared),
    ] {
        f.write(&format!("Annotations/{id}.xml"), &bytes);
        f.mask(&format!("SegmentationClass/{id}.png"), 8, 1);
    }
    assert!(f.read().unwrap().iter().all(|record| record.labels == [ClassId(1)]));
}

#[test]
fn a_class_name_is_never_guessed() {
    let mut f = Fixture::new(&["a"]);
    f.source.classes = vec!["caf\u{e9}".into()];
    f.mask("SegmentationClass/a.png", 8, 1);
    let xml = b"<annotation><object><name>caf\xe9</name></object></annotation>";
    f.write("Annotations/a.xml", xml);
    assert!(f.faults()[0].contains("name its encoding in its first line"), "{:?}", f.faults());
    f.write("Annotations/a.xml", &[&b"<?xml version=\"1.0\" encoding=\"latin1\"?>"[..], xml].concat());
    assert_eq!(f.read().unwrap()[0].labels, [ClassId(1)]);
}

#[test]
fn lists_in_utf_16() {
    let f = Fixture::new(&["a", "b"]);
    let text: Vec<u8> = "\u{feff}a\r\nb\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    f.write("train.txt", &text);
    assert_eq!(ids(&f.read().unwrap()), ["a", "b"]);
}

#[test]
fn images_without_annotation_are_background_if_that_is_said() {
    let mut f = animals();
    f.remove("Annotations/c1.xml");
    f.write("Annotations/c2.xml", b" \n");
    f.write("SegmentationClass/c1.png", &half(0));
    f.write("SegmentationClass/c2.png", &half(0));
    let faults = f.faults();
    assert!(faults[0].contains("without_annotation = \"background\""), "{faults:?}");
    f.source.without_annotation = WithoutAnnotation::Background;
    let imported = f.import().unwrap();
    assert!(imported.records[..2].iter().all(|record| record.labels.is_empty()));
    assert!(imported.notes[0].starts_with("2 images have no annotation"), "{:?}", imported.notes);
}

/// A JPEG of 8 x 4 pixels with this orientation tag.
fn tagged(value: u8) -> Vec<u8> {
    let exif = [&b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..], &[value], &[0; 6]].concat();
    let jpeg = encode_jpeg(&gradient(4, 8), 90);
    [&jpeg[..2], &[0xff, 0xe1, 0, exif.len() as u8 + 2], &exif, &jpeg[2..]].concat()
}

#[test]
fn an_orientation_tag_turns_the_picture_and_a_mask_that_is_as_stored() {
    let mut f = Fixture::new(&["a", "b"]);
    f.write("JPEGImages/a.jpg", &tagged(6));
    f.write("JPEGImages/b.jpg", &tagged(3));
    let (stored, upright) = (
        Mask { height: 4, width: 8, classes: (0..32).map(|at| if at < 8 { 2 } else { 0 }).collect() },
        Mask { height: 8, width: 4, classes: (0..32).map(|at| if at % 4 == 3 { 2 } else { 0 }).collect() },
    );
    let half_turn = Mask { classes: stored.classes.iter().rev().copied().collect(), ..stored.clone() };
    let masks = |f: &Fixture| {
        let records = f.read().unwrap();
        [0, 1].map(|at| decode_mask(records[at].mask.as_ref().unwrap()).unwrap())
    };
    // The mask of a quarter turn tells how the other is meant.
    f.write("SegmentationClass/a.png", &encode_mask(&upright));
    f.write("SegmentationClass/b.png", &encode_mask(&half_turn));
    assert_eq!(masks(&f), [upright.clone(), half_turn.clone()]);
    f.write("SegmentationClass/a.png", &encode_mask(&stored));
    f.write("SegmentationClass/b.png", &encode_mask(&stored));
    assert_eq!(masks(&f), [upright.clone(), half_turn]);
    let imported = f.import().unwrap();
    assert!(imported.notes[0].starts_with("2 pictures carry an orientation tag"), "{:?}", imported.notes);
    let record = &imported.records[0];
    assert_eq!((record.height, record.width), (8, 4));
    let picture = decode_image(&record.image).unwrap();
    assert_eq!((picture.height, picture.width), (8, 4), "every decoder turns it");

    f.source.orientation = OrientationRule::Stored;
    assert_eq!(masks(&f), [stored.clone(), stored.clone()]);
    let record = &f.read().unwrap()[0];
    assert_eq!((record.height, record.width), (4, 8));
    assert_eq!(decode_image(&record.image).unwrap(), decode_image(&tagged(1)).unwrap());

    // With nothing to tell, a mask is as people draw it: upright.
    f.source.orientation = OrientationRule::Upright;
    f.write("train.txt", b"b");
    let imported = f.import().unwrap();
    assert_eq!(decode_mask(imported.records[0].mask.as_ref().unwrap()).unwrap(), stored);
    assert!(imported.notes[0].contains("which nothing confirms"), "{:?}", imported.notes);
}

#[test]
fn folders_of_pictures_with_their_annotations_as_roboflow_exports_them() {
    let mut f = Fixture::new(&[]);
    for (folder, id) in [("train", "x_jpg.rf.06d5"), ("train", "y_jpg.rf.06d5"), ("valid", "z_jpg.rf.06d5")] {
        f.write(&format!("{folder}/{id}.jpg"), &encode_jpeg(&gradient(8, 8), 90));
        f.write(&format!("{folder}/{id}.xml"), annotation(&["cat"]).as_bytes());
    }
    f.source.masks = None;
    f.source.splits = [("train", "train"), ("val", "valid")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    let imported = f.import().unwrap();
    assert_eq!(ids(&imported.records), ["x_jpg.rf.06d5", "y_jpg.rf.06d5", "z_jpg.rf.06d5"]);
    assert!(imported.records.iter().all(|record| record.labels == [ClassId(1)]));
    let said = "no image of train has a mask, so nothing can be scored on train";
    assert_eq!(imported.notes, [said, &said.replace("train", "val")]);
}

#[test]
fn long_pictures_are_made_shorter_with_their_masks() {
    let mut f = Fixture::new(&["a", "b"]);
    f.write("JPEGImages/b.jpg", &encode_jpeg(&gradient(10, 20), 90));
    f.write("SegmentationClass/b.png", &encode_mask(&Mask { height: 10, width: 20, classes: vec![2; 200] }));
    f.source.max_side = 10;
    let imported = f.import().unwrap();
    let sizes: Vec<_> = imported.records.iter().map(|record| (record.height, record.width)).collect();
    assert_eq!(sizes, [(8, 8), (5, 10)]);
    assert!(imported.notes[0].starts_with("1 pictures are made 10 pixels long"), "{:?}", imported.notes);
    let record = &imported.records[1];
    let (picture, mask) = (decode_image(&record.image).unwrap(), decode_mask(record.mask.as_ref().unwrap()).unwrap());
    assert_eq!((picture.height, picture.width, mask.height, mask.width), (5, 10, 5, 10));
}
