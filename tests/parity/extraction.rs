//! msinf-CAM extraction against its definition in loops, and what holds for any network.

use artifact::ClassId;
use data::augment::normalize;
use data::codec::Rgb;
use data::resize::resize_bicubic;
use tch::{Kind, Tensor};
use wsss::method::cam::{msinf, upsample};
use wsss::method::extraction::{ExtractionOptions, extract_msinf};
use wsss::method::flip::Flip;
use wsss::tensor::{floats, of_photo};

use crate::golden::{assert_close, noise};
use crate::loops::{Map, assert_near, mirrored, picture};

const CLASSES: i64 = 4;
const LABELS: [ClassId; 2] = [ClassId(2), ClassId(4)];

/// A network of its own kind at stride 8: cells are averaged, and channels mixed.
fn network(images: &Tensor) -> Tensor {
    let cells = images.avg_pool2d([8, 8], [8, 8], [0, 0], true, false, None); // [B, 3, ceil(h / 8), ceil(w / 8)]
    cells.conv2d::<Tensor>(&noise("extraction.network", &[CLASSES, 3, 1, 1]), None, [1, 1], [0, 0], [1, 1], 1)
}

fn options(scales: &[f64], flip: Flip) -> ExtractionOptions {
    ExtractionOptions { scales: scales.to_vec(), flip }
}

/// The network's CAMs of a picture, a map a class.
fn raw(picture: &Rgb) -> Vec<Map> {
    let input = Tensor::from_slice(&normalize(picture)).view([1, 3, picture.height as i64, picture.width as i64]);
    Map::channels(&network(&input))
}

/// The sum of the views' activations for a foreground class, by definition.
fn sum(photo: &Rgb, class: ClassId, options: &ExtractionOptions) -> Map {
    let size = [photo.height, photo.width];
    let activation = |view: &Rgb| raw(view)[class.0 as usize - 1].upsampled(size);
    let mut sum = vec![0.0; photo.height * photo.width];
    for scale in &options.scales {
        let side = |pixels: usize| (pixels as f64 * scale).round() as usize;
        let view = resize_bicubic(photo, side(photo.height), side(photo.width));
        let mut maps = vec![activation(&view)];
        if options.flip == Flip::Both {
            maps.push(activation(&mirrored(&view)).mirrored());
        }
        for map in maps {
            sum.iter_mut().zip(map.values).for_each(|(sum, value)| *sum += value.max(0.0));
        }
    }
    Map { height: photo.height, width: photo.width, values: sum }
}

#[test]
fn extraction_is_its_definition() {
    let photo = picture("extraction.photo", 45, 61);
    for options in [
        options(&[1.0], Flip::None),
        options(&[0.5], Flip::Both),
        options(&[0.5, 1.0, 1.5, 2.0], Flip::None),
        options(&[0.5, 1.0, 1.5, 2.0], Flip::Both),
    ] {
        let found = extract_msinf(network, &photo, &LABELS, &options);
        assert_eq!(found.iter().map(|cam| cam.class).collect::<Vec<_>>(), LABELS);
        for cam in found {
            let sum = sum(&photo, cam.class, &options);
            assert!((f64::from(cam.raw_max) - sum.max()).abs() < 1e-4 * sum.max(), "{} {}", cam.raw_max, sum.max());
            assert!(sum.max() > 0.1, "a map of nothing tests nothing");
            let expected = Map::from_fn([photo.height, photo.width], |y, x| sum.at(y, x) / (sum.max() + 1e-5));
            assert_near(&format!("class {}, {options:?}", cam.class.0), &cam.values, &expected, 1e-5);
        }
    }
}

#[test]
fn the_two_msinf_cams_are_one_where_their_views_are() {
    let photo = picture("extraction.photo", 45, 61);
    let mut labels = [0_f32; CLASSES as usize];
    for class in &LABELS {
        labels[class.0 as usize - 1] = 1.0;
    }
    let labels = Tensor::from_slice(&labels).view([1, -1]);
    let cam = upsample(&network(&of_photo(&photo)), [45, 61]);
    let trained = msinf(&[cam], &labels); // [1, K, H, W]
    for cam in extract_msinf(network, &photo, &LABELS, &options(&[1.0], Flip::None)) {
        assert_eq!(cam.values, floats(&trained.get(0).get(i64::from(cam.class.0) - 1)), "class {}", cam.class.0);
    }
}

#[test]
fn a_mirrored_photograph_has_the_mirrored_cam() {
    let photo = picture("extraction.mirror", 40, 53);
    let options = options(&[0.5, 1.0], Flip::Both);
    let [cams, others] =
        [photo.clone(), mirrored(&photo)].map(|photo| extract_msinf(network, &photo, &LABELS, &options));
    for (cam, other) in cams.iter().zip(&others) {
        let map = |values: &[f32]| Tensor::from_slice(values).view([40, 53]);
        assert_close("mirrored", &map(&other.values), &map(&cam.values).flip([1]), 1e-5);
    }
}

#[test]
fn a_class_that_nothing_speaks_for_has_a_map_of_zeros() {
    let photo = picture("extraction.zeros", 20, 30);
    let negative = |images: &Tensor| -Tensor::ones([images.size()[0], CLASSES, 3, 4], (Kind::Float, images.device()));
    for cam in extract_msinf(negative, &photo, &LABELS, &options(&[1.0], Flip::Both)) {
        assert!(cam.raw_max.abs() < f32::EPSILON && cam.values.iter().all(|value| value.abs() < f32::EPSILON));
    }
}

#[test]
fn without_a_foreground_class_no_network_is_asked() {
    let photo = picture("extraction.none", 20, 30);
    let asked = |_: &Tensor| -> Tensor { panic!("asked") };
    for labels in [&[][..], &[ClassId::BACKGROUND]] {
        assert!(extract_msinf(asked, &photo, labels, &options(&[1.0], Flip::None)).is_empty());
    }
}
