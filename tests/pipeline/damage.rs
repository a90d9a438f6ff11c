//! Every file of every artifact damaged: named, set aside, computed anew to the same rows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use artifact::store::RECORD_FILE;
use artifact::{Artifact, Store};

use crate::world::World;

fn camflow(world: &World, command: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_evaluate")).with_file_name("camflow");
    let mut run = Command::new(program);
    run.args([command, "--experiment", "rcm+mam"]).arg("--manifest").arg(world.manifest());
    run.arg("--store").arg(world.store()).output().expect("camflow runs: `make build` makes it")
}

fn artifacts(world: &World) -> Vec<Artifact> {
    let store = Store::open(&world.store()).unwrap();
    store.stages().unwrap().iter().flat_map(|stage| store.artifacts(stage).unwrap()).collect()
}

fn digests(world: &World) -> Vec<String> {
    artifacts(world).iter().map(|artifact| artifact.record().digest.clone()).collect()
}

/// The files of an artifact, its record among them.
fn files(artifact: &Artifact) -> Vec<PathBuf> {
    let record = artifact.record();
    let parts = record.tables.values().flat_map(|table| &table.parts).map(|part| part.file.clone());
    let names = parts.chain(record.files.keys().cloned()).chain([RECORD_FILE.to_owned()]);
    names.map(|name| artifact.dir().join(name)).collect()
}

/// Changes one bit and leaves the size.
pub fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

/// Cuts a file to half.
pub fn cut(file: &Path) {
    let length = fs::metadata(file).unwrap().len();
    fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
}

#[test]
fn no_damaged_file_is_read_as_good() {
    let world = World::new();
    assert!(camflow(&world, "run").status.success());
    let expected = digests(&world);
    assert_eq!(expected.len(), 8, "one artifact a stage");
    for damage in [flip as fn(&Path), cut] {
        // The n-th file of every artifact at once, until no artifact has so many.
        for n in 0.. {
            let damaged: Vec<_> = artifacts(&world).iter().filter_map(|a| files(a).into_iter().nth(n)).collect();
            if damaged.is_empty() {
                break;
            }
            for file in &damaged {
                damage(file);
            }
            let verified = camflow(&world, "verify");
            let said = String::from_utf8_lossy(&verified.stdout);
            assert_eq!(verified.status.code(), Some(69), "{said}");
            for file in &damaged {
                assert!(said.contains(&*file.to_string_lossy()), "{} is not named: {said}", file.display());
            }
            let run = camflow(&world, "run");
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
            assert_eq!(digests(&world), expected, "file {n}");
        }
    }
}
