//! The header and its extensions ("Header", "Header extensions").

use std::path::Path;

use crate::DiskError;

/// What a qcow2 file begins with.
pub const MAGIC: [u8; 4] = *b"QFI\xfb";

/// Incompatible feature: reference counts may be too low.
pub const DIRTY: u64 = 1 << 0;
/// Incompatible feature: not to be written to.
pub const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
/// Incompatible feature: L2 entries of 16 bytes.
pub const EXTENDED_L2: u64 = 1 << 4;
/// Compatible feature: whoever writes may set [`DIRTY`] instead of counting.
pub const LAZY_REFCOUNTS: u64 = 1 << 0;
/// Autoclear feature: the bitmaps are right.
pub const BITMAPS: u64 = 1 << 0;

/// Where `size` is, before `crypt_method`, `l1_size` and `l1_table_offset`.
pub const AT_SIZE: u64 = 24;
/// Where `refcount_table_offset` is, before `refcount_table_clusters`.
pub const AT_REFTABLE: u64 = 48;
/// Where `incompatible_features` is.
pub const AT_INCOMPATIBLE: u64 = 72;
/// Where `autoclear_features` is.
pub const AT_AUTOCLEAR: u64 = 88;

const EXT_END: u32 = 0;
const EXT_FORMAT: u32 = 0xe279_2aca;
const EXT_NAMES: u32 = 0x6803_f857;
const EXT_BITMAPS: u32 = 0x2385_2875;
const EXT_CRYPT: u32 = 0x0537_be77;

/// The longest L1 table, in entries: 32 MiB, as in QEMU.
pub const MAX_L1: u64 = (32 << 20) / 8;
/// The longest refcount table, in bytes: 8 MiB, as in QEMU.
pub const MAX_REFTABLE: u64 = 8 << 20;
/// The most snapshots, as in QEMU.
pub const MAX_SNAPSHOTS: u32 = 65536;

/// The names that go into a new image, so that older programs can say what
/// they miss: type, bit, name ("Feature name table").
const NAMES: [(u8, u8, &str); 8] = [
    (0, 0, "dirty bit"),
    (0, 1, "corrupt bit"),
    (0, 2, "external data file"),
    (0, 3, "compression type"),
    (0, 4, "extended L2 entries"),
    (1, 0, "lazy refcounts"),
    (2, 0, "bitmaps"),
    (2, 1, "raw external data"),
];

/// How compressed clusters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// A raw deflate stream.
    Zlib,
    /// A Zstandard frame.
    Zstd,
}

/// The file that an image is an overlay of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backing {
    /// As the image says it: relative to the directory of the image.
    pub name: String,
    /// What the image says that it is: `raw`, `qcow2`.
    pub format: Option<String>,
}

/// Where the directory of bitmaps is ("Bitmaps extension").
#[derive(Clone, Copy, Debug)]
pub struct Bitmaps {
    /// How many.
    pub count: u32,
    /// The directory's length in bytes.
    pub size: u64,
    /// The directory's place.
    pub offset: u64,
}

/// A header that was found to make sense.
#[derive(Clone, Debug)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// The binary logarithm of the cluster size.
    pub cluster_bits: u32,
    /// The size of the disk in bytes.
    pub size: u64,
    /// Entries of the L1 table.
    pub l1_size: u32,
    /// Where the L1 table is.
    pub l1_offset: u64,
    /// Where the refcount table is.
    pub reftable_offset: u64,
    /// How long the refcount table is.
    pub reftable_clusters: u32,
    /// How many snapshots there are.
    pub snapshots: u32,
    /// Where the table of snapshots is.
    pub snapshots_offset: u64,
    /// [`DIRTY`] and the like.
    pub incompatible: u64,
    /// [`LAZY_REFCOUNTS`].
    pub compatible: u64,
    /// [`BITMAPS`].
    pub autoclear: u64,
    /// The binary logarithm of a reference count's width in bits.
    pub refcount_order: u32,
    /// How compressed clusters are.
    pub compression: Compression,
    /// The file beneath.
    pub backing: Option<Backing>,
    /// The bitmaps.
    pub bitmaps: Option<Bitmaps>,
}

