//! Requests that a thread of the device's answers, against a hart that does
//! not wait.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ruse_bus::{Activity, Device, IrqLine, Ram, Width};
use ruse_devices::virtio::{Blk, ServerThread, VirtioMmio, serve_on_thread};
use ruse_disk::{Disk, DiskError, MemoryDisk};

const BASE: u64 = 0x8000_0000;
const DESC: u64 = BASE;
const AVAIL: u64 = BASE + 0x2000;
const USED: u64 = BASE + 0x3000;
/// Of each request: header, status, and a page of data.
const REQUESTS: u64 = BASE + 0x10_000;
const QUEUE: u16 = 64;
const IN: u32 = 0;
const OUT: u32 = 1;

/// What the test does to the disk.
#[derive(Default)]
struct Will {
    /// Requests begun.
    begun: AtomicUsize,
    /// Whether writes find no room on the host.
    full: AtomicBool,
    closed: Mutex<bool>,
    changed: Condvar,
}

impl Will {
    fn close(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.changed.notify_all();
    }

    fn pass(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let closed = self.closed.lock().unwrap();
        drop(self.changed.wait_while(closed, |closed| *closed).unwrap());
    }
}

struct Slow(MemoryDisk, Arc<Will>);

impl Disk for Slow {
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn read_only(&self) -> bool {
        false
    }
    fn id(&self) -> &str {
        "slow"
    }
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), DiskError> {
        self.1.pass();
        self.0.read_at(offset, out)
    }
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.1.pass();
        if self.1.full.load(Ordering::SeqCst) {
            return Err(DiskError::Io {
                path: "slow".into(),
                what: "write",
                offset,
                source: std::io::ErrorKind::StorageFull.into(),
            });
        }
        self.0.write_at(offset, bytes)
    }
    fn flush(&mut self) -> Result<(), DiskError> {
        self.0.flush()
    }
    fn discard(&mut self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.0.discard(offset, len)
    }
    fn write_zeroes(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), DiskError> {
        self.0.write_zeroes(offset, len, unmap)
    }
}

struct Rig {
    device: Arc<Mutex<VirtioMmio<Blk>>>,
    ram: Arc<Ram>,
    activity: Activity,
    will: Arc<Will>,
    thread: Option<ServerThread>,
    made: u16,
    seen: u16,
}

impl Rig {
    fn new() -> Self {
        let ram = Arc::new(Ram::new(BASE, 4 << 20).unwrap());
        let will = Arc::new(Will::default());
        let disk = Slow(MemoryDisk::new(4096), will.clone());
        let blk = Blk::new(Box::new(disk));
        let device = VirtioMmio::new(blk, ram.clone(), IrqLine::disconnected());
        let device = Arc::new(Mutex::new(device));
        let activity = Activity::default();
        let thread = serve_on_thread(&device, "disk", &activity).unwrap();
        let mut rig = Self {
            device,
            ram,
            activity,
            will,
            thread: Some(thread),
            made: 0,
            seen: 0,
        };
        rig.start();
        rig
    }

    fn put(&self, register: u64, value: u32) {
        let mut device = self.device.lock().unwrap();
        device.write(register, Width::B4, value.into()).unwrap();
    }

    /// Section 3.1.1, accepting VERSION_1 and flushes.
    fn start(&mut self) {
        (self.made, self.seen) = (0, 0);
        self.ram.fill(DESC, 0x4000, 0).unwrap();
        for status in [0, 1, 3] {
            self.put(0x70, status);
        }
        self.put(0x24, 0);
        self.put(0x20, 1 << 9);
        self.put(0x24, 1);
        self.put(0x20, 1);
        self.put(0x70, 11);
        self.put(0x38, QUEUE.into());
        for (register, at) in [(0x80, DESC), (0x90, AVAIL), (0xa0, USED)] {
            self.put(register, at as u32);
        }
        self.put(0x44, 1);
        self.put(0x70, 15);
    }

    fn store(&self, at: u64, width: Width, value: u64) {
        self.ram.store(at, width, value).unwrap();
    }

    fn data(slot: u16) -> u64 {
        REQUESTS + 0x2000 * u64::from(slot) + 0x1000
    }

