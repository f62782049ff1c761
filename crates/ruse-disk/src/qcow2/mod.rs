//! Disks in files of the format qcow2, versions 2 and 3.
//!
//! The format is described by QEMU's `docs/interop/qcow2`; names of its
//! sections are given where they are implemented. The code is our own, since
//! no library at hand reads internal snapshots and zstd, checks and repairs.
//!
//! # How it is laid out
//!
//! The disk is cut into clusters. An L1 table, all in memory, says where the
//! L2 tables are; an L2 table says where each of its clusters is, or that it
//! reads as zeroes, or as the backing file does. Each cluster of the file has
//! a reference count, 0 if it is free.
//!
//! # What survives what
//!
//! Changed tables are kept in memory until [`flush`](crate::Disk::flush), or
//! until there are too many, and then written in an order in which nothing
//! ever points to what is not there yet (`commit.rs`): data and reference
//! counts; a sync; L2 tables; a sync; L1 entries; a sync; and only then is
//! anything freed. So whenever this process or the host dies, what was flushed
//! is there, and the image is sound; it may have lost clusters to leaks, which
//! `ruse disk check --repair leaks` gives back. Writes after the last flush
//! may be lost, in part and in any order, also when only the process dies.
//! Dropping the disk flushes it.
//!
//! A request that fails for want of space has changed at most the range that
//! it was to write, and can be tried again.
//!
//! # Memory
//!
//! Whatever the image says: an L1 table of at most 32 MiB and as much again
//! for knowing where tables are, a refcount table of at most 8 MiB, 32 MiB of
//! L2 tables, 8 MiB of refcount blocks, 16 MiB of snapshot table, and a few
//! clusters of at most 2 MiB.

mod cache;
mod check;
mod commit;
mod compress;
mod create;
mod disk;
mod entry;
mod header;
mod map;
mod medium;
mod refcount;
mod repair;
mod resize;
mod snapshot;
mod write;

use std::collections::BTreeSet;
use std::path::Path;

pub use check::{Check, Repair};
pub use create::CreateOptions;
pub use header::{Backing, Compression, MAGIC};
pub use snapshot::Snapshot;

use ruse_event::{Operation, Tap};

use crate::watch::{self, Place};
use crate::{Disk, DiskError, MemoryStorage, Storage};
use cache::Cache;
use entry::{COPIED, OFFSET};
use header::Header;
use medium::Medium;

/// Memory for L2 tables: with clusters of 64 KiB enough for 256 GiB of disk.
const L2_CACHE: usize = 32 << 20;
/// Memory for refcount blocks: enough for 256 GiB of file.
const REFCOUNT_CACHE: usize = 8 << 20;

/// What an image is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
    /// Looking for damage, and repairing it: no table is trusted.
    Repair,
}

/// What is under an image.
enum Beneath {
    Nothing,
    /// The image names a file, which has not been given.
    Missing,
    Disk(Box<dyn Disk>),
}

/// The last cluster that was decompressed.
#[derive(Default)]
struct Inflated {
    /// Its L2 entry.
    entry: Option<u64>,
    bytes: Vec<u8>,
}

/// A qcow2 image.
pub struct Qcow2 {
    medium: Medium,
    header: Header,
    name: String,
    access: Access,
    /// The size of the disk, or of the snapshot that is looked at.
    size: u64,
    l1: Vec<u64>,
    l1_changed: BTreeSet<usize>,
    l2: Cache,
    reftable: Vec<u64>,
    reftable_changed: BTreeSet<usize>,
    blocks: Cache,
    /// No cluster before it is free.
    hint: u64,
    /// Clusters of the file that hold tables, which no data may be written
    /// over.
    tables: BTreeSet<u64>,
    /// Clusters, as first and number, that lose a reference when what took
    /// their place is safe.
    freed: Vec<(u64, u64)>,
    /// Where the next compressed cluster goes, if there is room in a cluster
    /// begun.
    packed: Option<u64>,
    beneath: Beneath,
    snapshots: Vec<Snapshot>,
    inflated: Inflated,
    scratch: Vec<u8>,
    /// The bytes of a compressed cluster.
    deflated: Vec<u8>,
    tap: Tap,
    /// The file is gone with this process.
    temporary: bool,
}

