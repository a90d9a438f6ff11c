//! `camflow export model`: a network as a file, used by other programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use artifact::Artifact;
use data::codec::{Rgb, decode_mask, encode_png};
use serde_json::{Value, json};
use tch::{Device, Tensor, nn};
use wsss::export::Model;
use wsss::method::cam::upsample;
use wsss::model::{BackboneConfig, BackboneName, CamNet, CamNetConfig, DeepLab, Mode, Norm};
use wsss::tensor::{floats, of_photo};

use crate::peers;
use crate::shop::Shop;
use crate::world::assert_refused;

/// A store with a trained DeepLab and a classifier, and a picture.
fn networks() -> (Shop, [Artifact; 2], Rgb) {
    let shop = Shop::new(&["cat", "cow", "dog"], &["a", "b"]);
    let name = BackboneName::EfficientNetLite0;
    let backbone = BackboneConfig { name, width: 4, norm: Norm::Frozen };
    let vs = nn::VarStore::new(Device::Cpu);
    let _net = DeepLab::new(&vs.root(), &backbone, 4, 8);
    let deeplab = shop.publish_file(
        "train-deeplab",
        json!({ "backbone": backbone, "hidden": 8, "split": "train" }),
        "deeplab.safetensors",
        &vs,
    );
    let vs = nn::VarStore::new(Device::Cpu);
    let _net = CamNet::new(&vs.root(), &CamNetConfig { backbone: backbone.clone(), features: 8, classes: 3 });
    let cam_net = shop.publish_file(
        "train-cam",
        json!({ "backbone": backbone, "features": 8, "split": "train" }),
        "cam_net.safetensors",
        &vs,
    );
    let pixels = (0..61 * 90 * 3).map(|i| ((i * i / 7 + i * 13) % 256) as u8).collect();
    (shop, [deeplab, cam_net], Rgb { height: 61, width: 90, pixels })
}

/// Our logits of a picture, `[4, H, W]`.
fn logits(model: &Model, photo: &Rgb) -> Tensor {
    let net = model.deeplab(Device::Cpu).unwrap();
    let logits = tch::no_grad(|| net.forward(&of_photo(photo), Mode::Eval));
    upsample(&logits, [photo.height as i64, photo.width as i64]).squeeze_dim(0)
}

/// The values of a picture, as float32 `[1, 3, H, W]`.
fn values(photo: &Rgb) -> Vec<f32> {
    (0..3).flat_map(|channel| photo.pixels.iter().skip(channel).step_by(3).map(|value| f32::from(*value))).collect()
}

#[test]
fn an_exported_network_knows_its_classes_and_gives_our_logits() {
    let (shop, [deeplab, cam_net], photo) = networks();
    for (artifact, name) in [(&deeplab, "deeplab"), (&cam_net, "cam")] {
        for ending in ["onnx", "safetensors"] {
            let file = format!("{name}.{ending}");
            let facts = shop.exported("model", artifact, &[&file]);
            assert_eq!(facts["classes"], json!(["background", "cat", "cow", "dog"]));
            let written = fs::read(shop.path(&file)).unwrap();
            shop.exported("model", artifact, &[&file]);
            assert!(fs::read(shop.path(&file)).unwrap() == written, "{file} is another one each time");
        }
    }
    let model = Model::read(&shop.path("deeplab.safetensors")).unwrap();
    assert_eq!(model.about, Model::of(&deeplab, None).unwrap().about);
    assert!(Model::read(&shop.path("cam.safetensors")).unwrap().classifier(Device::Cpu).is_ok());

    let values: Vec<u8> = values(&photo).iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(shop.path("picture"), values).unwrap();
    let outputs = |names: &[&str]| -> BTreeMap<String, PathBuf> {
        names.iter().map(|name| ((*name).to_owned(), shop.path(name))).collect()
    };
    let picture =
        |names: &[&str]| json!([{ "file": shop.path("picture"), "shape": [1, 3, 61, 90], "outputs": outputs(names) }]);
    let tasks = json!([
        { "model": shop.path("cam.onnx"), "pictures": picture(&["cam", "logits"]) },
        { "model": shop.path("deeplab.onnx"), "pictures": picture(&["logits"]) },
    ]);
    let facts: Value = serde_json::from_str(&peers::python("networks.py", &[], &tasks.to_string())).unwrap();
    let metadata = |network: usize, name: &str| -> Value {
        serde_json::from_str(facts[network]["metadata"][name].as_str().unwrap()).unwrap()
    };
    assert_eq!(metadata(0, "classes"), json!(["cat", "cow", "dog"]));
    assert_eq!(metadata(1, "classes"), json!(["background", "cat", "cow", "dog"]));
    assert_eq!(metadata(1, "palette"), json!([[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]));
    assert_eq!((metadata(1, "stride"), &facts[1]["metadata"]["kind"]), (json!(8), &json!("deeplab")));
    assert_eq!(metadata(1, "camflow")["provenance"]["key"], deeplab.record().key.as_str());
    let ours = floats(&logits(&model, &photo));
    let theirs = fs::read(shop.path("logits")).unwrap();
    let theirs: Vec<f32> = theirs.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    assert_eq!(ours.len(), theirs.len());
    assert!(ours.iter().zip(&theirs).all(|(ours, theirs)| (ours - theirs).abs() < 1e-4));

    assert_refused(&shop.export("model", &deeplab, &["net.pth"]), 78, &["end the name so"]);
    assert_refused(&shop.export("model", shop.dataset.as_ref().unwrap(), &["d.onnx"]), 78, &["neither a DeepLab nor"]);
    fs::write(shop.path("deeplab.py"), "mine").unwrap();
    let refused = shop.export("model", &deeplab, &["again.safetensors"]);
    assert_refused(&refused, 78, &["deeplab.py is there and differs"]);
    assert_eq!(fs::read(shop.path("deeplab.py")).unwrap(), b"mine");
}

#[test]
#[ignore = "needs PyTorch and Pillow: make peers-torch PYTHON=…"]
fn deeplab_py_paints_our_mask() {
    let (shop, [deeplab, cam_net], photo) = networks();
    shop.exported("model", &deeplab, &["deeplab.safetensors"]);
    shop.exported("model", &cam_net, &["cam.safetensors"]);
    fs::write(shop.path("picture.png"), encode_png(&photo)).unwrap();
    let python = |arguments: &[&str]| {
        let program = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        let output = Command::new(program).current_dir(shop.path("")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = python(&["deeplab.py", "deeplab.safetensors", "picture.png", "mask.png"]);
    assert!(said.contains('%'), "{said}");
    let model = Model::of(&deeplab, None).unwrap();
    let ours: Vec<i64> = Vec::try_from(logits(&model, &photo).argmax(0, false).view(-1)).unwrap();
    let theirs = decode_mask(&fs::read(shop.path("mask.png")).unwrap()).unwrap();
    let same = ours.iter().zip(&theirs.classes).filter(|(ours, theirs)| **ours == i64::from(**theirs)).count();
    assert_eq!(same, photo.height * photo.width);
    assert_eq!(python(&["deeplab.py", "cam.safetensors", "picture.png"]).lines().count(), 3);
    let task = json!([{ "model": shop.path("cam.safetensors"), "pictures": [] }]);
    let about = peers::own_python("networks.py", &[shop.path("").to_str().unwrap()], &task.to_string());
    let about: Value = serde_json::from_str(&about).unwrap();
    assert_eq!(about[0]["classes"], json!(["background", "cat", "cow", "dog"]));
}
