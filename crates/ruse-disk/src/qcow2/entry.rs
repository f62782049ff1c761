//! L2 entries ("Cluster mapping", "Extended L2 Entries").

use super::header::Header;

/// Where the cluster is.
pub const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The cluster belongs to this table alone.
pub const COPIED: u64 = 1 << 63;
/// The rest is of another format.
pub const COMPRESSED: u64 = 1 << 62;
/// The cluster reads as zeroes.
pub const ZERO: u64 = 1;
/// All parts of a cluster are there.
pub const ALL_PARTS: u64 = 0xffff_ffff;

/// An L2 entry; `parts` is 0 unless entries are extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The descriptor, with its flags.
    pub word: u64,
    /// Of each of 32 parts, whether it is there, and above that whether it
    /// reads as zeroes.
    pub parts: u64,
}

/// What a cluster, or a part of one, reads as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is beneath.
    Absent,
    /// Zeroes.
    Zero,
    /// Bytes of the file.
    Data,
    /// Bytes that must be decompressed.
    Compressed,
}

impl Entry {
    /// Nothing is known of the cluster.
    pub const ABSENT: Self = Self { word: 0, parts: 0 };

    /// A cluster of data of its own at `at`.
    pub fn data(at: u64, header: &Header) -> Self {
        Self {
            word: at | COPIED,
            parts: if header.extended() { ALL_PARTS } else { 0 },
        }
    }

    /// Zeroes, with the cluster at `at` kept for later if it is not 0.
    pub fn zero(at: u64, header: &Header) -> Self {
        let at = if at == 0 { 0 } else { at | COPIED };
        if header.extended() {
            Self {
                word: at,
                parts: ALL_PARTS << 32,
            }
        } else {
            Self {
                word: at | ZERO,
                parts: 0,
            }
        }
    }

    /// The place of a cluster that is not compressed; 0 if there is none.
    pub fn host(self) -> u64 {
        if self.word & COMPRESSED == 0 {
            self.word & OFFSET
        } else {
            0
        }
    }

    /// Whether a cluster of the file is this entry's alone.
    pub fn is_own(self) -> bool {
        self.word & COPIED != 0 && self.host() != 0
    }

    /// What part `part` of 32 reads as. `None` makes no sense.
    pub fn kind(self, part: u32, header: &Header) -> Option<Kind> {
        if self.word & COMPRESSED != 0 {
            return Some(Kind::Compressed);
        }
        let placed = self.host() != 0;
        if header.extended() {
            let bits = (self.parts >> part & 1, self.parts >> (part + 32) & 1);
            match bits {
                (0, 0) => Some(Kind::Absent),
                (0, _) => Some(Kind::Zero),
                (_, 0) if placed => Some(Kind::Data),
                _ => None,
            }
        } else if header.version >= 3 && self.word & ZERO != 0 {
            Some(Kind::Zero)
        } else if placed {
            Some(Kind::Data)
        } else {
            Some(Kind::Absent)
        }
    }

    /// Where a compressed cluster's bytes are, and how many there may be
    /// ("Compressed Clusters Descriptor").
    pub fn compressed(self, header: &Header) -> (u64, u64) {
        let x = 62 - (header.cluster_bits - 8);
        let word = self.word & !(COMPRESSED | COPIED);
        let at = word & ((1 << x) - 1) & ((1 << 56) - 1);
        let sectors = (word >> x) + 1;
        (at, sectors * 512 - (at & 511))
    }

    /// The entry of a compressed cluster of `len` bytes at `at`. `None` if
    /// there is no room for these numbers in it.
    pub fn of_compressed(at: u64, len: u64, header: &Header) -> Option<Self> {
        let x = 62 - (header.cluster_bits - 8);
        let sectors = ((at + len - 1) >> 9) - (at >> 9);
        (at >> x.min(56) == 0 && sectors >> (62 - x) == 0).then_some(Self {
            word: COMPRESSED | sectors << x | at,
            parts: 0,
        })
    }
}
