//! A root that is one level too high or too low.

use std::path::{Path, PathBuf};

use super::Source;
use super::fault::Fault;

/// How far below the root a data set may lie, as in `VOCdevkit/VOC2012`.
const LEVELS: usize = 2;

/// The source with the root that holds its lists, and a note if that is not the one that was given.
pub(super) fn find(source: &Source) -> Result<(Source, Option<String>), Fault> {
    if holds(source, &source.root) > 0 {
        return Ok((source.clone(), None));
    }
    let all = source.splits.len();
    let below: Vec<PathBuf> = folders(&source.root, LEVELS).into_iter().filter(|d| holds(source, d) == all).collect();
    let given = source.root.display();
    match below.as_slice() {
        [root] => {
            let note =
                format!("the lists lie in {}, so the data set is read from there, not from {given}", root.display());
            Ok((Source { root: root.clone(), ..source.clone() }, Some(note)))
        }
        // Of what lies above, no digest was taken: a change there would go unnoticed.
        [] => match source.root.canonicalize().ok().as_deref().and_then(Path::parent) {
            Some(above) if holds(source, above) == all => {
                Err(Fault::new("root", format!("the lists lie one level up; give root = \"{}\"", above.display())))
            }
            _ => Ok((source.clone(), None)),
        },
        several => {
            let names: Vec<_> = several.iter().map(|root| root.display().to_string()).collect();
            Err(Fault::new("root", format!("{given} holds several data sets; give one of {}", names.join(", "))))
        }
    }
}

/// How many splits have their list or folder there.
fn holds(source: &Source, root: &Path) -> usize {
    let relative = |list: &str| list.replace('\\', "/").trim_start_matches('/').to_owned();
    source.splits.values().filter(|list| root.join(relative(list)).exists()).count()
}

fn folders(root: &Path, levels: usize) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(root).min_depth(1).max_depth(levels).sort_by_file_name();
    let folders = entries.into_iter().filter_map(Result::ok).filter(|entry| entry.path().is_dir());
    folders.map(walkdir::DirEntry::into_path).collect()
}