impl Qcow2 {
    /// Opens the image in `storage`. If it has a [backing
    /// file](Self::backing), that must be [given](Self::set_backing) before
    /// anything is read.
    ///
    /// # Errors
    /// [`DiskError`] if it is no qcow2 image, a damaged one, or one that asks
    /// for what is not here.
    pub fn open(storage: Box<dyn Storage>, access: Access) -> Result<Self, DiskError> {
        let mut medium = Medium::new(storage)?;
        let temporary = medium.stamp()?.is_none();
        let path = medium.storage().path().to_path_buf();
        let header = read_header(&mut medium, &path)?;
        if access == Access::Write && header.incompatible & header::CORRUPT != 0 {
            return Err(DiskError::Unsupported {
                path,
                feature: "is marked as damaged, and must not be written to; \
                          `ruse disk check --repair all` it, or add `,ro`"
                    .into(),
            });
        }
        let l1 = read_table(&mut medium, header.l1_offset, u64::from(header.l1_size))?;
        let entries = u64::from(header.reftable_clusters) << header.cluster_bits >> 3;
        // Whoever only reads has no use for it.
        let reftable = match access {
            Access::Read => Vec::new(),
            _ => read_table(&mut medium, header.reftable_offset, entries)?,
        };
        let snapshots = match snapshot::read(&mut medium, &header) {
            // The rest may still be of use.
            Err(error) if access == Access::Repair => {
                log::warn!("{error}");
                Vec::new()
            }
            snapshots => snapshots?,
        };
        let cluster = header.cluster() as usize;
        let mut image = Self {
            name: crate::id_of(&path),
            access,
            size: header.size,
            l1,
            l1_changed: BTreeSet::new(),
            l2: Cache::new(cluster, L2_CACHE),
            reftable,
            reftable_changed: BTreeSet::new(),
            blocks: Cache::new(cluster, REFCOUNT_CACHE),
            hint: 0,
            tables: BTreeSet::new(),
            freed: Vec::new(),
            packed: None,
            beneath: match header.backing {
                Some(_) => Beneath::Missing,
                None => Beneath::Nothing,
            },
            snapshots,
            inflated: Inflated::default(),
            scratch: Vec::new(),
            deflated: Vec::new(),
            tap: Tap::NONE,
            temporary,
            medium,
            header,
        };
        if access == Access::Write {
            image.prepare_writing()?;
        }
        Ok(image)
    }

    /// Looks at the snapshot called `name`, or with that ID, instead of the
    /// present state.
    ///
    /// # Errors
    /// [`DiskError`] if there is none, or the image is open for writing.
    pub fn select_snapshot(&mut self, name: &str) -> Result<(), DiskError> {
        let refused = |problem| DiskError::Refused {
            path: self.medium.storage().path().to_path_buf(),
            problem,
        };
        if self.access != Access::Read {
            return Err(refused("snapshots can only be opened read-only".into()));
        }
        let by_id = |snapshot: &&Snapshot| snapshot.id == name;
        let by_name = |snapshot: &&Snapshot| snapshot.name == name;
        let all = &self.snapshots;
        let Some(found) = all.iter().find(by_name).or_else(|| all.iter().find(by_id)) else {
            let names: Vec<&str> = all.iter().map(|snapshot| &*snapshot.name).collect();
            return Err(refused(format!(
                "no snapshot is called {name:?}; there are: {}",
                if names.is_empty() {
                    "none".into()
                } else {
                    names.join(", ")
                }
            )));
        };
        let size = found.disk_size.unwrap_or(self.header.size);
        let (at, entries) = (found.l1_offset, u64::from(found.l1_size));
        if entries < self.header.l1_entries(size) {
            return Err(self
                .medium
                .damaged(at, "the snapshot's L1 table is too short"));
        }
        self.l1 = read_table(&mut self.medium, at, entries)?;
        self.size = size;
        self.l2.clear();
        Ok(())
    }

