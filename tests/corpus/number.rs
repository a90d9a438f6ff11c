//! Numbers without a clock: file 17 of a kind is the same file on every machine.

/// The sequence that a name and a number begin (FNV-1a, then splitmix64).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(name: &str, number: usize) -> Self {
        let fnv = |h: u64, byte: u8| (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        let start = name.bytes().fold(0xCBF2_9CE4_8422_2325, fnv);
        Self(start ^ (number as u64).wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `end - 1`; 0 of nothing.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() % (end.max(1) as u64)) as usize
    }

    pub fn byte(&mut self) -> u8 {
        self.draw() as u8
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let index = self.below(from.len());
        from.get(index)
    }
}
