//! Tables of the image kept in memory: L2 tables and refcount blocks.

use std::collections::HashMap;
use std::ops::Range;

/// The table `.0` of a [`Cache`]; good until the next [`Cache::room`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

struct Table {
    /// Its place in the image; `None` if the slot is empty.
    at: Option<u64>,
    bytes: Box<[u8]>,
    /// What must still be written, in bytes; empty if nothing.
    dirty: Range<usize>,
    /// Asked for since the hand last passed.
    used: bool,
}

/// A bounded number of tables of one cluster each. Which to forget is decided
/// by the clock algorithm; a table with changes is never forgotten.
pub struct Cache {
    tables: Vec<Table>,
    index: HashMap<u64, usize>,
    /// The table asked for last, which is mostly the one asked for next.
    last: (u64, usize),
    hand: usize,
    size: usize,
    capacity: usize,
    dirty: usize,
}

impl Cache {
    /// Room for `bytes` of tables of `size` bytes, at least for four.
    pub fn new(size: usize, bytes: usize) -> Self {
        Self {
            tables: Vec::new(),
            index: HashMap::new(),
            last: (u64::MAX, 0),
            hand: 0,
            size,
            capacity: (bytes / size).max(4),
            dirty: 0,
        }
    }

    /// The table at `at`, if it is here.
    pub fn find(&mut self, at: u64) -> Option<Slot> {
        if self.last.0 != at {
            self.last = (at, *self.index.get(&at)?);
        }
        self.tables[self.last.1].used = true;
        Some(Slot(self.last.1))
    }

    /// An empty slot, to be filled and then [named](Self::name). `None` if
    /// changes must be written first.
    pub fn room(&mut self) -> Option<Slot> {
        if self.tables.len() < self.capacity {
            // One that was left empty when reading failed is at the end.
            if self.tables.last().is_none_or(|table| table.at.is_some()) {
                self.tables.push(Table {
                    at: None,
                    bytes: vec![0; self.size].into(),
                    dirty: 0..0,
                    used: false,
                });
            }
            return Some(Slot(self.tables.len() - 1));
        }
        // With many changes the hand would go far for every table.
        if self.dirty > self.capacity / 4 * 3 {
            return None;
        }
        for _ in 0..2 * self.tables.len() {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.tables.len();
            let table = &mut self.tables[at];
            if table.dirty.is_empty() && !std::mem::take(&mut table.used) {
                if let Some(old) = table.at.take() {
                    self.index.remove(&old);
                }
                self.last.0 = u64::MAX;
                return Some(Slot(at));
            }
        }
        None
    }

    /// Says that a slot now holds the table at `at`.
    pub fn name(&mut self, slot: Slot, at: u64) {
        let table = &mut self.tables[slot.0];
        if let Some(old) = table.at.replace(at) {
            self.index.remove(&old);
        }
        table.used = true;
        self.index.insert(at, slot.0);
        self.last = (at, slot.0);
    }

    /// A table's bytes.
    pub fn bytes(&self, slot: Slot) -> &[u8] {
        &self.tables[slot.0].bytes
    }

    /// A table's bytes, to be filled.
    pub fn fill(&mut self, slot: Slot) -> &mut [u8] {
        &mut self.tables[slot.0].bytes
    }

    /// A table's bytes, of which `range` is to be changed.
    pub fn change(&mut self, slot: Slot, range: Range<usize>) -> &mut [u8] {
        let table = &mut self.tables[slot.0];
        if table.dirty.is_empty() {
            self.dirty += 1;
            table.dirty = range;
        } else {
            table.dirty = table.dirty.start.min(range.start)..table.dirty.end.max(range.end);
        }
        &mut table.bytes
    }

    /// The tables with changes.
    pub fn changed(&self) -> Vec<Slot> {
        if self.dirty == 0 {
            return Vec::new();
        }
        let mut slots: Vec<Slot> = (0..self.tables.len())
            .filter(|&slot| !self.tables[slot].dirty.is_empty())
            .map(Slot)
            .collect();
        // In the order of the file.
        slots.sort_by_key(|slot| self.tables[slot.0].at);
        slots
    }

    /// Whether there are changes.
    pub fn is_changed(&self) -> bool {
        self.dirty != 0
    }

    /// What must be written of a table: where to, and the bytes.
    pub fn change_of(&self, slot: Slot) -> Option<(u64, &[u8])> {
        let table = &self.tables[slot.0];
        // Whole sectors, which disks store at once.
        let from = table.dirty.start & !511;
        let to = table.dirty.end.next_multiple_of(512).min(table.bytes.len());
        (!table.dirty.is_empty()).then_some((table.at? + from as u64, &table.bytes[from..to]))
    }

    /// Says that a table's changes were written.
    pub fn written(&mut self, slot: Slot) {
        let table = &mut self.tables[slot.0];
        if !table.dirty.is_empty() {
            table.dirty = 0..0;
            self.dirty -= 1;
        }
    }

    /// Forgets everything, changes too.
    pub fn clear(&mut self) {
        *self = Self::new(self.size, self.capacity * self.size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_what_is_old_and_never_what_changed() {
        let mut cache = Cache::new(512, 0);
        for at in 0..4 {
            let slot = cache.room().unwrap();
            cache.fill(slot).fill(at as u8);
            cache.name(slot, at * 512);
        }
        let first = cache.find(0).unwrap();
        cache.change(first, 3..4)[3] = 9;
        for at in 4..40 {
            let slot = cache.room().unwrap();
            cache.fill(slot).fill(at as u8);
            cache.name(slot, at * 512);
            let first = cache.find(0).unwrap();
            assert_eq!(cache.bytes(first)[3], 9);
        }
        let held = (0..40).filter(|at| cache.find(at * 512).is_some()).count();
        assert_eq!(held, 4);
        assert_eq!(cache.changed(), [first]);
        let (at, bytes) = cache.change_of(first).unwrap();
        assert_eq!((at, bytes.len()), (0, 512));
        cache.written(first);
        assert!(cache.changed().is_empty());
    }
}
