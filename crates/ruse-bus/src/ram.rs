//! Guest RAM: one lazily reserved host mapping behind checked accessors.
//!
//! Other harts, devices and host threads may touch guest memory at any time,
//! so every access here is a relaxed atomic access or a copy through raw
//! pointers; no Rust reference into guest memory is ever formed.
#![allow(unsafe_code)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use thiserror::Error;

use crate::device::{AccessFault, Width};

/// log2 of the guest page size.
pub const PAGE_SHIFT: u32 = 12;
/// The guest page size, in bytes.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;
/// log2 of the granule in which decoded code is tracked: 64 lines a page.
pub const LINE_SHIFT: u32 = 6;

/// Why RAM could not be made.
#[derive(Debug, Error)]
pub enum RamError {
    /// The size or the base is not a multiple of the page size, or is zero.
    #[error(
        "RAM of {size:#x} bytes at {base:#x}: base and size must be non-zero multiples of 4096 and end below 2^56"
    )]
    Shape {
        /// Guest-physical base.
        base: u64,
        /// Size in bytes.
        size: u64,
    },
    /// The host would not reserve the address space.
    #[error("the host cannot reserve {size:#x} bytes for guest RAM: {source}")]
    Host {
        /// Size in bytes.
        size: u64,
        /// What the host said.
        source: std::io::Error,
    },
}

/// The guest's memory: `size` bytes from guest-physical `base`.
pub struct Ram {
    base: u64,
    size: u64,
    host: *mut u8,
    _backing: Backing,
    /// Per page, a bit for each 64-byte line that holds decoded code.
    code: Box<[AtomicU64]>,
    /// Per page, how many more stores beside its code it takes until that is
    /// dropped, and in the top byte how often that has happened.
    patience: Box<[AtomicU32]>,
    /// Pages whose decoded code was overwritten.
    stale: PageNews,
    /// Pages that came to hold decoded code.
    guarded: PageNews,
}

/// Stores beside a page's decoded code before that is dropped the first time.
const PATIENCE: u32 = 32;

/// How many pages a [`PageNews`] remembers.
const NEWS: usize = 4096;

/// A bounded list of pages that something happened to; each hart remembers
/// how far it has read.
#[derive(Default)]
struct PageNews {
    /// The newest pages, at most [`NEWS`], by sequence number modulo that.
    ring: Mutex<Vec<u64>>,
    /// How many there have been in all.
    count: AtomicU64,
}

/// What happened to guest pages since one last asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pages {
    /// These guest-physical pages, and no others, were affected.
    Some(Vec<u64>),
    /// Too many to tell: any page may have been.
    All,
}

impl PageNews {
    fn push(&self, page: u64) {
        let mut ring = self.ring.lock().unwrap_or_else(|e| e.into_inner());
        let count = self.count.load(Ordering::Relaxed);
        match ring.get_mut(count as usize % NEWS) {
            Some(slot) => *slot = page,
            None => ring.push(page),
        }
        self.count.store(count + 1, Ordering::Release);
    }

    #[inline]
    fn since(&self, seen: &mut u64) -> Option<Pages> {
        (self.count.load(Ordering::Acquire) != *seen).then(|| self.collect(seen))
    }

    #[cold]
    fn collect(&self, seen: &mut u64) -> Pages {
        let ring = self.ring.lock().unwrap_or_else(|e| e.into_inner());
        let count = self.count.load(Ordering::Relaxed);
        let from = std::mem::replace(seen, count);
        if count - from > NEWS as u64 {
            return Pages::All;
        }
        Pages::Some((from..count).map(|n| ring[n as usize % NEWS]).collect())
    }
}

// SAFETY: `host` points into `_backing`, which lives as long as `Ram` and is
// not moved; all accesses through it are atomic or raw copies.
unsafe impl Send for Ram {}
// SAFETY: as above; the other fields are themselves `Sync`.
unsafe impl Sync for Ram {}

#[cfg(any(unix, windows))]
type Backing = memmap2::MmapMut;
#[cfg(not(any(unix, windows)))]
type Backing = Vec<u64>;

