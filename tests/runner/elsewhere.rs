//! A store of which a part is on another disk, and paths that are written with a home or a variable.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use artifact::failpoint::VARIABLE;
use tempfile::TempDir;

use crate::world::{Ended, World, end};

/// A directory on another file system than the tests' own; `None` where there is none.
fn other_disk(world: &World) -> Option<TempDir> {
    let device = |path: &Path| fs::metadata(path).ok().map(|meta| meta.dev());
    let memory = Path::new("/dev/shm");
    let apart = device(memory).is_some() && device(memory) != device(&world.path("."));
    if apart { tempfile::tempdir_in(memory).ok() } else { None }
}

/// Everything that a store does, when one of its directories is a link to another disk.
fn works_with(world: &World, place: &str, other: &Path) {
    fs::create_dir_all(world.path("store")).unwrap();
    symlink(other, world.path("store").join(place)).unwrap();
    let ended = world.camflow(&["run"]).with(0);
    let said = "are on two file systems: results are copied when they are done";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    world.camflow(&["verify", "--deep"]).with(0);
    assert!(!world.has_work("train-cam"), "work that was copied is removed");
    world.events();
    world.camflow(&["run"]).with(0);
    assert_eq!(world.events(), [""; 0]);
    // Links move, damage is set aside, and what nobody needs goes.
    world.camflow(&["run", "--set", "evaluate.value=9"]).with(0);
    let damaged = world.artifact("evaluate").join("evaluate.mark");
    fs::write(&damaged, "longer than it was").unwrap();
    assert!(world.camflow(&["run", "--set", "data.value=2"]).with(0).stderr.contains(said));
    let gone = world.camflow(&["gc", "--set", "data.value=2"]).with(0).stdout;
    assert!(gone.contains("train-cam:"), "{gone}");
    let verified = world.camflow(&["verify", "--deep"]).with(0).stdout;
    assert!(verified.contains("14 artifacts are whole, 0 damaged"), "{verified}");
}

#[test]
fn work_and_stages_may_lie_on_another_disk() {
    for place in ["work", "train-cam", "evaluate"] {
        let world = World::new();
        let Some(other) = other_disk(&world) else { return };
        works_with(&world, place, other.path());
    }
}

#[test]
fn a_rename_that_the_system_refuses_between_two_disks_becomes_a_copy() {
    for place in ["publish.rename@evaluate", "latest.rename@evaluate"] {
        let world = World::new();
        let mut run = world.command(&["run", "--experiment", "full"]);
        end(run.env(VARIABLE, format!("{place}=exdev")).spawn().unwrap()).with(0);
        world.camflow(&["verify", "--deep"]).with(0);
        let hidden = fs::read_dir(world.path("store/evaluate")).unwrap().flatten();
        assert!(hidden.into_iter().all(|entry| !entry.file_name().to_string_lossy().starts_with('.')), "{place}");
        world.artifact("evaluate");
    }
}

/// A command in an environment of its own.
fn with_variables(world: &World, args: &[&str]) -> Ended {
    let mut command = world.command(args);
    command.env("HOME", world.path(".")).env("PICTURES", world.path(".")).env_remove("NOWHERE");
    end(command.spawn().unwrap())
}

#[test]
fn a_path_may_be_written_with_a_home_or_a_variable_and_is_the_same_path() {
    let world = World::new();
    world.camflow(&["run"]).with(0);
    world.events();
    for path in ["~/input.txt", "$PICTURES/input.txt", "${HOME}/input.txt"] {
        let set = format!("data.file={path}");
        with_variables(&world, &["run", "--set", &set, "--set", "pipeline.store=~/store"]).with(0);
        assert_eq!(world.events(), [""; 0], "{path}");
    }
    // The stage itself opens it too.
    let args = ["run", "--until", "prepare-data", "--set", "data.value=3"];
    with_variables(&world, &[&args[..], &["--set", "data.file=$PICTURES/input.txt"]].concat()).with(0);
    let metrics = world.camflow(&["metrics", "--set", "data.value=3"]).with(0).stdout;
    assert!(metrics.contains("0.0140"), "3 and the 11 bytes of the file: {metrics}");

    world.edit("file = \"input.txt\"", "file = \"${NOWHERE}/input.txt\"");
    let refused = with_variables(&world, &["plan"]).with(78).stderr;
    let said = "pipeline.toml:10: '${NOWHERE}/input.txt' needs the environment variable NOWHERE, which is not set";
    assert!(refused.contains(said), "{refused}");
    let refused = with_variables(&world, &["plan", "--set", "pipeline.store=$NOWHERE/store"]).with(78).stderr;
    assert!(refused.contains("'$NOWHERE/store' needs the environment variable NOWHERE"), "{refused}");
}
