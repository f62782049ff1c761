//! Longer and shorter disks.

use super::entry::OFFSET;
use super::header::{AT_SIZE, MAX_L1};
use super::refcount::Clusters;
use super::{Access, Qcow2};
use crate::{DiskError, SECTOR};

impl Qcow2 {
    /// Makes the disk `size` bytes long. What is added reads as zeroes; what
    /// is cut off is lost, and its space given back.
    ///
    /// # Errors
    /// [`DiskError`] if it cannot have that size, or the host fails; the disk
    /// then has the old size, but may have lost data past the new one.
    pub fn resize(&mut self, size: u64) -> Result<(), DiskError> {
        self.check_write(0, 0)?;
        debug_assert_eq!(self.access, Access::Write);
        let path = self.path().to_path_buf();
        if size == 0 || !size.is_multiple_of(SECTOR) || size > i64::MAX as u64 {
            return Err(DiskError::Size { path, size });
        }
        if self.header.snapshots != 0 && self.header.version < 3 {
            return Err(DiskError::Refused {
                path,
                problem: "of version 2 and with snapshots, which do not know their size: it must \
                          keep its own"
                    .into(),
            });
        }
        let old = self.size;
        if size < old {
            self.cut(size)?;
        } else {
            self.grow_l1(size)?;
            // What is beyond the end of the disk in its last cluster may be
            // anything, and a longer backing file must not shine through.
            let cluster = self.header.cluster();
            let tail = old.next_multiple_of(cluster).min(size);
            let beneath = self.beneath_size().clamp(tail, size);
            self.size = size;
            let zeroed = self
                .zero(old, tail - old, false)
                .and_then(|()| self.zero(tail, beneath - tail, true));
            if let Err(error) = zeroed {
                self.size = old;
                return Err(error);
            }
        }
        self.commit()?;
        self.write_size(size)
    }

    /// Gives back all clusters past `size`.
    fn cut(&mut self, size: u64) -> Result<(), DiskError> {
        let cluster = self.header.cluster();
        let first = size.next_multiple_of(cluster);
        if first < self.size {
            // Absent, not zero: the tables go too.
            self.forget_from(first)?;
        }
        Ok(())
    }

    fn forget_from(&mut self, first: u64) -> Result<(), DiskError> {
        let table = 1u64 << (self.header.cluster_bits + self.header.l2_bits());
        let mut offset = first;
        while offset < self.size {
            let end = (offset / table + 1) * table;
            let index = self.l1_index(offset);
            let entry = self.l1.get(index).copied().unwrap_or(0);
            if entry & OFFSET != 0 {
                self.keep_freed_short()?;
                self.forget_table(index, offset, end)?;
            }
            offset = end;
        }
        Ok(())
    }

    /// Makes the entries from `offset` to `end`, the end of its table, absent.
    fn forget_table(&mut self, index: usize, offset: u64, end: u64) -> Result<(), DiskError> {
        let entry = self.l1[index];
        let own = Self::is_own(entry);
        let whole = self.entry_at(offset) == 0;
        if whole && !own {
            // A snapshot's: only this reference goes.
            self.l1[index] = 0;
            self.l1_changed.insert(index);
            self.free_shared_table(entry)?;
            return Ok(());
        }
        let l2 = self.own_l2(offset)?;
        let slot = self.l2_table(l2)?;
        let mut offset = offset;
        while offset < end {
            let place = self.entry_at(offset);
            let old = self.entry(slot, place);
            if old != super::entry::Entry::ABSENT {
                self.set_entry(slot, place, super::entry::Entry::ABSENT);
                self.unlink(old);
            }
            offset += self.header.cluster();
        }
        if whole {
            self.l2.written(slot);
            let entry = std::mem::take(&mut self.l1[index]);
            self.l1_changed.insert(index);
            self.free_l2_later(entry);
        }
        Ok(())
    }

    /// Takes the references that a table shared with a snapshot, and its
    /// entries, have from the present state.
    fn free_shared_table(&mut self, entry: u64) -> Result<(), DiskError> {
        let slot = self.l2_table(entry & OFFSET)?;
        for index in 0..1usize << self.header.l2_bits() {
            let old = self.entry(slot, index * self.entry_len());
            self.unlink(old);
        }
        self.free_l2_later(entry);
        Ok(())
    }

    /// Moves the L1 table to where it can be long enough for `size`.
    fn grow_l1(&mut self, size: u64) -> Result<(), DiskError> {
        let bits = self.header.cluster_bits;
        let entries = self.header.l1_entries(size);
        if entries <= u64::from(self.header.l1_size) {
            return Ok(());
        }
        if entries > MAX_L1 {
            return Err(DiskError::Refused {
                path: self.path().to_path_buf(),
                problem: format!("clusters are too small for {size} bytes; convert it"),
            });
        }
        self.commit()?;
        let count = (entries * 8).div_ceil(1 << bits);
        let new = self.allocate_all(count)?;
        let mut l1 = self.l1.clone();
        l1.resize(entries as usize, 0);
        let mut bytes: Vec<u8> = l1.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        bytes.resize((count << bits) as usize, 0);
        let fields = [
            &size.to_be_bytes()[..0],
            &(entries as u32).to_be_bytes(),
            &new.at.to_be_bytes(),
        ]
        .concat();
        let written = self
            .write_blocks()
            .and_then(|()| self.commit())
            .and_then(|()| self.medium.write(new.at, &bytes))
            .and_then(|()| self.medium.sync())
            .and_then(|()| self.medium.write(AT_SIZE + 12, &fields))
            .and_then(|()| self.medium.sync());
        if let Err(error) = written {
            self.give_back(new);
            return Err(error);
        }
        let old = self.header.l1_offset;
        let clusters = (u64::from(self.header.l1_size) * 8).div_ceil(1 << bits);
        for cluster in old >> bits..(old >> bits) + clusters {
            self.tables.remove(&cluster);
        }
        if clusters != 0 {
            self.free_later(old, clusters);
        }
        self.tables.extend(new.at >> bits..(new.at >> bits) + count);
        self.l1 = l1;
        self.header.l1_offset = new.at;
        self.header.l1_size = entries as u32;
        Ok(())
    }

    /// Takes exactly `count` clusters in one piece.
    fn allocate_all(&mut self, count: u64) -> Result<Clusters, DiskError> {
        let bits = self.header.cluster_bits;
        let mut got: Option<Clusters> = None;
        let mut short = Vec::new();
        let result = loop {
            let more = match self.allocate(count - got.map_or(0, |got| got.count)) {
                Ok(more) => more,
                Err(error) => {
                    short.extend(got);
                    break Err(error);
                }
            };
            got = match got {
                Some(begun) if begun.at + (begun.count << bits) == more.at => Some(Clusters {
                    count: begun.count + more.count,
                    ..begun
                }),
                begun => {
                    short.extend(begun);
                    Some(more)
                }
            };
            if let Some(all) = got.filter(|got| got.count == count) {
                break Ok(all);
            }
        };
        for clusters in short {
            self.give_back(clusters);
        }
        result
    }

    fn write_size(&mut self, size: u64) -> Result<(), DiskError> {
        self.medium.write(AT_SIZE, &size.to_be_bytes())?;
        self.medium.sync()?;
        self.header.size = size;
        self.size = size;
        Ok(())
    }
}
