//! Geometry and colours of augmentation.

use data::{
    augment::{Augmentation, augment, normalize},
    codec::{Mask, Rgb},
    jitter::{Change, Jitter},
    random::{Rng, epoch_order},
    resize::{resize_bicubic, resize_nearest},
    tones::Tones,
};

use crate::codec::gradient;
use crate::plain;

const NO_JITTER: Jitter = Jitter { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.0, probability: 0.0 };

fn plain(crop: usize) -> Augmentation {
    Augmentation { crop, scale: [1.0, 1.0], flip: 0.0, jitter: NO_JITTER }
}

fn changed(pixels: &[u8], changes: &[Change]) -> Vec<u8> {
    let image = Rgb { height: 1, width: pixels.len() / 3, pixels: pixels.to_vec() };
    let mut planes = [0, 1, 2].map(|_| vec![0.0; image.width]);
    let to = planes.each_mut().map(Vec::as_mut_slice);
    Tones::of(&image, changes).normalized(image.pixels.as_chunks().0, to, [0.0; 3], [1.0; 3]);
    (0..pixels.len()).map(|at| (planes[at % 3][at / 3] * 255.0_f32).round() as u8).collect()
}

/// Noise of every brightness, or nearly black.
fn noise(height: usize, width: usize, dark: bool) -> Rgb {
    let mut rng = Rng::new(5, 0, "noise");
    let values = if dark { 3 } else { 256 };
    Rgb { height, width, pixels: (0..height * width * 3).map(|_| rng.below(values) as u8).collect() }
}

#[test]
fn a_crop_has_the_bits_that_the_whole_picture_gives() {
    let pictures =
        [gradient(1, 1), noise(7, 90, false), noise(90, 61, true), gradient(130, 200), noise(330, 310, true)];
    let jitter = Jitter { brightness: 0.6, contrast: 0.9, saturation: 1.4, hue: 0.5, probability: 0.9 };
    let (mut orders, mut plainer) = (std::collections::BTreeSet::new(), 0);
    for (number, picture) in pictures.iter().enumerate() {
        let map = Mask { height: 5, width: 9, classes: (0..45).collect() };
        let fine = noise(picture.height, picture.width, false).pixels;
        let fine = Mask { height: picture.height, width: picture.width, classes: fine[2 * fine.len() / 3..].to_vec() };
        for epoch in 0..60 {
            let mut how =
                Augmentation { crop: 1 + 67 * (epoch % 5), scale: [0.4, 1.4], flip: 0.5, jitter: jitter.clone() };
            if epoch % 4 == 0 {
                how.jitter.contrast = 0.0;
            }
            let rng = || Rng::new(2, epoch as u64, &format!("picture {number}"));
            let sample = augment(picture, &[&map, &fine], &how, &mut rng());
            assert!(sample == plain::augment(picture, &[&map, &fine], &how, &mut rng()), "{number}, epoch {epoch}");
            let mut draws = rng();
            let _scale_and_flip = [draws.bits(), draws.bits()];
            let order: Vec<_> =
                how.jitter.draw(&mut draws).iter().map(std::mem::discriminant).map(|c| format!("{c:?}")).collect();
            plainer += usize::from(order.len() < 4);
            orders.insert(order);
        }
    }
    assert!(orders.len() == 24 + 6 + 1 && plainer > 60, "{} orders of changes, {plainer} without all", orders.len());
}

#[test]
fn no_augmentation_is_normalisation() {
    let image = gradient(12, 12);
    let sample = augment(&image, &[], &plain(12), &mut Rng::new(0, 0, "a"));
    assert_eq!(sample.image, normalize(&image));
    assert!(sample.valid.iter().all(|&v| v));
}

