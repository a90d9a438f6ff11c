//! A healthy file damaged: how, and whether anybody may still take it for whole.

use crate::anatomy::{Kind, png_chunks};
use crate::number::Numbers;
use crate::samples;

/// A damaged file.
pub struct Mutant {
    pub kind: Kind,
    pub number: usize,
    /// What was done to it.
    pub how: String,
    pub bytes: Vec<u8>,
    /// It cannot be whole any more, whatever a reader overlooks.
    pub hopeless: bool,
}

impl Mutant {
    /// Mutant `number` of a kind: the samples in turn, and on each the ways in turn.
    pub fn new(kind: Kind, number: usize) -> Self {
        let samples = samples::of(kind);
        let whole = &samples[number % samples.len()];
        let way = WAYS[number / samples.len() % WAYS.len()];
        let mut numbers = Numbers::new(kind.name(), number);
        let (how, bytes) = way(kind, whole, &mut numbers);
        let hopeless = bytes != *whole && is_hopeless(kind, whole, &bytes);
        Self { kind, number, how, bytes, hopeless }
    }

    /// Its name in messages of the tests.
    pub fn title(&self) -> String {
        format!("{} {} ({}, {} bytes)", self.kind.name(), self.number, self.how, self.bytes.len())
    }
}

/// Empty, cut off, or with a digest beside it.
fn is_hopeless(kind: Kind, whole: &[u8], bytes: &[u8]) -> bool {
    let cut = bytes.len() < whole.len() && whole.starts_with(bytes);
    match kind {
        // Lines may be left out of a list, entries of a manifest; the end of a record is its last brace.
        Kind::List | Kind::Manifest => bytes.is_empty(),
        Kind::Annotation | Kind::Record => cut && bytes.trim_ascii_end() != whole.trim_ascii_end(),
        Kind::Parquet => true,
        Kind::Jpeg | Kind::Mask | Kind::Mxnet | Kind::Torch | Kind::Safetensors => bytes.is_empty() || cut,
    }
}

type Way = fn(Kind, &[u8], &mut Numbers) -> (String, Vec<u8>);

const WAYS: [Way; 18] = [
    cut_between_pieces,
    flip_a_bit,
    huge_length,
    remove_a_piece,
    cut_anywhere,
    duplicate_a_piece,
    another_kind,
    flip_bits,
    special_number,
    deep_nesting,
    remove_a_run,
    swap_pieces,
    invalid_text,
    insert_a_run,
    overwrite_a_run,
    graft,
    append,
    empty,
];

fn cut_between_pieces(kind: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let pieces = kind.pieces(file);
    let end = numbers.pick(&pieces).map_or(0, |piece| piece.end);
    let end = (end + numbers.below(3)).saturating_sub(1).min(file.len().saturating_sub(1));
    (format!("cut between pieces, at {end}"), file[..end].to_vec())
}

fn cut_anywhere(_: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let end = numbers.below(file.len());
    (format!("cut at {end}"), file[..end].to_vec())
}

fn empty(_: Kind, _: &[u8], _: &mut Numbers) -> (String, Vec<u8>) {
    ("empty".into(), vec![])
}

fn flip_a_bit(kind: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let (at, bit) = (numbers.below(file.len()), numbers.below(8));
    let mut bytes = file.to_vec();
    bytes[at] ^= 1 << bit;
    (format!("bit {bit} of byte {at} flipped"), sealed(kind, bytes, numbers))
}

fn flip_bits(kind: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let count = 2 + numbers.below(30);
    let mut bytes = file.to_vec();
    for _ in 0..count {
        let at = numbers.below(bytes.len());
        bytes[at] ^= 1 << numbers.below(8);
    }
    (format!("{count} bits flipped"), sealed(kind, bytes, numbers))
}

