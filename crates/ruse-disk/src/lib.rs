//! What the guest takes for an SSD: host files behind block devices.
//!
//! [`Disk`] is what a block device asks of its medium. [`RawDisk`] keeps the
//! sectors in a host file, one after the other; [`MemoryDisk`] keeps them in
//! memory.
//!
//! What survives what: once `write_at` returned, the bytes are the host
//! kernel's and outlive the death of this process, `kill -9` included; once
//! `flush` returned after that, they outlive a power failure. Nothing is
//! cached here.
//!
//! ```
//! use ruse_disk::{Disk, RawDisk, create_sparse};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("disk.img");
//! create_sparse(&path, 64 << 30)?; // takes no space yet
//! let mut disk = RawDisk::open(&path, false)?;
//! disk.write_at(512, b"second sector")?;
//! disk.flush()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod memory;
#[cfg(any(unix, windows))]
mod raw;

pub use error::DiskError;
pub use memory::MemoryDisk;
#[cfg(any(unix, windows))]
pub use raw::{RawDisk, create_sparse};

/// The unit that a disk's size is a multiple of, in bytes.
pub const SECTOR: u64 = 512;

/// A medium of fixed size. Offsets and lengths are in bytes and need no
/// alignment; a range that leaves the disk is [`DiskError::Range`].
pub trait Disk: Send {
    /// The size in bytes, a multiple of [`SECTOR`].
    fn size(&self) -> u64;

    /// Whether writes are refused.
    fn read_only(&self) -> bool;

    /// What the guest sees as the serial number: at most 20 bytes of ASCII.
    fn id(&self) -> &str;

    /// Fills `out` from `offset` on.
    ///
    /// # Errors
    /// [`DiskError`] out of range, or when the host fails.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), DiskError>;

    /// Stores `bytes` at `offset`.
    ///
    /// # Errors
    /// [`DiskError`] when read-only, out of range, or when the host fails.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Returns once everything written so far would survive a power failure.
    ///
    /// # Errors
    /// [`DiskError`] when the host fails.
    fn flush(&mut self) -> Result<(), DiskError>;

    /// The guest no longer needs `len` bytes at `offset`: they may read as
    /// anything from now on, and the host may have their space back.
    ///
    /// # Errors
    /// [`DiskError`] when read-only, out of range, or when the host fails.
    fn discard(&mut self, offset: u64, len: u64) -> Result<(), DiskError>;

    /// Makes `len` bytes at `offset` zero. With `may_unmap` the host may have
    /// their space back.
    ///
    /// # Errors
    /// [`DiskError`] when read-only, out of range, or when the host fails.
    fn write_zeroes(&mut self, offset: u64, len: u64, may_unmap: bool) -> Result<(), DiskError>;
}

/// Checks that `len` bytes at `offset` lie inside a disk of `size` bytes.
fn check_range(
    name: impl FnOnce() -> String,
    size: u64,
    offset: u64,
    len: u64,
) -> Result<(), DiskError> {
    match offset.checked_add(len) {
        Some(end) if end <= size => Ok(()),
        _ => Err(DiskError::Range {
            name: name(),
            offset,
            len,
            size,
        }),
    }
}
