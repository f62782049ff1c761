//! Virtqueue chains of every virtio device: a driver that sets it up as it
//! should, or not, and then puts anything at all into rings and registers.

use std::collections::VecDeque;
use std::sync::Arc;

use ruse_bus::{Device, IrqLine, Ram, Wake, Width};
use ruse_devices::virtio::{Blk, Console, Input, Net, Rng, VirtioDevice, VirtioMmio};
use ruse_devices::{ConsoleIn, ConsoleOut, Entropy};
use ruse_disk::MemoryDisk;

use crate::Bytes;

const BASE: u64 = 0x8000_0000;
const RAM_SIZE: u64 = 1 << 20;
/// Each queue's rings, and buffers behind them.
const QUEUE: u64 = 0x1_0000;
const DATA: u64 = BASE + 8 * QUEUE;
/// Elements of each queue.
const SIZE: u16 = 16;

struct Host;

impl ConsoleOut for Host {
    fn write(&mut self, _: &[u8]) {}
}

impl Entropy for Host {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(7);
    }
}

pub(crate) fn blk(data: &[u8]) {
    let mut disk = MemoryDisk::new(256);
    if data.first().is_some_and(|byte| byte & 0x80 != 0) {
        disk = disk.into_read_only();
    }
    drive(Blk::new(Box::new(disk)), data, |_, _| {});
}

pub(crate) fn rng(data: &[u8]) {
    drive(Rng::new(Box::new(Host)), data, |_, _| {});
}

pub(crate) fn console(data: &[u8]) {
    drive(Console::new(Box::new(Host)), data, |console, bytes| {
        let typed = bytes.take(40);
        assert!(console.receive(typed) <= typed.len());
        console.set_size(bytes.u16(), bytes.u16());
    });
}

pub(crate) fn input(data: &[u8]) {
    drive(Input::new(), data, |button, _| {
        button.press();
    });
}

pub(crate) fn net(data: &[u8]) {
    let card = Net::new([2; 6], true, true, Arc::new(Deaf));
    let mut waiting = VecDeque::new();
    drive(card, data, |net, bytes| {
        let limit = usize::from(bytes.u16());
        net.take_frames(limit, &mut |frame| {
            if waiting.len() < 8 {
                waiting.push_back(frame);
            }
        });
        net.give_frames(&mut waiting);
    });
}

struct Deaf;

impl Wake for Deaf {
    fn wake(&self) {}
}

struct Driver<D> {
    mmio: VirtioMmio<D>,
    ram: Arc<Ram>,
    queues: u64,
    made: [u16; 8],
}

