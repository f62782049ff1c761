//! User mode: a hart that runs the threads of one Linux process, in turns,
//! and leaves every exception to its caller.

use std::sync::Arc;

use ruse_bus::{Bus, Clock, HartPins, Space, Writer};
use ruse_isa::{Xlen, csr};

use crate::csr::{envcfg, status};
use crate::hart::{F0, Hart, HartConfig};
use crate::space::Memory;
use crate::tlb::Tlb;
use crate::trap::Privilege;

/// What a thread has in the hart while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registers {
    /// The integer registers; what is written to `x[0]` is ignored.
    pub x: [u64; 32],
    /// The floating-point registers, NaN-boxed.
    pub f: [u64; 32],
    /// The address of the next instruction.
    pub pc: u64,
    /// The floating-point control and status register.
    pub fcsr: u32,
}

impl Default for Registers {
    /// All zero.
    fn default() -> Self {
        Self {
            x: [0; 32],
            f: [0; 32],
            pc: 0,
            fcsr: 0,
        }
    }
}

/// What user programs find switched on.
const MENVCFG: u64 = envcfg::CBIE | envcfg::CBCFE | envcfg::CBZE;

impl Hart {
    /// A hart in U-mode whose memory is `space`: 64 bits, floating point on,
    /// the counters readable, `pc` 0. Every exception leaves [`Hart::run`]
    /// with [`crate::Exit::Trap`]: an access that the space's permissions do
    /// not allow as the page fault of its kind.
    pub fn user(space: Arc<Space>, clock: Arc<dyn Clock>) -> Self {
        let config = HartConfig {
            hartid: 0,
            xlen: Xlen::Rv64,
            bus: Arc::new(Bus::new(space.ram().clone())),
            pins: Arc::new(HartPins::new(None)),
            clock,
            svadu: false,
            sbi: false,
        };
        let writer = Writer::none(space.ram().clone());
        let mut hart = Self::with(config, Tlb::none(), Memory::new(Some(space)), writer);
        hart.enter_user();
        hart
    }

    /// Sets what a user program finds, after a reset.
    fn enter_user(&mut self) {
        self.csrs.mstatus |= status::FS;
        self.csrs.mcounteren = 0xffff_ffff;
        self.csrs.scounteren = 0xffff_ffff;
        self.csrs.menvcfg = MENVCFG;
        self.csrs.senvcfg = MENVCFG;
        self.privilege = Privilege::User;
        self.mode_changed();
    }

    /// The space of a hart in user mode.
    pub fn space(&self) -> Option<&Arc<Space>> {
        self.memory.space()
    }

    /// What the running thread has in the hart.
    pub fn registers(&self) -> Registers {
        let mut registers = Registers {
            pc: self.pc,
            fcsr: u32::from(self.csrs.frm) << 5 | u32::from(self.csrs.fflags),
            ..Registers::default()
        };
        registers.x.copy_from_slice(&self.r[..32]);
        let f0 = usize::from(F0);
        registers.f.copy_from_slice(&self.r[f0..f0 + 32]);
        registers
    }

    /// Goes on with another thread, or with the same in another place. A
    /// reservation made by LR is gone.
    pub fn set_registers(&mut self, registers: &Registers) {
        self.r[1..32].copy_from_slice(&registers.x[1..]);
        let f0 = usize::from(F0);
        self.r[f0..f0 + 32].copy_from_slice(&registers.f);
        self.set_pc(registers.pc);
        self.set_csr(csr::FCSR, registers.fcsr.into());
        self.reservation = None;
    }
}
