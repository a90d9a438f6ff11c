//! Training that goes on from the network of another experiment.

use std::collections::BTreeMap;

use serde_json::Value;
use tch::Tensor;
use wsss::train::init::{CAM_NET, CAM_SUPPORT};

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
    let first = weights(&world.latest_of("train-cam", Some("first")).file(CAM_NET));
    assert!(first.contains_key("feature.weight") && first.contains_key("classifier.weight"));
    let tuned = world.latest("train-cam");
    for file in [CAM_NET, CAM_SUPPORT] {
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
    let unused = world.refused("tuned", &["experiment.tuned.train-cam.init=random"]);
    assert!(unused.contains("'train-cam' uses 'train-cam@first' for init = \"train-cam\" only"), "{unused}");
    let lacking = world.refused("first", &["train-cam.init=train-cam"]);
    let expected = "train-cam.init = \"train-cam\", but its needs lack the file 'cam_net.safetensors'; \
                    add 'train-cam@EXPERIMENT', or set another init";
    assert!(lacking.contains(expected), "{lacking}");
    for stage in ["train-affinity", "train-deeplab"] {
        let unused = world.refused("rcm+mam", &[&format!("{stage}.init=random")]);
        assert!(unused.contains(&format!("'{stage}' uses 'train-cam' for init = \"train-cam\" only")), "{unused}");
    }

    // By hand the records of the inputs say the same.
    world.run_experiment("tuned", &[]);
    let unused = world.finish("train-cam", &["--set", "experiment.tuned.train-cam.init=random"]);
    assert_refused(&unused, 78, &["'train-cam' uses 'train-cam@first' for init = \"train-cam\" only"]);
    let needs = "experiment.tuned.train-cam.needs=[\"prepare-data\"]";
    let lacking = world.finish("train-cam", &["--set", needs]);
    assert_refused(&lacking, 78, &["lack the file 'cam_net.safetensors'", "'prepare-data' holds dataset"]);
}