/// Reserves `size` bytes of zeroes.
#[cfg(any(unix, windows))]
fn reserve(size: u64) -> std::io::Result<(Backing, *mut u8)> {
    let len = usize::try_from(size).map_err(std::io::Error::other)?;
    let mut map = memmap2::MmapOptions::new()
        .len(len)
        .no_reserve_swap()
        .map_anon()?;
    let host = map.as_mut_ptr();
    Ok((map, host))
}

#[cfg(not(any(unix, windows)))]
fn reserve(size: u64) -> std::io::Result<(Backing, *mut u8)> {
    let len = usize::try_from(size / 8).map_err(std::io::Error::other)?;
    let mut words = vec![0u64; len];
    let host = words.as_mut_ptr().cast();
    Ok((words, host))
}

impl Ram {
    /// Reserves `size` bytes of RAM at guest-physical `base`. The host pays
    /// for the pages that are touched.
    ///
    /// # Errors
    /// [`RamError`] when the shape is not page-aligned or the host refuses.
    pub fn new(base: u64, size: u64) -> Result<Self, RamError> {
        Self::behind(0, base, size)
    }

    /// RAM with `head` bytes of zeroes, a multiple of the page size, in host
    /// memory right before it.
    ///
    /// # Errors
    /// As [`Ram::new`].
    pub(crate) fn behind(head: u64, base: u64, size: u64) -> Result<Self, RamError> {
        let end = base.checked_add(size);
        if size == 0
            || !size.is_multiple_of(PAGE_SIZE)
            || !base.is_multiple_of(PAGE_SIZE)
            || end.is_none_or(|end| end > 1 << 56)
        {
            return Err(RamError::Shape { base, size });
        }
        let (backing, host) =
            reserve(head + size).map_err(|source| RamError::Host { size, source })?;
        // SAFETY: the reservation begins with the head.
        let host = unsafe { host.add(head as usize) };
        let pages = (size >> PAGE_SHIFT) as usize;
        // A vector of zeroed integers comes from the allocator's zero pages,
        // so that this table too costs only what is touched.
        let code = vec![0u64; pages].into_boxed_slice();
        // SAFETY: AtomicU64 has the size, alignment and validity of u64.
        let code = unsafe { Box::from_raw(Box::into_raw(code) as *mut [AtomicU64]) };
        let patience = vec![0u32; pages].into_boxed_slice();
        // SAFETY: AtomicU32 has the size, alignment and validity of u32.
        let patience = unsafe { Box::from_raw(Box::into_raw(patience) as *mut [AtomicU32]) };
        Ok(Self {
            base,
            size,
            host,
            _backing: backing,
            code,
            patience,
            stale: PageNews::default(),
            guarded: PageNews::default(),
        })
    }

    /// Guest-physical address of the first byte.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether all of `len` bytes at guest-physical `pa` are RAM.
    #[inline]
    pub fn contains(&self, pa: u64, len: u64) -> bool {
        let offset = pa.wrapping_sub(self.base);
        offset < self.size && len <= self.size - offset
    }

    /// The host address of the RAM byte at `pa`, for the hart's TLB. Valid
    /// for as long as this `Ram` lives, to the end of the guest page.
    #[inline]
    pub fn host_page(&self, pa: u64) -> Option<*mut u8> {
        let offset = (pa & !(PAGE_SIZE - 1)).wrapping_sub(self.base);
        // SAFETY: the offset lies inside the mapping.
        (offset < self.size).then(|| unsafe { self.host.add(offset as usize) })
    }

    fn at(&self, pa: u64, len: u64) -> Result<*mut u8, AccessFault> {
        if !self.contains(pa, len) {
            return Err(AccessFault);
        }
        // SAFETY: `contains` proved that the range lies inside the mapping.
        Ok(unsafe { self.host.add((pa - self.base) as usize) })
    }

