//! Control and status registers: their fields, and what reading and writing
//! them does (privileged manual, "CSRs" and the chapters of each).

use ruse_isa::{Xlen, csr};

use crate::hart::Hart;
use crate::pmp::Pmp;
use crate::trap::{Privilege, irq};

/// Fields of `mstatus`.
pub(crate) mod status {
    pub const SIE: u64 = 1 << 1;
    pub const MIE: u64 = 1 << 3;
    pub const SPIE: u64 = 1 << 5;
    pub const MPIE: u64 = 1 << 7;
    pub const SPP: u64 = 1 << 8;
    pub const MPP: u64 = 3 << 11;
    pub const MPP_SHIFT: u32 = 11;
    pub const FS: u64 = 3 << 13;
    pub const MPRV: u64 = 1 << 17;
    pub const SUM: u64 = 1 << 18;
    pub const MXR: u64 = 1 << 19;
    pub const TVM: u64 = 1 << 20;
    pub const TW: u64 = 1 << 21;
    pub const TSR: u64 = 1 << 22;
    pub const UXL_64: u64 = 2 << 32;
    pub const SXL_64: u64 = 2 << 34;

    /// What software can write through `mstatus`.
    pub const WRITABLE: u64 =
        SIE | MIE | SPIE | MPIE | SPP | MPP | FS | MPRV | SUM | MXR | TVM | TW | TSR;
    /// The part of that in `sstatus`.
    pub const S_WRITABLE: u64 = SIE | SPIE | SPP | FS | SUM | MXR;
    /// What `sstatus` shows.
    pub const S_VISIBLE: u64 = S_WRITABLE | 3 << 32;

    /// A trap into M-mode from mode `from`.
    pub fn push_machine(status: &mut u64, from: u64) {
        let mpie = if *status & MIE != 0 { MPIE } else { 0 };
        *status = *status & !(MIE | MPIE | MPP) | mpie | from << MPP_SHIFT;
    }

    /// A trap into S-mode from mode `from`.
    pub fn push_supervisor(status: &mut u64, from: u64) {
        let spie = if *status & SIE != 0 { SPIE } else { 0 };
        let spp = if from != 0 { SPP } else { 0 };
        *status = *status & !(SIE | SPIE | SPP) | spie | spp;
    }

    /// MRET: returns the mode to go to.
    pub fn pop_machine(status: &mut u64) -> u64 {
        let mode = *status >> MPP_SHIFT & 3;
        let mie = if *status & MPIE != 0 { MIE } else { 0 };
        *status = *status & !(MIE | MPP) | MPIE | mie;
        if mode != 3 {
            *status &= !MPRV;
        }
        mode
    }

    /// SRET: returns the mode to go to.
    pub fn pop_supervisor(status: &mut u64) -> u64 {
        let mode = if *status & SPP != 0 { 1 } else { 0 };
        let sie = if *status & SPIE != 0 { SIE } else { 0 };
        *status = *status & !(SIE | SPP | MPRV) | SPIE | sie;
        mode
    }
}

/// Fields of `menvcfg` and `senvcfg`.
pub(crate) mod envcfg {
    pub const FIOM: u64 = 1;
    pub const CBIE: u64 = 3 << 4;
    pub const CBIE_SHIFT: u32 = 4;
    pub const CBCFE: u64 = 1 << 6;
    pub const CBZE: u64 = 1 << 7;
    pub const ADUE: u64 = 1 << 61;
    pub const PBMTE: u64 = 1 << 62;
    pub const STCE: u64 = 1 << 63;
    /// The writable part of `senvcfg`.
    pub const SENVCFG: u64 = FIOM | CBIE | CBCFE | CBZE;
}

/// Exceptions that can be delegated: all but ECALL from M-mode and the
/// reserved codes.
const DELEGABLE: u64 = 0xb3ff;

/// A counter that software can set and stop.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counter {
    offset: u64,
    frozen: Option<u64>,
}

impl Counter {
    pub(crate) fn read(&self, base: u64) -> u64 {
        self.frozen.unwrap_or(base.wrapping_add(self.offset))
    }

    pub(crate) fn write(&mut self, base: u64, value: u64) {
        match &mut self.frozen {
            Some(frozen) => *frozen = value,
            None => self.offset = value.wrapping_sub(base),
        }
    }

