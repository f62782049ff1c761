//! Split virtqueues (virtio 1.2, section 2.7): the device's side.
//!
//! Three structures in guest memory make a queue: the descriptor table, the
//! ring of chains that the driver made available, and the ring of those that
//! the device used. The driver is the guest and may lie: every index, length
//! and address is checked, every walk is bounded, and the first lie ends the
//! conversation with a [`QueueError`].

use std::sync::atomic::{Ordering, fence};

use ruse_bus::{AccessFault, BadState, Ram, Width};
use ruse_event::{Class, Part, Tap, What};
use serde::{Deserialize, Serialize};
use thiserror::Error;

const DESC_NEXT: u16 = 1;
const DESC_WRITE: u16 = 2;
const DESC_INDIRECT: u16 = 4;
const DESC_SIZE: u64 = 16;

const AVAIL_NO_INTERRUPT: u64 = 1;
/// Both rings: flags and index come before the elements.
const RING_HEADER: u64 = 4;
const AVAIL_ELEMENT: u64 = 2;
const USED_ELEMENT: u64 = 8;

/// The most descriptors of one indirect table. Linux makes them longer than
/// the queue.
const MAX_INDIRECT: u32 = 1024;

/// How a driver broke the rules of section 2.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QueueError {
    /// The size is zero, no power of two, or larger than allowed.
    #[error("a queue of {0} elements")]
    Size(u16),
    /// A ring or table is misaligned or outside RAM.
    #[error("a ring or descriptor table is misaligned or outside RAM")]
    Ring,
    /// More chains are available than the queue holds.
    #[error("more than a queue full of available chains")]
    Available,
    /// A descriptor number beyond the table.
    #[error("descriptor {0} does not exist")]
    Descriptor(u16),
    /// A chain that is longer than its table: it loops.
    #[error("a descriptor chain without end")]
    Endless,
    /// A chain of 4 GiB or more.
    #[error("a descriptor chain of 4 GiB or more")]
    Long,
    /// A buffer for the device to read after one to write.
    #[error("a readable descriptor after a writable one")]
    Order,
    /// An indirect table that is empty, too long, nested, continued, or was
    /// not negotiated.
    #[error("a malformed indirect descriptor")]
    Indirect,
    /// A buffer outside RAM.
    #[error("a buffer of {len:#x} bytes at {addr:#x} outside RAM")]
    Buffer {
        /// Guest-physical address.
        addr: u64,
        /// Length in bytes.
        len: u32,
    },
    /// A chain too short for what its device asks of every request.
    #[error("a request without header or status")]
    Request,
}

impl From<AccessFault> for QueueError {
    fn from(_: AccessFault) -> Self {
        Self::Ring
    }
}

/// A buffer in guest RAM, not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Guest-physical address.
    pub addr: u64,
    /// Length in bytes.
    pub len: u32,
}

/// One request: buffers to read, then buffers to write. All lie in RAM, and
/// together are shorter than 4 GiB.
#[derive(Debug, Default)]
pub struct Chain {
    head: u16,
    readable: Vec<Segment>,
    writable: Vec<Segment>,
    total: u64,
    /// Whom to tell what is read and written, if anybody wants to know.
    tap: Tap,
}

impl Chain {
    /// The number of the first descriptor, by which [`Queue::push`] names it.
    pub fn head(&self) -> u16 {
        self.head
    }

    /// What the driver wrote for the device.
    pub fn reader<'a>(&'a self, ram: &'a Ram) -> Reader<'a> {
        Reader(Cursor::new(&self.readable, ram, &self.tap))
    }

    /// Where the device answers.
    pub fn writer<'a>(&'a self, ram: &'a Ram) -> Writer<'a> {
        Writer(Cursor::new(&self.writable, ram, &self.tap))
    }

    /// The buffers, those to read first.
    fn parts(&self) -> Vec<Part> {
        let part = |write| move |&Segment { addr, len }: &Segment| Part { addr, len, write };
        let readable = self.readable.iter().map(part(false));
        readable
            .chain(self.writable.iter().map(part(true)))
            .collect()
    }

