//! New images.

use super::header::{Backing, Compression, EXTENDED_L2, Header, MAX_L1, MAX_REFTABLE};
use super::medium::Medium;
use super::refcount;
use crate::{DiskError, SECTOR, Storage};

/// How to lay out a new image.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// The size of the disk in bytes.
    pub size: u64,
    /// The size of a cluster: a power of two from 512 to 2 MiB.
    pub cluster_size: u64,
    /// The width of reference counts: a power of two up to 64.
    pub refcount_bits: u32,
    /// The format's version: 2 or 3.
    pub version: u32,
    /// Whether clusters have 32 parts that are allocated each by itself.
    pub extended_l2: bool,
    /// What it is an overlay of.
    pub backing: Option<Backing>,
}

impl CreateOptions {
    /// What serves best for most: version 3, clusters of 64 KiB.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            cluster_size: 64 << 10,
            refcount_bits: 16,
            version: 3,
            extended_l2: false,
            backing: None,
        }
    }

    /// Writes a new image to `storage`, which is empty. Its data takes no
    /// space yet.
    ///
    /// # Errors
    /// [`DiskError`] if there can be no such image, or the host fails.
    pub fn write(&self, storage: Box<dyn Storage>) -> Result<Box<dyn Storage>, DiskError> {
        let refused = |problem: String| DiskError::Refused {
            path: storage.path().to_path_buf(),
            problem,
        };
        let cluster = self.cluster_size;
        if !cluster.is_power_of_two() || !(512..=2 << 20).contains(&cluster) {
            return Err(refused(format!(
                "clusters of {cluster} bytes: only powers of two from 512 to 2M can be"
            )));
        }
        if self.size == 0 || !self.size.is_multiple_of(SECTOR) || self.size > i64::MAX as u64 {
            return Err(DiskError::Size {
                path: storage.path().to_path_buf(),
                size: self.size,
            });
        }
        let wide = self.refcount_bits;
        if !wide.is_power_of_two() || wide > 64 || (self.version == 2 && wide != 16) {
            return Err(refused(format!("reference counts of {wide} bits")));
        }
        if !(2..=3).contains(&self.version)
            || (self.extended_l2 && (self.version < 3 || cluster < 16 << 10))
        {
            return Err(refused("no version of qcow2 has all of that".into()));
        }
        let mut header = Header {
            version: self.version,
            cluster_bits: cluster.trailing_zeros(),
            size: self.size,
            l1_size: 0,
            l1_offset: 0,
            reftable_offset: cluster,
            reftable_clusters: 1,
            snapshots: 0,
            snapshots_offset: 0,
            incompatible: if self.extended_l2 { EXTENDED_L2 } else { 0 },
            compatible: 0,
            autoclear: 0,
            refcount_order: wide.trailing_zeros(),
            compression: Compression::Zlib,
            backing: self.backing.clone(),
            bitmaps: None,
        };
        let entries = header.l1_entries(self.size);
        if entries > MAX_L1 {
            return Err(refused(format!(
                "clusters of {cluster} bytes are too small for {} bytes of disk",
                self.size
            )));
        }
        header.l1_size = entries as u32;
        // The header, the refcount table, its blocks, the L1 table.
        let bits = header.cluster_bits;
        let l1 = (entries * 8).div_ceil(cluster);
        let counts = (cluster * 8) >> header.refcount_order;
        let (mut table, mut blocks) = (1, 1);
        loop {
            let all = 1 + table + blocks + l1;
            let needed = (all.div_ceil(counts), (blocks * 8).div_ceil(cluster));
            if needed.0 <= blocks && needed.1 <= table {
                break;
            }
            (blocks, table) = (needed.0.max(blocks), needed.1.max(table));
        }
        debug_assert!(table << bits <= MAX_REFTABLE);
        header.reftable_clusters = table as u32;
        header.l1_offset = (1 + table + blocks) << bits;
        let first = header
            .encode()
            .ok_or_else(|| refused("the name of the backing file is too long".into()))?;

        let mut medium = Medium::new(storage)?;
        let all = 1 + table + blocks + l1;
        // The L1 table is zeroes, as what was never written is.
        medium.set_len(all << bits)?;
        for block in 0..blocks {
            let used = (all - block * counts).min(counts) as usize;
            let len = ((used << header.refcount_order).div_ceil(8)).next_multiple_of(512);
            let mut bytes = vec![0; len.min(cluster as usize)];
            for number in 0..used {
                refcount::set(&mut bytes, header.refcount_order, number, 1);
            }
            let at = (1 + table + block) << bits;
            medium.write(at, &bytes)?;
            medium.write(cluster + block * 8, &at.to_be_bytes())?;
        }
        medium.write(0, &first)?;
        medium.sync()?;
        Ok(medium.into_storage())
    }
}
