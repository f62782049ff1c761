//! Which clusters of the file are free ("Host cluster management").

use super::cache::Slot;
use super::header::{AT_REFTABLE, MAX_REFTABLE};
use super::{OFFSET, Qcow2};
use crate::DiskError;

/// Clusters of the file in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clusters {
    /// Where in the file.
    pub at: u64,
    /// How many.
    pub count: u64,
    /// They were never written to and read as zeroes.
    pub fresh: bool,
}

/// Number `index` of reference counts that are 2^`order` bits wide ("Refcount
/// block entry").
pub fn get(block: &[u8], order: u32, index: usize) -> u64 {
    match order {
        0..=2 => {
            let per_byte = 3 - order;
            let byte = u64::from(block[index >> per_byte]);
            byte >> ((index & ((1 << per_byte) - 1)) << order) & max(order)
        }
        _ => {
            let width = 1 << (order - 3);
            block[index * width..][..width]
                .iter()
                .fold(0, |count, &byte| count << 8 | u64::from(byte))
        }
    }
}

/// Sets what [`get`] gets; `count` must fit.
pub fn set(block: &mut [u8], order: u32, index: usize, count: u64) {
    match order {
        0..=2 => {
            let per_byte = 3 - order;
            let shift = (index & ((1 << per_byte) - 1)) << order;
            let byte = &mut block[index >> per_byte];
            *byte = *byte & !((max(order) as u8) << shift) | (count as u8) << shift;
        }
        _ => {
            let width = 1 << (order - 3);
            block[index * width..][..width].copy_from_slice(&count.to_be_bytes()[8 - width..]);
        }
    }
}

/// The highest count of that width.
pub fn max(order: u32) -> u64 {
    u64::MAX >> (64 - (1 << order))
}

/// The bytes in which number `index` is.
fn place(order: u32, index: usize) -> std::ops::Range<usize> {
    let bit = index << order;
    bit / 8..(bit + (1 << order)).div_ceil(8)
}

impl Qcow2 {
    /// The binary logarithm of the number of counts in a block.
    pub(super) fn block_bits(&self) -> u32 {
        self.header.cluster_bits + 3 - self.header.refcount_order
    }

    /// The block with the count of `cluster`, and its number there. `None`:
    /// no such block, the count is 0.
    pub(super) fn block(&mut self, cluster: u64) -> Result<Option<(Slot, usize)>, DiskError> {
        let bits = self.block_bits();
        let number = (cluster & ((1 << bits) - 1)) as usize;
        let at = match self.reftable.get((cluster >> bits) as usize) {
            None | Some(0) => return Ok(None),
            Some(&at) => at,
        };
        if let Some(slot) = self.blocks.find(at) {
            return Ok(Some((slot, number)));
        }
        if self.header.in_cluster(at) != 0 || at >= self.medium.end() {
            return Err(self.medium.damaged(at, "no refcount block can be there"));
        }
        let slot = self.block_room()?;
        self.medium.read(at, self.blocks.fill(slot))?;
        self.blocks.name(slot, at);
        Ok(Some((slot, number)))
    }

    /// An empty place in the cache. Counts may be written at any time: they
    /// are raised before, and lowered after, what they count.
    fn block_room(&mut self) -> Result<Slot, DiskError> {
        if let Some(slot) = self.blocks.room() {
            return Ok(slot);
        }
        self.write_blocks()?;
        Ok(self.blocks.room().expect("nothing is changed"))
    }

    /// The reference count of a cluster.
    pub(super) fn refcount(&mut self, cluster: u64) -> Result<u64, DiskError> {
        let order = self.header.refcount_order;
        Ok(match self.block(cluster)? {
            Some((slot, number)) => get(self.blocks.bytes(slot), order, number),
            None => 0,
        })
    }

    pub(super) fn set_count(&mut self, slot: Slot, number: usize, count: u64) {
        let order = self.header.refcount_order;
        let bytes = self.blocks.change(slot, place(order, number));
        set(bytes, order, number, count);
    }