    fn clear(&mut self, head: u16) {
        self.head = head;
        self.readable.clear();
        self.writable.clear();
        self.total = 0;
    }

    fn add(&mut self, ram: &Ram, desc: &Descriptor) -> Result<(), QueueError> {
        let &Descriptor { addr, len, .. } = desc;
        let write = desc.flags & DESC_WRITE != 0;
        if !write && !self.writable.is_empty() {
            return Err(QueueError::Order);
        }
        if len == 0 {
            return Ok(());
        }
        if !ram.contains(addr, len.into()) {
            return Err(QueueError::Buffer { addr, len });
        }
        self.total += u64::from(len);
        if self.total > u32::MAX.into() {
            return Err(QueueError::Long);
        }
        let side = if write {
            &mut self.writable
        } else {
            &mut self.readable
        };
        side.push(Segment { addr, len });
        Ok(())
    }
}

/// A position in a list of segments.
struct Cursor<'a> {
    ram: &'a Ram,
    tap: &'a Tap,
    segments: &'a [Segment],
    /// How much of the first segment is behind us.
    within: u32,
    remaining: usize,
}

impl<'a> Cursor<'a> {
    fn new(segments: &'a [Segment], ram: &'a Ram, tap: &'a Tap) -> Self {
        Self {
            ram,
            tap,
            segments,
            within: 0,
            remaining: segments.iter().map(|s| s.len as usize).sum(),
        }
    }

    /// Goes on by up to `len` bytes, piece by contiguous piece: `f` gets the
    /// address of each, and its range within the `len` bytes.
    fn advance(
        &mut self,
        len: usize,
        mut f: impl FnMut(&Ram, u64, std::ops::Range<usize>) -> Result<(), AccessFault>,
    ) -> Result<usize, QueueError> {
        let mut done = 0;
        while done < len
            && let Some(segment) = self.segments.first()
        {
            let left = (segment.len - self.within) as usize;
            let part = left.min(len - done);
            f(
                self.ram,
                segment.addr + u64::from(self.within),
                done..done + part,
            )?;
            done += part;
            if part == left {
                self.segments = &self.segments[1..];
                self.within = 0;
            } else {
                self.within += part as u32;
            }
        }
        self.remaining -= done;
        Ok(done)
    }
}

/// Reads the driver's part of a chain, from its start on.
pub struct Reader<'a>(Cursor<'a>);

impl Reader<'_> {
    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.0.remaining
    }

    /// Fills `out` as far as the chain goes and says how far that was.
    ///
    /// # Errors
    /// None while the chain's segments lie in RAM, as they do.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, QueueError> {
        let tap = self.0.tap;
        self.0.advance(out.len(), |ram, at, part| {
            tell_dma(tap, at, part.len(), false);
            ram.read(at, &mut out[part])
        })
    }
}

/// Writes the device's part of a chain, from its start on.
pub struct Writer<'a>(Cursor<'a>);

impl Writer<'_> {
    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.0.remaining
    }

    /// Stores `bytes` as far as the chain goes and says how far that was.
    ///
    /// # Errors
    /// None while the chain's segments lie in RAM, as they do.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, QueueError> {
        let tap = self.0.tap;
        self.0.advance(bytes.len(), |ram, at, part| {
            tell_dma(tap, at, part.len(), true);
            ram.write(at, &bytes[part])
        })
    }

    /// Leaves out `len` bytes.
    ///
    /// # Errors
    /// None.
    pub fn skip(&mut self, len: usize) -> Result<usize, QueueError> {
        self.0.advance(len, |_, _, _| Ok(()))
    }
}

fn tell_dma(tap: &Tap, addr: u64, len: usize, write: bool) {
    tap.tell(Class::Dma, || What::Dma {
        addr,
        len: len as u64,
        write,
    });
}

struct Descriptor {
    addr: u64,
    len: u32,
    flags: u16,
    next: u16,
}

