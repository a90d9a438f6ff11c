//! Questions in SQL: every table, the numbers, the formats, the errors.

use std::process::{Command, Stdio};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt8Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::store::{self, FIRST_VAL, IMAGES, MAIN, counts};
use crate::{PROGRAM, run, stderr, stdout};

fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    store::write(dir.path());
    dir
}

fn json(store: &std::path::Path, sql: &str) -> Vec<Value> {
    serde_json::from_str(&stdout(&run("query", store, &["--format", "json", sql]))).unwrap()
}

#[test]
fn every_table_answers_and_says_where_its_rows_come_from() {
    let dir = made();
    let expected = [
        // prepare-data is shared: its rows are there once for each experiment.
        ("dataset", u64::from(2 * IMAGES)),
        ("cam", 2 * 15),
        ("sweep", 2 * 41 * 4),
        ("histogram", 2 * 40),
        ("label", u64::from(FIRST_VAL - 1 + IMAGES - FIRST_VAL)),
        ("confusion", 4 * 12 * 4),
        ("class_score", 4 * 4),
        ("score", 4),
        ("curve", 600 * (5 + 5 + 2 + 2)),
    ];
    for (table, rows) in expected {
        let answer = json(dir.path(), &format!("select count(*) as n, count(key) as k from {table}"));
        assert_eq!((answer[0]["n"].as_u64(), answer[0]["k"].as_u64()), (Some(rows), Some(rows)), "{table}");
        let from = json(dir.path(), &format!("select distinct experiment, source_stage from {table}"));
        assert!(from.iter().any(|row| row["experiment"] == MAIN), "{table}: {from:?}");
        assert!(from.iter().all(|row| row["source_stage"].is_string()), "{table}: {from:?}");
    }
}

