//! A guest that sends anything at all to every device: nothing panics,
//! nothing outside RAM is touched, everything ends, and after a reset the
//! device works as on its first day.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use ruse_bus::{Device, IrqLine, IrqSink, Ram, VirtualClock, Width};
use ruse_devices::virtio::{Blk, Console, Rng, VirtioDevice, VirtioMmio};
use ruse_devices::{
    Aclint, ConsoleIn, ConsoleOut, Entropy, GoldfishRtc, Plic, PowerRequest, TestFinisher, Uart,
    WallClock, aclint, plic, virtio,
};
use ruse_disk::MemoryDisk;

const BASE: u64 = 0x8000_0000;
const RAM_SIZE: u64 = 0x1_0000;
const DISK_SECTORS: u64 = 64;
/// What any handful of accesses may take, with room for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The host's side: swallows, counts and repeats.
struct Host;

impl ConsoleOut for Host {
    fn write(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty());
    }
}

impl Entropy for Host {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(7);
    }
}

impl WallClock for Host {
    fn unix_nanos(&self) -> u64 {
        1 << 60
    }
}

#[derive(Default)]
struct Lines(AtomicU64);

impl IrqSink for Lines {
    fn set_level(&self, line: u32, level: bool) {
        let bit = 1 << line;
        if level {
            self.0.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!bit, Ordering::Relaxed);
        }
    }
}

/// One access: whether it writes, an unaligned offset, a width, a value.
type Access = (bool, u64, u8, u64);

fn accesses() -> impl Strategy<Value = Vec<Access>> {
    let offset = prop_oneof![0u64..0x110, 0u64..0x1_0000, any::<u64>()];
    let value = prop_oneof![0u64..32, any::<u64>(), Just(u64::MAX)];
    prop::collection::vec((any::<bool>(), offset, 0u8..4, value), 0..200)
}

/// What the bus makes of an access: inside the region and aligned.
fn perform(device: &mut dyn Device, size: u64, accesses: &[Access]) {
    let start = Instant::now();
    for &(write, offset, log2, value) in accesses {
        let width = Width::from_bytes(1 << log2).unwrap();
        let offset = (offset % size) & !(width.bytes() - 1);
        if write {
            let _ = device.write(offset, width, value & width.mask());
        } else if let Ok(value) = device.read(offset, width) {
            // The bus cuts it to the width; a device may leave that to it.
            let _ = value & width.mask();
        }
    }
    assert!(start.elapsed() < PATIENCE);
}

/// After `accesses` and a reset, a device reads as a new one does.
fn same_after_reset(
    fresh: impl Fn(IrqLine) -> Box<dyn Device>,
    size: u64,
    registers: &[u64],
    width: Width,
    accesses: &[Access],
) {
    let lines = Arc::<Lines>::default();
    let mut used = fresh(IrqLine::new(lines.clone(), 0));
    perform(&mut *used, size, accesses);
    used.reset();
    assert_eq!(lines.0.load(Ordering::Relaxed), 0, "a line stays high");
    let mut new = fresh(IrqLine::disconnected());
    for &register in registers {
        assert_eq!(
            used.read(register, width),
            new.read(register, width),
            "{register:#x}"
        );
    }
}