impl Descriptor {
    fn load(ram: &Ram, table: u64, index: u16) -> Result<Self, QueueError> {
        let mut raw = [0; DESC_SIZE as usize];
        let at = table.wrapping_add(DESC_SIZE * u64::from(index));
        ram.read(at, &mut raw)?;
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = raw;
        Ok(Self {
            addr: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            len: u32::from_le_bytes([i, j, k, l]),
            flags: u16::from_le_bytes([m, n]),
            next: u16::from_le_bytes([o, p]),
        })
    }
}

/// What there is of a queue in a snapshot.
#[derive(Serialize, Deserialize)]
pub(super) struct QueueState {
    size: u16,
    ready: bool,
    rings: [u64; 3],
    next_avail: u16,
    next_used: u16,
    published: u16,
}

/// One virtqueue.
#[derive(Debug)]
pub struct Queue {
    max: u16,
    pub(super) size: u16,
    pub(super) ready: bool,
    pub(super) desc: u64,
    pub(super) avail: u64,
    pub(super) used: u64,
    event_idx: bool,
    indirect: bool,
    /// The next available element to look at.
    next_avail: u16,
    /// The next used element to fill in.
    next_used: u16,
    /// The used index that the driver sees.
    published: u16,
    /// The driver is to be interrupted.
    interrupt: bool,
    /// A chain to reuse.
    scratch: Chain,
    tap: Tap,
    /// Its number.
    index: u16,
}

impl Queue {
    /// A queue of at most `max` elements, not set up yet.
    pub fn new(max: u16) -> Self {
        Self {
            max,
            size: max,
            ready: false,
            desc: 0,
            avail: 0,
            used: 0,
            event_idx: false,
            indirect: false,
            next_avail: 0,
            next_used: 0,
            published: 0,
            interrupt: false,
            scratch: Chain::default(),
            tap: Tap::NONE,
            index: 0,
        }
    }

    /// The most elements it can have.
    pub fn max(&self) -> u16 {
        self.max
    }

    /// Whether the driver has set it up.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// From now on tells `tap` what goes through, as queue number `index`.
    pub(super) fn watch(&mut self, tap: &Tap, index: u16) {
        self.tap = tap.clone();
        self.index = index;
    }

    pub(super) fn negotiated(&mut self, features: u64) {
        self.event_idx = features & super::feature::EVENT_IDX != 0;
        self.indirect = features & super::feature::INDIRECT_DESC != 0;
    }

    /// Back to not set up; what was negotiated stays.
    pub(super) fn reset(&mut self) {
        *self = Self {
            event_idx: self.event_idx,
            indirect: self.indirect,
            scratch: std::mem::take(&mut self.scratch),
            tap: self.tap.clone(),
            index: self.index,
            ..Self::new(self.max)
        };
    }

    /// The driver says that it has set the queue up.
    pub(super) fn enable(&mut self, ram: &Ram) -> Result<(), QueueError> {
        if !self.size.is_power_of_two() || self.size > self.max {
            return Err(QueueError::Size(self.size));
        }
        let size = u64::from(self.size);
        // The event indices follow the elements.
        for (at, len, align) in [
            (self.desc, DESC_SIZE * size, 16),
            (self.avail, RING_HEADER + AVAIL_ELEMENT * size + 2, 2),
            (self.used, RING_HEADER + USED_ELEMENT * size + 2, 4),
        ] {
            if !at.is_multiple_of(align) || !ram.contains(at, len) {
                return Err(QueueError::Ring);
            }
        }
        (self.next_avail, self.next_used, self.published) = (0, 0, 0);
        self.ready = true;
        Ok(())
    }

    /// The last `chains` chains that were taken were not used, and are to be taken again.
    pub(super) fn put_back(&mut self, chains: u16) {
        self.next_avail = self.next_avail.wrapping_sub(chains);
    }

    pub(super) fn save(&self) -> QueueState {
        QueueState {
            size: self.size,
            ready: self.ready,
            rings: [self.desc, self.avail, self.used],
            next_avail: self.next_avail,
            next_used: self.next_used,
            published: self.published,
        }
    }

