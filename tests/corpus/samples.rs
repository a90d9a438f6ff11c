//! Healthy files of every kind, from which the corpus is made.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use data::codec::{Mask, Rgb, encode_jpeg, encode_mask};

use crate::anatomy::Kind;
use crate::store;

/// Classes of the data sets here, in the order of their indices.
pub const CLASSES: [&str; 3] = ["cat", "dog", "sheep"];
/// Height and width of a picture and its mask in the corpus.
pub const SIZE: [usize; 2] = [24, 40];

/// Healthy files of a kind.
pub fn of(kind: Kind) -> &'static [Vec<u8>] {
    static SAMPLES: [OnceLock<Vec<Vec<u8>>>; Kind::ALL.len()] = [const { OnceLock::new() }; Kind::ALL.len()];
    SAMPLES[kind as usize].get_or_init(|| match kind {
        Kind::Jpeg => jpegs(),
        Kind::Mask => masks(),
        Kind::Annotation => annotations(),
        Kind::List => lists(),
        Kind::Manifest => manifests(),
        Kind::Mxnet => {
            files("tests/golden/weights", &["mxnet_legacy.params", "mxnet_v1.params", "mxnet_v2.params", "v3"])
        }
        Kind::Torch => files(
            "tests/golden/weights",
            &[
                "torch_zip.pth",
                "torch_legacy_module.pth",
                "checkpoint_zip_protocol4.pth",
                "checkpoint_legacy_protocol4.pth",
            ],
        ),
        Kind::Safetensors => files("tests/golden/weights", &["checkpoint.safetensors", "expected.safetensors"]),
        Kind::Parquet => store::damageable().iter().map(|file| file.part.clone()).collect(),
        Kind::Record => store::damageable().iter().map(|file| file.record.clone()).collect(),
    })
}

/// A directory or file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

pub fn file(path: &str) -> Vec<u8> {
    fs::read(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(directory: &str, names: &[&str]) -> Vec<Vec<u8>> {
    let read = |name: &&str| match *name {
        // The layout of V3 is that of V2 but for its magic number.
        "v3" => {
            let mut v3 = file(&format!("{directory}/mxnet_v2.params"));
            for at in 0..v3.len() - 4 {
                if v3[at..].starts_with(&0xF993_FAC9_u32.to_le_bytes()) {
                    v3[at] = 0xCA;
                }
            }
            v3
        }
        name => file(&format!("{directory}/{name}")),
    };
    names.iter().map(read).collect()
}

pub fn picture([height, width]: [usize; 2]) -> Rgb {
    let value = |i: usize| ((i / 3 % width) * 5 + (i / 3 / width) * 9 + (i % 3) * 60) as u8;
    Rgb { height, width, pixels: (0..height * width * 3).map(value).collect() }
}

pub fn mask([height, width]: [usize; 2], classes: &[u8]) -> Mask {
    let class = |i: usize| classes[(i % width) * classes.len() / width];
    Mask { height, width, classes: (0..height * width).map(class).collect() }
}

fn jpegs() -> Vec<Vec<u8>> {
    let own = [30, 95].map(|quality| encode_jpeg(&picture(SIZE), quality));
    // By other hands: progressive, grey, CMYK, with restart markers and EXIF.
    let foreign = ["progressive.jpg", "grey.jpg", "cmyk.jpg", "restart_exif.jpg"];
    own.into_iter().chain(foreign.map(|name| file(&format!("tests/corpus/pictures/{name}")))).collect()
}

fn masks() -> Vec<Vec<u8>> {
    let own = encode_mask(&mask(SIZE, &[0, 1, 255, 3]));
    vec![own, file("tests/corpus/pictures/interlaced_mask.png"), file("tests/corpus/pictures/four_bit_mask.png")]
}

fn annotations() -> Vec<Vec<u8>> {
    let object = |name: &str| {
        format!(
            "\t<object>\n\t\t<name>{name}</name>\n\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>1</xmin>\n\
             \t\t</bndbox>\n\t</object>\n"
        )
    };
    let whole = |head: &str, objects: String| {
        format!("{head}<annotation>\n\t<folder>VOC2012</folder>\n{objects}</annotation>\n").into_bytes()
    };
    vec![
        whole("", object("cat") + &object("dog") + &object("sheep")),
        whole("\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n", object("dog")),
        whole("<!-- from a tool -->\n", object("<![CDATA[cat]]>") + &object(" &#100;og ")),
        whole("", String::new()),
    ]
}

fn lists() -> Vec<Vec<u8>> {
    [
        "whole_0\nwhole_1\nwhole_2\nwhole_3\n",
        "\u{feff}whole_0\r\nwhole_2\r\n\r\nwhole_3\r\n",
        "/JPEGImages/whole_0.jpg /SegmentationClass/whole_0.png\n/JPEGImages/whole_1.jpg \
         /SegmentationClass/whole_1.png\n",
        "JPEGImages/whole_3.jpg\nwhole_1",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn manifests() -> Vec<Vec<u8>> {
    ["pipeline.toml", "stages/manifests/voc12.toml", "stages/manifests/ablation.toml"].map(file).into()
}
