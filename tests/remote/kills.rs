//! Kills at every place and at random, disks that refuse, and several at once.

use std::fs;
use std::thread;
use std::time::Duration;

use artifact::failpoint::{SHARING_PLACES, VARIABLE};

use crate::lab::{LARGE, Lab, Make, ROWS, Random, end, files};

/// A plain push and pull after whatever happened: they complete, and what `b` holds is what `a` does.
fn assert_completes(lab: &Lab, what: &str) {
    lab.assert_same("a", "b");
    lab.push("a", &[]).with(0);
    lab.pull("b", &[]).with(0);
    assert_eq!(lab.assert_same("a", "b"), 5, "{what}");
    let left = lab.store("b").remains();
    let left: Vec<_> = left.iter().filter(|one| one.path.is_dir()).collect();
    assert!(left.is_empty(), "{what}: {left:?}");
}

#[test]
fn a_kill_at_any_place_loses_nothing_and_a_refusing_disk_is_named() {
    let lab = Lab::filled(3000);
    for place in SHARING_PLACES {
        for passage in [1, 2, 4] {
            for action in ["kill", "enospc"] {
                let what = format!("{place}#{passage}={action}");
                let _ = fs::remove_dir_all(lab.path("b"));
                let _ = fs::remove_dir_all(lab.path("remote"));
                fs::create_dir(lab.path("remote")).unwrap();
                let pushes = place.starts_with("push");
                if !pushes {
                    lab.push("a", &[]).with(0);
                }
                let (word, store) = if pushes { ("push", "a") } else { ("pull", "b") };
                let mut command = lab.command(word, store, &[]);
                let ended = end(command.env(VARIABLE, &what).spawn().unwrap());
                assert_eq!(ended.code, if action == "kill" { None } else { Some(1) }, "{what}: {}", ended.stderr);
                assert!(action == "kill" || ended.stderr.contains("No space left"), "{what}: {}", ended.stderr);
                assert_completes(&lab, &what);
            }
        }
    }
}

#[test]
fn kills_at_random_lose_nothing() {
    let lab = Lab::filled(3 << 20);
    let mut random = Random(2);
    let (mut killed, mut rounds) = (0, 0);
    while killed < 12 {
        rounds += 1;
        assert!(rounds < 200, "the kills come too late to show anything");
        let _ = fs::remove_dir_all(lab.path("b"));
        let _ = fs::remove_dir_all(lab.path("remote"));
        fs::create_dir(lab.path("remote")).unwrap();
        for (word, store) in [("push", "a"), ("pull", "b")] {
            let mut child = lab.command(word, store, &[]).spawn().unwrap();
            thread::sleep(Duration::from_micros(random.below(60_000)));
            child.kill().unwrap();
            killed += usize::from(end(child).code.is_none());
            lab.assert_same("a", "b");
        }
        assert_completes(&lab, &format!("round {rounds}"));
    }
}

#[test]
fn what_has_arrived_of_a_large_file_stays() {
    let lab = Lab::new();
    let make = Make { stage: "train", value: 3, machine: 0, bytes: LARGE, rows: ROWS, inputs: &[], experiment: "full" };
    let name = format!("train:{}", lab.make("a", &make).record().key);
    lab.push("a", &[&name]).with(0);
    let mut command = lab.command("pull", "b", &[&name]);
    // The file is made by the first writing, before its three pieces come.
    end(command.env(VARIABLE, "receive.write@net#4=kill").spawn().unwrap());
    let partial = files(&lab.path("b/work")).into_iter().find(|file| file.ends_with(".net.partial")).unwrap();
    let size = fs::metadata(&partial).unwrap().len();
    assert!(size == 16 << 20, "{size} bytes have arrived");
    // What is there is not asked for again: that of the remote may be anything.
    let object = lab.sent().into_iter().find(|file| file.ends_with("net")).unwrap();
    let whole = fs::read(&object).unwrap();
    let mut other = whole.clone();
    other[..1000].fill(0);
    fs::write(&object, other).unwrap();
    lab.pull("b", &[&name]).with(0);
    assert_eq!(lab.assert_same("a", "b"), 1);
}

#[test]
fn of_pushes_at_once_one_wins_and_all_agree() {
    for round in 0..8 {
        let lab = Lab::new();
        let stores: Vec<_> = (0..4).map(|machine| format!("s{machine}")).collect();
        let mut names = Vec::new();
        for (machine, store) in stores.iter().enumerate() {
            let machine = machine as u64;
            let make =
                Make { stage: "train", value: 1, machine, bytes: 9000, rows: ROWS, inputs: &[], experiment: "full" };
            names.push(format!("train:{}", lab.make(store, &make).record().key));
        }
        let pushes: Vec<_> =
            stores.iter().map(|store| lab.command("push", store, &[&names[0]]).spawn().unwrap()).collect();
        let said: Vec<_> = pushes.into_iter().map(|push| end(push).with(0).stdout).collect();
        let sent = said.iter().position(|said| said.contains(" sent to "));
        let winner = sent.unwrap_or_else(|| panic!("round {round}: {said:?}"));
        assert_eq!(said.iter().filter(|said| said.contains(" sent to ")).count(), 1, "round {round}: {said:?}");
        lab.pull("b", &[&names[0]]).with(0);
        assert_eq!(lab.assert_same(&stores[winner], "b"), 1, "round {round}");
    }
}

#[test]
fn pulls_at_once_into_one_store_all_end_well() {
    let lab = Lab::filled(200_000);
    lab.push("a", &[]).with(0);
    let pulls: Vec<_> = (0..4).map(|_| lab.command("pull", "b", &[]).spawn().unwrap()).collect();
    for pull in pulls {
        end(pull).with(0);
    }
    assert_eq!(lab.assert_same("a", "b"), 5);
}
