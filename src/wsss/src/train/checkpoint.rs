//! The whole state of a training run in one safetensors file, and beside it a record with the file's digest, written
//! last: a checkpoint is there whole or not at all. The last two are kept, so that a damaged one falls back to the one
//! before.

use std::fs;
use std::path::{Path, PathBuf};

use artifact::store::{FileRecord, write_atomically, write_atomically_with};
use artifact::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};

use super::loss_hash::LossHash;

const CURVE: &str = "curve";
const TENSORS: &str = "safetensors";
const RECORD: &str = "json";

/// What a checkpoint holds besides the tensors of learner and optimiser.
pub struct Progress {
    /// Optimiser steps done.
    pub step: u64,
    /// Values of the curve so far, one row a step.
    pub curve: Vec<Vec<f64>>,
    /// The rolling hash of that curve.
    pub hash: LossHash,
}

/// What stands beside the tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    step: u64,
    loss_hash: LossHash,
    file: FileRecord,
}

/// Writes named tensors as safetensors: temporary name, sync, rename.
pub fn write(tensors: &[(String, Tensor)], path: &Path) -> Result<FileRecord> {
    // Storage order decides the bytes: a view would be written with its neighbours.
    let plain: Vec<_> = tensors
        .iter()
        .map(|(name, t)| (name, no_grad(|| t.detach().to_device(tch::Device::Cpu).contiguous())))
        .collect();
    write_atomically_with(path, |temporary| {
        Tensor::write_safetensors(&plain, temporary)
            .map_err(|error| Error::Failed(format!("cannot write {}: {error}", path.display())))
    })
}

/// Saves a run's state and removes all but the last two checkpoints.
pub fn save(dir: &Path, state: &[(String, Tensor)], progress: &Progress) -> Result<()> {
    let mut tensors: Vec<_> =
        state.iter().map(|(name, tensor)| (format!("state.{name}"), tensor.shallow_clone())).collect();
    let width = progress.curve.first().map_or(0, Vec::len) as i64;
    let flat: Vec<f64> = progress.curve.iter().flatten().copied().collect();
    tensors.push((CURVE.to_owned(), Tensor::from_slice(&flat).reshape([-1, width.max(1)])));
    let path = dir.join(format!("checkpoint-{:010}.{TENSORS}", progress.step));
    let record = Record { step: progress.step, loss_hash: progress.hash, file: write(&tensors, &path)? };
    write_atomically(&path.with_extension(RECORD), &serde_json::to_vec(&record).expect("a record is JSON"))?;
    // The records go first: tensors without one are no checkpoint.
    for kind in [RECORD, TENSORS] {
        for old in all(dir, kind).iter().rev().skip(2) {
            fs::remove_file(old).map_err(Error::io("remove", old))?;
        }
    }
    Ok(())
}

/// Restores the newest checkpoint that reads whole into `state`, in place. The second value names damaged ones.
pub fn restore(dir: &Path, state: &[(String, Tensor)]) -> (Option<Progress>, Vec<String>) {
    let mut damaged = Vec::new();
    for path in all(dir, RECORD).iter().rev() {
        match read(path, state) {
            Ok(progress) => return (Some(progress), damaged),
            Err(reason) => damaged.push(format!("{}: {reason}", path.display())),
        }
    }
    (None, damaged)
}

fn read(path: &Path, state: &[(String, Tensor)]) -> Result<Progress, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let record: Record = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let file = path.with_extension(TENSORS);
    if !record.file.matches(&file).map_err(|error| error.to_string())? {
        return Err("the digest of its tensors differs".to_owned());
    }
    let tensors = Tensor::read_safetensors(file).map_err(|error| error.to_string())?;
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
    let curve = find(CURVE).filter(|tensor| tensor.dim() == 2).ok_or_else(|| missing(CURVE))?;
    let curve = Vec::<Vec<f64>>::try_from(&curve.to_kind(Kind::Double)).map_err(|error| error.to_string())?;
    let hash = LossHash::of(&curve);
    if (curve.len() as u64, hash) != (record.step, record.loss_hash) {
        return Err("its losses are not those of its steps".to_owned());
    }
    no_grad(|| copies.into_iter().for_each(|(tensor, saved)| tensor.shallow_clone().copy_(saved)));
    Ok(Progress { step: record.step, curve, hash })
}

/// The files of one kind, the oldest first.
fn all(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_checkpoint = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("checkpoint-") && path.extension().is_some_and(|found| found == kind)
    };
    let mut paths: Vec<_> = names.filter(is_checkpoint).collect();
    paths.sort();
    paths
}
