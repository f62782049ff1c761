//! A bare hart with RAM, and guest loops assembled in place.

#![allow(dead_code, reason = "each bench uses a part")]

mod loops;

use std::sync::{Arc, Mutex};

use ruse_bus::{Bus, Device, HartPins, Ram, VirtualClock};
use ruse_hart::{Hart, HartConfig, Xlen};
use ruse_isa::{Inst, Opcode, encode};

#[allow(unused_imports, reason = "each bench uses a part")]
pub use loops::loops;

/// Guest-physical base of RAM, and of the code.
pub const BASE: u64 = 0x8000_0000;
/// Guest-physical base of the data that the loops work on.
pub const DATA: u64 = BASE + 0x10_0000;

/// Guest code under construction.
#[derive(Default)]
pub struct Code(Vec<u32>);

impl Code {
    /// Appends an instruction: `rd`, `rs1`, `rs2`, immediate.
    pub fn op(&mut self, op: Opcode, rd: u8, rs1: u8, rs2: u8, imm: i32) -> &mut Self {
        let rm = if op.info().uses_rm { 7 } else { 0 };
        self.0.push(encode(&Inst {
            rd,
            rs1,
            rs2,
            imm,
            rm,
            ..Inst::new(op)
        }));
        self
    }

    /// Where the next instruction goes, in bytes from the start.
    pub fn here(&self) -> i32 {
        4 * self.0.len() as i32
    }

    /// The machine code.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Appends an endless loop back to `start`.
    pub fn back_to(&mut self, start: i32) -> &mut Self {
        let offset = start - self.here();
        self.op(Opcode::Jal, 0, 0, 0, offset)
    }
}

/// Guest-physical base of the device, a page.
pub const DEVICE: u64 = 0x1000_0000;

/// A hart in M-mode at the start of `code`, floating point on, `x8` pointing
/// to [`DATA`], perhaps with a device at [`DEVICE`].
pub fn hart(code: &Code, device: Option<Arc<Mutex<dyn Device>>>) -> Hart {
    let ram = Arc::new(Ram::new(BASE, 64 << 20).expect("RAM"));
    ram.write(BASE, &code.bytes()).expect("code fits");
    let mut bus = Bus::new(ram);
    if let Some(device) = device {
        bus.map("device", DEVICE, 0x1000, device)
            .expect("free region");
    }
    let mut hart = Hart::new(HartConfig {
        hartid: 0,
        xlen: Xlen::Rv64,
        bus: Arc::new(bus),
        pins: Arc::new(HartPins::new(None)),
        clock: Arc::new(VirtualClock::new(100)),
        svadu: false,
        sbi: false,
    });
    hart.set_csr(ruse_isa::csr::MSTATUS, 3 << 13);
    // The accrued NX flag, as after the first few operations of any program.
    hart.set_csr(ruse_isa::csr::FCSR, 1);
    hart.set_x(8, DATA);
    hart.set_pc(BASE);
    hart
}
