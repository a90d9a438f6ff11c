//! `.safetensors`: the header's checks are the crate's; the element types are those that weights have.

use ::safetensors::{Dtype as FileDtype, SafeTensors};

use super::cursor::Result;
use super::tensor::{Dtype, Storage, Stored};
use super::{Content, Format};

/// Bytes before the header: its length.
const LENGTH: usize = 8;

/// Reads a file. The header is checked against the file's length before anything of its size is allocated.
pub fn read(bytes: &[u8]) -> Result<Content> {
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|why| why.to_string())?;
    let mut content = Content::new(Format::Safetensors);
    content.metadata.extend(metadata.metadata().clone().unwrap_or_default());
    for (name, info) in metadata.tensors() {
        let dtype = match info.dtype {
            FileDtype::F64 => Dtype::F64,
            FileDtype::F32 => Dtype::F32,
            FileDtype::F16 => Dtype::F16,
            FileDtype::BF16 => Dtype::Bf16,
            FileDtype::I64 => Dtype::I64,
            FileDtype::I32 => Dtype::I32,
            FileDtype::I16 => Dtype::I16,
            FileDtype::I8 => Dtype::I8,
            FileDtype::U8 => Dtype::U8,
            FileDtype::BOOL => Dtype::Bool,
            other => return Err(format!("tensor '{name}' is {other:?}, which no weights are")),
        };
        let (from, to) = info.data_offsets;
        let storage = Storage { dtype, start: LENGTH + header + from, count: (to - from) / dtype.size() };
        let stored = Stored::dense(&storage, &info.shape).map_err(|why| format!("tensor '{name}': {why}"))?;
        content.tensors.push((name, stored));
    }
    Ok(content)
}
