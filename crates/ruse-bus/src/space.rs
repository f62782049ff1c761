//! The memory of one Linux process: guest virtual addresses mapped straight
//! into the host's, with a permission byte a page.
//!
//! One host reservation holds the table of permission bytes and, right behind
//! it, the 2^38 bytes of the space, so that a hart needs a single pointer for
//! both. Nothing of it costs memory before it is touched.
//!
//! ```text
//! origin - TABLE            origin                         origin + SIZE
//!   | permissions, by page    | bytes, by virtual address     |
//! ```
#![allow(unsafe_code)]

use std::io;
use std::ops::BitOr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use crate::device::{AccessFault, Width};
use crate::ram::{PAGE_SHIFT, PAGE_SIZE, Ram, RamError};
use crate::shared::Shared;

/// What the hart may do with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Prot(u8);

impl Prot {
    /// Nothing: every access faults.
    pub const NONE: Self = Self(0);
    /// Loads.
    pub const READ: Self = Self(1);
    /// Stores and AMOs.
    pub const WRITE: Self = Self(2);
    /// Fetches.
    pub const EXEC: Self = Self(4);
    const ALL: u8 = 7;

    /// Whether everything that `other` allows is allowed.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Prot {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Set in a permission byte: the page may be stored to without a further look.
const STORE: u8 = 8;
/// Set in a permission byte: the page has held decoded code, so that stores
/// must be noted and changes make it stale.
const CODE: u8 = 16;

/// Everything a user program can address.
pub struct Space {
    ram: Arc<Ram>,
    /// The host address of the byte at virtual address 0.
    origin: *mut u8,
    /// What is mapped to shared objects, as ranges that do not overlap.
    windows: Mutex<Vec<(u64, u64)>>,
}

// SAFETY: `origin` points into the mapping of `ram`, which lives as long as
// the space; all accesses through it are atomic or raw copies.
unsafe impl Send for Space {}
// SAFETY: as above; the other fields are themselves `Sync`.
unsafe impl Sync for Space {}

impl Space {
    /// How many bytes there are, from virtual address 0.
    pub const SIZE: u64 = 1 << 38;
    /// Size of the table of permission bytes, which ends at [`Space::origin`].
    pub const TABLE: usize = (Self::SIZE >> PAGE_SHIFT) as usize;
    /// The bit of a permission byte that a load must find.
    pub const LOADABLE: u8 = Prot::READ.0;
    /// The bit of a permission byte that a store must find if it is to need
    /// no notice.
    pub const STORABLE: u8 = STORE;

    /// An empty space: no page may be accessed.
    ///
    /// # Errors
    /// [`RamError`] when the host refuses to reserve the addresses.
    pub fn new() -> Result<Self, RamError> {
        let ram = Arc::new(Ram::behind(Self::TABLE as u64, 0, Self::SIZE)?);
        let origin = ram.host_page(0).unwrap_or(std::ptr::null_mut());
        Ok(Self {
            ram,
            origin,
            windows: Mutex::default(),
        })
    }

    /// The space as the physical memory of a hart without devices.
    pub fn ram(&self) -> &Arc<Ram> {
        &self.ram
    }

    /// The host address of the byte at virtual address 0, for the hart's fast
    /// path: valid as long as the space lives.
    pub fn origin(&self) -> *mut u8 {
        self.origin
    }

    fn entry(&self, page: u64) -> &AtomicU8 {
        let at = (page as usize).min(Self::TABLE - 1);
        // SAFETY: the table's `TABLE` bytes end at `origin`; all accesses to
        // them are atomic.
        unsafe { &*self.origin.sub(Self::TABLE - at).cast::<AtomicU8>() }
    }

    /// The numbers of the pages that `len` bytes at `va` touch.
    fn pages(va: u64, len: u64) -> std::ops::Range<u64> {
        let end = va.saturating_add(len).min(Self::SIZE);
        (va >> PAGE_SHIFT)..end.div_ceil(PAGE_SIZE)
    }

    /// Sets what the hart may do with the pages that `len` bytes at `va`
    /// touch. Decoded code of pages that cannot be executed any more is stale.
    pub fn protect(&self, va: u64, len: u64, prot: Prot) {
        for page in Self::pages(va, len) {
            let entry = self.entry(page);
            let old = entry.load(Ordering::Relaxed);
            let mut new = prot.0 & Prot::ALL;
            if old & CODE != 0 {
                if prot.contains(Prot::EXEC) && self.ram.has_code(page << PAGE_SHIFT) {
                    new |= CODE;
                } else {
                    self.ram.code().drop_code(page << PAGE_SHIFT);
                }
            }
            if new & (CODE | Prot::WRITE.0) == Prot::WRITE.0 {
                new |= STORE;
            }
            // An untouched part of the table stays so.
            if new != old {
                entry.store(new, Ordering::Relaxed);
            }
        }
    }

