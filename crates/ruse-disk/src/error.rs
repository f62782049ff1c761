//! Why a disk could not be opened or used.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// What went wrong, with which file, and where in it.
#[derive(Debug, Error)]
pub enum DiskError {
    /// The file could not be opened.
    #[error("disk image {}: cannot open it{}: {source}", path.display(), if *writable { " for writing" } else { "" })]
    Open {
        /// The file.
        path: PathBuf,
        /// Whether it was to be written to.
        writable: bool,
        /// What the host said.
        source: io::Error,
    },
    /// The file could not be made.
    #[error("disk image {}: cannot create {size} bytes: {source}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The size it was to have.
        size: u64,
        /// What the host said.
        source: io::Error,
    },
    /// It is a directory, a socket or the like.
    #[error("disk image {}: not a regular file or block device", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// The size is not that of a disk.
    #[error(
        "disk image {}: its size of {size} bytes is {}", path.display(),
        if *size == 0 { "no disk at all" } else { "not a multiple of 512; is it a raw image?" }
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
    },
    /// Somebody else uses the file.
    #[error(
        "disk image {}: in use by another machine{}", path.display(),
        if *writable { "" } else { " that writes to it" }
    )]
    InUse {
        /// The file.
        path: PathBuf,
        /// Whether it was to be written to.
        writable: bool,
    },
    /// A write to a read-only disk.
    #[error("disk {name}: write at {offset:#x}, but it is read-only")]
    ReadOnly {
        /// The disk.
        name: String,
        /// Where, in bytes.
        offset: u64,
    },
    /// An access past the end.
    #[error("disk {name}: {len} bytes at {offset:#x} lie outside its {size} bytes")]
    Range {
        /// The disk.
        name: String,
        /// Where, in bytes.
        offset: u64,
        /// How much.
        len: u64,
        /// The disk's size.
        size: u64,
    },
    /// The host failed.
    #[error("disk image {}: cannot {what} at {offset:#x}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: `read`, `write`, `flush`.
        what: &'static str,
        /// Where, in bytes.
        offset: u64,
        /// What the host said.
        source: io::Error,
    },
    /// The file is not what it was taken for.
    #[error("disk image {}: not a usable {format} image: {problem} (at {offset:#x})", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it was taken for.
        format: &'static str,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong there.
        problem: String,
    },
    /// The image needs something that is not here.
    #[error("disk image {}: {feature}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it needs, and what to do.
        feature: String,
    },
    /// The image's own tables contradict each other.
    #[error(
        "disk image {}: damaged at {offset:#x}: {problem}; see `ruse disk check`", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong there.
        problem: String,
    },
    /// The file may be of either format, and the guest may have had a hand in
    /// that.
    #[error(
        "disk image {}: its contents look like qcow2 and its name does not; add `,format=qcow2`, \
         or `,format=raw` if a guest wrote them", path.display()
    )]
    Ambiguous {
        /// The file.
        path: PathBuf,
    },
    /// Something is wrong with the file under an overlay.
    #[error("disk image {}: its backing file cannot be used: {source}", path.display())]
    Backing {
        /// The overlay.
        path: PathBuf,
        /// What is wrong.
        source: Box<DiskError>,
    },
    /// An operation that makes no sense for the image.
    #[error("disk image {}: {problem}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        problem: String,
    },
}

impl DiskError {
    /// Whether it is for want of room on the host: the same may succeed later.
    /// What failed so has changed at most the range that it was to write.
    pub fn is_no_room(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }
}