    /// Loads a value of `width` bytes, naturally aligned, in one piece.
    ///
    /// # Errors
    /// [`AccessFault`] outside RAM or when misaligned.
    pub fn load(&self, pa: u64, width: Width) -> Result<u64, AccessFault> {
        let at = self.at(pa, width.bytes())?;
        if pa & (width.bytes() - 1) != 0 {
            return Err(AccessFault);
        }
        // SAFETY: in bounds (`at`) and aligned: the mapping is page-aligned
        // and so is `base`.
        unsafe {
            Ok(match width {
                Width::B1 => u64::from((*at.cast::<AtomicU8>()).load(Ordering::Relaxed)),
                Width::B2 => u64::from(u16::from_le(
                    (*at.cast::<AtomicU16>()).load(Ordering::Relaxed),
                )),
                Width::B4 => u64::from(u32::from_le(
                    (*at.cast::<AtomicU32>()).load(Ordering::Relaxed),
                )),
                Width::B8 => u64::from_le((*at.cast::<AtomicU64>()).load(Ordering::Relaxed)),
            })
        }
    }

    /// Stores the low `width` bytes of `value`, naturally aligned, in one
    /// piece.
    ///
    /// # Errors
    /// [`AccessFault`] outside RAM or when misaligned.
    pub fn store(&self, pa: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        let at = self.at(pa, width.bytes())?;
        if pa & (width.bytes() - 1) != 0 {
            return Err(AccessFault);
        }
        // SAFETY: as in `load`.
        unsafe {
            match width {
                Width::B1 => (*at.cast::<AtomicU8>()).store(value as u8, Ordering::Relaxed),
                Width::B2 => {
                    (*at.cast::<AtomicU16>()).store((value as u16).to_le(), Ordering::Relaxed);
                }
                Width::B4 => {
                    (*at.cast::<AtomicU32>()).store((value as u32).to_le(), Ordering::Relaxed);
                }
                Width::B8 => (*at.cast::<AtomicU64>()).store(value.to_le(), Ordering::Relaxed),
            }
        }
        self.note_store(pa, width.bytes());
        Ok(())
    }

    /// Replaces the value at `pa` by `new` if it is `old`, in one atomic
    /// step, and returns what was there.
    ///
    /// # Errors
    /// [`AccessFault`] outside RAM, when misaligned, or for a width other
    /// than 4 or 8 bytes.
    pub fn compare_exchange(
        &self,
        pa: u64,
        width: Width,
        old: u64,
        new: u64,
    ) -> Result<u64, AccessFault> {
        let at = self.at(pa, width.bytes())?;
        if pa & (width.bytes() - 1) != 0 {
            return Err(AccessFault);
        }
        let order = (Ordering::SeqCst, Ordering::SeqCst);
        // SAFETY: in bounds and aligned, as in `load`.
        let found = unsafe {
            match width {
                Width::B4 => (*at.cast::<AtomicU32>())
                    .compare_exchange((old as u32).to_le(), (new as u32).to_le(), order.0, order.1)
                    .map(|v| u64::from(u32::from_le(v)))
                    .map_err(|v| u64::from(u32::from_le(v))),
                Width::B8 => (*at.cast::<AtomicU64>())
                    .compare_exchange(old.to_le(), new.to_le(), order.0, order.1)
                    .map(u64::from_le)
                    .map_err(u64::from_le),
                _ => return Err(AccessFault),
            }
        };
        if found.is_ok() {
            self.note_store(pa, width.bytes());
        }
        Ok(found.unwrap_or_else(|other| other))
    }

    /// Copies guest memory at `pa` into `out`.
    ///
    /// # Errors
    /// [`AccessFault`] unless the whole range is RAM.
    pub fn read(&self, pa: u64, out: &mut [u8]) -> Result<(), AccessFault> {
        let at = self.at(pa, out.len() as u64)?;
        // SAFETY: in bounds; `out` is host memory that cannot overlap the
        // guest's, since no reference into guest memory exists.
        unsafe { std::ptr::copy_nonoverlapping(at, out.as_mut_ptr(), out.len()) };
        Ok(())
    }

    /// Copies `bytes` into guest memory at `pa`.
    ///
    /// # Errors
    /// [`AccessFault`] unless the whole range is RAM; nothing is written then.
    pub fn write(&self, pa: u64, bytes: &[u8]) -> Result<(), AccessFault> {
        let at = self.at(pa, bytes.len() as u64)?;
        // SAFETY: as in `read`.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()) };
        self.note_store(pa, bytes.len() as u64);
        Ok(())
    }

