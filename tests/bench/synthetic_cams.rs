//! A store of CAMs and masks as 1,200 photographs of VOC's size have them, for benchmarks, and the same as NumPy files.

use std::collections::BTreeMap;
use std::path::Path;

use artifact::encoding::{self, CamEncoding};
use artifact::store::{Claim, Contents};
use artifact::table::{CamRow, MaskRow};
use artifact::{Artifact, ClassId, ImageId, Preimage, Row as _, Store};
use data::codec::{Mask, encode_mask};
use data::random::Rng;

/// What the manifests ask for.
pub const ENCODING: CamEncoding = CamEncoding::U8Differences;
pub const SIZE: [usize; 2] = [375, 500];
pub const IMAGES: usize = 1200;
pub const CLASSES: usize = 20;
/// Images that differ; more than a row group has, so that none repeats in one.
const DIFFERENT: usize = 60;

/// One image: class, map of scores as f32, and the mask.
pub struct Image {
    pub cams: Vec<(ClassId, Vec<f32>)>,
    pub mask: Vec<u8>,
}

/// A map as a network gives it: values at stride 16, brought to the picture's size between its neighbours, the largest
/// one 1; a third of the picture or so is not 0.
fn map(rng: &mut Rng) -> Vec<f32> {
    let [h, w] = SIZE;
    let (rows, columns) = (h.div_ceil(16) + 1, w.div_ceil(16) + 1);
    let (y, x) = (rng.uniform(6.0, rows as f64 - 6.0), rng.uniform(6.0, columns as f64 - 6.0));
    let (sy, sx) = (rng.uniform(2.0, 6.0), rng.uniform(2.0, 6.0));
    let mut coarse = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            let distance = ((row as f64 - y) / sy).powi(2) + ((column as f64 - x) / sx).powi(2);
            coarse.push(((-0.5 * distance).exp() + rng.uniform(-0.12, 0.08)).max(0.0) as f32);
        }
    }
    let at = |row: usize, column: usize| {
        let (i, j) = (row / 16 * columns + column / 16, columns);
        let (fy, fx) = ((row % 16) as f32 / 16.0, (column % 16) as f32 / 16.0);
        let above = coarse[i] * (1.0 - fx) + coarse[i + 1] * fx;
        above * (1.0 - fy) + (coarse[i + j] * (1.0 - fx) + coarse[i + j + 1] * fx) * fy
    };
    let map: Vec<f32> = (0..h * w).map(|pixel| at(pixel / w, pixel % w)).collect();
    let largest = map.iter().fold(0.0_f32, |a, b| a.max(*b));
    map.iter().map(|value| value / largest).collect()
}

/// One or two classes; what exceeds 0.35 is painted, with a void border.
fn image(rng: &mut Rng) -> Image {
    let classes = if rng.uniform(0.0, 1.0) < 0.5 { 1 } else { 2 };
    let first = 1 + rng.uniform(0.0, CLASSES as f64 - 1.0) as u8;
    let cams: Vec<_> = (0..classes).map(|n| (ClassId((first + n * 7 - 1) % CLASSES as u8 + 1), map(rng))).collect();
    let paint = |pixel: usize| {
        let (class, score) =
            cams.iter().map(|(class, map)| (class.0, map[pixel])).fold((0, 0.0), |a, b| if b.1 > a.1 { b } else { a });
        if (0.33..0.35).contains(&score) {
            255
        } else if score >= 0.35 {
            class
        } else {
            0
        }
    };
    let mask = (0..SIZE[0] * SIZE[1]).map(paint).collect();
    let mut cams = cams;
    cams.sort_by_key(|(class, _)| *class);
    Image { cams, mask }
}

/// The images that differ; image n of the store is `n % len`.
pub fn images() -> Vec<Image> {
    let mut rng = Rng::new(1, 0, "bench");
    (0..DIFFERENT).map(|_| image(&mut rng)).collect()
}

pub fn id(n: usize) -> ImageId {
    ImageId::new(&format!("image_{n:05}")).expect("an image id")
}

/// Writes the tables `cam` and `mask`.
pub fn write(root: &Path, images: &[Image]) -> Artifact {
    let store = Store::open(root).expect("a store");
    let preimage = Preimage {
        stage: "extract-msinf-cam".to_owned(),
        version: 1,
        params: serde_json::Value::Null,
        seed: None,
        inputs: BTreeMap::new(),
        files: BTreeMap::new(),
        device: None,
    };
    let contents = Contents::tables([CamRow::TABLE, MaskRow::TABLE]);
    let mut work = store.lease(&preimage, Claim::Alone, || {}).expect("a lease").open(&contents).expect("a directory");
    work.declare::<CamRow>(1, BTreeMap::from([(encoding::ENCODING.to_owned(), ENCODING.name().to_owned())]))
        .expect("a table");
    work.declare::<MaskRow>(1, BTreeMap::new()).expect("a table");
    let encoded: Vec<Vec<_>> = images
        .iter()
        .map(|image| image.cams.iter().map(|(class, map)| (*class, ENCODING.encode(map, SIZE[1]))).collect())
        .collect();
    let rows = (0..IMAGES).flat_map(|n| encoded[n % images.len()].iter().map(move |(class, map)| (n, class, map)));
    let row = |(n, class_id, cam): (usize, &ClassId, &Vec<u8>)| CamRow {
        image_id: id(n),
        class_id: *class_id,
        height: SIZE[0] as u32,
        width: SIZE[1] as u32,
        cam: cam.clone(),
        ..CamRow::default()
    };
    work.write_all(rows.map(row)).expect("written");
    let png = |image: &Image| encode_mask(&Mask { height: SIZE[0], width: SIZE[1], classes: image.mask.clone() });
    let masks: Vec<_> = images.iter().map(png).collect();
    let mask = |n: usize| MaskRow { image_id: id(n), mask: masks[n % masks.len()].clone() };
    work.write_all((0..IMAGES).map(mask)).expect("written");
    work.publish(&[], BTreeMap::new(), "bench").expect("an artifact")
}

/// Writes the images that differ for the Python peers, which make `.npy` dictionaries of them: `n.png`, the mask, and
/// `n.cams`: a byte for the number of maps, then for each its class and its values as f32.
pub fn write_raw(directory: &Path, images: &[Image]) {
    for (n, image) in images.iter().enumerate() {
        let mut bytes = vec![image.cams.len() as u8];
        for (class, map) in &image.cams {
            bytes.push(class.0);
            bytes.extend(map.iter().flat_map(|value| value.to_le_bytes()));
        }
        std::fs::write(directory.join(format!("{n}.cams")), bytes).expect("written");
        let mask = Mask { height: SIZE[0], width: SIZE[1], classes: image.mask.clone() };
        std::fs::write(directory.join(format!("{n}.png")), encode_mask(&mask)).expect("written");
    }
}
