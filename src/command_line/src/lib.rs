//! How every program reads its command line, completes it in a shell, and writes its manual pages.
//!
//! `COMPLETE=bash PROGRAM -- WORD…` is how a shell asks for completions (`camflow completions` prints what makes it
//! ask); `PROGRAM --man DIR` writes the pages, and is how `camflow man` asks for them. Both begin no work.
//!
//! ```text
//! place    the options by which programs find a manifest, its store, and an artifact in it
//! ```

mod place;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use artifact::error::exit;
use artifact::{Error, Manifest, Result};
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

pub use place::{ArtifactArgs, PlaceArgs};

/// The environment variable by which a shell asks for completions.
const COMPLETE: &str = "COMPLETE";

/// Does a shell ask for completions?
pub fn is_asked() -> bool {
    std::env::var_os(COMPLETE).is_some_and(|shell| !shell.is_empty())
}

/// The option that asks for manual pages.
pub const MAN: &str = "--man";

/// The words of the command line; else it is printed what is wrong with them, or what they ask for, and how to end.
pub fn parse<A: CommandFactory + FromArgMatches>() -> std::result::Result<A, ExitCode> {
    parse_as(A::command)
}

/// The same with a command that is not quite `A`'s own.
pub fn parse_as<A: FromArgMatches>(command: impl Fn() -> Command) -> std::result::Result<A, ExitCode> {
    A::from_arg_matches(&matches(command)?).map_err(|error| ended(&error))
}

/// Runs a program: `work` is given the words of the command line, and gives the exit code. `name` stands before an
/// error.
pub fn run<A: CommandFactory + FromArgMatches>(name: &str, work: impl FnOnce(&A) -> Result<u8>) -> ExitCode {
    let args = match parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    work(&args).map_or_else(|error| refused(&format!("{name}: "), &error), ExitCode::from)
}

/// Says what went wrong, to whoever may still read it, and how to end.
fn refused(name: &str, error: &Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{name}{error}");
    ExitCode::from(error.exit_code())
}

fn matches(command: impl Fn() -> Command) -> std::result::Result<ArgMatches, ExitCode> {
    CompleteEnv::with_factory(&command).var(COMPLETE).complete();
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if let [option, dir] = words.as_slice()
        && option == MAN
    {
        return Err(match pages(command(), Path::new(dir)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refused("", &error),
        });
    }
    command().try_get_matches().map_err(|error| ended(&error))
}

/// Says what is wrong with a command line, or shows its help, and how to end.
fn ended(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(exit::CONFIG) } else { ExitCode::SUCCESS }
}

/// Writes the manual pages of a command and of all that stand below it.
pub fn pages(command: Command, dir: &Path) -> Result<()> {
    let fresh = dir.join(".new");
    std::fs::create_dir_all(&fresh).map_err(Error::io("make", &fresh))?;
    let written = || {
        clap_mangen::generate_to(command, &fresh)?;
        for page in std::fs::read_dir(&fresh)? {
            let page = page?;
            let text = std::fs::read_to_string(page.path())?;
            // What ends the help is laid out in lines, which the formatter would fill.
            std::fs::write(dir.join(page.file_name()), text.replace(".SH EXTRA\n", ".SH NOTES\n.nf\n"))?;
        }
        std::fs::remove_dir_all(&fresh)
    };
    written().map_err(Error::io("write manual pages into", dir))
}

/// The shells that can be made to ask.
pub fn shells() -> Vec<&'static str> {
    Shells::builtins().names().collect()
}

/// What makes a shell ask `program` for completions of its command line; `None` if it is none of [`shells`].
pub fn registration(shell: &str, program: &str) -> Option<String> {
    let shells = Shells::builtins();
    let mut script = Vec::new();
    let name = program.replace('-', "_");
    shells.completer(shell)?.write_registration(COMPLETE, &name, program, program, &mut script).ok()?;
    String::from_utf8(script).ok()
}

/// Completes the name of a stage of the manifest.
pub fn stages() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(|manifest| Ok(manifest.stages())))
}

/// Completes the name of an experiment of the manifest.
pub fn experiments() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(Manifest::experiments))
}

fn candidates(names: impl Fn(&Manifest) -> Result<Vec<String>>) -> Vec<CompletionCandidate> {
    let file = manifest_of(std::env::args_os()).unwrap_or_else(|| Manifest::DEFAULT_FILE.into());
    let names = Manifest::load(&file, &[]).and_then(|manifest| names(&manifest));
    names.unwrap_or_default().into_iter().map(CompletionCandidate::new).collect()
}

/// The manifest that the words name.
fn manifest_of(words: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let beside = words.iter().find_map(|word| word.strip_prefix("--manifest=").map(PathBuf::from));
    let after = words.windows(2).find(|pair| pair[0] == "--manifest").map(|pair| PathBuf::from(&pair[1]));
    beside.or(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_name_the_manifest_in_either_form() {
        let named = |words: &[&str]| manifest_of(words.iter().map(OsString::from));
        assert_eq!(named(&["camflow", "run", "--manifest", "a.toml", "--from"]), Some("a.toml".into()));
        assert_eq!(named(&["camflow", "run", "--manifest=b.toml"]), Some("b.toml".into()));
        assert_eq!(named(&["camflow", "run", "--manifest"]), None);
    }

    #[test]
    fn every_shell_that_is_named_has_a_script_and_no_other_has() {
        for shell in shells() {
            let script = registration(shell, "train-cam").unwrap();
            assert!(script.contains("train-cam") && script.contains(COMPLETE), "{shell}: {script}");
        }
        assert_eq!(registration("tcsh", "train-cam"), None);
    }
}
