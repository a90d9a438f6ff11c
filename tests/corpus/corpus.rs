//! The corpus: which of its files are tried, and what is asked of every one.
//!
//! `CAMFLOW_CORPUS` is how many files are made, spread evenly over the ten kinds; 40 if it is not set, which takes some
//! seconds. `make corpus` makes 2,000. The first of a kind are the same files however many there are.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;

use crate::anatomy::Kind;
use crate::mutant::Mutant;
use crate::run::Ended;

const DEFAULT: usize = 40;

/// The damaged files of a kind that are tried.
pub fn of(kind: Kind) -> Vec<Mutant> {
    let files = env::var("CAMFLOW_CORPUS").map_or(DEFAULT, |text| {
        text.parse().unwrap_or_else(|_| panic!("CAMFLOW_CORPUS='{text}' is no number of files"))
    });
    (0..files.div_ceil(Kind::ALL.len())).map(|number| Mutant::new(kind, number)).collect()
}

/// What became of the files of a kind: exit codes and how many files had each.
#[derive(Default)]
pub struct Tally(BTreeMap<i32, usize>);

impl Tally {
    /// A file was accepted or refused; `word` is in what is said of it, its name for one.
    pub fn add(&mut self, mutant: &Mutant, refusal: i32, code: i32, said: &str, word: &str) {
        let problem = if code != 0 && code != refusal {
            format!("exit code {code}, where only 0 and {refusal} make sense")
        } else if code == 0 && mutant.hopeless {
            "accepted, although it cannot be whole".to_owned()
        } else if code != 0 && !said.contains(word) {
            format!("refused without '{word}'")
        } else {
            *self.0.entry(code).or_default() += 1;
            return;
        };
        panic!("{}: {problem}; the file is {}\n{said}", mutant.title(), keep(mutant));
    }

    /// One line for `make corpus`.
    pub fn show(&self, kind: Kind) {
        let counts: Vec<_> = self.0.iter().map(|(code, files)| format!("{files} with exit code {code}")).collect();
        println!("corpus: {:<13} {} files: {}", kind.name(), self.0.values().sum::<usize>(), counts.join(", "));
    }
}

/// Calls `run`, and where it fails keeps the files in question.
pub fn keeping<T>(mutants: &[&Mutant], run: impl FnOnce() -> T) -> T {
    struct Keep<'a>(&'a [&'a Mutant]);
    impl Drop for Keep<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                for mutant in self.0 {
                    eprintln!("in question: {}: {}", mutant.title(), keep(mutant));
                }
            }
        }
    }
    let _keep = Keep(mutants);
    run()
}

fn keep(mutant: &Mutant) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("corpus-{}-{}", mutant.kind.name(), mutant.number));
    match fs::write(&path, &mutant.bytes) {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("not kept ({error})"),
    }
}

/// Of files that went through one program together, those that it names as bad.
pub fn named<'a>(ended: &Ended, mutants: &[&'a Mutant], name: impl Fn(&Mutant) -> String) -> Vec<&'a Mutant> {
    mutants.iter().copied().filter(|mutant| ended.said.contains(&name(mutant))).collect()
}
