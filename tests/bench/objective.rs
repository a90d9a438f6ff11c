//! The objective of the paper with its values, for the benchmarks of a training step.

use serde_json::json;
use tch::nn;
use wsss::method::objective::{Objective, Tables};
use wsss::method::term::Site;
use wsss::model::CamNet;

/// K.
pub const CLASSES: i64 = 20;
/// D.
pub const FEATURES: i64 = 256;

/// The objective of these terms, for a network on the device of its variables.
pub fn objective(terms: &[String], vs: &nn::VarStore, main: &CamNet) -> Objective {
    let tables = json!({
        "cls": { "weight": 1.0, "from_epoch": 1 },
        "rcm": {
            "weight": 1.0, "from_epoch": 1, "threshold": 0.2, "temperature": 0.5, "form": "infonce",
            "supervision": "contrastive", "memory": 1,
        },
        "mam": { "weight": 1.0, "from_epoch": 1, "attention": "mam", "normalize": true, "reduction": "all" },
    });
    let tables: Tables = tables.as_object().expect("a table").clone().into_iter().collect();
    let site =
        |_| Site { path: vs.root(), classes: CLASSES, features: FEATURES, taps: main.taps(), device: vs.device() };
    Objective::new(terms, &tables, site).expect("an objective")
}
