//! A small data set in VOC's layout in a directory of its own, with a store beside it, for `prepare-data`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use data::codec::{encode_jpeg, encode_mask};
use tempfile::TempDir;

use crate::run::binary;
use crate::samples::{CLASSES, SIZE, mask, picture, repository};

pub struct Voc {
    directory: TempDir,
    splits: BTreeMap<String, String>,
}

impl Voc {
    /// With `whole` healthy images of the corpus's size, listed in `train`.
    pub fn new(whole: usize) -> Self {
        let mut this = Self { directory: tempfile::tempdir().expect("a temporary directory"), splits: BTreeMap::new() };
        for folder in ["JPEGImages", "Annotations", "SegmentationClass", "lists"] {
            fs::create_dir_all(this.root().join(folder)).expect("a temporary directory");
        }
        let ids: Vec<String> = (0..whole).map(|number| format!("whole_{number}")).collect();
        for (number, id) in ids.iter().enumerate() {
            let class = number % CLASSES.len();
            this.image(id, &encode_jpeg(&picture(SIZE), 80), &[CLASSES[class]]);
            this.mask(id, &encode_mask(&mask(SIZE, &[0, class as u8 + 1, 255])));
        }
        if whole > 0 {
            this.list("train", &ids);
        }
        this
    }

    pub fn root(&self) -> PathBuf {
        self.directory.path().join("voc")
    }

    pub fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    pub fn write(&self, file: &str, bytes: &[u8]) {
        let path = self.root().join(file);
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// An image with its annotation.
    pub fn image(&self, id: &str, bytes: &[u8], classes: &[&str]) {
        let ending = if bytes.starts_with(b"\x89PNG") { "png" } else { "jpg" };
        self.write(&format!("JPEGImages/{id}.{ending}"), bytes);
        self.write(&format!("Annotations/{id}.xml"), annotation(classes).as_bytes());
    }

    pub fn mask(&self, id: &str, bytes: &[u8]) {
        self.write(&format!("SegmentationClass/{id}.png"), bytes);
    }

    /// A split of these images.
    pub fn list(&mut self, split: &str, ids: &[impl AsRef<str>]) {
        let text: String = ids.iter().flat_map(|id| [id.as_ref(), "\n"]).collect();
        self.list_bytes(split, text.as_bytes());
    }

    /// A split whose list is these bytes.
    pub fn list_bytes(&mut self, split: &str, bytes: &[u8]) {
        let file = format!("lists/{split}.txt");
        self.write(&file, bytes);
        self.splits.insert(split.to_owned(), file);
    }

    /// The `--set` options that make this the data set of the tiny pipeline.
    pub fn sets(&self) -> Vec<String> {
        let splits: Vec<_> = self.splits.iter().map(|(split, list)| format!("{split} = \"{list}\"")).collect();
        vec![
            "data.source=voc".to_owned(),
            format!("data.root=\"{}\"", self.root().display()),
            format!("data.classes={CLASSES:?}"),
            format!("data.splits={{{}}}", splits.join(", ")),
            "data.masks=SegmentationClass".to_owned(),
            "data.unknown_classes=refuse".to_owned(),
            // Masks here are of any class, whatever their images show.
            "data.mask_check=warn".to_owned(),
        ]
    }

    /// A stage on this data set and store, with further `--set` options.
    pub fn stage(&self, stage: &str, sets: &[&str]) -> Command {
        self.stage_in(&self.store(), stage, sets)
    }

    /// The same with another store.
    pub fn stage_in(&self, store: &Path, stage: &str, sets: &[&str]) -> Command {
        let mut command = Command::new(binary(stage));
        command.arg("--manifest").arg(repository("tests/pipeline/tiny.toml")).arg("--store").arg(store);
        command.args(self.sets().iter().flat_map(|set| ["--set", set]));
        command.args(sets.iter().flat_map(|set| ["--set", set]));
        command
    }
}

pub fn annotation(classes: &[&str]) -> String {
    let objects: String = classes.iter().flat_map(|name| ["\t<object><name>", name, "</name></object>\n"]).collect();
    format!("<annotation>\n{objects}</annotation>\n")
}
