//! The paper's tables: rows found by parameters, numbers over seeds, Markdown and the page's section.

use std::collections::BTreeMap;
use std::path::Path;

use artifact::store::Contents;
use artifact::table::{CamRow, CurveRow, ScoreRow};
use artifact::{Artifact, Store};
use serde_json::{Value, json};

use crate::store::{publish_as, work_at};
use crate::{PROGRAM, run, stderr, stdout};

/// A training and its CAMs, as the stages' own parameters tell them.
#[derive(Clone, Copy)]
pub struct Setting {
    experiment: &'static str,
    terms: &'static [&'static str],
    attention: &'static str,
    supervision: &'static str,
    update: &'static str,
    threshold: f64,
    scales: &'static [f64],
    /// Terms of the training from whose network it goes on, if from any.
    start: Option<&'static [&'static str]>,
    /// mIoU at seed 1; 0.02 less at seed 2.
    miou: f64,
}

const ALL: &[f64] = &[0.5, 1.0, 1.5, 2.0];
const BASELINE: &[&str] = &["cls"];
const RCM: &[&str] = &["cls", "rcm"];
const MAM: &[&str] = &["cls", "mam"];
const BOTH: &[&str] = &["cls", "rcm", "mam"];
const SEAM: &[&str] = &["cls", "seam"];
const USUAL: Setting = Setting {
    experiment: "rcm",
    terms: RCM,
    attention: "mam",
    supervision: "contrastive",
    update: "ema",
    threshold: 0.2,
    scales: ALL,
    start: None,
    miou: 0.5,
};

/// Something of each of the paper's tables.
pub const ALL_TABLES: &[Setting] = &[
    USUAL,
    Setting { experiment: "baseline", terms: BASELINE, ..USUAL },
    Setting { experiment: "both", terms: BOTH, ..USUAL },
    Setting { experiment: "direct", supervision: "direct", ..USUAL },
    Setting { experiment: "threshold", threshold: 0.3, ..USUAL },
    Setting { experiment: "baseline-scale", terms: BASELINE, scales: &[0.5], ..USUAL },
    Setting { experiment: "both-scale", terms: BOTH, scales: &[0.5], ..USUAL },
];

/// What is in the preimage of train-cam: of terms that are not listed there is no table.
fn train_params(setting: &Setting) -> Value {
    let tables = [
        ("cls", json!({"weight": 1.0, "from_epoch": 1})),
        (
            "rcm",
            json!({"supervision": setting.supervision, "threshold": setting.threshold, "weight": 1.0, "from_epoch": 1}),
        ),
        ("mam", json!({"attention": setting.attention, "weight": 1.0, "from_epoch": 6})),
        ("seam", json!({"weight": 1.0, "from_epoch": 1})),
    ];
    let mut params = json!({"terms": setting.terms, "optimizer": {"lr": 0.1}});
    for (term, table) in tables.into_iter().filter(|(term, _)| setting.terms.contains(term)) {
        params[term] = table;
    }
    if setting.terms.contains(&"rcm") || setting.terms.contains(&"mam") {
        params["support"] = json!({"update": setting.update, "momentum": 0.99});
    }
    params
}

/// Writes one experiment; an artifact that another one made already is used, as the stages do.
fn write(store: &Store, setting: &Setting, seed: u64, params: &Value, link: Option<&str>) {
    let from = setting.start.unwrap_or_default().concat();
    let value = |params: &Value| {
        params.to_string().bytes().chain(from.bytes()).map(f64::from).sum::<f64>() + seed as f64 * 1000.0
    };
    let train = |params: &Value, inputs: &[&Artifact]| {
        committed(store, "train-cam", "curve", params.clone(), Some(seed), inputs, |work| {
            work.declare::<CurveRow>(1, BTreeMap::new()).unwrap();
            work.write_all([CurveRow { step: 1, epoch: 1, name: "loss".into(), value: value(params) }]).unwrap();
        })
    };
    let start = setting.start.map(|terms| train(&json!({"terms": terms}), &[]));
    let trained = train(params, &start.iter().collect::<Vec<_>>());
    let extract = json!({"scales": setting.scales, "flip": true});
    let cams = committed(store, "extract-msinf-cam", "cam", extract, None, &[&trained], |work| {
        work.declare::<CamRow>(1, BTreeMap::new()).unwrap();
        let raw_max = (value(params) + setting.scales.iter().sum::<f64>()) as f32;
        work.write_all([CamRow { raw_max, ..CamRow::default() }]).unwrap();
    });
    let params = json!({"experiment": setting.experiment, "seed": seed});
    let miou = setting.miou - 0.02 * (seed - 1) as f64;
    let score = |stage: &str, split: &str, miou: f64| ScoreRow {
        experiment: setting.experiment.into(),
        stage: stage.into(),
        split: split.into(),
        miou,
        precision: miou + 0.1,
        recall: miou + 0.2,
        chosen_on_ground_truth: stage == "cam",
        chosen: if stage == "cam" { "threshold (train)".to_owned() } else { String::new() },
        seed,
        ..ScoreRow::default()
    };
    let scores = [score("cam", "train", miou), score("cam", "val", 0.99), score("cam+crf", "train", miou + 0.05)];
    let evaluated = committed(store, "evaluate", "score", params, None, &[&cams], |work| {
        work.declare::<ScoreRow>(1, BTreeMap::new()).unwrap();
        work.write_all(scores).unwrap();
    });
    for artifact in [&trained, &cams, &evaluated] {
        let record = artifact.record();
        store.point_latest(&record.preimage.stage, link, &record.key).unwrap();
    }
}

