//! Kills at random, on the real stages.

use std::path::Path;
use std::process::Command;

use crate::crash::{Site, kill_at_random, rounds};
use crate::world::World;

#[test]
fn kills_at_random_lose_nothing() {
    let world = World::new();
    let binaries = Path::new(env!("CARGO_BIN_EXE_evaluate")).parent().unwrap();
    let camflow = binaries.join("camflow");
    assert!(camflow.is_file(), "{} is not there: run `make build`", camflow.display());
    let (manifest, store) = (world.manifest().to_owned(), world.store());
    let shown = store.clone();
    let start = move || {
        let mut command = Command::new(&camflow);
        command.args(["run", "--experiment", "rcm+mam"]);
        command.arg("--manifest").arg(&manifest).arg("--store").arg(&shown);
        command
    };
    kill_at_random(&Site { camflow: Box::new(start), store }, rounds(3));
}
