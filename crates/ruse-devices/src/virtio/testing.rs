//! A driver for tests: sets a device up through its registers and builds
//! rings in guest memory, honestly or not.

use std::sync::Arc;

use ruse_bus::{Device, Ram, Width};

use super::{VirtioDevice, VirtioMmio};
use crate::backend::fakes::Lines;

pub const BASE: u64 = 0x8000_0000;
pub const RAM_SIZE: u64 = 4 << 20;
/// Where tests put their buffers.
pub const DATA: u64 = BASE + 0x10_0000;
/// The size of each queue.
pub const SIZE: u16 = 16;

pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

/// Features that [`Driver::new`] accepts besides the device's own.
pub const VERSION_1: u64 = super::feature::VERSION_1;
pub const MODERN: u64 = VERSION_1 | super::feature::INDIRECT_DESC | super::feature::EVENT_IDX;

/// A buffer of a chain: address, length, and whether the device writes it.
pub type Part = (u64, u32, bool);

pub struct Driver<D> {
    pub mmio: VirtioMmio<D>,
    pub ram: Arc<Ram>,
    pub lines: Arc<Lines>,
    /// Chains made available, by queue.
    made: Vec<u16>,
    /// Used elements seen, by queue.
    seen: Vec<u16>,
}

impl<D: VirtioDevice> Driver<D> {
    /// A driver that brought `device` up, having accepted `features` of what
    /// it offers.
    pub fn new(device: D, features: u64) -> Self {
        let mut driver = Self::idle(device);
        driver.start(features);
        driver
    }

    /// A driver that has done nothing yet.
    pub fn idle(device: D) -> Self {
        let ram = Arc::new(Ram::new(BASE, RAM_SIZE).unwrap());
        let lines = Arc::<Lines>::default();
        let queues = device.queue_sizes().len();
        Self {
            mmio: VirtioMmio::new(device, ram.clone(), lines.line(0)),
            ram,
            lines,
            made: vec![0; queues],
            seen: vec![0; queues],
        }
    }

    pub fn get(&mut self, register: u64) -> u32 {
        self.mmio.read(register, Width::B4).unwrap() as u32
    }

    pub fn put(&mut self, register: u64, value: u32) {
        self.mmio.write(register, Width::B4, value.into()).unwrap();
    }

    pub fn offered(&mut self) -> u64 {
        self.put(0x14, 0);
        let low = self.get(0x10);
        self.put(0x14, 1);
        u64::from(self.get(0x10)) << 32 | u64::from(low)
    }

    pub fn accept(&mut self, features: u64) {
        self.put(0x24, 0);
        self.put(0x20, features as u32);
        self.put(0x24, 1);
        self.put(0x20, (features >> 32) as u32);
    }

    /// Section 3.1.1.
    pub fn start(&mut self, features: u64) {
        self.put(0x70, 0);
        self.put(0x70, 1);
        self.put(0x70, 3);
        let offered = self.offered();
        self.accept(offered & features);
        self.put(0x70, 11);
        assert_eq!(self.get(0x70), 11);
        for queue in 0..self.made.len() {
            self.set_up(queue);
        }
        self.put(0x70, 15);
    }

    pub fn set_up(&mut self, queue: usize) {
        (self.made[queue], self.seen[queue]) = (0, 0);
        self.ram.fill(desc(queue), 0x4000, 0).unwrap();
        self.put(0x30, queue as u32);
        assert_eq!(self.get(0x44), 0);
        self.put(0x38, SIZE.into());
        for (register, at) in [
            (0x80, desc(queue)),
            (0x90, avail(queue)),
            (0xa0, used(queue)),
        ] {
            self.put(register, at as u32);
            self.put(register + 4, (at >> 32) as u32);
        }
        self.put(0x44, 1);
    }

    pub fn set_desc(&self, table: u64, index: u16, addr: u64, len: u32, flags: u16, next: u16) {
        let at = table + 16 * u64::from(index);
        self.ram.store(at, Width::B8, addr).unwrap();
        self.ram.store(at + 8, Width::B4, len.into()).unwrap();
        self.ram.store(at + 12, Width::B2, flags.into()).unwrap();
        self.ram.store(at + 14, Width::B2, next.into()).unwrap();
    }

    /// Writes a chain into `table` from descriptor `first` on.
    pub fn set_chain(&self, table: u64, first: u16, parts: &[Part]) {
        for (n, &(addr, len, write)) in parts.iter().enumerate() {
            let index = first + n as u16;
            let last = n + 1 == parts.len();
            let flags = if write { WRITE } else { 0 } | if last { 0 } else { NEXT };
            self.set_desc(table, index, addr, len, flags, index + 1);
        }
    }

    /// Makes the chain that starts at descriptor `head` available.
    pub fn make_available(&mut self, queue: usize, head: u16) {
        let slot = u64::from(self.made[queue] % SIZE);
        self.ram
            .store(avail(queue) + 4 + 2 * slot, Width::B2, head.into())
            .unwrap();
        self.made[queue] = self.made[queue].wrapping_add(1);
        self.ram
            .store(avail(queue) + 2, Width::B2, self.made[queue].into())
            .unwrap();
    }

    pub fn notify(&mut self, queue: usize) {
        self.put(0x50, queue as u32);
    }

    /// Puts a chain at the start of the table and notifies.
    pub fn send(&mut self, queue: usize, parts: &[Part]) {
        self.set_chain(desc(queue), 0, parts);
        self.make_available(queue, 0);
        self.notify(queue);
    }

    /// The next used element: head and length.
    pub fn used(&mut self, queue: usize) -> Option<(u32, u32)> {
        let index = self.ram.load(used(queue) + 2, Width::B2).unwrap() as u16;
        if index == self.seen[queue] {
            return None;
        }
        let at = used(queue) + 4 + 8 * u64::from(self.seen[queue] % SIZE);
        self.seen[queue] = self.seen[queue].wrapping_add(1);
        let word = |at| self.ram.load(at, Width::B4).unwrap() as u32;
        Some((word(at), word(at + 4)))
    }

    /// Whether the interrupt is up; acknowledges it.
    pub fn interrupted(&mut self) -> u32 {
        let status = self.get(0x60);
        assert_eq!(self.lines.high(0), status != 0);
        self.put(0x64, status);
        assert!(!self.lines.high(0));
        status
    }

    pub fn needs_reset(&mut self) -> bool {
        self.get(0x70) & 64 != 0
    }

    pub fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        self.ram.read(at, &mut out).unwrap();
        out
    }
}

pub fn desc(queue: usize) -> u64 {
    BASE + 0x4000 * queue as u64
}

pub fn avail(queue: usize) -> u64 {
    desc(queue) + 0x1000
}

pub fn used(queue: usize) -> u64 {
    desc(queue) + 0x2000
}
