//! Legal input that nobody thinks of, and illegal input that somebody will try, at the door: `prepare-data`.

use artifact::table::{DatasetRow, MaskRow};
use artifact::{Artifact, Row, Store};
use data::codec::{as_stored, decode_image, decode_mask, encode_jpeg, encode_mask, encode_png};

use crate::run::{Ended, healthy};
use crate::samples::{self, SIZE, mask, picture};
use crate::voc::Voc;

pub fn foreign(name: &str) -> Vec<u8> {
    samples::file(&format!("tests/corpus/pictures/{name}"))
}

fn prepare(voc: &Voc, sets: &[&str]) -> Ended {
    healthy(&mut voc.stage("prepare-data", sets)).1
}

/// What is committed, which must work.
fn rows(voc: &Voc, sets: &[&str]) -> Vec<DatasetRow> {
    rows_of(voc, sets)
}

fn rows_of<R: Row>(voc: &Voc, sets: &[&str]) -> Vec<R> {
    let ended = prepare(voc, sets);
    assert_eq!(ended.code, 0, "{}", ended.said);
    let latest: Artifact =
        Store::open(&voc.store()).expect("a store").latest("prepare-data", None).expect("readable").expect("committed");
    latest.rows::<R>(&[]).expect("its table").collect::<Result<_, _>>().expect("its rows")
}

/// Refused as bad data, with each of `words`.
fn refused(voc: &Voc, words: &[&str]) {
    let ended = prepare(voc, &[]);
    assert_eq!(ended.code, 65, "{}", ended.said);
    for word in words {
        assert!(ended.said.contains(word), "'{word}' is not in: {}", ended.said);
    }
}

#[test]
fn pictures_of_every_kind_and_size() {
    let mut voc = Voc::new(0);
    let kinds = ["grey.jpg", "cmyk.jpg", "progressive.jpg", "restart_exif.jpg", "grey16.png", "alpha.png"];
    // Its tag says that a viewer turns it by a quarter.
    let size = |name: &str| if name == "restart_exif.jpg" { [SIZE[1], SIZE[0]] } else { SIZE };
    let mut pictures: Vec<_> = kinds.iter().map(|name| (foreign(name), size(name))).collect();
    for size in [[1, 1], [1, 4000], [4000, 1]] {
        pictures.extend([(encode_jpeg(&picture(size), 80), size), (encode_png(&picture(size)), size)]);
    }
    let ids: Vec<_> = (0..pictures.len()).map(|number| format!("odd_{number:02}")).collect();
    for (id, (bytes, size)) in ids.iter().zip(&pictures) {
        voc.image(id, bytes, &["cat"]);
        voc.mask(id, &encode_mask(&mask(*size, &[0, 1])));
    }
    voc.list("train", &ids);
    let rows = rows(&voc, &[]);
    assert_eq!(rows.len(), pictures.len());
    for (row, (bytes, [height, width])) in rows.iter().zip(&pictures) {
        assert_eq!((row.height as usize, row.width as usize), (*height, *width), "{}", row.image_id);
        assert_eq!(row.image, *bytes, "kept as found");
    }
}

#[test]
fn foreign_pictures_have_the_colours_that_others_see() {
    // pictures.py: what Pillow was given.
    let given = |x: usize, y: usize| [(x * 6) as u8, (y * 10) as u8, (x * y % 251) as u8];
    for (name, most) in [("cmyk.jpg", 12.0), ("progressive.jpg", 12.0), ("restart_exif.jpg", 12.0), ("alpha.png", 0.0)]
    {
        let rgb = decode_image(&as_stored(&foreign(name))).expect("whole");
        let pixels = rgb.pixels.as_chunks::<3>().0.iter().enumerate();
        let apart = pixels.flat_map(|(i, pixel)| {
            let given = given(i % rgb.width, i / rgb.width);
            [0, 1, 2].map(|channel| f64::from(pixel[channel].abs_diff(given[channel])))
        });
        let mean = apart.sum::<f64>() / rgb.pixels.len() as f64;
        assert!(mean <= most, "{name}: {mean} apart");
    }
    assert!(decode_image(&foreign("grey16.png")).expect("whole").pixels.iter().all(|v| *v == 0x80));
}

