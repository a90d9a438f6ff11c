//! The readers, each given bytes as the file that it reads.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use artifact::table::DatasetRow;
use artifact::{Artifact, Error, Manifest};
use tempfile::TempDir;

use crate::seeds;
use data::codec::{decode_image, decode_mask};
use data::import::{self, Imported, Layout, Source, Unknown};
use data::weights::Weights;

/// No message may be longer: it is for a person, whatever the file holds.
const LONGEST_MESSAGE: usize = 16 * 1024;

/// One of the readers, with the directory in which it finds its file.
pub struct Reader {
    directory: TempDir,
    read: fn(&Path, &[u8]),
}

impl Reader {
    /// The reader of this name.
    pub fn named(name: &str) -> Self {
        // In memory where that can be had: a run reads a file ten thousand times a second.
        let shm = Path::new("/dev/shm");
        let directory = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
        let directory = directory.expect("a temporary directory");
        let read = match name {
            "image" => image,
            "mask" => mask,
            "annotation" => annotation,
            "list" => list,
            "manifest" => manifest,
            "weights" => weights,
            "part" => part,
            "record" => record,
            "table" => table,
            "instances" => instances,
            "labels" => labels,
            other => panic!("CAMFLOW_FUZZ='{other}': the Makefile's FUZZ_READERS names them all"),
        };
        match name {
            "annotation" | "list" | "table" | "instances" | "labels" => seeds::data_set(directory.path()),
            "part" | "record" => drop(seeds::committed(directory.path())),
            _ => {}
        }
        Self { directory, read }
    }

    /// Gives it a file.
    pub fn read(&self, bytes: &[u8]) {
        (self.read)(self.directory.path(), bytes);
    }
}

/// A refusal is an answer, if a person can read it.
fn refused(error: &Error) {
    let message = error.to_string();
    assert!(!message.is_empty() && message.len() < LONGEST_MESSAGE, "a message of {} bytes", message.len());
    assert!(!matches!(error, Error::Failed(_) | Error::Stopped(_)), "{message}");
}

fn image(_: &Path, bytes: &[u8]) {
    if let Ok(rgb) = decode_image(bytes) {
        assert_eq!(rgb.pixels.len(), rgb.height * rgb.width * 3);
    }
}

fn mask(_: &Path, bytes: &[u8]) {
    if let Ok(mask) = decode_mask(bytes) {
        assert_eq!(mask.classes.len(), mask.height * mask.width);
    }
}

fn source(root: &Path, unknown_classes: Unknown) -> Source {
    let splits = BTreeMap::from([("train".to_owned(), "train.txt".to_owned())]);
    let classes = ["cat", "dog", "sheep"].map(String::from).to_vec();
    Source { unknown_classes, ..Source::voc(root.to_owned(), classes, splits) }
}

/// The answer to a file of labels: classes that there are, or a refusal.
fn answered(source: &Source) {
    match import::read(source, &|_, _| {}) {
        Ok(Imported { records, .. }) => {
            assert!(records.iter().flat_map(|record| &record.labels).all(|class| (1..=3).contains(&class.0)));
        }
        Err(error) => refused(&error),
    }
}

fn table(root: &Path, bytes: &[u8]) {
    fs::write(root.join("labels.csv"), bytes).expect("a temporary file");
    let splits = BTreeMap::from([("train".to_owned(), "labels.csv".to_owned())]);
    answered(&Source { layout: Layout::Csv, splits, ..source(root, Unknown::Ignore) });
}

fn instances(root: &Path, bytes: &[u8]) {
    fs::write(root.join("instances.json"), bytes).expect("a temporary file");
    let splits = BTreeMap::from([("train".to_owned(), "instances.json".to_owned())]);
    answered(&Source { layout: Layout::Coco, splits, ..source(root, Unknown::Ignore) });
}

fn labels(root: &Path, bytes: &[u8]) {
    let file = root.join("labels.npy");
    fs::write(&file, bytes).expect("a temporary file");
    answered(&Source { labels: Some(file), ..source(root, Unknown::Refuse) });
}

fn annotation(root: &Path, bytes: &[u8]) {
    fs::write(root.join("Annotations/a.xml"), bytes).expect("a temporary file");
    for unknown in [Unknown::Refuse, Unknown::Ignore] {
        match import::read(&source(root, unknown), &|_, _| {}) {
            Ok(Imported { records, .. }) => assert!(records[0].labels.iter().all(|class| (1..=3).contains(&class.0))),
            Err(error) => refused(&error),
        }
    }
}

fn list(root: &Path, bytes: &[u8]) {
    fs::write(root.join("train.txt"), bytes).expect("a temporary file");
    match import::read(&source(root, Unknown::Refuse), &|_, _| {}) {
        Ok(Imported { records, .. }) => assert!(!records.is_empty()),
        Err(error) => refused(&error),
    }
}

fn manifest(root: &Path, bytes: &[u8]) {
    let path = root.join("pipeline.toml");
    fs::write(&path, bytes).expect("a temporary file");
    let plans = Manifest::load(&path, &[]).and_then(|manifest| {
        let names = manifest.experiments()?;
        names.iter().take(4).map(|name| manifest.experiment(name)).collect::<Result<Vec<_>, _>>()
    });
    if let Err(error) = plans {
        refused(&error);
    }
}

fn weights(_: &Path, bytes: &[u8]) {
    match Weights::parse(bytes.to_vec(), "given") {
        Ok(weights) => {
            for stored in weights.tensors().values() {
                assert_eq!(weights.values(stored).len(), stored.elements());
            }
        }
        Err(error) => refused(&error),
    }
}

/// A part is compared with its digest before it is read; this is what would happen without.
fn part(root: &Path, bytes: &[u8]) {
    let directory: PathBuf = seeds::artifact_dir(root);
    fs::write(directory.join(seeds::PART), bytes).expect("a temporary file");
    let artifact = Artifact::open(&directory).expect("its record is whole").expect("it is committed");
    let rows = artifact.rows::<DatasetRow>(&[]).expect("the record names the table");
    for row in rows {
        if let Err(error) = row {
            refused(&error);
            break;
        }
    }
}

/// The record's own seal would refuse whatever is made up, so it is set anew: what lies behind it is to be read.
fn record(root: &Path, bytes: &[u8]) {
    let directory = seeds::artifact_dir(root);
    let mut bytes = bytes.to_vec();
    artifact::store::seal(&mut bytes);
    fs::write(directory.join(artifact::store::RECORD_FILE), bytes).expect("a temporary file");
    match Artifact::open(&directory) {
        Ok(Some(artifact)) => {
            let _ = artifact.verify().map_err(|error| refused(&error));
        }
        Ok(None) => unreachable!("the file is there"),
        Err(error) => refused(&error),
    }
}
