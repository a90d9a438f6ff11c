//! `MXNet`'s `.params`: a list of arrays in any of its four layouts, then their names, which become those of this
//! crate.
//!
//! ```text
//! u64 0x112, u64 0, u64 N, N arrays, u64 N, N x (u64 length, bytes)
//! array   0xF993FACA (V3) | 0xF993FAC9 (V2): i32 storage, u32 axes, axes x i64, i32 device, i32 id, i32 dtype, data
//!         0xF993FAC8 (V1):                                u32 axes, axes x i64, i32 device, i32 id, i32 dtype, data
//!         anything else is the number of axes itself:               axes x u32, i32 device, i32 id, i32 dtype, data
//! ```

use super::cursor::{Cursor, Result, text};
use super::tensor::{Dtype, Storage, Stored};
use super::{Content, Format};

/// The first eight bytes of a list.
pub const LIST: u64 = 0x112;

const V1: u32 = 0xF993_FAC8;
const V2: u32 = 0xF993_FAC9;
const V3: u32 = 0xF993_FACA;
/// The layer of `ImageNet`'s 1000 classes, which no network here has.
const CLASSIFIER: &str = "linear1000_";

/// Reads a list.
pub fn read(bytes: &[u8]) -> Result<Content> {
    let mut cursor = Cursor::new(bytes);
    cursor.take(16, "the header")?;
    let count = cursor.u64("the number of arrays")?;
    let (mut format, mut arrays) = (Format::MxNetLegacy, Vec::new());
    for index in 0..count {
        let what = format!("array {index} of {count}");
        let (layout, array) = array(&mut cursor, &what).map_err(|why| format!("{what}: {why}"))?;
        if index == 0 {
            format = layout;
        }
        arrays.push(array);
    }
    let names = cursor.u64("the number of names")?;
    if names != count {
        return Err(format!("{count} arrays have {names} names"));
    }
    let mut content = Content::new(format);
    for (index, array) in arrays.into_iter().enumerate() {
        let what = format!("name {index}");
        let length = cursor.u64(&what)?;
        let name = text(cursor.take(length, &what)?, &what)?;
        let name = name.strip_prefix("arg:").or_else(|| name.strip_prefix("aux:")).unwrap_or(name);
        if name.starts_with(CLASSIFIER) {
            content.skipped.push(name.to_owned());
        } else {
            content.tensors.push((state_dict_name(name).unwrap_or_else(|| name.to_owned()), array));
        }
    }
    match cursor.remaining() {
        0 => Ok(content),
        more => Err(format!("{more} bytes follow the last name, at byte {}", cursor.at())),
    }
}

/// Reads the array at `cursor`, and in which layout it is.
fn array(cursor: &mut Cursor, what: &str) -> Result<(Format, Stored)> {
    let (format, axes, wide) = match cursor.u32(what)? {
        magic @ (V2 | V3) => {
            let kind = cursor.i32(what)?;
            if kind != 0 {
                return Err(format!("is sparse (storage type {kind}); only dense arrays are weights"));
            }
            (if magic == V3 { Format::MxNetV3 } else { Format::MxNetV2 }, cursor.u32(what)?, true)
        }
        V1 => (Format::MxNetV1, cursor.u32(what)?, true),
        axes => (Format::MxNetLegacy, axes, false),
    };
    // Since V3 no axes are a scalar; before, they were an array without content.
    if axes == 0 && format != Format::MxNetV3 {
        return Err(format!("has no shape, at byte {}", cursor.at()));
    }
    let mut sizes = Cursor::new(cursor.take(u64::from(axes) * if wide { 8 } else { 4 }, what)?);
    let mut shape = Vec::new();
    while sizes.remaining() > 0 {
        let size = if wide { sizes.u64(what)? } else { u64::from(sizes.u32(what)?) };
        shape.push(usize::try_from(size).map_err(|_| format!("an axis of {size}"))?);
    }
    let _device = (cursor.i32(what)?, cursor.i32(what)?);
    let dtype = match cursor.i32(what)? {
        0 => Dtype::F32,
        1 => Dtype::F64,
        2 => Dtype::F16,
        3 => Dtype::U8,
        4 => Dtype::I32,
        5 => Dtype::I8,
        6 => Dtype::I64,
        other => return Err(format!("has element type {other}; 0 to 6 are known")),
    };
    let bytes = shape.iter().try_fold(dtype.size() as u64, |bytes, size| bytes.checked_mul(*size as u64));
    let bytes = bytes.ok_or_else(|| format!("shape {shape:?} has more elements than can be counted"))?;
    let start = cursor.at();
    let count = cursor.take(bytes, what)?.len() / dtype.size();
    Ok((format, Stored::dense(&Storage { dtype, start, count }, &shape)?))
}

/// What `PyTorch` calls the variable that Wu et al. call `name`, if it is one of their `ResNet38`.
///
/// `res4b5_branch2b1_weight` is `b4_5.conv_branch2b1.weight`; `bn6a_branch2a_gamma` is `b6.bn_branch2a.weight`.
fn state_dict_name(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("res") {
        let (block, rest) = block(rest)?;
        let branch = rest.strip_prefix("_branch")?.strip_suffix("_weight")?;
        return Some(format!("{block}.conv_branch{branch}.weight"));
    }
    let Some(rest) = name.strip_prefix("bn") else {
        return name.strip_suffix("_weight").filter(|layer| *layer == "conv1a").map(|layer| format!("{layer}.weight"));
    };
    let suffixes =
        [("_gamma", "weight"), ("_beta", "bias"), ("_moving_mean", "running_mean"), ("_moving_var", "running_var")];
    let (rest, variable) = suffixes.iter().find_map(|(from, to)| Some((rest.strip_suffix(from)?, to)))?;
    if rest == "7" {
        return Some(format!("bn7.{variable}"));
    }
    let (block, rest) = block(rest)?;
    let branch = rest.strip_prefix("_branch")?;
    Some(format!("{block}.bn_branch{branch}.{variable}"))
}

/// `4a…` is block `b4`, `4b5…` is block `b4_5`; also what follows.
fn block(rest: &str) -> Option<(String, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (level, rest) = rest.split_at(digits(rest));
    if let Some(rest) = rest.strip_prefix('a') {
        return Some((format!("b{level}"), rest));
    }
    let rest = rest.strip_prefix('b')?;
    let (index, rest) = rest.split_at(digits(rest));
    Some((format!("b{level}_{index}"), rest))
}
