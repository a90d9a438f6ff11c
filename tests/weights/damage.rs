//! No file does harm: every truncation is refused, no altered byte makes the reader panic or take memory that the file
//! does not stand for.

use std::fs;
use std::hint::black_box;

use data::weights::Weights;

use crate::files::{Pickle, View, all, legacy, refused};

/// Altered copies of each file.
const ALTERED: u64 = 4000;
/// More than everything these tests take together; far less than what the files in them claim.
const MOST_MEMORY: u64 = 2 << 30;

/// The most address space that this process has had, in bytes: also counts memory that was never touched.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// The `index`-th number of the sequence that `name` begins: FNV-1a, then splitmix64.
fn number(name: &str, index: u64) -> u64 {
    let fnv = |h: u64, byte: u8| (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let mut z =
        name.bytes().fold(0xCBF2_9CE4_8422_2325, fnv).wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Reads every element of what `bytes` hold, if they are taken for weights at all.
fn read_whole(bytes: &[u8]) -> bool {
    let Ok(weights) = Weights::parse(bytes.to_vec(), "given") else { return false };
    for stored in weights.tensors().values() {
        assert_eq!(black_box(weights.values(stored)).len(), stored.elements());
        assert!(stored.elements() <= bytes.len());
    }
    true
}

#[test]
fn every_truncation_is_refused() {
    for (name, bytes) in all() {
        for length in 0..bytes.len() {
            let why = refused(&bytes[..length]);
            assert!(why.len() < 500, "{name} cut to {length}: {why}");
        }
        assert!(read_whole(&bytes), "{name}");
    }
}

#[test]
fn no_altered_file_panics_or_takes_memory() {
    let before = peak();
    for (name, bytes) in all() {
        let mut taken = 0;
        for round in 0..ALTERED {
            let mut altered = bytes.clone();
            let random = |index: u64| number(&name, round * 16 + index);
            // One to four places, each a byte or the eight bytes of a number.
            for place in 0..=random(0) % 4 {
                let at = random(1 + 3 * place) as usize % altered.len();
                let value = random(2 + 3 * place);
                let wide = [u64::MAX, 1 << 40, 1 << 31, value][value as usize % 4].to_le_bytes();
                let length =
                    if random(3 + 3 * place).is_multiple_of(2) { 1 } else { wide.len().min(altered.len() - at) };
                altered[at..at + length].copy_from_slice(if length == 1 { &wide[7..] } else { &wide[..length] });
            }
            taken += u64::from(read_whole(&altered));
        }
        // Elements have no checksum but in an archive: some alterations go unnoticed, most do not.
        assert!(taken < ALTERED, "{name}: {taken}");
    }
    assert!(peak() - before < MOST_MEMORY, "{} bytes", peak() - before);
}

#[test]
fn sizes_are_believed_only_as_far_as_the_file_goes() {
    let before = peak();
    let list = |array: &[u8]| [[0x112_u64, 0, 1].map(u64::to_le_bytes).concat(), array.to_vec()].concat();
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let longs = |longs: &[u64]| longs.iter().flat_map(|long| long.to_le_bytes()).collect::<Vec<u8>>();
    let v2 = |axes: u32, shape: &[u64]| {
        list(&[words(&[0xF993_FAC9, 0, axes]), longs(shape), words(&[1, 0, 0]), vec![0; 64]].concat())
    };
    for (what, bytes) in [
        ("arrays", longs(&[0x112, 0, u64::MAX])),
        ("axes", list(&words(&[u32::MAX, 1, 1]))),
        ("axes of V2", v2(u32::MAX, &[1])),
        ("elements", v2(2, &[1 << 40, 1 << 10])),
        ("overflow", v2(3, &[1 << 40, 1 << 40, 4])),
        ("overflow to nothing", v2(2, &[1 << 32, 1 << 32])),
        ("elements of a legacy array", list(&words(&[2, u32::MAX, u32::MAX, 1, 0, 0]))),
        ("a name", [v2(1, &[16]), longs(&[1, u64::MAX - 7])].concat()),
        ("a header", [longs(&[u64::MAX]), b"{}".to_vec()].concat()),
        ("a text", legacy(b"\x80\x02X\xFF\xFF\xFF\xFFabc.", &[])),
        ("a frame", legacy(b"\x80\x04\x95\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F}.", &[])),
        ("bytes", legacy(b"\x80\x02B\xFF\xFF\xFF\xFFabc.", &[])),
    ] {
        let why = refused(&bytes);
        assert!(why.contains("byte") || why.contains("header") || why.contains("elements"), "{what}: {why}");
    }
    let view = View { key: "k", count: 1, part: None, offset: 0, shape: &[1], strides: &[1] };
    let mut file = legacy(&Pickle::new().raw(b"}").text("w").tensor(&view).raw(b"s").stop(), &[("k", &[1.0])]);
    let count = file.len() - 12;
    for claimed in [2, 1 << 40, 1 << 62, u64::MAX] {
        file[count..count + 8].copy_from_slice(&u64::to_le_bytes(claimed));
        assert!(refused(&file).contains("storage k at byte"));
    }
    assert!(peak() - before < MOST_MEMORY, "{} bytes", peak() - before);
}

#[test]
fn no_nesting_and_no_length_of_program_is_too_much() {
    let deep = 1_000_000;
    for (open, close) in [(b']', b'a'), (b'N', 0x85)] {
        let opened = if open == b']' { vec![open; deep] } else { vec![open] };
        let object = [b"\x80\x02".as_slice(), &opened, &vec![close; deep - 1], b"."].concat();
        assert!(refused(&legacy(&object, &[])).contains("no dict of tensors"));
    }
    let before = peak();
    let long = [b"\x80\x02".to_vec(), vec![b'N'; 5_000_000], b".".to_vec()].concat();
    assert!(refused(&legacy(&long, &[])).contains("more than 4000000 steps"));
    // A list of pairs that is made a dict again and again: each call is short, what it copies is not.
    let pairs = [b"](".to_vec(), b"NN\x86".repeat(100_000), b"eq\0".to_vec()].concat();
    let calls = b"ccollections\nOrderedDict\nh\0\x85R".repeat(100_000);
    let object = [b"\x80\x02".to_vec(), pairs, calls, b".".to_vec()].concat();
    assert!(refused(&legacy(&object, &[])).contains("more than 4000000 steps"));
    assert!(peak() - before < MOST_MEMORY, "{} bytes", peak() - before);
}
