//! What can be wrong with a machine, and with what it is to load.

use std::io;
use std::path::PathBuf;

use ruse_bus::{MapError, RamError};
use thiserror::Error;

use crate::journal::JournalError;
use crate::snapshot::SnapshotError;

/// Why a machine could not be built or could not go on.
#[derive(Debug, Error)]
pub enum MachineError {
    /// RAM.
    #[error(transparent)]
    Ram(#[from] RamError),
    /// Something did not fit into the address map.
    #[error(transparent)]
    Map(#[from] MapError),
    /// A program or kernel.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A number of harts that the board does not take.
    #[error("{harts} harts: this board takes 1 to {max}")]
    Harts {
        /// As configured.
        harts: usize,
        /// The most there can be.
        max: usize,
    },
    /// An RV32 guest reaches no more than 4 GiB.
    #[error("{size:#x} bytes of RAM: a 32-bit guest reaches at most {max:#x}")]
    MemoryFor32 {
        /// As configured.
        size: u64,
        /// The most there can be.
        max: u64,
    },
    /// More devices than slots.
    #[error("{wanted} virtio devices, disks included: this board has {slots} slots")]
    Slots {
        /// How many there are to place.
        wanted: usize,
        /// How many places there are.
        slots: usize,
    },
    /// The host gives no thread for a device to work on, or for a hart.
    #[error("the host gives no more threads: {0}")]
    Thread(io::Error),
    /// The device tree could not be written.
    #[error("device tree: {0}")]
    DeviceTree(String),
    /// A recording.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A snapshot, or a checkpoint.
    #[error(transparent)]
    Snapshot(Box<SnapshotError>),
    /// Every hart waits, and nothing is left that could wake one.
    #[error(
        "the guest waits for ever: no interrupt is pending, no timer is set, and input has ended"
    )]
    WaitsForEver,
    /// A hart traps at its own trap handler.
    #[error(
        "hart {hart} cannot go on: its trap handler at {pc:#x} itself raises {cause} (value {tval:#x})"
    )]
    Lockup {
        /// The hart.
        hart: u64,
        /// Its trap handler.
        pc: u64,
        /// The exception.
        cause: String,
        /// What `mtval` would hold.
        tval: u64,
    },
}

/// Why an image is not what it should be, or has no place.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("{}: cannot read it: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("{name}: it is empty")]
    Empty {
        /// The image.
        name: String,
    },
    /// More than the guest could hold.
    #[error("{name}: more than the {limit:#x} bytes of guest RAM; give the guest more memory")]
    TooLarge {
        /// The image.
        name: String,
        /// The most there may be.
        limit: u64,
    },
    /// No or not the right kind of ELF file.
    #[error("{name}: {reason}")]
    Elf {
        /// The image.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A segment's bytes lie outside the file.
    #[error(
        "{name}: truncated: segment {index} wants {size:#x} bytes at file offset {offset:#x}, the file has {len:#x}; fetch it again"
    )]
    Truncated {
        /// The image.
        name: String,
        /// Program header number.
        index: usize,
        /// File offset.
        offset: u64,
        /// Bytes wanted.
        size: u64,
        /// Bytes there.
        len: u64,
    },
    /// Something lies outside RAM.
    #[error(
        "{name}: {what} of {size:#x} bytes at {at:#x} is outside RAM ({ram:#x} to {end:#x}); {hint}"
    )]
    Outside {
        /// The image.
        name: String,
        /// What part of it.
        what: String,
        /// Where it wants to be.
        at: u64,
        /// Its size.
        size: u64,
        /// Start of RAM.
        ram: u64,
        /// End of RAM.
        end: u64,
        /// What to do.
        hint: &'static str,
    },
    /// Two things want the same memory.
    #[error(
        "{name}: {what} of {size:#x} bytes at {at:#x} overlaps {other} at {other_at:#x} ({other_size:#x} bytes)"
    )]
    Overlap {
        /// The image.
        name: String,
        /// What part of it.
        what: String,
        /// Where it wants to be.
        at: u64,
        /// Its size.
        size: u64,
        /// What is there.
        other: String,
        /// Where that is.
        other_at: u64,
        /// Its size.
        other_size: u64,
    },
    /// No free place is large enough.
    #[error("{name}: no room for {size:#x} bytes in RAM; give the guest more memory")]
    NoRoom {
        /// The image.
        name: String,
        /// Its size.
        size: u64,
    },
    /// Compressed data that does not unpack.
    #[error("{name}: gzip data at offset {offset:#x} does not unpack: {source}; fetch it again")]
    Gzip {
        /// The image.
        name: String,
        /// Where the data starts in the file.
        offset: u64,
        /// What is wrong.
        source: io::Error,
    },
    /// A kernel in a form that this loader does not take.
    #[error("{name}: {reason}")]
    Kernel {
        /// The image.
        name: String,
        /// What is wrong, and what to do.
        reason: String,
    },
}