    fn inhibit(&mut self, base: u64, inhibit: bool) {
        match (self.frozen, inhibit) {
            (None, true) => self.frozen = Some(self.read(base)),
            (Some(value), false) => {
                self.frozen = None;
                self.write(base, value);
            }
            _ => {}
        }
    }
}

/// The registers' state. Those that are views of others are not here.
#[derive(Clone)]
pub(crate) struct Csrs {
    pub mstatus: u64,
    pub medeleg: u64,
    pub mideleg: u64,
    pub mie: u64,
    /// The software-writable bits; see [`Hart::mip`] for the rest.
    pub mip: u64,
    pub mtvec: u64,
    pub mcounteren: u64,
    pub mcountinhibit: u64,
    pub menvcfg: u64,
    pub mscratch: u64,
    pub mepc: u64,
    pub mcause: u64,
    pub mtval: u64,
    pub stvec: u64,
    pub scounteren: u64,
    pub senvcfg: u64,
    pub sscratch: u64,
    pub sepc: u64,
    pub scause: u64,
    pub stval: u64,
    pub satp: u64,
    pub stimecmp: u64,
    pub fflags: u8,
    pub frm: u8,
    pub cycle: Counter,
    pub instret: Counter,
    pub pmp: Pmp,
}

impl Csrs {
    /// The state at reset.
    pub(crate) fn new(xlen: Xlen) -> Self {
        Self {
            mstatus: match xlen {
                Xlen::Rv32 => 0,
                Xlen::Rv64 => status::UXL_64 | status::SXL_64,
            },
            medeleg: 0,
            mideleg: 0,
            mie: 0,
            mip: 0,
            mtvec: 0,
            mcounteren: 0,
            mcountinhibit: 0,
            menvcfg: 0,
            mscratch: 0,
            mepc: 0,
            mcause: 0,
            mtval: 0,
            stvec: 0,
            scounteren: 0,
            senvcfg: 0,
            sscratch: 0,
            sepc: 0,
            scause: 0,
            stval: 0,
            satp: 0,
            stimecmp: u64::MAX,
            fflags: 0,
            frm: 0,
            cycle: Counter::default(),
            instret: Counter::default(),
            pmp: Pmp::new(),
        }
    }
}

/// Whether execution may simply go on after a CSR write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// Nothing that the engine relies on changed.
    None,
    /// The next instruction must be looked up again: an interrupt may be due,
    /// or code may mean something else now.
    Leave,
}

impl Hart {
    /// Whether Sstc is on: `stimecmp` drives STIP.
    pub(crate) fn sstc_enabled(&self) -> bool {
        self.csrs.menvcfg & envcfg::STCE != 0
    }

    /// Whether the current mode may access `csr` at all.
    pub(crate) fn csr_permitted(&self, csr: u16, write: bool) -> bool {
        if (csr >> 8 & 3) as u8 > self.privilege as u8 || (write && csr >> 10 & 3 == 3) {
            return false;
        }
        let below_machine = self.privilege < Privilege::Machine;
        match csr {
            csr::FFLAGS..=csr::FCSR => self.csrs.mstatus & status::FS != 0,
            0xc00..=0xc1f | 0xc80..=0xc9f => {
                let bit = 1u64 << (csr & 0x1f);
                let machine = !below_machine || self.csrs.mcounteren & bit != 0;
                let supervisor =
                    self.privilege > Privilege::User || self.csrs.scounteren & bit != 0;
                machine && supervisor
            }
            csr::SATP => {
                self.privilege != Privilege::Supervisor || self.csrs.mstatus & status::TVM == 0
            }
            csr::STIMECMP | csr::STIMECMPH => {
                !below_machine || (self.sstc_enabled() && self.csrs.mcounteren & 2 != 0)
            }
            _ => true,
        }
    }

    fn rv32(&self) -> bool {
        self.xlen == Xlen::Rv32
    }

    /// `mstatus` or `sstatus` with its derived bits.
    fn status(&self, visible: u64) -> u64 {
        let status = self.csrs.mstatus & visible;
        let dirty = self.csrs.mstatus & status::FS == status::FS;
        match (dirty, self.rv32()) {
            (true, true) => status & 0x7fff_ffff | 1 << 31,
            (true, false) => status | 1 << 63,
            (false, _) => status,
        }
    }

