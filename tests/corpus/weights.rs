//! Files of weights, through `camflow-weights`.

use std::fs;
use std::process::Command;

use crate::anatomy::Kind;
use crate::corpus::{self, Tally, keeping};
use crate::mutant::Mutant;
use crate::run::{Ended, binary, healthy, limited};
use crate::samples;

/// Files of one run: a file that is accepted is compared with networks, which costs more than all else.
const TOGETHER: usize = 40;
const BAD_DATA: i32 = 65;

fn name(mutant: &Mutant) -> String {
    format!("{:05}.{}", mutant.number, mutant.kind.name())
}

fn show(mutants: &[&Mutant], memory: u64) -> Ended {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(binary("camflow-weights"));
    for mutant in mutants {
        let path = directory.path().join(name(mutant));
        fs::write(&path, &mutant.bytes).expect("a temporary file");
        command.arg(path);
    }
    keeping(mutants, || limited(&command, memory))
}

#[test]
fn weights() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("whole.weights");
    fs::write(&path, &samples::of(Kind::Safetensors)[0]).expect("a temporary file");
    let (memory, ended) = healthy(Command::new(binary("camflow-weights")).arg(&path));
    assert_eq!(ended.code, 0, "{}", ended.said);
    let kinds = [Kind::Mxnet, Kind::Torch, Kind::Safetensors];
    let mut tallies = kinds.map(|kind| (kind, Tally::default()));
    let mutants: Vec<_> = kinds.into_iter().flat_map(corpus::of).collect();
    for together in mutants.iter().collect::<Vec<_>>().chunks(TOGETHER) {
        let ended = show(together, memory);
        let refused = |mutant: &Mutant| ended.said.contains(&name(mutant));
        assert_eq!(ended.code, if together.iter().any(|m| refused(m)) { BAD_DATA } else { 0 }, "{}", ended.said);
        for mutant in together {
            let tally = tallies.iter_mut().find(|(kind, _)| *kind == mutant.kind).expect("one of the three");
            tally.1.add(mutant, BAD_DATA, if refused(mutant) { BAD_DATA } else { 0 }, &ended.said, &name(mutant));
        }
    }
    // One by itself that is refused: a program that refuses its only file says so too.
    if let Some(mutant) = mutants.iter().rfind(|mutant| mutant.hopeless) {
        let ended = show(&[mutant], memory);
        Tally::default().add(mutant, BAD_DATA, ended.code, &ended.said, &name(mutant));
    }
    for (kind, tally) in tallies {
        tally.show(kind);
    }
}
