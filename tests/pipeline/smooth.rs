//! smooth: gives every pixel of the labels of another stage the commonest class around it
//!
//! A stage that the project does not have, to show that a stage is a program and a table of the manifest. Reads the
//! table `label`; writes `label`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use artifact::table::LabelRow;
use artifact::{ParamError, Result, Row as _};
use serde::{Deserialize, Serialize};
use serde_json::json;
use stage::{Contents, Context, Description, Outcome, Read, Stage};

struct Smooth;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Neighbours up to this many pixels away, in each direction.
    radius: usize,
}

impl Stage for Smooth {
    type Params = Params;

    fn description() -> Description {
        Description {
            reads: vec![Read::table::<LabelRow>()],
            writes: Contents::tables([LabelRow::TABLE]),
            sharded: true,
            ..Description::new(
                "smooth",
                1,
                "gives every pixel of the labels of another stage the commonest class around it",
            )
        }
    }

    fn check(params: &Params) -> Result<()> {
        if params.radius > 16 {
            return Err(ParamError::new("radius", "at most 16").into());
        }
        Ok(())
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let labels = context.table::<LabelRow>()?.rows::<LabelRow>(&[])?.collect::<Result<Vec<_>>>()?;
        let source = context.name.clone();
        let missing = context.for_each_image(&labels, BTreeMap::new(), |params, _worker, row| {
            Ok(vec![LabelRow { source: source.clone(), label: smoothed(row, params.radius), ..row.clone() }])
        })?;
        if missing > 0 {
            return Ok(Outcome::Partial { missing });
        }
        Ok(Outcome::tables([("images".to_owned(), json!(labels.len()))].into()))
    }
}

/// The commonest class within a radius of each pixel; of equals the least.
fn smoothed(row: &LabelRow, radius: usize) -> Vec<u8> {
    let (height, width) = (row.height as usize, row.width as usize);
    let around = |at: usize, end: usize| at.saturating_sub(radius)..(at + radius + 1).min(end);
    let commonest = |index: usize| {
        let mut counts = [0_u32; 256];
        for y in around(index / width, height) {
            for x in around(index % width, width) {
                counts[usize::from(row.label[y * width + x])] += 1;
            }
        }
        (0..=u8::MAX).rev().max_by_key(|class| counts[usize::from(*class)]).unwrap_or_default()
    };
    (0..height * width).map(commonest).collect()
}

fn main() -> ExitCode {
    stage::main::<Smooth>()
}
