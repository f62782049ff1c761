//! Where harts have decoded guest code, so that stores to it are noticed.
//!
//! Each hart keeps decoded blocks of its own and may go on using them until it
//! executes FENCE.I, whatever is stored over the code meanwhile (unprivileged
//! manual, "Zifencei"). FENCE.I must then drop every block that was stored to
//! before. Which those are, harts and devices find out together, though they
//! run on threads of their own and most stores are bare host stores that
//! nobody sees:
//!
//! - A bit a line of 64 bytes says where decoded code lies ([`CodeMap::mark`]).
//! - Whoever stores the slow way looks at these bits afterwards; if they are
//!   set the page goes on the list of *stale* ones ([`CodeMap::note_store`])
//!   and its bits are cleared. FENCE.I drops the blocks of pages that have
//!   come on the list since the hart last looked.
//! - A hart that wants to store to a page the fast way *opens* it first
//!   ([`Writer::open`]), which fails if decoded code lies there.
//! - A hart that decodes from a page which others have open puts it on the list
//!   of *guarded* pages and rings these harts. Each of them then stops storing
//!   the fast way and closes the page ([`Writer::close`]); if it has executed
//!   anything since the page was marked, it cannot know whether it stored there,
//!   and puts the page on the stale list. Until all have, FENCE.I of the hart
//!   that decoded drops the page's blocks every time ([`Writer::others`]).
//!
//! Why no store is missed. All steps named here are sequentially consistent
//! operations or separated by such a fence.
//!
//! 1. *Slow store against decoding.* The one side stores, then reads the bits;
//!    the other sets the bits, then reads the code (the hart decodes first, to
//!    know how long the block is, and compares after marking). One of them
//!    sees the other: the store is noted, or the block has it.
//! 2. *Opening against decoding.* The one side sets its open bit, then reads
//!    the code bits; the other sets the code bits, then reads the open bits.
//!    One of them sees the other: the page is not opened, or known to be open.
//! 3. *Fast store against decoding.* The page is open, or has been closed by
//!    its writer. While it is open, FENCE.I drops the blocks. If it was closed
//!    with a note, that came before the open bit went, which FENCE.I looks at
//!    first. If it was closed without one, the writer had not run since it last
//!    looked at the list of guarded pages behind a fence: either it found the
//!    page there, and the first case holds, or the decoding hart's fence, which
//!    stands between its entry on that list and its comparison, came later, and
//!    the comparison saw the stores.
//! 4. *Clearing the bits.* A page is put on the stale list before its bits are
//!    cleared, both under the list's lock. So whoever finds a bit cleared and
//!    notes nothing knows that the entry is there for all that decoded before;
//!    and whoever has read the entry, and decodes again, sets bits that this
//!    clearing cannot touch.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex};

use crate::irq::HartPins;
use crate::ram::{PAGE_SHIFT, PAGE_SIZE, Ram};

