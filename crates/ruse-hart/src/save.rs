//! A hart in a snapshot.

use ruse_bus::state::{self, BadState};
use ruse_isa::{Xlen, csr};
use serde::{Deserialize, Serialize};

use crate::hart::{F0, Hart};
use crate::trap::Privilege;

/// What there is in a snapshot. CSRs are there by number, and written as software would
/// write them, so that nothing gets in that could not be there.
#[derive(Serialize, Deserialize)]
struct State {
    rv32: bool,
    pc: u64,
    privilege: u8,
    x: [u64; 32],
    f: [u64; 32],
    retired: u64,
    traps: u64,
    /// As they read.
    cycle: u64,
    instret: u64,
    csrs: Vec<(u16, u64)>,
    /// PMP addresses and configurations.
    pmp: Vec<(u64, u8)>,
}

/// More than anybody can execute, so that all harts' together can be counted.
const MOST: u64 = 1 << 56;
/// PMP entries.
const PMP: usize = 64;

impl Hart {
    /// All that makes it what it is, but for what it can find out again. It must not be
    /// running.
    pub fn save(&mut self) -> Vec<u8> {
        let c = &self.csrs;
        let retired = self.retired();
        let register = |at: u8| std::array::from_fn(|n| self.r[usize::from(at) + n]);
        // In this order they can be written: the floating-point state is dirty after the
        // first, and what is pending cannot all be written once the timer is S-mode's.
        let csrs = [
            (csr::FCSR, u64::from(c.fflags) | u64::from(c.frm) << 5),
            (csr::MIP, c.mip),
            (csr::MSTATUS, c.mstatus),
            (csr::MEDELEG, c.medeleg),
            (csr::MIDELEG, c.mideleg),
            (csr::MIE, c.mie),
            (csr::MTVEC, c.mtvec),
            (csr::MCOUNTEREN, c.mcounteren),
            (csr::MCOUNTINHIBIT, c.mcountinhibit),
            (csr::MENVCFG, c.menvcfg),
            (csr::MSCRATCH, c.mscratch),
            (csr::MEPC, c.mepc),
            (csr::MCAUSE, c.mcause),
            (csr::MTVAL, c.mtval),
            (csr::STVEC, c.stvec),
            (csr::SCOUNTEREN, c.scounteren),
            (csr::SENVCFG, c.senvcfg),
            (csr::SSCRATCH, c.sscratch),
            (csr::SEPC, c.sepc),
            (csr::SCAUSE, c.scause),
            (csr::STVAL, c.stval),
            (csr::SATP, c.satp),
            (csr::STIMECMP, c.stimecmp),
        ];
        state::pack(&State {
            rv32: self.xlen == Xlen::Rv32,
            pc: self.pc,
            privilege: self.privilege as u8,
            x: register(0),
            f: register(F0),
            retired,
            traps: self.traps,
            cycle: c.cycle.read(retired),
            instret: c.instret.read(retired),
            csrs: csrs.to_vec(),
            pmp: (0..PMP).map(|n| (c.pmp.addr(n), c.pmp.config(n))).collect(),
        })
    }

    /// Becomes what it was at [`Hart::save`].
    ///
    /// # Errors
    /// [`BadState`] if the bytes are no such state, or of a hart of another width.
    pub fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        let state: State = state::unpack(state)?;
        if state.rv32 != (self.xlen == Xlen::Rv32) {
            return Err(BadState::new("a hart of another width"));
        }
        let privilege = match state.privilege {
            0 => Privilege::User,
            1 => Privilege::Supervisor,
            3 => Privilege::Machine,
            _ => return Err(BadState::new("a privilege mode that there is not")),
        };
        if state.retired.max(state.traps) > MOST {
            return Err(BadState::new("a count that cannot be"));
        }
        self.reset();
        self.set_retired(state.retired);
        self.traps = state.traps;
        for (n, (x, f)) in (0..).zip(state.x.into_iter().zip(state.f)) {
            self.set_x(n, x);
            self.set_f(n, f);
        }
        self.csrs.cycle.write(state.retired, state.cycle);
        self.csrs.instret.write(state.retired, state.instret);
        // All addresses come first: a configuration may lock them.
        for (n, (addr, _)) in state.pmp.iter().enumerate().take(PMP) {
            self.csrs.pmp.set_addr(n, *addr);
        }
        for (n, (_, config)) in state.pmp.iter().enumerate().take(PMP) {
            self.csrs.pmp.set_config(n, *config);
        }
        for (number, value) in state.csrs {
            let high = match number {
                csr::STIMECMP => csr::STIMECMPH,
                csr::MENVCFG => csr::MENVCFGH,
                _ => number,
            };
            let known = self.set_csr(number, value)
                && (high == number || self.xlen == Xlen::Rv64 || self.set_csr(high, value >> 32));
            if !known {
                return Err(BadState::new(format!(
                    "CSR {number:#x}, which there is not"
                )));
            }
        }
        self.set_pc(state.pc);
        self.privilege = privilege;
        self.flush_tlb();
        Ok(())
    }
}
