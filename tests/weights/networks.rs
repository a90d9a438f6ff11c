//! Which network of a file is taken, under which names, and that two are never taken for one.

use std::fs;
use std::path::{Path, PathBuf};

use artifact::{Error, Fingerprints};
use data::weights::Weights;

use crate::files::{Pickle, View, golden, legacy, read};

/// A tensor of one element, which is the `index`-th storage.
fn one(pickle: Pickle, index: usize) -> Pickle {
    let key = index.to_string();
    pickle.tensor(&View { key: &key, count: 1, part: None, offset: 0, shape: &[1], strides: &[1] })
}

/// A checkpoint of `torch.save`: each network is a dict of tensors `names`, whose values count up from 0 over all.
fn checkpoint(networks: &[(&str, &[&str])]) -> Vec<u8> {
    let (mut object, mut count) = (Pickle::new().raw(b"}("), 0);
    for (network, names) in networks {
        object = object.text(network).raw(b"}(");
        for name in *names {
            (object, count) = (one(object.text(name), count), count + 1);
        }
        object = object.raw(b"u");
    }
    let keys: Vec<String> = (0..count).map(|index| index.to_string()).collect();
    let values: Vec<[f32; 1]> = (0..count).map(|index| [index as f32]).collect();
    let storages: Vec<(&str, &[f32])> =
        keys.iter().map(String::as_str).zip(values.iter().map(<[f32; 1]>::as_slice)).collect();
    legacy(&object.text("epoch").raw(b"K\x03u").stop(), &storages)
}

