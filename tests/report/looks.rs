//! The report as people see it: opened, driven and photographed in Chromium.
//!
//! Without Chromium the test says so and passes; with `CAMFLOW_CHROMIUM` set it must run. `CAMFLOW_SCREENSHOTS=DIR`
//! keeps the pictures.

use std::io::Write as _;
use std::path::Path;

use data::codec::decode_image;
use serde_json::{Value, json};

use crate::browser::{Browser, chromium};
use crate::{counted, page};

const WIDTHS: [u32; 3] = [390, 1200, 1920];

/// What the checks measure in the page.
const MEASURES: &str = include_str!("measures.js");
/// Is the focus seen?
const OUTLINE: &str = "getComputedStyle(document.activeElement).outlineStyle";

#[test]
fn the_page_holds_what_it_promises_in_a_browser() {
    let Some(program) = chromium() else {
        // Not `eprintln!`, which a passing test keeps to itself.
        let said = "report: no Chromium here, so nobody looked at report.html; install it or set CAMFLOW_CHROMIUM\n";
        std::io::stderr().write_all(said.as_bytes()).unwrap();
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    counted::write(dir.path());
    page::report(dir.path(), &[]);
    let mut browser = Browser::start(&program);
    browser.prefer("light", "screen");
    browser.resize(1200, 900);
    let page = dir.path().join("report.html");
    browser.open(&page);
    browser.evaluate(MEASURES);
    tabs(&mut browser);
    widths_and_colours(&mut browser);
    filters(&mut browser);
    keys(&mut browser);
    folds(&mut browser);
    prints(&mut browser);
    assert_eq!(browser.complaints(), [""; 0], "errors in the console");
    measures_find_what_is_wrong(&mut browser);
    without_script(&mut browser, &page);
}

/// Asserts that a measure of the page finds nothing.
fn finds_nothing(browser: &mut Browser, measure: &str, at: &str) {
    let found = browser.evaluate(&format!("measures.{measure}()"));
    assert_eq!(found, json!([]), "{measure}, {at}");
}

/// In a page that has just been opened.
fn tabs(browser: &mut Browser) {
    browser.press("Tab");
    assert_eq!(browser.evaluate("document.activeElement.className"), "skip", "Tab begins at the top");
    browser.press("Tab");
    assert_eq!(browser.evaluate("document.activeElement.hash"), "#pipeline");
    assert_eq!(browser.evaluate(OUTLINE), "solid", "the focus of a link is seen");
    browser.evaluate("document.activeElement.blur()");
}

/// In a page that is spoilt on purpose every measure finds something.
fn measures_find_what_is_wrong(browser: &mut Browser) {
    let spoil = [
        ("wider", "document.querySelector('main').style.minWidth = '4000px'"),
        ("crossed", "document.querySelector('.share .figure').style.transform = 'translateY(14px)'"),
        ("clipped", "document.querySelector('.across .name').textContent = 'a name that leaves its box'"),
        ("cut", "document.querySelector('.across .name').setAttribute('x', '-30')"),
        ("faint", "document.querySelector('.lead').style.color = '#aaaaaa'"),
        ("unreachable", "document.querySelector('.chip').tabIndex = -1"),
    ];
    for (measure, how) in spoil {
        browser.evaluate(how);
        assert_ne!(browser.evaluate(&format!("measures.{measure}()")), json!([]), "{measure} after {how}");
    }
    browser.evaluate("console.error('spoilt')");
    assert_eq!(browser.complaints().len(), 1, "{:?}", browser.complaints());
}

fn widths_and_colours(browser: &mut Browser) {
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme, "screen");
        for width in WIDTHS {
            browser.resize(width, 900);
            let at = format!("{width} pixels, {scheme}");
            for measure in ["wider", "crossed", "clipped", "cut", "faint"] {
                finds_nothing(browser, measure, &at);
            }
            let picture = photograph(browser, &format!("{width}-{scheme}"));
            let decoded = decode_image(&picture).unwrap();
            assert_eq!((decoded.width, decoded.height), (width as usize, 900), "{at}");
            let (pixels, _) = decoded.pixels.as_chunks::<3>();
            let colours: std::collections::BTreeSet<_> = pixels.iter().collect();
            assert!(colours.len() > 50, "{at}: a picture of {} colours shows nothing", colours.len());
            grounds.push(pixels[pixels.len() - 1]);
        }
    }
    let bright = |[red, green, blue]: [u8; 3]| u32::from(red) + u32::from(green) + u32::from(blue);
    assert!(grounds[..3].iter().all(|ground| bright(*ground) > 600), "light: {grounds:?}");
    assert!(grounds[3..].iter().all(|ground| bright(*ground) < 200), "dark: {grounds:?}");
    browser.prefer("light", "screen");
    browser.resize(1200, 900);
    // The switch is stronger than the system.
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = browser.evaluate(ground);
    browser.press("t");
    assert_ne!(browser.evaluate(ground), light);
    finds_nothing(browser, "faint", "dark by the switch");
    browser.press("t");
    assert_eq!(browser.evaluate(ground), light);
}

fn photograph(browser: &mut Browser, name: &str) -> Vec<u8> {
    let picture = browser.photograph();
    if let Some(dir) = std::env::var_os("CAMFLOW_SCREENSHOTS") {
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(Path::new(&dir).join(format!("report-{name}.png")), &picture).unwrap();
    }
    picture
}