    /// What the image says that it is an overlay of.
    pub fn backing(&self) -> Option<&Backing> {
        self.header.backing.as_ref()
    }

    /// Gives the disk that is read where the image has nothing of its own.
    pub fn set_backing(&mut self, disk: Box<dyn Disk>) {
        self.beneath = Beneath::Disk(disk);
    }

    /// Forgets all that was ever written.
    fn empty(&mut self) -> Result<(), DiskError> {
        let nothing = Medium::new(Box::new(MemoryStorage::new(Vec::new(), 0)))?;
        // What has not been written yet is not to be.
        self.access = Access::Read;
        let mut storage = std::mem::replace(&mut self.medium, nothing).into_storage();
        storage.set_len(0).map_err(|source| DiskError::Io {
            path: storage.path().to_path_buf(),
            what: "empty",
            offset: 0,
            source,
        })?;
        let mut options = CreateOptions::new(self.header.size);
        options.backing = self.header.backing.clone();
        let mut new = Self::open(options.write(storage)?, Access::Write)?;
        new.beneath = std::mem::replace(&mut self.beneath, Beneath::Nothing);
        new.name = std::mem::take(&mut self.name);
        new.tap = self.tap.clone();
        *self = new;
        Ok(())
    }

    /// The same disk with another [`Disk::id`], cut to 20 ASCII characters.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.name = id.chars().filter(char::is_ascii_graphic).take(20).collect();
        self
    }

    /// The snapshots in the image.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// The size of a cluster in bytes.
    pub fn cluster_size(&self) -> u64 {
        self.header.cluster()
    }

    /// The version of the format: 2 or 3.
    pub fn version(&self) -> u32 {
        self.header.version
    }

    /// The width of a reference count in bits.
    pub fn refcount_bits(&self) -> u32 {
        1 << self.header.refcount_order
    }

    /// How compressed clusters are compressed, if there are any.
    pub fn compression(&self) -> Compression {
        self.header.compression
    }

    /// What the image makes use of that older programs do not know, in words.
    pub fn features(&self) -> Vec<&'static str> {
        let header = &self.header;
        [
            (header.incompatible & header::DIRTY != 0, "dirty"),
            (header.incompatible & header::CORRUPT != 0, "corrupt"),
            (header.extended(), "extended L2 entries"),
            (
                header.compatible & header::LAZY_REFCOUNTS != 0,
                "lazy refcounts",
            ),
            (header.bitmaps.is_some(), "bitmaps"),
        ]
        .into_iter()
        .filter_map(|(has, name)| has.then_some(name))
        .collect()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.medium.storage().path()
    }

    /// Brings the image into a state in which it may be written to.
    fn prepare_writing(&mut self) -> Result<(), DiskError> {
        if self.header.incompatible & header::DIRTY != 0 {
            log::info!(
                "disk image {}: was not closed; counting its clusters",
                self.path().display()
            );
            self.access = Access::Repair;
            let found = self.check(Repair::All, &mut |_, _| {})?;
            self.access = Access::Write;
            if !found.is_sound() {
                return Err(self.medium.damaged(0, "it was not closed, and is damaged"));
            }
        }
        // What we do not keep up to date ("autoclear_features").
        if self.header.autoclear != 0 {
            self.medium.write(header::AT_AUTOCLEAR, &[0; 8])?;
            self.header.autoclear = 0;
        }
        self.find_tables()
    }

    /// Notes where all tables in use are, and that no two overlap.
    fn find_tables(&mut self) -> Result<(), DiskError> {
        let header = &self.header;
        let bits = header.cluster_bits;
        let end = self.medium.end();
        let mut all = vec![0];
        let mut add = |what: &str, at: u64, clusters: u64| {
            if header.in_cluster(at) != 0 || at >= end {
                return Err(self.medium.damaged(at, format!("no {what} can be there")));
            }
            all.extend((at >> bits)..(at >> bits) + clusters);
            Ok(())
        };
        if header.l1_size != 0 {
            let clusters = (u64::from(header.l1_size) * 8).div_ceil(1 << bits);
            add("L1 table", header.l1_offset, clusters)?;
        }
        let clusters = u64::from(header.reftable_clusters);
        add("refcount table", header.reftable_offset, clusters)?;
        if header.snapshots != 0 {
            let len = snapshot::table_len(&self.snapshots);
            add(
                "snapshot table",
                header.snapshots_offset,
                len.div_ceil(1 << bits),
            )?;
        }
        for block in self.reftable.iter().filter(|&&block| block != 0) {
            add("refcount block", *block, 1)?;
        }
        for entry in &self.l1 {
            if entry & OFFSET != 0 {
                add("L2 table", entry & OFFSET, 1)?;
            }
        }
        all.sort_unstable();
        if let Some(twice) = all.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(self
                .medium
                .damaged(twice[0] << bits, "two tables overlap there"));
        }
        self.tables = all.into_iter().collect();
        Ok(())
    }

    /// Refuses to write over tables.
    fn spare_tables(&self, at: u64, len: u64) -> Result<(), DiskError> {
        let bits = self.header.cluster_bits;
        let (first, last) = (at >> bits, (at + len - 1) >> bits);
        match self.tables.range(first..=last).next() {
            None => Ok(()),
            Some(cluster) => Err(self
                .medium
                .damaged(cluster << bits, "a table there is also taken for data")),
        }
    }

    /// The bytes of an L2 table, in the cache.
    fn l2_table(&mut self, at: u64) -> Result<cache::Slot, DiskError> {
        if let Some(slot) = self.l2.find(at) {
            return Ok(slot);
        }
        if self.header.in_cluster(at) != 0 || at >= self.medium.end() {
            return Err(self.medium.damaged(at, "no L2 table can be there"));
        }
        let slot = match self.l2.room() {
            Some(slot) => slot,
            None => {
                self.commit()?;
                self.l2.room().expect("nothing is changed")
            }
        };
        self.medium.read(at, self.l2.fill(slot))?;
        self.l2.name(slot, at);
        Ok(slot)
    }

    /// Whether the L2 table that an L1 entry names belongs to no snapshot.
    /// Tells where a piece of a request ended up.
    #[inline]
    fn tell(
        &self,
        operation: Operation,
        offset: u64,
        len: u64,
        host: Option<u64>,
        allocated: bool,
    ) {
        watch::tell(&self.tap, operation, || Place {
            offset,
            len,
            host,
            cluster: Some(self.header.cluster()),
            allocated,
        });
    }

    fn is_own(entry: u64) -> bool {
        entry & OFFSET != 0 && entry & COPIED != 0
    }
}

