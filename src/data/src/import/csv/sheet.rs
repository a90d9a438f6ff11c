//! Text to rows. Which delimiter separates the columns is not guessed from their number: that one is right with which
//! the rows name pictures that exist.

use super::super::fault::quoted;
use super::super::tree::is_picture;
use super::columns::is_known;

const DELIMITERS: [u8; 3] = *b",;\t";

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) line: usize,
    pub(super) fields: Vec<String>,
}

/// A table; every row has as many fields.
#[derive(Debug)]
pub(super) struct Sheet {
    /// None if the first row names a picture already.
    pub(super) header: Option<Row>,
    pub(super) rows: Vec<Row>,
}

/// The rows of a text; else what is wrong, with its line.
pub(super) fn read(text: &str, names_picture: &dyn Fn(&str) -> bool) -> Result<Sheet, Vec<(usize, String)>> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<(usize, &str)> = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).collect();
    let mut delimiters = DELIMITERS.to_vec();
    // Excel can say it in the first line.
    if let Some(&[named]) = lines.first().and_then(|(_, line)| line.trim().strip_prefix("sep=")).map(str::as_bytes) {
        delimiters = vec![named];
        lines.remove(0);
    }
    let open = lines.iter().filter(|(_, line)| line.matches('"').count() % 2 == 1);
    let open: Vec<_> =
        open.map(|(line, _)| (*line, "a quote is not closed on this line; close it".to_owned())).collect();
    if !open.is_empty() {
        return Err(open);
    }
    let ways = delimiters.into_iter().map(|delimiter| {
        let rows: Vec<Row> = lines.iter().filter_map(|(line, text)| parse(*line, text, delimiter)).collect();
        let path = path_column(&rows);
        let pictures = rows.iter().filter(|row| row.fields.get(path).is_some_and(|path| names_picture(path))).count();
        (pictures, rows.first().map_or(0, |row| row.fields.len()), rows)
    });
    // Without a picture, that delimiter counts which separates most columns. A file of one column is the same with all.
    let (_, width, mut rows) = ways.max_by_key(|(pictures, width, _)| (*pictures, *width)).unwrap_or_default();
    let wrong: Vec<_> =
        rows.iter().filter(|row| row.fields.len() != width).map(|row| (row.line, of_other_width(row, width))).collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let header = if !rows.is_empty() && is_header(&rows, names_picture) { Some(rows.remove(0)) } else { None };
    Ok(Sheet { header, rows })
}

/// Is the first row a header? Not if it names a picture, be it one that is missing, or has the value of another row.
fn is_header(rows: &[Row], names_picture: &dyn Fn(&str) -> bool) -> bool {
    let first = &rows[0].fields;
    if first.iter().any(|field| is_known(field)) {
        return true;
    }
    let occurs_below = |(column, field): (usize, &String)| {
        !field.is_empty() && rows[1..].iter().any(|row| row.fields[column] == *field)
    };
    !names_picture(&first[0])
        && !first.iter().any(|field| is_picture(field))
        && !first.iter().enumerate().any(occurs_below)
}

/// The fields of one line; none if all are empty.
fn parse(line: usize, text: &str, delimiter: u8) -> Option<Row> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(text.as_bytes());
    let record = reader.records().next()?.ok()?;
    let fields: Vec<String> = record.iter().map(|field| field.trim().to_owned()).collect();
    fields.iter().any(|field| !field.is_empty()).then_some(Row { line, fields })
}

/// Where the rows have their path, if the first one is a header.
fn path_column(rows: &[Row]) -> usize {
    rows.first().and_then(|row| super::columns::path_column(&row.fields)).unwrap_or(0)
}

fn of_other_width(row: &Row, width: usize) -> String {
    let first = quoted(&row.fields[0]);
    format!(
        "{} fields in the row of {first}, where the first row has {width}; put a field that holds the delimiter into \
         quotes",
        row.fields.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<Vec<String>> {
        let sheet = read(text, &is_picture).unwrap();
        sheet.header.into_iter().chain(sheet.rows).map(|row| row.fields).collect()
    }

    #[test]
    fn the_delimiter_is_the_one_that_names_pictures() {
        let want = [["path", "labels"], ["a.jpg", "cat;dog"], ["b.jpg", ""]];
        assert_eq!(fields("path,labels\na.jpg,cat;dog\nb.jpg,\n"), want);
        assert_eq!(fields("path\tlabels\r\na.jpg\tcat;dog\r\nb.jpg\t\r\n"), want);
        let want = [["path", "labels"], ["a.jpg", "cat,dog"], ["b.jpg", "cat,dog,cow"]];
        assert_eq!(fields("path;labels\na.jpg;cat,dog\nb.jpg;cat,dog,cow"), want);
        assert_eq!(fields("path,labels\na.jpg,\"cat,dog\"\nb.jpg,\"cat,dog,cow\""), want);
        assert_eq!(fields("sep=;\npath;labels\n\na.jpg;cat,dog\n;\nb.jpg;cat,dog,cow"), want);
        assert_eq!(fields("a,b.jpg;cat\nc,d.jpg;dog"), [["a,b.jpg", "cat"], ["c,d.jpg", "dog"]]);
        assert_eq!(fields("cat;dog,file\rx;y,a.jpg"), [["cat;dog", "file"], ["x;y", "a.jpg"]]);
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let sheet = read("path,labels\n\n\na.jpg,cat\n", &|name| name == "a.jpg").unwrap();
        assert_eq!((sheet.header.unwrap().line, sheet.rows[0].line), (1, 4));
        let wrong = read("path,labels\n\na.jpg,cat,dog\nb.jpg,\"cat\n", &|name| name == "a.jpg").unwrap_err();
        assert_eq!(wrong[0].0, 4, "{wrong:?}");
        let wrong = read("path,labels\n\na.jpg,cat,dog\nb.jpg,cat\n", &|name| name == "a.jpg").unwrap_err();
        assert_eq!((wrong.len(), wrong[0].0), (1, 3), "{wrong:?}");
    }
}
