//! Putting a reply together, in a buffer that may be too small.

use crate::errno::Errno;
use crate::message::{HEADER, RLERROR};
use crate::stat::Qid;

/// A reply, from its body on. What does not fit makes it useless.
pub(crate) struct Encoder<'a> {
    out: &'a mut [u8],
    len: usize,
    full: bool,
}

impl<'a> Encoder<'a> {
    /// A reply of at most as many bytes as `out` has: more than a header's.
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        Self {
            full: out.len() < HEADER,
            out,
            len: HEADER,
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        match self.out.get_mut(self.len..self.len + bytes.len()) {
            Some(out) => {
                out.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.full = true,
        }
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn string(&mut self, bytes: &[u8]) {
        match u16::try_from(bytes.len()) {
            Ok(len) => {
                self.u16(len);
                self.bytes(bytes);
            }
            Err(_) => self.full = true,
        }
    }

    pub(crate) fn qid(&mut self, qid: &Qid) {
        self.u8(qid.kind);
        self.u32(qid.version);
        self.u64(qid.path);
    }

    /// How many bytes still fit.
    pub(crate) fn room(&self) -> usize {
        self.out.len().saturating_sub(self.len)
    }

    /// Has `fill` write a count and then that many bytes, at most `most`: it
    /// says how many they were.
    pub(crate) fn counted(
        &mut self,
        most: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<(), Errno> {
        let start = self.len;
        self.u32(0);
        let most = most.min(self.room());
        let len = fill(&mut self.out[self.len..self.len + most])?.min(most);
        if !self.full {
            self.out[start..self.len].copy_from_slice(&(len as u32).to_le_bytes());
            self.len += len;
        }
        Ok(())
    }

    /// Adds the header and says how long the reply is.
    pub(crate) fn finish(mut self, kind: u8, tag: u16, result: Result<(), Errno>) -> usize {
        let result = match self.full {
            true => result.and(Err(Errno::EMSGSIZE)),
            false => result,
        };
        let kind = match result {
            Ok(()) => kind,
            Err(Errno(number)) => {
                (self.len, self.full) = (HEADER, false);
                self.u32(number);
                if self.full {
                    // Not even an error fits.
                    return 0;
                }
                RLERROR
            }
        };
        self.out[..4].copy_from_slice(&(self.len as u32).to_le_bytes());
        self.out[4] = kind;
        self.out[5..HEADER].copy_from_slice(&tag.to_le_bytes());
        self.len
    }
}