proptest! {
    #[test]
    fn uart(accesses in accesses()) {
        let fresh = |irq| Box::new(Uart::new(irq, Box::new(Host))) as Box<dyn Device>;
        same_after_reset(fresh, 8, &[0, 1, 2, 3, 4, 5, 6, 7], Width::B1, &accesses);
    }

    #[test]
    fn uart_loses_no_input(accesses in accesses()) {
        // Whatever the guest does apart from reading what it gets, the input
        // is there in the end.
        let mut uart = Uart::new(IrqLine::disconnected(), Box::new(Host));
        let accesses: Vec<_> = accesses
            .into_iter()
            .filter(|&(write, offset, ..)| write || offset % 8 != 0)
            .map(|(write, offset, _, value)| (write, offset, 0, value))
            .collect();
        prop_assert_eq!(uart.receive(b"all of this text"), 16);
        perform(&mut uart, 8, &accesses);
        uart.reset();
        let seen: Vec<u8> = (0..16)
            .map(|_| uart.read(0, Width::B1).unwrap() as u8)
            .collect();
        prop_assert_eq!(seen, b"all of this text");
    }

    #[test]
    fn clint(accesses in accesses()) {
        let fresh = |irq: IrqLine| {
            let clock = Arc::new(VirtualClock::new(1));
            let msip = vec![irq.clone(), IrqLine::disconnected()];
            Box::new(Aclint::new(clock, msip, vec![irq, IrqLine::disconnected()]))
                as Box<dyn Device>
        };
        let registers = [0, 4, 8, 0x4000, 0x4004, 0x4008, 0x4010, 0xbff8];
        same_after_reset(fresh, aclint::SIZE, &registers, Width::B4, &accesses);
    }

    #[test]
    fn platform_interrupts(
        accesses in accesses(),
        near in prop::collection::vec((any::<bool>(), 0u64..0x80, 0u64..8, any::<u64>()), 0..100),
        wires in prop::collection::vec((0u32..1100, any::<bool>()), 0..50),
    ) {
        // Accesses to where the registers are, besides those anywhere.
        let near: Vec<_> = near
            .into_iter()
            .map(|(write, at, place, value)| {
                let base = [0, 0x40, 0x1000, 0x2000, 0x2080, 0x20_0000, 0x20_1000, 0x20_2000];
                let at = base[place as usize] + at;
                // Sources are numbers up to 95, and mostly the claim register
                // takes those.
                (write, at, 2, if at % 8 == 4 { value % 100 } else { value })
            })
            .collect();
        let fresh = |irq| {
            let plic = Plic::new(95, vec![irq, IrqLine::disconnected()]);
            for &(source, level) in &wires {
                plic.line(source).set(level);
            }
            Box::new(plic) as Box<dyn Device>
        };
        let all: Vec<_> = near.iter().chain(&accesses).copied().collect();
        same_after_reset(fresh, plic::SIZE, &[4, 40, 0x2000, 0x2084, 0x20_0000], Width::B4, &all);
    }

    #[test]
    fn finisher_and_rtc(accesses in accesses()) {
        let mut finisher = TestFinisher::new(Arc::new(PowerRequest::new(None)));
        perform(&mut finisher, 0x1000, &accesses);
        let fresh = |irq| Box::new(GoldfishRtc::new(Box::new(Host), irq)) as Box<dyn Device>;
        let registers = [0x04, 0x08, 0x0c, 0x10, 0x18];
        same_after_reset(fresh, 0x24, &registers[1..], Width::B4, &accesses);
    }

    #[test]
    fn virtio_registers(accesses in accesses()) {
        for_each_virtio(|device, ram, _| {
            ram.fill(BASE, RAM_SIZE, 0x5a).unwrap();
            perform(device, virtio::SIZE, &accesses);
        });
    }
}

/// Runs `test` on each virtio device; it also gets the number of its queues.
fn for_each_virtio(test: impl Fn(&mut dyn Device, &Ram, usize)) {
    fn one(device: impl VirtioDevice, test: &impl Fn(&mut dyn Device, &Ram, usize)) {
        let ram = Arc::new(Ram::new(BASE, RAM_SIZE).unwrap());
        let queues = device.queue_sizes().len();
        let mut mmio = VirtioMmio::new(device, ram.clone(), IrqLine::disconnected());
        test(&mut mmio, &ram, queues);
    }
    one(Blk::new(Box::new(MemoryDisk::new(DISK_SECTORS))), &test);
    one(
        Blk::new(Box::new(MemoryDisk::new(DISK_SECTORS).into_read_only())),
        &test,
    );
    one(Rng::new(Box::new(Host)), &test);
    one(Console::new(Box::new(Host)), &test);
}

fn put(device: &mut dyn Device, register: u64, value: u64) {
    device.write(register, Width::B4, value).unwrap();
}

const QUEUE_SIZE: u64 = 16;
const AVAIL: u64 = 0x400;
const USED: u64 = 0x800;
/// Where indirect tables and request headers may be found.
const TABLES: u64 = 0x4000;

fn start(device: &mut dyn Device, features: u64, queues: usize) {
    put(device, 0x70, 0);
    put(device, 0x70, 3);
    put(device, 0x14, 0);
    let low = device.read(0x10, Width::B4).unwrap() & features;
    put(device, 0x24, 0);
    put(device, 0x20, low);
    put(device, 0x24, 1);
    put(device, 0x20, 1);
    put(device, 0x70, 11);
    for queue in 0..queues {
        let base = BASE + 0x1000 * queue as u64;
        put(device, 0x30, queue as u64);
        put(device, 0x38, QUEUE_SIZE);
        for (register, at) in [(0x80, base), (0x90, base + AVAIL), (0xa0, base + USED)] {
            put(device, register, at);
            put(device, register + 4, 0);
        }
        put(device, 0x44, 1);
    }
    put(device, 0x70, 15);
    assert_eq!(device.read(0x70, Width::B4), Ok(15));
}