#[test]
fn a_group_by_of_confusion_gives_the_iou_of_any_subset() {
    let dir = made();
    let sql = "select experiment, class_id, sum(tp) as tp, sum(fp) as fp, sum(fn) as fn, \
               1.0 * sum(tp) / (sum(tp) + sum(fp) + sum(fn)) as iou from confusion \
               where stage = 'cam' and image_id < '2007_000006' group by experiment, class_id \
               order by experiment, class_id";
    let answer = json(dir.path(), sql);
    assert_eq!(answer.len(), 8);
    for row in answer {
        let (experiment, class) = (row["experiment"].as_str().unwrap(), row["class_id"].as_u64().unwrap() as usize);
        let sums =
            (0..6).map(|n| counts(experiment, n, class)).fold([0; 3], |a, b| [a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
        assert_eq!(["tp", "fp", "fn"].map(|name| row[name].as_u64().unwrap()), sums);
        let iou = sums[0] as f64 / sums.iter().sum::<u64>() as f64;
        assert!((row["iou"].as_f64().unwrap() - iou).abs() < 1e-12);
    }
    let miou = "select avg(iou) as miou from (select 1.0 * sum(tp) / (sum(tp) + sum(fp) + sum(fn)) as iou \
                from confusion where stage = 'train-deeplab' group by class_id) as by_class";
    let by_hand = (0..4).map(|class| {
        let images = FIRST_VAL..IMAGES;
        let sums = images.map(|n| counts(MAIN, n, class)).fold([0; 3], |a, b| [a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
        sums[0] as f64 / sums.iter().sum::<u64>() as f64
    });
    let expected = by_hand.sum::<f64>() / 4.0;
    assert!((json(dir.path(), miou)[0]["miou"].as_f64().unwrap() - expected).abs() < 1e-12);
}

#[test]
fn rows_are_ordered_limited_and_chosen_by_any_column() {
    let dir = made();
    let ids = |rest: &str| -> Vec<String> {
        let answer = json(dir.path(), &format!("select image_id from dataset {rest}"));
        answer.iter().map(|row| row["image_id"].as_str().unwrap().to_owned()).collect()
    };
    let id = |n: u32| format!("2007_{n:06}");
    // Every row is there for both experiments, which share the data set.
    assert_eq!(ids("order by image_id limit 3"), [id(0), id(0), id(1)]);
    assert_eq!(ids("order by image_id desc limit 1"), [id(IMAGES - 1)]);
    assert_eq!(ids("where image_id >= '2007_000005' order by image_id limit 1"), [id(5)]);
    assert_eq!(ids("where experiment = 'baseline' and image_id < '2007_000002' order by image_id"), [id(0), id(1)]);
    assert_eq!(ids("where experiment = 'baseline' order by width, image_id desc limit 2"), [id(23), id(22)]);
    assert_eq!(ids("where source_stage = 'nobody'"), [""; 0]);
    assert_eq!(ids("limit 30").len(), 30);
    let nested = "select image_id from (select * from dataset limit 2) as few where image_id > '2007_000000'";
    assert_eq!(json(dir.path(), nested).len(), 1, "the limit is of rows before the condition");
    let cells = "select image_id, mask from mask where image_id = '2007_000007' and experiment = 'baseline'";
    let masks = json(dir.path(), cells);
    assert!(masks.len() == 1 && masks[0]["mask"].as_str().unwrap().starts_with("iVBORw0KGgo"));
    assert_eq!(json(dir.path(), "select count(*) as n from dataset where width > 0")[0]["n"], 2 * IMAGES);
}

#[test]
fn formats_hold_the_same_rows() {
    let dir = made();
    let sql = "select experiment, stage, miou, threshold from score order by miou";
    let csv = stdout(&run("query", dir.path(), &["--format", "csv", sql]));
    assert_eq!(csv.lines().next(), Some("experiment,stage,miou,threshold"));
    assert_eq!(csv.lines().nth(1), Some("baseline,cam,0.484,0.3"));
    assert_eq!(csv.lines().nth(3).map(|line| line.ends_with(',')), Some(true), "null is empty");
    let table = stdout(&run("query", dir.path(), &["--limit", "2", sql]));
    assert!(table.contains("0.4840") && table.contains("2 more of 4 rows"), "{table}");

    assert_eq!(
        stdout(&run("query", dir.path(), &["--json", sql])),
        stdout(&run("query", dir.path(), &["--format", "json", sql]))
    );

    let file = dir.path().join("answer.parquet");
    let written = run("query", dir.path(), &["--format", "parquet", "-o", file.to_str().unwrap(), sql]);
    assert!(stdout(&written).is_empty());
    assert_eq!(&std::fs::read(&file).unwrap()[..4], b"PAR1");
    let all = "select *, cast(miou as int) as whole, cast('2020-01-02' as date) as day from score";
    stdout(&run("query", dir.path(), &["--format", "parquet", "-o", file.to_str().unwrap(), all]));
    let cells = "select image_id, splits, labels, image, width > 100 as wide from dataset";
    stdout(&run("query", dir.path(), &["--format", "parquet", "-o", file.to_str().unwrap(), cells]));
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).unwrap()).unwrap();
    let rows: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 2 * IMAGES as usize);
    let labels = rows[0]["labels"].as_list::<i32>().value(0);
    assert_eq!(labels.as_primitive::<UInt8Type>().values(), &[1, 2]);
    assert_eq!(rows[0]["splits"].as_list::<i32>().value(0).as_string::<i32>().value(1), "train_aug");
    assert!(
        rows[0]["image"].as_binary::<i32>().value(0).starts_with(b"\xff\xd8") && rows[0]["wide"].as_boolean().value(0)
    );
    assert_eq!(run("query", dir.path(), &["--format", "parquet", sql]).status.code(), Some(78), "Parquet needs a file");

    let cells = json(dir.path(), "select image_id, splits, labels, image from dataset order by image_id limit 1");
    assert_eq!(cells[0]["splits"], serde_json::json!(["train", "train_aug"]));
    assert_eq!(cells[0]["labels"], serde_json::json!([1, 2]));
    assert!(cells[0]["image"].as_str().unwrap().starts_with("/9j/"), "base64 of a JPEG");
    let quoted = stdout(&run("query", dir.path(), &["--format", "csv", "select 'a,\"b\"' as x from score limit 1"]));
    assert_eq!(quoted, "x\n\"a,\"\"b\"\"\"\n");
}

#[test]
fn a_file_named_without_a_directory_is_written_where_one_is() {
    let dir = made();
    let mut command = Command::new(PROGRAM);
    command.current_dir(dir.path()).args([
        "query",
        "--store",
        ".",
        "--format",
        "csv",
        "-o",
        "a.csv",
        "select miou from score",
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(dir.path().join("a.csv")).unwrap().lines().count(), 5);
}

#[test]
fn a_copy_that_followed_the_links_gives_the_same_answers() {
    let (dir, copy) = (made(), tempfile::tempdir().unwrap());
    let to = copy.path().join("store");
    assert!(Command::new("cp").arg("-rL").args([dir.path(), &to]).status().unwrap().success());
    for options in [&[][..], &["--all"]] {
        let args =
            [options, &["--json", "select experiment, stage, miou, key from score order by miou, stage"]].concat();
        assert_eq!(stdout(&run("query", &to, &args)), stdout(&run("query", dir.path(), &args)));
    }
}

#[test]
fn all_means_every_committed_artifact() {
    let dir = made();
    let count = |args: &[&str]| {
        let args: Vec<_> =
            args.iter().chain(&["--format", "csv", "select count(*) as n from dataset"]).copied().collect();
        stdout(&run("query", dir.path(), &args)).lines().nth(1).unwrap().to_owned()
    };
    assert_eq!((count(&[]).as_str(), count(&["--all"]).as_str()), ("48", "24"));
    std::fs::remove_file(dir.path().join("extract-msinf-cam/latest")).unwrap();
    let experiments = |args: &[&str]| {
        let sql = "select distinct experiment from cam order by experiment";
        let args: Vec<_> = args.iter().chain(&["--format", "csv", sql]).copied().collect();
        stdout(&run("query", dir.path(), &args))
    };
    assert_eq!(experiments(&[]), "experiment\nbaseline\n");
    assert_eq!(experiments(&["--all"]), "experiment\nbaseline\nrcm+mam\n");
}

#[test]
fn the_tables_are_described() {
    let dir = made();
    let text = stdout(&run("query", dir.path(), &["--tables"]));
    for part in
        ["confusion (192 rows from evaluate)", "Pixels of the class missed.", "source_stage", "crf (not written yet)"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn mistakes_are_told_with_what_would_be_right() {
    let dir = made();
    let fails = |sql: &str, code: i32, parts: &[&str]| {
        let output = run("query", dir.path(), &[sql]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{sql}: {text}");
        assert!(text.starts_with("camflow query: ") && !text.contains("panicked"), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    };
    fails("select miuo from score", 78, &["miuo", "did you mean 'miou'?", "table 'score' has the columns"]);
    fails("select * from scores", 78, &["scores", "did you mean 'score'?", "dataset, mask, cam, sweep"]);
    for sql in ["select miuo from score", "select * from scores", "selekt", "select sum(class) / 2 + from sweep"] {
        assert_eq!(stderr(&run("query", dir.path(), &[sql])).lines().count(), 1, "{sql}");
    }
    fails("selekt * from score", 78, &["selekt"]);
    fails("select sum(class) / 2 + from sweep", 78, &["table 'sweep' has the columns"]);
    fails("", 78, &["the store has the tables"]);
    fails("update score set miou = 1", 78, &["not supported"]);
    // Polars itself panics here.
    fails("select count(distinct) from score group by all having", 78, &["camflow query"]);

    std::fs::remove_dir_all(dir.path().join("random-walk")).unwrap();
    for stage in ["train-cam", "train-affinity", "train-deeplab"] {
        std::fs::remove_dir_all(dir.path().join(stage)).unwrap();
    }
    fails("select * from curve", 78, &["table 'curve' has no rows yet"]);
    let scores = dir.path().join("evaluate/latest/data/part-00000-of-00001.parquet");
    let mut bytes = std::fs::read(&scores).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&scores, bytes).unwrap();
    fails("select * from score", 69, &["damaged (its digest differs)", "camflow verify"]);
    std::fs::write(&scores, b"rubbish").unwrap();
    fails("select * from score", 69, &["damaged"]);
    let record = dir.path().join("evaluate/latest/artifact.json");
    std::fs::write(&record, b"{").unwrap();
    let output = run("query", dir.path(), &["--format", "csv", "select distinct experiment from score"]);
    assert_eq!(stdout(&output), "experiment\nbaseline\n");
    assert!(stderr(&output).contains("damaged") && stderr(&output).contains("left out"), "{}", stderr(&output));
}

#[test]
fn a_store_without_artifacts_is_told_and_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent");
    for (store, part) in [(absent.as_path(), "no store at"), (dir.path(), "holds no committed artifact")] {
        for program in ["query", "report"] {
            let args: &[&str] = if program == "query" { &["select 1"] } else { &["--out", "/dev/null"] };
            let output = run(program, store, args);
            assert_eq!(output.status.code(), Some(69));
            assert!(stderr(&output).contains(part) && stderr(&output).contains("make pipeline"), "{}", stderr(&output));
        }
    }
    assert!(!absent.exists() && std::fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[test]
fn a_reader_that_closes_early_is_no_failure() {
    let dir = made();
    let mut query = Command::new(PROGRAM)
        .args(["query", "--store", dir.path().to_str().unwrap(), "--format", "csv", "select * from curve"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(query.stdout.take());
    let output = query.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
}