    /// Takes from 1 to `most` free clusters in one piece.
    pub(super) fn allocate(&mut self, most: u64) -> Result<Clusters, DiskError> {
        let order = self.header.refcount_order;
        let bits = self.header.cluster_bits;
        let mut cluster = self.hint;
        loop {
            let index = (cluster >> self.block_bits()) as usize;
            if index >= self.reftable.len() {
                self.grow_reftable(cluster)?;
                continue;
            }
            let Some((slot, number)) = self.block(cluster)? else {
                self.add_block(cluster)?;
                continue;
            };
            let block = self.blocks.bytes(slot);
            let counts = 1 << self.block_bits();
            let Some(first) = (number..counts).find(|&n| get(block, order, n) == 0) else {
                cluster = (index as u64 + 1) << self.block_bits();
                continue;
            };
            let limit = counts.min(first + most as usize);
            let end = (first..limit)
                .find(|&n| get(block, order, n) != 0)
                .unwrap_or(limit);
            let count = (end - first) as u64;
            let at = (cluster - number as u64 + first as u64) << bits;
            self.check_free(at, count)?;
            for number in first..end {
                self.set_count(slot, number, 1);
            }
            self.hint = (at >> bits) + count;
            return Ok(Clusters {
                at,
                count,
                fresh: at >= self.medium.end(),
            });
        }
    }

    /// Makes sure that clusters with a count of 0 are not in use for all that.
    fn check_free(&self, at: u64, count: u64) -> Result<(), DiskError> {
        let bits = self.header.cluster_bits;
        if (at >> bits) + count > OFFSET >> bits {
            return Err(self
                .medium
                .damaged(at, "the file is as large as it may ever be"));
        }
        self.spare_tables(at, count << bits)
    }

    /// Gives back clusters that nothing in the file refers to.
    pub(super) fn give_back(&mut self, clusters: Clusters) {
        let first = clusters.at >> self.header.cluster_bits;
        for cluster in first..first + clusters.count {
            // The block is in the cache mostly; if not, the cluster leaks.
            if let Ok(Some((slot, number))) = self.block(cluster) {
                self.set_count(slot, number, 0);
            }
        }
        // Where others were freed meanwhile, the hint is lower already.
        self.hint = self.hint.min(first);
    }

    /// Takes one reference from `cluster`. What has none left may be used
    /// again at once. True if that is so.
    pub(super) fn lower(&mut self, cluster: u64) -> Result<bool, DiskError> {
        let order = self.header.refcount_order;
        let Some((slot, number)) = self.block(cluster)? else {
            log::warn!("{}", self.refcount_damage(cluster));
            return Ok(false);
        };
        match get(self.blocks.bytes(slot), order, number) {
            0 => {
                log::warn!("{}", self.refcount_damage(cluster));
                Ok(false)
            }
            count => {
                self.set_count(slot, number, count - 1);
                if count == 1 {
                    self.hint = self.hint.min(cluster);
                }
                Ok(count == 1)
            }
        }
    }

    fn refcount_damage(&self, cluster: u64) -> DiskError {
        self.medium.damaged(
            cluster << self.header.cluster_bits,
            "a cluster was in use whose reference count is 0",
        )
    }

    /// Makes the refcount block that counts `cluster`, which is free, and puts
    /// it there.
    fn add_block(&mut self, cluster: u64) -> Result<(), DiskError> {
        let at = cluster << self.header.cluster_bits;
        self.check_free(at, 1)?;
        let slot = self.block_room()?;
        let fresh = at >= self.medium.end();
        let size = self.header.cluster() as usize;
        self.blocks.fill(slot).fill(0);
        self.blocks.name(slot, at);
        self.blocks.change(slot, if fresh { 0..1 } else { 0..size });
        let bits = self.block_bits();
        self.set_count(slot, (cluster & ((1 << bits) - 1)) as usize, 1);
        let index = (cluster >> bits) as usize;
        self.reftable[index] = at;
        self.reftable_changed.insert(index);
        self.tables.insert(cluster);
        Ok(())
    }