    /// The value of `csr`, permission already checked; `retired` is the
    /// number of instructions retired by now. `None`: there is no such CSR.
    pub(crate) fn csr_read(&mut self, csr: u16, retired: u64) -> Option<u64> {
        let rv32 = self.rv32();
        let c = &self.csrs;
        let value = match csr {
            csr::FFLAGS => u64::from(c.fflags),
            csr::FRM => u64::from(c.frm),
            csr::FCSR => u64::from(c.frm) << 5 | u64::from(c.fflags),

            csr::CYCLE | csr::MCYCLE => c.cycle.read(retired),
            csr::INSTRET | csr::MINSTRET => c.instret.read(retired),
            csr::CYCLEH | csr::MCYCLEH if rv32 => c.cycle.read(retired) >> 32,
            csr::INSTRETH | csr::MINSTRETH if rv32 => c.instret.read(retired) >> 32,
            csr::TIME => self.time_at(retired),
            csr::TIMEH if rv32 => self.time_at(retired) >> 32,
            0xc03..=0xc1f | 0xb03..=0xb1f | 0x323..=0x33f => 0,
            0xc83..=0xc9f | 0xb83..=0xb9f | 0x723..=0x73f if rv32 => 0,

            csr::SSTATUS => self.status(status::S_VISIBLE),
            csr::SIE => c.mie & c.mideleg,
            csr::SIP => self.mip() & c.mideleg,
            csr::STVEC => c.stvec,
            csr::SCOUNTEREN => c.scounteren,
            csr::SENVCFG => c.senvcfg,
            csr::SSCRATCH => c.sscratch,
            csr::SEPC => c.sepc,
            csr::SCAUSE => c.scause,
            csr::STVAL => c.stval,
            csr::SATP => c.satp,
            csr::STIMECMP => c.stimecmp,
            csr::STIMECMPH if rv32 => c.stimecmp >> 32,

            csr::MVENDORID | csr::MARCHID | csr::MIMPID | csr::MCONFIGPTR => 0,
            csr::MHARTID => self.hartid,
            csr::MSTATUS => self.status(u64::MAX),
            csr::MSTATUSH if rv32 => c.mstatus >> 32,
            csr::MISA => self.misa(),
            csr::MEDELEG => c.medeleg,
            csr::MEDELEGH if rv32 => c.medeleg >> 32,
            csr::MIDELEG => c.mideleg,
            csr::MIE => c.mie,
            csr::MIP => self.mip(),
            csr::MTVEC => c.mtvec,
            csr::MCOUNTEREN => c.mcounteren,
            csr::MCOUNTINHIBIT => c.mcountinhibit,
            csr::MENVCFG => c.menvcfg,
            csr::MENVCFGH if rv32 => c.menvcfg >> 32,
            csr::MSCRATCH => c.mscratch,
            csr::MEPC => c.mepc,
            csr::MCAUSE => c.mcause,
            csr::MTVAL => c.mtval,
            csr::PMPCFG0..0x3b0 => return self.pmpcfg(csr - csr::PMPCFG0),
            csr::PMPADDR0..0x3f0 => c.pmp.addr(usize::from(csr - csr::PMPADDR0)),
            _ => return None,
        };
        Some(if rv32 {
            value as u32 as i32 as i64 as u64
        } else {
            value
        })
    }

    /// The value that CSRRS and CSRRC modify: of `mip`, only what software
    /// wrote, not the level of SEIP's pin.
    pub(crate) fn csr_base(&self, csr: u16, read: u64) -> u64 {
        match csr {
            csr::MIP => read & !irq::SEI | self.csrs.mip & irq::SEI,
            _ => read,
        }
    }

    fn misa(&self) -> u64 {
        let letters = "acdfimsu".bytes().fold(0, |m, l| m | 1u64 << (l - b'a'));
        match self.xlen {
            Xlen::Rv32 => letters | 1 << 30,
            Xlen::Rv64 => letters | 2 << 62,
        }
    }

