//! The second level of the TLB: more translations than the arrays of `tlb`
//! hold, looked at before page tables are.
//!
//! Entries of all modes and kinds of access share one array. They are not
//! wiped but outdated: each has the stamp that was current for its kind when
//! it was made.

use ruse_bus::{PAGE_SHIFT, PAGE_SIZE};

use crate::mmu::Access;
use crate::tlb::Mode;

/// log2 of the entries.
const BITS: u32 = 12;

#[derive(Clone, Copy)]
struct Entry {
    /// The page, and in the bits of the offset the mode and the access.
    tag: u64,
    addend: u64,
    /// No stamp is 0.
    stamp: u64,
}

const EMPTY: Entry = Entry {
    tag: 0,
    addend: 0,
    stamp: 0,
};

/// The current stamps of translations of one address space, and of those that
/// all of them share.
#[derive(Clone, Copy)]
struct Stamps {
    local: u64,
    global: u64,
}

/// The second level of one hart's TLB.
pub(crate) struct Wide {
    entries: Box<[Entry]>,
    /// Of loads and of stores: fetches are few.
    stamps: [Stamps; 2],
    last: u64,
}

fn tag(va: u64, mode: Mode, access: Access) -> u64 {
    va & !(PAGE_SIZE - 1) | (mode as u64) << 2 | access as u64
}

fn index(va: u64) -> usize {
    ((va >> PAGE_SHIFT) ^ (va >> (PAGE_SHIFT + BITS))) as usize & ((1 << BITS) - 1)
}

impl Wide {
    pub(crate) fn new() -> Self {
        let mut wide = Self {
            entries: vec![EMPTY; 1 << BITS].into(),
            stamps: [Stamps {
                local: 0,
                global: 0,
            }; 2],
            last: 0,
        };
        wide.flush();
        wide
    }

    fn stamp(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn kind(access: Access) -> usize {
        usize::from(access == Access::Store)
    }

    /// What is to be added to `va`, and whether all address spaces share it.
    pub(crate) fn find(&self, va: u64, mode: Mode, access: Access) -> Option<(u64, bool)> {
        let entry = &self.entries[index(va)];
        let stamps = self.stamps[Self::kind(access)];
        if entry.tag != tag(va, mode, access) {
            return None;
        }
        let global = entry.stamp == stamps.global;
        (global || entry.stamp == stamps.local).then_some((entry.addend, global))
    }

    /// Keeps a translation.
    pub(crate) fn fill(&mut self, va: u64, mode: Mode, access: Access, addend: u64, global: bool) {
        let stamps = self.stamps[Self::kind(access)];
        self.entries[index(va)] = Entry {
            tag: tag(va, mode, access),
            addend,
            stamp: if global { stamps.global } else { stamps.local },
        };
    }

    /// Forgets everything.
    pub(crate) fn flush(&mut self) {
        self.flush_local();
        self.stamps[0].global = self.stamp();
        self.stamps[1].global = self.stamp();
    }

    /// Forgets what is not shared by all address spaces.
    pub(crate) fn flush_local(&mut self) {
        self.stamps[0].local = self.stamp();
        self.stamps[1].local = self.stamp();
    }

    /// Forgets all stores.
    pub(crate) fn flush_stores(&mut self) {
        self.stamps[1].local = self.stamp();
        self.stamps[1].global = self.stamp();
    }

    /// Forgets the page of `va`.
    pub(crate) fn flush_page(&mut self, va: u64) {
        let entry = &mut self.entries[index(va)];
        if (entry.tag ^ va) >> PAGE_SHIFT == 0 {
            *entry = EMPTY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_until_their_kind_is_forgotten() {
        let mut wide = Wide::new();
        let found = |wide: &Wide, va, access| wide.find(va, Mode::User, access);
        let fill = |wide: &mut Wide| {
            wide.fill(0x1000, Mode::User, Access::Load, 1, false);
            wide.fill(0x2000, Mode::User, Access::Load, 2, true);
            wide.fill(0x3000, Mode::User, Access::Store, 3, false);
            wide.fill(0x4000, Mode::User, Access::Store, 4, true);
        };
        let all = |wide: &Wide| {
            [
                found(wide, 0x1abc, Access::Load),
                found(wide, 0x2000, Access::Load),
                found(wide, 0x3fff, Access::Store),
                found(wide, 0x4000, Access::Store),
            ]
        };
        let (a, b, c, d) = (
            Some((1, false)),
            Some((2, true)),
            Some((3, false)),
            Some((4, true)),
        );
        fill(&mut wide);
        assert_eq!(all(&wide), [a, b, c, d]);
        assert_eq!(found(&wide, 0x1000, Access::Store), None);
        assert_eq!(wide.find(0x1000, Mode::Supervisor, Access::Load), None);
        wide.flush_local();
        assert_eq!(all(&wide), [None, b, None, d]);
        fill(&mut wide);
        wide.flush_stores();
        assert_eq!(all(&wide), [a, b, None, None]);
        fill(&mut wide);
        wide.flush_page(0x2777);
        assert_eq!(all(&wide), [a, None, c, d]);
        wide.flush();
        assert_eq!(all(&wide), [None; 4]);
    }

    #[test]
    fn a_new_one_is_empty() {
        assert_eq!(Wide::new().find(0, Mode::User, Access::Load), None);
        assert_eq!(Wide::new().find(0, Mode::User, Access::Fetch), None);
    }
}
