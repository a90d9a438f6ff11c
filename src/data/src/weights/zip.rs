//! The directory of a zip archive whose entries are stored as they are, which is how torch writes one.

use std::collections::HashMap;
use std::ops::Range;

use super::cursor::{Cursor, Result, text};

const END: u32 = 0x0605_4B50;
const END_LENGTH: usize = 22;
const END_64: u32 = 0x0606_4B50;
const LOCATOR_64: u32 = 0x0706_4B50;
const LOCATOR_64_LENGTH: usize = 20;
const ENTRY: u32 = 0x0201_4B50;
const LOCAL: u32 = 0x0403_4B50;
/// In a field of 32 bits: the value is in the entry's extra field `ZIP64`.
const ELSEWHERE: u32 = u32::MAX;
const ZIP64: u16 = 1;

/// Where each entry's bytes lie in the file.
pub struct Archive<'a> {
    entries: HashMap<&'a str, Range<usize>>,
}

/// Where the directory is.
struct Directory {
    start: u64,
    entries: u64,
}

impl<'a> Archive<'a> {
    /// Reads the directory, and each entry once to compare its checksum.
    pub fn open(file: &'a [u8]) -> Result<Self> {
        let directory = directory(file)?;
        let start = usize::try_from(directory.start).unwrap_or(usize::MAX);
        let mut cursor = Cursor::starting(file, start);
        let (mut entries, mut total) = (HashMap::new(), 0);
        for index in 0..directory.entries {
            let (name, range) = entry(file, &mut cursor, &format!("directory entry {index}"))?;
            // Entries that share bytes would make a small file stand for a large one.
            total += range.len();
            if total > file.len() {
                return Err(format!("the entries up to '{name}' hold more bytes than the file"));
            }
            if entries.insert(name, range).is_some() {
                return Err(format!("two entries are called '{name}'"));
            }
        }
        Ok(Self { entries })
    }

    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().copied()
    }

    pub fn get(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(name).cloned()
    }
}

/// The end record stands before a comment of at most 65,535 bytes; large archives have a second one before it.
fn directory(file: &[u8]) -> Result<Directory> {
    let what = "the end of the archive's directory";
    let missing = || format!("{what} is missing: the file is cut off or damaged; fetch it again");
    let last = file.len().checked_sub(END_LENGTH).ok_or_else(missing)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let end = (first..=last).rev().find(|&at| {
        let comment = || Cursor::starting(file, at + END_LENGTH - 2).u16(what).ok();
        file[at..].starts_with(&END.to_le_bytes()) && comment().is_some_and(|n| usize::from(n) == last - at)
    });
    let end = end.ok_or_else(missing)?;
    let locator = end.checked_sub(LOCATOR_64_LENGTH);
    if let Some(locator) = locator.filter(|&at| file[at..].starts_with(&LOCATOR_64.to_le_bytes())) {
        let at = Cursor::starting(file, locator + 8).u64(what)?;
        let mut cursor = Cursor::starting(file, usize::try_from(at).unwrap_or(usize::MAX));
        if cursor.u32(what)? != END_64 {
            return Err(missing());
        }
        cursor.take(28, what)?;
        let (entries, _size) = (cursor.u64(what)?, cursor.u64(what)?);
        return Ok(Directory { start: cursor.u64(what)?, entries });
    }
    let mut cursor = Cursor::starting(file, end + 10);
    let (entries, _size) = (cursor.u16(what)?, cursor.u32(what)?);
    Ok(Directory { start: u64::from(cursor.u32(what)?), entries: u64::from(entries) })
}

/// Reads the directory's entry at `cursor`, and finds its bytes by way of its local header.
fn entry<'a>(file: &'a [u8], cursor: &mut Cursor<'a>, what: &str) -> Result<(&'a str, Range<usize>)> {
    if cursor.u32(what)? != ENTRY {
        return Err(format!("{what} is damaged"));
    }
    cursor.take(4, what)?;
    let (flags, method) = (cursor.u16(what)?, cursor.u16(what)?);
    cursor.take(4, what)?;
    let checksum = cursor.u32(what)?;
    let (packed, size) = (cursor.u32(what)?, cursor.u32(what)?);
    let (name, extra, comment) = (cursor.u16(what)?, cursor.u16(what)?, cursor.u16(what)?);
    cursor.take(8, what)?;
    let local = cursor.u32(what)?;
    let name = text(cursor.take(u64::from(name), what)?, what)?;
    let extra = cursor.take(u64::from(extra), what)?;
    cursor.take(u64::from(comment), what)?;
    if method != 0 || flags & 1 != 0 {
        return Err(format!("'{name}' is compressed or encrypted, which torch.save never does: save the file anew"));
    }
    let [size, packed, local] = widened(extra, [size, packed, local], what)?;
    if size != packed {
        return Err(format!("'{name}' has two sizes, {size} and {packed}"));
    }
    let mut header = Cursor::starting(file, usize::try_from(local).unwrap_or(usize::MAX));
    let what = format!("the header of '{name}'");
    if header.u32(&what)? != LOCAL {
        return Err(format!("{what} is not at byte {local}"));
    }
    header.take(22, &what)?;
    let (again, extra) = (header.u16(&what)?, header.u16(&what)?);
    if header.take(u64::from(again), &what)? != name.as_bytes() {
        return Err(format!("{what} gives another name"));
    }
    header.take(u64::from(extra), &what)?;
    let start = header.at();
    let bytes = header.take(size, &format!("'{name}'"))?;
    if crc32fast::hash(bytes) != checksum {
        return Err(format!(
            "'{name}' does not have the checksum that the directory gives: the file is damaged (or was saved without \
             checksums, set_crc32_options(False): save it anew)"
        ));
    }
    Ok((name, start..start + bytes.len()))
}

/// The values of fields of 32 bits, from the extra field where they are too large for them.
fn widened<const N: usize>(extra: &[u8], fields: [u32; N], what: &str) -> Result<[u64; N]> {
    let mut wide = fields.map(u64::from);
    if !fields.contains(&ELSEWHERE) {
        return Ok(wide);
    }
    let mut cursor = Cursor::new(extra);
    loop {
        let (id, length) = (cursor.u16(what)?, cursor.u16(what)?);
        let mut content = Cursor::new(cursor.take(u64::from(length), what)?);
        if id == ZIP64 {
            for value in wide.iter_mut().filter(|value| **value == u64::from(ELSEWHERE)) {
                *value = content.u64(what)?;
            }
            return Ok(wide);
        }
    }
}
