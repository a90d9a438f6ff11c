//! The report: what it holds, that it is well-formed, that it needs nothing from outside.

use std::collections::BTreeSet;
use std::path::Path;

use crate::store::{self, MAIN};
use crate::{run, stderr, stdout};

pub fn report(store: &Path, args: &[&str]) -> String {
    let out = store.join("report.html");
    let args: Vec<_> = ["--out", out.to_str().unwrap()].iter().chain(args).copied().collect();
    stdout(&run("report", store, &args));
    let html = std::fs::read_to_string(out).unwrap();
    check(&html);
    html
}

/// Tags are balanced, ids are unique, links lead to one of them, nothing is fetched from anywhere.
fn check(html: &str) {
    const VOID: [&str; 5] = ["meta", "img", "br", "input", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    let (mut ids, mut targets) = (BTreeSet::new(), BTreeSet::new());
    let style_end = html.find("</style>").unwrap();
    let (before, after) = html.split_once("<script>").expect("one script, in the page itself");
    let (script, after) = after.split_once("</script>").unwrap();
    for reaching_out in ["fetch(", "XMLHttpRequest", "import", "src", "innerHTML"] {
        assert!(!script.contains(reaching_out), "the script has {reaching_out}");
    }
    let html = &format!("{before}{after}");
    let mut rest = html.as_str();
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("every tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "before …{}", &rest[..rest.len().min(200)]);
        } else if !VOID.contains(&name) && !tag.ends_with('/') {
            open.push(name);
        }
        if let Some(id) = tag.split(" id=\"").nth(1).and_then(|id| id.split('"').next()) {
            assert!(ids.insert(id), "id {id} is there twice");
        }
        if let Some(source) = tag.split(" src=\"").nth(1) {
            assert!(source.starts_with("data:image/"), "{tag}");
        }
        if let Some(target) = tag.split(" href=\"").nth(1).and_then(|target| target.split('"').next()) {
            targets.insert(target.strip_prefix('#').unwrap_or_else(|| panic!("{tag} leads out of the page")));
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
    assert!(targets.is_subset(&ids), "links to nothing: {:?}", targets.difference(&ids));
    for outside in ["http://", "https://", "<script", "<link", "@import", "url(http"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(!html[..style_end].contains("url("), "the style fetches nothing");
    assert!(!html.contains("NaN") && !html.contains("inf\""), "no number is missing");
}

#[test]
fn what_could_not_be_scored_is_said() {
    let dir = tempfile::tempdir().unwrap();
    store::write_unscored(dir.path());
    let html = report(dir.path(), &[]);
    let said = "Not scored, as they have no mask: 1\u{2009}200 images of test, 12 images of val.";
    assert!(html.contains(said), "{html}");
    assert!(html.contains("Ground truth") && html.contains("train-deeplab") && !html.contains("table.scores>"));
}

#[test]
fn the_page_holds_what_the_store_has() {
    let dir = tempfile::tempdir().unwrap();
    store::write(dir.path());
    let html = report(dir.path(), &["--title", "Shapes <1> & \"more\"", "--images", "12"]);
    let parts = [
        "<h1>Shapes &lt;1&gt; &amp; &quot;more&quot;</h1>",
        "cat &amp; &lt;dog&gt;",
        ">63.7<a class=\"dagger\"",
        "+15.3 over baseline",
        "<a class=\"dagger\" href=\"#dagger\" title=\"threshold (train)\">†</a></td>",
        "<dt>CAM</dt><dd>threshold (train)</dd>",
        "random-walk · rcm+mam",
        "CAM · baseline",
        "CAM · rcm+mam",
        "train-deeplab · rcm+mam",
        "Ground truth",
        "Training images",
        "Validation images",
        "2007_0000",
        "data:image/jpeg;base64,",
        "data:image/png;base64,",
        "<h3>train-cam</h3>",
        "<h3>train-deeplab</h3>",
        "learning rate",
        "optimizer.momentum",
        "<details class=\"chosen\"><summary>† What was chosen on ground truth</summary><div id=\"dagger\">",
        "<details>",
        "class=\"mark s0\"",
    ];
    for part in parts {
        assert!(html.contains(part), "{part} is not there");
    }
    assert!(!html.contains("cat & <dog>"));
    assert!(!html.contains("train-deeplab · baseline"), "its table of predictions is empty");
    assert_eq!(html.matches("<img").count() % 2, 0, "photographs with as many truths");
    assert_eq!(html.matches("alt=\"Photograph of").count(), 12);
    assert_eq!(html.matches("<h3>prepare-data").count(), 0);
    assert_eq!(html.matches("<th>prepare-data</th>").count(), 1, "shared by both experiments, shown once");
    assert!(html.contains(&format!("<td>baseline, {MAIN}</td>")));
}

#[test]
fn the_same_store_gives_the_same_page() {
    let dir = tempfile::tempdir().unwrap();
    store::write(dir.path());
    let page = report(dir.path(), &[]);
    assert_eq!(page, report(dir.path(), &[]));
    assert_eq!(page.matches("alt=\"Photograph of").count(), 24);
    assert_eq!(report(dir.path(), &["--images", "3"]).matches("alt=\"Photograph of").count(), 3);
    assert_eq!(report(dir.path(), &["--images", "0"]).matches("<img").count(), 0);
    assert_eq!(report(dir.path(), &["--images", "999"]).matches("alt=\"Photograph of").count(), 24);
}

#[test]
fn missing_stages_leave_gaps_and_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    store::write(dir.path());
    let stages = ["evaluate", "threshold-sweep", "train-cam", "train-affinity", "train-deeplab", "random-walk"];
    for stage in stages {
        std::fs::remove_dir_all(dir.path().join(stage)).unwrap();
        let html = report(dir.path(), &[]);
        assert!(html.contains("<section id=\"provenance\">") && html.contains("<section id=\"gallery\">"), "{stage}");
    }
    std::fs::remove_dir_all(dir.path().join("extract-msinf-cam")).unwrap();
    assert!(!report(dir.path(), &[]).contains("CAM ·"));
    std::fs::remove_dir_all(dir.path().join("prepare-data")).unwrap();
    let output = run("report", dir.path(), &["--out", "/dev/null"]);
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
}

#[test]
fn an_image_without_one_of_the_pictures_says_so() {
    let dir = tempfile::tempdir().unwrap();
    store::write(dir.path());
    // The store's last training image has no pseudo-label: it is taken only if all are asked for.
    assert_eq!(report(dir.path(), &["--images", "12"]).matches("not computed").count(), 0);
    assert_eq!(report(dir.path(), &[]).matches("not computed").count(), 1);
}

#[test]
fn a_stage_that_nobody_has_heard_of_stands_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    store::write_with(dir.path(), Some("a-smooth"));
    let html = report(dir.path(), &[]);
    let ascending = |before: &str, after: &str| {
        let place = |part: &str| html.find(part).unwrap_or_else(|| panic!("{part} is not there"));
        assert!(place(before) < place(after), "{after} stands before {before}");
    };
    for [before, after] in [
        // Scores, classes, pictures, artifacts: where the pipeline has it, though its name comes first.
        ["rowspan=\"1\">random-walk</th>", "rowspan=\"1\">a-smooth</th>"],
        ["rowspan=\"1\">a-smooth</th>", "rowspan=\"1\">train-deeplab</th>"],
        ["colspan=\"1\">random-walk · train</th>", "colspan=\"1\">a-smooth · train</th>"],
        ["colspan=\"1\">a-smooth · train</th>", "colspan=\"1\">train-deeplab · val</th>"],
        [">random-walk · rcm+mam</figcaption>", ">a-smooth · rcm+mam</figcaption>"],
        ["<tr><th>random-walk</th>", "<tr><th>a-smooth</th>"],
        ["<tr><th>a-smooth</th>", "<tr><th>train-deeplab</th>"],
    ] {
        ascending(before, after);
    }
}