    /// Moves the refcount table to where it can be long enough to count
    /// `cluster`. Nothing of it is used before all of it is in the file.
    fn grow_reftable(&mut self, cluster: u64) -> Result<(), DiskError> {
        let bits = self.header.cluster_bits;
        let block_bits = self.block_bits();
        // All that the old table counts is taken, or was passed over.
        let first = (self.reftable.len() as u64) << block_bits;
        let index = (cluster >> block_bits).max(self.reftable.len() as u64);
        let wanted = (index + 1).max(self.reftable.len() as u64 * 3 / 2);
        let mut blocks = 1;
        let table = loop {
            // The blocks that count themselves and the table are in it.
            let entries = wanted.max(self.reftable.len() as u64 + blocks);
            let table = (entries * 8).div_ceil(1 << bits);
            let needed = (blocks + table).div_ceil(1 << block_bits);
            if needed <= blocks {
                break table;
            }
            blocks = needed;
        };
        if table << bits > MAX_REFTABLE {
            return Err(self.medium.damaged(
                first << bits,
                "the file has as many clusters as it may have",
            ));
        }
        self.check_free(first << bits, blocks + table)?;
        log::debug!(
            "disk image {}: the refcount table grows to {table} clusters",
            self.path().display()
        );
        let order = self.header.refcount_order;
        let mut new = self.reftable.clone();
        let mut bytes = vec![0; self.header.cluster() as usize];
        let counts = 1u64 << block_bits;
        for block in 0..blocks {
            bytes.fill(0);
            let used = (blocks + table - block * counts).min(counts);
            for number in 0..used {
                set(&mut bytes, order, number as usize, 1);
            }
            let at = (first + block) << bits;
            self.medium.write(at, &bytes)?;
            new.push(at);
        }
        new.resize(((table << bits) / 8) as usize, 0);
        let at = (first + blocks) << bits;
        self.write_blocks()?;
        let words: Vec<u8> = new.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        self.medium.write(at, &words)?;
        self.medium.sync()?;
        let mut fields = at.to_be_bytes().to_vec();
        fields.extend((table as u32).to_be_bytes());
        self.medium.write(AT_REFTABLE, &fields)?;
        self.medium.sync()?;

        let old = self.header.reftable_offset >> bits;
        let clusters = u64::from(self.header.reftable_clusters);
        self.freed.push((old, clusters));
        for cluster in old..old + clusters {
            self.tables.remove(&cluster);
        }
        self.tables.extend(first..first + blocks + table);
        self.header.reftable_offset = at;
        self.header.reftable_clusters = table as u32;
        self.reftable = new;
        self.reftable_changed.clear();
        Ok(())
    }

    /// Remembers that a cluster loses a reference at the next commit.
    pub(super) fn free_later(&mut self, at: u64, count: u64) {
        let first = at >> self.header.cluster_bits;
        match self.freed.last_mut() {
            Some((start, number)) if *start + *number == first => *number += count,
            _ => self.freed.push((first, count)),
        }
    }

    /// Remembers that an L1 entry's table loses a reference.
    pub(super) fn free_l2_later(&mut self, entry: u64) {
        let at = entry & OFFSET;
        if at != 0 {
            self.free_later(at, 1);
            self.tables.remove(&(at >> self.header.cluster_bits));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_every_width_keep_to_their_bits() {
        for order in 0..=6 {
            let mut block = [0; 512];
            let all = 4096 >> order;
            for index in [0, 1, 7, all / 2, all - 1] {
                set(&mut block, order, index, max(order));
                assert_eq!(get(&block, order, index), max(order));
                assert!(place(order, index).end <= 512);
                let others = (0..all).filter(|&n| get(&block, order, n) != 0);
                assert_eq!(others.count(), 1, "order {order}, index {index}");
                set(&mut block, order, index, 0);
            }
        }
        // "the least significant bits" come first.
        let mut block = [0; 2];
        set(&mut block, 1, 1, 2);
        set(&mut block, 4, 0, 0x0108);
        assert_eq!(block, [1, 8]);
    }
}
