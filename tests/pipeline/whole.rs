//! `camflow run` from images to scores, and what runs again after a change.

use std::collections::BTreeMap;

use artifact::Artifact;
use artifact::table::{CamRow, ConfusionRow, CrfRow, CurveRow, DatasetRow, LabelRow, ScoreRow, SweepRow};
use runner::{OutcomeState, Summary};

use crate::world::World;

fn ran(summary: &Summary) -> Vec<String> {
    let ran = summary.outcomes.iter().filter(|outcome| outcome.state == OutcomeState::Ran);
    ran.map(|outcome| format!("{} {}", outcome.experiment, outcome.stage)).collect()
}

#[test]
fn from_images_to_scores_and_only_what_changed_runs_again() {
    let world = World::new();
    let first = world.run(&[]);
    assert_eq!(first.ran, 12, "{:?}", ran(&first));
    check_tables(&world);
    check_crf(&world);

    assert_eq!(world.run(&[]).ran, 0);
    let evaluated = world.run(&["evaluate.deeplab_flip=false"]);
    assert_eq!(ran(&evaluated), ["baseline evaluate", "rcm+mam evaluate"]);
    // The walk is neither an input of the CAMs nor, with equal labels, of what follows it.
    let walked = ran(&world.run(&["random-walk.logt=3"]));
    assert!(
        walked.contains(&"rcm+mam random-walk".to_owned()) && !walked.iter().any(|stage| stage.contains("train-cam"))
    );
    // A parameter of MAM is no parameter of the baseline.
    let attended = ran(&world.run(&["train-cam.mam.weight=0.5"]));
    assert!(attended.iter().all(|stage| stage.starts_with("rcm+mam")), "{attended:?}");

    world.latest("extract-msinf-cam").verify().unwrap();
    by_hand_uses_the_same_store(&world);
}

fn by_hand_uses_the_same_store(world: &World) {
    let by_hand = world.commit("threshold-sweep", &["--set", "threshold-sweep.count=30"]);
    assert_eq!(by_hand.table::<SweepRow>().unwrap().rows, 30 * 7);
    let summary = world.run(&["threshold-sweep.count=30", "train-cam.terms=[\"cls\", \"rcm\", \"mam\"]"]);
    let sweep = summary.outcomes.iter().find(|o| o.experiment == "rcm+mam" && o.stage == "threshold-sweep").unwrap();
    assert_eq!((&sweep.state, &sweep.key), (&OutcomeState::Cached, &by_hand.record().key));
}

