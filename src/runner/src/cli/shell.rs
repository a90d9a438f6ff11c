//! What a shell and a reader of manual pages get: of camflow, of the programs beside it, and of the stages.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::Command as Process;

use artifact::{Error, Manifest, Result};
use clap::CommandFactory as _;

use super::{Cli, other};

/// `camflow completions`: what makes a shell ask the programs.
pub fn completions(shell: Option<&str>, out: &mut dyn Write) -> Result<()> {
    let own = std::env::var("SHELL").unwrap_or_default();
    let shell = shell.unwrap_or_else(|| own.rsplit('/').next().unwrap_or_default());
    let script = |program: &str| {
        command_line::registration(shell, program).ok_or_else(|| {
            let shells = command_line::shells().join(", ");
            Error::Config(format!("no completions for the shell '{shell}'; name one of {shells}"))
        })
    };
    let stages = Manifest::load(Manifest::DEFAULT_FILE.as_ref(), &[]).map(|manifest| manifest.stages());
    let programs = ["camflow".to_owned()].into_iter().chain(other::programs().into_iter().map(str::to_owned));
    for program in programs.chain(stages.unwrap_or_default()) {
        runner::emit(out, &script(&program)?)?;
    }
    Ok(())
}

/// `camflow man`: writes the pages, and says which programs were not there to write theirs.
pub fn man(dir: &Path, manifest: &Path, out: &mut dyn Write) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
    let stages = if manifest.exists() { Manifest::load(manifest, &[])?.stages() } else { Vec::new() };
    let programs = other::programs().into_iter().map(str::to_owned).chain(stages);
    for program in programs {
        let Some(file) = runner::find_program(OsStr::new(&program)) else {
            runner::emit(out, &format!("{program}: not beside camflow and not on the PATH; it has no page\n"))?;
            continue;
        };
        let status = Process::new(&file).arg(command_line::MAN).arg(dir).status().map_err(Error::io("start", &file))?;
        if !status.success() {
            return Err(Error::Failed(format!("{} {}: {status}", file.display(), command_line::MAN)));
        }
    }
    // Last: camflow-report has a page of this name too.
    command_line::pages(Cli::command(), dir)?;
    // `man` looks for pages of section 1 in directories of this name.
    let above = dir.parent().filter(|_| dir.ends_with("man1"));
    let above = above.map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    let how = above.map(|above| format!("; read them with man -M {} camflow", above.display())).unwrap_or_default();
    runner::emit(out, &format!("manual pages in {}{how}\n", dir.display()))
}