#[test]
fn normalisation_is_that_of_imagenet() {
    let image = Rgb { height: 1, width: 1, pixels: vec![255, 0, 51] };
    let expected = [(1.0 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225];
    for (value, expected) in normalize(&image).iter().zip(expected) {
        assert!((value - expected).abs() < 1e-6);
    }
}

#[test]
fn a_flip_mirrors_picture_and_maps() {
    let image = gradient(6, 6);
    let map = Mask { height: 6, width: 6, classes: (0..36).collect() };
    let how = Augmentation { flip: 1.0, ..plain(6) };
    let sample = augment(&image, &[&map], &how, &mut Rng::new(0, 0, "a"));
    let straight = normalize(&image);
    for (c, y, x) in (0..3).flat_map(|c| (0..6).flat_map(move |y| (0..6).map(move |x| (c, y, x)))) {
        assert_eq!(sample.image[c * 36 + y * 6 + x].to_bits(), straight[c * 36 + y * 6 + 5 - x].to_bits());
        assert_eq!(sample.maps[0][y * 6 + x], map.classes[y * 6 + 5 - x]);
    }
}

#[test]
fn a_small_picture_lies_whole_in_zeros_at_varying_offsets() {
    let image = Rgb { height: 3, width: 4, pixels: vec![255; 36] };
    let map = Mask { height: 3, width: 4, classes: vec![5; 12] };
    let mut corners = std::collections::BTreeSet::new();
    for epoch in 0..60 {
        let sample = augment(&image, &[&map], &plain(8), &mut Rng::new(1, epoch, "a"));
        assert_eq!(sample.valid.iter().filter(|v| **v).count(), 12);
        let first = sample.valid.iter().position(|v| *v).unwrap();
        for (i, valid) in sample.valid.iter().enumerate() {
            let (y, x) = ((i / 8).wrapping_sub(first / 8), (i % 8).wrapping_sub(first % 8));
            assert_eq!(*valid, y < 3 && x < 4);
            assert_eq!(sample.maps[0][i], if *valid { 5 } else { 255 });
            assert_eq!(sample.image[i] != 0.0, *valid, "padding is zero after normalisation");
        }
        corners.insert((first / 8, first % 8));
    }
    assert!(corners.len() > 20 && corners.contains(&(0, 0)) && corners.contains(&(5, 4)), "{corners:?}");
}

#[test]
fn maps_stay_aligned_with_the_picture() {
    // The picture's left part is white, its map says so; they must agree under scale, flip and crop.
    let white = |x: usize| x < 30;
    let pixels = (0..80 * 100 * 3).map(|i| if white(i / 3 % 100) { 255 } else { 0 }).collect();
    let image = Rgb { height: 80, width: 100, pixels };
    let map = Mask { height: 80, width: 100, classes: (0..8000).map(|i| u8::from(white(i % 100))).collect() };
    let how = Augmentation { scale: [0.5, 1.3], flip: 0.5, ..plain(64) };
    for epoch in 0..40 {
        let sample = augment(&image, &[&map, &map], &how, &mut Rng::new(3, epoch, "x"));
        assert_eq!(sample.maps[0], sample.maps[1]);
        let wrong = (0..64 * 64).filter(|&i| sample.valid[i] && (sample.image[i] > 0.0) != (sample.maps[0][i] == 1));
        assert!(wrong.count() <= 64, "more than one column differs in epoch {epoch}");
    }
}

#[test]
fn augmentation_depends_on_its_arguments_only() {
    let image = gradient(40, 50);
    let jitter = Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1, probability: 0.8 };
    let how = Augmentation { crop: 32, scale: [0.5, 1.3], flip: 0.5, jitter };
    let sample = |seed, epoch, id| augment(&image, &[], &how, &mut Rng::new(seed, epoch, id));
    assert_eq!(sample(1, 2, "a"), sample(1, 2, "a"));
    assert_ne!(sample(1, 2, "a"), sample(1, 3, "a"));
    assert_ne!(sample(1, 2, "a"), sample(2, 2, "a"));
    assert_ne!(sample(1, 2, "a"), sample(1, 2, "b"));
}

