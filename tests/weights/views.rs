//! Tensors that are views of storages, in pickles written here as torch of several years wrote them.

use crate::files::{Pickle, View, legacy, read, refused, zip};

const VALUES: [f32; 6] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
const WHOLE: View = View { key: "k", count: 6, part: None, offset: 0, shape: &[2, 3], strides: &[3, 1] };

fn file(view: &View) -> Vec<u8> {
    legacy(&Pickle::new().raw(b"}").text("w").tensor(view).raw(b"s").stop(), &[("k", &VALUES)])
}

#[test]
fn offsets_and_strides_are_followed() {
    let cases: [(View, &[f32]); 5] = [
        (WHOLE, &VALUES),
        (View { shape: &[3, 2], strides: &[1, 3], ..WHOLE }, &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
        (View { offset: 1, shape: &[2, 1, 2], strides: &[3, 77, 1], ..WHOLE }, &[1.0, 2.0, 4.0, 5.0]),
        (View { part: Some((2, 4)), shape: &[4], strides: &[1], ..WHOLE }, &[2.0, 3.0, 4.0, 5.0]),
        (View { part: Some((2, 4)), offset: 1, shape: &[2], strides: &[2], ..WHOLE }, &[3.0, 5.0]),
    ];
    for (view, expected) in cases {
        let weights = read(&file(&view));
        assert_eq!(weights.values(&weights.tensors()["w"]), expected);
    }
}

#[test]
fn a_view_never_leaves_its_storage() {
    let huge = i64::MAX;
    let cases = [
        (View { offset: 1, ..WHOLE }, "leaves its storage"),
        (View { strides: &[3, 2], ..WHOLE }, "leaves its storage"),
        (View { strides: &[huge, huge], ..WHOLE }, "leaves its storage"),
        (View { shape: &[7], strides: &[0], ..WHOLE }, "7 elements, but its storage 6"),
        (View { shape: &[huge, huge], ..WHOLE }, "more elements than can be counted"),
        (View { shape: &[1 << 40], strides: &[0], ..WHOLE }, "1099511627776 elements"),
        (View { shape: &[-1, -1], ..WHOLE }, "none that makes a state dict"),
        (View { offset: -1, ..WHOLE }, "none that makes a state dict"),
        (View { shape: &[6], ..WHOLE }, "1 axes with 2 strides"),
        (View { shape: &[1; 33], strides: &[1; 33], ..WHOLE }, "33 axes"),
        (View { part: Some((3, 4)), shape: &[1], strides: &[1], ..WHOLE }, "leave storage k"),
        (View { part: Some((huge, huge)), shape: &[1], strides: &[1], ..WHOLE }, "leave storage k"),
        (View { part: Some((-1, 2)), shape: &[1], strides: &[1], ..WHOLE }, "no storage of a tensor"),
        (View { count: 7, ..WHOLE }, "no storage k of 7 elements"),
        (View { count: -6, ..WHOLE }, "no storage of a tensor"),
        (View { key: "other", ..WHOLE }, "no tensor refers to storage k"),
    ];
    for (view, why) in cases {
        let said = refused(&file(&view));
        assert!(said.contains(why), "'{why}' is not in: {said}");
    }
}

#[test]
fn a_dict_of_python_2_is_read() {
    // Strings of bytes, and a dict whose items are a list of pairs.
    let object = Pickle::new().global("collections", "OrderedDict").raw(b"(](](U\x08module.w").tensor(&WHOLE);
    let weights = read(&legacy(&object.raw(b"eetR").stop(), &[("k", &VALUES)]));
    assert_eq!(weights.values(&weights.tensors()["w"]), VALUES);
}

#[test]
fn storages_of_an_archive_are_compared_with_their_entries() {
    let values: Vec<u8> = VALUES.iter().flat_map(|value| value.to_le_bytes()).collect();
    let object = |view: &View| Pickle::new().raw(b"}").text("w").tensor(view).raw(b"s").stop();
    let file = |view: &View, order: &[u8], data: &[u8], method: u16| {
        zip(&[("net/data.pkl", &object(view)), ("net/byteorder", order), ("net/data/k", data)], method)
    };
    let weights = read(&file(&WHOLE, b"little", &values, 0));
    assert_eq!(weights.values(&weights.tensors()["w"]), VALUES);

    let mut flipped = file(&WHOLE, b"little", &values, 0);
    let at = flipped.windows(values.len()).position(|bytes| bytes == values).unwrap();
    flipped[at + 5] ^= 1;
    let twice = zip(&[("a/data.pkl", b"x"), ("a/data.pkl", b"x")], 0);
    let cases = [
        (file(&WHOLE, b"little", &values[..20], 0), "has 20 bytes, which are not 6 elements F32"),
        (file(&View { key: "j", ..WHOLE }, b"little", &values, 0), "the archive lacks data/j"),
        (file(&View { count: i64::MAX, ..WHOLE }, b"little", &values, 0), "which are not"),
        (file(&WHOLE, b"big", &values, 0), "byte order 'big'"),
        (file(&WHOLE, b"little", &values, 8), "'net/data.pkl' is compressed"),
        (flipped, "'net/data/k' does not have the checksum"),
        (twice, "two entries are called 'a/data.pkl'"),
        (zip(&[("a/b/data.pkl", b"x")], 0), "no data.pkl"),
        (zip(&[], 0), "no data.pkl"),
    ];
    for (bytes, why) in cases {
        let said = refused(&bytes);
        assert!(said.contains(why), "'{why}' is not in: {said}");
    }
}

#[test]
fn large_archives_have_their_directory_found() {
    let bytes = crate::files::golden("torch_zip.pth");
    let end = bytes.len() - 22;
    assert!(bytes[end..].starts_with(b"PK\x05\x06"));
    // The end record of a large archive: all in the record before it, found by a locator.
    let word = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    let entries = u64::from(u16::from_le_bytes([bytes[end + 10], bytes[end + 11]]));
    let (size, start) = (word(end + 12), word(end + 16));
    let record = [b"PK\x06\x06".as_slice(), &44_u64.to_le_bytes(), &[0; 12]].concat();
    let counts = [entries, entries, size, start].map(u64::to_le_bytes).concat();
    let locator = [b"PK\x06\x07\0\0\0\0".as_slice(), &(end as u64).to_le_bytes(), &[1, 0, 0, 0]].concat();
    let last = [b"PK\x05\x06\0\0\0\0".as_slice(), &[0xFF; 12], &[0; 2]].concat();
    let large = [&bytes[..end], &record, &counts, &locator, &last].concat();
    let (plain, large) = (read(&bytes), read(&large));
    assert_eq!(plain.tensors(), large.tensors());
}
