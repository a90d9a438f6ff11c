//! The files written: each is there whole or not at all.

use std::io::Write as _;
use std::path::Path;

use artifact::{Error, Result};
use half::f16;
use tempfile::NamedTempFile;

/// Quality of a picture that people look at.
pub const JPEG_QUALITY: u8 = 90;

/// Writes a file under a temporary name beside it, making its folders.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = || {
        std::fs::create_dir_all(folder)?;
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(Error::io("write", path))
}

/// NumPy's format, version 1.0, of an array of float16 of three dimensions, row-major.
pub fn npy(values: &[f32], [depth, height, width]: [usize; 3]) -> Vec<u8> {
    let mut header = format!("{{'descr': '<f2', 'fortran_order': False, 'shape': ({depth}, {height}, {width}), }}");
    // The magic string, the version, the length of the header and the header end at a multiple of 64 bytes.
    let unpadded = 6 + 2 + 2 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()));
    bytes
}
