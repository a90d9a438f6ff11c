//! Masks as VOC's evaluation server takes them: an archive of `comp6`, segmentation by methods that may have learned
//! from other data than VOC's.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use artifact::table::DatasetRow;
use artifact::{Artifact, Error, ImageId, Result};
use clap::ValueEnum;
use data::codec::{Mask, decode_mask, encode_mask};
use data::dataset::{Dataset, behind};
use data::import::VOC_CLASSES;
use rayon::iter::{ParallelBridge as _, ParallelIterator as _};
use stage::Progress;

use crate::Answer;
use crate::folder::write_these;
use crate::masks::{Masks, Which};

/// The splits whose ground truth the server or everybody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Split {
    /// The test images, whose ground truth the server keeps
    Test,
    /// The validation images
    Val,
}

/// The encoded masks by their place in the archive.
type Files = BTreeMap<String, Vec<u8>>;

/// Writes the archive.
pub fn export(artifact: &Artifact, file: &Path, source: Option<&str>, split: Split, force: bool) -> Result<Answer> {
    if file.extension().is_none_or(|ending| ending != "tar") {
        return Err(Error::Config(format!("{}: the archive is a .tar; name it so", file.display())));
    }
    let split = split.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let dataset = Dataset::load(&behind(artifact)?)?;
    check_classes(&dataset.classes)?;
    let images = dataset.split(&split).map_err(|error| error.within("--split"))?;
    let which = Which { source: source.map(str::to_owned), split: vec![split.clone()] };
    let masks = Masks::open(artifact, &which)?;
    check_complete(&images, &masks, &split)?;
    let files = encode(&masks, &images, &split)?;
    let archive = pack(&files)?;
    check_archive(&archive, &files)?;
    write_these(&[(file, &archive)], force)?;
    let count = files.len();
    let text = format!("{count} masks of {} in {}, read again and compared", masks.source, file.display());
    Ok(Answer::new(artifact, file, text).with("source", masks.source).with("split", split).with("files", count))
}

/// The server knows classes by their numbers.
fn check_classes(classes: &[String]) -> Result<()> {
    if classes == VOC_CLASSES {
        return Ok(());
    }
    let differs = classes.iter().zip(VOC_CLASSES).position(|(own, voc)| own != voc).unwrap_or(classes.len().min(20));
    let at = |own: Option<&str>| own.map_or_else(|| "none".to_owned(), |name| format!("'{name}'"));
    Err(Error::Config(format!(
        "a submission needs VOC's 20 classes in VOC's order; the data set has {}, and class {} is {} where VOC has {}",
        classes.len(),
        differs + 1,
        at(classes.get(differs).map(String::as_str)),
        at(VOC_CLASSES.get(differs).copied())
    )))
}

/// Every image of the split has a mask.
fn check_complete(images: &[&DatasetRow], masks: &Masks, split: &str) -> Result<()> {
    let mut missing = images.iter().filter(|image| !masks.ids.contains(&image.image_id)).map(|image| &image.image_id);
    let Some(first) = missing.next() else { return Ok(()) };
    Err(Error::Config(format!(
        "{} of the {} images of {split} have no mask of {}, such as '{first}'; let the stage predict all of {split}",
        1 + missing.count(),
        images.len(),
        masks.source
    )))
}

fn encode(masks: &Masks, images: &[&DatasetRow], split: &str) -> Result<Files> {
    let images: BTreeMap<&ImageId, &DatasetRow> = images.iter().map(|image| (&image.image_id, *image)).collect();
    let progress = Progress::new("camflow export", "masks", 0, images.len());
    let encoded = masks.rows()?.par_bridge().map(|row| {
        let (id, mask) = row?;
        check_mask(&mask, images.get(&id).copied(), &id)?;
        progress.advance(1, String::new);
        Ok((format!("results/VOC2012/Segmentation/comp6_{split}_cls/{id}.png"), encode_mask(&mask)))
    });
    let files = encoded.collect::<Result<Files>>();
    progress.finish();
    files
}

