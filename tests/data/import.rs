//! Lists in every form; and a corpus of bad files, all named by one error.

use std::path::Path;

use tempfile::TempDir;

use artifact::{ClassId, Error};
use data::{
    codec::{Mask, decode_mask, encode_jpeg, encode_mask, encode_png},
    import::{self, Imported, Record, Source, Unknown},
};

use crate::codec::gradient;

/// A data set of 8 x 8 pictures in a temporary directory.
pub(crate) struct Fixture {
    directory: TempDir,
    pub(crate) source: Source,
}

impl Fixture {
    pub(crate) fn new(ids: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let splits = [("train".to_owned(), "train.txt".to_owned())].into();
        let source =
            Source::voc(directory.path().to_owned(), ["cat", "dog", "sheep"].map(String::from).to_vec(), splits);
        let source = Source { masks: Some("SegmentationClass".into()), ..source };
        let this = Self { directory, source };
        for id in ids {
            this.write(&format!("JPEGImages/{id}.jpg"), &encode_jpeg(&gradient(8, 8), 90));
            this.write(&format!("Annotations/{id}.xml"), annotation(&["dog"]).as_bytes());
            this.mask(&format!("SegmentationClass/{id}.png"), 8, 2);
        }
        this.write("train.txt", ids.join("\n").as_bytes());
        this
    }

