//! Every command that the documents show is one that the programs have: its name, and each of its options.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGES: [&str; 6] = [
    "README.md",
    "artifacts/README.md",
    "src/README.md",
    "stages/manifests/README.md",
    "stages/manifests/CLUSTER.md",
    "src/wsss/METHOD.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The lines of the blocks of commands: those without a language.
fn commands(page: &str) -> Vec<String> {
    let mut inside = None;
    let mut found = Vec::new();
    for line in page.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(language), None) => inside = Some(language.is_empty()),
            (Some(_), Some(_)) => inside = None,
            (None, Some(true)) => found.push(line.split(" # ").next().unwrap_or(line).trim().to_owned()),
            _ => {}
        }
    }
    found.retain(|line| !line.is_empty() && !line.starts_with('#'));
    found
}

/// What a program says of itself, or of one of its commands.
fn help(program: &Path, command: &[&str]) -> String {
    let output = Command::new(program).args(command).arg("--help").output();
    let output = output.unwrap_or_else(|why| panic!("{}: {why}; `make build` makes it", program.display()));
    assert!(output.status.success(), "{} {command:?} has no help", program.display());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_that_the_documents_show_exists() {
    let bin = Path::new(env!("CARGO_BIN_EXE_train-cam")).parent().unwrap();
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut seen = 0;
    for page in PAGES {
        for line in commands(&fs::read_to_string(root().join(page)).unwrap()) {
            let words: Vec<_> = line.split_whitespace().collect();
            let help = match words.as_slice() {
                ["make", target, ..] => {
                    assert!(makefile.lines().any(|line| line.starts_with(&format!("{target}:"))), "{page}: {line}");
                    continue;
                }
                ["torchrun" | "srun", launched @ ..] => {
                    assert!(launched.iter().any(|word| bin.join(word).is_file()), "{page}: `{line}` starts no program");
                    continue;
                }
                [] | ["export" | "git" | "cd" | "cp" | "find", ..] => continue,
                ["camflow", "export", what, ..] => help(&bin.join("camflow"), &["export", what]),
                ["camflow", command, ..] => help(&bin.join("camflow"), &[command]),
                [program, ..] => help(&bin.join(program), &[]),
            };
            seen += 1;
            for option in words.iter().filter(|word| word.starts_with('-') && word.len() > 1) {
                let option = option.split('=').next().unwrap_or(option);
                assert!(help.contains(option), "{page}: `{line}` has {option}, which the program does not know");
            }
        }
    }
    assert!(seen > 25, "only {seen} commands were found: are the blocks still read?");
}
