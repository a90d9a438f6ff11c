//! Real files of every format hold the tensors they were written from, bit for bit.

use std::collections::BTreeSet;

use data::weights::{Dtype, Format, Weights, published};

use crate::files::{golden, read, refused};
use crate::mxnet::mxnet;

/// Asserts that `found` has `name` as `expected` has it.
fn assert_same(found: &Weights, expected: &Weights, name: &str) {
    let (left, right) = (&found.tensors()[name], &expected.tensors()[name]);
    assert_eq!((left.dtype(), left.shape()), (right.dtype(), right.shape()), "{name}");
    assert_eq!(found.elements(left), expected.elements(right), "{name}");
}

fn names(weights: &Weights) -> BTreeSet<&str> {
    weights.tensors().keys().map(String::as_str).collect()
}

#[test]
fn safetensors_are_read_as_the_crate_reads_them() {
    for name in ["expected.safetensors", "checkpoint.safetensors"] {
        let bytes = golden(name);
        let (found, expected) = (read(&bytes), safetensors::SafeTensors::deserialize(&bytes).unwrap());
        assert_eq!(found.format(), Format::Safetensors);
        assert_eq!(found.tensors().len(), expected.len());
        for (name, view) in expected.iter() {
            let stored = &found.tensors()[name];
            assert_eq!((stored.shape(), stored.dtype().to_string()), (view.shape(), format!("{:?}", view.dtype())));
            assert_eq!(*found.elements(stored), *view.data(), "{name}");
        }
    }
}

#[test]
fn pytorch_files_hold_what_was_saved() {
    for (expected, files) in [
        (
            "expected.safetensors",
            [("torch_zip.pth", Format::TorchZip), ("torch_legacy_module.pth", Format::TorchLegacy)].as_slice(),
        ),
        (
            "checkpoint.safetensors",
            &[
                ("checkpoint_zip.pth", Format::TorchZip),
                ("checkpoint_zip_protocol4.pth", Format::TorchZip),
                ("checkpoint_legacy.pth", Format::TorchLegacy),
                ("checkpoint_legacy_protocol4.pth", Format::TorchLegacy),
            ],
        ),
    ] {
        let expected = read(&golden(expected));
        for (file, format) in files {
            let found = read(&golden(file));
            assert_eq!((found.format(), names(&found)), (*format, names(&expected)), "{file}");
            for name in names(&expected) {
                assert_same(&found, &expected, name);
            }
        }
    }
}

#[test]
fn mxnet_files_hold_the_same_in_every_layout() {
    let expected = read(&golden("expected.safetensors"));
    let v2 = golden("mxnet_v2.params");
    let reference = read(&v2);
    // V3 is V2 under another number, but for scalars.
    let mut v3 = v2.clone();
    assert_eq!(v3[24..28], 0xF993_FAC9_u32.to_le_bytes());
    v3[24] = 0xCA;
    for (bytes, format) in [
        (golden("mxnet_legacy.params"), Format::MxNetLegacy),
        (golden("mxnet_v1.params"), Format::MxNetV1),
        (v2.clone(), Format::MxNetV2),
        (v3, Format::MxNetV3),
    ] {
        let found = read(&bytes);
        assert_eq!((found.format(), names(&found)), (format, names(&reference)));
        assert_eq!(found.skipped(), ["linear1000_weight"]);
        for name in names(&reference) {
            assert_same(&found, &reference, name);
        }
        for name in [
            "conv1a.weight",
            "b2.conv_branch1.weight",
            "b2.bn_branch2a.weight",
            "b2.bn_branch2a.bias",
            "b2.bn_branch2a.running_mean",
            "b2.bn_branch2a.running_var",
        ] {
            assert_same(&found, &expected, name);
        }
        assert!(["b4_5.conv_branch2b1.weight", "bn7.weight"].iter().all(|name| names(&found).contains(name)));
    }
}

#[test]
fn only_since_v3_has_an_mxnet_array_without_axes_a_value() {
    let file = |magic: u32| {
        let array = [magic, 0, 0, 1, 0, 0, 1.5_f32.to_bits()].map(u32::to_le_bytes).concat();
        [[0x112_u64, 0, 1].map(u64::to_le_bytes).concat(), array, [1_u64, 1].map(u64::to_le_bytes).concat(), vec![b's']]
            .concat()
    };
    let scalar = read(&file(0xF993_FACA));
    assert_eq!((scalar.tensors()["s"].shape(), scalar.values(&scalar.tensors()["s"])), ([].as_slice(), vec![1.5]));
    assert!(refused(&file(0xF993_FAC9)).contains("array 0 of 1: has no shape"));
}

#[test]
fn every_type_becomes_floats() {
    let checkpoint = read(&golden("checkpoint_zip.pth"));
    let values = |name: &str| checkpoint.values(&checkpoint.tensors()[name]);
    for integer in ["int64", "int32", "int16", "int8", "uint8", "bool"] {
        assert_eq!(values(&format!("type.torch.{integer}")), [0.0, 1.0, 1.0], "{integer}");
    }
    assert_eq!(values("scalar"), [1.5]);
    assert!(values("empty").is_empty());
    for (name, dtype, digits) in
        [("float64", Dtype::F64, 53), ("float16", Dtype::F16, 11), ("bfloat16", Dtype::Bf16, 8)]
    {
        let name = format!("type.torch.{name}");
        assert_eq!(checkpoint.tensors()[&name].dtype(), dtype);
        for value in values(&name) {
            // Drawn from a normal distribution, and with no more binary digits than the type has.
            let mantissa = (value / 2_f32.powi(value.abs().log2().floor() as i32)) * 2_f32.powi(digits.min(24) - 1);
            assert!(value != 0.0 && value.abs() < 6.0 && mantissa.fract() == 0.0, "{name}: {value}");
        }
    }
}

#[test]
fn a_published_file_is_known_by_its_md5() {
    // What md5sum says of the smallest safetensors file.
    assert_eq!(read(b"\x02\0\0\0\0\0\0\0{}").md5(), "808e0f83570c2c8dc3f8e866b5004874");
    let name = published("ff21f45d6bf03284100dcbec571edfad").unwrap();
    assert!(name.contains("ilsvrc-cls_rna-a1_cls1000_ep-0001.params") && name.contains("ResNet38"), "{name}");
    assert_eq!(published("808e0f83570c2c8dc3f8e866b5004874"), None);
}

#[test]
fn names_that_only_look_like_mxnets_stay_as_they_are() {
    for name in
        ["fc1_weight", "res2_branch1_weight", "resnet_a", "bn_data_gamma", "bn2a_branch2a_running", "conv1a_bias"]
    {
        let weights = read(&mxnet(&[(format!("arg:{name}"), vec![1], vec![1.0])]));
        assert_eq!(weights.tensors().keys().collect::<Vec<_>>(), [name]);
    }
    let clash = mxnet(&["arg:bn7_gamma", "bn7.weight"].map(|name| (name.to_owned(), vec![1], vec![1.0])));
    assert!(refused(&clash).contains("holds 'bn7.weight' twice"));
}
