//! From the names of images to the names of files, of which no two meet and none leaves the folder.
//!
//! A name is a path: `/` tells folders apart. What a path cannot have is escaped as in addresses, `%2F` and `%2E`:
//! empty folders, `.` and `..`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use artifact::{Error, ImageId, Result};

/// The longest name that file systems take, in bytes.
const LONGEST: usize = 255;

/// A file below a folder for each image. `ending` includes its dot.
pub fn plan(ids: impl IntoIterator<Item = ImageId>, ending: &str) -> Result<BTreeMap<ImageId, PathBuf>> {
    let files: BTreeMap<ImageId, PathBuf> =
        ids.into_iter().map(|id| file(&id, ending).map(|file| (id, file))).collect::<Result<_>>()?;
    let mut taken: HashMap<&Path, &ImageId> = HashMap::new();
    for (id, file) in &files {
        if let Some(other) = taken.insert(file, id) {
            return Err(Error::Data(format!("images '{other}' and '{id}' would be one file, {}", file.display())));
        }
    }
    for (id, file) in &files {
        if let Some((folder, other)) = file.ancestors().skip(1).find_map(|folder| taken.get_key_value(folder)) {
            let folder = folder.display();
            return Err(Error::Data(format!(
                "image '{other}' would be the file {folder}, and '{id}' lie in a folder so"
            )));
        }
    }
    Ok(files)
}

/// Two of the files that are one where capitals do not count.
pub fn meeting(files: &BTreeMap<ImageId, PathBuf>) -> Option<[&ImageId; 2]> {
    let mut folded: HashMap<String, &ImageId> = HashMap::new();
    files
        .iter()
        .find_map(|(id, file)| folded.insert(file.to_string_lossy().to_lowercase(), id).map(|other| [other, id]))
}

fn file(id: &ImageId, ending: &str) -> Result<PathBuf> {
    let escaped = |part: &str| match part {
        "" => "%2F".to_owned(),
        "." | ".." => part.replace('.', "%2E"),
        part => part.to_owned(),
    };
    let name = id.as_str().split('/').map(escaped).collect::<Vec<_>>().join("/") + ending;
    match name.split('/').map(str::len).max() {
        Some(length) if length > LONGEST => Err(Error::Data(format!(
            "image '{id}' has a name of {length} bytes with {ending}, and file systems take {LONGEST}; shorten it in \
             the data set"
        ))),
        _ => Ok(name.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(ids: &[&str]) -> Result<Vec<String>> {
        let files = plan(ids.iter().map(|id| ImageId::new(id).unwrap()), ".png")?;
        Ok(files.into_values().map(|file| file.to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn names_are_paths_that_stay_in_the_folder() {
        assert_eq!(planned(&["2007_000032"]).unwrap(), ["2007_000032.png"]);
        assert_eq!(planned(&["a/b c.d", "a%2Fb", "é"]).unwrap(), ["a%2Fb.png", "a/b c.d.png", "é.png"]);
        for (id, file) in [
            ("../x", "%2E%2E/x.png"),
            ("a/../../x", "a/%2E%2E/%2E%2E/x.png"),
            ("/etc/passwd", "%2F/etc/passwd.png"),
            ("a//b/", "a/%2F/b/%2F.png"),
            (".", "%2E.png"),
        ] {
            assert_eq!(planned(&[id]).unwrap(), [file]);
        }
    }

    #[test]
    fn no_two_images_are_one_file() {
        let refused = |ids: &[&str]| planned(ids).unwrap_err().to_string();
        assert!(refused(&["a/../b", "a/%2E%2E/b"]).contains("would be one file, a/%2E%2E/b.png"));
        assert!(refused(&["a", "a.png/b"]).contains("image 'a' would be the file a.png, and 'a.png/b'"));
        assert!(refused(&["x", &"y".repeat(252)]).contains("256 bytes with .png"));
        assert!(planned(&[&"y".repeat(251)]).is_ok());
        let files = plan(["b/É", "a", "B/é"].map(|id| ImageId::new(id).unwrap()), ".png").unwrap();
        assert_eq!(meeting(&files).unwrap().map(ImageId::as_str), ["B/é", "b/É"]);
    }
}