    /// Fills `len` bytes at `pa` with `byte`.
    ///
    /// # Errors
    /// [`AccessFault`] unless the whole range is RAM; nothing is written then.
    pub fn fill(&self, pa: u64, len: u64, byte: u8) -> Result<(), AccessFault> {
        let at = self.at(pa, len)?;
        // SAFETY: in bounds.
        unsafe { std::ptr::write_bytes(at, byte, len as usize) };
        self.note_store(pa, len);
        Ok(())
    }

    fn page(&self, pa: u64) -> usize {
        ((pa - self.base) >> PAGE_SHIFT) as usize
    }

    /// The lines touched by `len` bytes at `pa`, which stay within one page.
    fn lines(pa: u64, len: u64) -> u64 {
        let first = (pa & (PAGE_SIZE - 1)) >> LINE_SHIFT;
        let last = ((pa & (PAGE_SIZE - 1)) + len - 1) >> LINE_SHIFT;
        (u64::MAX >> (63 - (last - first))) << first
    }

    /// Whether the page of `pa`, which must be RAM, holds decoded code.
    #[inline]
    pub fn has_code(&self, pa: u64) -> bool {
        self.code[self.page(pa)].load(Ordering::Relaxed) != 0
    }

    /// A hart decoded the `len` bytes at `pa`, inside one RAM page. True if
    /// the page held no decoded code before: stores to it must now be noticed.
    pub fn mark_code(&self, pa: u64, len: u64) -> bool {
        let page = self.page(pa);
        let old = self.code[page].fetch_or(Self::lines(pa, len.max(1)), Ordering::AcqRel);
        if old == 0 {
            let patience = &self.patience[page];
            let times = patience.load(Ordering::Relaxed) >> 24;
            let stores = PATIENCE << times.min(16);
            patience.store(times << 24 | stores, Ordering::Relaxed);
            self.guarded.push(pa & !(PAGE_SIZE - 1));
        }
        old == 0
    }

    /// Says that `len` bytes at `pa` were stored to. When they held decoded
    /// code, the page goes on the list of stale ones.
    #[inline]
    pub fn note_store(&self, pa: u64, len: u64) {
        if len == 0 {
            return;
        }
        let (first, last) = (self.page(pa), self.page(pa + len - 1));
        for page in first..=last {
            if self.code[page].load(Ordering::Relaxed) != 0 {
                self.note_store_to_code(page, pa, len);
            }
        }
    }

    /// The decoded code of the page of `pa` is not to be used any more.
    pub(crate) fn drop_code(&self, pa: u64) {
        let page = self.page(pa);
        if self.code[page].swap(0, Ordering::AcqRel) != 0 {
            self.stale.push(pa & !(PAGE_SIZE - 1));
        }
    }

    #[cold]
    fn note_store_to_code(&self, page: usize, pa: u64, len: u64) {
        let start = self.base + ((page as u64) << PAGE_SHIFT);
        let from = pa.max(start);
        let to = (pa + len).min(start + PAGE_SIZE);
        let hit = self.code[page].load(Ordering::Acquire) & Self::lines(from, to - from) != 0;
        if hit || self.lose_patience(page) {
            self.code[page].store(0, Ordering::Release);
            self.stale.push(start);
        }
    }

    /// Counts a store beside the decoded code of a page. True when there have
    /// been so many that the code is likely to be a leftover: without it,
    /// stores to the page are fast again. Each time it turns out that it was
    /// not, twice as many are waited for.
    fn lose_patience(&self, page: usize) -> bool {
        let patience = &self.patience[page];
        let old = patience.load(Ordering::Relaxed);
        if old & 0xff_ffff != 0 {
            patience.store(old - 1, Ordering::Relaxed);
            return false;
        }
        let times = (old >> 24).saturating_add(1).min(0xff);
        patience.store(times << 24, Ordering::Relaxed);
        true
    }

    /// The pages whose decoded code went stale since `*seen` (0 at first),
    /// which is brought up to date. `None`: none did.
    #[inline]
    pub fn stale_since(&self, seen: &mut u64) -> Option<Pages> {
        self.stale.since(seen)
    }

