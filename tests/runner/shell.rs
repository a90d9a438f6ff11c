//! `camflow completions`, `camflow man` and `camflow tables`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::world::{STAGES, World};

/// A directory with camflow and the fake stages, and nothing else.
fn install(world: &World) -> PathBuf {
    fs::copy(env!("CARGO_BIN_EXE_camflow"), world.bin().join("camflow")).unwrap();
    world.bin()
}

/// What bash offers for the last of the words.
fn offered(world: &World, words: &str) -> Vec<String> {
    let script = format!(
        "source <(camflow completions bash); COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
         COMP_TYPE=9; program=${{COMP_WORDS[0]}}; \
         _clap_complete_${{program//-/_}} \"$program\" \"${{COMP_WORDS[-1]}}\" >/dev/null; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(world.path("."));
    let path = std::env::var("PATH").unwrap_or_default();
    bash.env("PATH", format!("{}:{path}", install(world).display()));
    let output = bash.output().expect("bash starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|word| word.trim().to_owned()).collect()
}

#[test]
fn bash_completes_commands_stages_experiments_and_the_options_of_stages() {
    let world = World::new();
    let commands = offered(&world, "camflow ''");
    for command in ["run", "watch", "query", "init"] {
        assert!(commands.iter().any(|offered| offered == command), "{command}: {commands:?}");
    }
    assert_eq!(offered(&world, "camflow explain train-"), ["train-affinity", "train-cam", "train-deeplab"]);
    assert_eq!(offered(&world, "camflow run --from rand"), ["random-walk"]);
    assert_eq!(offered(&world, "camflow run --experiment b"), ["baseline"]);
    fs::write(world.path("other.toml"), "extends = 'pipeline.toml'\n[experiment.bigger]\n").unwrap();
    assert_eq!(offered(&world, "camflow run --manifest other.toml --experiment b"), ["baseline", "bigger"]);
    assert_eq!(offered(&world, "train-cam --exp"), ["--experiment"]);
    assert_eq!(offered(&world, "train-cam --experiment b"), ["baseline"]);
}

#[test]
fn other_programs_complete_their_own_words() {
    let world = World::new();
    let program = world.bin().join("camflow-init");
    fs::write(&program, "#!/bin/sh\nprintf '%s' \"$_CLAP_COMPLETE_INDEX$*\"\n").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(offered(&world, "camflow init pets --la"), ["2-- camflow-init pets --la"]);
}

#[test]
fn completions_are_for_shells_that_there_are() {
    let world = World::new();
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = world.camflow(&["completions", shell]).with(0).stdout;
        assert!(script.contains("camflow") && script.contains("train-cam"), "{shell}: {script}");
    }
    world.camflow(&["completions", "tcsh"]).with(78);
    let unknown = world.command(&["completions"]).env("SHELL", "/bin/tcsh").output().unwrap();
    assert_eq!(unknown.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("name one of bash"));
}

#[test]
fn every_program_that_is_there_has_a_manual_page() {
    let world = World::new();
    let mut command = Command::new(install(&world).join("camflow"));
    let path = std::env::var("PATH").unwrap_or_default();
    command.args(["man", "man1"]).current_dir(world.path(".")).env("PATH", path);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("camflow-report: not beside camflow"), "{said}");
    assert!(said.ends_with("manual pages in man1; read them with man -M . camflow\n"), "{said}");
    let page = |name: &str| {
        fs::read_to_string(world.path("man1").join(format!("{name}.1"))).unwrap_or_else(|why| panic!("{name}: {why}"))
    };
    for stage in STAGES {
        assert!(page(stage).contains("Writes, into the store"), "{}", page(stage));
    }
    assert!(page("camflow").contains("camflow\\-run(1)"), "{}", page("camflow"));
    assert!(page("camflow-watch").contains("another machine"), "{}", page("camflow-watch"));
}

#[test]
fn tables_are_listed_with_the_meaning_of_their_columns() {
    let world = World::new();
    let text = world.camflow(&["tables", "curve"]).with(0).stdout;
    assert!(text.starts_with("curve: One value of a training run. One row for each step, name.\n"), "{text}");
    assert!(text.contains("  step    UInt64   Optimiser step, from 1.\n"), "{text}");
    let all: Value = serde_json::from_str(&world.camflow(&["tables", "--json"]).with(0).stdout).unwrap();
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), artifact::table::declarations().len());
    for table in all {
        assert!(!table["meaning"].as_str().unwrap().is_empty(), "{table}");
        for column in table["columns"].as_array().unwrap() {
            assert!(!column["meaning"].as_str().unwrap().is_empty(), "{table}");
            assert!(!column["type"].as_str().unwrap().is_empty(), "{table}");
        }
    }
    let refused = world.camflow(&["tables", "curves"]).with(78).stderr;
    assert!(refused.contains("there is no table 'curves'; there are dataset, mask, cam"), "{refused}");
}
