//! What the report says of the counted store, whose numbers this test adds up itself.

use crate::page::report;
use crate::store::MAIN;
use crate::{counted, store};

fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

/// The text of a page without its tags.
fn text(html: &str) -> String {
    html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect()
}

/// The two numbers of `… (from to to) …` after some text.
fn range(page: &str, after: &str) -> [f64; 2] {
    let rest = page.split(after).nth(1).unwrap_or_else(|| panic!("{after} is not there:\n{page}"));
    let inside = rest.trim_start().strip_prefix('(').and_then(|rest| rest.split([')', ',']).next()).unwrap();
    let ends: Vec<f64> = inside.split(" to ").map(|end| end.replace('−', "-").parse().unwrap()).collect();
    ends.try_into().unwrap()
}

#[test]
fn the_verdict_is_made_of_the_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let scored = counted::write(dir.path());
    let html = report(dir.path(), &[]);
    let page = text(html.split("<section id=\"verdict\">").nth(1).unwrap().split("</section>").next().unwrap());
    let main = |index: usize| scored[MAIN][index].total().miou();
    let reached = format!("{MAIN} reaches {} % mIoU", percent(main(2)));
    let [from, to] = range(&page, &reached);
    assert!(from < main(2) * 100.0 && main(2) * 100.0 < to && to - from < 40.0, "{page}");
    assert!(page.contains("with train-deeplab on 12 images of val; its CAM on train is"), "{page}");
    let gain = main(0) - scored["baseline"][0].total().miou();
    let side = if gain < 0.0 { "below" } else { "above" };
    let [from, to] = range(&page, &format!("is {} points {side} baseline's", percent(gain.abs())));
    assert!(from < gain * 100.0 && gain * 100.0 < to, "{page}");
    assert!(page.contains("2\u{2009}000 bootstrap resamples") && page.contains("One training, seed 7"), "{page}");
}

#[test]
fn the_score_table_has_intervals_and_a_store_that_does_not_add_up_has_none() {
    let dir = tempfile::tempdir().unwrap();
    counted::write(dir.path());
    let html = report(dir.path(), &[]);
    assert_eq!(html.matches("<td class=\"range\">").count(), 4);
    assert_eq!(html.matches("<span class=\"whisker\"").count(), 4);
    assert!(!html.contains("<td class=\"range\">–</td>") && html.contains("<section id=\"confusion\">"));
    // The made-up store's scores are not the sums over its images.
    let dir = tempfile::tempdir().unwrap();
    store::write(dir.path());
    let html = report(dir.path(), &[]);
    assert_eq!(html.matches("<td class=\"range\">–</td>").count(), 4);
    assert!(!html.contains("<span class=\"whisker\"") && !html.contains("<section id=\"confusion\">"));
    assert!(html.contains("+15.3 over baseline") && !text(&html).contains("In brackets"));
}

#[test]
fn the_heat_maps_tell_which_class_is_taken_for_which() {
    let dir = tempfile::tempdir().unwrap();
    let scored = counted::write(dir.path());
    let html = report(dir.path(), &[]);
    for scored in &scored[MAIN] {
        let matrix = scored.total();
        let heading = format!("<figcaption>{} · {}</figcaption>", scored.stage.replace("cam", "CAM"), scored.split);
        let figure = html.split(&heading).nth(1).unwrap_or_else(|| panic!("{heading} is not there"));
        let figure = figure.split("</figure>").next().unwrap();
        for truth in 0..4 {
            let all: u64 = matrix.counts[truth * 4..][..4].iter().sum();
            for predicted in 0..4 {
                let pixels = matrix.counts[truth * 4 + predicted];
                let [of, for_class] = [truth, predicted].map(|class| store::class_name(class).replace('&', "&amp;"));
                let [of, for_class] = [of, for_class].map(|name| name.replace('<', "&lt;").replace('>', "&gt;"));
                let share = percent(pixels as f64 / all as f64);
                let told = format!("title=\"{of} taken for {for_class}: {share} % (");
                assert!(figure.contains(&told), "{heading}: {told}\n{figure}");
            }
        }
    }
}

#[test]
fn each_picture_has_its_numbers_below() {
    let dir = tempfile::tempdir().unwrap();
    let scored = counted::write(dir.path());
    let html = report(dir.path(), &[]);
    let matrix = &scored[MAIN][2].images["2007_000014"];
    let class = 3;
    let whole = |share: f64| format!("{:.0}", share * 100.0);
    let numbers = [matrix.iou(class), matrix.precision(class), matrix.recall(class)].map(whole);
    let card = html.split("data-name=\"2007_000014\"").nth(1).unwrap().split("</article>").next().unwrap();
    let figure = card.split("train-deeplab · rcm+mam</figcaption>").nth(1).unwrap().split("</figure>").next().unwrap();
    let row = format!(
        "<span class=\"name\">bar</span></th><td>{}</td><td>{}</td><td>{}</td></tr>",
        numbers[0], numbers[1], numbers[2]
    );
    assert!(figure.contains(&row), "{row}\n{figure}");
    // A third of the images are marked as the best, a third as the worst; the first one shown is the best.
    let of = |mark: &str| html.matches(&format!("<span class=\"tag {mark}\">")).count();
    assert_eq!([of("good"), of("bad")], [8, 8]);
}

#[test]
fn the_pipeline_tells_what_was_found_instead_of_computed() {
    let dir = tempfile::tempdir().unwrap();
    counted::write(dir.path());
    let html = report(dir.path(), &[]);
    let pipeline = html.split("<section id=\"pipeline\">").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(pipeline.contains("<td class=\"found\">○ of baseline</td>"), "the data set of {MAIN} was baseline's");
    assert!(pipeline.contains("once an experiment found what another had computed"));
    assert!(pipeline.contains("<title>prepare-data: 1 for 2 experiments</title>"));
    assert_eq!(pipeline.matches("<td class=\"none\">–</td>").count(), 2, "baseline has no labels and no DeepLab");
    // What the last run said of itself; of train-affinity, which is not in the store, it says nothing that is shown.
    assert!(pipeline.contains("took 12s: of these it computed 2 (new) and found 1 (cached)."), "{pipeline}");
    assert_eq!(pipeline.matches(">new</text>").count(), 2, "train-deeplab, in both drawings");
    assert_eq!(pipeline.matches(">1 of 2 new</text>").count(), 2, "train-cam");
    assert!(!pipeline.contains(">cached</text>"));
    // What was read and is no longer in the store has a node all the same.
    std::fs::remove_dir_all(dir.path().join("random-walk")).unwrap();
    let html = report(dir.path(), &[]);
    assert!(html.contains("<title>random-walk: not in the store</title>"));
}