fn huge_length(kind: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    if kind.is_text() {
        return huge_number(file, numbers);
    }
    let value = *numbers.pick(&[u64::MAX, 1 << 62, u64::MAX >> 33, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x7FFF]).expect("six");
    let mut bytes = file.to_vec();
    let Some(length) = numbers.pick(&kind.lengths(file)).copied() else { return append(kind, file, numbers) };
    let place = &mut bytes[length.at..length.at + length.width];
    if length.big_endian {
        place.copy_from_slice(&value.to_be_bytes()[8 - length.width..]);
    } else {
        place.copy_from_slice(&value.to_le_bytes()[..length.width]);
    }
    (format!("length at {} becomes {value:#x}", length.at), sealed(kind, bytes, numbers))
}

/// A number of a text becomes one that no type holds; a text without numbers gets one.
fn huge_number(file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let digits: Vec<_> = (0..file.len()).filter(|&at| file[at].is_ascii_digit()).collect();
    let at = numbers.pick(&digits).copied().unwrap_or(0);
    let huge =
        *numbers.pick(&["99999999999999999999", "1e999", "-9223372036854775809", "0xFFFFFFFFFFFFFFFFF"]).expect("four");
    (format!("{huge} at {at}"), [&file[..at], huge.as_bytes(), &file[at..]].concat())
}

fn special_number(kind: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let width = [1, 2, 4, 8][numbers.below(4)].min(file.len());
    let value = *numbers.pick(&[0, u64::MAX, 1, 0x8080_8080_8080_8080, 0x7F7F_7F7F_7F7F_7F7F, 1 << 31]).expect("six");
    let at = numbers.below(file.len() + 1 - width);
    let mut bytes = file.to_vec();
    bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    (format!("{width} bytes at {at} become {value:#x}"), sealed(kind, bytes, numbers))
}

fn overwrite_a_run(kind: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let (at, length) = run(file, numbers);
    let mut bytes = file.to_vec();
    let run = numbers.bytes(length);
    bytes[at..at + length].copy_from_slice(&run);
    (format!("{length} bytes at {at} overwritten"), sealed(kind, bytes, numbers))
}

fn insert_a_run(_: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let at = numbers.below(file.len());
    let length = 1 + numbers.below(64);
    (format!("{length} bytes put in at {at}"), [&file[..at], &numbers.bytes(length), &file[at..]].concat())
}

fn remove_a_run(_: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let (at, length) = run(file, numbers);
    (format!("{length} bytes at {at} removed"), [&file[..at], &file[at + length..]].concat())
}

fn run(file: &[u8], numbers: &mut Numbers) -> (usize, usize) {
    let at = numbers.below(file.len());
    (at, 1 + numbers.below((file.len() - at).min(64)))
}

fn remove_a_piece(kind: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let pieces = kind.pieces(file);
    let Some(piece) = numbers.pick(&pieces).cloned() else { return append(kind, file, numbers) };
    (format!("piece {piece:?} removed"), [&file[..piece.start], &file[piece.end..]].concat())
}

fn duplicate_a_piece(kind: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let pieces = kind.pieces(file);
    let Some(piece) = numbers.pick(&pieces).cloned() else { return append(kind, file, numbers) };
    (format!("piece {piece:?} twice"), [&file[..piece.end], &file[piece.start..]].concat())
}

fn swap_pieces(kind: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let mut pieces = kind.pieces(file);
    let (one, other) = (numbers.below(pieces.len()), numbers.below(pieces.len()));
    pieces.swap(one, other);
    (
        format!("pieces {one} and {other} change places"),
        pieces.into_iter().flat_map(|piece| file[piece].to_vec()).collect(),
    )
}

fn append(kind: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let more = match numbers.below(3) {
        0 => file.to_vec(),
        1 => vec![0; 1 + numbers.below(4096)],
        _ if kind.is_text() => b"\n<?[{\"".repeat(100),
        _ => numbers.bytes(100),
    };
    (format!("{} bytes appended", more.len()), [file, &more].concat())
}

/// The head of one sample and the tail of another.
fn graft(kind: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let samples = samples::of(kind);
    let other = numbers.pick(samples).expect("every kind has samples");
    let (head, tail) = (numbers.below(file.len()), numbers.below(other.len()));
    (format!("{head} bytes, then another's from {tail} on"), [&file[..head], &other[tail..]].concat())
}