    /// Becomes what it was, after [`Self::reset`] and [`Self::negotiated`].
    pub(super) fn load(&mut self, state: &QueueState, ram: &Ram) -> Result<(), BadState> {
        self.size = state.size;
        [self.desc, self.avail, self.used] = state.rings;
        if state.ready {
            self.enable(ram)
                .map_err(|error| BadState::new(error.to_string()))?;
            self.next_avail = state.next_avail;
            self.next_used = state.next_used;
            self.published = state.published;
        }
        Ok(())
    }

    fn slot(&self, index: u16) -> u64 {
        u64::from(index & (self.size - 1))
    }

    /// How many chains wait.
    fn waiting(&self, ram: &Ram) -> Result<u16, QueueError> {
        let index = ram.load(self.avail + 2, Width::B2)? as u16;
        let waiting = index.wrapping_sub(self.next_avail);
        if waiting > self.size {
            return Err(QueueError::Available);
        }
        Ok(waiting)
    }

    /// Takes the next available chain into `chain`; false if there is none.
    ///
    /// # Errors
    /// [`QueueError`] if the driver broke the rules.
    pub fn pop(&mut self, ram: &Ram, chain: &mut Chain) -> Result<bool, QueueError> {
        if !self.ready || self.waiting(ram)? == 0 {
            return Ok(false);
        }
        // What the index covers was written before it.
        fence(Ordering::Acquire);
        let at = self.avail + RING_HEADER + AVAIL_ELEMENT * self.slot(self.next_avail);
        let head = ram.load(at, Width::B2)? as u16;
        self.next_avail = self.next_avail.wrapping_add(1);
        self.walk(ram, head, chain)?;
        self.tap.tell(Class::Queue, || What::Chain {
            queue: self.index,
            head,
            parts: chain.parts(),
        });
        // Nothing is counted up and down for nobody.
        chain.tap = match self.tap.wants(Class::Dma) {
            true => self.tap.clone(),
            false => Tap::NONE,
        };
        Ok(true)
    }

    fn walk(&self, ram: &Ram, head: u16, chain: &mut Chain) -> Result<(), QueueError> {
        chain.clear(head);
        let mut index = head;
        for _ in 0..self.size {
            if index >= self.size {
                return Err(QueueError::Descriptor(index));
            }
            let desc = Descriptor::load(ram, self.desc, index)?;
            if desc.flags & DESC_INDIRECT != 0 {
                // It is the last of its chain (2.7.5.3.1).
                if !self.indirect || desc.flags & DESC_NEXT != 0 {
                    return Err(QueueError::Indirect);
                }
                return Self::walk_indirect(ram, &desc, chain);
            }
            chain.add(ram, &desc)?;
            if desc.flags & DESC_NEXT == 0 {
                return Ok(());
            }
            index = desc.next;
        }
        Err(QueueError::Endless)
    }

    fn walk_indirect(ram: &Ram, table: &Descriptor, chain: &mut Chain) -> Result<(), QueueError> {
        let count = table.len / DESC_SIZE as u32;
        if count == 0
            || count > MAX_INDIRECT
            || !table.len.is_multiple_of(DESC_SIZE as u32)
            || !ram.contains(table.addr, table.len.into())
        {
            return Err(QueueError::Indirect);
        }
        let mut index = 0;
        for _ in 0..count {
            if u32::from(index) >= count {
                return Err(QueueError::Descriptor(index));
            }
            let desc = Descriptor::load(ram, table.addr, index)?;
            if desc.flags & DESC_INDIRECT != 0 {
                return Err(QueueError::Indirect);
            }
            chain.add(ram, &desc)?;
            if desc.flags & DESC_NEXT == 0 {
                return Ok(());
            }
            index = desc.next;
        }
        Err(QueueError::Endless)
    }

    /// Gives a chain back with `written` bytes in it. The driver sees it with
    /// the next [`Self::publish`].
    ///
    /// # Errors
    /// [`QueueError`] if the ring is gone.
    pub fn push(&mut self, ram: &Ram, head: u16, written: u32) -> Result<(), QueueError> {
        let at = self.used + RING_HEADER + USED_ELEMENT * self.slot(self.next_used);
        ram.store(at, Width::B4, head.into())?;
        ram.store(at + 4, Width::B4, written.into())?;
        self.next_used = self.next_used.wrapping_add(1);
        self.tap.tell(Class::Queue, || What::Used {
            queue: self.index,
            head,
            written,
        });
        Ok(())
    }