/// A `.safetensors` file of tensors of one element, whose values count up from `first`.
fn safetensors(names: &[&str], first: u8) -> Vec<u8> {
    let values: Vec<[u8; 4]> = (0..names.len()).map(|index| f32::from(first + index as u8).to_le_bytes()).collect();
    let views = names.iter().zip(&values).map(|(name, value)| {
        (*name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], value).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// Names and values.
fn held(weights: &Weights) -> Vec<(&str, f32)> {
    weights.tensors().iter().map(|(name, stored)| (name.as_str(), weights.values(stored)[0])).collect()
}

/// The answer for `path`, which must be a refusal.
fn refused(path: &Path) -> String {
    match Weights::read(path) {
        Err(Error::Data(why)) => why,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

fn file(directory: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// `path#network`.
fn of(path: &Path, network: &str) -> PathBuf {
    format!("{}#{network}", path.display()).into()
}

#[test]
fn the_one_network_is_found_under_any_usual_name() {
    let expected = [("bn.bias", 1.0), ("conv.weight", 0.0)];
    for names in [
        &["conv.weight", "bn.bias"][..],
        &["module.conv.weight", "module.bn.bias"],
        &["_orig_mod.conv.weight", "_orig_mod.bn.bias"],
        &["net.conv.weight", "net.bn.bias"],
        &["module._orig_mod.model.conv.weight", "module._orig_mod.model.bn.bias"],
        &["state_dict.net.module.conv._orig_mod.weight", "state_dict.net.module.bn._orig_mod.bias"],
    ] {
        assert_eq!(held(&read(&safetensors(names, 0))), expected, "{names:?}");
        for network in ["state_dict", "model", "net", "model_state_dict", "student", "ema"] {
            let weights = read(&checkpoint(&[(network, names)]));
            assert_eq!(held(&weights), expected, "{network} of {names:?}");
            assert_eq!(weights.beside(), ["epoch (a number)"]);
        }
    }
    // Names that only begin like those stay as they are.
    let kept = ["network_of_mine.weight", "model2.weight", "modules.weight", "backbone.weight"];
    let mut sorted = kept;
    sorted.sort_unstable();
    assert_eq!(read(&safetensors(&kept, 0)).tensors().keys().collect::<Vec<_>>(), sorted);
}

#[test]
fn of_two_networks_the_path_says_which() {
    let directory = tempfile::tempdir().unwrap();
    let names: &[&str] = &["module.backbone.w"];
    let nested = checkpoint(&[("student", names), ("teacher", names), ("optimizer", &["w.exp_avg"])]);
    for path in [
        file(&directory, "dino.pth", &nested),
        file(&directory, "dino.safetensors", &safetensors(&["student.backbone.w", "teacher.backbone.w"], 0)),
    ] {
        let why = refused(&path);
        assert!(why.contains("more than one network, 'student' and 'teacher': say which, as in FILE#student"), "{why}");
        for (network, value) in [("student", 0.0), ("teacher", 1.0)] {
            assert_eq!(held(&Weights::read(&of(&path, network)).unwrap()), [("backbone.w", value)]);
        }
        let why = refused(&of(&path, "tutor"));
        assert!(why.contains("no network 'tutor'") && why.contains("student, teacher"), "{why}");
    }
    let weights = Weights::read(&of(&directory.path().join("dino.pth"), "teacher")).unwrap();
    assert_eq!(weights.beside(), ["epoch (a number)", "optimizer", "student"]);
    // A network within another, and any name at all if it is asked for.
    let deep = file(&directory, "deep.pth", &checkpoint(&[("state_dict", &["teacher.w", "student.w", "odd.w"])]));
    for (network, value) in [("teacher", 0.0), ("state_dict.student", 1.0), ("odd", 2.0)] {
        assert_eq!(held(&Weights::read(&of(&deep, network)).unwrap()), [("w", value)], "{network}");
    }
    // A file whose own name has the sign.
    let sharp = file(&directory, "a#b.safetensors", &safetensors(&["w"], 5));
    assert_eq!(held(&Weights::read(&sharp).unwrap()), [("w", 5.0)]);
}

#[test]
fn each_network_of_a_file_has_a_fingerprint_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "two.pth", &checkpoint(&[("student", &["w"]), ("teacher", &["w"])]));
    let fingerprints = Fingerprints::open(directory.path());
    let digests = ["", "#student", "#teacher"]
        .map(|part| fingerprints.digest(Path::new(&format!("{}{part}", path.display()))).unwrap());
    assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2], "{digests:?}");
    fs::write(&path, checkpoint(&[("student", &["w"]), ("teacher", &["w", "v"])])).unwrap();
    assert_ne!(fingerprints.digest(&of(&path, "teacher")).unwrap(), digests[2]);
}

#[test]
fn shards_are_one_file_and_the_index_names_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let index = |map: &str| {
        let text = format!("{{\"metadata\": {{\"total_size\": 12}}, \"weight_map\": {{{map}}}}}");
        file(&directory, "model.safetensors.index.json", text.as_bytes())
    };
    let map = r#""model.a": "1.safetensors", "model.b": "1.safetensors", "model.c": "2.safetensors""#;
    file(&directory, "1.safetensors", &safetensors(&["model.a", "model.b"], 1));
    let path = index(map);
    assert!(refused(&path).contains("its shard 2.safetensors is not beside it"));
    let second = file(&directory, "2.safetensors", &safetensors(&["model.c", "model.unlisted"], 3));
    assert_eq!(held(&Weights::read(&path).unwrap()), [("a", 1.0), ("b", 2.0), ("c", 3.0)]);

    // What the shards hold is in the fingerprint, though the path is the index's.
    let fingerprints = Fingerprints::open(directory.path());
    let before = fingerprints.digest(&path).unwrap();
    fs::write(&second, safetensors(&["model.c"], 4)).unwrap();
    assert_ne!(fingerprints.digest(&path).unwrap(), before);

    for (map, why) in [
        (r#""model.d": "2.safetensors""#, "'model.d' is not in its shard 2.safetensors"),
        (r#""model.d": "../2.safetensors""#, "does not lie beside it"),
        ("", "names none"),
    ] {
        assert!(refused(&index(map)).contains(why), "{why}");
    }
    fs::write(&path, "{").unwrap();
    assert!(refused(&path).contains("no index of shards"));
}

#[test]
fn objects_beside_the_tensors_are_left_and_named() {
    for file in ["objects_zip.pth", "objects_zip_protocol4.pth", "objects_legacy.pth"] {
        let weights = read(&golden(file));
        let values: Vec<(&str, Vec<f32>)> =
            weights.tensors().iter().map(|(name, stored)| (name.as_str(), weights.values(stored))).collect();
        assert_eq!(values, [("b", vec![6.0, 7.0, 8.0]), ("w", vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0])], "{file}");
        let beside = weights.beside().join(", ");
        for part in
            ["args (argparse.Namespace)", "counter (collections.Counter)", "best (numpy", "path (pathlib", "set ("]
        {
            assert!(beside.contains(part), "'{part}' is not in: {beside}");
        }
    }
}

#[test]
fn dicts_that_hold_themselves_come_to_an_end() {
    // {"a": the same dict, "w": a tensor}
    let circle = one(Pickle::new().raw(b"}q\x00(").text("a").raw(b"h\x00").text("w"), 0).raw(b"u").stop();
    let weights = read(&legacy(&circle, &[("0", &[1.0])]));
    assert!(weights.tensors().contains_key("w") && weights.tensors().len() <= 8);
    // Each dict holds the one before it ten times, under long names.
    let mut object = one(Pickle::new().raw(b"}").text("w"), 0).raw(b"sq\x00");
    for level in 1_u8..8 {
        object = object.raw(b"}(");
        for index in 0..10 {
            object = object.text(&format!("{index}{}", "x".repeat(200))).raw(&[b'h', level - 1]);
        }
        object = object.raw(&[b'u', b'q', level]);
    }
    let why = Weights::parse(legacy(&object.stop(), &[("0", &[1.0])]), "given").unwrap_err().to_string();
    assert!(why.contains("no state dict"), "{why}");
}