    /// Forbids everything, as [`Space::protect`] with [`Prot::NONE`] does, but
    /// decoded code stays: for pages whose contents will not change before
    /// they may be executed again. Harts find code by address without a look
    /// at permissions until they are told to forget addresses.
    pub fn hide(&self, va: u64, len: u64) {
        for page in Self::pages(va, len) {
            let entry = self.entry(page);
            let old = entry.load(Ordering::Relaxed);
            if old != old & CODE {
                entry.store(old & CODE, Ordering::Relaxed);
            }
        }
    }

    /// What the hart may do with the page of `va`.
    pub fn prot(&self, va: u64) -> Prot {
        if va >= Self::SIZE {
            return Prot::NONE;
        }
        Prot(self.entry(va >> PAGE_SHIFT).load(Ordering::Relaxed) & Prot::ALL)
    }

    /// A hart decoded the `len` bytes at `va`, inside one page: stores to it
    /// must be noted from now on.
    pub fn mark_code(&self, va: u64, len: u64) {
        self.ram.code().mark(va, len);
        let entry = self.entry(va >> PAGE_SHIFT);
        let old = entry.load(Ordering::Relaxed);
        entry.store(old & !STORE | CODE, Ordering::Relaxed);
    }

    /// A store to the page of `va` took the slow path: the next one need not
    /// if there is no decoded code any more.
    pub fn relax(&self, va: u64) {
        let entry = self.entry(va >> PAGE_SHIFT);
        let old = entry.load(Ordering::Relaxed);
        if old & Prot::WRITE.0 != 0 && !self.ram.has_code(va) {
            entry.store(old & !CODE | STORE, Ordering::Relaxed);
        }
    }

    /// The contents of the pages that `len` bytes at `va` touch change in some
    /// way that no store notes.
    fn contents_change(&self, va: u64, len: u64) {
        for page in Self::pages(va, len) {
            if self.entry(page).load(Ordering::Relaxed) & CODE != 0 {
                self.ram.code().drop_code(page << PAGE_SHIFT);
            }
        }
    }

    /// Code was changed, perhaps through another window on the same shared
    /// object: decoded code of windows is stale.
    pub fn windows_change(&self) {
        let windows = self.windows.lock().unwrap_or_else(|e| e.into_inner());
        for (from, to) in windows.iter() {
            self.contents_change(*from, to - from);
        }
    }

    /// Makes zero the pages that `len` bytes at `va` touch, gives their memory
    /// back to the host, and ends windows on shared objects there. What the
    /// hart may do with them stays.
    pub fn discard(&self, va: u64, len: u64) {
        let pages = Self::pages(va, len);
        let (from, to) = (pages.start << PAGE_SHIFT, pages.end << PAGE_SHIFT);
        if from >= to {
            return;
        }
        self.contents_change(from, to - from);
        let mut windows = self.windows.lock().unwrap_or_else(|e| e.into_inner());
        let shared = windows.iter().any(|&(a, b)| a < to && from < b);
        if shared {
            *windows = windows
                .iter()
                .flat_map(|&(a, b)| [(a, b.min(from)), (a.max(to), b)])
                .filter(|(a, b)| a < b)
                .collect();
        }
        if self.release(from, to - from, shared).is_err() {
            // What cannot be given back can be cleared.
            let _ = self.ram.fill(from, to - from, 0);
        }
    }