    /// Shows the driver all chains given back, and notes whether it wants an
    /// interrupt for them (2.7.7).
    ///
    /// # Errors
    /// [`QueueError`] if the ring is gone.
    pub fn publish(&mut self, ram: &Ram) -> Result<(), QueueError> {
        let (old, new) = (self.published, self.next_used);
        if old == new {
            return Ok(());
        }
        fence(Ordering::Release);
        ram.store(self.used + 2, Width::B2, new.into())?;
        self.published = new;
        // The driver looks at the index after it allows interrupts; so look
        // at that after the index.
        fence(Ordering::SeqCst);
        self.interrupt |= if self.event_idx {
            let at = self.avail + RING_HEADER + AVAIL_ELEMENT * u64::from(self.size);
            let event = ram.load(at, Width::B2)? as u16;
            new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
        } else {
            ram.load(self.avail, Width::B2)? & AVAIL_NO_INTERRUPT == 0
        };
        Ok(())
    }

    /// Asks to be notified of the next chain. True if one came meanwhile, of
    /// which no notification may come.
    ///
    /// # Errors
    /// [`QueueError`] if the driver broke the rules.
    pub fn arm(&mut self, ram: &Ram) -> Result<bool, QueueError> {
        if !self.ready {
            return Ok(false);
        }
        if self.event_idx {
            let at = self.used + RING_HEADER + USED_ELEMENT * u64::from(self.size);
            ram.store(at, Width::B2, self.next_avail.into())?;
        }
        fence(Ordering::SeqCst);
        Ok(self.waiting(ram)? != 0)
    }

    /// Answers all chains with `f`, which says how many bytes it wrote, and
    /// publishes them together.
    ///
    /// # Errors
    /// [`QueueError`] if the driver broke the rules.
    pub fn serve(
        &mut self,
        ram: &Ram,
        mut f: impl FnMut(&Chain) -> Result<u32, QueueError>,
    ) -> Result<(), QueueError> {
        let mut chain = std::mem::take(&mut self.scratch);
        let result = self.serve_with(ram, &mut chain, &mut f);
        self.scratch = chain;
        // What was answered before a broken chain was answered.
        result.and(self.publish(ram))
    }

    fn serve_with(
        &mut self,
        ram: &Ram,
        chain: &mut Chain,
        f: &mut impl FnMut(&Chain) -> Result<u32, QueueError>,
    ) -> Result<(), QueueError> {
        loop {
            while self.pop(ram, chain)? {
                let written = f(chain)?;
                self.push(ram, chain.head, written)?;
            }
            self.publish(ram)?;
            if !self.arm(ram)? {
                return Ok(());
            }
        }
    }

    /// Whether the driver is to be interrupted; true once.
    pub fn take_interrupt(&mut self) -> bool {
        std::mem::take(&mut self.interrupt)
    }
}

#[cfg(test)]
mod tests {
    use super::super::VirtioDevice;
    use super::super::testing::{
        self, BASE, DATA, Driver, INDIRECT, MODERN, NEXT, RAM_SIZE, SIZE, VERSION_1, WRITE,
    };
    use super::*;

    /// Answers a request with the bytes it was sent, each plus one.
    struct Increment;

    impl VirtioDevice for Increment {
        fn device_id(&self) -> u32 {
            42
        }
        fn features(&self) -> u64 {
            0
        }
        fn queue_sizes(&self) -> &[u16] {
            &[256]
        }
        fn read_config(&self, _: u64, _: &mut [u8]) {}
        fn notify(&mut self, _: usize, queues: &mut [Queue], ram: &Ram) -> Result<(), QueueError> {
            queues[0].serve(ram, |chain| {
                let mut reader = chain.reader(ram);
                let mut bytes = vec![0; reader.remaining()];
                reader.read(&mut bytes)?;
                bytes.iter_mut().for_each(|b| *b = b.wrapping_add(1));
                chain.writer(ram).write(&bytes).map(|n| n as u32)
            })
        }
    }

