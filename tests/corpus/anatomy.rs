//! Where the pieces of a file begin, and where it states a length: the places worth damaging.

use std::ops::Range;

/// The kinds of file that the corpus is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Jpeg,
    Mask,
    Annotation,
    List,
    Manifest,
    Mxnet,
    Torch,
    Safetensors,
    Parquet,
    Record,
}

/// A number that says how long something is.
#[derive(Clone, Copy)]
pub struct Length {
    pub at: usize,
    pub width: usize,
    pub big_endian: bool,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Jpeg,
        Self::Mask,
        Self::Annotation,
        Self::List,
        Self::Manifest,
        Self::Mxnet,
        Self::Torch,
        Self::Safetensors,
        Self::Parquet,
        Self::Record,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Mask => "mask",
            Self::Annotation => "annotation",
            Self::List => "list",
            Self::Manifest => "manifest",
            Self::Mxnet => "params",
            Self::Torch => "pth",
            Self::Safetensors => "safetensors",
            Self::Parquet => "parquet",
            Self::Record => "artifact.json",
        }
    }

    pub fn is_text(self) -> bool {
        matches!(self, Self::Annotation | Self::List | Self::Manifest | Self::Record)
    }

    /// The pieces of a file: segments, chunks, entries, lines.
    pub fn pieces(self, file: &[u8]) -> Vec<Range<usize>> {
        let starts = match self {
            Self::Jpeg => jpeg_markers(file),
            Self::Mask => png_chunks(file),
            Self::Annotation | Self::List | Self::Manifest | Self::Record => after_each(file, b"\n"),
            Self::Mxnet => {
                [&[8, 16, 24][..], &each(file, &[0xF9]), &each(file, b"arg:"), &each(file, b"aux:")].concat()
            }
            Self::Torch => [each(file, b"PK"), each(file, b"\x80\x02"), each(file, b"cto"), each(file, b"X")].concat(),
            Self::Safetensors => [vec![8], after_each(file, b"}")].concat(),
            Self::Parquet => {
                [vec![4, file.len().saturating_sub(8)], each(file, b"camflow"), each(file, &[0x28, 0xB5])].concat()
            }
        };
        let mut starts: Vec<_> = starts.into_iter().chain([0, file.len()]).filter(|at| *at <= file.len()).collect();
        starts.sort_unstable();
        starts.dedup();
        starts.windows(2).map(|pair| pair[0]..pair[1]).collect()
    }

    /// Where lengths, counts and sizes are stated. (In text they are the digits.)
    pub fn lengths(self, file: &[u8]) -> Vec<Length> {
        let little = |width: usize| move |at: usize| Length { at, width, big_endian: false };
        let big = |width: usize| move |at: usize| Length { at, width, big_endian: true };
        let lengths: Vec<Length> = match self {
            // A segment's length; in a frame header also height and width.
            Self::Jpeg => jpeg_markers(file).iter().flat_map(|at| [at + 2, at + 5, at + 7]).map(big(2)).collect(),
            Self::Mask => png_chunks(file).into_iter().chain([16, 20]).map(big(4)).collect(),
            Self::Mxnet => {
                let arrays = each(file, &[0xF9]).into_iter().flat_map(|at| [at + 1, at + 5, at + 9, at + 17]);
                [16, 24, 28, 32].into_iter().chain(arrays).map(little(8)).collect()
            }
            Self::Torch => {
                let texts = each(file, b"X").into_iter().map(|at| little(4)(at + 1));
                let central = each(file, b"PK\x01\x02").into_iter().flat_map(|at| [at + 20, at + 24, at + 42]);
                let end = each(file, b"PK\x05\x06").into_iter().flat_map(|at| [at + 8, at + 12, at + 16]);
                let floats = each(file, b"J").into_iter().map(|at| at + 1);
                texts.chain(central.chain(end).chain(floats).map(little(4))).collect()
            }
            Self::Safetensors => vec![little(8)(0)],
            Self::Parquet => vec![little(4)(file.len().saturating_sub(8))],
            Self::Annotation | Self::List | Self::Manifest | Self::Record => vec![],
        };
        lengths.into_iter().filter(|length| length.at + length.width <= file.len()).collect()
    }
}

/// Where `what` begins, each time.
fn each(file: &[u8], what: &[u8]) -> Vec<usize> {
    (0..file.len()).filter(|&at| file[at..].starts_with(what)).collect()
}

fn after_each(file: &[u8], what: &[u8]) -> Vec<usize> {
    each(file, what).into_iter().map(|at| at + what.len()).collect()
}

/// Every marker that is no stuffed zero and no padding.
fn jpeg_markers(file: &[u8]) -> Vec<usize> {
    let marker = |at: &usize| matches!(file[*at..], [0xff, 0xc0..=0xfe, ..]);
    (0..file.len()).filter(marker).collect()
}

/// Every chunk, from its length on.
pub fn png_chunks(file: &[u8]) -> Vec<usize> {
    let (mut at, mut starts) = (8, vec![]);
    while let Some(length) = file.get(at..at + 4) {
        starts.push(at);
        at += 12 + u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
    }
    starts
}
