//! What the columns of a table mean.

use artifact::ClassId;

use super::super::class_names::ClassNames;
use super::super::fault::quoted;
use super::super::tree::compose;
use super::super::{Source, Unknown, annotation};
use super::Surveyed;
use super::sheet::{Row, Sheet};

/// What a column of paths is called, the surest name first; without regard to case, blanks and underscores.
const PATHS: [&str; 16] = [
    "path",
    "filepath",
    "filepaths",
    "file",
    "filename",
    "filenames",
    "image",
    "imagepath",
    "imagename",
    "imagefile",
    "img",
    "imgpath",
    "imgname",
    "imageid",
    "id",
    "name",
];
const SPLITS: [&str; 5] = ["split", "splits", "set", "subset", "dataset"];
const LABELS: [&str; 8] = ["label", "labels", "class", "classes", "category", "categories", "tag", "tags"];
/// What separates the labels of one field; the first that it holds.
const SEPARATORS: [char; 3] = [';', '|', ','];

/// The columns that are read.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) path: usize,
    pub(super) split: Option<usize>,
    labels: LabelColumns,
    /// Names of those that are not read.
    pub(super) unread: Vec<String>,
}

#[derive(Debug)]
enum LabelColumns {
    /// Class names in one field.
    Names(usize),
    /// 0 or 1 in a column for each class.
    Flags(Vec<(usize, String)>),
    /// The split has no labels.
    Absent,
}

impl Columns {
    /// The columns of a header, or of rows of `width` fields without one. Without a header the path comes first.
    pub(super) fn of(
        header: Option<&Row>,
        width: usize,
        source: &Source,
        classes: &ClassNames,
        labelled: bool,
    ) -> Result<Self, Vec<String>> {
        let Some(header) = header.map(|header| &header.fields) else {
            let labels = match (labelled, width) {
                (false, _) => LabelColumns::Absent,
                (true, 1) => return Err(vec![none_given()]),
                (true, 2) => LabelColumns::Names(1),
                (true, _) => {
                    let reason = format!("{width} columns without a header; add a first row that names them: path, …");
                    return Err(vec![reason]);
                }
            };
            return Ok(Self { path: 0, split: None, labels, unread: vec![] });
        };
        let path = path_column(header).unwrap_or(0);
        let is = |names: &[&str], column: usize| names.contains(&plain(&header[column]).as_str());
        let others = || (0..header.len()).filter(|column| *column != path && !is_nameless(&header[*column]));
        let split = others().find(|column| is(&SPLITS, *column) && !classes.is_listed(&header[*column]));
        let rest: Vec<usize> = others().filter(|column| Some(*column) != split).collect();
        let names = |columns: &[usize]| columns.iter().map(|column| header[*column].clone()).collect::<Vec<_>>();
        if !labelled {
            return Ok(Self { path, split, labels: LabelColumns::Absent, unread: names(&rest) });
        }
        let (of_classes, others): (Vec<usize>, Vec<usize>) =
            rest.iter().copied().partition(|column| classes.is_listed(&header[*column]));
        let named: Vec<usize> = others.iter().copied().filter(|column| is(&LABELS, *column)).collect();
        match (named.as_slice(), of_classes.as_slice(), others.as_slice()) {
            (&[one], [], _) | (&[], [], &[one]) => {
                let unread: Vec<usize> = rest.into_iter().filter(|column| *column != one).collect();
                Ok(Self { path, split, labels: LabelColumns::Names(one), unread: names(&unread) })
            }
            ([], [], []) => Err(vec![none_given()]),
            ([], [], several) => Err(vec![format!(
                "which column holds the labels? call it 'labels'; there is {}",
                list(&names(several))
            )]),
            ([], ..) => {
                let is_class =
                    |column: &usize| classes.is_listed(&header[*column]) || classes.means_nothing(&header[*column]);
                let ignores = source.unknown_classes == Unknown::Ignore;
                let (wanted, unread): (Vec<usize>, Vec<usize>) =
                    rest.iter().copied().partition(|column| !ignores || is_class(column));
                let labels = flags(header, &wanted, source, classes)?;
                Ok(Self { path, split, labels: LabelColumns::Flags(labels), unread: names(&unread) })
            }
            (labels, [], _) => {
                Err(vec![format!("{} columns of labels, {}; keep one", labels.len(), list(&names(labels)))])
            }
            (labels, of_classes, _) => Err(vec![format!(
                "labels in the column {} and in columns of classes, {}; keep one of the two",
                list(&names(labels)),
                list(&names(of_classes))
            )]),
        }
    }

