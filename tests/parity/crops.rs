//! Crops stacked to the tensors of a batch.

use data::augment::Sample;
use wsss::train::crops::to_tensors;

#[test]
fn samples_become_tensors() {
    let sample = |v: f32, class: u8| Sample {
        crop: 2,
        image: (0..12).map(|i| v + i as f32).collect(),
        valid: vec![true, true, false, true],
        maps: vec![vec![class, 0, 255, 1]],
    };
    let crops = to_tensors(&[sample(0.0, 3), sample(100.0, 4)]);
    assert_eq!(crops.images.size(), [2, 3, 2, 2]);
    assert_eq!(crops.images.double_value(&[1, 2, 1, 0]).to_bits(), 110.0_f64.to_bits());
    assert_eq!((crops.valid.size(), crops.valid.kind()), (vec![2, 2, 2], tch::Kind::Bool));
    assert_eq!(crops.valid.int64_value(&[0, 1, 0]), 0);
    assert_eq!(crops.maps[0].kind(), tch::Kind::Int64);
    assert_eq!((crops.maps[0].int64_value(&[1, 0, 0]), crops.maps[0].int64_value(&[0, 1, 0])), (4, 255));
}
