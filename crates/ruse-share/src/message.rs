//! Numbers of the protocol (Linux `include/net/9p/9p.h`).

/// Of every message: length, type and tag.
pub(crate) const HEADER: usize = 7;
/// Where a message has none.
pub(crate) const NO_TAG: u16 = 0xffff;
/// In place of a fid: none.
pub(crate) const NO_FID: u32 = 0xffff_ffff;
/// The most names of one walk.
pub(crate) const MAX_WALK: u16 = 16;

/// The reply to each of these is one more.
pub(crate) const TSTATFS: u8 = 8;
pub(crate) const RLERROR: u8 = 7;
pub(crate) const TLOPEN: u8 = 12;
pub(crate) const TLCREATE: u8 = 14;
pub(crate) const TSYMLINK: u8 = 16;
pub(crate) const TMKNOD: u8 = 18;
pub(crate) const TRENAME: u8 = 20;
pub(crate) const TREADLINK: u8 = 22;
pub(crate) const TGETATTR: u8 = 24;
pub(crate) const TSETATTR: u8 = 26;
pub(crate) const TXATTRWALK: u8 = 30;
pub(crate) const TXATTRCREATE: u8 = 32;
pub(crate) const TREADDIR: u8 = 40;
pub(crate) const TFSYNC: u8 = 50;
pub(crate) const TLOCK: u8 = 52;
pub(crate) const TGETLOCK: u8 = 54;
pub(crate) const TLINK: u8 = 70;
pub(crate) const TMKDIR: u8 = 72;
pub(crate) const TRENAMEAT: u8 = 74;
pub(crate) const TUNLINKAT: u8 = 76;
pub(crate) const TVERSION: u8 = 100;
pub(crate) const TAUTH: u8 = 102;
pub(crate) const TATTACH: u8 = 104;
pub(crate) const TFLUSH: u8 = 108;
pub(crate) const TWALK: u8 = 110;
pub(crate) const TREAD: u8 = 116;
pub(crate) const TWRITE: u8 = 118;
pub(crate) const TCLUNK: u8 = 120;
pub(crate) const TREMOVE: u8 = 122;

/// Flags of opening: those of Linux's open(2) on most architectures.
pub(crate) mod open {
    pub(crate) const ACCESS: u32 = 3;
    pub(crate) const READ_ONLY: u32 = 0;
    pub(crate) const WRITE_ONLY: u32 = 1;
    pub(crate) const READ_WRITE: u32 = 2;
    pub(crate) const EXCL: u32 = 0o200;
    pub(crate) const TRUNC: u32 = 0o1000;
    pub(crate) const DIRECTORY: u32 = 0o20_0000;
}

/// What a `Tsetattr` sets.
pub(crate) mod set {
    pub(crate) const MODE: u32 = 1;
    pub(crate) const UID: u32 = 2;
    pub(crate) const GID: u32 = 4;
    pub(crate) const SIZE: u32 = 8;
    pub(crate) const ATIME: u32 = 0x10;
    pub(crate) const MTIME: u32 = 0x20;
    pub(crate) const ATIME_SET: u32 = 0x80;
    pub(crate) const MTIME_SET: u32 = 0x100;
}

/// What an `Rgetattr` tells: all that stat(2) does.
pub(crate) const STATS_BASIC: u64 = 0x7ff;
/// Of `Tunlinkat`.
pub(crate) const REMOVE_DIR: u32 = 0x200;
/// Of a lock that is not there.
pub(crate) const UNLOCKED: u8 = 2;
/// Of `Tlock`: it may wait, and it is an old lock taken back.
pub(crate) const LOCK_FLAGS: u32 = 3;
/// What Linux calls the file system in statfs(2).
pub(crate) const MAGIC: u32 = 0x0102_1997;

/// Bits of a file's mode.
pub(crate) mod mode {
    pub(crate) const KIND: u32 = 0o17_0000;
    pub(crate) const FIFO: u32 = 0o1_0000;
    pub(crate) const DIR: u32 = 0o4_0000;
    pub(crate) const FILE: u32 = 0o10_0000;
    pub(crate) const LINK: u32 = 0o12_0000;
    pub(crate) const SOCKET: u32 = 0o14_0000;
}
