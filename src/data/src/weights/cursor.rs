//! A position in a file's bytes: every read is checked against what the file holds, and none copies.

/// What a reader says of a file that is not what it should be.
pub type Result<T, E = String> = std::result::Result<T, E>;

/// Reads little-endian numbers and runs of bytes, one after the other.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Starts at byte `at`, which may lie past the end: then nothing can be read.
    pub const fn starting(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// The next byte's place in the file.
    pub const fn at(&self) -> usize {
        self.at
    }

    pub const fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// The next `count` bytes, which hold `what`.
    pub fn take(&mut self, count: u64, what: &str) -> Result<&'a [u8]> {
        let remaining = self.remaining();
        let Some(count) = usize::try_from(count).ok().filter(|count| *count <= remaining) else {
            return Err(format!("{what} at byte {} takes {count} bytes, but {remaining} are left", self.at));
        };
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    /// The bytes up to the next line feed, without it.
    pub fn line(&mut self, what: &str) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| format!("{what} at byte {} does not end", self.at))?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let taken = self.take(N as u64, what)?;
        Ok(taken.try_into().expect("take gives as many bytes as asked for"))
    }

    pub fn u8(&mut self, what: &str) -> Result<u8> {
        self.array(what).map(u8::from_le_bytes)
    }

    pub fn u16(&mut self, what: &str) -> Result<u16> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub fn u32(&mut self, what: &str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub fn i32(&mut self, what: &str) -> Result<i32> {
        self.array(what).map(i32::from_le_bytes)
    }

    pub fn u64(&mut self, what: &str) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }
}

/// `bytes` as text; `what` names them if they are not.
pub fn text<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|why| format!("{what} is no UTF-8 text ({why})"))
}