    /// Makes a request for one page available, without the doorbell.
    fn request(&mut self, slot: u16, kind: u32, sector: u64) {
        let at = REQUESTS + 0x2000 * u64::from(slot);
        self.store(at, Width::B8, kind.into());
        self.store(at + 8, Width::B8, sector);
        self.store(at + 16, Width::B1, 0xee);
        let direction = if kind == IN { 2 } else { 0 };
        let parts = [
            (at, 16, 1),
            (Self::data(slot), 4096, 1 | direction),
            (at + 16, 1, 2),
        ];
        for (n, (addr, len, flags)) in parts.into_iter().enumerate() {
            let index = 3 * slot + n as u16;
            let desc = DESC + 16 * u64::from(index);
            self.store(desc, Width::B8, addr);
            self.store(desc + 8, Width::B4, len);
            self.store(desc + 12, Width::B2, flags);
            self.store(desc + 14, Width::B2, u64::from(index) + 1);
        }
        let element = AVAIL + 4 + 2 * u64::from(self.made % QUEUE);
        self.store(element, Width::B2, u64::from(3 * slot));
        self.made = self.made.wrapping_add(1);
        std::sync::atomic::fence(Ordering::SeqCst);
        self.store(AVAIL + 2, Width::B2, self.made.into());
    }

    fn ring(&self) {
        self.put(0x50, 0);
    }

    fn status(&self, slot: u16) -> u64 {
        let at = REQUESTS + 0x2000 * u64::from(slot) + 16;
        self.ram.load(at, Width::B1).unwrap()
    }

    fn used(&self) -> u16 {
        self.ram.load(USED + 2, Width::B2).unwrap() as u16
    }

    /// Waits for a request; which slot's it was.
    fn wait(&mut self) -> u16 {
        while self.used() == self.seen {
            std::thread::yield_now();
        }
        let element = USED + 4 + 8 * u64::from(self.seen % QUEUE);
        self.seen = self.seen.wrapping_add(1);
        std::sync::atomic::fence(Ordering::SeqCst);
        self.ram.load(element, Width::B4).unwrap() as u16 / 3
    }

