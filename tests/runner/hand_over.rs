//! Commands that are programs of their own: which program is started, and with which words.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

#[test]
fn query_and_report_are_one_program_that_is_told_which() {
    let dir = tempfile::tempdir().unwrap();
    let camflow = dir.path().join("camflow");
    fs::copy(env!("CARGO_BIN_EXE_camflow"), &camflow).unwrap();
    for name in ["camflow-report", "camflow-weights", "camflow-init", "camflow-export", "camflow-remote"] {
        let program = dir.path().join(name);
        fs::write(&program, "#!/bin/sh\necho \"${0##*/}: $*\"\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (words, started) in [
        (&["query", "select 1", "--json"][..], "camflow-report: query select 1 --json\n"),
        (&["report", "--tables"], "camflow-report: report --tables\n"),
        (&["push", "--pinned"], "camflow-remote: push --pinned\n"),
        (&["pull", "evaluate@full"], "camflow-remote: pull evaluate@full\n"),
        (&["weights", "file.pth"], "camflow-weights: file.pth\n"),
        (&["init", "pets"], "camflow-init: pets\n"),
        (&["export", "labels", "random-walk", "out"], "camflow-export: labels random-walk out\n"),
    ] {
        let output = Command::new(&camflow).args(words).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), started, "{}", String::from_utf8_lossy(&output.stderr));
    }
}