#[test]
fn jitter_by_hand() {
    assert_eq!(changed(&[100, 200, 50], &[Change::Brightness(1.5)]), [150, 255, 75]);
    // Luma 0.299 * 100 + 0.587 * 200 + 0.114 * 50 = 153: half way to it.
    assert_eq!(changed(&[100, 200, 50], &[Change::Saturation(0.5)]), [127, 177, 102]);
    assert_eq!(changed(&[100, 200, 50], &[Change::Saturation(0.0)]), [153, 153, 153]);
    // Mean luma of black and white: 127.5; contrast 0.5 leaves 63.75 and 191.25.
    assert_eq!(changed(&[0, 0, 0, 255, 255, 255], &[Change::Contrast(0.5)]), [64, 64, 64, 191, 191, 191]);
    // A third of the circle: red -> green -> blue.
    assert_eq!(changed(&[200, 10, 10], &[Change::Hue(1.0 / 3.0)]), [10, 200, 10]);
    assert_eq!(changed(&[10, 200, 10], &[Change::Hue(1.0 / 3.0)]), [10, 10, 200]);
    assert_eq!(changed(&[90, 90, 90], &[Change::Hue(0.3)]), [90, 90, 90]);
    // Orange (hue 30 of 360) back by a twelfth is red.
    assert_eq!(changed(&[200, 105, 10], &[Change::Hue(-1.0 / 12.0)]), [200, 10, 10]);
}

#[test]
fn a_full_turn_changes_nothing() {
    let image = gradient(16, 16);
    assert_eq!(changed(&image.pixels, &[Change::Hue(1.0)]), image.pixels);
    assert_eq!(changed(&image.pixels, &[Change::Brightness(1.0), Change::Contrast(1.0)]), image.pixels);
}

#[test]
fn parameters_are_strict() {
    let json = |extra: &str| {
        format!(
            r#"{{"crop": 8, "scale": [0.5, 1.3], "flip": 0.5{extra},
            "jitter": {{"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "probability": 0}}}}"#
        )
    };
    assert!(serde_json::from_str::<Augmentation>(&json("")).unwrap().check().is_ok());
    assert!(serde_json::from_str::<Augmentation>(&json(r#", "flop": 1"#)).is_err());
    let wrong = Augmentation { scale: [1.3, 0.5], ..plain(8) };
    assert_eq!(wrong.check().unwrap_err().name, "scale");
}

#[test]
fn shrinking_averages_and_nearest_takes_centres() {
    let stripes = Rgb { height: 8, width: 64, pixels: (0..8 * 64 * 3).map(|i| (i / 3 % 2 * 255) as u8).collect() };
    let small = resize_bicubic(&stripes, 8, 8);
    assert!(small.pixels.iter().all(|v| v.abs_diff(128) < 12), "antialiased: {:?}", &small.pixels[..8]);
    let map = Mask { height: 1, width: 4, classes: vec![1, 2, 3, 4] };
    assert_eq!(resize_nearest(&map, 1, 2).classes, [2, 4]);
    assert_eq!(resize_nearest(&map, 2, 8).classes, [1, 1, 2, 2, 3, 3, 4, 4, 1, 1, 2, 2, 3, 3, 4, 4]);
}

#[test]
fn an_epochs_order_is_a_permutation_of_its_own() {
    let order = epoch_order(7, 1, 100);
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    assert_eq!(order, epoch_order(7, 1, 100));
    assert_ne!(order, epoch_order(7, 2, 100));
    assert_ne!(order, epoch_order(8, 1, 100));
}

#[test]
fn numbers_are_uniform() {
    let mut rng = Rng::new(0, 0, "uniform");
    let mut counts = [0; 10];
    for _ in 0..10_000 {
        counts[rng.below(10)] += 1;
    }
    assert!(counts.iter().all(|c| (850..1150).contains(c)), "{counts:?}");
    let mean = (0..10_000).map(|_| rng.uniform(2.0, 4.0)).sum::<f64>() / 10_000.0;
    assert!((mean - 3.0).abs() < 0.03);
}
