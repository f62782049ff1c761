//! What is told of a file.

use crate::encode::Encoder;
use crate::message::{STATS_BASIC, mode};

/// What stat(2) says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) mode: u32,
    pub(crate) nlink: u64,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) rdev: u64,
    pub(crate) size: u64,
    pub(crate) blksize: u64,
    pub(crate) blocks: u64,
    /// Seconds and nanoseconds.
    pub(crate) atime: (i64, u32),
    pub(crate) mtime: (i64, u32),
    pub(crate) ctime: (i64, u32),
}

impl Stat {
    pub(crate) fn kind(&self) -> u32 {
        self.mode & mode::KIND
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.kind() == mode::DIR
    }

    /// The body of an `Rgetattr`.
    pub(crate) fn encode(&self, qid: &Qid, out: &mut Encoder<'_>) {
        out.u64(STATS_BASIC);
        out.qid(qid);
        out.u32(self.mode);
        out.u32(self.uid);
        out.u32(self.gid);
        for value in [self.nlink, self.rdev, self.size, self.blksize, self.blocks] {
            out.u64(value);
        }
        for (seconds, nanos) in [self.atime, self.mtime, self.ctime] {
            out.u64(seconds as u64);
            out.u64(nanos.into());
        }
        // Birth, generation, version of the data: not told.
        for _ in 0..4 {
            out.u64(0);
        }
    }
}

/// What tells a file from all others, and one state of it from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Qid {
    pub(crate) kind: u8,
    pub(crate) version: u32,
    pub(crate) path: u64,
}

impl Qid {
    /// That of a file in a tree whose root is on device `dev`.
    pub(crate) fn new(stat: &Stat, dev: u64) -> Self {
        let (seconds, nanos) = stat.mtime;
        let state = (seconds as u64)
            .wrapping_mul(1_000_000_000)
            .wrapping_add(nanos.into())
            .wrapping_mul(31)
            .wrapping_add(stat.size);
        Self {
            kind: kind(stat.mode),
            // Zero says that it must not be cached.
            version: (state ^ state >> 32) as u32 | 1,
            path: path(stat.ino, stat.dev, dev),
        }
    }

    /// That of an entry of a directory, of which less is known.
    pub(crate) fn of_entry(ino: u64, mode: u32) -> Self {
        Self {
            kind: kind(mode),
            version: 0,
            path: ino,
        }
    }
}

/// The type in a qid: directory, link, or neither.
fn kind(mode: u32) -> u8 {
    match mode & mode::KIND {
        mode::DIR => 0x80,
        mode::LINK => 0x02,
        _ => 0,
    }
}

/// One number of a device's and a file's, which are unique together only.
fn path(ino: u64, dev: u64, root_dev: u64) -> u64 {
    // The golden ratio scatters devices over all 64 bits.
    ino ^ (dev ^ root_dev).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
