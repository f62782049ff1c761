//! The software TLB, whose hit is a compare and a host access.
//!
//! There is one set of arrays for each way in which data and code may be
//! accessed ([`Mode`]), each with separate arrays for fetches, loads and
//! stores, so that a change of privilege or of `mstatus.SUM` switches arrays
//! instead of emptying them. An entry is only made where every access of its
//! kind to the whole page is allowed and has no side effect: RAM, allowed by
//! PMP, accessed (and dirty, for stores) in its page table, and, for stores,
//! without decoded code. Everything else takes the slow path of `mmu`.
//!
//! This module dereferences host addresses: what `Ram::host_page` gave stays
//! valid for as long as the RAM lives, and the hart holds the RAM.
#![allow(unsafe_code)]

use std::sync::atomic::{
    AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering,
};

use ruse_bus::{PAGE_SHIFT, PAGE_SIZE};

use crate::mmu::Access;
use crate::wide::Wide;

/// log2 of the entries in one array.
const INDEX_BITS: u32 = 9;
const ENTRIES: usize = 1 << INDEX_BITS;
/// No address has this tag: its low bits are never all set in a lookup.
const INVALID: u64 = u64::MAX;

/// One page's translation: the host address of a byte is its virtual address
/// plus `addend`. For fetches, which only find decoded code, it is the
/// guest-physical address.
#[derive(Clone, Copy)]
#[repr(C)]
struct Entry {
    tag: u64,
    addend: u64,
}

const EMPTY: Entry = Entry {
    tag: INVALID,
    addend: 0,
};

#[derive(Clone)]
#[repr(C)]
struct Array {
    entries: [Entry; ENTRIES],
    /// A bit for each entry whose mapping all address spaces share.
    global: [u64; ENTRIES / 64],
}

impl Array {
    const EMPTY: Self = Self {
        entries: [EMPTY; ENTRIES],
        global: [0; ENTRIES / 64],
    };

    fn flush(&mut self) {
        self.entries.fill(EMPTY);
        self.global.fill(0);
    }

    fn flush_local(&mut self) {
        for (chunk, global) in self.entries.chunks_mut(64).zip(self.global) {
            if global == 0 {
                chunk.fill(EMPTY);
                continue;
            }
            for (n, entry) in chunk.iter_mut().enumerate() {
                if global >> n & 1 == 0 {
                    *entry = EMPTY;
                }
            }
        }
    }
}

/// Ways to access memory that need separate translations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Mode {
    /// As U-mode.
    User,
    /// As S-mode, user pages out of reach.
    Supervisor,
    /// As S-mode with `mstatus.SUM` set.
    SupervisorUser,
    /// As M-mode: physical addresses.
    Machine,
}

const MODES: usize = 4;

#[derive(Clone)]
struct Set {
    arrays: [Box<Array>; 3],
    used: bool,
}

/// What a TLB without arrays holds.
static NOTHING: Array = Array::EMPTY;

/// The TLB of one hart.
pub(crate) struct Tlb {
    /// The arrays of the current data mode; they point into `sets`, or to
    /// [`NOTHING`].
    load: *const Array,
    store: *const Array,
    /// By mode; none where memory is reached otherwise.
    sets: Vec<Set>,
    wide: Option<Wide>,
    mode: Mode,
    fetch_mode: Mode,
    /// The span of virtual addresses mapped by leaves larger than a page, in
    /// the lower and in the upper half of the address space, since the last
    /// `flush_all`: decoded code may outlive the translations it came by.
    large: [(u64, u64); 2],
}

// SAFETY: the pointers lead into the boxes that the structure owns, and the
// host addresses in the entries belong to RAM that may be used from any thread.
unsafe impl Send for Tlb {}

/// A value that one load or store moves.
pub(crate) trait Scalar: Copy {
    /// Size in bytes.
    const SIZE: u64;
    /// # Safety
    /// `at` must be a valid, aligned address of guest RAM.
    unsafe fn load(at: *const u8) -> u64;
    /// # Safety
    /// `at` must be a valid, aligned address of guest RAM.
    unsafe fn store(at: *mut u8, value: u64);
}