fn committed(
    store: &Store,
    stage: &str,
    table: &str,
    params: Value,
    seed: Option<u64>,
    inputs: &[&Artifact],
    fill: impl FnOnce(&mut artifact::Work),
) -> Artifact {
    match work_at(store, stage, &Contents::tables([table]), params, seed, inputs) {
        Ok(mut work) => {
            fill(&mut work);
            publish_as(work, "rcm~1")
        }
        Err(artifact) => *artifact,
    }
}

/// Two seeds of every setting; the main experiment is `rcm` at seed 1.
pub fn store(settings: &[Setting]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for setting in settings {
        for seed in [1, 2] {
            let name = format!("{}~{seed}", setting.experiment);
            let link = (name != "rcm~1").then_some(name.as_str());
            write(&store, setting, seed, &train_params(setting), link);
        }
    }
    dir
}

fn page(store: &Path) -> String {
    let out = store.join("report.html");
    stdout(&run("report", store, &["--out", out.to_str().unwrap()]));
    std::fs::read_to_string(out).unwrap()
}

pub fn tables(store: &Path) -> String {
    stdout(&run("report", store, &["--tables"]))
}

#[test]
fn rows_are_found_by_their_parameters_and_seeds_are_averaged() {
    let dir = store(&[
        USUAL,
        Setting { experiment: "b", terms: BASELINE, miou: 0.4, ..USUAL },
        Setting { experiment: "c", supervision: "direct", miou: 0.42, ..USUAL },
        Setting { experiment: "d", update: "shared", miou: 0.44, ..USUAL },
        Setting { experiment: "e", terms: BOTH, miou: 0.6, ..USUAL },
    ]);
    let text = tables(dir.path());
    let lines = [
        "**Table 1: the modules**",
        "| Setting | n | mIoU paper | mIoU here | with CRF paper | with CRF here |",
        "| Baseline | 2 | 48.4 | 39.0 ± 1.4 † | 54.4 | 44.0 ± 1.4 |",
        "| RCM | 2 | 57.6 | 49.0 ± 1.4 † | 62.8 | 54.0 ± 1.4 |",
        "| RCM + MAM | 2 | 63.7 | 59.0 ± 1.4 † | 67.7 | 64.0 ± 1.4 |",
        "**Table 2: supervision and SupportNet**",
        "| Direct, EMA | 2 | 52.3 | 41.0 ± 1.4 † | 68.7 | 51.0 ± 1.4 † | 70.5 | 61.0 ± 1.4 † |",
        "| Contrastive, shared weights | 2 | 53.7 | 43.0 ± 1.4 † | 68.9 | 53.0 ± 1.4 † | 72.1 | 63.0 ± 1.4 † |",
        "† Something of it was chosen on ground truth",
    ];
    for line in lines {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    for absent in ["| SMM", "| MMM", "Table 5", "Figure 7", "99.0"] {
        assert!(!text.contains(absent), "{absent} is in\n{text}");
    }
}

#[test]
fn single_scales_are_of_the_same_training() {
    let mut settings = vec![USUAL];
    for (terms, all) in [(BASELINE, 0.4), (SEAM, 0.5), (BOTH, 0.6)] {
        settings.push(Setting { terms, miou: all, ..USUAL });
        for (scales, less) in [(&[0.5][..], 0.04), (&[1.0], 0.02), (&[1.5], 0.02), (&[2.0], 0.04)] {
            settings.push(Setting { terms, scales, miou: all - less, ..USUAL });
        }
    }
    for (index, setting) in settings.iter_mut().enumerate().skip(1) {
        setting.experiment = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"][index];
    }
    let dir = store(&settings);
    let text = tables(dir.path());
    let lines = [
        "| Scale | n | Baseline paper | Baseline here | SEAM paper | SEAM here | RCM + MAM paper | RCM + MAM here |",
        "| 0.5 | 2 | 40.2 | 35.0 ± 1.4 † | 49.4 | 45.0 ± 1.4 † | 60.8 | 55.0 ± 1.4 † |",
        "| 1.5 | 2 | 49.0 | 37.0 ± 1.4 † | 52.3 | 47.0 ± 1.4 † | 61.7 | 57.0 ± 1.4 † |",
        "| mean of the four | 2 | 46.0 | 36.0 ± 1.4 † | 50.7 | 46.0 ± 1.4 † | 61.2 | 56.0 ± 1.4 † |",
        "| deviation of the four | 2 | 3.4 | 1.0 ± 0.0 † | 1.2 | 1.0 ± 0.0 † | 1.1 | 1.0 ± 0.0 † |",
        "| all together | 2 | 48.4 | 39.0 ± 1.4 † | 55.4 | 49.0 ± 1.4 † | 63.7 | 59.0 ± 1.4 † |",
        // CAMs of one scale are no row of Table 1.
        "| Baseline | 2 | 48.4 | 39.0 ± 1.4 † |",
    ];
    for line in lines {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("| SEAM |"), "Tables 1 and 2 have no such row:\n{text}");
    // Three lines of four points, each with its deviation, before the paper's; Tables 1 and 2 are dots.
    let page = page(dir.path());
    let (_, figure) = page.split_once("strong here, faint the paper").expect("Table 5 is drawn");
    let (figure, _) = figure.split_once("</svg>").unwrap();
    let count = |class: &str| figure.matches(&format!("<polyline class=\"{class} s")).count();
    assert_eq!((count("line"), count("raw")), (3 + 12, 3), "{figure}");
    assert_eq!(page.matches("● here, ○ paper").count(), 2 + 3);
    assert_eq!(page.matches("<circle class=\"ring\"").count(), 2 * 3 + 3 * 3);
}

#[test]
fn attentions_are_rows_of_their_own_and_other_terms_none() {
    let dir = store(&[
        USUAL,
        Setting { experiment: "s", terms: MAM, attention: "smm", miou: 0.41, ..USUAL },
        Setting { experiment: "m", terms: &["mam", "cls"], attention: "mmm", miou: 0.42, ..USUAL },
        Setting { experiment: "a", terms: MAM, miou: 0.43, ..USUAL },
        Setting { experiment: "rm", terms: BOTH, attention: "mmm", miou: 0.44, ..USUAL },
        Setting { experiment: "rs", terms: &["cls", "rcm", "seam"], miou: 0.9, ..USUAL },
        Setting { experiment: "made-up", terms: &["cls", "made-up"], miou: 0.91, ..USUAL },
    ]);
    let text = tables(dir.path());
    for line in [
        "| SMM | 2 | 51.0 | 40.0 ± 1.4 †",
        "| MMM | 2 | 57.0 | 41.0 ± 1.4 †",
        "| MAM | 2 | 58.0 | 42.0 ± 1.4 †",
        "| RCM | 2 | 57.6 | 49.0 ± 1.4 †",
        "| RCM + MMM | 2 | 62.6 | 43.0 ± 1.4 †",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    for absent in ["89.0", "90.0", "made-up"] {
        assert!(!text.contains(absent), "{absent} is in\n{text}");
    }
}

#[test]
fn thresholds_of_the_masks_are_a_figure_and_other_settings_are_told_apart() {
    let dir = store(&[
        USUAL,
        Setting { experiment: "b", terms: BASELINE, miou: 0.4, ..USUAL },
        Setting { experiment: "c", threshold: 0.1, miou: 0.45, ..USUAL },
        Setting { experiment: "d", threshold: 0.3, miou: 0.52, ..USUAL },
    ]);
    let text = tables(dir.path());
    for line in ["| 0.1 | 2 | 44.0 ± 1.4 † |", "| 0.2 | 2 | 49.0", "| 0.3 | 2 | 51.0", "| Baseline | 2 | 39.0"] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(text.contains("| RCM | 2 | 57.6 | 49.0"), "the main experiment's threshold is the usual one:\n{text}");

    let slow = Setting { experiment: "slow", miou: 0.3, ..USUAL };
    let mut params = train_params(&slow);
    params["optimizer"]["lr"] = json!(0.01);
    write(&Store::open(dir.path()).unwrap(), &slow, 1, &params, Some("slow~1"));
    let text = tables(dir.path());
    for line in ["| RCM (rcm) | 2 | 57.6 | 49.0 ± 1.4 †", "| RCM (slow) | 1 | 57.6 | 30.0 † |"] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn trainings_that_went_on_from_different_networks_are_told_apart() {
    let dir = store(&[
        Setting { start: Some(BASELINE), ..USUAL },
        Setting { experiment: "late", start: Some(MAM), miou: 0.3, ..USUAL },
    ]);
    let text = tables(dir.path());
    for line in ["| RCM (rcm) | 2 | 57.6 | 49.0 ± 1.4 †", "| RCM (late) | 2 | 57.6 | 29.0 ± 1.4 †"] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    // Networks that the store no longer holds are not taken for the same.
    for artifact in Store::open(dir.path()).unwrap().artifacts("train-cam").unwrap() {
        if artifact.record().preimage.inputs.is_empty() {
            std::fs::remove_dir_all(artifact.dir()).unwrap();
        }
    }
    let text = tables(dir.path());
    let (table_1, _) = text.split_once("**Table 2").unwrap();
    assert_eq!(table_1.matches("| 1 | 57.6 |").count(), 4, "{text}");
}

#[test]
fn the_page_has_the_tables_and_keeps_to_the_manifests_experiments() {
    let dir = store(&[USUAL, Setting { experiment: "b", terms: BASELINE, miou: 0.4, ..USUAL }]);
    let manifest = dir.path().join("some.toml");
    let pipeline =
        "[pipeline]\nname = \"some\"\nseed = 1\nstore = \"x\"\ndevice = \"cpu\"\nmain = \"rcm\"\n[stage.evaluate]\n";
    std::fs::write(&manifest, format!("{pipeline}[matrix]\nseeds = [1, 2]\n[matrix.variant.rcm]\n")).unwrap();
    let page = dir.path().join("report.html");
    let args = |more: &[&str]| [&["--out", page.to_str().unwrap()], more].concat().join("\n");
    let written = |args: &str| {
        stdout(&run("report", dir.path(), &args.split('\n').collect::<Vec<_>>()));
        std::fs::read_to_string(&page).unwrap()
    };
    let html = written(&args(&[]));
    for part in ["<section id=\"paper\">", "<th>Baseline</th>", "39.0 ± 1.4<a class=\"dagger\" href=\"#dagger\">†</a>"]
    {
        assert!(html.contains(part), "{part} is not there");
    }
    let html = written(&args(&["--manifest", manifest.to_str().unwrap()]));
    assert!(html.contains("<h1>some</h1>") && html.contains("<th>RCM</th>") && !html.contains("<th>Baseline</th>"));
    let output = run("report", dir.path(), &["--manifest", manifest.to_str().unwrap(), "--tables"]);
    assert!(stderr(&output).contains("left out") && stderr(&output).contains("b~1, b~2"), "{}", stderr(&output));
}

#[test]
fn the_store_is_the_manifests_where_none_is_named() {
    let dir = store(&[USUAL]);
    let manifest = dir.path().join("some.toml");
    let text =
        format!("[pipeline]\nname = \"some\"\nseed = 1\nstore = {:?}\ndevice = \"cpu\"\nmain = \"rcm\"\n", dir.path());
    std::fs::write(&manifest, format!("{text}[stage.evaluate]\n[matrix]\nseeds = [1, 2]\n[matrix.variant.rcm]\n"))
        .unwrap();
    let of_manifest = |command: &str, arg: &str| {
        let mut program = std::process::Command::new(PROGRAM);
        stdout(&program.args([command, "--manifest"]).arg(&manifest).arg(arg).output().unwrap())
    };
    let report = of_manifest("report", "--tables");
    assert!(report.contains("| RCM |"), "{report}");
    let answer = of_manifest("query", "select distinct experiment from score");
    assert!(answer.contains("rcm"), "{answer}");
}

#[test]
fn a_default_manifest_that_does_not_hold_is_told_unless_a_store_is_named() {
    let dir = store(&[USUAL]);
    let at = tempfile::tempdir().unwrap();
    std::fs::write(at.path().join("pipeline.toml"), "[pipeline\n").unwrap();
    for words in [["report", "--tables"], ["query", "select distinct experiment from score"]] {
        let run = |args: &[&std::ffi::OsStr]| {
            std::process::Command::new(PROGRAM).current_dir(at.path()).args(words).args(args).output().unwrap()
        };
        let output = run(&[]);
        assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
        assert!(stderr(&output).contains("pipeline.toml"), "{}", stderr(&output));
        assert!(stdout(&run(&["--store".as_ref(), dir.path().as_ref()])).to_lowercase().contains("rcm"));
    }
}

#[test]
fn a_store_without_such_runs_has_no_section() {
    let dir = tempfile::tempdir().unwrap();
    crate::store::write(dir.path());
    let output = run("report", dir.path(), &["--tables"]);
    assert_eq!(stdout(&output), "");
    assert!(stderr(&output).contains("no evaluated experiment"), "{}", stderr(&output));
}
