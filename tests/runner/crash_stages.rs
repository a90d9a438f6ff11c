//! Kills and refusing disks at every step of publication, and kills at random, on fake stages.

use std::fs;
use std::process::Command;

use artifact::failpoint::{PLACES, VARIABLE};

use crate::crash::{Site, kill_at_random, rounds};
use crate::world::World;

/// Only `full`, so that a round is short; every stage takes a moment, to be killed in.
fn site(world: &World) -> Site {
    let (bin, manifest, store) = (world.bin(), world.path("pipeline.toml"), world.path("store"));
    let shown = store.clone();
    let camflow = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_camflow"));
        command.args(["run", "--experiment", "full"]).arg("--manifest").arg(&manifest).arg("--store").arg(&shown);
        command.arg("--bin-dir").arg(&bin).args(["--set", "data.file="]);
        for stage in ["train-cam", "random-walk", "evaluate"] {
            command.args(["--set", &format!("{stage}.steps=3")]);
        }
        command
    };
    Site { camflow: Box::new(camflow), store }
}

#[test]
fn kills_at_random_lose_nothing() {
    let world = World::new();
    kill_at_random(&site(&world), rounds(12));
}

#[test]
fn a_kill_at_any_step_of_publication_loses_nothing() {
    let world = World::new();
    let site = site(&world);
    site.run();
    let expected = site.digests();
    for place in PLACES {
        // Only what is computed although it is committed has something to set aside.
        let replace = place == "publish.set-aside";
        if !replace {
            fs::remove_dir_all(&site.store).unwrap();
        }
        for passage in if replace { vec![1] } else { vec![1, 2, 5] } {
            let mut run = (site.camflow)();
            run.args(if replace { &["--force", "train-cam"][..] } else { &[] });
            let killed = run.env(VARIABLE, format!("{place}#{passage}=kill")).output().unwrap();
            assert!(passage > 1 || !killed.status.success(), "{place}#{passage} was not passed");
            site.wait_until_none_is_left();
        }
        site.run();
        assert_eq!(site.digests(), expected, "{place}");
        site.assert_tidy();
    }
}

#[test]
fn what_was_there_comes_back_when_its_replacement_cannot_be_published() {
    let mut world = World::new();
    let run = ["run", "--experiment", "full", "--until", "train-cam"];
    world.camflow(&run).with(0);
    let before = world.artifact("train-cam");
    world.variables.insert(VARIABLE.into(), "publish.rename@train-cam=eio".into());
    let refused = world.camflow(&[&run[..], &["--force", "train-cam"]].concat()).with(1);
    assert!(refused.stderr.contains("cannot publish"), "{}", refused.stderr);
    world.variables.clear();
    assert_eq!(world.artifact("train-cam"), before);
    world.camflow(&["verify"]).with(0);
    world.camflow(&run).with(0);
    assert_eq!(world.ran().iter().filter(|ran| ran.starts_with("train-cam")).count(), 2, "it is committed still");
}

#[test]
fn a_disk_that_refuses_is_named_and_the_next_run_completes() {
    let world = World::new();
    let site = site(&world);
    for place in PLACES.into_iter().filter(|place| *place != "publish.set-aside") {
        for (action, said) in [("enospc", "No space left"), ("eio", "Input/output error"), ("erofs", "Read-only")] {
            let _ = fs::remove_dir_all(&site.store);
            let ended = (site.camflow)().env(VARIABLE, format!("{place}={action}")).output().unwrap();
            let told = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(1), "{place}={action}: {told}");
            assert!(told.contains(said) && told.contains("cannot "), "{place}={action}: {told}");
            assert!(!told.contains("panicked"), "{told}");
        }
        site.run();
        site.assert_tidy();
    }
}
