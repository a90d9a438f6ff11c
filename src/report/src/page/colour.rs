//! Colours as CSS writes them. Classes have the colours of the codec's palette, which is VOC's.

/// A colour as CSS writes it.
pub(super) fn css([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}
