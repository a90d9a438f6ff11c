//! Healthy files to begin with, and what must lie around a file for its reader to get that far.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use artifact::store::{Claim, Contents, RECORD_FILE};
use artifact::table::DatasetRow;
use artifact::{Artifact, ClassId, ImageId, Preimage, Store};

use data::codec::{Mask, Rgb, encode_jpeg, encode_mask, encode_png};

/// Where an artifact keeps its only part.
pub const PART: &str = "data/part-00000-of-00001.parquet";

/// Writes healthy files of a reader's kind into a directory.
pub fn write(reader: &str, directory: &Path) {
    fs::create_dir_all(directory).expect("the directory of seeds");
    let seeds = match reader {
        "image" => pictures(),
        "mask" => vec![encode_mask(&mask(7, 5)), encode_mask(&mask(64, 3)), encode_png(&picture(3, 4))],
        "annotation" => annotations(),
        "list" => lists(),
        "manifest" => manifests(),
        "weights" => files_of("tests/golden/weights"),
        "labels" => files_of("tests/golden/labels"),
        "table" => tables(),
        "instances" => instances(),
        "part" | "record" => {
            let root = tempfile::tempdir().expect("a temporary directory");
            committed(root.path());
            let file = if reader == "part" { PART } else { RECORD_FILE };
            vec![fs::read(artifact_dir(root.path()).join(file)).expect("it was just written")]
        }
        _ => vec![],
    };
    for (number, seed) in seeds.into_iter().enumerate() {
        fs::write(directory.join(format!("seed-{number:02}")), seed).expect("a seed");
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files_of(directory: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(repository().join(directory)).expect("the repository's files");
    entries.map(|entry| fs::read(entry.expect("an entry").path()).expect("a file")).collect()
}

fn picture(height: usize, width: usize) -> Rgb {
    Rgb { height, width, pixels: (0..height * width * 3).map(|i| (i * 37 % 251) as u8).collect() }
}

fn mask(height: usize, width: usize) -> Mask {
    Mask { height, width, classes: (0..height * width).map(|i| [0, 1, 3, 255][i % 4]).collect() }
}

fn pictures() -> Vec<Vec<u8>> {
    let sizes = [(1, 1), (8, 8), (17, 33), (40, 3)];
    let mut pictures: Vec<_> = sizes.iter().map(|&(h, w)| encode_jpeg(&picture(h, w), 75)).collect();
    pictures.extend(sizes.iter().map(|&(h, w)| encode_png(&picture(h, w))));
    pictures.push(encode_mask(&mask(9, 9)));
    pictures.extend(files_of("tests/corpus/pictures"));
    pictures
}

fn annotations() -> Vec<Vec<u8>> {
    [
        "<annotation/>",
        "<annotation><object><name>dog</name></object></annotation>",
        "<?xml version=\"1.0\"?>\r\n<annotation>\n<!-- c --><object><part><name>head</name></part><name> sheep </name>\
         <difficult>1</difficult></object><object><name><![CDATA[cat]]></name></object>&amp;</annotation>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><annotation xmlns:x=\"y\"><x:object><name>&b;&#65;</name></x:object>\
         </annotation>",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn lists() -> Vec<Vec<u8>> {
    [
        "a\n",
        "\u{feff}a\r\nb\r\n",
        "/JPEGImages/a.png /SegmentationClass/a.png\n",
        "JPEGImages/b.png\na\n",
        "a -1\n../x\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn tables() -> Vec<Vec<u8>> {
    [
        "path,labels\na.png,cat;dog\nb.png,\n",
        "file;split;cat;dog;sheep\r\na;train;1;0;0\r\nb;val;0;1;1\r\n",
        "a.png\t\"['cat', 'dog']\"\n",
        "sep=;\nname;class\nJPEGImages/a.png;cat|sheep\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn instances() -> Vec<Vec<u8>> {
    let with = |segmentation: &str| {
        format!(
            "{{\"images\": [{{\"id\": 1, \"file_name\": \"a.png\", \"height\": 1, \"width\": 1}}], \"categories\": \
             [{{\"id\": 7, \"name\": \"dog\"}}], \"annotations\": [{{\"id\": 1, \"image_id\": 1, \"category_id\": 7, \
             \"iscrowd\": 0, \"segmentation\": {segmentation}}}]}}"
        )
    };
    let shapes = [
        "[[0, 0, 1, 0, 1, 1]]",
        "{\"counts\": [0, 1], \"size\": [1, 1]}",
        "{\"counts\": \"01\", \"size\": [1, 1]}",
        "[]",
    ];
    shapes.map(|shape| with(shape).into_bytes()).into()
}

fn manifests() -> Vec<Vec<u8>> {
    let mut manifests = files_of("stages/manifests");
    manifests.push(fs::read(repository().join("pipeline.toml")).expect("the default pipeline"));
    let small = "[pipeline]\nname = \"a\"\nseed = 1\nstore = \"s\"\ndevice = \"cpu\"\nmain = \"b~1\"\n[data]\nx = [1]\n\
                 [stage.c]\nneeds = [\"prepare-data\"]\nv = { d = 1.5 }\n[stage.prepare-data]\n\
                 [experiment.e]\ntargets = [\"c\"]\nseed = 3\nc.v.d = 2\n[matrix]\nseeds = [1, 2]\n\
                 [matrix.variant.b]\nc.needs = [\"prepare-data@e\"]\nc.v.d = \"${seed}\"\n";
    manifests.push(small.into());
    manifests.push(b"extends = \"pipeline.toml\"\n[a.b.c]\nd = 2020-01-01\n".to_vec());
    manifests
}

/// A data set of two images; the reader adds the file in question.
pub fn data_set(root: &Path) {
    for folder in ["JPEGImages", "Annotations"] {
        fs::create_dir_all(root.join(folder)).expect("a temporary directory");
    }
    for id in ["a", "b"] {
        let file = |folder: &str, ending: &str| root.join(format!("{folder}/{id}.{ending}"));
        fs::write(file("JPEGImages", "png"), encode_png(&picture(1, 1))).expect("a temporary file");
        fs::write(file("Annotations", "xml"), "<annotation/>").expect("a temporary file");
    }
    fs::write(root.join("train.txt"), "a\n").expect("a temporary file");
}

fn preimage() -> Preimage {
    Preimage {
        stage: "prepare-data".to_owned(),
        version: 1,
        params: serde_json::json!({ "source": "voc" }),
        seed: None,
        inputs: BTreeMap::new(),
        files: BTreeMap::new(),
        device: None,
    }
}

/// The directory of the artifact that [`committed`] makes.
pub fn artifact_dir(root: &Path) -> PathBuf {
    let preimage = preimage();
    root.join("store").join(&preimage.stage).join(preimage.key().short())
}

/// A committed `dataset` of a few rows, images of two row groups.
pub fn committed(root: &Path) -> Artifact {
    let store = Store::open(&root.join("store")).expect("a store");
    let lease = store.lease(&preimage(), Claim::Alone, || {}).expect("nobody else is here");
    let mut work = lease.open(&Contents::tables(["dataset"])).expect("a work directory");
    work.declare::<DatasetRow>(1, [("classes".to_owned(), "[\"cat\"]".to_owned())].into()).expect("a table of its own");
    let row = |number: usize| DatasetRow {
        image_id: ImageId::new(&format!("i{number:02}")).expect("an id"),
        splits: vec!["train".to_owned(); number % 3],
        width: 3,
        height: 2,
        labels: (0..number % 3).map(ClassId::from_foreground).collect(),
        image: encode_png(&picture(2, 3)),
    };
    work.write_all((0..20).map(row)).expect("a part");
    work.publish(&[], BTreeMap::new(), "main").expect("an artifact")
}
