//! `camflow-weights`: what it says of a file, and with which exit code.

use std::path::Path;
use std::process::{Command, Output};

use runner::{Pipeline, Selection};
use serde_json::Value;
use tch::{Device, Kind, Tensor, nn};
use wsss::model::{Backbone, BackboneConfig, BackboneName, Norm};

use crate::world::{World, assert_refused};

fn weights(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_camflow-weights")).args(arguments).output().unwrap()
}

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/weights").join(name);
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_backbones_file_fits_that_backbone_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mobilenet.safetensors");
    let vs = nn::VarStore::new(Device::Cpu);
    let name = BackboneName::MobileNetV2;
    let config = BackboneConfig { name, width: name.full_width(), norm: Norm::Frozen };
    let _net = Backbone::new(&vs.root(), &config, [0.0; 2]);
    let mut tensors: Vec<(String, Tensor)> = vs.variables().into_iter().collect();
    tensors.push(("classifier.1.bias".into(), Tensor::zeros([1000], (Kind::Float, Device::Cpu))));
    Tensor::write_safetensors(&tensors, &path).unwrap();

    let output = weights(&["--json", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["format"], "safetensors");
    assert_eq!(answer["tensors"].as_array().unwrap().len(), tensors.len());
    let fits = answer["backbones"].as_array().unwrap();
    assert_eq!(fits.len(), BackboneName::ALL.len());
    for fit in fits {
        assert_eq!(fit["fits"], fit["backbone"] == "mobilenet_v2", "{fit}");
    }
    let resnet38 = fits.iter().find(|fit| fit["backbone"] == "resnet38").unwrap();
    assert!(resnet38["missing"].as_array().unwrap().contains(&"backbone.conv1a.weight".into()));
}

#[test]
fn a_table_names_format_tensors_and_what_does_not_fit() {
    let output = weights(&[&golden("mxnet_v2.params")]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    for part in [
        "MXNet NDArray list, V2 arrays",
        "8 with 196 parameters",
        "linear1000_weight",
        "b4_5.conv_branch2b1.weight   F32   [2, 2, 3, 3]",
        "resnet38 of width 64: does not fit: 183 missing: backbone.b2.bn_branch2b1.bias",
        "8 of another shape: backbone.b2.bn_branch2a.bias (expected [64], found [4])",
    ] {
        assert!(said.contains(part), "'{part}' is not in: {said}");
    }
}

#[test]
fn what_cannot_be_read_is_named_with_its_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cut.pth");
    let bytes = std::fs::read(golden("torch_zip.pth")).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_refused(&weights(&[path.to_str().unwrap()]), 65, &["cut.pth", "fetch it again"]);
    assert_refused(&weights(&[directory.path().to_str().unwrap()]), 65, &["a directory"]);
    assert_refused(&weights(&["absent.pth"]), 78, &["there is no file absent.pth"]);
    assert_refused(&weights(&["--frobnicate"]), 78, &["--frobnicate"]);
    assert_refused(&weights(&[]), 78, &["<FILE>"]);
}

#[test]
fn a_file_that_is_not_there_is_named_with_its_line_before_anything_runs() {
    let world = World::with_experiments("[stage.train-cam]\ninit = \"weights\"\nweights = \"absent.pth#teacher\"\n");
    let output = world.finish("train-cam", &["--check"]);
    assert_refused(&output, 78, &["pipeline.toml:4", "weights", "there is no file 'absent.pth#teacher'"]);
    let pipeline = Pipeline::open(&world.source(&[], vec!["rcm+mam".to_owned()])).unwrap();
    let Err(error) = pipeline.plan(&Selection::default()) else { panic!("it was planned") };
    let why = error.to_string();
    assert!(why.contains("pipeline.toml:4") && why.contains("cannot read 'absent.pth'"), "{why}");
    // Of the file's two networks, the training goes on from the one that is named.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("two.safetensors");
    let vs = nn::VarStore::new(Device::Cpu);
    let config = BackboneConfig { name: BackboneName::ResNet38, width: 4, norm: Norm::Train };
    let _net = Backbone::new(&vs.root(), &config, [0.0; 2]);
    let of = |network: &str| {
        vs.variables().into_iter().map(|(name, tensor)| (format!("{network}.{name}"), tensor)).collect::<Vec<_>>()
    };
    let both: Vec<_> = of("student").into_iter().chain(of("teacher")).collect();
    Tensor::write_safetensors(&both, &path).unwrap();
    let from = |part: &str| format!("train-cam.weights={}{part}", path.display());
    world.commit("prepare-data", &[]);
    let output = world.finish("train-cam", &["--set", &from("")]);
    assert_refused(&output, 65, &["more than one network, 'student' and 'teacher'"]);
    world.commit("train-cam", &["--set", &from("#teacher")]);
}
