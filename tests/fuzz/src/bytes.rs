//! Decisions, read from the bytes that a fuzzer gives.

/// Bytes to take values from. Where they end, all is zero.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `len` bytes, or what is left of them.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    fn number(&mut self, len: usize) -> u64 {
        let bytes = self.take(len);
        bytes
            .iter()
            .rev()
            .fold(0, |n, &byte| n << 8 | u64::from(byte))
    }

    /// A byte.
    pub fn u8(&mut self) -> u8 {
        self.number(1) as u8
    }

    /// Two bytes, the low one first.
    pub fn u16(&mut self) -> u16 {
        self.number(2) as u16
    }

    /// Four bytes, the lowest first.
    pub fn u32(&mut self) -> u32 {
        self.number(4) as u32
    }

    /// Eight bytes, the lowest first.
    pub fn u64(&mut self) -> u64 {
        self.number(8)
    }

    /// A number that is small more often than not, or near the ends of its
    /// range, as lengths and addresses that go wrong are.
    pub fn odd(&mut self) -> u64 {
        match self.u8() {
            0xf0..=0xf7 => self.u64(),
            0xf8 => u64::MAX - u64::from(self.u8()),
            0xf9 => (1 << 63) - 1 + u64::from(self.u8()),
            0xfa => (1 << 32) - 128 + u64::from(self.u8()),
            0xfb => (1 << 31) - 128 + u64::from(self.u8()),
            0xfc..=0xff => self.u32().into(),
            small => small.into(),
        }
    }
}