fn raw(addr: u64, len: u32, flags: u16, next: u16) -> [u8; 16] {
    let mut raw = [0; 16];
    raw[..8].copy_from_slice(&addr.to_le_bytes());
    raw[8..12].copy_from_slice(&len.to_le_bytes());
    raw[12..14].copy_from_slice(&flags.to_le_bytes());
    raw[14..].copy_from_slice(&next.to_le_bytes());
    raw
}

/// Four descriptors from number `first` on, that most often make an honest
/// chain: a header, two buffers of data, a status. Without any of those no
/// test gets past the first check.
fn request(first: u16) -> impl Strategy<Value = Vec<[u8; 16]>> {
    let data = BASE + 0x8000;
    let fixed = (0u64..8, 0u32..3, 0u32..3, any::<bool>()).prop_map(move |(n, a, b, write)| {
        let flags = if write { 3 } else { 1 };
        // Discards take ranges of 16 bytes; the rest takes sectors.
        let unit = if n % 4 == 3 { 16 } else { 512 };
        vec![
            raw(BASE + TABLES + 0x100 * n, 16, 1, first + 1),
            raw(data + 0x800 * n, a * unit, flags, first + 2),
            raw(BASE + TABLES + 0x2000, b * unit, flags, first + 3),
            raw(data, 1, 2, 0),
        ]
    });
    (
        fixed,
        prop::option::weighted(0.3, (0usize..4, descriptor())),
    )
        .prop_map(|(mut chain, lie)| {
            if let Some((at, descriptor)) = lie {
                chain[at] = descriptor;
            }
            chain
        })
}

/// A descriptor that is plausible enough to lead somewhere.
fn descriptor() -> impl Strategy<Value = [u8; 16]> {
    let addr = prop_oneof![
        8 => (0u64..RAM_SIZE).prop_map(|at| BASE + at),
        4 => (0u64..32).prop_map(|n| BASE + TABLES + 0x100 * n),
        1 => (0u64..64).prop_map(|at| BASE + RAM_SIZE - at),
        1 => any::<u64>(),
        1 => (0u64..64).prop_map(|at| u64::MAX - at),
    ];
    let len = prop_oneof![
        2 => Just(16u32),
        1 => Just(1),
        3 => (0u32..32).prop_map(|n| n * 16),
        3 => (0u32..128).prop_map(|n| n * 512),
        1 => any::<u32>(),
        1 => 0u32..0x1_0000,
    ];
    let flags = prop_oneof![8 => 0u16..4, 2 => Just(4u16), 1 => any::<u16>()];
    let next = prop_oneof![8 => 0u16..16, 1 => any::<u16>()];
    (addr, len, flags, next).prop_map(|(addr, len, flags, next)| raw(addr, len, flags, next))
}

/// A block request's header.
fn header() -> impl Strategy<Value = [u8; 16]> {
    let sector = prop_oneof![4 => 0..DISK_SECTORS, 1 => any::<u64>()];
    let kind = prop_oneof![4 => prop::sample::select(vec![0u8, 1, 4, 8, 11, 13]), 1 => 0u8..16];
    (kind, sector).prop_map(|(kind, sector)| {
        let mut raw = [0; 16];
        raw[0] = kind;
        raw[8..].copy_from_slice(&sector.to_le_bytes());
        raw
    })
}

#[derive(Debug, Clone)]
struct Rings {
    features: u64,
    tables: Vec<[u8; 16]>,
    indirect: Vec<(u64, [u8; 16])>,
    headers: Vec<[u8; 16]>,
    heads: Vec<u16>,
    indices: Vec<u16>,
    events: Vec<u16>,
}

