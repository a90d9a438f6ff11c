//! Scores of the background, and the class that wins a pixel.

use artifact::ClassId;
use wsss::method::scores::{CamScores, winners};
use wsss::tensor::floats;

use crate::golden::noise;
use crate::loops::{Map, assert_near, largest};

#[test]
fn the_background_is_what_no_cam_claims() {
    let maps: Vec<_> = [3, 7].map(|class| (ClassId(class), floats(&noise("scores", &[60]).abs()))).into();
    let mut maps = maps;
    maps[1].1.reverse();
    for alpha in [0.7, 4.0, 24.0] {
        let found = CamScores::new(&maps, 60, alpha);
        assert_eq!(found.classes, [ClassId::BACKGROUND, ClassId(3), ClassId(7)]);
        let claimed = |pixel: usize| f64::from(maps[0].1[pixel].max(maps[1].1[pixel]));
        let background = Map::from_fn([1, 60], |_, pixel| (1.0 - claimed(pixel)).powf(alpha));
        assert_near(&format!("alpha {alpha}"), &found.scores[..60], &background, 1e-6);
        assert_eq!(found.scores[60..], [maps[0].1.clone(), maps[1].1.clone()].concat());
    }
}

#[test]
fn an_image_without_classes_is_background() {
    let found = CamScores::new(&[], 6, 4.0);
    assert_eq!((&found.classes[..], &found.scores[..]), (&[ClassId::BACKGROUND][..], &[1.0; 6][..]));
    assert_eq!(winners(&found.classes, &found.scores), [0; 6]);
}

#[test]
fn the_largest_score_wins_and_ties_go_to_the_first() {
    let classes = [ClassId(0), ClassId(4), ClassId(9)];
    // Few different values, so that ties are many.
    let scores: Vec<f32> = floats(&noise("winners", &[3, 200])).iter().map(|value| (value * 2.0).round()).collect();
    let maps: Vec<Map> = scores
        .chunks_exact(200)
        .map(|map| Map { height: 1, width: 200, values: map.iter().map(|value| f64::from(*value)).collect() })
        .collect();
    let expected: Vec<u8> = largest(&maps).into_iter().map(|index| classes[index].0).collect();
    assert_eq!(winners(&classes, &scores), expected);
    assert_eq!(winners(&classes, &[0.5, 0.5, 0.5]), [0]);
    assert_eq!(winners(&classes, &[0.4, 0.5, 0.5]), [4]);
}
