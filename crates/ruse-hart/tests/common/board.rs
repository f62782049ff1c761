//! The smallest board: RAM, and a test finisher that ends a run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ruse_bus::{AccessFault, Bus, Device, DtNode, HartPins, Ram, VirtualClock, Width};
use ruse_hart::{Hart, HartConfig};
use ruse_isa::Xlen;

/// Where RAM starts, as on QEMU's `virt`.
pub const RAM: u64 = 0x8000_0000;
/// Where the test finisher is, as on QEMU's `virt`.
pub const FINISHER: u64 = 0x10_0000;

/// Notes that it was written to, and ends the hart's quantum there.
struct Finisher(Arc<AtomicBool>, Arc<HartPins>);

impl Device for Finisher {
    fn read(&mut self, _: u64, _: Width) -> Result<u64, AccessFault> {
        Ok(0)
    }
    fn write(&mut self, _: u64, _: Width, _: u64) -> Result<(), AccessFault> {
        self.0.store(true, Ordering::Relaxed);
        self.1.kick();
        Ok(())
    }
    fn reset(&mut self) {}
    fn node(&self) -> DtNode {
        DtNode::default()
    }
}

/// RAM, finisher, one hart.
pub struct Board {
    pub ram: Arc<Ram>,
    pub bus: Arc<Bus>,
    pub pins: Arc<HartPins>,
    pub clock: Arc<VirtualClock>,
    pub hart: Hart,
    finished: Arc<AtomicBool>,
}

impl Board {
    pub fn new(xlen: Xlen, ram_size: u64) -> Self {
        Self::with(xlen, ram_size, false, false)
    }

    pub fn with(xlen: Xlen, ram_size: u64, svadu: bool, sbi: bool) -> Self {
        let ram = Arc::new(Ram::new(RAM, ram_size).expect("guest RAM"));
        let finished = Arc::new(AtomicBool::new(false));
        let mut bus = Bus::new(ram.clone());
        let pins = Arc::new(HartPins::new(None));
        let finisher = Arc::new(Mutex::new(Finisher(finished.clone(), pins.clone())));
        bus.map("finisher", FINISHER, 0x1000, finisher)
            .expect("free address");
        let bus = Arc::new(bus);
        let clock = Arc::new(VirtualClock::new(1));
        let hart = Hart::new(HartConfig {
            hartid: 0,
            xlen,
            bus: bus.clone(),
            pins: pins.clone(),
            clock: clock.clone(),
            svadu,
            sbi,
        });
        Self {
            ram,
            bus,
            pins,
            clock,
            hart,
            finished,
        }
    }

    pub fn load(&self, pa: u64, bytes: &[u8]) {
        self.ram.write(pa, bytes).expect("inside RAM");
    }

    pub fn u64(&self, pa: u64) -> u64 {
        self.ram.load(pa, Width::B8).expect("inside RAM")
    }

    pub fn set_u64(&self, pa: u64, value: u64) {
        self.ram.store(pa, Width::B8, value).expect("inside RAM");
    }

    pub fn u32(&self, pa: u64) -> u32 {
        self.ram.load(pa, Width::B4).expect("inside RAM") as u32
    }

    pub fn set_u32(&self, pa: u64, value: u32) {
        self.ram
            .store(pa, Width::B4, value.into())
            .expect("inside RAM");
    }

    /// Whether the guest wrote to the finisher.
    pub fn finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }

    /// Runs until the guest wrote to the finisher; `quantum` is asked before
    /// each turn how long it shall be, 0 for a single step.
    ///
    /// # Panics
    /// When `limit` instructions are not enough.
    pub fn run(&mut self, limit: u64, mut quantum: impl FnMut() -> u64) -> u64 {
        let start = self.hart.retired();
        while !self.finished() {
            let exit = match quantum() {
                0 => self.hart.step(),
                n => self.hart.run(n),
            };
            let retired = self.hart.retired() - start;
            assert!(
                retired < limit && exit == ruse_hart::Exit::Quantum,
                "{exit:?} at {:#x} after {retired} instructions",
                self.hart.pc()
            );
        }
        self.hart.retired() - start
    }
}
