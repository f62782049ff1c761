//! A disk in memory, gone with the process.

use crate::{Disk, DiskError, SECTOR, check_range};

/// A disk whose sectors are host memory.
pub struct MemoryDisk {
    bytes: Vec<u8>,
    read_only: bool,
    flushes: u64,
}

impl MemoryDisk {
    /// A zeroed disk of `sectors` sectors.
    pub fn new(sectors: u64) -> Self {
        Self::from_bytes(vec![0; (sectors * SECTOR) as usize])
    }

    /// A disk that holds `bytes`, filled up with zeroes to a whole sector.
    pub fn from_bytes(mut bytes: Vec<u8>) -> Self {
        bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
        Self {
            bytes,
            read_only: false,
            flushes: 0,
        }
    }

    /// The same disk, refusing writes.
    #[must_use]
    pub fn into_read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How often it was flushed.
    pub fn flushes(&self) -> u64 {
        self.flushes
    }

    fn writable(&mut self, offset: u64, len: u64) -> Result<&mut [u8], DiskError> {
        if self.read_only {
            return Err(DiskError::ReadOnly {
                name: self.id().into(),
                offset,
            });
        }
        check_range(|| self.id().into(), self.size(), offset, len)?;
        Ok(&mut self.bytes[offset as usize..][..len as usize])
    }
}

impl Disk for MemoryDisk {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn id(&self) -> &str {
        "memory"
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), DiskError> {
        check_range(|| self.id().into(), self.size(), offset, out.len() as u64)?;
        out.copy_from_slice(&self.bytes[offset as usize..][..out.len()]);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.writable(offset, bytes.len() as u64)?
            .copy_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.flushes += 1;
        Ok(())
    }

    fn discard(&mut self, offset: u64, len: u64) -> Result<(), DiskError> {
        // Zeroes are one of the things that discarded bytes may read as.
        self.write_zeroes(offset, len, true)
    }

    fn volatile(&self) -> bool {
        !self.read_only
    }

    fn revert(&mut self) -> Result<(), DiskError> {
        if !self.read_only {
            self.bytes.fill(0);
        }
        Ok(())
    }

    fn write_zeroes(&mut self, offset: u64, len: u64, _: bool) -> Result<(), DiskError> {
        self.writable(offset, len)?.fill(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_written_and_guards_its_ends() {
        let mut disk = MemoryDisk::from_bytes(vec![7; 700]);
        assert_eq!(disk.size(), 1024);
        disk.write_at(1000, &[1; 24]).unwrap();
        disk.write_zeroes(0, 8, false).unwrap();
        let mut out = [9; 16];
        disk.read_at(0, &mut out).unwrap();
        assert_eq!(out, [0, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7]);
        assert_eq!(disk.bytes()[999..1001], [0, 1]);
        for (offset, len) in [(1001, 24), (u64::MAX, 2), (1024, 1)] {
            let mut out = vec![0; len];
            assert!(disk.read_at(offset, &mut out).is_err());
            assert!(disk.write_at(offset, &out).is_err());
            assert!(disk.discard(offset, len as u64).is_err());
        }
        let mut disk = disk.into_read_only();
        assert!(matches!(
            disk.write_at(0, &[1]),
            Err(DiskError::ReadOnly { offset: 0, .. })
        ));
        assert!(disk.write_zeroes(0, 1, true).is_err());
        disk.flush().unwrap();
        assert_eq!(disk.flushes(), 1);
    }
}
