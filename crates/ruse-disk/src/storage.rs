//! What an image lies in: a host file, or memory.

use std::io;
use std::path::{Path, PathBuf};

use crate::Stamp;

/// Bytes that an image format is laid out in.
pub trait Storage: Send {
    /// What to call it in messages.
    fn path(&self) -> &Path;

    /// Its length in bytes.
    ///
    /// # Errors
    /// What the host says.
    fn len(&mut self) -> io::Result<u64>;

    /// Whether it holds nothing.
    ///
    /// # Errors
    /// What the host says.
    fn is_empty(&mut self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `out` from `offset` on, and says how far: less than all of it
    /// only at the end.
    ///
    /// # Errors
    /// What the host says.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize>;

    /// Stores all of `bytes` at `offset`, growing if need be; what is between
    /// the old end and `offset` reads as zeroes.
    ///
    /// # Errors
    /// What the host says; some of the bytes may have been stored.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts it off, or grows it with zeroes.
    ///
    /// # Errors
    /// What the host says.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Returns once everything written so far would survive a power failure.
    ///
    /// # Errors
    /// What the host says.
    fn sync(&mut self) -> io::Result<()>;

    /// Gives the range back to the host, which makes it read as zeroes. False
    /// where that cannot be done.
    ///
    /// # Errors
    /// What the host says.
    fn punch(&mut self, offset: u64, len: u64) -> io::Result<bool>;

    /// From where on, at `offset` or after it, there may be something other
    /// than zeroes, and where that ends. `None`: nothing but zeroes up to the
    /// end.
    ///
    /// # Errors
    /// What the host says.
    fn next_data(&mut self, offset: u64) -> io::Result<Option<(u64, u64)>> {
        let len = self.len()?;
        Ok((offset < len).then_some((offset, len)))
    }

    /// Itself as it is now; `None` for what is gone with this process.
    ///
    /// # Errors
    /// What the host says.
    fn stamp(&mut self) -> io::Result<Option<Stamp>> {
        Ok(None)
    }

    /// The bytes that it takes up on the host, where that is known.
    fn held(&self) -> Option<u64> {
        None
    }
}

/// Storage in memory, gone with the process.
pub struct MemoryStorage {
    path: PathBuf,
    bytes: Vec<u8>,
    limit: usize,
}

impl MemoryStorage {
    /// Storage that holds `bytes`, and has room for `limit` of them.
    pub fn new(bytes: Vec<u8>, limit: usize) -> Self {
        Self {
            path: "memory".into(),
            bytes,
            limit,
        }
    }

    /// What it holds.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Storage for MemoryStorage {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&mut self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.bytes.get(from..).unwrap_or_default();
        let n = rest.len().min(out.len());
        out[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.bytes.len() as u64 {
            self.set_len(end)?;
        }
        self.bytes[offset as usize..end as usize].copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        if len > self.limit as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.resize(len as usize, 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn punch(&mut self, offset: u64, len: u64) -> io::Result<bool> {
        let size = self.bytes.len() as u64;
        let end = offset.saturating_add(len).min(size);
        if offset < end {
            self.bytes[offset as usize..end as usize].fill(0);
        }
        Ok(true)
    }
}
