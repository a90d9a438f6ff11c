//! Strict loading: what fits is filled, what does not is named, and no file makes it panic.

use std::path::{Path, PathBuf};

use artifact::Error;
use data::weights::Weights;
use tch::{Device, Kind, Tensor, nn};
use wsss::model::fill::load;
use wsss::model::{BackboneConfig, BackboneName, CamNet, CamNetConfig, Norm};
use wsss::train::init::Init;

use crate::golden::noise;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("camflow-weights-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn net() -> nn::VarStore {
    let vs = nn::VarStore::new(Device::Cpu);
    let backbone = BackboneConfig { name: BackboneName::MobileNetV2, width: 8, norm: Norm::Frozen };
    let _net = CamNet::new(&vs.root(), &CamNetConfig { backbone, features: 4, classes: 3 });
    vs
}

/// The net's variables, renamed as `rename` says and of any values.
fn save(path: &Path, kind: Kind, rename: impl Fn(&str) -> Option<String>) {
    let tensors: Vec<(String, Tensor)> = net()
        .variables()
        .iter()
        .filter_map(|(name, v)| rename(name).map(|to| (to, noise(name, &v.size()).to_kind(kind))))
        .collect();
    Tensor::write_safetensors(&tensors, path).unwrap();
}

fn message(result: Result<impl std::fmt::Debug, Error>) -> String {
    match result {
        Err(Error::Data(message)) => message,
        other => panic!("expected bad data, found {other:?}"),
    }
}

#[test]
fn a_backbones_file_fills_the_backbone() {
    let folder = Folder::new("backbone");
    for (kind, tolerance) in [(Kind::Float, 0.0), (Kind::Half, 1e-3)] {
        let path = folder.file("backbone.safetensors");
        save(&path, kind, |name| name.strip_prefix("backbone.").map(|bare| format!("module.{bare}")));
        let vs = net();
        let report = load(&vs, &path, "backbone.", &["feature.", "classifier."]).unwrap();
        assert_eq!(report.missing, ["classifier.weight", "feature.weight"]);
        assert!(report.unexpected.is_empty() && report.misshapen.is_empty());
        assert_eq!(report.filled, vs.len() - 2);
        let name = "backbone.features.3.conv.1.0.weight";
        let variable = &vs.variables()[name];
        let difference = (variable - noise(name, &variable.size())).abs().max().double_value(&[]);
        assert!(difference <= tolerance, "{difference}");
    }
}

#[test]
fn what_does_not_fit_is_named_and_nothing_is_filled() {
    let folder = Folder::new("misfit");
    let path = folder.file("misfit.safetensors");
    save(&path, Kind::Float, |name| Some(name.replace("features.18.0", "features.19.0")));
    let vs = net();
    let before = vs.variables()["feature.weight"].copy();
    let why = message(load(&vs, &path, "backbone.", &[]));
    for part in
        ["misfit.safetensors", "1 missing: backbone.features.18.0.weight", "1 unexpected: backbone.features.19.0"]
    {
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(vs.variables()["feature.weight"], before);

    Tensor::write_safetensors(&[("feature.weight", Tensor::zeros([2, 2], (Kind::Float, Device::Cpu)))], &path).unwrap();
    let why = message(load(&vs, &path, "", &["backbone.", "classifier."]));
    assert!(why.contains("1 of another shape: feature.weight (expected [4, 320, 1, 1], found [2, 2])"), "{why}");
}

#[test]
fn heads_may_be_foreign_but_the_backbone_is_whole() {
    let folder = Folder::new("init");
    let path = folder.file("init.safetensors");
    let fill = || Init::Weights.fill(&net(), path.to_str().unwrap(), None);
    // As torchvision saves it: a classifier of its own, and no head of ours.
    let foreign =
        |name: &str| name.strip_prefix("backbone.").map(ToOwned::to_owned).or(Some("classifier.1.bias".into()));
    save(&path, Kind::Float, |name| foreign(name).filter(|_| name != "feature.weight"));
    assert_eq!(fill().unwrap().unwrap().unexpected, ["backbone.classifier.1.bias"]);
    // The head `feature` and the backbone's `features` are two things.
    save(&path, Kind::Float, |name| name.strip_prefix("backbone.features.1").map(|rest| format!("features.1{rest}")));
    let why = message(fill());
    assert!(why.contains("missing: backbone.features.0.0.weight"), "{why}");
}

#[test]
fn weights_of_integers_are_refused() {
    let folder = Folder::new("integers");
    let path = folder.file("integers.safetensors");
    save(&path, Kind::Int, |name| Some(name.to_owned()));
    let why = message(load(&net(), &path, "", &[]));
    assert!(why.contains("tensor 'backbone.features.0.0.weight' is I32; weights are floats"), "{why}");
    for kind in [Kind::Double, Kind::BFloat16] {
        save(&path, kind, |name| Some(name.to_owned()));
        assert!(load(&net(), &path, "", &[]).unwrap().fits());
    }
}

#[test]
fn a_value_that_is_no_number_is_named_and_nothing_is_filled() {
    let folder = Folder::new("nan");
    let path = folder.file("nan.safetensors");
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut tensors: Vec<(String, Tensor)> = net()
            .variables()
            .into_iter()
            .map(|(name, v)| (name, Tensor::ones(v.size(), (Kind::Float, Device::Cpu))))
            .collect();
        for (name, tensor) in &mut tensors {
            if name == "backbone.features.9.conv.0.1.running_var" {
                let _ = tensor.narrow(0, 2, 3).fill_(bad);
            }
        }
        Tensor::write_safetensors(&tensors, &path).unwrap();
        let vs = net();
        let before = vs.variables()["feature.weight"].copy();
        let why = message(load(&vs, &path, "", &[]));
        for part in ["nan.safetensors", "tensor 'backbone.features.9.conv.0.1.running_var' holds", "in 3 of its 96"] {
            assert!(why.contains(part), "'{part}' is not in: {why}");
        }
        assert_eq!(vs.variables()["feature.weight"], before);
    }
}

#[test]
fn no_damaged_file_panics() {
    let folder = Folder::new("damaged");
    let whole = folder.file("whole.safetensors");
    save(&whole, Kind::Float, |name| Some(name.to_owned()));
    assert_eq!(Weights::read(&whole).unwrap().tensors().len(), net().len());
    let bytes = std::fs::read(&whole).unwrap();
    let huge = [u64::MAX.to_le_bytes().as_slice(), &bytes[8..]].concat();
    let header = br#"{"a":{"dtype":"F32","shape":[4611686018427387904,16],"data_offsets":[0,16]}}"#;
    let overflow = [(header.len() as u64).to_le_bytes().as_slice(), header, &[0; 16]].concat();
    for (name, bytes) in [
        ("empty", &[][..]),
        ("short", &bytes[..7]),
        ("header", &bytes[..100]),
        ("truncated", &bytes[..bytes.len() - 1]),
        ("huge", &huge),
        ("overflow", &overflow),
        ("text", b"not weights at all, but long enough"),
    ] {
        let path = folder.file(name);
        std::fs::write(&path, bytes).unwrap();
        assert!(message(Weights::read(&path)).contains(name));
        assert!(message(load(&net(), &path, "", &[])).contains(name));
    }
    assert!(matches!(Weights::read(&folder.file("absent")), Err(Error::Io { .. })));
    assert!(message(Weights::read(&folder.0)).contains("a directory"));
}
