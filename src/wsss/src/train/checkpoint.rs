//! The whole state of a training run in one safetensors file, written whole or not at all. The last two are kept: a
//! damaged one falls back to the one before.

use std::fs;
use std::path::{Path, PathBuf};

use artifact::{Error, Result};
use tch::{Kind, Tensor, no_grad};

const STEP: &str = "step";
const CURVE: &str = "curve";

/// What a checkpoint holds besides the tensors of learner and optimiser.
pub struct Progress {
    /// Optimiser steps done.
    pub step: u64,
    /// Values of the curve so far, one row a step.
    pub curve: Vec<Vec<f64>>,
}

/// Writes named tensors as safetensors: temporary name, sync, rename.
pub fn write(tensors: &[(String, Tensor)], path: &Path) -> Result<()> {
    let temporary = path.with_extension("tmp");
    // Storage order decides the bytes: a view would be written with its neighbours.
    let plain: Vec<_> = tensors
        .iter()
        .map(|(name, t)| (name, no_grad(|| t.detach().to_device(tch::Device::Cpu).contiguous())))
        .collect();
    Tensor::write_safetensors(&plain, &temporary)
        .map_err(|error| Error::Failed(format!("cannot write {}: {error}", path.display())))?;
    let moved = fs::File::open(&temporary).and_then(|file| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    moved.map_err(Error::io("write", path))
}

/// Saves a run's state and removes all but the last two checkpoints.
pub fn save(dir: &Path, state: &[(String, Tensor)], progress: &Progress) -> Result<()> {
    let mut tensors: Vec<_> =
        state.iter().map(|(name, tensor)| (format!("state.{name}"), tensor.shallow_clone())).collect();
    let width = progress.curve.first().map_or(0, Vec::len) as i64;
    let flat: Vec<f64> = progress.curve.iter().flatten().copied().collect();
    tensors.push((STEP.to_owned(), Tensor::from_slice(&[progress.step as i64])));
    tensors.push((CURVE.to_owned(), Tensor::from_slice(&flat).reshape([-1, width.max(1)])));
    write(&tensors, &dir.join(format!("checkpoint-{:010}.safetensors", progress.step)))?;
    for old in all(dir).iter().rev().skip(2) {
        fs::remove_file(old).map_err(Error::io("remove", old))?;
    }
    Ok(())
}

/// Restores the newest checkpoint that reads whole into `state`, in place. The second value names damaged ones.
pub fn restore(dir: &Path, state: &[(String, Tensor)]) -> (Option<Progress>, Vec<String>) {
    let mut damaged = Vec::new();
    for path in all(dir).iter().rev() {
        match read(path, state) {
            Ok(progress) => return (Some(progress), damaged),
            Err(reason) => damaged.push(format!("{}: {reason}", path.display())),
        }
    }
    (None, damaged)
}

fn read(path: &Path, state: &[(String, Tensor)]) -> Result<Progress, String> {
    let tensors = Tensor::read_safetensors(path).map_err(|error| error.to_string())?;
    let find = |name: &str| tensors.iter().find(|(found, _)| found == name).map(|(_, tensor)| tensor);
    let missing = |name: &str| format!("has no '{name}'");
    // Everything is looked up before anything is copied: a bad file changes nothing.
    let mut copies = Vec::new();
    for (name, tensor) in state {
        let saved = find(&format!("state.{name}")).ok_or_else(|| missing(name))?;
        if saved.size() != tensor.size() || saved.kind() != tensor.kind() {
            return Err(format!("'{name}' has another shape"));
        }
        copies.push((tensor, saved));
    }
    let step = find(STEP).filter(|tensor| tensor.numel() == 1).ok_or_else(|| missing(STEP))?.int64_value(&[0]) as u64;
    let curve = find(CURVE).filter(|tensor| tensor.dim() == 2).ok_or_else(|| missing(CURVE))?;
    let curve = Vec::<Vec<f64>>::try_from(&curve.to_kind(Kind::Double)).map_err(|error| error.to_string())?;
    no_grad(|| copies.into_iter().for_each(|(tensor, saved)| tensor.shallow_clone().copy_(saved)));
    Ok(Progress { step, curve })
}

fn all(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_checkpoint = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("checkpoint-") && name.ends_with(".safetensors")
    };
    let mut paths: Vec<_> = names.filter(is_checkpoint).collect();
    paths.sort();
    paths
}
