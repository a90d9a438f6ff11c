//! Every term and reading is trained by the stage: which losses it has, and which networks it leaves.

use std::collections::BTreeSet;

use artifact::table::{CamRow, CurveRow};
use wsss::train::init::CAM_SUPPORT;

use crate::world::{World, assert_refused};

/// The terms besides `cls`, what else is set, and whether a `SupportNet` of its own is kept.
const ROWS: [(&[&str], &[&str], bool); 12] = [
    (&[], &[], false),
    (&["mam"], &["mam.attention=smm"], true),
    (&["mam"], &["mam.attention=mmm"], true),
    (&["mam"], &[], true),
    (&["mam"], &["mam.normalize=false"], true),
    (&["mam"], &["mam.reduction=labels"], true),
    (&["rcm"], &[], true),
    (&["rcm"], &["rcm.form=printed"], true),
    (&["rcm"], &["rcm.supervision=direct"], true),
    (&["rcm"], &["support.update=shared"], false),
    (&["mam", "rcm"], &["mam.attention=mmm", "support.scales=[1.0, 1.5]"], true),
    (&["seam"], &["cls.weight=0.5"], false),
];

/// The assignment that lists `cls` and these terms.
fn listed(terms: &[&str]) -> String {
    let terms: Vec<_> = ["cls"].iter().chain(terms).map(|name| format!("{name:?}")).collect();
    format!("train-cam.terms=[{}]", terms.join(", "))
}

#[test]
fn every_reading_trains_with_its_terms_and_networks() {
    let world = World::new();
    world.commit("prepare-data", &[]);
    let mut digests = BTreeSet::new();
    for (terms, sets, support) in ROWS {
        let sets: Vec<_> = sets.iter().map(|set| format!("train-cam.{set}")).chain([listed(terms)]).collect();
        let arguments: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).collect();
        let trained = world.commit("train-cam", &arguments);
        let curve = trained.rows::<CurveRow>(&[]).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        assert!(curve.iter().all(|row| row.value.is_finite()), "{sets:?}");
        let names: BTreeSet<_> = curve.iter().map(|row| row.name.as_str()).collect();
        let found: Vec<_> = names.into_iter().filter(|name| !["loss", "cls", "lr"].contains(name)).collect();
        assert_eq!((found.as_slice(), trained.file(CAM_SUPPORT).exists()), (terms, support), "{sets:?}");
        assert!(digests.insert(trained.record().digest.clone()), "{sets:?} changes nothing");
    }
    for (terms, none) in [(&["rcm"][..], "train-cam.support.update=shared"), (&[], "train-cam.features=8")] {
        let sets = ["--set", &listed(terms), "--set", none, "--set", "extract-msinf-cam.net=support"];
        assert_refused(
            &world.finish("extract-msinf-cam", &sets),
            78,
            &["extract-msinf-cam.net = \"support\"", "'cam_support.safetensors'"],
        );
    }
}

#[test]
fn refined_maps_are_those_of_the_pixel_correlation_module() {
    let world = World::new();
    world.commit("prepare-data", &[]);
    let seam = ["--set", &listed(&["seam"]), "--set", "train-cam.cls.weight=0.5"];
    world.commit("train-cam", &seam);
    let refined = [&seam[..], &["--set", "extract-msinf-cam.maps=refined"]].concat();
    let [plain, refined] = [&seam[..], &refined].map(|sets| world.commit("extract-msinf-cam", sets));
    assert_ne!(plain.record().digest, refined.record().digest);
    let rows =
        |artifact: &artifact::Artifact| artifact.rows::<CamRow>(&[]).unwrap().map(Result::unwrap).collect::<Vec<_>>();
    let (plain, refined) = (rows(&plain), rows(&refined));
    assert_eq!(plain.len(), refined.len());
    // A refined map is a mean of many cells: nowhere negative, so never cut off, and larger in the mean.
    assert!(refined.iter().all(|row| row.raw_max > 0.0 && row.mean > 0.0));
    // A training without the term has no such module.
    world.commit("train-cam", &["--set", &listed(&[])]);
    let none = ["--set", &listed(&[]), "--set", "extract-msinf-cam.maps=refined"];
    assert_refused(&world.finish("extract-msinf-cam", &none), 78, &["extract-msinf-cam.maps", "seam"]);
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let world = World::new();
    for (set, words) in [
        ("support.scales=[0.5, 2.0]", "1 must be among them"),
        ("support.scales=[1.0, 1.0]", "1 must be among them, once"),
        ("support.scales=[1.0, 0.0]", "0.1 to 4"),
        ("mam.weight=-1.0", "0 or more"),
        ("cls.weight=-0.5", "0 or more"),
        ("terms=[\"cls\", \"rmc\"]", "there are cls, rcm, mam, seam"),
        ("terms=[\"mam\"]", "none takes part in epoch 1"),
        ("rcm.tempo=1", "unknown field `tempo`"),
        ("seam.scale=1.0", "from 0.1 to below 1"),
    ] {
        let name = set.split('=').next().unwrap();
        let output = world.finish("train-cam", &["--check", "--set", &format!("train-cam.{set}")]);
        assert_refused(&output, 78, &[name, words]);
    }
}
