//! The dense CRF against pydensecrf, and what holds for any picture.

use data::codec::Rgb;
use tch::{Kind, Tensor};
use wsss::infer::CrfParams;
use wsss::method::crf::{Bilateral, CrfOptions, DenseCrf, Gaussian};

use crate::golden::{Golden, noise};

/// For CAMs.
const CAM: CrfOptions = CrfOptions {
    iterations: 10,
    gaussian: Gaussian { sxy: 3.0, compat: 3.0 },
    bilateral: Bilateral { sxy: 80.0, srgb: 13.0, compat: 10.0 },
};
/// For segmentations.
const SEGMENTATION: CrfOptions = CrfOptions {
    iterations: 10,
    gaussian: Gaussian { sxy: 1.0, compat: 3.0 },
    bilateral: Bilateral { sxy: 67.0, srgb: 3.0, compat: 4.0 },
};

fn floats(x: &Tensor) -> Vec<f32> {
    Vec::try_from(x.to_kind(Kind::Float).contiguous().view(-1)).expect("f32")
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn winners(q: &[f32], pixels: usize) -> Vec<usize> {
    let classes = q.len() / pixels;
    let score = |class: usize, pixel: usize| q[class * pixels + pixel];
    let best = |pixel| (0..classes).max_by(|a, b| score(*a, pixel).total_cmp(&score(*b, pixel))).unwrap();
    (0..pixels).map(best).collect()
}

/// A smooth picture with some noise, whose values depend on the name alone.
fn picture(name: &str, height: usize, width: usize) -> Rgb {
    let speckle = floats(&noise(name, &[(height * width * 3) as i64]));
    let value = |(i, speckle): (usize, &f32)| {
        let (x, y, channel) = (i / 3 % width, i / 3 / width, i % 3);
        let slope = 60.0 + (3 * x + 2 * y) as f32 + if x * 2 > width { 70.0 * channel as f32 } else { 0.0 };
        (slope + 12.0 * speckle).clamp(0.0, 255.0) as u8
    };
    Rgb { height, width, pixels: speckle.iter().enumerate().map(value).collect() }
}

fn probabilities(name: &str, classes: usize, pixels: usize) -> Vec<f32> {
    floats(&(noise(name, &[classes as i64, pixels as i64]) * 2.0).softmax(0, Kind::Float))
}

#[test]
fn mean_field_is_pydensecrfs() {
    let golden = Golden::open("dense_crf.safetensors");
    let image = golden.get("image");
    let (height, width) = (image.size()[0] as usize, image.size()[1] as usize);
    let pixels = Vec::try_from(image.contiguous().view(-1)).expect("u8");
    let image = Rgb { height, width, pixels };
    let scores = floats(&golden.get("prob"));
    for (name, options) in [("cam", CAM), ("seg", SEGMENTATION)] {
        let crf = DenseCrf::new(&image, &options);
        for iterations in [1, 10] {
            let expected = floats(&golden.get(&format!("{name}.t{iterations}")));
            let found = crf.infer(&scores, iterations);
            let difference = largest_difference(&found, &expected);
            let (a, b) = (winners(&found, height * width), winners(&expected, height * width));
            let other = a.iter().zip(&b).filter(|(a, b)| a != b).count();
            println!("{name}, {iterations} iterations: largest |dQ| {difference:.1e}, {other} labels differ");
            assert!(difference < 1e-3, "{name}.t{iterations}: largest |dQ| {difference}");
            assert!(other * 1000 <= a.len(), "{name}.t{iterations}: {other} of {} labels differ", a.len());
        }
    }
}

/// Q after one step with the kernel as it is written: every pixel with every pixel.
fn brute_force(image: &Rgb, p: &[f32], options: &CrfOptions) -> Vec<f32> {
    let pixels = image.height * image.width;
    let classes = p.len() / pixels;
    let (gaussian, bilateral) = (options.gaussian, options.bilateral);
    let feature = |i: usize, sxy: f32, srgb: f32| {
        let colour = [0, 1, 2].map(|channel| f64::from(image.pixels[i * 3 + channel]) / f64::from(srgb));
        let position = [i % image.width, i / image.width].map(|at| at as f64 / f64::from(sxy));
        [position[0], position[1], colour[0], colour[1], colour[2]]
    };
    let kernel = |sxy: f32, srgb: f32| {
        let features: Vec<_> = (0..pixels).map(|i| feature(i, sxy, srgb)).collect();
        let k = |i: usize, j: usize| {
            let square: f64 = features[i].iter().zip(&features[j]).map(|(a, b)| (a - b) * (a - b)).sum();
            (-0.5 * square).exp()
        };
        let sums: Vec<f64> = (0..pixels).map(|i| (0..pixels).map(|j| k(i, j)).sum()).collect();
        let sums = &sums;
        (0..pixels).flat_map(|i| (0..pixels).map(move |j| k(i, j) / (sums[i] * sums[j]).sqrt())).collect::<Vec<f64>>()
    };
    let kernels =
        [(kernel(gaussian.sxy, f32::MAX), gaussian.compat), (kernel(bilateral.sxy, bilateral.srgb), bilateral.compat)];
    let mut q = vec![0.0; p.len()];
    for i in 0..pixels {
        let energy = |class: usize| {
            let map = &p[class * pixels..(class + 1) * pixels];
            let message = |(kernel, compat): &(Vec<f64>, f32)| {
                let row = &kernel[i * pixels..(i + 1) * pixels];
                f64::from(*compat) * row.iter().zip(map).map(|(k, p)| k * f64::from(*p)).sum::<f64>()
            };
            f64::from(map[i].max(1e-5)).ln() + kernels.iter().map(message).sum::<f64>()
        };
        let exponentials: Vec<f64> = (0..classes).map(|class| energy(class).exp()).collect();
        for class in 0..classes {
            q[class * pixels + i] = (exponentials[class] / exponentials.iter().sum::<f64>()) as f32;
        }
    }
    q
}

#[test]
fn the_lattice_is_near_the_kernel_as_it_is_written() {
    let image = picture("brute", 18, 22);
    let p = probabilities("brute scores", 3, 18 * 22);
    let none = Bilateral { compat: 0.0, ..CAM.bilateral };
    for options in [CrfOptions { bilateral: none, ..CAM }, CAM, SEGMENTATION] {
        let found = DenseCrf::new(&image, &options).infer(&p, 1);
        let exact = brute_force(&image, &p, &options);
        let total = |a: &[f32]| a.iter().zip(&exact).map(|(a, b)| (a - b).abs()).sum::<f32>();
        // Interpolating and blurring on a lattice is no Gaussian to the last digit.
        let share = total(&found) / total(&p);
        println!("off by {share:.3} of what the CRF changes");
        assert!(share < 0.15, "{options:?}: off by {share} of what the CRF changes");
    }
}

#[test]
fn equal_probabilities_stay_equal() {
    for (name, image) in
        [("flat", Rgb { height: 9, width: 7, pixels: vec![80; 9 * 7 * 3] }), ("any", picture("any", 9, 7))]
    {
        for classes in [2, 5, 21] {
            let q = DenseCrf::new(&image, &CAM).infer(&vec![1.0 / classes as f32; classes * 63], 10);
            assert!(q.iter().all(|q| (q * classes as f32 - 1.0).abs() < 1e-5), "{name}, {classes} classes: {q:?}");
        }
    }
}

#[test]
fn classes_have_no_order() {
    let image = picture("order", 13, 17);
    let crf = DenseCrf::new(&image, &SEGMENTATION);
    for classes in [2, 4, 7, 12, 16, 21, 30, 40, 81, 255] {
        let p = probabilities("order scores", classes, 13 * 17);
        let turn = |maps: &[f32]| {
            let (first, rest) = maps.split_at(13 * 17);
            [rest, first].concat()
        };
        let (found, expected) = (crf.infer(&turn(&p), 3), turn(&crf.infer(&p, 3)));
        assert!(largest_difference(&found, &expected) < 1e-5, "{classes} classes");
        let sums = |pixel: usize| (0..classes).map(|class| found[class * 13 * 17 + pixel]).sum::<f32>();
        assert!((0..13 * 17).all(|pixel| (sums(pixel) - 1.0).abs() < 1e-5), "{classes} classes");
    }
}

#[test]
fn no_iteration_leaves_the_probabilities_and_a_crf_has_no_memory() {
    let image = picture("memory", 8, 11);
    let p = probabilities("memory scores", 3, 88);
    let crf = DenseCrf::new(&image, &CAM);
    assert!(largest_difference(&crf.infer(&p, 0), &p) < 1e-6);
    let first = crf.infer(&p, 10);
    crf.infer(&probabilities("others", 5, 88), 2);
    assert_eq!(crf.infer(&p, 10), first);
}

#[test]
fn small_pictures_and_few_classes_are_pictures_too() {
    for (height, width) in [(1, 1), (1, 9), (9, 1)] {
        let image = picture("small", height, width);
        let crf = DenseCrf::new(&image, &CAM);
        assert_eq!(crf.infer(&vec![0.3; height * width], 10), vec![1.0; height * width], "one class");
        let q = crf.infer(&probabilities("small scores", 3, height * width), 10);
        assert!(q.iter().all(|q| (0.0..=1.0).contains(q)), "{height} x {width}: {q:?}");
    }
    // Certain pixels stay what they are; probabilities of 0 have a logarithm.
    let certain = [vec![1.0; 9], vec![0.0; 9]].concat();
    let q = DenseCrf::new(&picture("small", 3, 3), &CAM).infer(&certain, 10);
    assert!(q[..9].iter().all(|q| *q > 0.999), "{q:?}");
}

#[test]
fn labels_follow_the_picture() {
    // Two halves of two colours, and scores of which every seventh pixel is wrong.
    let (height, width) = (24, 30);
    let left = |pixel: usize| pixel % width < width / 2;
    let pixels =
        (0..height * width).flat_map(|pixel| if left(pixel) { [200, 40, 40] } else { [30, 90, 160] }).collect();
    let right = |pixel: usize| if left(pixel) == pixel.is_multiple_of(7) { 0.7 } else { 0.3 };
    let p: Vec<f32> = (0..height * width).map(right).collect();
    let p = [p.iter().map(|p| 1.0 - p).collect(), p].concat();
    let q = DenseCrf::new(&Rgb { height, width, pixels }, &CAM).infer(&p, 10);
    let expected: Vec<usize> = (0..height * width).map(|pixel| usize::from(!left(pixel))).collect();
    assert_ne!(winners(&p, height * width), expected);
    assert_eq!(winners(&q, height * width), expected);
}

/// Height, width, classes, and the checksums of Q for CAMs and for segmentations.
const BITS: [(usize, usize, usize, [u32; 2]); 4] = [
    (47, 64, 21, [0xEC71_8646, 0x02D9_7AAC]),
    (90, 70, 3, [0xFC04_4D3A, 0x4418_34AE]),
    (31, 53, 12, [0x55BE_EAE7, 0x6FCC_2CC8]),
    (40, 40, 81, [0xE88C_7A20, 0x3889_F6B0]),
];

/// Q is the same to the last bit on every machine, whatever instructions it has, and however rows are stored: the
/// checksums are of a plain loop over pixels and axes. No logarithm but that of 1 and of the least probability is
/// taken, since the system's differs between machines.
#[test]
fn bits_are_the_same_on_every_machine() {
    for (height, width, classes, expected) in BITS {
        let value = |i: usize| {
            let (x, y, channel) = (i / 3 % width, i / 3 / width, i % 3);
            let speckle = (i as u32).wrapping_mul(0x9E37_79B1) >> 28;
            ((x / 9 * 40 + y / 7 * 25) * (channel + 1) % 230) as u8 + speckle as u8
        };
        let image = Rgb { height, width, pixels: (0..height * width * 3).map(value).collect() };
        let certain = |i: usize| {
            let (class, pixel) = (i / (height * width), i % (height * width));
            let speckle = (pixel as u32).wrapping_mul(0x85EB_CA77) >> 29;
            if (pixel % width / 9 + pixel / width / 7 + usize::from(speckle == 0)) % classes == class {
                1.0
            } else {
                0.0
            }
        };
        let p: Vec<f32> = (0..classes * height * width).map(certain).collect();
        for (options, expected) in [CAM, SEGMENTATION].iter().zip(expected) {
            let q = DenseCrf::new(&image, options).infer(&p, options.iterations);
            let bytes: Vec<u8> = q.iter().flat_map(|q| q.to_le_bytes()).collect();
            assert_eq!(crc32fast::hash(&bytes), expected, "{classes} classes, {options:?}");
        }
    }
}

#[test]
fn values_out_of_range_are_named() {
    let good = CrfParams { iterations: 10, gaussian: CAM.gaussian, bilateral: CAM.bilateral };
    good.check().unwrap();
    assert_eq!(good.options(), Some(CAM));
    let none = CrfParams { iterations: 0, ..good };
    none.check().unwrap();
    assert_eq!(none.options(), None);
    let bad = CrfParams { bilateral: Bilateral { srgb: 0.0, ..CAM.bilateral }, ..good };
    assert_eq!(bad.check().unwrap_err().name, "bilateral.srgb");
    let bad = CrfParams { gaussian: Gaussian { compat: f32::NAN, ..CAM.gaussian }, ..good };
    assert_eq!(bad.check().unwrap_err().name, "gaussian.compat");
    assert_eq!(CrfParams { iterations: 1001, ..good }.check().unwrap_err().name, "iterations");
}
