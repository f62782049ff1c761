//! Writes, zeroes and discards.

use ruse_event::Operation;

use super::Qcow2;
use super::cache::Slot;
use super::commit::MAX_FREED;
use super::entry::{COMPRESSED, COPIED, Entry, Kind, OFFSET};
use super::map::Run;
use super::refcount::Clusters;
use crate::DiskError;

/// How many zeroes are written at a time.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

impl Qcow2 {
    /// Stores `bytes`, which lie on the disk.
    pub(super) fn write(&mut self, mut offset: u64, mut bytes: &[u8]) -> Result<(), DiskError> {
        while !bytes.is_empty() {
            let run = self.map(offset, bytes.len() as u64)?;
            let done = if run.kind == Kind::Data && run.own {
                self.spare_tables(run.host, run.len)?;
                self.medium.write(run.host, &bytes[..run.len as usize])?;
                self.tell(Operation::Write, offset, run.len, Some(run.host), false);
                run.len
            } else {
                self.write_new(offset, &bytes[..run.len as usize], run)?
            };
            offset += done;
            bytes = &bytes[done as usize..];
        }
        Ok(())
    }

    /// Stores `bytes` where there is no cluster for them that may be written
    /// to. Returns how many, at least 1. Nothing is changed if it fails.
    fn write_new(&mut self, offset: u64, bytes: &[u8], run: Run) -> Result<u64, DiskError> {
        let cluster = self.header.cluster();
        let start = offset - self.header.in_cluster(offset);
        let l2 = self.own_l2(offset)?;
        if run.own {
            // A cluster that is this place's already, and reads as something
            // else, at least in part.
            let len = (bytes.len() as u64).min(start + cluster - offset);
            let slot = self.l2_table(l2)?;
            let host = self.entry(slot, self.entry_at(offset)).host();
            self.spare_tables(host, cluster)?;
            let here = Clusters {
                at: host,
                count: 1,
                fresh: false,
            };
            self.fill(offset, &bytes[..len as usize], here, run.kind)?;
            let entry = Entry::data(host, &self.header);
            let slot = self.l2_table(l2)?;
            self.set_entry(slot, self.entry_at(start), entry);
            self.tell(
                Operation::Write,
                offset,
                len,
                Some(host + offset - start),
                false,
            );
            return Ok(len);
        }
        let wanted = (offset + bytes.len() as u64 - start).div_ceil(cluster);
        self.keep_freed_short()?;
        let new = self.allocate(wanted)?;
        let len = (bytes.len() as u64).min(start + new.count * cluster - offset);
        if let Err(error) = self.fill(offset, &bytes[..len as usize], new, run.kind) {
            self.give_back(new);
            return Err(error);
        }
        self.link(l2, start, new)?;
        self.tell(
            Operation::Write,
            offset,
            len,
            Some(new.at + offset - start),
            true,
        );
        Ok(len)
    }

    /// Fills `clusters` with `bytes`, which belong at `offset`, and what is
    /// around them with what is there now.
    fn fill(
        &mut self,
        offset: u64,
        bytes: &[u8],
        clusters: Clusters,
        kind: Kind,
    ) -> Result<(), DiskError> {
        let cluster = self.header.cluster();
        let head = self.header.in_cluster(offset);
        let start = offset - head;
        let end = offset + bytes.len() as u64;
        let whole = clusters.count * cluster;
        let tail = start + whole - end;
        let zeroes = match kind {
            Kind::Zero => true,
            Kind::Absent => self.beneath_size() <= start,
            _ => false,
        };
        if (head == 0 && tail == 0) || (clusters.fresh && zeroes && !self.header.extended()) {
            return self.medium.write(clusters.at + head, bytes);
        }
        let mut bytes = bytes;
        let mut at = clusters.at;
        let mut from = start;
        if head != 0 || clusters.count == 1 {
            let len = (cluster - head).min(bytes.len() as u64);
            self.fill_one(from, at, head as usize, &bytes[..len as usize])?;
            bytes = &bytes[len as usize..];
            at += cluster;
            from += cluster;
        }
        let middle = bytes.len() as u64 / cluster * cluster;
        if middle != 0 {
            self.medium.write(at, &bytes[..middle as usize])?;
            bytes = &bytes[middle as usize..];
        }
        if !bytes.is_empty() {
            self.fill_one(from + middle, at + middle, 0, bytes)?;
        }
        Ok(())
    }

