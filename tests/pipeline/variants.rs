//! Every variant and reading is trained by the stage: which losses it has, and which networks it leaves.

use std::collections::BTreeSet;

use artifact::table::CurveRow;
use wsss::train::init::SUPPORT;

use crate::world::{World, assert_refused};

/// What is set, the losses besides that of the classes, and whether a `SupportNet` of its own is kept.
const ROWS: [(&[&str], &[&str], bool); 11] = [
    (&["variant=baseline"], &[], false),
    (&["variant=smm"], &["mam"], true),
    (&["variant=mmm"], &["mam"], true),
    (&["variant=mam"], &["mam"], true),
    (&["variant=mam", "mam.normalize=false"], &["mam"], true),
    (&["variant=mam", "mam.reduction=labels"], &["mam"], true),
    (&["variant=rcm"], &["rcm"], true),
    (&["variant=rcm", "rcm.form=printed"], &["rcm"], true),
    (&["variant=rcm", "rcm.supervision=direct"], &["rcm"], true),
    (&["variant=rcm", "support.update=shared"], &["rcm"], false),
    (&["variant=rcm+mmm", "support.scales=[1.0, 1.5]"], &["mam", "rcm"], true),
];

#[test]
fn every_variant_trains_with_its_losses_and_networks() {
    let world = World::new();
    world.commit("prepare-data", &[]);
    let mut digests = BTreeSet::new();
    for (sets, losses, support) in ROWS {
        let sets: Vec<_> = sets.iter().map(|set| format!("train-cam.{set}")).collect();
        let arguments: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).collect();
        let trained = world.commit("train-cam", &arguments);
        let curve = trained.rows::<CurveRow>(&[]).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        assert!(curve.iter().all(|row| row.value.is_finite()), "{sets:?}");
        let names: BTreeSet<_> = curve.iter().map(|row| row.name.as_str()).collect();
        let modules: Vec<_> = names.into_iter().filter(|name| ["mam", "rcm"].contains(name)).collect();
        assert_eq!((modules.as_slice(), trained.file(SUPPORT).exists()), (losses, support), "{sets:?}");
        assert!(digests.insert(trained.record().digest.clone()), "{sets:?} changes nothing");
    }
    for none in ["train-cam.variant=baseline", "train-cam.support.update=shared"] {
        let sets = ["--set", "train-cam.variant=rcm", "--set", none, "--set", "extract-msinf-cam.net=support"];
        assert_refused(&world.finish("extract-msinf-cam", &sets), 78, &["net", "SupportNet"]);
    }
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let world = World::new();
    for (set, words) in [
        ("support.scales=[0.5, 2.0]", "1 must be among them"),
        ("support.scales=[1.0, 1.0]", "1 must be among them, once"),
        ("support.scales=[1.0, 0.0]", "0.1 to 4"),
        ("mam.weight=-1.0", "0 or more"),
        ("cls_weight=-0.5", "0 or more"),
    ] {
        let name = set.split('=').next().unwrap();
        let output = world.finish("train-cam", &["--check", "--set", &format!("train-cam.{set}")]);
        assert_refused(&output, 78, &[name, words]);
    }
}