fn rows<R: artifact::Row>(artifact: &Artifact) -> Vec<R> {
    artifact.rows::<R>(&[]).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Each row names what of it the manifest says was chosen on ground truth, and nothing else: not what had no effect.
fn check_chosen(world: &World, scores: &[ScoreRow]) {
    let baseline: Vec<ScoreRow> = rows(&world.latest_of("evaluate", Some("baseline")));
    // A baseline has no regions.
    let [of_cam, of_crf] =
        ["threshold (train); prepare-data.shapes.size", "prepare-data.shapes.size; evaluate.cam_crf.alpha"];
    let chosen: Vec<_> = baseline.iter().map(|row| row.chosen.as_str()).collect();
    assert_eq!(chosen, [of_cam, of_cam, of_crf, of_crf]);
    let cams = "prepare-data.shapes.size; train-cam.rcm.threshold";
    let mut labels = format!("{cams}; train-affinity.alpha_low; train-affinity.alpha_high");
    labels += "; random-walk.alpha; random-walk.logt";
    for row in scores {
        let expected = match row.stage.as_str() {
            "cam" => format!("threshold (train); {cams}"),
            "cam+crf" => format!("{cams}; evaluate.cam_crf.alpha"),
            _ => labels.clone(),
        };
        assert_eq!((row.chosen.clone(), row.chosen_on_ground_truth), (expected, true), "{} {}", row.stage, row.split);
    }
}

/// Both readings of every image, each of probabilities that sum to one but for rounding.
fn check_crf(world: &World) {
    let mut sums: BTreeMap<(String, String), (usize, Vec<u32>)> = BTreeMap::new();
    for row in rows::<CrfRow>(&world.latest("train-affinity")) {
        let (classes, sum) = sums
            .entry((row.image_id.to_string(), row.alpha.clone()))
            .or_insert_with(|| (0, vec![0; (row.width * row.height) as usize]));
        *classes += 1;
        sum.iter_mut().zip(&row.score).for_each(|(sum, score)| *sum += u32::from(*score));
    }
    assert_eq!(sums.len(), 2 * 10);
    let dataset = rows::<DatasetRow>(&world.latest("prepare-data"));
    let labels: BTreeMap<String, usize> =
        dataset.iter().map(|row| (row.image_id.to_string(), row.labels.len())).collect();
    for ((image, alpha), (classes, sum)) in sums {
        assert_eq!((classes, ["low", "high"].contains(&alpha.as_str())), (1 + labels[&image], true), "{image} {alpha}");
        assert!(sum.iter().all(|sum| sum.abs_diff(255) <= classes as u32), "{image} {alpha}");
    }
}

fn check_tables(world: &World) {
    let cams: Vec<CamRow> = rows(&world.latest("extract-msinf-cam"));
    assert!(!cams.is_empty());
    for cam in &cams {
        assert_eq!(cam.cam.len(), 64 * 64);
        // The map is divided by its maximum: 255 is reached wherever the class is seen at all.
        assert!(cam.raw_max < 1e-2 || cam.cam.iter().max() >= Some(&254), "{} {}", cam.image_id, cam.raw_max);
    }
    let labels: Vec<LabelRow> = rows(&world.latest("random-walk"));
    assert_eq!(labels.len(), 10);
    for label in &labels {
        let mut allowed: Vec<u8> = cams.iter().filter(|c| c.image_id == label.image_id).map(|c| c.class_id.0).collect();
        allowed.push(0);
        assert!(label.label.iter().all(|class| allowed.contains(class)), "{}", label.image_id);
    }
    let curve: Vec<CurveRow> = rows(&world.latest("train-cam"));
    let steps = |name: &str| curve.iter().filter(|row| row.name == name).map(|row| row.step).collect::<Vec<_>>();
    assert_eq!((steps("rcm"), steps("mam")), (vec![1, 2, 3, 4], vec![3, 4]), "MAM takes part from epoch 2");

    let evaluated = world.latest("evaluate");
    let scores: Vec<ScoreRow> = rows(&evaluated);
    let scored: Vec<_> = scores.iter().map(|row| format!("{} {}", row.stage, row.split)).collect();
    let expected = [
        "cam train",
        "cam val",
        "cam+crf train",
        "cam+crf val",
        "random-walk train",
        "train-deeplab val",
        "train-deeplab+crf val",
    ];
    assert_eq!(scored, expected);
    assert!(scores.iter().all(|row| row.experiment == "rcm+mam" && row.threshold.is_some() == (row.stage == "cam")));
    check_chosen(world, &scores);
    // Any table's mIoU is a group-by of the confusion rows.
    let confusions: Vec<ConfusionRow> = rows(&evaluated);
    for score in &scores {
        let of = |class: u8| {
            let rows = confusions.iter().filter(|row| row.stage == score.stage && row.split == score.split);
            rows.filter(|row| row.class_id.0 == class)
                .fold((0, 0), |(tp, all), r| (tp + r.tp, all + r.tp + r.fp + r.r#fn))
        };
        let miou = (0..7).map(of).map(|(tp, all)| tp as f64 / (all as f64 + 1e-10)).sum::<f64>() / 7.0;
        assert!((miou - score.miou).abs() < 1e-9, "{miou} {score:?}");
    }
    // The chosen threshold is the best of the sweep.
    let sweep: Vec<SweepRow> = rows(&world.latest("threshold-sweep"));
    let best = sweep.iter().map(|row| row.miou).fold(0.0, f64::max);
    assert!(sweep.iter().filter(|row| row.chosen).all(|row| (row.miou - best).abs() < 1e-12));
    assert!((scores[0].miou - best).abs() < 1e-12);
}