    /// Writes a cluster at `at` that reads as the one at `start` of the disk
    /// does now, but for `bytes`.
    fn fill_one(
        &mut self,
        start: u64,
        at: u64,
        head: usize,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        let cluster = self.header.cluster() as usize;
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(cluster, 0);
        // The last cluster may be longer than the disk.
        let there = self.size.saturating_sub(start).min(cluster as u64) as usize;
        let end = head + bytes.len();
        scratch[there..].fill(0);
        scratch[head..end].copy_from_slice(bytes);
        let done = self
            .read(start, &mut scratch[..head])
            .and_then(|()| match end < there {
                true => self.read(start + end as u64, &mut scratch[end..there]),
                false => Ok(()),
            })
            .and_then(|()| self.medium.write(at, &scratch));
        self.scratch = scratch;
        done
    }

    /// Makes the L2 table at `l2` name `new` for the disk from `start` on.
    fn link(&mut self, l2: u64, start: u64, new: Clusters) -> Result<(), DiskError> {
        let slot = self.l2_table(l2)?;
        let cluster = self.header.cluster();
        for number in 0..new.count {
            let at = self.entry_at(start + number * cluster);
            let old = self.entry(slot, at);
            let entry = Entry::data(new.at + number * cluster, &self.header);
            self.set_entry(slot, at, entry);
            self.unlink(old);
        }
        Ok(())
    }

    /// Remembers that what an L2 entry named is not named by it any more.
    pub(super) fn unlink(&mut self, old: Entry) {
        self.packed = None;
        if old.word & COMPRESSED != 0 {
            let (at, len) = old.compressed(&self.header);
            let bits = self.header.cluster_bits;
            let (first, last) = (at >> bits, (at + len - 1) >> bits);
            self.free_later(at, last - first + 1);
            // Its bytes may soon be others.
            self.inflated.entry = None;
        } else if old.host() != 0 {
            self.free_later(old.host(), 1);
        }
    }

    /// The place of an L2 table for `offset` that may be changed: it is made,
    /// or copied from that of a snapshot, if there is none.
    pub(super) fn own_l2(&mut self, offset: u64) -> Result<u64, DiskError> {
        let index = self.l1_index(offset);
        let old = self.l1[index];
        if Self::is_own(old) {
            return Ok(old & OFFSET);
        }
        let new = self.allocate(1)?;
        let slot = match self.new_l2(old & OFFSET) {
            Ok(slot) => slot,
            Err(error) => {
                self.give_back(new);
                return Err(error);
            }
        };
        let size = self.header.cluster() as usize;
        let empty = old & OFFSET == 0;
        self.l2.name(slot, new.at);
        // Of what was never written only the beginning, so that it is there.
        let changed = if new.fresh && empty { 0..1 } else { 0..size };
        self.l2.change(slot, changed);
        self.l1[index] = new.at | COPIED;
        self.l1_changed.insert(index);
        self.free_l2_later(old);
        self.tables.insert(new.at >> self.header.cluster_bits);
        Ok(new.at)
    }

    /// A cache slot with a copy of the L2 table at `old`, or with an empty
    /// one.
    fn new_l2(&mut self, old: u64) -> Result<Slot, DiskError> {
        if old != 0 {
            // The one in the cache becomes the new one: nobody here needs the
            // old one any more, and it has no changes.
            return self.l2_table(old);
        }
        let slot = match self.l2.room() {
            Some(slot) => slot,
            None => {
                self.commit()?;
                self.l2.room().expect("nothing is changed")
            }
        };
        self.l2.fill(slot).fill(0);
        Ok(slot)
    }

