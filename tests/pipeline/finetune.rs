//! Training that goes on from the network of another experiment.

use std::collections::BTreeMap;

use serde_json::Value;
use tch::Tensor;
use wsss::train::init::{CHECKPOINT, SUPPORT};

use crate::world::{World, assert_refused};

/// A learning rate at which nothing is learned shows what a training starts from.
const TUNED: &str = r#"
[pipeline]
main = "tuned"

[experiment.first]
train-cam.terms = ["cls"]

[experiment.tuned]
targets = ["train-cam"]
train-cam.needs = ["prepare-data", "train-cam@first"]
train-cam.init = "train-cam"
train-cam.terms = ["cls", "rcm"]
train-cam.optimizer.lr = 1e-12
"#;

fn weights(path: &std::path::Path) -> BTreeMap<String, Tensor> {
    // Batch normalisation follows its images at any learning rate.
    let learned = |name: &str| !name.contains("running_");
    Tensor::read_safetensors(path).unwrap().into_iter().filter(|(name, _)| learned(name)).collect()
}

#[test]
fn a_training_starts_from_the_whole_network_of_another_experiment() {
    let world = World::with_experiments(TUNED);
    world.commit("prepare-data", &[]);
    let early = world.finish("train-cam", &[]);
    assert_refused(&early, 69, &["'train-cam'", "'first'", "--experiment 'first' --until train-cam"]);

    let summary = world.run_experiment("tuned", &[]);
    let ran: Vec<_> = summary.outcomes.iter().map(|o| format!("{} {}", o.stage, o.experiment)).collect();
    assert!(ran.contains(&"train-cam first".to_owned()) && ran.contains(&"train-cam tuned".to_owned()), "{ran:?}");
    let first = weights(&world.latest_of("train-cam", Some("first")).file(CHECKPOINT));
    assert!(first.contains_key("feature.weight") && first.contains_key("classifier.weight"));
    let tuned = world.latest("train-cam");
    for file in [CHECKPOINT, SUPPORT] {
        let tuned = weights(&tuned.file(file));
        assert!(tuned.keys().eq(first.keys()));
        for (name, tensor) in &tuned {
            assert!(tensor.allclose(&first[name], 1e-5, 1e-7, false), "{file} {name}");
        }
    }

    let log = std::fs::read_to_string(tuned.file("log.jsonl")).unwrap();
    let filled =
        log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).find(|line| line["event"] == "weights");
    let filled = filled.expect("the log tells what was filled");
    assert_eq!((filled["missing"].as_array().unwrap().len(), filled["unexpected"].as_array().unwrap().len()), (0, 0));
    assert!(filled["filled"].as_u64().unwrap() as usize >= first.len(), "{filled}");

    let (ancestors, gone) = tuned.ancestors().unwrap();
    let keys: Vec<_> = ancestors.iter().map(|artifact| &artifact.record().key).collect();
    assert_eq!((keys, gone), (vec![&world.latest_of("train-cam", Some("first")).record().key], None));

    // By hand the other experiment's artifact is found as well; a parameter of RCM is none of the baseline's.
    let by_hand = world.commit("train-cam", &["--set", "train-cam.rcm.temperature=0.4"]);
    assert_eq!(by_hand.record().preimage.inputs, tuned.record().preimage.inputs);
    assert_ne!(by_hand.record().key, tuned.record().key);

    let misfit = world.finish("train-cam", &["--set", "experiment.tuned.train-cam.features=4"]);
    assert_refused(&misfit, 65, &["does not fit this network", "classifier.weight"]);
}

#[test]
fn what_a_training_starts_from_and_what_it_needs_must_agree() {
    let world = World::with_experiments(TUNED);
    let unused = world.finish("train-cam", &["--check", "--set", "experiment.tuned.train-cam.init=random"]);
    assert_refused(&unused, 78, &["uses 'train-cam' for init = \"train-cam\" only"]);
    let lacking = world.finish("train-cam", &["--check", "--experiment", "first", "--set", "train-cam.init=train-cam"]);
    assert_refused(&lacking, 78, &["init", "lack 'train-cam'", "'train-cam@EXPERIMENT'"]);
    for stage in ["train-affinity", "train-deeplab"] {
        let unused =
            world.finish(stage, &["--check", "--experiment", "rcm+mam", "--set", &format!("{stage}.init=random")]);
        assert_refused(&unused, 78, &[stage, "uses 'train-cam' for init = \"train-cam\" only"]);
    }
}