macro_rules! scalar {
    ($($int:ty, $atomic:ty;)*) => {$(
        impl Scalar for $int {
            const SIZE: u64 = size_of::<$int>() as u64;
            #[inline(always)]
            unsafe fn load(at: *const u8) -> u64 {
                // SAFETY: the caller's promise.
                let raw = unsafe { (*at.cast::<$atomic>()).load(Ordering::Relaxed) };
                u64::from(<$int>::from_le(raw))
            }
            #[inline(always)]
            unsafe fn store(at: *mut u8, value: u64) {
                // SAFETY: the caller's promise.
                unsafe { (*at.cast::<$atomic>()).store((value as $int).to_le(), Ordering::Relaxed) };
            }
        }
    )*};
}
scalar! { u8, AtomicU8; u16, AtomicU16; u32, AtomicU32; u64, AtomicU64; }

/// What an AMO makes of the value in memory and its operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Amo {
    Swap,
    Add,
    Xor,
    And,
    Or,
    Min,
    Max,
    Minu,
    Maxu,
}

/// A value that an atomic instruction replaces.
pub(crate) trait Word: Scalar {
    /// The new value for `old` and `operand`, of which only the low bits count.
    fn apply(op: Amo, old: u64, operand: u64) -> u64;
    /// Executes `op` on the value at `at`; returns the old one, zero-extended.
    ///
    /// # Safety
    /// `at` must be a valid, aligned address of guest RAM.
    unsafe fn amo(at: *mut u8, op: Amo, operand: u64) -> u64;
    /// Replaces the value at `at` if it is `old`; returns what was there.
    ///
    /// # Safety
    /// `at` must be a valid, aligned address of guest RAM.
    unsafe fn exchange(at: *mut u8, old: u64, new: u64) -> u64;
    /// The value in register form.
    fn extend(value: u64) -> u64;
}

macro_rules! word {
    ($($int:ty, $signed:ty, $atomic:ty, $atomic_signed:ty;)*) => {$(
        impl Word for $int {
            #[inline(always)]
            fn apply(op: Amo, old: u64, operand: u64) -> u64 {
                let (old, operand) = (old as $int, operand as $int);
                u64::from(match op {
                    Amo::Swap => operand,
                    Amo::Add => old.wrapping_add(operand),
                    Amo::Xor => old ^ operand,
                    Amo::And => old & operand,
                    Amo::Or => old | operand,
                    Amo::Min => (old as $signed).min(operand as $signed) as $int,
                    Amo::Max => (old as $signed).max(operand as $signed) as $int,
                    Amo::Minu => old.min(operand),
                    Amo::Maxu => old.max(operand),
                })
            }

            #[inline(always)]
            unsafe fn amo(at: *mut u8, op: Amo, operand: u64) -> u64 {
                const ORDER: Ordering = Ordering::SeqCst;
                // SAFETY: the caller's promise.
                let place = unsafe { &*at.cast::<$atomic>() };
                // SAFETY: the caller's promise; the signed type has the same
                // size and alignment.
                let signed = unsafe { &*at.cast::<$atomic_signed>() };
                let value = operand as $int;
                let swapped = cfg!(target_endian = "big");
                u64::from(match op {
                    Amo::Swap => <$int>::from_le(place.swap(value.to_le(), ORDER)),
                    Amo::Xor => <$int>::from_le(place.fetch_xor(value.to_le(), ORDER)),
                    Amo::And => <$int>::from_le(place.fetch_and(value.to_le(), ORDER)),
                    Amo::Or => <$int>::from_le(place.fetch_or(value.to_le(), ORDER)),
                    _ if swapped => {
                        let new = |old: $int| {
                            let old = u64::from(<$int>::from_le(old));
                            Some((Self::apply(op, old, operand) as $int).to_le())
                        };
                        let (Ok(old) | Err(old)) = place.fetch_update(ORDER, ORDER, new);
                        <$int>::from_le(old)
                    }
                    Amo::Add => place.fetch_add(value, ORDER),
                    Amo::Min => signed.fetch_min(value as $signed, ORDER) as $int,
                    Amo::Max => signed.fetch_max(value as $signed, ORDER) as $int,
                    Amo::Minu => place.fetch_min(value, ORDER),
                    Amo::Maxu => place.fetch_max(value, ORDER),
                })
            }

            #[inline(always)]
            unsafe fn exchange(at: *mut u8, old: u64, new: u64) -> u64 {
                // SAFETY: the caller's promise.
                let place = unsafe { &*at.cast::<$atomic>() };
                let (old, new) = ((old as $int).to_le(), (new as $int).to_le());
                let (Ok(found) | Err(found)) =
                    place.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst);
                u64::from(<$int>::from_le(found))
            }

            #[inline(always)]
            fn extend(value: u64) -> u64 {
                value as $signed as i64 as u64
            }
        }
    )*};
}
word! { u32, i32, AtomicU32, AtomicI32; u64, i64, AtomicU64, AtomicI64; }

