//! virtio-blk throughput: from the doorbell to the used ring, on a host file.

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ruse_bus::{Device, IrqLine, Ram, Width};
use ruse_devices::virtio::{Blk, VirtioMmio};
use ruse_disk::{RawDisk, create_sparse};

const BASE: u64 = 0x8000_0000;
/// The queue's parts and the request's, in RAM.
const DESC: u64 = BASE;
const AVAIL: u64 = BASE + 0x1000;
const USED: u64 = BASE + 0x2000;
const HEADER: u64 = BASE + 0x3000;
const STATUS: u64 = BASE + 0x3100;
const DATA: u64 = BASE + 0x10_0000;
/// Size of the disk, in bytes.
const DISK: u64 = 256 << 20;

/// Request types (virtio 1.2, section 5.2.6).
const IN: u32 = 0;
const OUT: u32 = 1;
/// Descriptor flags (section 2.7.5).
const NEXT: u64 = 1;
const WRITE: u64 = 2;

struct Driver {
    device: VirtioMmio<Blk>,
    ram: Arc<Ram>,
    made: u16,
}

impl Driver {
    fn new(disk: RawDisk) -> Self {
        let ram = Arc::new(Ram::new(BASE, 16 << 20).expect("RAM"));
        let blk = Blk::new(Box::new(disk));
        let device = VirtioMmio::new(blk, ram.clone(), IrqLine::disconnected());
        let mut driver = Self {
            device,
            ram,
            made: 0,
        };
        // Section 3.1.1: acknowledge, features, queue, go.
        driver.put(0x070, 0);
        driver.put(0x070, 1 | 2);
        driver.put(0x024, 1);
        driver.put(0x020, 1);
        driver.put(0x070, 1 | 2 | 8);
        driver.put(0x030, 0);
        driver.put(0x038, 8);
        for (register, address) in [(0x080, DESC), (0x090, AVAIL), (0x0a0, USED)] {
            driver.put(register, address as u32);
            driver.put(register + 4, (address >> 32) as u32);
        }
        driver.put(0x044, 1);
        driver.put(0x070, 1 | 2 | 4 | 8);
        driver
    }

    fn put(&mut self, register: u64, value: u32) {
        self.device
            .write(register, Width::B4, value.into())
            .expect("a register of the transport");
    }

    fn store(&self, at: u64, width: Width, value: u64) {
        self.ram.store(at, width, value).expect("in RAM");
    }

    fn descriptor(&self, index: u64, address: u64, len: u64, flags: u64) {
        let at = DESC + 16 * index;
        self.store(at, Width::B8, address);
        self.store(at + 8, Width::B4, len);
        self.store(at + 12, Width::B2, flags);
        self.store(at + 14, Width::B2, index + 1);
    }

    fn request(&mut self, kind: u32, sector: u64, len: u64) {
        self.store(HEADER, Width::B4, kind.into());
        self.store(HEADER + 8, Width::B8, sector);
        self.descriptor(0, HEADER, 16, NEXT);
        let direction = if kind == IN { WRITE } else { 0 };
        self.descriptor(1, DATA, len, NEXT | direction);
        self.descriptor(2, STATUS, 1, WRITE);
        self.store(AVAIL + 4 + 2 * u64::from(self.made % 8), Width::B2, 0);
        self.made = self.made.wrapping_add(1);
        self.store(AVAIL + 2, Width::B2, self.made.into());
        self.put(0x050, 0);
        let used = self.ram.load(USED + 2, Width::B2).expect("in RAM");
        assert_eq!(used, u64::from(self.made), "the device answered");
        assert_eq!(self.ram.load(STATUS, Width::B1), Ok(0), "and well");
    }
}

fn throughput(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("disk.img");
    create_sparse(&path, DISK).expect("room for the disk");
    let mut driver = Driver::new(RawDisk::open(&path, false).expect("the disk"));
    let mut group = c.benchmark_group("virtio-blk");
    for (name, kind, len) in [
        ("write 1 MiB", OUT, 1 << 20),
        ("read 1 MiB", IN, 1 << 20),
        ("write 4 KiB", OUT, 4096),
        ("read 4 KiB", IN, 4096),
    ] {
        group.throughput(Throughput::Bytes(len));
        let mut sector = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                driver.request(kind, sector, len);
                // A stride that visits the whole disk, not in order.
                sector = (sector + 77 * len / 512) % ((DISK - len) / 512);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, throughput);
criterion_main!(benches);