    const OUT: u64 = DATA + 0x8000;

    fn driver(features: u64) -> Driver<Increment> {
        let driver = Driver::new(Increment, features);
        driver.ram.write(DATA, b"abcdefghij").unwrap();
        driver
    }

    /// What the device says to a chain that `build` puts at descriptor 0.
    fn refused(build: impl FnOnce(&Driver<Increment>)) {
        let mut driver = driver(MODERN);
        build(&driver);
        driver.make_available(0, 0);
        driver.notify(0);
        assert!(driver.needs_reset());
        assert_eq!(driver.interrupted(), 2);
        assert_eq!(driver.used(0), None);
        driver.make_available(0, 0);
        driver.notify(0);
        assert_eq!(driver.used(0), None, "it stays stopped");
    }

    #[test]
    fn scattered_buffers_are_one_stream() {
        let mut driver = driver(VERSION_1);
        driver.send(
            0,
            &[
                (DATA, 3, false),
                (DATA, 0, false),
                (DATA + 5, 4, false),
                (OUT, 1, true),
                (OUT + 10, 2, true),
                (OUT + 20, 50, true),
            ],
        );
        assert_eq!(driver.used(0), Some((0, 7)));
        assert_eq!(driver.bytes(OUT, 2), b"b\0");
        assert_eq!(driver.bytes(OUT + 10, 3), b"cd\0");
        assert_eq!(driver.bytes(OUT + 20, 5), b"ghij\0");
        assert_eq!(driver.interrupted(), 1);
    }

    #[test]
    fn indirect_tables_may_be_longer_than_the_queue() {
        let mut driver = driver(MODERN);
        let table = DATA + 0x1000;
        let parts: Vec<_> = (0..10)
            .map(|n| (DATA + n, 1, false))
            .chain((0..10).map(|n| (OUT + n, 1, true)))
            .collect();
        assert!(parts.len() > SIZE.into());
        driver.set_chain(table, 0, &parts);
        driver.set_desc(testing::desc(0), 5, table, 16 * 20, INDIRECT, 0);
        driver.make_available(0, 5);
        driver.notify(0);
        assert_eq!(driver.used(0), Some((5, 10)));
        assert_eq!(driver.bytes(OUT, 10), b"bcdefghijk");
    }

    #[test]
    fn many_rounds_wrap_the_rings() {
        let mut driver = driver(MODERN);
        for round in 0..70_000u32 {
            if round % 7 == 0 {
                driver.set_chain(testing::desc(0), 2, &[(DATA, 1, false), (OUT, 1, true)]);
            }
            driver.make_available(0, 2);
            driver.notify(0);
            assert_eq!(driver.used(0), Some((2, 1)), "{round}");
        }
    }

    #[test]
    fn one_interrupt_for_all_that_waited_and_none_if_not_wanted() {
        let mut driver = driver(VERSION_1);
        driver.set_chain(testing::desc(0), 0, &[(DATA, 2, false), (OUT, 2, true)]);
        for _ in 0..SIZE {
            driver.make_available(0, 0);
        }
        driver.notify(0);
        assert_eq!(driver.interrupted(), 1);
        for _ in 0..SIZE {
            assert_eq!(driver.used(0), Some((0, 2)));
        }
        driver.ram.store(testing::avail(0), Width::B2, 1).unwrap();
        driver.make_available(0, 0);
        driver.notify(0);
        assert_eq!(driver.used(0), Some((0, 2)));
        assert_eq!(driver.interrupted(), 0);
    }

