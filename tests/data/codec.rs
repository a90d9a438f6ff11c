//! Decoding is strict; masks are indices.

use data::codec::{
    Mask, Paint, Rgb, decode_image, decode_mask, decode_painted, encode_jpeg, encode_mask, encode_png, voc_palette,
};

pub(crate) fn gradient(height: usize, width: usize) -> Rgb {
    let value = |i: usize| ((i / 3 % width) * 7 + (i / 3 / width) * 3 + (i % 3) * 40) as u8;
    Rgb { height, width, pixels: (0..height * width * 3).map(value).collect() }
}

/// A PNG of any kind, written as a user's tool would.
pub(crate) fn png(width: u32, height: u32, kind: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(kind);
    encoder.set_depth(depth);
    if kind == png::ColorType::Indexed {
        encoder.set_palette(voc_palette()[..1 << (depth as u8)].concat());
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

#[test]
fn a_png_comes_back_as_it_was() {
    let image = gradient(5, 7);
    assert_eq!(decode_image(&encode_png(&image)).unwrap(), image);
}

#[test]
fn a_jpeg_comes_back_nearly_as_it_was() {
    let image = Rgb { height: 17, width: 33, pixels: vec![120; 17 * 33 * 3] };
    let back = decode_image(&encode_jpeg(&image, 95)).unwrap();
    assert_eq!((back.height, back.width), (17, 33));
    assert!(back.pixels.iter().all(|&v| v.abs_diff(120) <= 2));
}

#[test]
fn grey_and_sixteen_bit_become_rgb() {
    let grey = png(2, 1, png::ColorType::Grayscale, png::BitDepth::Eight, &[9, 200]);
    assert_eq!(decode_image(&grey).unwrap().pixels, [9, 9, 9, 200, 200, 200]);
    let deep = png(1, 1, png::ColorType::Rgb, png::BitDepth::Sixteen, &[1, 0, 2, 0, 3, 0]);
    assert_eq!(decode_image(&deep).unwrap().pixels, [1, 2, 3]);
    let mut jpeg = vec![];
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95)
        .encode(&[80; 64], 8, 8, image::ExtendedColorType::L8)
        .unwrap();
    assert_eq!(decode_image(&jpeg).unwrap().pixels, [80; 192]);
}

#[test]
fn a_picture_cut_anywhere_is_refused() {
    let jpeg = encode_jpeg(&gradient(40, 56), 90);
    let png = encode_png(&gradient(40, 56));
    // The last two bytes of a JPEG end it, and are no part of the picture.
    for (whole, end) in [(jpeg, 2), (png, 0)] {
        let length = whole.len() - end;
        for keep in (0..length).step_by(length / 40).chain((1..20).map(|less| length - less)) {
            assert!(decode_image(&whole[..keep]).is_err(), "{keep} of {} bytes were accepted", whole.len());
        }
    }
}

#[test]
fn a_huge_claim_is_refused_before_anything_is_allocated() {
    let mut jpeg = encode_jpeg(&gradient(8, 8), 90);
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    let reason = decode_image(&jpeg).unwrap_err().to_string();
    assert!(reason.contains("65535 x 65535"), "{reason}");
}

#[test]
fn a_claim_is_compared_with_the_bytes_that_are_there() {
    let claim = 7000_u32;
    let mut jpeg = encode_jpeg(&gradient(8, 8), 90);
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    for side in [frame + 5, frame + 7] {
        jpeg[side..side + 2].copy_from_slice(&claim.to_be_bytes()[2..]);
    }
    let mut png = encode_png(&gradient(8, 8));
    png[16..24].copy_from_slice(&[claim.to_be_bytes(), claim.to_be_bytes()].concat());
    let checksum = crc32fast::hash(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&checksum);
    for bytes in [jpeg, png] {
        let reason = decode_image(&bytes).unwrap_err().to_string();
        assert!(reason.contains("bytes cannot hold 7000 x 7000 pixels"), "{reason}");
    }
    // A picture of one colour takes the fewest bytes that are possible.
    let blank = Rgb { height: 1000, width: 1500, pixels: vec![0; 1000 * 1500 * 3] };
    assert_eq!(decode_image(&encode_png(&blank)).unwrap(), blank);
    assert_eq!(decode_image(&encode_jpeg(&blank, 50)).unwrap().width, 1500);
    let mask = Mask { height: 1000, width: 1500, classes: vec![0; 1000 * 1500] };
    assert_eq!(decode_mask(&encode_mask(&mask)).unwrap(), mask);
}

#[test]
fn masks_are_indices_at_every_depth() {
    let mask = Mask { height: 2, width: 3, classes: vec![0, 1, 20, 255, 7, 0] };
    assert_eq!(decode_mask(&encode_mask(&mask)).unwrap(), mask);
    let four = png(3, 2, png::ColorType::Indexed, png::BitDepth::Four, &[0x12, 0x30, 0xf0, 0x10]);
    assert_eq!(decode_mask(&four).unwrap().classes, [1, 2, 3, 15, 0, 1]);
    let one = png(3, 1, png::ColorType::Indexed, png::BitDepth::One, &[0b1010_0000]);
    assert_eq!(decode_mask(&one).unwrap().classes, [1, 0, 1]);
    let grey = png(2, 1, png::ColorType::Grayscale, png::BitDepth::Eight, &[3, 255]);
    assert_eq!(decode_mask(&grey).unwrap().classes, [3, 255]);
}

#[test]
fn the_classes_of_an_rgb_mask_are_told_by_colours_alone() {
    let mask = encode_png(&Rgb { height: 1, width: 3, pixels: vec![9, 9, 9, 0, 128, 0, 9, 9, 9] });
    assert!(decode_mask(&mask).unwrap_err().to_string().starts_with("an RGB mask"));
    let painted = decode_painted(&mask).unwrap();
    assert_eq!((painted.paint, &painted.colours[..]), (Paint::Colour, &[[9; 3], [0, 128, 0]][..]));
    assert_eq!(painted.numbers.classes, [0, 1, 0]);
    let pixels = (0..300_u16).flat_map(|at| [at as u8, (at >> 8) as u8, 0]).collect();
    let photograph = decode_painted(&encode_png(&Rgb { height: 1, width: 300, pixels })).unwrap_err().to_string();
    assert!(photograph.contains("more than 256 colours"), "{photograph}");
}

#[test]
fn the_palette_is_vocs() {
    let palette = voc_palette();
    assert_eq!(palette[0], [0, 0, 0]);
    assert_eq!(palette[1], [128, 0, 0]);
    assert_eq!(palette[15], [192, 128, 128]); // person
    assert_eq!(palette[20], [0, 64, 128]); // tvmonitor
    assert_eq!(palette[255], [224, 224, 192]);
}

#[test]
fn bytes_between_the_segments_of_a_jpeg_are_passed_over() {
    let jpeg = encode_jpeg(&gradient(24, 40), 90);
    let plain = decode_image(&jpeg).unwrap();
    let end = jpeg.len() - 2;
    let with = |at: usize, junk: &[u8]| [&jpeg[..at], junk, &jpeg[at..]].concat();
    let tables = 2 + 2 + usize::from(u16::from_be_bytes([jpeg[4], jpeg[5]]));
    for (name, bytes) in [
        ("zeros before the tables", with(tables, &[0, 0])),
        ("other bytes before the tables", with(tables, b"abc")),
        ("fill bytes", with(2, &[0xff; 3])),
        ("a marker that nobody knows", with(2, &[0xff, 0x35, 0, 6, 1, 2, 3, 4])),
        ("zeros before the end", with(end, &[0; 258])),
        ("a byte before the end", with(end, &[0x7f])),
        ("bytes after the end", [&jpeg[..], &[1, 2, 3]].concat()),
        ("a second picture", [&jpeg[..], &jpeg[..]].concat()),
        ("no end", jpeg[..end].to_vec()),
        ("half an end", jpeg[..=end].to_vec()),
    ] {
        assert_eq!(decode_image(&bytes).unwrap(), plain, "{name}");
    }
}
