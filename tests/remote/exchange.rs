//! What is pushed and pulled, and what is not sent again.

use std::fs;

use artifact::store::RECORD_FILE;

use crate::lab::{LARGE, Lab, Make, ROWS, files};

#[test]
fn what_is_pushed_is_pulled_as_it_was_with_its_links() {
    let lab = Lab::filled(1000);
    lab.push("a", &[]).with(0);
    lab.pull("b", &[]).with(0);
    assert_eq!(lab.assert_same("a", "b"), 5);
    for stage in ["prepare", "train", "evaluate"] {
        for link in [None, Some("baseline")] {
            let [a, b] = ["a", "b"].map(|store| lab.store(store).latest_key(stage, link));
            assert_eq!(a, b, "{stage} {link:?}");
        }
    }
    assert!(lab.store("b").remains().is_empty(), "{:?}", lab.store("b").remains());
}

#[test]
fn a_file_of_several_pieces_arrives_as_it_was() {
    let lab = Lab::new();
    let make = Make { stage: "train", value: 3, machine: 0, bytes: LARGE, rows: ROWS, inputs: &[], experiment: "full" };
    let artifact = lab.make("a", &make);
    let name = format!("train:{}", artifact.record().key);
    lab.push("a", &[&name]).with(0);
    lab.pull("b", &[&name]).with(0);
    assert_eq!(lab.assert_same("a", "b"), 1);
}

#[test]
fn a_table_lies_on_the_remote_as_in_a_store() {
    let lab = Lab::filled(10);
    let pushed = lab.push("a", &["evaluate", "--json"]).with(0);
    let pushed: serde_json::Value = serde_json::from_str(&pushed.stdout).unwrap();
    let place = pushed.as_array().unwrap().last().unwrap()["place"].as_str().unwrap();
    let copy = place.strip_prefix("file://").unwrap();
    let parts = files(std::path::Path::new(&format!("{copy}/data")));
    assert_eq!(parts.len(), 3, "{parts:?}");
    assert!(parts.iter().all(|part| part.extension().is_some_and(|ending| ending == "parquet")));
    artifact::Artifact::open(std::path::Path::new(copy)).unwrap().unwrap().verify().unwrap();
}

#[test]
fn inputs_come_along_unless_they_are_left_out() {
    let lab = Lab::filled(10);
    lab.push("a", &["evaluate@baseline"]).with(0);
    lab.pull("with", &["evaluate@baseline"]).with(0);
    assert_eq!(lab.assert_same("a", "with"), 3);
    lab.pull("without", &["evaluate@baseline", "--without-inputs"]).with(0);
    assert_eq!(lab.assert_same("a", "without"), 1);
    assert_eq!(lab.pull("other", &["evaluate@full"]).with(69).says(&["does not hold evaluate@full"]).stdout, "");

    let alone = Lab::filled(10);
    alone.push("a", &["evaluate", "--without-inputs"]).with(0);
    alone.pull("b", &["evaluate"]).with(69).says(&["does not hold", "--without-inputs"]);
    alone.pull("b", &["evaluate", "--without-inputs"]).with(0);
    assert_eq!(alone.assert_same("a", "b"), 1);
}

#[test]
fn a_key_names_an_artifact_by_sixteen_digits() {
    let lab = Lab::filled(10);
    lab.push("a", &[]).with(0);
    let key = lab.latest("a", "train").record().key.clone();
    for digits in [key.short(), key.as_str()] {
        let store = format!("by-{}", digits.len());
        lab.pull(&store, &[&format!("train:{digits}"), "--without-inputs"]).with(0);
        assert_eq!(lab.assert_same("a", &store), 1);
        assert_eq!(lab.store(&store).latest_key("train", None), None, "a key sets no link");
    }
    lab.pull("b", &[&format!("train:{}", &key.short()[..15])]).with(78).says(&["16 digits"]);
    lab.pull("b", &[&format!("train:{}", "0".repeat(16))]).with(69).says(&["does not hold"]);
    let other = format!("train:{}{}", key.short(), "0".repeat(48));
    lab.pull("b", &[&other]).with(69).says(&["another key"]);
}