    fn pmpcfg(&self, n: u16) -> Option<u64> {
        let (per, first) = match self.xlen {
            Xlen::Rv32 => (4, usize::from(n) * 4),
            Xlen::Rv64 if n.is_multiple_of(2) => (8, usize::from(n) * 4),
            Xlen::Rv64 => return None,
        };
        let packed = (0..per).fold(0u64, |value, i| {
            value | u64::from(self.csrs.pmp.config(first + i)) << (8 * i)
        });
        Some(match self.xlen {
            Xlen::Rv32 => packed as u32 as i32 as i64 as u64,
            Xlen::Rv64 => packed,
        })
    }

    /// Writes `value` to `csr`, permission already checked. `None`: there is
    /// no such CSR.
    pub(crate) fn csr_write(&mut self, csr: u16, value: u64, retired: u64) -> Option<Effect> {
        let rv32 = self.rv32();
        let value = if rv32 { value & 0xffff_ffff } else { value };
        // A write to a whole register or, for RV32, to one half of it.
        let low = |old: u64| {
            if rv32 {
                old & !0xffff_ffff | value
            } else {
                value
            }
        };
        let high = |old: u64| old & 0xffff_ffff | value << 32;
        let pc_mask = !1;
        let c = &mut self.csrs;
        match csr {
            csr::FFLAGS => {
                c.fflags = value as u8 & 0x1f;
                self.float_written();
            }
            csr::FRM => {
                c.frm = value as u8 & 7;
                self.float_written();
            }
            csr::FCSR => {
                c.fflags = value as u8 & 0x1f;
                c.frm = (value >> 5) as u8 & 7;
                self.float_written();
            }

            csr::SSTATUS => return Some(self.set_status(value, status::S_WRITABLE)),
            csr::SIE => {
                c.mie = c.mie & !c.mideleg | value & c.mideleg;
                return Some(self.after_interrupt_write());
            }
            csr::SIP => {
                let writable = irq::SSI & c.mideleg;
                c.mip = c.mip & !writable | value & writable;
                return Some(self.after_interrupt_write());
            }
            csr::STVEC => c.stvec = tvec(c.stvec, value),
            csr::SCOUNTEREN => c.scounteren = value & 0xffff_ffff,
            csr::SENVCFG => c.senvcfg = cbie_legal(c.senvcfg, value & envcfg::SENVCFG),
            csr::SSCRATCH => c.sscratch = value,
            csr::SEPC => c.sepc = value & pc_mask,
            csr::SCAUSE => c.scause = value,
            csr::STVAL => c.stval = value,
            csr::SATP => return Some(self.set_satp(value)),
            csr::STIMECMP => {
                c.stimecmp = low(c.stimecmp);
                self.timer_written(retired);
                return Some(self.after_interrupt_write());
            }
            csr::STIMECMPH if rv32 => {
                c.stimecmp = high(c.stimecmp);
                self.timer_written(retired);
                return Some(self.after_interrupt_write());
            }

            csr::MSTATUS => return Some(self.set_status(value, status::WRITABLE)),
            csr::MSTATUSH if rv32 => {}
            csr::MISA => {}
            csr::MEDELEG => c.medeleg = value & DELEGABLE,
            csr::MEDELEGH if rv32 => {}
            csr::MIDELEG => {
                c.mideleg = value & irq::S_LEVEL;
                return Some(self.after_interrupt_write());
            }
            csr::MIE => {
                c.mie = value & irq::ALL;
                return Some(self.after_interrupt_write());
            }
            csr::MIP => {
                let timer = if c.menvcfg & envcfg::STCE != 0 {
                    0
                } else {
                    irq::STI
                };
                let writable = irq::SSI | irq::SEI | timer;
                c.mip = c.mip & !writable | value & writable;
                return Some(self.after_interrupt_write());
            }
            csr::MTVEC => c.mtvec = tvec(c.mtvec, value),
            csr::MCOUNTEREN => c.mcounteren = value & 0xffff_ffff,
            csr::MCOUNTINHIBIT => {
                c.mcountinhibit = value & 0b101;
                c.cycle.inhibit(retired, value & 1 != 0);
                c.instret.inhibit(retired, value & 4 != 0);
            }
            csr::MENVCFG | csr::MENVCFGH if csr == csr::MENVCFG || rv32 => {
                let value = if csr == csr::MENVCFG {
                    low(c.menvcfg)
                } else {
                    high(c.menvcfg)
                };
                let adue = if self.svadu { envcfg::ADUE } else { 0 };
                let pbmte = if rv32 { 0 } else { envcfg::PBMTE };
                let writable = envcfg::SENVCFG | adue | pbmte | envcfg::STCE;
                c.menvcfg = cbie_legal(c.menvcfg, value & writable);
                self.flush_tlb();
                self.timer_written(retired);
                return Some(Effect::Leave);
            }
            csr::MSCRATCH => c.mscratch = value,
            csr::MEPC => c.mepc = value & pc_mask,
            csr::MCAUSE => c.mcause = value,
            csr::MTVAL => c.mtval = value,
            // The write takes effect after this instruction has retired.
            csr::MCYCLE => {
                let now = low(c.cycle.read(retired));
                c.cycle.write(retired + 1, now);
            }
            csr::MCYCLEH if rv32 => {
                let now = high(c.cycle.read(retired));
                c.cycle.write(retired + 1, now);
            }
            csr::MINSTRET => {
                let now = low(c.instret.read(retired));
                c.instret.write(retired + 1, now);
            }
            csr::MINSTRETH if rv32 => {
                let now = high(c.instret.read(retired));
                c.instret.write(retired + 1, now);
            }
            0xb03..=0xb1f | 0x323..=0x33f => {}
            0xb83..=0xb9f | 0x723..=0x73f if rv32 => {}
            csr::PMPCFG0..0x3b0 => {
                let n = usize::from(csr - csr::PMPCFG0);
                if !rv32 && n % 2 == 1 {
                    return None;
                }
                for i in 0..if rv32 { 4 } else { 8 } {
                    c.pmp.set_config(n * 4 + i, (value >> (8 * i)) as u8);
                }
                self.flush_tlb();
                return Some(Effect::Leave);
            }
            csr::PMPADDR0..0x3f0 => {
                c.pmp.set_addr(usize::from(csr - csr::PMPADDR0), value);
                self.flush_tlb();
                return Some(Effect::Leave);
            }
            _ => return None,
        }
        Some(Effect::None)
    }