/// Spreads pages whose numbers differ by a power of two.
#[inline(always)]
fn index(va: u64) -> usize {
    ((va >> PAGE_SHIFT) ^ (va >> (PAGE_SHIFT + INDEX_BITS))) as usize & (ENTRIES - 1)
}

/// The tag that an access at `va` must find; a misaligned one finds none.
#[inline(always)]
fn tag(va: u64, size: u64) -> u64 {
    va & (!(PAGE_SIZE - 1) | (size - 1))
}

impl Tlb {
    pub(crate) fn new() -> Self {
        let array = || Box::new(Array::EMPTY);
        let set = |_| Set {
            arrays: [array(), array(), array()],
            used: false,
        };
        Self::of((0..MODES).map(set).collect(), Some(Wide::new()))
    }

    /// A TLB that stays empty.
    pub(crate) fn none() -> Self {
        Self::of(Vec::new(), None)
    }

    fn of(sets: Vec<Set>, wide: Option<Wide>) -> Self {
        let mut tlb = Self {
            load: &raw const NOTHING,
            store: &raw const NOTHING,
            sets,
            wide,
            mode: Mode::Machine,
            fetch_mode: Mode::Machine,
            large: [(u64::MAX, 0); 2],
        };
        tlb.select(Mode::Machine, Mode::Machine);
        tlb
    }

    /// Switches to the arrays of these modes.
    #[inline]
    pub(crate) fn select(&mut self, data: Mode, fetch: Mode) {
        self.mode = data;
        self.fetch_mode = fetch;
        if let Some(set) = self.sets.get(data as usize) {
            self.load = &raw const *set.arrays[Access::Load as usize];
            self.store = &raw const *set.arrays[Access::Store as usize];
        }
    }

    /// Loads from `va` if its page is at hand and the access is aligned.
    #[inline(always)]
    pub(crate) fn load<T: Scalar>(&self, va: u64) -> Option<u64> {
        // SAFETY: `select` points `load` at a live array; `index` is in range.
        let entry = unsafe { &(&*self.load).entries[index(va)] };
        if entry.tag == tag(va, T::SIZE) {
            // SAFETY: the entry maps the page of `va` to host RAM, and the
            // tag proves alignment, so the access ends inside the page.
            Some(unsafe { T::load(va.wrapping_add(entry.addend) as *const u8) })
        } else {
            None
        }
    }

    /// Stores to `va` if its page is at hand and the access is aligned.
    #[inline(always)]
    pub(crate) fn store<T: Scalar>(&self, va: u64, value: u64) -> bool {
        // SAFETY: as in `load`.
        let entry = unsafe { &(&*self.store).entries[index(va)] };
        if entry.tag == tag(va, T::SIZE) {
            // SAFETY: as in `load`.
            unsafe { T::store(va.wrapping_add(entry.addend) as *mut u8, value) };
            true
        } else {
            false
        }
    }

    /// The host address behind `va` if its page is at hand for loads, or for
    /// stores, and the access is aligned.
    #[inline(always)]
    pub(crate) fn place<T: Scalar>(&self, va: u64, access: Access) -> Option<u64> {
        let array = match access {
            Access::Store => self.store,
            _ => self.load,
        };
        // SAFETY: as in `load`.
        let entry = unsafe { &(&*array).entries[index(va)] };
        (entry.tag == tag(va, T::SIZE)).then(|| va.wrapping_add(entry.addend))
    }

    /// Executes an AMO at `va` if its page is at hand for stores, which can
    /// then be loaded too, and the access is aligned.
    #[inline(always)]
    pub(crate) fn amo<T: Word>(&self, va: u64, op: Amo, operand: u64) -> Option<u64> {
        let at = self.place::<T>(va, Access::Store)?;
        // SAFETY: as in `store`.
        Some(unsafe { T::amo(at as *mut u8, op, operand) })
    }