#[test]
fn what_is_pinned_is_pushed_with_what_it_was_computed_from() {
    let lab = Lab::filled(10);
    lab.push("a", &["--pinned"]).with(69).says(&["nothing is pinned"]);
    let train = lab.latest("a", "train").record().key.clone();
    lab.store("a").pin("train", &train, "paper", "tester").unwrap();
    let pushed = lab.push("a", &["--pinned"]).with(0).stdout;
    assert_eq!(pushed.lines().count(), 2, "{pushed}");
    assert!(pushed.contains(&format!("train:{train} sent")), "{pushed}");
}

#[test]
fn what_is_there_is_neither_sent_nor_fetched_again() {
    let lab = Lab::filled(2000);
    lab.push("a", &["train"]).with(0);
    let written = |file: &std::path::PathBuf| fs::metadata(file).unwrap().modified().unwrap();
    let before: Vec<_> = lab.sent().iter().map(written).collect();
    let again = lab.push("a", &["train"]).with(0).stdout;
    assert!(again.lines().all(|line| line.contains(" is at ")), "{again}");
    assert_eq!(lab.sent().iter().map(written).collect::<Vec<_>>(), before);

    // What an interrupted push has left: some files of a copy, and no pointer.
    let key = lab.latest("a", "train").record().key.clone();
    fs::remove_file(lab.path(&format!("remote/train/{key}.json"))).unwrap();
    let net = lab.sent().into_iter().find(|file| file.ends_with("net") && file.to_string_lossy().contains("/train/"));
    let (net, others) = (net.unwrap(), lab.sent());
    fs::remove_file(&net).unwrap();
    let before: Vec<_> =
        others.iter().filter(|file| **file != net && !file.ends_with(RECORD_FILE)).map(written).collect();
    lab.push("a", &["train"]).with(0);
    let after: Vec<_> =
        others.iter().filter(|file| **file != net && !file.ends_with(RECORD_FILE)).map(written).collect();
    assert_eq!(before, after, "only what was lacking was sent");

    lab.pull("b", &["train"]).with(0);
    let again = lab.pull("b", &["train"]).with(0).stdout;
    assert!(again.lines().all(|line| line.contains(" is here ")), "{again}");
    assert_eq!(lab.assert_same("a", "b"), 2);
}

#[test]
fn a_key_keeps_the_result_that_was_there_first() {
    let lab = Lab::new();
    let make = |store, machine| {
        lab.make(
            store,
            &Make { stage: "train", value: 1, machine, bytes: 100, rows: ROWS, inputs: &[], experiment: "full" },
        )
    };
    let (first, other) = (make("a", 0), make("c", 1));
    make("d", 0);
    assert_eq!(first.record().key, other.record().key);
    let name = format!("train:{}", first.record().key);
    lab.push("a", &[&name]).with(0);
    assert!(lab.push("c", &[&name]).with(0).stdout.contains("another result of this key"));
    assert!(lab.push("d", &[&name]).with(0).stdout.contains(" is at "), "the same rows, computed elsewhere");
    lab.pull("b", &[&name]).with(0);
    assert_eq!(lab.assert_same("a", "b"), 1);
    lab.pull("c", &[&name]).with(0);
    assert_eq!(lab.artifacts("c")[0].record().digest, other.record().digest, "what is here stays");
}

#[test]
fn a_link_that_is_there_stays() {
    let lab = Lab::filled(10);
    lab.push("a", &[]).with(0);
    let make = Make { stage: "train", value: 9, machine: 0, bytes: 10, rows: ROWS, inputs: &[], experiment: "full" };
    let own = lab.make("b", &make).record().key.clone();
    lab.store("b").point_latest("train", None, &own).unwrap();
    let pulled = lab.pull("b", &["train"]).with(0);
    assert!(pulled.stderr.contains("here it stays"), "{}", pulled.stderr);
    assert_eq!(lab.store("b").latest_key("train", None).as_deref(), Some(own.short()));
}
