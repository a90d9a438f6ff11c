//! The golden files, the rule by which their inputs are rebuilt, and comparisons with a hint.

use std::collections::HashMap;

use tch::{Kind, Tensor, nn};

use crate::folder::find;

/// One golden file.
pub struct Golden {
    tensors: HashMap<String, Tensor>,
    salt: String,
}

impl Golden {
    pub fn open(file: &str) -> Self {
        let path = find(file);
        let bytes = std::fs::read(&path).unwrap_or_else(|why| panic!("cannot read {}: {why}", path.display()));
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a safetensors file");
        let salt = header.metadata().as_ref().and_then(|m| m.get("salt")).cloned().unwrap_or_default();
        let tensors = Tensor::read_safetensors(&path).expect("readable tensors").into_iter().collect();
        Self { tensors, salt }
    }

    pub fn get(&self, name: &str) -> Tensor {
        self.find(name).unwrap_or_else(|| panic!("the golden file has no '{name}'"))
    }

    pub fn find(&self, name: &str) -> Option<Tensor> {
        self.tensors.get(name).map(Tensor::shallow_clone)
    }

    pub fn scalar(&self, name: &str) -> f64 {
        self.get(name).double_value(&[0])
    }

    /// The input of `name`, rebuilt: values in -1..1.
    pub fn input(&self, name: &str, shape: &[i64]) -> Tensor {
        Tensor::from_slice(&values(&format!("{}{name}", self.salt), shape.iter().product())).reshape(shape)
    }

    /// Fills every variable by the rule for its name.
    pub fn fill(&self, vs: &nn::VarStore) {
        tch::no_grad(|| {
            for (name, mut variable) in vs.variables() {
                let size = variable.size();
                let value = self.input(&name, &size);
                let value = if size.len() == 4 {
                    let fan_in: i64 = size[1..].iter().product();
                    value * f64::from((3.0 / fan_in as f64).sqrt() as f32)
                } else if name.ends_with("running_var") {
                    value.abs() * 0.5 + 1.0
                } else if name.ends_with("weight") {
                    value * 0.1 + 1.0
                } else {
                    value * 0.1
                };
                variable.copy_(&value);
            }
        });
    }
}

/// FNV-1a of the name, then splitmix64.
fn values(name: &str, count: i64) -> Vec<f32> {
    let fnv = |h: u64, byte: u8| (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325, fnv);
    let element = |i: u64| {
        let mut z = hash.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..count as u64).map(element).collect()
}

/// Values in -1..1 that depend on `name` alone.
pub fn noise(name: &str, shape: &[i64]) -> Tensor {
    Tensor::from_slice(&values(name, shape.iter().product())).reshape(shape)
}

/// Initial weights that depend on names alone: tests in parallel share torch's generator.
pub fn settle(vs: &nn::VarStore) {
    for (name, mut variable) in vs.variables() {
        let size = variable.size();
        if size.len() == 4 {
            let bound = (6.0 / size[1..].iter().product::<i64>() as f64).sqrt();
            tch::no_grad(|| variable.copy_(&(noise(&name, &size) * bound)));
        }
    }
}

/// The largest difference over the largest magnitude of `expected`.
pub fn relative(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size(), "shapes");
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let magnitude = expected.abs().max().double_value(&[]).max(1e-30);
    (found - expected).abs().max().double_value(&[]) / magnitude
}

/// Panics unless [`relative`] is within `tolerance`.
pub fn assert_close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    let difference = relative(found, expected);
    assert!(
        difference <= tolerance,
        "{what}: differs by {difference:.2e} of the largest magnitude, over {tolerance:.0e}"
    );
}

/// [`assert_close`] of a scalar tensor.
pub fn assert_scalar(what: &str, found: &Tensor, expected: f64, tolerance: f64) {
    assert_close(what, &found.reshape([1]), &Tensor::from_slice(&[expected]), tolerance);
}

/// A copy that gradients are taken to.
pub fn leaf(x: &Tensor) -> Tensor {
    x.copy().set_requires_grad(true)
}
