//! From places on the disk to places in the file ("Cluster mapping").

use ruse_event::Operation;

use super::cache::Slot;
use super::entry::{COPIED, Entry, Kind, OFFSET};
use super::header::u64_at;
use super::{Beneath, Qcow2};
use crate::DiskError;

/// A range of the disk that is all of one kind, and in one piece in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub kind: Kind,
    /// Where its first byte is, if it is data.
    pub host: u64,
    /// There is a cluster in the file that belongs to this place alone: data
    /// may be written to it.
    pub own: bool,
    pub len: u64,
    /// The L2 entry, if it is compressed.
    pub word: u64,
}

impl Qcow2 {
    /// The L1 entry for `offset`.
    pub(super) fn l1_index(&self, offset: u64) -> usize {
        (offset >> (self.header.cluster_bits + self.header.l2_bits())) as usize
    }

    /// Where the entry for `offset` is in its L2 table.
    pub(super) fn entry_at(&self, offset: u64) -> usize {
        let index = offset >> self.header.cluster_bits & ((1 << self.header.l2_bits()) - 1);
        index as usize * self.entry_len()
    }

    pub(super) fn entry_len(&self) -> usize {
        if self.header.extended() { 16 } else { 8 }
    }

    pub(super) fn entry(&self, slot: Slot, at: usize) -> Entry {
        let bytes = self.l2.bytes(slot);
        Entry {
            word: u64_at(bytes, at),
            parts: match self.header.extended() {
                true => u64_at(bytes, at + 8),
                false => 0,
            },
        }
    }

    pub(super) fn set_entry(&mut self, slot: Slot, at: usize, entry: Entry) {
        let len = self.entry_len();
        let bytes = &mut self.l2.change(slot, at..at + len)[at..at + len];
        bytes[..8].copy_from_slice(&entry.word.to_be_bytes());
        if len == 16 {
            bytes[8..].copy_from_slice(&entry.parts.to_be_bytes());
        }
    }

    /// What is at `offset`, and for how long, but at most for `len`, which is
    /// not 0.
    pub(super) fn map(&mut self, offset: u64, len: u64) -> Result<Run, DiskError> {
        let table = self.header.cluster_bits + self.header.l2_bits();
        // Neither runs nor sizes reach the end of 64 bits.
        let len = len.min((((offset >> table) + 1) << table) - offset);
        let Some(l1) = self.l1.get(self.l1_index(offset)) else {
            return Err(self.medium.damaged(
                self.header.l1_offset,
                "the L1 table is too short for the disk",
            ));
        };
        let l2 = l1 & OFFSET;
        if l2 == 0 {
            return Ok(Run {
                kind: Kind::Absent,
                host: 0,
                own: false,
                len,
                word: 0,
            });
        }
        let slot = self.l2_table(l2)?;
        let mut run = self.piece(slot, offset).map_err(|problem| {
            self.medium
                .damaged(l2 + self.entry_at(offset) as u64, problem)
        })?;
        while run.len < len && run.kind != Kind::Compressed {
            match self.piece(slot, offset + run.len) {
                Ok(next)
                    if next.kind == run.kind
                        && next.own == run.own
                        && (run.kind != Kind::Data || next.host == run.host + run.len) =>
                {
                    run.len += next.len;
                }
                // What makes no sense will be met again.
                _ => break,
            }
        }
        run.len = run.len.min(len);
        Ok(run)
    }

    /// What is at `offset` up to the end of its cluster, or part of one.
    fn piece(&self, slot: Slot, offset: u64) -> Result<Run, &'static str> {
        let header = &self.header;
        let entry = self.entry(slot, self.entry_at(offset));
        let bits = header.cluster_bits - if header.extended() { 5 } else { 0 };
        let inside = header.in_cluster(offset);
        let part = if header.extended() { inside >> bits } else { 0 } as u32;
        let kind = entry
            .kind(part, header)
            .ok_or("an L2 entry contradicts itself")?;
        let host = entry.host();
        if header.in_cluster(host) != 0 {
            return Err("an L2 entry names no whole cluster");
        }
        let size = match kind {
            Kind::Compressed => header.cluster(),
            _ => 1 << bits,
        };
        Ok(Run {
            kind,
            host: if host == 0 { 0 } else { host + inside },
            own: entry.word & COPIED != 0 && host != 0,
            len: size - (offset & (size - 1)),
            word: entry.word,
        })
    }

    /// Fills `out`, which lies on the disk.
    pub(super) fn read(&mut self, mut offset: u64, mut out: &mut [u8]) -> Result<(), DiskError> {
        while !out.is_empty() {
            let run = self.map(offset, out.len() as u64)?;
            let (now, rest) = out.split_at_mut(run.len as usize);
            let host = (run.kind == Kind::Data).then_some(run.host);
            self.tell(Operation::Read, offset, run.len, host, false);
            match run.kind {
                Kind::Data => self.medium.read(run.host, now)?,
                Kind::Zero => now.fill(0),
                Kind::Absent => self.read_beneath(offset, now)?,
                Kind::Compressed => {
                    self.inflate(run.word)?;
                    let from = self.header.in_cluster(offset) as usize;
                    now.copy_from_slice(&self.inflated.bytes[from..from + now.len()]);
                }
            }
            offset += run.len;
            out = rest;
        }
        Ok(())
    }

    /// Fills `out` from what is under the image; past its end are zeroes.
    fn read_beneath(&mut self, offset: u64, out: &mut [u8]) -> Result<(), DiskError> {
        match &mut self.beneath {
            Beneath::Nothing => out.fill(0),
            Beneath::Missing => return Err(self.no_backing()),
            Beneath::Disk(disk) => {
                let there = disk.size().saturating_sub(offset).min(out.len() as u64);
                let (there, beyond) = out.split_at_mut(there as usize);
                beyond.fill(0);
                if !there.is_empty() {
                    disk.read_at(offset, there)
                        .map_err(|source| DiskError::Backing {
                            path: self.medium.storage().path().to_path_buf(),
                            source: Box::new(source),
                        })?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn no_backing(&self) -> DiskError {
        DiskError::Refused {
            path: self.path().to_path_buf(),
            problem: "is an overlay, and was opened without what is under it".into(),
        }
    }

    /// Where what is beneath ends; after it there are zeroes.
    pub(super) fn beneath_size(&self) -> u64 {
        match &self.beneath {
            Beneath::Nothing => 0,
            Beneath::Missing => u64::MAX,
            Beneath::Disk(disk) => disk.size(),
        }
    }
}