#[test]
fn a_picture_is_turned_as_its_orientation_tag_says() {
    let mut voc = Voc::new(0);
    voc.image("turned", &foreign("restart_exif.jpg"), &["cat"]);
    voc.list("train", &["turned"]);
    voc.mask("turned", &encode_mask(&mask([SIZE[1], SIZE[0]], &[0, 1])));
    assert_eq!(rows(&voc, &[])[0].width as usize, SIZE[0]);
    voc.mask("turned", &encode_mask(&mask(SIZE, &[0, 1])));
    assert_eq!(rows(&voc, &[])[0].width as usize, SIZE[0]);
    assert_eq!(rows(&voc, &["data.orientation=stored"])[0].width as usize, SIZE[1]);
    voc.mask("turned", &encode_mask(&mask([SIZE[0], SIZE[1] + 1], &[0, 1])));
    refused(&voc, &["SegmentationClass/turned.png", "41 x 24", "its image 24 x 40"]);
}

#[test]
fn masks_that_are_none() {
    for (bytes, words) in [
        (encode_png(&picture(SIZE)), ["have the colour", "mask_colours"]),
        (foreign("alpha.png"), ["256 colours", "the photograph"]),
        (foreign("grey16.png"), ["16 bits", "8-bit palette PNG"]),
        (encode_jpeg(&picture(SIZE), 90), ["no whole PNG", "fetch the file again"]),
        (encode_mask(&mask(SIZE, &[0, 4])), ["index 4", "only 3 classes"]),
        (encode_mask(&mask(SIZE, &[254])), ["index 254", "only 3 classes"]),
        (encode_mask(&mask([SIZE[0], SIZE[1] + 1], &[0])), ["41 x 24", "its image 40 x 24"]),
        (vec![], ["no whole PNG", "fetch the file again"]),
    ] {
        let voc = Voc::new(2);
        voc.mask("whole_1", &bytes);
        refused(&voc, &["1 fault", "SegmentationClass/whole_1.png", words[0], words[1]]);
    }
}

#[test]
fn masks_that_are_some() {
    let voc = Voc::new(4);
    voc.mask("whole_0", &foreign("four_bit_mask.png"));
    voc.mask("whole_1", &foreign("interlaced_mask.png"));
    voc.mask("whole_2", &encode_mask(&mask(SIZE, &[255])));
    let masks: Vec<MaskRow> = rows_of(&voc, &[]);
    let classes = |row: &MaskRow| decode_mask(&row.mask).expect("whole").classes;
    assert_eq!(classes(&masks[0]), mask(SIZE, &[0, 1, 2, 3]).classes);
    assert_eq!(classes(&masks[1]), mask(SIZE, &[0, 2, 255]).classes);
}

#[test]
fn lists_from_any_editor() {
    let mut voc = Voc::new(4);
    voc.list_bytes("train", b"\xef\xbb\xbfwhole_2\r\n\r\n  whole_0\t\r\n");
    voc.list_bytes("val", b"whole_1");
    let ids: Vec<_> = rows(&voc, &[]).iter().map(|row| row.image_id.to_string()).collect();
    assert_eq!(ids, ["whole_0", "whole_1", "whole_2"]);
}

