//! The help of the stages says what each reads and writes, as its description does.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::world::STAGES;

fn said(stage: &str, option: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_evaluate")).with_file_name(stage);
    let output = Command::new(&program).arg(option).output().expect("the stage starts");
    assert!(output.status.success(), "{stage} {option}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_help_of_each_stage_names_what_it_reads_and_writes() {
    for stage in STAGES {
        let help = said(stage, "--help");
        let described: Value = serde_json::from_str(&said(stage, "--describe")).unwrap();
        assert!(help.starts_with(&format!("{stage}: {}\n", described["about"].as_str().unwrap())), "{help}");
        let (reads, writes) = help.split_once("Writes, into the store:\n").expect("it writes something");
        for table in described["writes"]["tables"].as_array().unwrap() {
            assert!(writes.contains(&format!("table {}: ", table.as_str().unwrap())), "{stage} writes {table}: {help}");
        }
        for file in described["writes"]["files"].as_array().into_iter().flatten() {
            assert!(writes.contains(&format!("file {}", file.as_str().unwrap())), "{stage} writes {file}: {help}");
        }
        for table in described["reads"].as_array().unwrap().iter().filter_map(|read| read["what"]["table"].as_str()) {
            assert!(reads.contains(&format!("table {table}")), "{stage} reads {table}: {help}");
        }
        assert!(help.contains(&format!("[stage.{stage}]")) && help.contains("Exit codes:"), "{help}");
    }
}
