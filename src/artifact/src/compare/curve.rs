//! The first step at which two training runs part.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cell::CellValue;
use crate::table::Cells;

/// Where two runs part. Values are compared bit by bit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Parting {
    /// The first step at which a term that both runs have differs; `None`: they agree as far as both go.
    pub step: Option<u64>,
    /// The terms that differ there.
    pub terms: Vec<Term>,
    /// The last step of A and of B.
    pub last: [u64; 2],
    /// Terms that only A, only B has.
    pub only: [Vec<String>; 2],
}

/// A loss term at one step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Term {
    /// Its name.
    pub name: String,
    /// Its value in A.
    pub a: f64,
    /// Its value in B.
    pub b: f64,
}

/// What is seen of two curves as their rows come.
#[derive(Default)]
pub(super) struct Curves {
    parting: Parting,
    /// Term to whether A, B has it.
    terms: BTreeMap<String, [bool; 2]>,
}

impl Curves {
    pub fn see(&mut self, side: usize, cells: &Cells) {
        let (step, name, _) = read(cells);
        self.parting.last[side] = self.parting.last[side].max(step);
        match self.terms.get_mut(name) {
            Some(has) => has[side] = true,
            None => self.terms.entry(name.to_owned()).or_default()[side] = true,
        }
    }

    /// Two rows of the same step and term that differ.
    pub fn differ(&mut self, a: &Cells, b: &Cells) {
        let ((step, name, in_a), (.., in_b)) = (read(a), read(b));
        if in_a.to_bits() == in_b.to_bits() || self.parting.step.is_some_and(|first| first < step) {
            return;
        }
        if self.parting.step != Some(step) {
            self.parting.terms.clear();
        }
        self.parting.step = Some(step);
        self.parting.terms.push(Term { name: name.to_owned(), a: in_a, b: in_b });
    }

    pub fn parting(mut self) -> Parting {
        for (name, has) in self.terms {
            match has {
                [true, false] => self.parting.only[0].push(name),
                [false, true] => self.parting.only[1].push(name),
                _ => {}
            }
        }
        self.parting
    }
}

fn read(cells: &Cells) -> (u64, &str, f64) {
    let (mut step, mut name, mut value) = (0, "", 0.0);
    for cell in cells {
        match cell {
            ("step", CellValue::Number(number)) => step = *number as u64,
            ("name", CellValue::Text(text)) => name = text,
            ("value", CellValue::Number(number)) => value = *number,
            _ => {}
        }
    }
    (step, name, value)
}