    /// The labels of a row; an empty field is background.
    pub(super) fn labels(&self, row: &Row, classes: &mut ClassNames) -> Result<Vec<ClassId>, String> {
        match &self.labels {
            LabelColumns::Absent => Ok(vec![]),
            LabelColumns::Names(column) => names(&row.fields[*column], classes),
            LabelColumns::Flags(columns) => {
                let mut labels = vec![];
                for (column, class) in columns {
                    let value = &row.fields[*column];
                    match value.parse::<f64>() {
                        Ok(1.0) => labels.extend(classes.find(class)?),
                        Ok(0.0) => {}
                        _ => return Err(format!("{} in the column of {}; write 0 or 1", quoted(value), quoted(class))),
                    }
                }
                Ok(labels)
            }
        }
    }
}

/// The class names of a table and the values of its column of splits, before any class is known.
pub(super) fn survey(sheet: &Sheet, path: usize) -> Surveyed {
    let header = sheet.header.as_ref().map(|header| header.fields.as_slice());
    let called =
        |names: &[&str], column: usize| header.is_some_and(|header| names.contains(&plain(&header[column]).as_str()));
    let width = sheet.rows.first().map_or(0, |row| row.fields.len());
    let others = || (0..width).filter(|column| *column != path && !header.is_some_and(|h| is_nameless(&h[*column])));
    let split = others().find(|column| called(&SPLITS, *column));
    let rest: Vec<usize> = others().filter(|column| Some(*column) != split).collect();
    let values = |column: usize| sheet.rows.iter().map(move |row| row.fields[column].as_str());
    let splits = split.into_iter().flat_map(values).map(str::to_owned).collect();
    let flags = |column: &usize| values(*column).all(|value| matches!(value.parse(), Ok(0.0 | 1.0)));
    let of_names = rest.iter().copied().find(|column| called(&LABELS, *column));
    let classes = match (of_names, header) {
        (Some(column), _) => values(column).flat_map(parts).collect(),
        (None, Some(header)) if rest.len() > 1 || rest.iter().all(flags) => {
            rest.iter().filter(|column| flags(column)).map(|column| header[*column].clone()).collect()
        }
        _ => rest.first().into_iter().flat_map(|column| values(*column)).flat_map(parts).collect(),
    };
    Surveyed { classes, splits }
}

/// The names in one field, which may be written as Python prints a list.
fn parts(field: &str) -> Vec<String> {
    let field = field.strip_prefix('[').and_then(|field| field.strip_suffix(']')).unwrap_or(field).trim();
    let bare = |part: &str| part.trim().trim_matches(['\'', '"']).trim().to_owned();
    let parts = match SEPARATORS.into_iter().find(|separator| field.contains(*separator)) {
        Some(separator) => field.split(separator).map(bare).collect(),
        None => vec![bare(field)],
    };
    parts.into_iter().filter(|part: &String| !part.is_empty()).collect()
}

/// The columns of classes; faults for those of no class, and for classes without a column.
fn flags(
    header: &[String],
    columns: &[usize],
    source: &Source,
    classes: &ClassNames,
) -> Result<Vec<(usize, String)>, Vec<String>> {
    let mut faults = vec![];
    let mut flags = vec![];
    for column in columns {
        let name = &header[*column];
        if !classes.means_nothing(name)
            && let Err(reason) = annotation::class(source, name)
        {
            faults.push(reason);
        }
        flags.push((*column, name.clone()));
    }
    for class in &source.classes {
        match flags.iter().filter(|(_, name)| compose(name) == compose(class)).count() {
            0 => faults.push(format!("no column for the class '{class}'; add it, or take the class out of classes")),
            1 => {}
            several => faults.push(format!("{several} columns for the class '{class}'; keep one")),
        }
    }
    if faults.is_empty() { Ok(flags) } else { Err(faults) }
}

/// The labels of one field.
fn names(field: &str, classes: &mut ClassNames) -> Result<Vec<ClassId>, String> {
    let parts = if classes.is_listed(field) { vec![field.to_owned()] } else { parts(field) };
    let mut labels = vec![];
    for part in parts {
        let words: Vec<&str> = part.split_whitespace().collect();
        if !classes.is_listed(&part) && words.len() > 1 && words.iter().all(|word| classes.is_listed(word)) {
            for word in words {
                labels.extend(classes.find(word)?);
            }
        } else {
            labels.extend(classes.find(&part)?);
        }
    }
    Ok(labels)
}

/// The column of paths, by its name.
pub(super) fn path_column(header: &[String]) -> Option<usize> {
    let names: Vec<String> = header.iter().map(|name| plain(name)).collect();
    PATHS.iter().find_map(|known| names.iter().position(|name| name == known))
}

/// Is this what a column of paths, splits or labels is called?
pub(super) fn is_known(name: &str) -> bool {
    let name = plain(name);
    [&PATHS[..], &SPLITS, &LABELS].iter().any(|known| known.contains(&name.as_str()))
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace(['_', '-', ' '], "")
}

/// The column of row numbers that pandas writes, or what follows a delimiter at the end of each line.
fn is_nameless(name: &str) -> bool {
    name.is_empty() || name.to_lowercase().starts_with("unnamed:")
}

fn none_given() -> String {
    "no column of labels; add one called 'labels', or one for each class with 0 or 1".to_owned()
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}