/// log2 of the granule in which decoded code is tracked: 64 lines a page.
pub const LINE_SHIFT: u32 = 6;

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
    /// Adds a page, and does `then` before anybody can read of it.
    fn push(&self, page: u64, then: impl FnOnce()) {
        let mut ring = self.ring.lock().unwrap_or_else(|e| e.into_inner());
        let count = self.count.load(Ordering::Relaxed);
        match ring.get_mut(count as usize % NEWS) {
            Some(slot) => *slot = page,
            None => ring.push(page),
        }
        self.count.store(count + 1, Ordering::SeqCst);
        then();
    }

    #[inline]
    fn any_since(&self, seen: u64) -> bool {
        self.count.load(Ordering::SeqCst) != seen
    }

    #[inline]
    fn since(&self, seen: &mut u64) -> Option<Pages> {
        self.any_since(*seen).then(|| self.collect(seen))
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

/// The harts that store the fast way.
#[derive(Default)]
struct Writers {
    /// By bit number. A hart that is gone leaves its place empty for ever, for
    /// its bits stay behind.
    pins: Vec<Option<Arc<HartPins>>>,
}

/// Where decoded code lies, and who may store there without notice.
pub struct CodeMap {
    base: u64,
    size: u64,
    /// Per page, a bit for each 64-byte line that holds decoded code.
    lines: Box<[AtomicU64]>,
    /// Per page, how many more stores beside its code it takes until that is
    /// dropped, and in the top byte how often that has happened.
    patience: Box<[AtomicU32]>,
    /// Per page, a bit for each hart that has it open. Empty before there is
    /// the first [`Writer`].
    open: std::sync::OnceLock<Box<[AtomicU64]>>,
    /// The bits of the harts that there are.
    live: AtomicU64,
    writers: Mutex<Writers>,
    /// Pages whose decoded code was overwritten.
    stale: PageNews,
    /// Pages that hold decoded code and are open.
    guarded: PageNews,
}

#[allow(unsafe_code)]
fn zeroed_words(len: usize) -> Box<[AtomicU64]> {
    // A vector of zeroed integers comes from the allocator's zero pages, so
    // that such a table costs only what is touched.
    let words = vec![0u64; len].into_boxed_slice();
    // SAFETY: AtomicU64 has the size, alignment and validity of u64.
    unsafe { Box::from_raw(Box::into_raw(words) as *mut [AtomicU64]) }
}

impl CodeMap {
    /// A map of `size` bytes of RAM at `base` without any code.
    #[allow(unsafe_code)]
    pub(crate) fn new(base: u64, size: u64) -> Self {
        let pages = (size >> PAGE_SHIFT) as usize;
        let patience = vec![0u32; pages].into_boxed_slice();
        // SAFETY: AtomicU32 has the size, alignment and validity of u32.
        let patience = unsafe { Box::from_raw(Box::into_raw(patience) as *mut [AtomicU32]) };
        Self {
            base,
            size,
            lines: zeroed_words(pages),
            patience,
            open: std::sync::OnceLock::new(),
            live: AtomicU64::new(0),
            writers: Mutex::default(),
            stale: PageNews::default(),
            guarded: PageNews::default(),
        }
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
    pub(crate) fn holds(&self, pa: u64) -> bool {
        self.lines[self.page(pa)].load(Ordering::SeqCst) != 0
    }

    /// A hart decoded the `len` bytes at `pa`, inside one RAM page: stores to
    /// them are to be noticed from now on. What it decoded may have changed
    /// before: it must compare.
    pub(crate) fn mark(&self, pa: u64, len: u64) {
        let page = self.page(pa);
        let lines = Self::lines(pa, len.max(1));
        let old = self.lines[page].fetch_or(lines, Ordering::SeqCst);
        if old == 0 {
            let patience = &self.patience[page];
            let times = patience.load(Ordering::Relaxed) >> 24;
            let stores = PATIENCE << times.min(16);
            patience.store(times << 24 | stores, Ordering::Relaxed);
        }
    }

    /// Says that `len` bytes of RAM at `pa` were stored to.
    #[inline]
    pub(crate) fn note_store(&self, pa: u64, len: u64) {
        if len == 0 {
            return;
        }
        // Between the store and the look at the bits (1. above). Without
        // writers there is one thread.
        if self.open.get().is_some() {
            fence(Ordering::SeqCst);
        }
        let (first, last) = (self.page(pa), self.page(pa + len - 1));
        for page in first..=last {
            if self.lines[page].load(Ordering::Relaxed) != 0 {
                self.note_store_to_code(page, pa, len);
            }
        }
    }

    #[cold]
    fn note_store_to_code(&self, page: usize, pa: u64, len: u64) {
        let start = self.base + ((page as u64) << PAGE_SHIFT);
        let from = pa.max(start);
        let to = (pa + len).min(start + PAGE_SIZE);
        let hit = self.lines[page].load(Ordering::SeqCst) & Self::lines(from, to - from) != 0;
        if hit || self.lose_patience(page) {
            self.make_stale(page);
        }
    }

    fn make_stale(&self, page: usize) {
        let start = self.base + ((page as u64) << PAGE_SHIFT);
        let clear = || self.lines[page].store(0, Ordering::SeqCst);
        self.stale.push(start, clear);
    }

    /// The decoded code of the page of `pa` is not to be used any more.
    pub(crate) fn drop_code(&self, pa: u64) {
        let page = self.page(pa);
        if self.lines[page].load(Ordering::SeqCst) != 0 {
            self.make_stale(page);
        }
    }

    /// Counts a store beside the decoded code of a page. True when there have
    /// been so many that the code is likely to be a leftover: without it,
    /// stores to the page are fast again. Each time it turns out that it was
    /// not, twice as many are waited for. Harts that count at the same time
    /// may lose a store.
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

    /// Whether there are any of these.
    #[inline]
    pub fn is_stale(&self, seen: u64) -> bool {
        self.stale.any_since(seen)
    }

    /// The pages that others decoded from while they were open since `*seen`,
    /// likewise: they must be closed.
    #[inline]
    pub fn guarded_since(&self, seen: &mut u64) -> Option<Pages> {
        self.guarded.since(seen)
    }

    fn writers(&self) -> std::sync::MutexGuard<'_, Writers> {
        self.writers.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// A hart's right to store to RAM without notice, as long as it has the pages
/// open.
pub struct Writer {
    ram: Arc<Ram>,
    /// 0: it never may.
    bit: u64,
}

impl Writer {
    /// The writer of the hart with these pins, which are kicked when it has
    /// to close a page. A RAM has room for 64 of them; more must do without
    /// fast stores.
    pub fn new(ram: Arc<Ram>, pins: Arc<HartPins>) -> Self {
        let code = ram.code();
        code.open
            .get_or_init(|| zeroed_words((code.size >> PAGE_SHIFT) as usize));
        let mut writers = code.writers();
        let number = writers.pins.len();
        let bit = if number < 64 { 1 << number } else { 0 };
        if bit != 0 {
            writers.pins.push(Some(pins));
            code.live.fetch_or(bit, Ordering::SeqCst);
        }
        drop(writers);
        Self { ram, bit }
    }

    /// One that never may, for a hart that stores in other ways.
    pub fn none(ram: Arc<Ram>) -> Self {
        Self { ram, bit: 0 }
    }

    fn open_bits(&self, pa: u64) -> Option<&AtomicU64> {
        let code = self.ram.code();
        code.open.get()?.get(code.page(pa))
    }

    /// Asks to store to the RAM page of `pa` without notice until told to stop
    /// ([`CodeMap::guarded_since`]); false if decoded code lies there.
    pub fn open(&self, pa: u64) -> bool {
        let Some(bits) = self.open_bits(pa).filter(|_| self.bit != 0) else {
            return false;
        };
        if self.ram.has_code(pa) {
            return false;
        }
        if bits.load(Ordering::SeqCst) & self.bit != 0 {
            return true;
        }
        bits.fetch_or(self.bit, Ordering::SeqCst);
        if self.ram.has_code(pa) {
            bits.fetch_and(!self.bit, Ordering::SeqCst);
            return false;
        }
        true
    }

    /// Whether this hart has the page of `pa` open.
    pub fn is_open(&self, pa: u64) -> bool {
        self.open_bits(pa)
            .is_some_and(|bits| bits.load(Ordering::SeqCst) & self.bit != 0)
    }

    /// Whether other harts have the page of `pa` open.
    pub fn others(&self, pa: u64) -> bool {
        self.others_of(pa) != 0
    }

    fn others_of(&self, pa: u64) -> u64 {
        let bits = self.open_bits(pa);
        let bits = bits.map_or(0, |bits| bits.load(Ordering::SeqCst));
        bits & !self.bit & self.ram.code().live.load(Ordering::SeqCst)
    }

    /// The hart does not store to the page of `pa` without notice any more.
    /// `stored`: it may have done so after others had decoded from it.
    pub fn close(&self, pa: u64, stored: bool) {
        if stored {
            self.ram.code().drop_code(pa);
        }
        if let Some(bits) = self.open_bits(pa) {
            bits.fetch_and(!self.bit, Ordering::SeqCst);
        }
    }

    /// [`Writer::close`] for all pages.
    pub fn close_all(&self, stored: bool) {
        let code = self.ram.code();
        for page in 0..code.size >> PAGE_SHIFT {
            let pa = code.base + (page << PAGE_SHIFT);
            if self.is_open(pa) {
                self.close(pa, stored);
            }
        }
    }

    /// The hart decoded the `len` bytes at `pa`, inside one page that it does
    /// not have open itself, and is about to compare them. True if other harts
    /// have the page open. `ask`: they are to close it.
    pub fn mark(&self, pa: u64, len: u64, ask: bool) -> bool {
        let code = self.ram.code();
        code.mark(pa, len);
        let others = self.others_of(pa);
        if others != 0 && ask {
            code.guarded.push(pa & !(PAGE_SIZE - 1), || {});
            let writers = code.writers();
            for (n, pins) in writers.pins.iter().enumerate() {
                if let Some(pins) = pins.as_ref().filter(|_| others >> n & 1 != 0) {
                    pins.kick();
                }
            }
        }
        // Between the marks and the comparison (1. and 3. above).
        fence(Ordering::SeqCst);
        others != 0
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.bit != 0 {
            // A hart looks at the list of guarded pages before it leaves its
            // run: what it stored since others decoded has been noted.
            let code = self.ram.code();
            code.live.fetch_and(!self.bit, Ordering::SeqCst);
            if let Some(pins) = code
                .writers()
                .pins
                .get_mut(self.bit.trailing_zeros() as usize)
            {
                *pins = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Width;

    const RAM: u64 = 0x8000_0000;

    fn ram() -> Arc<Ram> {
        Arc::new(Ram::new(RAM, 0x4000).unwrap())
    }

    fn writer(ram: &Arc<Ram>) -> (Writer, Arc<HartPins>) {
        let pins = Arc::new(HartPins::new(None));
        (Writer::new(ram.clone(), pins.clone()), pins)
    }

    #[test]
    fn only_stores_to_decoded_lines_make_code_stale() {
        let ram = ram();
        let code = ram.code();
        let mut stale = 0;
        code.mark(0x8000_1040, 0x80);
        code.mark(0x8000_1100, 2);
        ram.store(0x8000_1038, Width::B8, 1).unwrap();
        ram.store(0x8000_10c0, Width::B8, 1).unwrap();
        assert_eq!(code.stale_since(&mut stale), None);
        assert!(ram.has_code(0x8000_1000));
        ram.write(0x8000_0ff0, &[0; 0x51]).unwrap();
        assert_eq!(
            code.stale_since(&mut stale),
            Some(Pages::Some(vec![0x8000_1000]))
        );
        assert!(!ram.has_code(0x8000_1000));
        assert_eq!(code.stale_since(&mut stale), None);
    }

    #[test]
    fn leftover_code_does_not_slow_stores_for_ever() {
        let ram = ram();
        for round in 0..4 {
            ram.code().mark(0x8000_1000, 4);
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
        let ram = ram();
        let code = ram.code();
        let mut seen = 0;
        for _ in 0..=NEWS {
            code.mark(0x8000_1000, 4);
            ram.store(0x8000_1000, Width::B4, 1).unwrap();
        }
        assert_eq!(code.stale_since(&mut seen), Some(Pages::All));
        code.mark(0x8000_2000, 4);
        ram.store(0x8000_2000, Width::B4, 1).unwrap();
        assert_eq!(
            code.stale_since(&mut seen),
            Some(Pages::Some(vec![0x8000_2000]))
        );
    }

    #[test]
    fn a_page_is_open_or_holds_code_or_its_writers_are_asked_to_close_it() {
        let ram = ram();
        let ((a, a_pins), (b, b_pins)) = (writer(&ram), writer(&ram));
        let (mut guarded, mut stale) = (0, 0);
        let code = ram.code();
        assert!(a.open(RAM) && a.open(RAM + 8));
        assert!(!b.mark(RAM + 0x1000, 4, true), "nobody has it open");
        assert!(!a.open(RAM + 0x1000), "it holds code");
        assert_eq!(code.guarded_since(&mut guarded), None);

        assert!(b.mark(RAM, 4, true) && b.mark(RAM + 4, 4, false));
        assert!(a_pins.take_kick() && !b_pins.take_kick());
        let page = Some(Pages::Some(vec![RAM]));
        assert_eq!(code.guarded_since(&mut guarded), page);
        assert!(b.others(RAM) && a.is_open(RAM) && !b.is_open(RAM));
        assert!(!a.open(RAM), "not for another while");
        assert_eq!(code.stale_since(&mut stale), None);
        a.close(RAM, true);
        assert!(!b.others(RAM) && !ram.has_code(RAM));
        assert_eq!(code.stale_since(&mut stale), page);

        assert!(a.open(RAM) && b.mark(RAM, 4, true));
        a.close(RAM, false);
        assert!(!b.others(RAM) && ram.has_code(RAM));
        assert_eq!(code.stale_since(&mut stale), None);

        assert!(a.open(RAM + 0x2000) && b.mark(RAM + 0x2000, 4, true));
        drop(a);
        assert!(!b.others(RAM + 0x2000));
    }

    #[test]
    fn there_is_room_for_64_writers() {
        let ram = ram();
        let writers: Vec<_> = (0..65).map(|_| writer(&ram).0).collect();
        assert!(writers[..64].iter().all(|writer| writer.open(RAM)));
        assert!(!writers[64].open(RAM));
        assert!(writers[64].mark(RAM, 4, true));
    }
}