    /// Sees to it that the list of clusters to be freed stays short.
    pub(super) fn keep_freed_short(&mut self) -> Result<(), DiskError> {
        if self.freed.len() >= MAX_FREED {
            self.commit()?;
        }
        Ok(())
    }

    /// Makes a range of the disk read as zeroes; with `may_unmap` without
    /// keeping clusters for it.
    pub(super) fn zero(
        &mut self,
        mut offset: u64,
        len: u64,
        may_unmap: bool,
    ) -> Result<(), DiskError> {
        let cluster = self.header.cluster();
        let end = offset + len;
        // What is past the end of the disk is nobody's.
        let last = match end == self.size {
            true => end,
            false => end - self.header.in_cluster(end),
        };
        while offset < end {
            let inside = self.header.in_cluster(offset);
            let whole = inside == 0 && offset < last;
            let to = match (whole, inside) {
                (true, _) => last,
                (false, 0) => end,
                (false, _) => end.min(offset - inside + cluster),
            };
            let run = self.map(offset, to - offset)?;
            let here = offset + run.len;
            let reads_zero = run.kind == Kind::Zero
                || (run.kind == Kind::Absent && self.beneath_size() <= offset);
            offset = if !(whole && self.can_zero(may_unmap, offset)) {
                if !reads_zero {
                    self.write_zero_bytes(offset, run.len)?;
                }
                here
            } else if reads_zero && !(may_unmap && run.own) && (run.len >= cluster || here == to) {
                match here == to {
                    true => here,
                    false => here - self.header.in_cluster(here),
                }
            } else {
                let here = here.next_multiple_of(cluster).min(to);
                self.zero_clusters(offset, here, may_unmap)?;
                here
            };
        }
        Ok(())
    }

    /// Whether entries can say that clusters from `offset` on are zeroes.
    fn can_zero(&self, may_unmap: bool, offset: u64) -> bool {
        self.header.version >= 3 || (may_unmap && self.beneath_size() <= offset)
    }

    fn write_zero_bytes(&mut self, mut offset: u64, mut len: u64) -> Result<(), DiskError> {
        while len > 0 {
            let part = len.min(ZEROES.len() as u64);
            self.write(offset, &ZEROES[..part as usize])?;
            offset += part;
            len -= part;
        }
        Ok(())
    }

    /// Makes whole clusters of one L2 table, or the last one of the disk, read
    /// as zeroes.
    fn zero_clusters(&mut self, from: u64, to: u64, may_unmap: bool) -> Result<(), DiskError> {
        let cluster = self.header.cluster();
        self.keep_freed_short()?;
        let l2 = self.own_l2(from)?;
        let slot = self.l2_table(l2)?;
        let mut offset = from;
        while offset < to {
            let at = self.entry_at(offset);
            let old = self.entry(slot, at);
            let keep = !may_unmap && old.is_own();
            let new = if keep {
                Entry::zero(old.host(), &self.header)
            } else if self.beneath_size() <= offset {
                Entry::ABSENT
            } else {
                Entry::zero(0, &self.header)
            };
            if new != old {
                self.set_entry(slot, at, new);
                if !keep {
                    self.unlink(old);
                }
            }
            offset += cluster;
        }
        Ok(())
    }

    /// Gives back the whole clusters in a range of the disk. They read as
    /// zeroes then.
    pub(super) fn drop_clusters(&mut self, offset: u64, len: u64) -> Result<(), DiskError> {
        let cluster = self.header.cluster();
        let end = offset + len;
        let mut offset = offset.next_multiple_of(cluster);
        let end = match end == self.size {
            true => end,
            false => end - self.header.in_cluster(end),
        };
        while offset < end {
            let run = self.map(offset, end - offset)?;
            let here = (offset + run.len).next_multiple_of(cluster).min(end);
            let nothing = matches!(run.kind, Kind::Absent | Kind::Zero) && !run.own;
            if !nothing && self.can_zero(true, offset) {
                self.zero_clusters(offset, here, true)?;
            }
            offset = here;
        }
        Ok(())
    }
}