    #[test]
    fn event_indices_decide_about_interrupts_and_notifications() {
        let mut driver = driver(MODERN);
        let used_event = testing::avail(0) + 4 + 2 * u64::from(SIZE);
        let avail_event = testing::used(0) + 4 + 8 * u64::from(SIZE);
        driver.set_chain(testing::desc(0), 0, &[(DATA, 2, false), (OUT, 2, true)]);
        driver.ram.store(used_event, Width::B2, 2).unwrap();
        for (round, interrupt) in [(1, 0), (2, 0), (3, 1), (4, 0)] {
            driver.make_available(0, 0);
            driver.notify(0);
            assert_eq!(driver.interrupted(), interrupt, "round {round}");
            assert_eq!(driver.ram.load(avail_event, Width::B2), Ok(round));
        }
    }

    #[test]
    fn liars_are_refused() {
        let table = testing::desc(0);
        // A loop; out of the table; written first, then read.
        refused(|d| d.set_desc(table, 0, DATA, 1, NEXT, 0));
        refused(|d| d.set_desc(table, 0, DATA, 1, NEXT, SIZE));
        refused(|d| d.set_chain(table, 0, &[(OUT, 1, true), (DATA, 1, false)]));
        // Outside RAM, across its end, wrapping.
        refused(|d| d.set_desc(table, 0, 0, 1, 0, 0));
        refused(|d| d.set_desc(table, 0, BASE + RAM_SIZE - 1, 2, WRITE, 0));
        refused(|d| d.set_desc(table, 0, u64::MAX, 0x10, WRITE, 0));
        refused(|d| d.set_desc(table, 0, DATA, u32::MAX, 0, 0));
        // Indirect: empty, odd, huge, outside RAM, continued, nested, looping.
        for (addr, len, flags) in [
            (OUT, 0, INDIRECT),
            (OUT, 24, INDIRECT),
            (OUT, 16 * 1025, INDIRECT),
            (u64::MAX - 7, 16, INDIRECT),
            (OUT, 16, INDIRECT | NEXT),
        ] {
            refused(|d| d.set_desc(table, 0, addr, len, flags, 1));
        }
        for (flags, next) in [(INDIRECT, 0), (NEXT, 0), (NEXT, 2)] {
            refused(|d| {
                d.set_desc(table, 0, OUT, 32, INDIRECT, 0);
                d.set_desc(OUT, 0, DATA, 1, flags, next);
                d.set_desc(OUT, 1, DATA, 1, 0, 0);
            });
        }
    }

    #[test]
    fn indirect_must_have_been_negotiated() {
        let mut driver = driver(VERSION_1);
        driver.set_desc(testing::desc(0), 0, OUT, 16, INDIRECT, 0);
        driver.make_available(0, 0);
        driver.notify(0);
        assert!(driver.needs_reset());
    }

    #[test]
    fn a_head_or_an_index_out_of_bounds_is_refused() {
        let mut driver = driver(MODERN);
        driver.make_available(0, SIZE);
        driver.notify(0);
        assert!(driver.needs_reset());
        driver.start(MODERN);
        let index = u64::from(SIZE) + 1;
        driver
            .ram
            .store(testing::avail(0) + 2, Width::B2, index)
            .unwrap();
        driver.notify(0);
        assert!(driver.needs_reset());
    }

    #[test]
    fn what_was_answered_before_the_lie_was_answered() {
        let mut driver = driver(VERSION_1);
        driver.set_chain(testing::desc(0), 0, &[(DATA, 2, false), (OUT, 2, true)]);
        driver.make_available(0, 0);
        driver.make_available(0, 99);
        driver.notify(0);
        assert!(driver.needs_reset());
        assert_eq!(driver.used(0), Some((0, 2)));
        assert_eq!(driver.interrupted(), 3);
    }

    #[test]
    fn chains_of_4_gib_are_refused() {
        // Overlapping buffers are legal, so that little RAM makes long chains.
        let ram = Ram::new(BASE, 1 << 30).unwrap();
        let mut chain = Chain::default();
        let desc = Descriptor {
            addr: BASE,
            len: 1 << 30,
            flags: WRITE,
            next: 0,
        };
        for _ in 0..3 {
            assert_eq!(chain.add(&ram, &desc), Ok(()));
        }
        assert_eq!(chain.add(&ram, &desc), Err(QueueError::Long));
    }
}