    pub(crate) fn write(&self, file: &str, bytes: &[u8]) {
        let path = self.directory.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn mask(&self, file: &str, side: usize, class: u8) {
        self.write(file, &encode_mask(&Mask { height: side, width: side, classes: vec![class; side * side] }));
    }

    pub(crate) fn remove(&self, file: &str) {
        std::fs::remove_file(self.directory.path().join(file)).unwrap();
    }

    pub(crate) fn read(&self) -> artifact::Result<Vec<Record>> {
        self.import().map(|imported| imported.records)
    }

    pub(crate) fn import(&self) -> artifact::Result<Imported> {
        import::read(&self.source, &|_, _| {})
    }

    /// The lines of the one error.
    pub(crate) fn faults(&self) -> Vec<String> {
        match self.read() {
            Err(Error::Data(text)) => text.lines().skip(1).map(|line| line.trim().to_owned()).collect(),
            Err(other) => panic!("another kind of error: {other}"),
            Ok(_) => panic!("accepted"),
        }
    }
}

pub(crate) fn annotation(names: &[&str]) -> String {
    let objects: String = names.iter().flat_map(|name| ["<object><name>", name, "</name></object>"]).collect();
    format!("<annotation>{objects}</annotation>")
}

pub(crate) fn ids(records: &[Record]) -> Vec<&str> {
    records.iter().map(|r| r.image_id.as_str()).collect()
}

#[test]
fn every_fault_is_named_at_once() {
    let names = "bad_xml cut empty_file grown_mask high_index no_image no_xml not_a_picture ok rgb_mask typo unnamed";
    let names: Vec<_> = names.split(' ').collect();
    let f = Fixture::new(&names);
    f.write("Annotations/bad_xml.xml", b"<annotation><object></annotation>");
    f.write("JPEGImages/cut.jpg", &encode_jpeg(&gradient(8, 8), 90)[..400]);
    f.write("JPEGImages/empty_file.jpg", b"");
    f.mask("SegmentationClass/grown_mask.png", 9, 1);
    f.mask("SegmentationClass/high_index.png", 8, 4);
    f.remove("JPEGImages/no_image.jpg");
    f.remove("Annotations/no_xml.xml");
    f.write("JPEGImages/not_a_picture.jpg", b"<html>404</html>");
    f.write("SegmentationClass/rgb_mask.png", &encode_png(&gradient(8, 8)));
    f.write("Annotations/typo.xml", annotation(&["dgo", "zeppelin"]).as_bytes());
    f.write("Annotations/unnamed.xml", b"<annotation><object/></annotation>");
    let list = names.join("\n") + "\nok\n../../etc/passwd\n/JPEGImages/../../x.jpg /m.png\na b c\nok2 -1\n";
    f.write("train.txt", list.as_bytes());
    let mut f = f;
    f.source.splits.insert("none".into(), "none.txt".into());
    f.source.splits.insert("blank".into(), "blank.txt".into());
    f.write("blank.txt", b"\r\n\n");

    let faults = f.faults();
    let expected = [
        ("Annotations/bad_xml.xml", "malformed XML"),
        ("Annotations/no_xml.xml", "missing"),
        ("Annotations/typo.xml", "did you mean 'dog'?"),
        ("Annotations/typo.xml", "unknown class 'zeppelin'; add it"),
        ("Annotations/unnamed.xml", "without a <name>"),
        ("JPEGImages/cut.jpg", "truncated JPEG"),
        ("JPEGImages/empty_file.jpg", "empty"),
        ("JPEGImages/not_a_picture.jpg", "neither a JPEG nor a PNG"),
        ("SegmentationClass/grown_mask.png", "9 x 9 pixels, its image 8 x 8"),
        ("SegmentationClass/high_index.png", "index 4, but only 3 classes"),
        ("SegmentationClass/rgb_mask.png", "which VOC's colour map does not know"),
        ("blank.txt", "empty list"),
        ("none.txt", "missing"),
        ("train.txt:13", "'ok' stands already at line 9"),
        ("train.txt:14", "no path inside the data set"),
        ("train.txt:15", "no path inside the data set"),
        ("train.txt:16", "no picture is called 'a b c'"),
        ("train.txt:17", "a list of one class"),
        ("train.txt:6", "no picture is called 'no_image': missing"),
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, (file, reason)) in faults.iter().zip(expected) {
        assert!(fault.starts_with(&format!("{file}: ")) && fault.contains(reason), "{fault} | {file}: {reason}");
    }
}

#[test]
fn fifty_faults_are_shown_and_the_rest_counted() {
    let f = Fixture::new(&["a"]);
    let list: Vec<String> = (0..80).map(|i| format!("missing_{i:02}")).collect();
    f.write("train.txt", list.join("\n").as_bytes());
    let text = f.read().unwrap_err().to_string();
    assert!(text.starts_with("80 faults"), "{text}");
    assert_eq!(text.lines().count(), 52);
    assert!(text.ends_with("… and 30 more"));
}

#[test]
fn lists_of_ids_and_of_paths() {
    let mut f = Fixture::new(&["2007_000032", "2007_000033", "2007_000039"]);
    f.mask("Aug/2007_000033.png", 8, 3);
    f.write("train.txt", b"\xef\xbb\xbf2007_000039\r\n\r\n  2007_000033  \r\n");
    f.write("aug.txt", b"/JPEGImages/2007_000033.jpg /Aug/2007_000033.png\nJPEGImages/2007_000032.jpg\n");
    f.source.splits.insert("train_aug".into(), "aug.txt".into());
    let records = f.read().unwrap();
    assert_eq!(ids(&records), ["2007_000032", "2007_000033", "2007_000039"]);
    assert_eq!(records[1].splits, ["train", "train_aug"]);
    let class = |r: &Record| decode_mask(r.mask.as_ref().unwrap()).unwrap().classes[0];
    assert_eq!(records.iter().map(class).collect::<Vec<_>>(), [2, 3, 2], "a named mask comes before the directory's");
    assert_eq!((records[0].width, records[0].height), (8, 8));
    assert_eq!(records[0].image, encode_jpeg(&gradient(8, 8), 90), "the image is kept as found");
}

#[test]
fn two_lists_may_not_name_two_masks() {
    let mut f = Fixture::new(&["a"]);
    f.write("train.txt", b"/JPEGImages/a.jpg /SegmentationClass/a.png\n");
    f.write("other.txt", b"/JPEGImages/a.jpg /Aug/a.png\n");
    f.source.splits.insert("other".into(), "other.txt".into());
    let faults = f.faults();
    assert!(faults.iter().any(|fault| fault.starts_with("train.txt:1: 'a' has the file")), "{faults:?}");
}

#[test]
fn a_mask_may_be_missing_unless_a_list_names_it() {
    let f = Fixture::new(&["a"]);
    f.write("JPEGImages/b.jpg", &encode_jpeg(&gradient(8, 8), 90));
    f.mask("SegmentationClass/b.png", 8, 1);
    f.remove("SegmentationClass/a.png");
    assert_eq!(f.read().unwrap()[0].mask, None);
    f.write("train.txt", b"/JPEGImages/a.jpg /SegmentationClass/a.png");
    assert!(f.faults()[0].starts_with("SegmentationClass/a.png: missing"));
}

#[test]
fn labels_are_the_names_of_objects() {
    let f = Fixture::new(&["a", "b"]);
    let parts = "<annotation><object><part><name>head</name></part><name> sheep </name><difficult>1</difficult>\
                 </object>\
                 <object><name>cat</name></object><object><name>cat</name></object></annotation>";
    f.write("Annotations/a.xml", parts.as_bytes());
    f.write("Annotations/b.xml", b"<annotation/>");
    let records = f.read().unwrap();
    assert_eq!(records[0].labels, [ClassId(1), ClassId(3)]);
    assert_eq!(records[1].labels, []);
}

#[test]
fn a_subset_of_the_classes_renumbers_the_masks() {
    let mut f = Fixture::new(&["a", "b"]);
    f.write("Annotations/a.xml", annotation(&["cat", "sheep"]).as_bytes());
    f.mask("SegmentationClass/a.png", 8, 3);
    f.mask("SegmentationClass/b.png", 8, 255);
    f.source.classes = vec!["sheep".into()];
    f.source.unknown_classes = Unknown::Ignore;
    assert!(f.faults()[0].starts_with("mask_classes:"), "numbers of masks are never guessed");
    f.source.mask_classes = Some(["cat", "dog", "sheep"].map(String::from).to_vec());
    let records = f.read().unwrap();
    assert_eq!((&records[0].labels[..], &records[1].labels[..]), (&[ClassId(1)][..], &[][..]));
    assert_eq!(decode_mask(records[0].mask.as_ref().unwrap()).unwrap().classes, [1; 64]);
    assert_eq!(decode_mask(records[1].mask.as_ref().unwrap()).unwrap().classes, [255; 64]);
}

#[test]
fn a_test_split_needs_no_annotations() {
    let mut f = Fixture::new(&["a"]);
    f.remove("Annotations/a.xml");
    assert_eq!(f.faults().len(), 1);
    f.source.unlabelled = vec!["train".into()];
    assert_eq!(f.read().unwrap()[0].labels, []);
}

#[test]
fn a_wrong_source_is_told_before_any_file() {
    let mut f = Fixture::new(&["a"]);
    f.source.classes.push("cat".into());
    assert!(f.faults()[0].contains("'cat' is listed twice"), "{:?}", f.faults());
    f.source.classes.pop();
    f.source.masks = Some("Masks".into());
    assert!(f.faults()[0].starts_with("Masks: no such directory"), "{:?}", f.faults());
    f.source.root = Path::new("/nowhere").to_owned();
    assert!(f.faults()[0].starts_with("/nowhere: no such directory"));
}
