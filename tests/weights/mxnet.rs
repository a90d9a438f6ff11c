//! A writer of `MXNet`'s files.

/// An `MXNet` list of named arrays of 32-bit floats in the legacy layout.
pub fn mxnet(arrays: &[(String, Vec<u32>, Vec<f32>)]) -> Vec<u8> {
    let mut file = [0x112_u64, 0, arrays.len() as u64].map(u64::to_le_bytes).concat();
    for (_, shape, values) in arrays {
        let head = [&[shape.len() as u32], shape.as_slice(), &[1, 0, 0]].concat();
        file.extend(head.iter().flat_map(|word| word.to_le_bytes()));
        file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    file.extend((arrays.len() as u64).to_le_bytes());
    for (name, ..) in arrays {
        file.extend((name.len() as u64).to_le_bytes());
        file.extend(name.as_bytes());
    }
    file
}
