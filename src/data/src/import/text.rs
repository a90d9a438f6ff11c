//! Bytes of a text file to text, whichever editor or tool wrote it.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// UTF-8, or UTF-16 as a byte order mark or the places of its zeros say; none if it is neither.
pub(super) fn decode(bytes: &[u8]) -> Option<String> {
    strictly(unicode(bytes).unwrap_or(UTF_8), bytes)
}

/// The text of an XML file.
pub(super) struct Xml {
    pub(super) text: String,
    /// Was it read in an encoding that nothing in the file names? Its ASCII characters are then right all the same.
    pub(super) guessed: bool,
}

/// In the encoding that a byte order mark or the declaration names; where neither does, or what it names does not fit,
/// ASCII characters are read as they are.
pub(super) fn xml(bytes: &[u8]) -> Xml {
    let named = unicode(bytes).or_else(|| declared(bytes)).unwrap_or(UTF_8);
    match strictly(named, bytes) {
        Some(text) => Xml { text, guessed: false },
        None => Xml { text: WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(), guessed: true },
    }
}

fn strictly(encoding: &'static Encoding, bytes: &[u8]) -> Option<String> {
    let bytes = match Encoding::for_bom(bytes) {
        Some((_, length)) => &bytes[length..],
        None => bytes,
    };
    encoding.decode_without_bom_handling_and_without_replacement(bytes).map(std::borrow::Cow::into_owned)
}

/// The Unicode encoding that the first bytes show.
fn unicode(bytes: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_bom(bytes).map(|(encoding, _)| encoding).or(match bytes {
        [0, second, ..] if *second != 0 => Some(UTF_16BE),
        [first, 0, ..] if *first != 0 => Some(UTF_16LE),
        _ => None,
    })
}

/// The encoding of `<?xml … encoding="…"?>`.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.strip_prefix(b"<?xml")?;
    let head = std::str::from_utf8(&head[..head.windows(2).position(|pair| pair == b"?>")?]).ok()?;
    let value = head.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    Encoding::for_label(value[1..].split_once(quote)?.0.as_bytes())
}
