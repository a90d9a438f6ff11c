//! `make bench`: the store of CAMs against a `.npy` dictionary an image, as the field's repositories write them: size,
//! reading all, reading one. Both give values as f32.

mod synthetic_cams;

use std::collections::BTreeSet;
use std::time::Instant;

use artifact::encoding::CamEncoding;
use artifact::store::Filter;
use artifact::table::CamRow;
use artifact::{Artifact, Row as _};

use self::synthetic_cams::{IMAGES, SIZE, id, images, peer, write, write_raw};

/// The values of the maps of all images or of one; how many values.
fn read(artifact: &Artifact, one: Option<usize>) -> usize {
    let mut rows = artifact.rows::<CamRow>(&["class", "scales"]).expect("the table");
    if let Some(n) = one {
        rows = rows.filtered(Filter::one_of("image_id", BTreeSet::from([id(n).to_string()])));
    }
    rows.map(|row| CamEncoding::U8.decode(&row.expect("a row").cam).len()).sum()
}

fn seconds(run: impl FnOnce() -> usize) -> f64 {
    let start = Instant::now();
    assert!(run() > 0, "nothing was read");
    start.elapsed().as_secs_f64()
}

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let images = images();
    let artifact = write(&directory.path().join("store"), &images);
    let maps: usize = (0..IMAGES).map(|n| images[n % images.len()].cams.len()).sum();
    let bytes: u64 = artifact.record().tables[CamRow::TABLE].parts.iter().map(|part| part.bytes).sum();
    // Bytes a value, seconds for all images, seconds for one.
    let all = (0..3).map(|_| seconds(|| read(&artifact, None))).fold(f64::INFINITY, f64::min);
    let one = (0..20).map(|n| seconds(|| read(&artifact, Some(n * IMAGES / 20)))).sum::<f64>() / 20.0;
    let ours = [bytes as f64 / (maps * SIZE[0] * SIZE[1]) as f64, all * 1e3, one * 1e3];
    write_raw(directory.path(), &images);
    let arguments = [directory.path().display().to_string(), images.len().to_string(), IMAGES.to_string()];
    let theirs = peer("cam_store_peer.py", &arguments);
    for (index, what) in ["bytes a value", "ms to read all", "ms to read one image"].iter().enumerate() {
        let what = format!("CAMs of {IMAGES} images, {what}");
        match &theirs {
            Ok(theirs) => println!(
                "{what:52} {:9.3}      .npy {:9.3}      {:5.1} x",
                ours[index],
                theirs[index],
                theirs[index] / ours[index]
            ),
            Err(reason) => println!("{what:52} {:9.3}      no peer: {reason}", ours[index]),
        }
    }
}
