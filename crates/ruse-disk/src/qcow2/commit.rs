//! The order in which changed tables go to the file.

use super::{Qcow2, header};
use crate::DiskError;

/// So many pieces are freed at a time at most.
pub const MAX_FREED: usize = 16384;

impl Qcow2 {
    /// Writes all changed tables, so that at every moment the file is sound,
    /// whichever of the writes since the last sync the host keeps:
    ///
    /// 1. reference counts that were raised; where there are new blocks of
    ///    them, a sync before the refcount table names them;
    /// 2. a sync: counts, and the data in new clusters, are there;
    /// 3. L2 tables; where there are new ones, a sync before the L1 table
    ///    names them;
    /// 4. a sync: nothing in the file refers to freed clusters;
    /// 5. counts that are lowered, and holes for what has none left.
    ///
    /// If it fails midway, what is not written stays changed in memory, and
    /// the next commit goes on.
    pub(super) fn commit(&mut self) -> Result<(), DiskError> {
        self.write_blocks()?;
        if !self.reftable_changed.is_empty() {
            self.medium.sync()?;
            while let Some(&index) = self.reftable_changed.first() {
                let at = self.header.reftable_offset + index as u64 * 8;
                self.medium.write(at, &self.reftable[index].to_be_bytes())?;
                self.reftable_changed.remove(&index);
            }
        }
        if self.l2.is_changed() || !self.l1_changed.is_empty() {
            self.medium.sync()?;
            for slot in self.l2.changed() {
                if let Some((at, bytes)) = self.l2.change_of(slot) {
                    self.medium.write(at, bytes)?;
                }
                self.l2.written(slot);
            }
            if !self.l1_changed.is_empty() {
                self.medium.sync()?;
                while let Some(&index) = self.l1_changed.first() {
                    let at = self.header.l1_offset + index as u64 * 8;
                    self.medium.write(at, &self.l1[index].to_be_bytes())?;
                    self.l1_changed.remove(&index);
                }
            }
        }
        // Compressed clusters are counted in sectors, and read so by others.
        let end = self.medium.end();
        if !end.is_multiple_of(512) {
            self.medium.set_len(end.next_multiple_of(512))?;
        }
        self.medium.sync()?;
        if !self.freed.is_empty() {
            self.free_now()?;
            self.write_blocks()?;
        }
        Ok(())
    }

    /// Writes changed refcount blocks.
    pub(super) fn write_blocks(&mut self) -> Result<(), DiskError> {
        for slot in self.blocks.changed() {
            if let Some((at, bytes)) = self.blocks.change_of(slot) {
                self.medium.write(at, bytes)?;
            }
            self.blocks.written(slot);
        }
        Ok(())
    }

    fn free_now(&mut self) -> Result<(), DiskError> {
        let bits = self.header.cluster_bits;
        // Space that the host may have back, as clusters.
        let mut hole = 0..0;
        while let Some(&(first, count)) = self.freed.last() {
            // From the end, so that what was not done stays on the list.
            let cluster = first + count - 1;
            let free = self.lower(cluster)?;
            if count == 1 {
                self.freed.pop();
            } else if let Some(last) = self.freed.last_mut() {
                last.1 = count - 1;
            }
            if !free {
                continue;
            }
            if cluster + 1 == hole.start {
                hole.start = cluster;
            } else {
                let len = (hole.end - hole.start) << bits;
                self.medium.punch(hole.start << bits, len);
                hole = cluster..cluster + 1;
            }
        }
        let len = (hole.end - hole.start) << bits;
        self.medium.punch(hole.start << bits, len);
        Ok(())
    }

    /// Sets bits of the incompatible features in the file.
    pub(super) fn set_incompatible(&mut self, features: u64) -> Result<(), DiskError> {
        if self.header.version >= 3 && self.header.incompatible != features {
            self.medium
                .write(header::AT_INCOMPATIBLE, &features.to_be_bytes())?;
            self.medium.sync()?;
            self.header.incompatible = features;
        }
        Ok(())
    }
}
