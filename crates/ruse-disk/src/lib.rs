//! What the guest takes for an SSD: host files behind block devices.
//!
//! [`Disk`] is what a block device asks of its medium. [`RawDisk`] keeps the
//! sectors in a host file, one after the other; [`Qcow2`] keeps them in a file
//! that grows as it is written to, or differs from another one; [`MemoryDisk`]
//! keeps them in memory. [`open`] opens any of them as a [`DiskSpec`] says.
//!
//! What survives what, in raw images (for the others see [`qcow2`]): once `write_at` returned, the bytes are the host
//! kernel's and outlive the death of this process, `kill -9` included; once
//! `flush` returned after that, they outlive a power failure.
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
#[cfg(any(unix, windows))]
mod file;
mod memory;
#[cfg(any(unix, windows))]
mod open;
pub mod qcow2;
#[cfg(any(unix, windows))]
mod raw;
mod spec;
mod storage;
mod watch;

pub use error::DiskError;
#[cfg(any(unix, windows))]
pub use file::FileStorage;
pub use memory::MemoryDisk;
#[cfg(any(unix, windows))]
pub use open::{backing_spec, create, create_overlay, format_of, open, overlay_path};
pub use qcow2::Qcow2;
#[cfg(any(unix, windows))]
pub use raw::{RawDisk, create_sparse};
pub use spec::{DiskSpec, Format, Layer, SpecError};
pub use storage::{MemoryStorage, Storage};

use ruse_event::Tap;
use serde::{Deserialize, Serialize};

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

    /// What is known about the bytes from `offset` on without reading them.
    ///
    /// # Errors
    /// [`DiskError`] out of range, or when the host fails.
    fn extent(&mut self, offset: u64) -> Result<Extent, DiskError> {
        check_range(|| self.id().into(), self.size(), offset, 1)?;
        Ok(Extent {
            len: self.size() - offset,
            zero: false,
            own: true,
        })
    }

    /// Whether what was written to it is gone with this process. What lies beneath is
    /// not: see [`Extent::own`].
    fn volatile(&self) -> bool {
        false
    }

    /// Forgets what was written to a disk that is [`volatile`](Self::volatile): it reads
    /// as what lies beneath then, or as zeroes.
    ///
    /// # Errors
    /// [`DiskError`] when the host fails.
    fn revert(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    /// What tells whether the files that it is kept in have been changed since.
    ///
    /// # Errors
    /// [`DiskError`] when the host fails.
    fn stamps(&mut self) -> Result<Vec<Stamp>, DiskError> {
        Ok(Vec::new())
    }

    /// From now on tells `tap` where in the image requests end up.
    fn watch(&mut self, _tap: Tap) {}

    /// The bytes that the disk takes up on the host, where that is known.
    fn held(&self) -> Option<u64> {
        None
    }
}

/// A piece of a disk of which one thing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// How long it is, at least 1.
    pub len: u64,
    /// It reads as zeroes. Otherwise it may or may not.
    pub zero: bool,
    /// It is in the image itself and not in one beneath.
    pub own: bool,
}

/// A file at some time. Whoever writes to it changes this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Its path, for people.
    pub path: String,
    /// Its length in bytes.
    pub len: u64,
    /// When it was last written to: seconds and nanoseconds since 1970.
    pub modified: (u64, u32),
}

/// What a disk calls itself after its file: at most 20 printable characters.
fn id_of(path: &std::path::Path) -> String {
    let name = path
        .file_name()
        .map_or_else(|| "disk".into(), |name| name.to_string_lossy());
    name.chars()
        .filter(char::is_ascii_graphic)
        .take(20)
        .collect()
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