/// The names of the images that are seen, in their order.
fn seen(browser: &mut Browser) -> Vec<String> {
    let names = browser.evaluate("measures.seen().map((card) => card.dataset.name)");
    names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn filters(browser: &mut Browser) {
    let all = seen(browser);
    assert_eq!(all.len(), 24);
    browser.evaluate("document.querySelector('.chip[data-class=\"2\"]').click()");
    let of_class = browser.evaluate("measures.seen().every((card) => card.dataset.classes.includes(' 2 '))");
    let some = seen(browser);
    assert!(of_class == json!(true) && !some.is_empty() && some.len() < all.len(), "{some:?}");
    assert_eq!(
        browser.evaluate("document.getElementById('shown').textContent"),
        format!("{} of 24 images", some.len())
    );
    let chosen = browser.evaluate(
        "measures.seen().length === [...document.querySelectorAll('.card')]
        .filter((card) => card.dataset.classes.includes(' 2 ')).length",
    );
    assert_eq!(chosen, json!(true), "none of the class is hidden");
    browser.press("Escape");
    assert_eq!(seen(browser), all);
    let outside = browser.evaluate("document.querySelectorAll('main > :not(#gallery) [hidden]').length");
    assert_eq!(outside, json!(0), "the filter hides nothing outside the gallery");
    browser.press("/");
    assert_eq!(browser.evaluate("document.activeElement.id"), "filter");
    browser.call("Input.insertText", &json!({"text": "000013"}));
    assert_eq!(seen(browser), ["2007_000013"]);
    browser.press("Escape");
    assert_eq!(seen(browser).len(), 24);
    let qualities =
        "measures.seen().filter((card) => card.dataset.split === 'val').map((card) => Number(card.dataset.quality))";
    let sorted = |values: &Value, descending: bool| {
        let values: Vec<_> = values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        values.is_sorted_by(|a, b| if descending { a >= b } else { a <= b }) && values.first() != values.last()
    };
    assert!(sorted(&browser.evaluate(qualities), true));
    browser.evaluate("measures.choose('sorted', 'worst')");
    assert!(sorted(&browser.evaluate(qualities), false));
    browser.evaluate("measures.choose('sorted', 'best'); measures.choose('split', 'val')");
    assert_eq!(seen(browser).len(), 12);
    browser.press("Escape");
}

fn keys(browser: &mut Browser) {
    finds_nothing(browser, "unreachable", "by the keyboard");
    let focused = "document.activeElement.dataset.name ?? null";
    let all = seen(browser);
    browser.press("g");
    assert_eq!(browser.evaluate(focused), all[0]);
    for (key, place) in [("j", 1), ("j", 2), ("k", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("k", 0), ("k", 0)] {
        browser.press(key);
        assert_eq!(browser.evaluate(focused), all[place], "after {key}");
    }
    assert_eq!(browser.evaluate(OUTLINE), "solid", "the focus of an image is seen");
    let in_sight = browser.evaluate("measures.inSight(document.activeElement)");
    assert_eq!(in_sight, json!(true), "the chosen image is in sight");
    photograph(browser, "gallery");
    browser.press("?");
    assert_eq!(browser.evaluate("document.getElementById('help').hidden"), json!(false));
    browser.press("Escape");
    assert_eq!(browser.evaluate("document.getElementById('help').hidden"), json!(true));
}

fn folds(browser: &mut Browser) {
    let shown = "document.getElementById('dagger').checkVisibility()";
    assert_eq!(browser.evaluate(shown), json!(false), "what was chosen on ground truth is folded away");
    browser.evaluate("document.querySelector('.verdict ~ .ground a').click()");
    browser.evaluate("new Promise((done) => setTimeout(done, 50))");
    assert_eq!(browser.evaluate(shown), json!(true), "its mark unfolds it");
    browser.evaluate("document.querySelector('details.chosen').open = false");
}

fn prints(browser: &mut Browser) {
    assert!(browser.evaluate("measures.folded().length").as_u64() > Some(5), "on the screen a lot is folded away");
    browser.prefer("dark", "print");
    let shown = browser.evaluate("measures.folded().length");
    assert_eq!(shown, json!(0), "on paper nothing is folded away");
    let gone = browser.evaluate(
        "['nav', '.controls', '#help']
            .filter((part) => getComputedStyle(document.querySelector(part)).display !== 'none')",
    );
    assert_eq!(gone, json!([]), "nothing to click on paper");
    assert_eq!(browser.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)");
    photograph(browser, "print");
    browser.evaluate(
        "window.left = null;
         addEventListener('beforeprint', () => { window.left = measures.folded().length; })",
    );
    let printed = browser.call("Page.printToPDF", &json!({}));
    assert!(printed["data"].as_str().is_some_and(|data| data.starts_with("JVBERi0")), "a PDF");
    assert_eq!(browser.evaluate("window.left"), json!(0), "printing unfolds everything");
    assert!(browser.evaluate("document.querySelectorAll('details:not([open])').length").as_u64() > Some(0));
    browser.prefer("light", "screen");
}

fn without_script(browser: &mut Browser, page: &Path) {
    browser.call("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    browser.open(page);
    let display = |selector: &str| format!("getComputedStyle(document.querySelector({selector:?})).display");
    assert_eq!(browser.evaluate(&display(".controls")), "none", "no controls that do nothing");
    assert_eq!(browser.evaluate(&display("#theme")), "none");
    assert_ne!(browser.evaluate(&display(".of-classes .foreground")), "none", "the colours of the classes");
    assert_eq!(browser.evaluate("document.querySelectorAll('.card:not([hidden])').length"), json!(24));
}
