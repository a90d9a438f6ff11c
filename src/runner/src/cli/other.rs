//! Commands that other programs answer: camflow becomes `camflow-<name>`, as git becomes `git-<name>`.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command as Process;

use artifact::{Error, Result};
use clap::CommandFactory as _;
use runner::find_program;

use super::Cli;

/// A command that another program answers.
struct Other {
    name: &'static str,
    does: &'static str,
    program: &'static str,
}

const OTHERS: [Other; 10] = [
    Other {
        name: "init",
        does: "Look at a folder of pictures and labels and write its manifest",
        program: "camflow-init",
    },
    Other {
        name: "doctor",
        does: "Look at this machine: libtorch, GPU, cores, disk, weights",
        program: "camflow-doctor",
    },
    Other {
        name: "predict",
        does: "Make masks, or activation maps, for any pictures with a trained network",
        program: "camflow-predict",
    },
    Other {
        name: "show",
        does: "Show a picture, its CAMs, labels and ground truth side by side",
        program: "camflow-show",
    },
    Other {
        name: "export",
        does: "Write masks, activation maps, a submission or a network as files",
        program: "camflow-export",
    },
    Other { name: "query", does: "Ask questions of the tables", program: READER },
    Other { name: "report", does: "Write the report", program: READER },
    Other { name: "push", does: "Send artifacts to the store that is shared", program: SHARER },
    Other { name: "pull", does: "Fetch artifacts from it instead of computing them", program: SHARER },
    Other {
        name: "weights",
        does: "Show what a file of weights holds and which backbones it fits",
        program: "camflow-weights",
    },
];

/// The programs that answer two commands each, and are told which.
const READER: &str = "camflow-report";
const SHARER: &str = "camflow-remote";

/// Where a shell says which of the words it completes.
const INDEX: &str = "_CLAP_COMPLETE_INDEX";

/// What the help says of them.
pub fn help() -> String {
    let mut text = "Also, where these programs stand beside camflow:\n".to_owned();
    for Other { name, does, program } in OTHERS {
        // Writing into a string does not fail.
        let _ = writeln!(text, "  {name:<8} {does} ({program})");
    }
    text
}

/// The commands without their options, so that a shell completes their names.
pub fn stubs() -> impl Iterator<Item = clap::Command> {
    OTHERS.into_iter().map(|other| clap::Command::new(other.name).about(other.does))
}

/// The programs, each once.
pub fn programs() -> Vec<&'static str> {
    let mut programs: Vec<_> = OTHERS.iter().map(|other| other.program).collect();
    programs.dedup();
    programs
}

/// The program that answers a command, and whether it is told which.
fn program(name: &OsStr) -> (OsString, bool) {
    let other = OTHERS.iter().find(|other| name == other.name);
    let unknown = || [OsStr::new("camflow-"), name].into_iter().collect();
    let is_told = other.is_some_and(|other| [READER, SHARER].contains(&other.program));
    (other.map_or_else(unknown, |other| other.program.into()), is_told)
}

/// Becomes the program that answers a command.
pub fn hand_over(words: &[OsString]) -> Result<()> {
    let (name, rest) = words.split_first().expect("clap gives the name first");
    let (program, is_told) = program(name);
    let Some(file) = find_program(&program) else {
        let command = Cli::command();
        let known = command.get_subcommands().map(clap::Command::get_name).chain(OTHERS.iter().map(|other| other.name));
        let (name, program) = (name.to_string_lossy(), Path::new(&program).display());
        return Err(Error::Config(format!(
            "no command '{name}', and no program {program} beside camflow or on the PATH; there are {}",
            known.collect::<Vec<_>>().join(", ")
        )));
    };
    let words = if is_told { words } else { rest };
    Err(Error::io("start", &file)(Process::new(&file).args(words).exec()))
}

/// Becomes the program of the words that a shell wants completed, if that is another one.
pub fn complete() {
    if !command_line::is_asked() {
        return;
    }
    let words: Vec<_> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let index = std::env::var(INDEX).ok().and_then(|index| index.parse::<usize>().ok());
    let [_, name, rest @ ..] = words.as_slice() else { return };
    // The name itself is completed here.
    if rest.is_empty() || index == Some(1) || OTHERS.iter().all(|other| name != other.name) {
        return;
    }
    let (program, is_told) = program(name);
    let Some(file) = find_program(&program) else { return };
    let mut process = Process::new(&file);
    process.arg("--").arg(&program).args(is_told.then_some(name)).args(rest);
    if let Some(index) = index.filter(|_| !is_told) {
        process.env(INDEX, index.saturating_sub(1).to_string());
    }
    // That it cannot be started leaves the words without completions.
    let _ = process.exec();
}