/// Has a driver do what `data` says; `outside` is what happens on the host's
/// side.
pub(crate) fn drive<D: VirtioDevice>(
    device: D,
    data: &[u8],
    mut outside: impl FnMut(&mut VirtioMmio<D>, &mut Bytes<'_>),
) {
    let ram = Arc::new(Ram::new(BASE, RAM_SIZE).expect("RAM"));
    let queues = device.queue_sizes().len() as u64;
    let mut driver = Driver {
        mmio: VirtioMmio::new(device, ram.clone(), IrqLine::disconnected()),
        ram,
        queues,
        made: [0; 8],
    };
    let mut bytes = Bytes::new(data);
    let features = bytes.u8();
    driver.start(features);
    while !bytes.is_empty() {
        driver.act(&mut bytes, &mut outside);
    }
}

impl<D: VirtioDevice> Driver<D> {
    fn put(&mut self, register: u64, value: u32) {
        let _ = self.mmio.write(register, Width::B4, value.into());
    }

    /// Section 3.1.1 of virtio 1.2, with more or fewer of the features.
    fn start(&mut self, features: u8) {
        self.made = [0; 8];
        for status in [0, 1, 3] {
            self.put(0x70, status);
        }
        for half in 0..2 {
            self.put(0x14, half);
            let offered = self.mmio.read(0x10, Width::B4).unwrap_or(0) as u32;
            let wanted = match (half, features & 3) {
                (_, 3) => offered,
                (0, 1) => offered & 0x3fff_ffff,
                (0, 2) => offered & 0x3000_0000,
                (0, _) => 0,
                _ => 1,
            };
            self.put(0x24, half);
            self.put(0x20, wanted);
        }
        self.put(0x70, 11);
        for queue in 0..self.queues {
            let at = BASE + queue * QUEUE;
            let _ = self.ram.fill(at, QUEUE, 0);
            self.put(0x30, queue as u32);
            self.put(0x38, SIZE.into());
            for (register, at) in [(0x80, at), (0x90, at + 0x1000), (0xa0, at + 0x2000)] {
                self.put(register, at as u32);
                self.put(register + 4, 0);
            }
            self.put(0x44, 1);
        }
        self.put(0x70, 15);
    }

    fn act(
        &mut self,
        bytes: &mut Bytes<'_>,
        outside: &mut impl FnMut(&mut VirtioMmio<D>, &mut Bytes<'_>),
    ) {
        let what = bytes.u8();
        let queue = u64::from(what >> 5) % self.queues;
        let rings = BASE + queue * QUEUE;
        match what & 0x1f {
            // A request of up to four parts, well made but for its contents.
            0..=11 => {
                let parts = u16::from(bytes.u8() & 3) + 1;
                let first = u16::from(bytes.u8()) % (SIZE - 4);
                for n in 0..parts {
                    let how = bytes.u8();
                    let len = if how & 0x40 == 0 {
                        u64::from(how & 0x1f) * 16
                    } else {
                        bytes.odd()
                    };
                    let at = DATA + u64::from(n) * 0x4000 + u64::from(how >> 4);
                    let mut flags = if how & 0x80 != 0 { 2 } else { 0 };
                    if n + 1 < parts {
                        flags |= 1;
                    }
                    self.describe(rings, first + n, at, len as u32, flags, first + n + 1);
                    if flags & 2 == 0 {
                        let content = bytes.take(usize::from(how & 0x1f) * 16);
                        let _ = self.ram.write(at, content);
                    }
                }
                self.offer(queue, first);
                self.put(0x50, queue as u32);
            }
            // One descriptor, of anything.
            12..=15 => {
                let (index, flags) = (bytes.u16() % (2 * SIZE), bytes.u16());
                let (addr, len) = (BASE.wrapping_add(bytes.odd()), bytes.odd());
                let next = bytes.u16() % (2 * SIZE);
                self.describe(rings, index, addr, len as u32, flags, next);
            }
            16..=18 => {
                let head = bytes.u16() % (2 * SIZE);
                self.offer(queue, head);
            }
            19..=21 => self.put(0x50, u32::from(bytes.u8() & 7)),
            // An indirect table of requests as above, perhaps broken.
            22 | 23 => {
                let table = DATA + 0x2_0000;
                let count = bytes.u8() & 7;
                for n in 0..u16::from(count) {
                    let (flags, len) = (bytes.u16(), bytes.odd());
                    self.describe(
                        table,
                        n,
                        DATA + u64::from(n) * 0x100,
                        len as u32,
                        flags & 3,
                        n + 1,
                    );
                }
                let len = u32::from(count) * 16 + u32::from(bytes.u8() & 0x11);
                self.describe(rings, 0, table, len, 4 | u16::from(bytes.u8() & 1), 1);
                self.offer(queue, 0);
                self.put(0x50, queue as u32);
            }
            // Memory, anywhere.
            24 => {
                let at = BASE.wrapping_add(u64::from(bytes.u32()) % RAM_SIZE);
                let content = bytes.take(32);
                let _ = self.ram.write(at, content);
            }
            25 | 26 => {
                let (register, value) = (u64::from(bytes.u8()) * 4, bytes.odd());
                self.put(register, value as u32);
            }
            27 => {
                let (offset, width) = (u64::from(bytes.u16()), bytes.u8() & 3);
                let width = [Width::B1, Width::B2, Width::B4, Width::B8][usize::from(width)];
                let offset = (offset % 0x1000) & !(width.bytes() - 1);
                let _ = self.mmio.read(offset, width);
                let _ = self.mmio.write(offset, width, bytes.u64());
            }
            28 => self.start(bytes.u8()),
            29 => self.mmio.reset(),
            _ => outside(&mut self.mmio, bytes),
        }
    }

    fn describe(&self, table: u64, index: u16, addr: u64, len: u32, flags: u16, next: u16) {
        let at = table + 16 * u64::from(index);
        let _ = self.ram.store(at, Width::B8, addr);
        let _ = self.ram.store(at + 8, Width::B4, len.into());
        let _ = self.ram.store(at + 12, Width::B2, flags.into());
        let _ = self.ram.store(at + 14, Width::B2, next.into());
    }

    fn offer(&mut self, queue: u64, head: u16) {
        let avail = BASE + queue * QUEUE + 0x1000;
        let made = &mut self.made[queue as usize];
        let slot = u64::from(*made % SIZE);
        *made = made.wrapping_add(1);
        let _ = self.ram.store(avail + 4 + 2 * slot, Width::B2, head.into());
        let _ = self.ram.store(avail + 2, Width::B2, (*made).into());
    }
}
