//! Files that are a row of blocks, each with its length and a checksum in front.

use std::io::{self, Read};

/// What is wrong with a block.
pub(crate) enum Flaw {
    Io(io::Error),
    Is(&'static str),
}

/// A block.
pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + bytes.len());
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(crc32fast::hash(bytes).to_le_bytes());
    out.extend(bytes);
    out
}

/// Reads a block; `None` at the end, or where it was cut off.
pub(crate) fn unpack(input: &mut dyn Read, longest: u32) -> Result<Option<Vec<u8>>, Flaw> {
    let mut head = [0; 8];
    if !fill(input, &mut head)? {
        return Ok(None);
    }
    let [a, b, c, d, e, f, g, h] = head;
    let len = u32::from_le_bytes([a, b, c, d]);
    if len > longest {
        return Err(Flaw::Is("a length that cannot be"));
    }
    let mut bytes = Vec::new();
    // What is not there takes no memory.
    let read = input.take(len.into()).read_to_end(&mut bytes);
    if read.map_err(Flaw::Io)? < len as usize {
        return Ok(None);
    }
    match crc32fast::hash(&bytes) == u32::from_le_bytes([e, f, g, h]) {
        true => Ok(Some(bytes)),
        false => Err(Flaw::Is("the checksum is wrong")),
    }
}

/// Reads exactly as much; false if there is less.
pub(crate) fn fill(input: &mut dyn Read, bytes: &mut [u8]) -> Result<bool, Flaw> {
    match input.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(Flaw::Io(error)),
    }
}