/// Is it of its image's size, of classes that VOC has, and of a name that VOC could have?
fn check_mask(mask: &Mask, image: Option<&DatasetRow>, id: &ImageId) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    if !id.as_str().chars().all(plain) || id.as_str().starts_with('.') {
        return Err(Error::Data(format!("'{id}' is no name of one of VOC's images")));
    }
    let [height, width] = [mask.height, mask.width];
    if image.is_none_or(|image| [image.height as usize, image.width as usize] != [height, width]) {
        return Err(Error::Data(format!("the mask of '{id}' is {width} x {height}, and its image is not")));
    }
    match mask.classes.iter().find(|class| usize::from(**class) > VOC_CLASSES.len()) {
        None => Ok(()),
        Some(class) => Err(Error::Data(format!(
            "the mask of '{id}' has pixels of class {class}; VOC's server takes 0 to 20, and no void"
        ))),
    }
}

/// The same masks give the same bytes: no times, no owners.
fn pack(files: &Files) -> Result<Vec<u8>> {
    let failed = |source| Error::Io { action: "cannot pack the archive".to_owned(), source };
    let mut archive = tar::Builder::new(Vec::new());
    for (place, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, place, bytes.as_slice()).map_err(failed)?;
    }
    archive.into_inner().map_err(failed)
}

/// Reads an archive as the server would: every file is there, once, and is the mask that was packed.
fn check_archive(archive: &[u8], files: &Files) -> Result<()> {
    let bad = |why: String| Error::Failed(format!("the archive is not what was packed: {why}"));
    let mut entries = tar::Archive::new(archive);
    let mut expected = files.iter();
    for entry in entries.entries().map_err(|why| bad(why.to_string()))? {
        let mut entry = entry.map_err(|why| bad(why.to_string()))?;
        let place = entry.path().map_err(|why| bad(why.to_string()))?.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|why| bad(why.to_string()))?;
        let found = decode_mask(&bytes).map_err(|why| bad(format!("{place}: {why}")))?;
        match expected.next() {
            Some((name, packed)) if *name == place && decode_mask(packed).is_ok_and(|mask| mask == found) => {}
            _ => return Err(bad(format!("{place} is another mask"))),
        }
    }
    expected.next().map_or(Ok(()), |(name, _)| Err(bad(format!("{name} is missing"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let mask = |class| encode_mask(&Mask { height: 2, width: 3, classes: vec![class; 6] });
        ["a", "b"].into_iter().zip([1, 20]).map(|(name, class)| (format!("{name}.png"), mask(class))).collect()
    }

    #[test]
    fn an_archive_that_is_another_is_noticed() {
        let files = files();
        let archive = pack(&files).unwrap();
        check_archive(&archive, &files).unwrap();
        let swapped = [("a.png", "b.png"), ("b.png", "a.png")].map(|(to, from)| (to.to_owned(), files[from].clone()));
        assert!(check_archive(&archive, &swapped.into()).unwrap_err().to_string().contains("a.png is another mask"));
        let first = files.iter().take(1).map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
        let short = pack(&first).unwrap();
        assert!(check_archive(&short, &files).unwrap_err().to_string().contains("b.png is missing"));
        assert!(check_archive(&archive, &first).unwrap_err().to_string().contains("b.png is another mask"));
    }

    #[test]
    fn other_classes_are_refused() {
        let mut classes = VOC_CLASSES.map(str::to_owned).to_vec();
        check_classes(&classes).unwrap();
        classes.swap(7, 11);
        let refused = check_classes(&classes).unwrap_err();
        assert!(refused.to_string().contains("class 8 is 'dog' where VOC has 'cat'"), "{refused}");
        assert_eq!(refused.exit_code(), 78);
        let short = check_classes(&VOC_CLASSES[..19].iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert!(short.unwrap_err().to_string().contains("has 19, and class 20 is none where VOC has 'tvmonitor'"));
    }

    #[test]
    fn void_and_foreign_names_are_refused() {
        let image = DatasetRow { height: 1, width: 2, ..DatasetRow::default() };
        let check = |classes: &[u8], id: &str| {
            let mask = Mask { height: 1, width: 2, classes: classes.to_vec() };
            check_mask(&mask, Some(&image), &ImageId::new(id).unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!(check(&[0, 20], "2007_000032"), Ok(()));
        assert!(check(&[0, 255], "2007_000032").unwrap_err().contains("class 255"));
        assert!(check(&[0, 21], "2007_000032").unwrap_err().contains("class 21"));
        for id in ["a/b", "../a", ".a", "a b"] {
            assert!(check(&[0, 1], id).unwrap_err().contains("no name"), "{id}");
        }
    }
}