#[test]
fn lists_that_are_refused() {
    let utf16: Vec<u8> = "\u{feff}whole_0\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (list, words) in [
        (&b""[..], ["an empty list", "one image id a line"]),
        (b"\xef\xbb\xbf\r\n \r\n", ["an empty list", "one image id a line"]),
        (b"whole_0\nwhole_1\nwhole_0\n", ["train.txt:3", "'whole_0' stands already at line 1"]),
        (b"whole_0\n/JPEGImages/whole_0.jpg\n", ["train.txt:2", "'whole_0' stands already at line 1"]),
        (&utf16[..9], ["not UTF-8 or UTF-16 text", "list of image ids"]),
        (b"caf\xe9\n", ["not UTF-8 or UTF-16 text", "list of image ids"]),
        (b"my photo\n", ["train.txt:1: no picture is called 'my photo'", "'IMAGE MASK'"]),
        (b"../whole_0\n", ["train.txt:1", "without '..'"]),
        (b"absent\n", ["train.txt:1: no picture is called 'absent': missing", "take its image out of the list"]),
        (b"\x1b[31mred\n", ["train.txt:1: '\\u{1b}[31mred' is no path", "give one"]),
    ] {
        let mut voc = Voc::new(1);
        voc.list_bytes("train", list);
        refused(&voc, &words);
    }
    // A megabyte of one name is not said back.
    let mut voc = Voc::new(1);
    voc.list_bytes("train", "x".repeat(1 << 20).as_bytes());
    refused(&voc, &["train.txt:1: a line of 1048576 bytes", "…'", "names no picture"]);
    voc.list_bytes("train", [" x".repeat(1 << 19), ".png".to_owned()].concat().as_bytes());
    refused(&voc, &["train.txt:1: a line of", "names no picture"]);
}

#[test]
fn names_in_any_script() {
    let mut voc = Voc::new(0);
    let ids = ["Größe_1", "写真", "фото-2", "a.b"];
    for id in ids {
        voc.image(id, &encode_jpeg(&picture(SIZE), 80), &["dog"]);
    }
    voc.list("train", &ids);
    let mut found: Vec<_> = rows(&voc, &[]).iter().map(|row| row.image_id.to_string()).collect();
    found.sort_by_key(|id| ids.iter().position(|known| known == id));
    assert_eq!(found, ids);
}

#[test]
fn annotations_that_are_refused() {
    let name = |name: &str| format!("<annotation><object><name>{name}</name></object></annotation>");
    for (text, words) in [
        (name("Cat"), ["unknown class 'Cat'", "did you mean 'cat'?"]),
        (name("zeppelin"), ["unknown class 'zeppelin'", "add it to classes"]),
        (name("&#27;c"), ["malformed XML", "mend"]),
        (name("a\nb"), ["unknown class 'a\\nb'", "add it"]),
        (name(""), ["without a <name>", "add its class"]),
        (name(&"x".repeat(1 << 19)), ["unknown class 'xxx", "…'; add it"]),
        (name(&"x".repeat(1 << 20)), ["no annotation of one image", "take its own"]),
        ("<!DOCTYPE a [<!ENTITY b \"c\">]><annotation/>".to_owned(), ["malformed XML", "mend"]),
        ("<html>404</html>".to_owned(), ["'html' is no VOC annotation", "<annotation> is"]),
        (String::new(), ["an empty file", "without_annotation"]),
    ] {
        let voc = Voc::new(2);
        voc.write("Annotations/whole_1.xml", text.as_bytes());
        refused(&voc, &["1 fault", "Annotations/whole_1.xml", words[0], words[1]]);
    }
    let voc = Voc::new(2);
    voc.write("Annotations/whole_1.xml", b"<annotation><object><name>caf\xe9</name></object></annotation>");
    refused(&voc, &["Annotations/whole_1.xml: not UTF-8 text", "its encoding"]);
}

#[test]
fn classes_that_are_not_wanted() {
    let voc = Voc::new(3);
    voc.image("whole_0", &encode_jpeg(&picture(SIZE), 80), &["cat", "zeppelin"]);
    let all = "data.mask_classes=[\"cat\", \"dog\", \"sheep\"]";
    let wanted = ["data.unknown_classes=ignore", "data.classes=[\"sheep\"]", all];
    let rows = rows(&voc, &wanted);
    let labels: Vec<_> = rows.iter().map(|row| row.labels.len()).collect();
    assert_eq!(labels, [0, 0, 1]);
}

/// Nothing in a data set is waited for for ever.
#[test]
fn a_pipe_is_no_photograph() {
    let voc = Voc::new(2);
    for file in ["JPEGImages/whole_1.jpg", "Annotations/unlisted.xml"] {
        let path = voc.root().join(file);
        let _ = std::fs::remove_file(&path);
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(made.success());
        refused(&voc, &[file, "pipe"]);
        std::fs::remove_file(&path).expect("it is there");
    }
}
