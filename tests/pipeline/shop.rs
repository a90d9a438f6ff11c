//! A store with a data set and what tests of `camflow export` put beside it: labels, networks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};

use artifact::store::{Claim, Contents};
use artifact::table::{DatasetRow, LabelRow};
use artifact::{Artifact, ClassId, ImageId, Item, Preimage, Reading, Row, Store};
use serde_json::{Value, json};
use tch::nn;

pub const HEIGHT: usize = 5;
pub const WIDTH: usize = 7;

/// A store with a data set, and what tests add.
pub struct Shop {
    directory: tempfile::TempDir,
    store: Store,
    pub dataset: Option<Artifact>,
}

impl Shop {
    /// Images of split `val` but for the last, which is of `train`; each shows class 1 and the last class, but for one
    /// that is called `nothing`.
    pub fn new(classes: &[&str], ids: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let mut shop = Self { directory, store, dataset: None };
        let image = |(index, id): (usize, &&str)| DatasetRow {
            image_id: ImageId::new(id).unwrap(),
            splits: vec![if index + 1 == ids.len() { "train" } else { "val" }.to_owned()],
            width: WIDTH as u32,
            height: HEIGHT as u32,
            labels: if *id == "nothing" { vec![] } else { vec![ClassId(1), ClassId(classes.len() as u8)] },
            image: vec![],
        };
        let rows = ids.iter().enumerate().map(image).collect();
        let metadata = [("classes", json!(classes).to_string())];
        shop.dataset = Some(shop.publish::<DatasetRow>("prepare-data", Value::Null, &metadata, rows));
        shop
    }

    fn preimage(&self, stage: &str, params: Value) -> Preimage {
        let read =
            |dataset: &Artifact| Reading::of(&[Item::table::<DatasetRow>()], |item| dataset.record().digest_of(item));
        let inputs = self.dataset.iter().map(|dataset| ("prepare-data".to_owned(), read(dataset))).collect();
        Preimage { stage: stage.into(), version: 1, params, seed: None, inputs, files: BTreeMap::new(), device: None }
    }

    pub fn publish<R: Row>(&self, stage: &str, params: Value, metadata: &[(&str, String)], rows: Vec<R>) -> Artifact {
        let lease = self.store.lease(&self.preimage(stage, params), Claim::Alone, || {}).unwrap();
        let mut work = lease.open(&Contents::tables([R::TABLE])).unwrap();
        let metadata = metadata.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        work.declare::<R>(1, metadata).unwrap();
        work.write_all(rows).unwrap();
        work.publish(&[], BTreeMap::new(), "main").unwrap()
    }

    /// An artifact of a network.
    pub fn publish_file(&self, stage: &str, params: Value, name: &str, vs: &nn::VarStore) -> Artifact {
        let lease = self.store.lease(&self.preimage(stage, params), Claim::Alone, || {}).unwrap();
        let work = lease.open(&Contents::default().with_file(name)).unwrap();
        vs.save(work.file(name)).unwrap();
        work.publish(&[name], BTreeMap::new(), "main").unwrap()
    }

    /// Labels of some images, each of another class and with some void, of each source.
    pub fn publish_labels(&self, ids: &[&str], sources: &[&str]) -> Artifact {
        let mut rows = Vec::new();
        for (class, id) in ids.iter().enumerate() {
            for source in sources {
                rows.push(LabelRow {
                    image_id: ImageId::new(id).unwrap(),
                    height: HEIGHT as u32,
                    width: WIDTH as u32,
                    source: (*source).to_owned(),
                    label: label(class, if source.ends_with("+crf") { 2 } else { 1 }),
                });
            }
        }
        self.publish("evaluate", json!({ "rows": rows.len() }), &[], rows)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `camflow export COMMAND ARTIFACT …`
    pub fn export(&self, command: &str, artifact: &Artifact, arguments: &[&str]) -> Output {
        let mut export = Command::new(env!("CARGO_BIN_EXE_camflow-export"));
        export.current_dir(self.directory.path()).arg(command).arg(artifact.dir()).args(arguments);
        export.output().unwrap()
    }

    /// The facts of an export that succeeds.
    pub fn exported(&self, command: &str, artifact: &Artifact, arguments: &[&str]) -> Value {
        let output = self.export(command, artifact, &[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// What is published of an image.
pub fn label(class: usize, step: usize) -> Vec<u8> {
    (0..HEIGHT * WIDTH).map(|pixel| if pixel % 5 == 4 { 255 } else { (class + pixel % 2 * step) as u8 }).collect()
}
