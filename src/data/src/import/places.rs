//! Pictures that tables and annotations name by a path below one of several folders.

use artifact::ImageId;

use super::fault::quoted;
use super::listing::{image_id, only, picture, picture_elsewhere};
use super::tree::{Tree, compose, is_picture, name, split_ending};

/// The picture that `text` means: below one of `folders`, the first that has it; else below the root, or where VOC
/// keeps its images; else at the end of a path of another machine; else, for a name without folders, the only picture
/// of that name. None if there is no such file.
pub(super) fn find<'t>(tree: &'t Tree, text: &str, folders: &[&str]) -> Result<Option<&'t str>, String> {
    let mut inside = false;
    for path in folders.iter().filter_map(|folder| below(folder, text)) {
        inside = true;
        let found = if is_picture(&path) { tree.file(&path) } else { tree.picture(&path) };
        if let Some(found) = only(&found, text)? {
            return Ok(Some(found));
        }
    }
    if inside && text.contains("..") {
        return Ok(None);
    }
    if let Some(found) = picture(tree, text)?.or(picture_elsewhere(tree, text)?) {
        return Ok(Some(found));
    }
    let text = text.replace('\\', "/");
    let bare = text.trim_start_matches("./");
    if bare.contains('/') || !is_picture(bare) {
        return Ok(None);
    }
    let same = |file: &&str| compose(&name(file).to_lowercase()) == compose(&bare.to_lowercase());
    let called: Vec<&str> = tree.pictures_called(split_ending(bare).0).into_iter().filter(same).collect();
    only(&called, bare)
}

/// The path of `text` below `folder`, with `..` carried out; none if it leads out of the root.
fn below(folder: &str, text: &str) -> Option<String> {
    let mut parts = vec![];
    for part in format!("{folder}/{text}").replace('\\', "/").split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part.to_owned()),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// The folder in which a file lies; empty for the root.
pub(super) fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The id of a picture: its path below the root without ending, so that `cat/001` and `dog/001` differ.
pub(super) fn id_of_path(path: &str) -> Result<ImageId, String> {
    image_id(split_ending(path).0)
}

/// Why no picture is meant by `text`.
pub(super) fn missing(tree: &Tree, text: &str) -> String {
    let path = text.replace('\\', "/");
    let stem = if is_picture(&path) { split_ending(&path).0 } else { &path };
    for stem in [name(stem), name(split_ending(stem).0)] {
        if let Some(other) = tree.unreadable_picture(stem) {
            return format!("{other} is neither a JPEG nor a PNG; convert it to one of them");
        }
    }
    format!("no picture is called {}: missing; add the file or take it out here", quoted(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_followed_but_not_out_of_the_root() {
        assert_eq!(below("labels", "../images/a.jpg").as_deref(), Some("images/a.jpg"));
        assert_eq!(below("", "./a.jpg").as_deref(), Some("a.jpg"));
        assert_eq!(below("x", "b\\a.jpg").as_deref(), Some("x/b/a.jpg"));
        assert_eq!(below("x", "../../a.jpg"), None);
    }
}