/// The big-endian number at `at`.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8]
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The big-endian number at `at`.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    (u64::from(u16_at(bytes, at)) << 16 | u64::from(u16_at(bytes, at + 2))) as u32
}

/// The big-endian number at `at`.
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Says what is wrong with a header, and where.
struct Complain<'a>(&'a Path);

impl Complain<'_> {
    fn format(&self, offset: u64, problem: impl Into<String>) -> DiskError {
        DiskError::Format {
            path: self.0.to_path_buf(),
            format: "qcow2",
            offset,
            problem: problem.into(),
        }
    }

    fn unsupported(&self, feature: impl Into<String>) -> DiskError {
        DiskError::Unsupported {
            path: self.0.to_path_buf(),
            feature: feature.into(),
        }
    }
}

impl Header {
    /// Reads the header from the file's first bytes: the first cluster, or
    /// as much of it as there is.
    ///
    /// # Errors
    /// [`DiskError`] if it is none, makes no sense, or asks for what is not
    /// here.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, DiskError> {
        let bad = Complain(path);
        if !bytes.starts_with(&MAGIC) {
            return Err(bad.format(0, "no qcow2 header; is it `,format=raw`?"));
        }
        if bytes.len() < 72 {
            return Err(bad.format(bytes.len() as u64, "the header is cut off"));
        }
        let version = u32_at(bytes, 4);
        let header_length = match version {
            2 => 72,
            3 if bytes.len() < 104 => {
                return Err(bad.format(bytes.len() as u64, "the header is cut off"));
            }
            3 => u32_at(bytes, 100) as usize,
            1 => {
                return Err(bad.unsupported(
                    "is of the old format qcow1; convert it with `qemu-img convert -O qcow2`",
                ));
            }
            _ => return Err(bad.unsupported(format!("qcow2 version {version} is not known"))),
        };
        let cluster_bits = u32_at(bytes, 20);
        if !(9..=21).contains(&cluster_bits) {
            return Err(bad.format(20, format!("clusters of 2^{cluster_bits} bytes")));
        }
        let first = &bytes[..bytes.len().min(1 << cluster_bits)];
        if version == 3
            && (header_length < 104
                || !header_length.is_multiple_of(8)
                || header_length > first.len())
        {
            return Err(bad.format(100, format!("a header of {header_length} bytes")));
        }
        let field = |at| if version == 3 { u64_at(bytes, at) } else { 0 };
        let mut header = Self {
            version,
            cluster_bits,
            size: u64_at(bytes, 24),
            l1_size: u32_at(bytes, 36),
            l1_offset: u64_at(bytes, 40),
            reftable_offset: u64_at(bytes, 48),
            reftable_clusters: u32_at(bytes, 56),
            snapshots: u32_at(bytes, 60),
            snapshots_offset: u64_at(bytes, 64),
            incompatible: field(72),
            compatible: field(80),
            autoclear: field(88),
            refcount_order: if version == 3 { u32_at(bytes, 96) } else { 4 },
            compression: Compression::Zlib,
            backing: None,
            bitmaps: None,
        };
        let names = header.extensions(&bad, bytes, first, header_length)?;
        header.features(&bad, bytes, header_length, &names)?;
        header.sane(&bad, u32_at(bytes, 32))?;
        Ok(header)
    }

    /// Reads the extensions and the name of the backing file. Returns the
    /// feature names.
    fn extensions(
        &mut self,
        bad: &Complain<'_>,
        bytes: &[u8],
        first: &[u8],
        header_length: usize,
    ) -> Result<Vec<(u8, u8, String)>, DiskError> {
        let backing = u64_at(bytes, 8);
        let end = match backing {
            0 => first.len(),
            _ => first
                .len()
                .min(usize::try_from(backing).unwrap_or(usize::MAX)),
        };
        let mut names = Vec::new();
        let mut format = None;
        let mut at = header_length;
        while at + 8 <= end {
            let kind = u32_at(first, at);
            let len = u32_at(first, at + 4) as usize;
            let data = at + 8;
            if kind == EXT_END {
                break;
            }
            if len > end - data {
                return Err(bad.format(at as u64, "a header extension leaves the header"));
            }
            let content = &first[data..data + len];
            match kind {
                EXT_FORMAT => format = Some(String::from_utf8_lossy(content).into_owned()),
                EXT_NAMES => {
                    for entry in content.chunks_exact(48) {
                        let name = String::from_utf8_lossy(&entry[2..]);
                        let name = name.trim_end_matches('\0').escape_default().to_string();
                        names.push((entry[0], entry[1], name));
                    }
                }
                EXT_BITMAPS if len >= 24 => {
                    self.bitmaps = Some(Bitmaps {
                        count: u32_at(content, 0),
                        size: u64_at(content, 8),
                        offset: u64_at(content, 16),
                    });
                }
                EXT_CRYPT => {
                    return Err(bad.unsupported("is encrypted, which Ruse cannot read"));
                }
                _ => {}
            }
            at = data + len.next_multiple_of(8);
        }
        if backing != 0 {
            let len = u32_at(bytes, 16) as usize;
            let name = usize::try_from(backing)
                .ok()
                .and_then(|from| first.get(from..from.checked_add(len)?))
                .filter(|name| name.len() <= 1023)
                .ok_or_else(|| bad.format(8, "the name of the backing file leaves the header"))?;
            let name = String::from_utf8(name.to_vec())
                .map_err(|_| bad.format(backing, "the name of the backing file is no UTF-8"))?;
            if name.contains('\0') {
                return Err(bad.format(backing, "the name of the backing file has a zero byte"));
            }
            if !name.is_empty() {
                self.backing = Some(Backing { name, format });
            }
        }
        Ok(names)
    }

    fn features(
        &mut self,
        bad: &Complain<'_>,
        bytes: &[u8],
        header_length: usize,
        names: &[(u8, u8, String)],
    ) -> Result<(), DiskError> {
        let known = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2;
        let unknown = self.incompatible & !known;
        if unknown != 0 {
            let list: Vec<String> = (0..64)
                .filter(|bit| unknown >> bit & 1 != 0)
                .map(|bit| {
                    names
                        .iter()
                        .find(|(kind, at, _)| *kind == 0 && *at == bit)
                        .map_or_else(|| format!("number {bit}"), |(_, _, name)| name.clone())
                })
                .collect();
            return Err(bad.unsupported(format!(
                "needs features that Ruse does not know: {}",
                list.join(", ")
            )));
        }
        if self.incompatible & EXTERNAL_DATA != 0 {
            return Err(bad.unsupported(
                "keeps its data in another file, which Ruse cannot read; \
                 `qemu-img convert -O qcow2` makes one file of both",
            ));
        }
        let kind = if header_length > 104 { bytes[104] } else { 0 };
        self.compression = match (self.incompatible & COMPRESSION_TYPE != 0, kind) {
            (false, 0) => Compression::Zlib,
            (true, 1) => Compression::Zstd,
            (true, 2..) => {
                return Err(bad.unsupported(format!("compression type {kind} is not known")));
            }
            _ => return Err(bad.format(104, "the compression type contradicts the features")),
        };
        Ok(())
    }

    /// Checks the numbers against each other and against what there is memory
    /// for.
    fn sane(&self, bad: &Complain<'_>, crypt: u32) -> Result<(), DiskError> {
        if crypt != 0 {
            return Err(bad.unsupported("is encrypted, which Ruse cannot read"));
        }
        if self.extended() && self.cluster_bits < 14 {
            return Err(bad.format(20, "extended L2 entries need clusters of 16 KiB or more"));
        }
        if self.refcount_order > 6 {
            return Err(bad.format(96, "reference counts wider than 64 bits"));
        }
        if self.size > i64::MAX as u64 {
            return Err(bad.format(24, "a size that no file can have"));
        }
        let entries = u64::from(self.l1_size);
        if entries > MAX_L1 {
            return Err(bad.format(36, format!("an L1 table of {entries} entries")));
        }
        if entries < self.l1_entries(self.size) {
            return Err(bad.format(36, "the L1 table is too short for the disk"));
        }
        if u64::from(self.reftable_clusters) << self.cluster_bits > MAX_REFTABLE {
            return Err(bad.format(56, "a refcount table of more than 8 MiB"));
        }
        if self.reftable_clusters == 0 {
            return Err(bad.format(56, "no refcount table"));
        }
        if self.snapshots > MAX_SNAPSHOTS {
            return Err(bad.format(60, format!("{} snapshots", self.snapshots)));
        }
        let places = [
            (40, "L1 table", self.l1_offset, entries != 0),
            (48, "refcount table", self.reftable_offset, true),
            (
                64,
                "snapshot table",
                self.snapshots_offset,
                self.snapshots != 0,
            ),
        ];
        for (at, what, offset, used) in places {
            if used && (self.in_cluster(offset) != 0 || offset == 0 || offset >> 56 != 0) {
                return Err(bad.format(at, format!("the {what} cannot be at {offset:#x}")));
            }
        }
        Ok(())
    }

    /// The bytes of a cluster.
    pub fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// How far into its cluster an offset is.
    pub fn in_cluster(&self, offset: u64) -> u64 {
        offset & (self.cluster() - 1)
    }

    /// Whether L2 entries say what each of 32 parts of their cluster is.
    pub fn extended(&self) -> bool {
        self.incompatible & EXTENDED_L2 != 0
    }

    /// The binary logarithm of the number of entries in an L2 table.
    pub fn l2_bits(&self) -> u32 {
        self.cluster_bits - if self.extended() { 4 } else { 3 }
    }

    /// The L1 entries that a disk of `size` bytes needs.
    pub fn l1_entries(&self, size: u64) -> u64 {
        size.div_ceil(1 << (self.cluster_bits + self.l2_bits()))
    }

    /// The header as bytes, with extensions: what a new image begins with.
    /// `None` if the backing file's name does not fit.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let length: u32 = if self.version == 3 { 112 } else { 72 };
        let mut out = Vec::new();
        out.extend(MAGIC);
        out.extend(self.version.to_be_bytes());
        out.extend([0; 12]); // the backing file, filled in below
        out.extend(self.cluster_bits.to_be_bytes());
        out.extend(self.size.to_be_bytes());
        out.extend(0u32.to_be_bytes()); // no encryption
        out.extend(self.l1_size.to_be_bytes());
        out.extend(self.l1_offset.to_be_bytes());
        out.extend(self.reftable_offset.to_be_bytes());
        out.extend(self.reftable_clusters.to_be_bytes());
        out.extend(self.snapshots.to_be_bytes());
        out.extend(self.snapshots_offset.to_be_bytes());
        if self.version == 3 {
            out.extend(self.incompatible.to_be_bytes());
            out.extend(self.compatible.to_be_bytes());
            out.extend(self.autoclear.to_be_bytes());
            out.extend(self.refcount_order.to_be_bytes());
            out.extend(length.to_be_bytes());
            out.extend([u8::from(self.compression == Compression::Zstd), 0, 0, 0]);
            out.extend([0; 4]);
        }
        let extension = |out: &mut Vec<u8>, kind: u32, content: &[u8]| {
            out.extend(kind.to_be_bytes());
            out.extend((content.len() as u32).to_be_bytes());
            out.extend(content);
            out.resize(out.len().next_multiple_of(8), 0);
        };
        let format = self.backing.as_ref().and_then(|b| b.format.as_deref());
        if let Some(format) = format {
            extension(&mut out, EXT_FORMAT, format.as_bytes());
        }
        // The names are a courtesy, and the smallest clusters have no room.
        if self.version == 3 && self.cluster() >= 4096 {
            let mut names = Vec::new();
            for (kind, bit, name) in NAMES {
                names.extend([kind, bit]);
                names.extend(name.as_bytes());
                names.resize(names.len() + 46 - name.len(), 0);
            }
            extension(&mut out, EXT_NAMES, &names);
        }
        extension(&mut out, EXT_END, &[]);
        if let Some(backing) = &self.backing {
            let (at, len) = (out.len() as u64, backing.name.len() as u32);
            out[8..16].copy_from_slice(&at.to_be_bytes());
            out[16..20].copy_from_slice(&len.to_be_bytes());
            out.extend(backing.name.as_bytes());
            if len > 1023 {
                return None;
            }
        }
        (out.len() as u64 <= self.cluster()).then_some(out)
    }
}