impl Drop for Qcow2 {
    fn drop(&mut self) {
        if self.access == Access::Write
            && let Err(error) = self.commit()
        {
            log::error!("{error}");
        }
    }
}

fn read_header(medium: &mut Medium, path: &Path) -> Result<Header, DiskError> {
    // The largest cluster, of which the header may fill all.
    let len = medium.end().min(2 << 20) as usize;
    let mut bytes = vec![0; len.min(4096)];
    medium.read(0, &mut bytes)?;
    // Mostly it is short, but says so only in its own fields.
    if bytes.starts_with(&MAGIC) && len > bytes.len() {
        let cluster = 1 << header::u32_at(&bytes, 20).min(21);
        bytes.resize(len.min(cluster).max(bytes.len()), 0);
        medium.read(0, &mut bytes)?;
    }
    Header::parse(path, &bytes)
}

/// Reads a table of big-endian numbers.
fn read_table(medium: &mut Medium, at: u64, entries: u64) -> Result<Vec<u64>, DiskError> {
    let mut table = Vec::with_capacity(entries as usize);
    let mut part = [0; 4096];
    let mut left = entries as usize * 8;
    let mut at = at;
    while left > 0 {
        let now = left.min(part.len());
        medium.read(at, &mut part[..now])?;
        table.extend(part[..now].chunks_exact(8).map(|b| header::u64_at(b, 0)));
        left -= now;
        at += now as u64;
    }
    Ok(table)
}