    /// The pages that came to hold decoded code since `*seen`, likewise: host
    /// addresses kept for fast stores to them must be dropped.
    #[inline]
    pub fn guarded_since(&self, seen: &mut u64) -> Option<Pages> {
        self.guarded.since(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_alignment_are_checked() {
        let ram = Ram::new(0x8000_0000, 0x2000).unwrap();
        ram.store(0x8000_1ff8, Width::B8, 0x1122_3344_5566_7788)
            .unwrap();
        assert_eq!(ram.load(0x8000_1ffc, Width::B4), Ok(0x1122_3344));
        assert_eq!(ram.load(0x8000_1ffc, Width::B8), Err(AccessFault));
        assert_eq!(ram.load(0x8000_2000, Width::B1), Err(AccessFault));
        assert_eq!(ram.load(0x7fff_ffff, Width::B1), Err(AccessFault));
        assert_eq!(ram.load(u64::MAX, Width::B8), Err(AccessFault));
        assert_eq!(ram.write(0x8000_1fff, &[1, 2]), Err(AccessFault));
        assert_eq!(ram.read(u64::MAX, &mut [0; 4]), Err(AccessFault));
        let mut byte = [0];
        ram.read(0x8000_1fff, &mut byte).unwrap();
        assert_eq!(byte, [0x11]);
        assert!(Ram::new(0x8000_0000, 0x1001).is_err());
        assert!(Ram::new(0xffff_ffff_ffff_f000, 0x1000).is_err());
    }

    #[test]
    fn a_huge_ram_costs_what_it_touches() {
        let ram = Ram::new(0x8000_0000, 64 << 30).unwrap();
        ram.store(0x8000_0000 + (63 << 30), Width::B4, 7).unwrap();
        assert_eq!(ram.load(0x8000_0000 + (63 << 30), Width::B4), Ok(7));
    }

    #[test]
    fn only_stores_to_decoded_lines_make_code_stale() {
        let ram = Ram::new(0x8000_0000, 0x4000).unwrap();
        let (mut stale, mut guarded) = (0, 0);
        assert!(ram.mark_code(0x8000_1040, 0x80));
        assert!(!ram.mark_code(0x8000_1100, 2));
        assert_eq!(
            ram.guarded_since(&mut guarded),
            Some(Pages::Some(vec![0x8000_1000]))
        );
        ram.store(0x8000_1038, Width::B8, 1).unwrap();
        ram.store(0x8000_10c0, Width::B8, 1).unwrap();
        assert_eq!(ram.stale_since(&mut stale), None);
        assert!(ram.has_code(0x8000_1000));
        ram.write(0x8000_0ff0, &[0; 0x51]).unwrap();
        assert_eq!(
            ram.stale_since(&mut stale),
            Some(Pages::Some(vec![0x8000_1000]))
        );
        assert!(!ram.has_code(0x8000_1000));
        assert_eq!(ram.stale_since(&mut stale), None);
    }

    #[test]
    fn leftover_code_does_not_slow_stores_for_ever() {
        let ram = Ram::new(0x8000_0000, 0x4000).unwrap();
        for round in 0..4 {
            ram.mark_code(0x8000_1000, 4);
            let stores = (1..)
                .find(|_| {
                    ram.store(0x8000_1800, Width::B8, 1).unwrap();
                    !ram.has_code(0x8000_1000)
                })
                .unwrap();
            assert_eq!(stores, (PATIENCE << round) + 1);
        }
    }

    #[test]
    fn a_reader_that_fell_behind_is_told_so() {
        let ram = Ram::new(0x8000_0000, 0x4000).unwrap();
        let mut seen = 0;
        for _ in 0..=NEWS {
            ram.mark_code(0x8000_1000, 4);
            ram.store(0x8000_1000, Width::B4, 1).unwrap();
        }
        assert_eq!(ram.stale_since(&mut seen), Some(Pages::All));
        ram.mark_code(0x8000_2000, 4);
        ram.store(0x8000_2000, Width::B4, 1).unwrap();
        assert_eq!(
            ram.stale_since(&mut seen),
            Some(Pages::Some(vec![0x8000_2000]))
        );
    }
}