fn another_kind(kind: Kind, _: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let others: Vec<Kind> = Kind::ALL.into_iter().filter(|other| *other != kind).collect();
    let other = *numbers.pick(&others).expect("nine");
    let sample = numbers.pick(samples::of(other)).expect("every kind has samples");
    (format!("a {} in its place", other.name()), sample.clone())
}

/// Bytes that no text holds, in the middle of one; in other files a run of zeros.
fn invalid_text(kind: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let at = numbers.below(file.len());
    if kind.is_text() {
        let bad: &[u8] =
            numbers.pick(&[&b"\xff\xfe"[..], b"\xc3", b"\xed\xa0\x80", b"\0", b"\x1b[2J", b"\xf5\x80"]).expect("six");
        return (format!("{bad:?} at {at}"), [&file[..at], bad, &file[at..]].concat());
    }
    let end = file.len().min(at + 64);
    let mut bytes = file.to_vec();
    bytes[at..end].fill(0);
    (format!("zeros from {at} to {end}"), sealed(kind, bytes, numbers))
}

/// Brackets in brackets, where the format has any; otherwise a great number of small pieces.
fn deep_nesting(kind: Kind, file: &[u8], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let depth = *numbers.pick(&[100, 1_000, 20_000, 100_000]).expect("four");
    let bytes = match kind {
        Kind::Annotation => {
            [b"<annotation>".to_vec(), b"<object>".repeat(depth), b"</object>".repeat(depth), b"</annotation>".to_vec()]
                .concat()
        }
        Kind::Manifest => {
            let value = match numbers.below(3) {
                0 => [b"\nx = ".to_vec(), b"[".repeat(depth), b"]".repeat(depth)].concat(),
                1 => [b"\nx = ".to_vec(), b"{a = ".repeat(depth), b"1".to_vec(), b"}".repeat(depth)].concat(),
                _ => [b"\n[data.".to_vec(), b"a.".repeat(depth), b"a]\n".to_vec()].concat(),
            };
            [file, &value].concat()
        }
        Kind::Record => [b"{\"format\":".to_vec(), b"[".repeat(depth), b"]".repeat(depth), b"}".to_vec()].concat(),
        Kind::Safetensors => {
            let header = [b"{\"a\":".to_vec(), b"[".repeat(depth), b"]".repeat(depth), b"}".to_vec()].concat();
            [&(header.len() as u64).to_le_bytes(), &header[..]].concat()
        }
        // The pickles of the legacy layout follow one another; the first is the magic number.
        Kind::Torch => [
            &b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."[..],
            &b"]".repeat(depth),
            &b"a".repeat(depth),
            b".",
        ]
        .concat(),
        Kind::Mxnet => {
            [&0x112_u64.to_le_bytes()[..], &[0; 8], &(depth as u64).to_le_bytes(), &b"\x01\0\0\0".repeat(depth)]
                .concat()
        }
        Kind::List => b"x\n".repeat(depth),
        Kind::Jpeg => [&file[..2], &b"\xff\xe1\0\x02".repeat(depth), &file[2..]].concat(),
        Kind::Mask => [&file[..33], &b"\0\0\0\0tEXt\0\0\0\0".repeat(depth), &file[33..]].concat(),
        Kind::Parquet => [&file[..4], &b"\x19\xfc".repeat(depth), &file[file.len() - 8..]].concat(),
    };
    (format!("{depth} deep"), bytes)
}

/// The checksums of a PNG are put right half of the time: otherwise nothing behind them would be tried.
fn sealed(kind: Kind, mut bytes: Vec<u8>, numbers: &mut Numbers) -> Vec<u8> {
    if kind == Kind::Mask && numbers.below(2) == 0 {
        for at in png_chunks(&bytes) {
            let length = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
            let Some(covered) = at.checked_add(8 + length).and_then(|end| bytes.get(at + 4..end)) else { continue };
            let checksum = crc32fast::hash(covered).to_be_bytes();
            if let Some(place) = bytes.get_mut(at + 8 + length..at + 12 + length) {
                place.copy_from_slice(&checksum);
            }
        }
    }
    bytes
}
