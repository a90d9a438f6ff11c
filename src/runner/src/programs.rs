//! The stage binaries and what they say of themselves.
//!
//! Starting a stage loads libtorch (0.2 s), so descriptions are remembered by (stage, binary, size, time of change) in
//! the store's `describe.json`. Losing that file costs time only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::UNIX_EPOCH;

use artifact::store::write_atomically;
use artifact::{Error, Result, Store};
use serde::{Deserialize, Serialize};
use stage::{Contents, Description};

/// Environment variable that names the directory of the stage binaries.
const BIN_DIR_VARIABLE: &str = "CAMFLOW_BIN_DIR";

/// The binaries of the stages in question.
#[derive(Debug)]
pub(crate) struct Programs {
    by_stage: BTreeMap<String, Program>,
}

/// A stage binary.
#[derive(Debug)]
pub(crate) struct Program {
    /// Where it is.
    pub binary: PathBuf,
    /// What it says of itself.
    pub description: Description,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Remembered {
    size: u64,
    changed_ns: u64,
    description: Description,
}

impl Programs {
    /// Finds the binaries of `stages` and learns what they say of themselves.
    pub fn load(stages: &BTreeSet<String>, bin_dir: Option<&Path>, store: &Store) -> Result<Self> {
        let dir = directory(bin_dir)?;
        let file = store.root().join("work/describe.json");
        let mut memory: BTreeMap<String, Remembered> =
            fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let binaries = stages.iter().map(|stage| find(&dir, stage).map(|binary| (stage, binary)));
        let binaries = binaries.collect::<Result<Vec<_>>>()?;
        let known = thread::scope(|scope| {
            let memory = &memory;
            let asked: Vec<_> =
                binaries.iter().map(|(stage, binary)| scope.spawn(move || remember(stage, binary, memory))).collect();
            asked.into_iter().map(|thread| thread.join().expect("no panic in this thread")).collect::<Result<Vec<_>>>()
        })?;
        let mut programs = Self { by_stage: BTreeMap::new() };
        let mut learned = false;
        for ((stage, binary), (name, entry)) in binaries.into_iter().zip(known) {
            if memory.get(&name) != Some(&entry) {
                memory.insert(name, entry.clone());
                learned = true;
            }
            programs.by_stage.insert(stage.clone(), Program { binary, description: entry.description });
        }
        if learned {
            // Only a saving: a store that cannot be written to can still be planned on.
            let _ = write_atomically(&file, &serde_json::to_vec(&memory).expect("descriptions are JSON"));
        }
        Ok(programs)
    }

    /// The binary of a stage that `load` was asked for.
    pub fn of(&self, name: &str) -> Result<&Program> {
        self.by_stage.get(name).ok_or_else(|| Error::Config(format!("no stage '{name}'")))
    }

    /// What each stage writes.
    pub fn written(&self) -> impl Iterator<Item = (&str, &Contents)> {
        self.by_stage.iter().map(|(name, program)| (name.as_str(), &program.description.writes))
    }
}

/// The directory in which the stage binaries are.
fn directory(bin_dir: Option<&Path>) -> Result<PathBuf> {
    if let Some(dir) = bin_dir {
        return Ok(dir.to_owned());
    }
    match std::env::var_os(BIN_DIR_VARIABLE) {
        Some(dir) if !dir.is_empty() => Ok(PathBuf::from(dir)),
        _ => own_directory(),
    }
}

/// The directory of the running program.
fn own_directory() -> Result<PathBuf> {
    let program = std::env::current_exe().map_err(Error::io("find", Path::new("the running program")))?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
}

fn find(dir: &Path, stage: &str) -> Result<PathBuf> {
    let candidates = [stage.to_owned(), stage.replace('-', "_")].map(|name| dir.join(name));
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        let dir = dir.display();
        Error::Config(format!(
            "stage '{stage}' has no binary in {dir}; correct the name, build it, or name its directory with --bin-dir"
        ))
    })
}

/// The entry of a binary: the one in memory if the binary is still the same, else by starting it.
fn remember(stage: &str, binary: &Path, memory: &BTreeMap<String, Remembered>) -> Result<(String, Remembered)> {
    let path = fs::canonicalize(binary).map_err(Error::io("find", binary))?;
    let meta = fs::metadata(&path).map_err(Error::io("read", &path))?;
    let changed = meta.modified().map_err(Error::io("read the time of", &path))?;
    let changed_ns = changed.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let name = format!("{stage} {}", path.display());
    if let Some(known) = memory.get(&name)
        && (known.size, known.changed_ns) == (meta.len(), changed_ns)
    {
        return Ok((name, known.clone()));
    }
    let description = describe(stage, binary)?;
    Ok((name, Remembered { size: meta.len(), changed_ns, description }))
}

fn describe(stage: &str, binary: &Path) -> Result<Description> {
    let output = Command::new(binary).arg("--describe").output().map_err(Error::io("start", binary))?;
    let binary = binary.display();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Failed(format!("{binary} --describe failed ({}): {}", output.status, said.trim())));
    }
    let description: Description = serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::Failed(format!("{binary} --describe printed no description of a stage: {error}")))?;
    if description.name != stage {
        let name = &description.name;
        return Err(Error::Config(format!("{binary} is the binary of stage '{name}', not of '{stage}'")));
    }
    Ok(description)
}