    /// Replaces the value at `va` by `new` if it is `old`, and returns what was
    /// there, under the same conditions.
    #[inline(always)]
    pub(crate) fn exchange<T: Word>(&self, va: u64, old: u64, new: u64) -> Option<u64> {
        let at = self.place::<T>(va, Access::Store)?;
        // SAFETY: as in `store`.
        Some(unsafe { T::exchange(at as *mut u8, old, new) })
    }

    fn array(&mut self, access: Access) -> Option<&mut Array> {
        let mode = if access == Access::Fetch {
            self.fetch_mode
        } else {
            self.mode
        };
        let set = self.sets.get_mut(mode as usize)?;
        set.used = true;
        Some(&mut set.arrays[access as usize])
    }

    /// The guest-physical address behind a fetch at `va`, if its page is at
    /// hand.
    #[inline]
    pub(crate) fn fetch(&self, va: u64) -> Option<u64> {
        let set = self.sets.get(self.fetch_mode as usize)?;
        let entry = &set.arrays[Access::Fetch as usize].entries[index(va)];
        (entry.tag == va & !(PAGE_SIZE - 1)).then(|| va.wrapping_add(entry.addend))
    }

    /// Whether the page that was last fetched from at `va` is shared by all
    /// address spaces.
    pub(crate) fn is_global_fetch(&self, va: u64) -> bool {
        let Some(set) = self.sets.get(self.fetch_mode as usize) else {
            return false;
        };
        let array = &set.arrays[Access::Fetch as usize];
        let at = index(va);
        array.entries[at].tag == va & !(PAGE_SIZE - 1)
            && array.global[at / 64] >> (at % 64) & 1 != 0
    }

    /// Keeps the page of `va` at hand for accesses of one kind in the current
    /// mode. `to` is the host address of that page, for fetches the guest's;
    /// `leaf` the size in bytes of the mapping that it is part of, `global`
    /// whether all address spaces have it.
    pub(crate) fn fill(&mut self, va: u64, access: Access, to: u64, leaf: u64, global: bool) {
        let page = va & !(PAGE_SIZE - 1);
        if leaf > PAGE_SIZE {
            let (low, high) = &mut self.large[(va >> 63) as usize];
            *low = (*low).min(va & !(leaf - 1));
            *high = (*high).max(va | (leaf - 1));
        }
        let addend = to.wrapping_sub(page);
        if access != Access::Fetch {
            let mode = self.mode;
            if let Some(wide) = &mut self.wide {
                wide.fill(va, mode, access, addend, global);
            }
        }
        self.put(va, access, addend, global);
    }

    /// Brings the page of `va` back to hand for loads or stores, if it was
    /// there before.
    pub(crate) fn refill(&mut self, va: u64, access: Access) -> bool {
        let found = self
            .wide
            .as_ref()
            .and_then(|wide| wide.find(va, self.mode, access));
        if let Some((addend, global)) = found {
            self.put(va, access, addend, global);
        }
        found.is_some()
    }

    fn put(&mut self, va: u64, access: Access, addend: u64, global: bool) {
        let page = va & !(PAGE_SIZE - 1);
        let at = index(va);
        let Some(array) = self.array(access) else {
            return;
        };
        array.entries[at] = Entry { tag: page, addend };
        let (word, bit) = (at / 64, 1 << (at % 64));
        if global {
            array.global[word] |= bit;
        } else {
            array.global[word] &= !bit;
        }
    }

    /// Forgets all translations, and that there were large pages.
    pub(crate) fn flush_all(&mut self) {
        self.flush();
        self.large = [(u64::MAX, 0); 2];
    }

    /// Forgets all translations.
    pub(crate) fn flush(&mut self) {
        if let Some(wide) = &mut self.wide {
            wide.flush();
        }
        for set in self.sets.iter_mut().filter(|set| set.used) {
            for array in &mut set.arrays {
                array.flush();
            }
            set.used = false;
        }
    }

    /// Forgets the translations that are not shared by all address spaces.
    pub(crate) fn flush_local(&mut self) {
        if let Some(wide) = &mut self.wide {
            wide.flush_local();
        }
        for set in self.sets.iter_mut().filter(|set| set.used) {
            for array in &mut set.arrays {
                array.flush_local();
            }
        }
    }

