//! Guest RAM: one lazily reserved host mapping behind checked accessors.
//!
//! Other harts, devices and host threads may touch guest memory at any time,
//! so every access here is a relaxed atomic access or a copy through raw
//! pointers; no Rust reference into guest memory is ever formed.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use portable_atomic::AtomicU128;
use thiserror::Error;

use crate::codemap::CodeMap;
use crate::device::{AccessFault, Width};
use crate::monitor::Monitor;
use crate::touched::Touched;

/// log2 of the guest page size.
pub const PAGE_SHIFT: u32 = 12;
/// The guest page size, in bytes.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

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
    code: CodeMap,
    monitor: Monitor,
    touched: Touched,
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
        Ok(Self {
            touched: Touched::new(),
            ..Self::behind(0, base, size)?
        })
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
        Ok(Self {
            base,
            size,
            host,
            _backing: backing,
            code: CodeMap::new(base, size),
            monitor: Monitor::default(),
            touched: Touched::default(),
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

    /// The pieces of RAM, guest-physical and in order, that may be something other than
    /// zeroes. Whole pages; what is written meanwhile may be missed.
    pub fn touched(&self) -> Vec<std::ops::Range<u64>> {
        let pieces = self.touched.pieces(self.host as u64, self.size).into_iter();
        let page = PAGE_SIZE - 1;
        pieces
            .map(|piece| {
                self.base + (piece.start & !page)..self.base + ((piece.end + page) & !page)
            })
            .collect()
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

    /// Replaces the sixteen bytes at `pa` by `new` if they are `old`, in one
    /// atomic step, and returns what was there. The first eight bytes are the
    /// low half.
    ///
    /// # Errors
    /// [`AccessFault`] outside RAM or when misaligned.
    pub fn compare_exchange_16(&self, pa: u64, old: u128, new: u128) -> Result<u128, AccessFault> {
        let at = self.at(pa, 16)?;
        if pa & 15 != 0 {
            return Err(AccessFault);
        }
        // SAFETY: in bounds and aligned, as in `load`.
        let place = unsafe { &*at.cast::<AtomicU128>() };
        let (old, new) = (old.to_le(), new.to_le());
        match place.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(found) => {
                self.note_store(pa, 16);
                Ok(u128::from_le(found))
            }
            Err(found) => Ok(u128::from_le(found)),
        }
    }

    /// Where decoded code lies.
    #[inline]
    pub fn code(&self) -> &CodeMap {
        &self.code
    }

    /// What SC goes by.
    #[inline]
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// Whether the page of `pa`, which must be RAM, holds decoded code.
    #[inline]
    pub fn has_code(&self, pa: u64) -> bool {
        self.code.holds(pa)
    }

    /// Says that `len` bytes at `pa` were stored to. When they held decoded
    /// code, the page goes on the list of stale ones.
    #[inline]
    pub fn note_store(&self, pa: u64, len: u64) {
        self.code.note_store(pa, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_was_touched() {
        let ram = Ram::new(0x8000_0000, 64 << 20).unwrap();
        for at in [0x8000_0000, 0x8100_0ff8, 0x83ff_fff8] {
            ram.store(at, Width::B8, 7).unwrap();
        }
        let touched = ram.touched();
        for at in [0x8000_0000, 0x8100_0ff8, 0x83ff_fff8] {
            assert!(
                touched.iter().any(|piece| piece.contains(&at)),
                "{touched:x?}"
            );
        }
        let end = 0x8400_0000;
        assert!(
            touched
                .iter()
                .all(|piece| piece.start < piece.end && piece.end <= end)
        );
        assert!(touched.windows(2).all(|two| two[0].end <= two[1].start));
    }

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
}