    /// Gives whole pages back to the host; `shared`: some belong to a shared
    /// object.
    #[cfg(unix)]
    fn release(&self, va: u64, len: u64, shared: bool) -> io::Result<()> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        // SAFETY: the pages lie inside the reservation; no reference into
        // them exists.
        unsafe {
            let at = self.origin.add(va as usize).cast();
            #[cfg(any(target_os = "linux", target_os = "android"))]
            if !shared {
                use rustix::mm::{Advice, madvise};
                return Ok(madvise(at, len as usize, Advice::LinuxDontNeed)?);
            }
            let _ = shared;
            let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
            let prot = ProtFlags::READ | ProtFlags::WRITE;
            mmap_anonymous(at, len as usize, prot, flags)?;
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn release(&self, _va: u64, _len: u64, _shared: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes the pages of `len` bytes at `va` a window on `shared` from
    /// `offset`. What the hart may do with them stays.
    ///
    /// # Errors
    /// `InvalidInput` unless all is a multiple of the page size, inside the
    /// space and inside the object; `Unsupported` where the host cannot.
    #[cfg(unix)]
    pub fn map_shared(&self, va: u64, shared: &Shared, offset: u64, len: u64) -> io::Result<()> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let aligned = (va | offset | len).is_multiple_of(PAGE_SIZE) && len != 0;
        let inside = self.ram.contains(va, len);
        let backed = offset.checked_add(len).is_some_and(|end| {
            shared
                .len()
                .is_ok_and(|len| end <= len.next_multiple_of(PAGE_SIZE))
        });
        if !(aligned && inside && backed) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.discard(va, len);
        let flags = MapFlags::SHARED | MapFlags::FIXED | MapFlags::NORESERVE;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the pages lie inside the reservation, no reference into them
        // exists, and the object covers them for good, since it never shrinks.
        unsafe {
            let at = self.origin.add(va as usize).cast();
            mmap(at, len as usize, prot, flags, shared.fd(), offset)?;
        }
        let mut windows = self.windows.lock().unwrap_or_else(|e| e.into_inner());
        windows.push((va, va + len));
        Ok(())
    }

    /// Makes the pages of `len` bytes at `va` a window on `shared` from
    /// `offset`.
    ///
    /// # Errors
    /// `Unsupported`: this host cannot.
    #[cfg(not(unix))]
    pub fn map_shared(&self, _va: u64, _: &Shared, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Copies the bytes at `va` into `out`, whatever the permissions.
    ///
    /// # Errors
    /// [`AccessFault`] unless the whole range is inside the space.
    pub fn read(&self, va: u64, out: &mut [u8]) -> Result<(), AccessFault> {
        self.ram.read(va, out)
    }

    /// Copies `bytes` to `va`, whatever the permissions.
    ///
    /// # Errors
    /// [`AccessFault`] unless the whole range is inside the space.
    pub fn write(&self, va: u64, bytes: &[u8]) -> Result<(), AccessFault> {
        self.ram.write(va, bytes)
    }

    /// Loads a naturally aligned value, whatever the permissions.
    ///
    /// # Errors
    /// [`AccessFault`] outside the space or when misaligned.
    pub fn load(&self, va: u64, width: Width) -> Result<u64, AccessFault> {
        self.ram.load(va, width)
    }

    /// Stores a naturally aligned value, whatever the permissions.
    ///
    /// # Errors
    /// [`AccessFault`] outside the space or when misaligned.
    pub fn store(&self, va: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        self.ram.store(va, width, value)
    }

    /// Replaces the value at `va` by `new` if it is `old`, whatever the
    /// permissions, and returns what was there.
    ///
    /// # Errors
    /// As [`Ram::compare_exchange`].
    pub fn compare_exchange(
        &self,
        va: u64,
        width: Width,
        old: u64,
        new: u64,
    ) -> Result<u64, AccessFault> {
        self.ram.compare_exchange(va, width, old, new)
    }

    /// Fills `len` bytes at `va` with `byte`, whatever the permissions.
    ///
    /// # Errors
    /// [`AccessFault`] unless the whole range is inside the space.
    pub fn fill(&self, va: u64, len: u64, byte: u8) -> Result<(), AccessFault> {
        self.ram.fill(va, len, byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pages;

    const PAGE: u64 = PAGE_SIZE;

    #[test]
    fn a_space_costs_what_it_touches() {
        let spaces: Vec<_> = (0..100).map(|_| Space::new().unwrap()).collect();
        for (n, space) in spaces.iter().enumerate() {
            space.store(Space::SIZE - 8, Width::B8, n as u64).unwrap();
            space.protect(0x10000, 3 * PAGE, Prot::READ | Prot::WRITE);
        }
        for (n, space) in spaces.iter().enumerate() {
            assert_eq!(space.load(Space::SIZE - 8, Width::B8), Ok(n as u64));
            assert_eq!(space.prot(0x12fff), Prot::READ | Prot::WRITE);
            assert_eq!(space.prot(0x13000), Prot::NONE);
        }
        assert_eq!(spaces[0].prot(Space::SIZE), Prot::NONE);
        assert_eq!(spaces[0].prot(u64::MAX), Prot::NONE);
        assert!(spaces[0].write(Space::SIZE - 1, &[1, 2]).is_err());
    }

    #[test]
    fn code_that_changes_is_reported_once() {
        let space = Space::new().unwrap();
        let all = Prot::READ | Prot::WRITE | Prot::EXEC;
        let mut seen = 0;
        let mut stale = || space.ram().code().stale_since(&mut seen);
        space.protect(0, 4 * PAGE, all);
        let change: [&dyn Fn(); 4] = [
            &|| space.write(0x1010, &[1]).unwrap(),
            &|| space.discard(PAGE, PAGE),
            &|| space.protect(PAGE, PAGE, Prot::READ | Prot::WRITE),
            &|| space.protect(PAGE, PAGE, Prot::NONE),
        ];
        for change in change {
            space.protect(0, 4 * PAGE, all);
            space.mark_code(0x1000, 64);
            space.protect(0, 4 * PAGE, Prot::READ | Prot::EXEC);
            space.protect(0, 4 * PAGE, all);
            assert_eq!(stale(), None);
            change();
            assert_eq!(stale(), Some(Pages::Some(vec![PAGE])));
            change();
            assert_eq!(stale(), None);
        }
    }

    #[test]
    fn hidden_code_is_still_good() {
        let space = Space::new().unwrap();
        let mut seen = 0;
        let mut stale = || space.ram().code().stale_since(&mut seen);
        let text = Prot::READ | Prot::EXEC;
        space.protect(0, 2 * PAGE, text);
        space.mark_code(0x1000, 64);
        space.hide(0, 2 * PAGE);
        assert_eq!(space.prot(0x1000), Prot::NONE);
        space.protect(0, 2 * PAGE, text);
        assert_eq!((space.prot(0x1000), stale()), (text, None));
        // What changes meanwhile is noticed.
        space.hide(0, 2 * PAGE);
        space.discard(PAGE, PAGE);
        assert_eq!(stale(), Some(Pages::Some(vec![PAGE])));
        space.protect(0, 2 * PAGE, text);
        space.mark_code(0x1000, 64);
        space.hide(0, 2 * PAGE);
        space.write(0x1000, &[1]).unwrap();
        assert_eq!(stale(), Some(Pages::Some(vec![PAGE])));
    }

    #[test]
    fn stores_beside_code_need_notice_and_become_free_again() {
        let space = Space::new().unwrap();
        let storable = || space.entry(1).load(Ordering::Relaxed) & Space::STORABLE != 0;
        space.protect(PAGE, PAGE, Prot::READ | Prot::WRITE | Prot::EXEC);
        assert!(storable());
        space.mark_code(PAGE, 4);
        space.relax(PAGE);
        assert!(!storable());
        space.protect(PAGE, PAGE, Prot::READ | Prot::WRITE | Prot::EXEC);
        assert!(!storable());
        space.write(PAGE, &[0]).unwrap();
        space.relax(PAGE);
        assert!(storable());
        space.protect(PAGE, PAGE, Prot::READ);
        space.relax(PAGE);
        assert!(!storable());
    }

    #[cfg(unix)]
    #[test]
    fn windows_share_and_end() {
        let (one, two) = (Space::new().unwrap(), Space::new().unwrap());
        let shared = Shared::new(3 * PAGE).unwrap();
        shared.write(PAGE, b"before").unwrap();
        one.map_shared(0x10000, &shared, 0, 3 * PAGE).unwrap();
        two.map_shared(0x50000, &shared, PAGE, PAGE).unwrap();
        let mut six = [0; 6];
        two.read(0x50000, &mut six).unwrap();
        assert_eq!(&six, b"before");
        one.write(0x11000, b"behind").unwrap();
        two.read(0x50000, &mut six).unwrap();
        assert_eq!(&six, b"behind");
        one.discard(0x11000, PAGE);
        one.read(0x11000, &mut six).unwrap();
        assert_eq!(six, [0; 6]);
        shared.read(PAGE, &mut six).unwrap();
        assert_eq!(&six, b"behind");
        one.write(0x12000, b"last").unwrap();
        shared.read(2 * PAGE, &mut six[..4]).unwrap();
        assert_eq!(&six[..4], b"last");
        // Beyond the end, unaligned, outside.
        assert!(one.map_shared(0, &shared, PAGE, 3 * PAGE).is_err());
        assert!(one.map_shared(1, &shared, 0, PAGE).is_err());
        assert!(one.map_shared(Space::SIZE, &shared, 0, PAGE).is_err());
        shared.grow(4 * PAGE).unwrap();
        one.map_shared(0, &shared, PAGE, 3 * PAGE).unwrap();
        assert!(shared.write(4 * PAGE, &[1]).is_err());
    }
}