    /// Forgets the mapping that covers `va`. True if that may have been a
    /// large page: then all translations are gone.
    pub(crate) fn flush_page(&mut self, va: u64) -> bool {
        let (low, high) = self.large[(va >> 63) as usize];
        if (low..=high).contains(&va) {
            self.flush();
            return true;
        }
        if let Some(wide) = &mut self.wide {
            wide.flush_page(va);
        }
        let page = va & !(PAGE_SIZE - 1);
        for array in self.sets.iter_mut().flat_map(|set| &mut set.arrays) {
            let entry = &mut array.entries[index(va)];
            if entry.tag == page {
                *entry = EMPTY;
            }
        }
        false
    }

    /// Forgets the stores to the page at `host`.
    pub(crate) fn guard(&mut self, host: u64) {
        if let Some(wide) = &mut self.wide {
            wide.flush_stores();
        }
        for set in &mut self.sets {
            for entry in &mut set.arrays[Access::Store as usize].entries {
                if entry.tag.wrapping_add(entry.addend) == host {
                    *entry = EMPTY;
                }
            }
        }
    }

    /// Forgets all stores.
    pub(crate) fn guard_all(&mut self) {
        if let Some(wide) = &mut self.wide {
            wide.flush_stores();
        }
        for set in &mut self.sets {
            set.arrays[Access::Store as usize].flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_aligned_and_modes_are_apart() {
        let mut page = [0u64; 512];
        page[1] = 0x1122_3344_5566_7788;
        let host = page.as_mut_ptr() as u64;
        let mut tlb = Tlb::new();
        tlb.select(Mode::User, Mode::User);
        tlb.fill(0x7000, Access::Load, host, PAGE_SIZE, false);
        assert_eq!(tlb.load::<u64>(0x7008), Some(0x1122_3344_5566_7788));
        assert_eq!(tlb.load::<u16>(0x700a), Some(0x5566));
        assert_eq!(tlb.load::<u16>(0x7009), None);
        assert_eq!(tlb.load::<u8>(0x7fff), Some(0));
        assert_eq!(tlb.load::<u8>(0x8000), None);
        assert!(!tlb.store::<u8>(0x7000, 1));
        tlb.select(Mode::Supervisor, Mode::Supervisor);
        assert_eq!(tlb.load::<u64>(0x7008), None);
        tlb.select(Mode::User, Mode::User);
        tlb.flush_page(0x7abc);
        assert_eq!(tlb.load::<u64>(0x7008), None);
        tlb.fill(0x7000, Access::Store, host, PAGE_SIZE, false);
        assert!(tlb.store::<u32>(0x7004, 5));
        assert_eq!(page[0], 5 << 32);
        tlb.guard(host);
        assert!(!tlb.store::<u32>(0x7004, 5));
    }

    #[test]
    fn a_fence_for_one_address_covers_its_large_page() {
        let mut page = [0u64; 512];
        let host = page.as_mut_ptr() as u64;
        let mut tlb = Tlb::new();
        tlb.fill(0x40_3000, Access::Load, host, 2 << 20, false);
        tlb.fill(0x90_0000, Access::Load, host, PAGE_SIZE, false);
        tlb.flush_page(0x90_0000);
        assert!(tlb.load::<u8>(0x40_3000).is_some());
        tlb.flush_page(0x5f_f000);
        assert!(tlb.load::<u8>(0x40_3000).is_none());
    }

    #[test]
    fn global_translations_outlive_a_change_of_address_space() {
        let mut page = [0u64; 512];
        let host = page.as_mut_ptr() as u64;
        let mut tlb = Tlb::new();
        tlb.fill(0x7000, Access::Load, host, PAGE_SIZE, false);
        tlb.fill(0x8000, Access::Load, host, PAGE_SIZE, true);
        tlb.flush_local();
        assert!(tlb.load::<u8>(0x7000).is_none());
        assert!(tlb.load::<u8>(0x8000).is_some());
        tlb.fill(0x8000, Access::Load, host, PAGE_SIZE, false);
        tlb.flush_local();
        assert!(tlb.load::<u8>(0x8000).is_none());
    }

    #[test]
    fn the_invalid_tag_matches_nothing() {
        let tlb = Tlb::new();
        assert_eq!(tlb.load::<u64>(u64::MAX), None);
        assert_eq!(tlb.load::<u8>(u64::MAX), None);
    }
}