    fn until(&self, what: impl Fn(&Self) -> bool) {
        while !what(self) {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

#[test]
fn a_hart_goes_on_while_the_disk_works() {
    let mut rig = Rig::new();
    rig.will.close(true);
    rig.request(0, IN, 0);
    rig.ring();
    // The device answers while its disk does not.
    rig.until(|rig| rig.will.begun.load(Ordering::SeqCst) == 1);
    assert_eq!(
        rig.device.lock().unwrap().read(0, Width::B4),
        Ok(0x7472_6976)
    );
    assert!(rig.activity.is_any());
    // What comes meanwhile is seen without another ring.
    rig.request(1, IN, 8);
    rig.will.close(false);
    assert_eq!((rig.wait(), rig.wait()), (0, 1));
    assert_eq!((rig.status(0), rig.status(1)), (0, 0));
    rig.until(|rig| !rig.activity.is_any());
}

#[test]
fn thousands_of_requests_do_what_they_say() {
    let mut rig = Rig::new();
    let mut model = vec![0u8; 512];
    let mut random = 1u64;
    let mut next = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        random >> 33
    };
    for round in 0..2_000u32 {
        // Each of the requests in flight has a page of the disk for itself.
        let count = 1 + next() as u16 % 20;
        let mut pages = Vec::<(u64, u32, u8)>::new();
        for slot in 0..count {
            let page = loop {
                let page = next() % 512;
                if !pages.iter().any(|&(other, ..)| other == page) {
                    break page;
                }
            };
            let kind = if next() % 2 == 0 { IN } else { OUT };
            let mark = (round % 251) as u8;
            let fill = if kind == OUT { mark } else { 0xee };
            rig.ram.fill(Rig::data(slot), 4096, fill).unwrap();
            pages.push((page, kind, mark));
            rig.request(slot, kind, page * 8);
            if next() % 3 == 0 {
                rig.ring();
            }
        }
        rig.ring();
        for _ in 0..count {
            let slot = rig.wait();
            let (page, kind, mark) = pages[usize::from(slot)];
            assert_eq!(rig.status(slot), 0);
            if kind == OUT {
                model[page as usize] = mark;
            } else {
                let mut data = [0; 4096];
                rig.ram.read(Rig::data(slot), &mut data).unwrap();
                assert!(data.iter().all(|&byte| byte == model[page as usize]));
            }
        }
    }
}

#[test]
fn a_reset_waits_for_what_is_in_flight_and_forgets_it() {
    let mut rig = Rig::new();
    for round in 0..200 {
        rig.will.close(true);
        let begun = rig.will.begun.load(Ordering::SeqCst);
        rig.request(0, IN, 0);
        rig.request(1, IN, 8);
        rig.ring();
        rig.until(|rig| rig.will.begun.load(Ordering::SeqCst) > begun);
        let opener = std::thread::spawn({
            let will = rig.will.clone();
            move || {
                std::thread::sleep(Duration::from_micros(round * 5));
                will.close(false);
            }
        });
        // By the device's status, or by the queue's.
        if round % 2 == 0 {
            rig.put(0x70, 0);
        } else {
            rig.put(0x44, 0);
        }
        // What the disk let go before that may have been given back; from here on
        // nothing is, and the memory is the driver's again.
        let given = rig.used();
        rig.ram.fill(REQUESTS, 0x10_000, 0x55).unwrap();
        opener.join().unwrap();
        std::thread::sleep(Duration::from_micros(50));
        let mut bytes = [0; 0x10_000];
        rig.ram.read(REQUESTS, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0x55));
        assert_eq!(rig.used(), given, "given back after a reset");
        rig.start();
        rig.request(2, IN, 0);
        rig.ring();
        assert_eq!(rig.wait(), 2);
    }
}

#[test]
fn without_room_on_the_host_a_write_waits_and_then_succeeds() {
    let mut rig = Rig::new();
    rig.will.full.store(true, Ordering::SeqCst);
    rig.ram.fill(Rig::data(0), 4096, 0x77).unwrap();
    rig.request(0, OUT, 16);
    rig.ring();
    rig.until(|rig| rig.will.begun.load(Ordering::SeqCst) >= 2);
    assert_eq!(rig.used(), 0);
    rig.will.full.store(false, Ordering::SeqCst);
    assert_eq!(rig.wait(), 0);
    assert_eq!(rig.status(0), 0);
    rig.request(1, IN, 16);
    rig.ring();
    assert_eq!(rig.wait(), 1);
    assert_eq!(rig.ram.load(Rig::data(1), Width::B1), Ok(0x77));
}

#[test]
fn a_reset_or_the_end_does_not_wait_for_room() {
    let mut rig = Rig::new();
    rig.will.full.store(true, Ordering::SeqCst);
    rig.request(0, OUT, 0);
    rig.ring();
    rig.until(|rig| rig.will.begun.load(Ordering::SeqCst) >= 1);
    rig.start();
    rig.request(0, OUT, 0);
    rig.ring();
    rig.until(|rig| rig.will.begun.load(Ordering::SeqCst) >= 2);
    let will = Arc::downgrade(&rig.will);
    rig.thread = None;
    rig.will = Arc::default();
    assert_eq!(will.strong_count(), 0, "the disk is closed");
    // Nobody answers any more, and nothing hangs.
    rig.ring();
    rig.put(0x70, 0);
}

#[test]
fn a_broken_queue_stops_the_device_after_what_came_before() {
    let mut rig = Rig::new();
    rig.request(0, IN, 0);
    rig.request(1, IN, 0);
    // The second chain loops.
    rig.store(DESC + 16 * 5 + 12, Width::B2, 1);
    rig.store(DESC + 16 * 5 + 14, Width::B2, 3);
    rig.ring();
    assert_eq!(rig.wait(), 0);
    rig.until(|rig| rig.device.lock().unwrap().read(0x70, Width::B4) == Ok(64 | 15));
    assert_eq!(rig.used(), 1);
    rig.start();
    rig.request(0, IN, 0);
    rig.ring();
    assert_eq!(rig.wait(), 0);
}
