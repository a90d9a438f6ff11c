//! What `make bench` leaves in a store: asked in SQL, and a section of the report that no other section is mixed with.

use std::collections::BTreeMap;
use std::path::Path;

use artifact::store::Contents;
use artifact::table::BenchRow;
use artifact::{Row as _, Store};
use serde_json::json;

use crate::page::report;
use crate::{run, stderr, stdout, store};

fn write_bench(root: &Path) {
    let store = Store::open(root).unwrap();
    let row = |what: &str, theirs: Option<f64>, missing: &str| BenchRow {
        benchmark: "crf".into(),
        what: what.into(),
        setting: "375 x 500".into(),
        unit: "ms".into(),
        ours: 100.0,
        peer: "pydensecrf2".into(),
        theirs,
        ratio: theirs.map(|theirs| theirs / 100.0),
        wanted: Some(4.0),
        difference: Some(2e-6),
        allowed: Some(1e-3),
        missing: missing.into(),
        machine: "a CPU".into(),
        cores: 2,
        threads: 1,
        commit: "0123abc".into(),
        time: "2026-11-27T12:34:56Z".into(),
    };
    let contents = Contents::tables([BenchRow::TABLE]);
    let mut work = store::work_at(&store, "bench", &contents, json!({}), None, &[]).unwrap();
    work.declare::<BenchRow>(1, BTreeMap::new()).unwrap();
    work.write_all([row("fast thing", Some(500.0), ""), row("lonely thing", None, "not installed")]).unwrap();
    store::link(&store, &store::publish_as(work, ""), store::MAIN);
}

#[test]
fn benchmarks_are_a_section_and_a_table_and_no_stage() {
    let dir = tempfile::tempdir().unwrap();
    store::write(dir.path());
    let before = report(dir.path(), &[]);
    write_bench(dir.path());
    let html = report(dir.path(), &[]);
    let (start, end) = (html.find("<section id=\"benchmarks\">").unwrap(), html.find("<section id=\"provenance\">"));
    let section = &html[start..end.expect("provenance comes last")];
    for part in ["fast thing, 375 x 500", "<strong>5</strong>", "lonely thing", "not there: not installed", "0123abc"] {
        assert!(section.contains(part), "{part} in {section}");
    }
    // Without the section and its line in the navigation it is the page that it was.
    let without = html.replace(section, "").replace("<a href=\"#benchmarks\">Benchmarks</a>", "");
    assert_eq!(without, before);

    let sql = "select what, ours, peer, theirs, ratio, wanted from bench order by what";
    let answer = stdout(&run("query", dir.path(), &["--format", "csv", sql]));
    let expected = "what,ours,peer,theirs,ratio,wanted\nfast thing,100.0,pydensecrf2,500.0,5.0,4.0\n\
                    lonely thing,100.0,pydensecrf2,,,4.0\n";
    assert_eq!(answer, expected);
}

#[test]
fn a_store_of_benchmarks_alone_has_a_page() {
    let dir = tempfile::tempdir().unwrap();
    write_bench(dir.path());
    let html = report(dir.path(), &[]);
    assert!(html.contains("fast thing, 375 x 500"), "{html}");
    let done = run("query", dir.path(), &["select * from score"]);
    assert!(stderr(&done).contains("has no rows yet"), "{}", stderr(&done));
}