fn rings() -> impl Strategy<Value = Rings> {
    let index = prop_oneof![6 => 0u16..17, 1 => any::<u16>()];
    let head = prop_oneof![60 => (0u16..4).prop_map(|n| 4 * n), 4 => 0u16..16, 1 => any::<u16>()];
    let tables = (
        (request(0), request(4), request(8), request(12)),
        (request(0), request(4), request(8), request(12)),
    )
        .prop_map(|((a, b, c, d), (e, f, g, h))| [a, b, c, d, e, f, g, h].concat());
    (
        any::<u64>(),
        tables,
        prop::collection::vec((0u64..512, descriptor()), 0..64),
        prop::collection::vec(header(), 8),
        prop::collection::vec(head, 32),
        prop::collection::vec(index, 1..6),
        prop::collection::vec(any::<u16>(), 4),
    )
        .prop_map(
            |(features, tables, indirect, headers, heads, indices, events)| Rings {
                features,
                tables,
                indirect,
                headers,
                heads,
                indices,
                events,
            },
        )
}

impl Rings {
    fn lay_out(&self, ram: &Ram) {
        for queue in 0..2usize {
            let base = BASE + 0x1000 * queue as u64;
            for n in 0..16 {
                ram.write(base + 16 * n as u64, &self.tables[16 * queue + n])
                    .unwrap();
                ram.store(
                    base + AVAIL + 4 + 2 * n as u64,
                    Width::B2,
                    self.heads[16 * queue + n].into(),
                )
                .unwrap();
            }
            ram.store(base + AVAIL, Width::B2, self.events[queue].into())
                .unwrap();
            ram.store(
                base + AVAIL + 4 + 2 * QUEUE_SIZE,
                Width::B2,
                self.events[2 + queue].into(),
            )
            .unwrap();
        }
        for (at, raw) in &self.indirect {
            ram.write(BASE + TABLES + 16 * at, raw).unwrap();
        }
        for (n, raw) in self.headers.iter().enumerate() {
            ram.write(BASE + TABLES + 0x100 * n as u64, raw).unwrap();
        }
    }
}

/// One honest request to each queue is answered.
fn works(device: &mut dyn Device, ram: &Ram, queues: usize) {
    ram.fill(BASE, RAM_SIZE, 0).unwrap();
    start(device, 0, queues);
    for queue in (0..queues).rev() {
        let base = BASE + 0x1000 * queue as u64;
        let data = BASE + TABLES;
        // A block read of one sector; a console prints the header, and has no
        // input; the entropy device ignores what it can read.
        for (n, (addr, len, flags)) in [(data, 16, 1u64), (data + 0x100, 513, 2)]
            .into_iter()
            .enumerate()
        {
            let at = base + 16 * n as u64;
            ram.store(at, Width::B8, addr).unwrap();
            ram.store(at + 8, Width::B4, len).unwrap();
            ram.store(at + 12, Width::B4, 1 << 16 | flags).unwrap();
        }
        ram.store(base + AVAIL + 2, Width::B2, 1).unwrap();
        put(device, 0x50, queue as u64);
        let answered = ram.load(base + USED + 2, Width::B2).unwrap();
        let waits_for_input = queues == 2 && queue == 0;
        assert_eq!(answered, if waits_for_input { 0 } else { 1 });
    }
    assert_eq!(device.read(0x70, Width::B4), Ok(15));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn virtio_rings(rings in rings()) {
        for_each_virtio(|device, ram, queues| {
            start(device, rings.features, queues);
            rings.lay_out(ram);
            let begin = Instant::now();
            for (n, &index) in rings.indices.iter().enumerate() {
                let queue = n % queues;
                let at = BASE + 0x1000 * queue as u64 + AVAIL + 2;
                ram.store(at, Width::B2, index.into()).unwrap();
                put(device, 0x50, queue as u64);
            }
            assert!(begin.elapsed() < PATIENCE);
            works(device, ram, queues);
        });
    }

    #[test]
    fn console_input_meets_any_ring(rings in rings(), text in prop::collection::vec(any::<u8>(), 1..3000)) {
        let ram = Arc::new(Ram::new(BASE, RAM_SIZE).unwrap());
        let console = Console::new(Box::new(Host));
        let mut mmio = VirtioMmio::new(console, ram.clone(), IrqLine::disconnected());
        start(&mut mmio, rings.features, 2);
        rings.lay_out(&ram);
        ram.store(BASE + AVAIL + 2, Width::B2, rings.indices[0].into()).unwrap();
        for part in text.chunks(100) {
            let room = mmio.room();
            prop_assert_eq!(mmio.receive(part), part.len().min(room));
        }
    }
}
