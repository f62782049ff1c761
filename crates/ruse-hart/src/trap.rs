//! Traps: exceptions, interrupts and the returns from them (privileged
//! manual, chapters "Machine-Level ISA" and "Supervisor-Level ISA").

use ruse_isa::Xlen;

use ruse_event::Class;

use crate::csr::status;
use crate::engine::Unlinked;
use crate::hart::Hart;

/// Privilege modes, by their encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Privilege {
    /// U-mode.
    User = 0,
    /// S-mode.
    Supervisor = 1,
    /// M-mode.
    Machine = 3,
}

impl Privilege {
    /// The mode a two-bit field encodes; the reserved 2 reads as U.
    pub(crate) fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            1 => Self::Supervisor,
            3 => Self::Machine,
            _ => Self::User,
        }
    }
}

/// Exception codes of `mcause` and `scause`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the manual's own names")]
pub enum Cause {
    InstructionAddressMisaligned = 0,
    InstructionAccessFault = 1,
    IllegalInstruction = 2,
    Breakpoint = 3,
    LoadAddressMisaligned = 4,
    LoadAccessFault = 5,
    StoreAddressMisaligned = 6,
    StoreAccessFault = 7,
    EcallFromUser = 8,
    EcallFromSupervisor = 9,
    EcallFromMachine = 11,
    InstructionPageFault = 12,
    LoadPageFault = 13,
    StorePageFault = 15,
}

/// A synchronous exception on its way to a trap handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trap {
    /// The exception code.
    pub cause: Cause,
    /// What `mtval` or `stval` will hold.
    pub tval: u64,
}

impl Trap {
    pub(crate) const fn new(cause: Cause, tval: u64) -> Self {
        Self { cause, tval }
    }
}

/// Interrupt bits of `mip` and `mie`.
pub(crate) mod irq {
    pub const SSI: u64 = 1 << 1;
    pub const MSI: u64 = 1 << 3;
    pub const STI: u64 = 1 << 5;
    pub const MTI: u64 = 1 << 7;
    pub const SEI: u64 = 1 << 9;
    pub const MEI: u64 = 1 << 11;
    /// Those that can be delegated.
    pub const S_LEVEL: u64 = SSI | STI | SEI;
    /// All that exist.
    pub const ALL: u64 = S_LEVEL | MSI | MTI | MEI;
    /// Interrupt numbers by falling priority ("Machine Interrupt Registers").
    pub const PRIORITY: [u32; 6] = [11, 3, 7, 9, 1, 5];
}

impl Hart {
    /// The interrupt bits that are set now, whoever set them.
    pub(crate) fn mip(&self) -> u64 {
        let mut mip = self.csrs.mip | self.pins.levels();
        if self.sstc_enabled() {
            mip &= !irq::STI;
            if self.clock.now() >= self.csrs.stimecmp {
                mip |= irq::STI;
            }
        }
        mip & irq::ALL
    }

    /// The interrupt to take now, if any: its number and the mode it goes to.
    /// The timer counts as it was when last looked at.
    pub(crate) fn interrupt_due(&self) -> Option<(u32, Privilege)> {
        if self.csrs.mie == 0 {
            return None;
        }
        let mut pending = self.csrs.mip | self.pins.levels();
        if self.sstc_enabled() {
            pending = pending & !irq::STI | if self.timer_hit { irq::STI } else { 0 };
        }
        pending &= self.csrs.mie;
        if pending == 0 {
            return None;
        }
        let status = self.csrs.mstatus;
        let to_machine = pending & !self.csrs.mideleg;
        let to_supervisor = pending & self.csrs.mideleg;
        let machine_open = self.privilege < Privilege::Machine || status & status::MIE != 0;
        let supervisor_open = self.privilege < Privilege::Supervisor
            || (self.privilege == Privilege::Supervisor && status & status::SIE != 0);
        let (set, mode) = if to_machine != 0 && machine_open {
            (to_machine, Privilege::Machine)
        } else if to_supervisor != 0 && supervisor_open {
            (to_supervisor, Privilege::Supervisor)
        } else {
            return None;
        };
        irq::PRIORITY
            .into_iter()
            .find(|n| set >> n & 1 != 0)
            .map(|n| (n, mode))
    }

    /// Takes the interrupt that is due, if any.
    pub(crate) fn take_interrupt(&mut self) {
        if let Some((number, mode)) = self.interrupt_due() {
            let flag = match self.xlen {
                Xlen::Rv32 => 1 << 31,
                Xlen::Rv64 => 1 << 63,
            };
            self.futile_traps = 0;
            self.unlinked = Unlinked::NONE;
            self.enter_handler(mode, flag | u64::from(number), 0, Some(number));
            if self.tap.wants(Class::Trap) && self.pins.is_kicked() {
                self.end_quantum();
            }
        }
    }

    /// Takes an exception raised by the instruction at `self.pc`.
    pub(crate) fn take_trap(&mut self, trap: Trap) {
        let cause = trap.cause as u64;
        let mode = if self.privilege <= Privilege::Supervisor && self.csrs.medeleg >> cause & 1 != 0
        {
            Privilege::Supervisor
        } else {
            Privilege::Machine
        };
        self.count_futile(mode);
        self.enter_handler(mode, cause, trap.tval, None);
    }

    fn enter_handler(&mut self, mode: Privilege, cause: u64, tval: u64, irq: Option<u32>) {
        let pc = self.pc;
        let csrs = &mut self.csrs;
        let from = self.privilege as u64;
        let tvec = if mode == Privilege::Machine {
            csrs.mepc = pc;
            csrs.mcause = cause;
            csrs.mtval = tval;
            status::push_machine(&mut csrs.mstatus, from);
            csrs.mtvec
        } else {
            csrs.sepc = pc;
            csrs.scause = cause;
            csrs.stval = tval;
            status::push_supervisor(&mut csrs.mstatus, from);
            csrs.stvec
        };
        let base = tvec & !3;
        self.pc = match irq {
            Some(number) if tvec & 3 == 1 => base.wrapping_add(4 * u64::from(number)),
            _ => base,
        };
        self.privilege = mode;
        self.reservation = None;
        self.count_trap();
        self.mode_changed();
        self.tell_trap(pc, from, irq.map_or(Ok((cause, tval)), Err));
    }

    /// MRET or SRET, already permitted: returns the new pc.
    pub(crate) fn trap_return(&mut self, from: Privilege) -> u64 {
        let csrs = &mut self.csrs;
        let (mode, pc) = if from == Privilege::Machine {
            (status::pop_machine(&mut csrs.mstatus), csrs.mepc)
        } else {
            (status::pop_supervisor(&mut csrs.mstatus), csrs.sepc)
        };
        self.privilege = Privilege::from_bits(mode);
        self.reservation = None;
        self.mode_changed();
        self.tell_return(from, pc);
        pc
    }

    /// Notices a hart that only ever traps: its handler's first instruction
    /// faults, so that nothing can change any more.
    fn count_futile(&mut self, mode: Privilege) {
        let retired = self.retired();
        if retired == self.last_trap_retired && mode == self.privilege {
            self.futile_traps = self.futile_traps.saturating_add(1);
        } else {
            self.futile_traps = 0;
        }
        self.last_trap_retired = retired;
    }
}
