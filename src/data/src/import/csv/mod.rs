//! Tables of labels: a picture's path and its classes, one picture a row.
//!
//! ```text
//! sheet     text to rows; which delimiter it has
//! columns   what the columns mean, and the labels of a row
//! ```

mod columns;
mod sheet;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::class_names::ClassNames;
use super::fault::{Fault, quoted, take};
use super::listing::{Labels, Listed, Listing, MaskSource};
use super::lists::find_list;
use super::places::{self, folder_of, id_of_path};
use super::tree::Tree;
use super::{Source, read_file, text};

use columns::{Columns, is_known};
use sheet::{Row, Sheet};

/// Values of a column of splits that name the same split.
const SAME: [&[&str]; 2] = [&["train", "training"], &["val", "valid", "validation"]];

/// All files together. Several splits may name one, if a column tells whose each row is.
pub(super) fn read(source: &Source, tree: &Tree) -> Listing {
    let mut listing = Listing::default();
    let mut classes = ClassNames::new(source);
    let mut by_file: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (split, file) in &source.splits {
        by_file.entry(file).or_default().push(split);
    }
    for (file, splits) in by_file {
        let open = Reader::open(source, tree, file, &splits, &classes);
        match open {
            Ok(reader) => reader.read(&splits, &mut classes, &mut listing),
            Err(faults) => listing.faults.extend(faults),
        }
    }
    listing.notes.extend(classes.notes());
    listing
}

/// What a table holds, before any class is known.
pub(super) struct Surveyed {
    pub(super) classes: BTreeSet<String>,
    /// Values of its column of splits.
    pub(super) splits: BTreeSet<String>,
}

/// Looks at a table; none if no row of it names a picture.
pub(super) fn survey(root: &Path, tree: &Tree, file: &str) -> Option<Surveyed> {
    let text = text::decode(&read_file(root, file).ok()?)?;
    let folders = [folder_of(file), ""];
    let names_picture = |text: &str| matches!(places::find(tree, text, &folders), Ok(Some(_)));
    let sheet = sheet::read(&text, &names_picture).ok()?;
    let path = sheet.header.as_ref().and_then(|header| columns::path_column(&header.fields)).unwrap_or(0);
    let any = sheet.rows.iter().any(|row| names_picture(&row.fields[path]));
    any.then(|| columns::survey(&sheet, path))
}

/// One file.
struct Reader<'a> {
    source: &'a Source,
    tree: &'a Tree,
    file: String,
    rows: Vec<Row>,
    columns: Columns,
    /// A first row that was taken for a header though it holds no name that is known.
    strange_header: Option<String>,
}

impl<'a> Reader<'a> {
    fn open(
        source: &'a Source,
        tree: &'a Tree,
        file: &str,
        splits: &[&str],
        classes: &ClassNames,
    ) -> Result<Self, Vec<Fault>> {
        let one = |fault: Fault| vec![fault];
        let file = find_list(tree, file, "csv").map_err(one)?;
        let bytes = read_file(&source.root, &file).map_err(one)?;
        let fault = |reason: &str| one(Fault::new(&file, reason));
        let text = text::decode(&bytes).ok_or_else(|| fault("not UTF-8 or UTF-16 text; save it as CSV UTF-8"))?;
        let folders = [folder_of(&file), ""];
        let names_picture = |text: &str| matches!(places::find(tree, text, &folders), Ok(Some(_)));
        let Sheet { header, rows } = sheet::read(&text, &names_picture).map_err(|faults| {
            let of_line = |(line, reason)| Fault::new(format!("{file}:{line}"), reason);
            faults.into_iter().map(of_line).collect::<Vec<_>>()
        })?;
        if rows.is_empty() {
            return Err(fault("no row of a picture; give one picture a row: its path, its labels"));
        }
        let labelled = splits.iter().any(|split| !source.unlabelled.iter().any(|name| name == split));
        let place = header.as_ref().map_or_else(|| file.clone(), |header| format!("{file}:{}", header.line));
        let columns = Columns::of(header.as_ref(), rows[0].fields.len(), source, classes, labelled)
            .map_err(|reasons| reasons.into_iter().map(|reason| Fault::new(&place, reason)).collect::<Vec<_>>())?;
        if splits.len() > 1 && columns.split.is_none() {
            let reason = format!(
                "the splits {} are all read from this file, which has no column 'split'; add one, or give each split \
                 a file of its own",
                splits.join(", ")
            );
            return Err(fault(&reason));
        }
        let strange =
            header.filter(|header| !header.fields.iter().any(|name| is_known(name) || classes.is_listed(name)));
        let strange_header = strange.map(|header| quoted(&header.fields.join(", ")));
        Ok(Self { source, tree, file, rows, columns, strange_header })
    }

    fn read(&self, splits: &[&str], classes: &mut ClassNames, listing: &mut Listing) {
        if !self.columns.unread.is_empty() {
            listing.notes.push(format!("{}: not read: {}", self.file, self.columns.unread.join(", ")));
        }
        if let Some(header) = &self.strange_header {
            listing
                .notes
                .push(format!("{}: the first row, {header}, is taken for the names of the columns", self.file));
        }
        for split in splits {
            let rows = match self.rows_of(split) {
                Ok(rows) => rows,
                Err(reason) => {
                    listing.faults.push(Fault::new(&self.file, reason));
                    continue;
                }
            };
            let labelled = !self.source.unlabelled.iter().any(|name| name == split);
            for row in rows {
                let added = self.add(split, row, labelled, classes, listing);
                let fault = |reason| Fault::new(format!("{}:{}", self.file, row.line), reason);
                let _ = take(&mut listing.faults, added.map_err(fault));
            }
        }
    }

    /// The rows of a split: all, or those whose column says so.
    fn rows_of(&self, split: &str) -> Result<Vec<&Row>, String> {
        let Some(column) = self.columns.split else { return Ok(self.rows.iter().collect()) };
        let same = |value: &str, name: &str| value.to_lowercase() == name.to_lowercase();
        let with = |names: &[&str]| -> Vec<&Row> {
            self.rows.iter().filter(|row| names.iter().any(|name| same(&row.fields[column], name))).collect()
        };
        let rows = with(&[split]);
        if !rows.is_empty() {
            return Ok(rows);
        }
        let also = SAME.iter().find(|names| names.iter().any(|name| same(split, name)));
        let rows = also.map(|names| with(names)).unwrap_or_default();
        if !rows.is_empty() {
            return Ok(rows);
        }
        let values: BTreeSet<&str> = self.rows.iter().map(|row| row.fields[column].as_str()).collect();
        let values: Vec<String> = values.into_iter().take(8).map(quoted).collect();
        Err(format!("no row is of the split '{split}'; the column of splits holds {}", values.join(", ")))
    }

    fn add(
        &self,
        split: &str,
        row: &Row,
        labelled: bool,
        classes: &mut ClassNames,
        listing: &mut Listing,
    ) -> Result<(), String> {
        let path = &row.fields[self.columns.path];
        if path.is_empty() {
            return Err("a row without the path of a picture; add it or remove the row".to_owned());
        }
        let picture = places::find(self.tree, path, &[folder_of(&self.file), ""])?;
        let image = picture.ok_or_else(|| places::missing(self.tree, path))?.to_owned();
        let labels = if labelled { Labels::Known(self.columns.labels(row, classes)?) } else { Labels::Unknown };
        let id = id_of_path(&image)?;
        listing.add(split, id, Listed { splits: vec![split.to_owned()], image, labels, mask: MaskSource::Usual })
    }
}
