//! MMIO of every chip that is not virtio's: reads and writes of all widths,
//! anywhere.

use std::sync::Arc;

use ruse_bus::{Bus, IrqLine, Ram, VirtualClock, Width};
use ruse_devices::{
    Aclint, ConsoleIn, ConsoleOut, GoldfishRtc, Plic, PowerRequest, TestFinisher, Uart, WallClock,
    aclint, plic,
};

use crate::Bytes;

struct Host;

impl ConsoleOut for Host {
    fn write(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty());
    }
}

impl WallClock for Host {
    fn unix_nanos(&self) -> u64 {
        1 << 60
    }
}

/// The chips, one after the other from here on.
const BASE: u64 = 0x1000_0000;

pub(crate) fn run(data: &[u8]) {
    let none = IrqLine::disconnected;
    let shared = |device| Arc::new(std::sync::Mutex::new(device));
    let clock = Arc::new(VirtualClock::new(1));
    let plic = Plic::new(95, (0..4).map(|_| none()).collect());
    let lines: Vec<_> = (0..8)
        .map(|n| IrqLine::new(plic.sink(), n * 32 + 3))
        .collect();
    let mut bus = Bus::new(Arc::new(Ram::new(0x8000_0000, 0x1000).expect("RAM")));
    let uart = shared_uart(lines[0].clone());
    let rtc = GoldfishRtc::new(Box::new(Host), lines[1].clone());
    let rtc = Arc::new(std::sync::Mutex::new(rtc));
    let power = Arc::new(PowerRequest::new(None));
    let aclint = Aclint::new(clock.clone(), vec![none(), none()], vec![none(), none()]);
    let aclint = shared(aclint);
    let mut at = BASE;
    let mut sizes = Vec::new();
    let mut map = |name: &str, size: u64, device| {
        bus.map(name, at, size, device).expect("room");
        sizes.push((at, size));
        at += size;
    };
    map("uart", 0x100, uart.clone());
    map("rtc", 0x1000, rtc.clone());
    map(
        "test",
        0x1000,
        Arc::new(std::sync::Mutex::new(TestFinisher::new(power.clone()))),
    );
    map("clint", aclint::SIZE, aclint.clone());
    map("plic", plic::SIZE, Arc::new(std::sync::Mutex::new(plic)));
    let mut bytes = Bytes::new(data);
    while !bytes.is_empty() {
        let what = bytes.u8();
        let (base, size) = sizes[usize::from(what >> 3) % sizes.len()];
        let width = [Width::B1, Width::B2, Width::B4, Width::B8][usize::from(what & 3)];
        let offset = match what >> 6 {
            0 => u64::from(bytes.u8()),
            1 => u64::from(bytes.u16()) << 2,
            2 => 0x20_0000 + u64::from(bytes.u16()),
            _ => u64::from(bytes.u32()),
        };
        let pa = base + ((offset % size) & !(width.bytes() - 1));
        if what & 4 == 0 {
            let _ = bus.read(pa, width);
        } else {
            let _ = bus.write(pa, width, bytes.odd());
        }
        match bytes.u8() {
            0xf0..=0xf3 => {
                let typed = bytes.take(20);
                let mut uart = uart.lock().expect("no panic");
                assert!(uart.receive(typed) <= typed.len());
            }
            0xf4..=0xf7 => {
                let line = &lines[usize::from(bytes.u8() & 7)];
                line.set(bytes.u8() & 1 != 0);
            }
            0xf8 => bus.reset(),
            0xf9..=0xff => {
                let _ = aclint.lock().expect("no panic").poll();
                let _ = rtc.lock().expect("no panic").poll();
                let _ = power.take();
            }
            _ => {}
        }
    }
}

fn shared_uart(line: IrqLine) -> Arc<std::sync::Mutex<Uart>> {
    Arc::new(std::sync::Mutex::new(Uart::new(line, Box::new(Host))))
}