    fn float_written(&mut self) {
        self.csrs.mstatus |= status::FS;
        self.refresh_float();
    }

    fn set_status(&mut self, value: u64, writable: u64) -> Effect {
        let old = self.csrs.mstatus;
        let mut new = old & !writable | value & writable;
        if new & status::MPP == 2 << status::MPP_SHIFT {
            new = new & !status::MPP | old & status::MPP;
        }
        self.csrs.mstatus = new;
        let changed = old ^ new;
        if changed & status::MXR != 0 {
            self.tlb.flush();
        }
        if changed & (status::SUM | status::MPRV | status::MPP | status::FS) != 0 {
            let ctx = self.ctx;
            self.mode_changed();
            if self.ctx != ctx {
                return Effect::Leave;
            }
        }
        if changed & new & (status::SIE | status::MIE) != 0 {
            return self.after_interrupt_write();
        }
        Effect::None
    }

    fn set_satp(&mut self, value: u64) -> Effect {
        // A write that selects a mode there isn't has no effect at all.
        if !self.rv32() && !matches!(value >> 60, 0 | 8 | 9 | 10) {
            return Effect::None;
        }
        if value != self.csrs.satp {
            self.change_address_space(value);
        }
        Effect::Leave
    }

    fn after_interrupt_write(&self) -> Effect {
        if self.interrupt_due().is_some() {
            Effect::Leave
        } else {
            Effect::None
        }
    }
}

/// `mtvec` and `stvec`: modes 2 and 3 are reserved and keep the old one.
fn tvec(old: u64, new: u64) -> u64 {
    if new & 2 == 0 {
        new
    } else {
        new & !3 | old & 3
    }
}

/// CBIE = 2 is reserved and keeps the old value.
fn cbie_legal(old: u64, new: u64) -> u64 {
    if new & envcfg::CBIE == 2 << envcfg::CBIE_SHIFT {
        new & !envcfg::CBIE | old & envcfg::CBIE
    } else {
        new
    }
}
