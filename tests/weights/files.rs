//! The golden files, and writers of small files in each layout.

use std::fs;
use std::path::Path;

use artifact::Error;
use data::weights::Weights;

use crate::folder::find;

/// The bytes of the golden file `name`.
pub fn golden(name: &str) -> Vec<u8> {
    let path = find(&format!("weights/{name}"));
    fs::read(&path).unwrap_or_else(|why| panic!("cannot read {}: {why}", path.display()))
}

/// Every golden file of weights, by name; another set of vectors need not have them all.
pub fn all() -> Vec<(String, Vec<u8>)> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/weights");
    let mut names: Vec<_> =
        fs::read_dir(own).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.len() >= 11, "{names:?}");
    names.into_iter().map(|name| (name.clone(), golden(&name))).collect()
}

pub fn read(bytes: &[u8]) -> Weights {
    Weights::parse(bytes.to_vec(), "given").unwrap()
}

/// Why `bytes` are refused.
pub fn refused(bytes: &[u8]) -> String {
    match Weights::parse(bytes.to_vec(), "given") {
        Err(Error::Data(why)) => {
            assert!(why.starts_with("given: "), "{why}");
            why
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
}

/// A pickle being written, protocol 2, without its final `STOP`.
pub struct Pickle(Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub fn raw(mut self, opcodes: &[u8]) -> Self {
        self.0.extend(opcodes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    pub fn int(self, value: i64) -> Self {
        self.raw(b"\x8A\x08").raw(&value.to_le_bytes())
    }

    pub fn ints(self, values: &[i64]) -> Self {
        values.iter().fold(self.raw(b"("), |pickle, value| pickle.int(*value)).raw(b"t")
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(b"c").raw(format!("{module}\n{name}\n").as_bytes())
    }

    /// A tensor of floats that views `count` elements of storage `key`, or the part of them that begins at `part.0`.
    pub fn tensor(self, view: &View) -> Self {
        let View { key, count, part, offset, shape, strides } = *view;
        let id = self.global("torch._utils", "_rebuild_tensor_v2").raw(b"((").text("storage");
        let id = id.global("torch", "FloatStorage").text(key).text("cpu").int(count);
        let id = match part {
            Some((offset, count)) => id.raw(b"(").text("part").int(offset).int(count).raw(b"t"),
            None => id,
        };
        let sizes = id.raw(b"tQ").int(offset).ints(shape).ints(strides);
        sizes.raw(b"\x89").global("collections", "OrderedDict").raw(b")RtR")
    }

    pub fn stop(self) -> Vec<u8> {
        self.raw(b".").0
    }
}

/// What [`Pickle::tensor`] writes.
pub struct View<'a> {
    pub key: &'a str,
    pub count: i64,
    pub part: Option<(i64, i64)>,
    pub offset: i64,
    pub shape: &'a [i64],
    pub strides: &'a [i64],
}

/// A legacy file of `torch.save`: the object's pickle, and its storages of floats.
pub fn legacy(object: &[u8], storages: &[(&str, &[f32])]) -> Vec<u8> {
    let magic = b"\x80\x02\x8A\x0A\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19.";
    let keys = storages.iter().fold(Pickle::new().raw(b"]("), |pickle, (key, _)| pickle.text(key)).raw(b"e").stop();
    let mut file = [magic.as_slice(), b"\x80\x02M\xE9\x03.", b"\x80\x02}.", object, &keys].concat();
    for (_, values) in storages {
        file.extend((values.len() as u64).to_le_bytes());
        file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    file
}

/// Where in a [`legacy`] file its object begins.
pub const OBJECT: usize = 25;

/// A zip archive of stored entries, each under a method and with its true checksum.
pub fn zip(entries: &[(&str, &[u8])], method: u16) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let local = file.len() as u32;
        let size = (bytes.len() as u32).to_le_bytes();
        let middle = [&[0; 4], crc32fast::hash(bytes).to_le_bytes().as_slice(), &size, &size].concat();
        let [method, length] = [method, name.len() as u16].map(u16::to_le_bytes);
        let common = [&[0, 0], method.as_slice(), &middle, &length, &[0; 2]].concat();
        file.extend([b"PK\x03\x04\x00\x00".as_slice(), &common, name.as_bytes(), bytes].concat());
        directory.extend([b"PK\x01\x02\x00\x00\x00\x00".as_slice(), &common, &[0; 10], &local.to_le_bytes()].concat());
        directory.extend(name.as_bytes());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (size, start) = ((directory.len() as u32).to_le_bytes(), (file.len() as u32).to_le_bytes());
    file.extend(directory);
    file.extend([b"PK\x05\x06\x00\x00\x00\x00".as_slice(), &count, &count, &size, &start, &[0; 2]].concat());
    file
}
