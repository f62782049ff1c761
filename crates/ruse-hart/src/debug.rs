//! What a debugger asks of a hart: breakpoints, watchpoints, stops at traps and at device
//! registers.
//!
//! A hart that nobody debugs pays nothing: nothing of this is on the path of an
//! instruction.
//!
//! *Breakpoints* are operations of their own, put before the instruction when code is
//! decoded. A block is found by its physical address and shared by all mappings of its
//! page, so that it has one wherever the offset inside the page is that of a breakpoint,
//! always as its first operation, which compares the whole address. What leads to a
//! block leads to its breakpoint.
//!
//! *Watchpoints* keep their pages out of the TLB, so that accesses there take the slow
//! path, which compares. A hart in user mode has no TLB: it goes on step by step while it
//! has watchpoints, and looks at what each instruction is about to access.
//!
//! All of them stop *before*: `pc` is at the instruction, which has changed nothing.
//! [`Hart::step_over`] executes it.

use std::collections::BTreeSet;
use std::ops::Range;

use ruse_bus::PAGE_SIZE;
use ruse_isa::{Extension, Opcode, decode};

use crate::engine::{Cursor, go};
use crate::hart::{Exit, Hart};
use crate::mmu::Access;
use crate::trap::{Cause, Trap};

/// How many page offsets may have breakpoints in decoded code before it is decoded anew
/// without those that are gone.
const OFFSETS: usize = 256;

/// Why a hart stopped for its debugger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A breakpoint at `pc`.
    Breakpoint,
    /// The instruction at `pc` is about to access what is watched.
    Watch {
        /// Where it accesses, a virtual address.
        at: u64,
        /// How many bytes.
        size: u64,
        /// Whether it writes; an atomic operation does.
        write: bool,
        /// The watchpoint.
        point: Watchpoint,
    },
    /// The instruction at `pc` is about to access a device.
    Mmio {
        /// The guest-physical address.
        at: u64,
        /// How many bytes.
        size: u64,
        /// What it will write, if it does.
        write: Option<u64>,
    },
    /// An exception was taken: `pc` is at its handler.
    Trap(Trap),
}

/// Bytes whose accesses are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Watchpoint {
    /// The virtual address of the first.
    pub at: u64,
    /// How many there are.
    pub len: u64,
    /// Whether loads stop.
    pub read: bool,
    /// Whether stores and atomic operations do.
    pub write: bool,
}

impl Watchpoint {
    fn last(&self) -> u64 {
        self.at.saturating_add(self.len.saturating_sub(1))
    }

    fn touches(&self, at: u64, size: u64) -> bool {
        self.len > 0 && at <= self.last() && at.saturating_add(size - 1) >= self.at
    }
}

/// What a hart that is debugged knows of it.
#[derive(Default)]
pub(crate) struct Debug {
    breakpoints: BTreeSet<u64>,
    /// The page offsets before which code was decoded with a breakpoint.
    offsets: BTreeSet<u16>,
    watchpoints: Vec<Watchpoint>,
    devices: Vec<Range<u64>>,
    /// The exceptions that stop, one bit a cause.
    traps: u64,
    /// The breakpoint here was told of.
    pass: Option<u64>,
    /// The instruction that is executing has been told of.
    quiet: bool,
    /// What is to be told instead of an exception.
    pending: Option<Stop>,
}

fn offset(va: u64) -> u16 {
    (va & (PAGE_SIZE - 1)) as u16
}

/// What becomes an [`Exit::Debug`] where an exception would be raised.
fn interruption(va: u64) -> Trap {
    Trap::new(Cause::Breakpoint, va)
}

impl Hart {
    fn debug(&mut self) -> &mut Debug {
        self.debug.get_or_insert_default()
    }

    /// Stops before the instruction at the virtual address `va`, in every address space.
    pub fn add_breakpoint(&mut self, va: u64) {
        let debug = self.debug();
        if !debug.breakpoints.insert(va) || debug.offsets.contains(&offset(va)) {
            return;
        }
        if debug.offsets.len() >= OFFSETS {
            debug.offsets = debug.breakpoints.iter().map(|va| offset(*va)).collect();
        }
        debug.offsets.insert(offset(va));
        self.forget_code();
    }

    /// No longer stops there; whether it did.
    pub fn remove_breakpoint(&mut self, va: u64) -> bool {
        // Decoded code keeps its operation, which finds no breakpoint.
        self.debug().breakpoints.remove(&va)
    }

    /// The breakpoints.
    pub fn breakpoints(&self) -> impl Iterator<Item = u64> + '_ {
        let debug = self.debug.iter();
        debug.flat_map(|debug| debug.breakpoints.iter().copied())
    }

    /// Stops before accesses to some bytes.
    pub fn add_watchpoint(&mut self, point: Watchpoint) {
        let debug = self.debug();
        if !debug.watchpoints.contains(&point) {
            debug.watchpoints.push(point);
            self.flush_tlb();
        }
    }

    /// No longer stops before them; whether it did.
    pub fn remove_watchpoint(&mut self, point: &Watchpoint) -> bool {
        let points = &mut self.debug().watchpoints;
        let before = points.len();
        points.retain(|known| known != point);
        points.len() < before
    }

    /// The watchpoints.
    pub fn watchpoints(&self) -> &[Watchpoint] {
        self.debug.as_ref().map_or(&[], |debug| &debug.watchpoints)
    }

    /// Stops before accesses to devices in these ranges of guest-physical addresses.
    pub fn stop_at_devices(&mut self, ranges: Vec<Range<u64>>) {
        self.debug().devices = ranges;
    }

    /// Stops after the exceptions whose bits are set were taken: bit 2 is an illegal
    /// instruction ([`Cause`]).
    pub fn stop_at_traps(&mut self, causes: u64) {
        self.debug().traps = causes;
    }

    /// The next [`Hart::run`] does not stop at a breakpoint at `pc`.
    pub fn pass_breakpoint(&mut self) {
        let pc = self.pc;
        if let Some(debug) = &mut self.debug {
            debug.pass = debug.breakpoints.contains(&pc).then_some(pc);
        }
    }

    /// [`Hart::step`], not stopping at a breakpoint, but before what is watched.
    /// `interrupts`: whether an interrupt may be taken.
    pub fn step_noting(&mut self, interrupts: bool) -> Exit {
        if let Some(debug) = &mut self.debug {
            debug.pass = None;
        }
        if self.goes_stepwise()
            && let Some((va, size, access)) = self.next_access()
            && self.check_watch(va, size, access).is_err()
            && let Some(stop) = self.take_debug_stop()
        {
            return Exit::Debug(stop);
        }
        self.step_with(interrupts)
    }

    /// [`Hart::step`], not stopping before the instruction at `pc` whatever it does.
    /// `interrupts`: whether an interrupt may be taken instead.
    pub fn step_over(&mut self, interrupts: bool) -> Exit {
        if let Some(debug) = &mut self.debug {
            debug.quiet = true;
            debug.pass = None;
        }
        let exit = self.step_with(interrupts);
        if let Some(debug) = &mut self.debug {
            debug.quiet = false;
        }
        exit
    }

    /// Writes guest RAM at virtual address `va` from outside, whatever the permissions.
    /// False if some of it is not there; what comes before that is written then.
    pub fn poke(&mut self, va: u64, bytes: &[u8]) -> bool {
        let mut at = va;
        let mut rest = bytes;
        while !rest.is_empty() {
            let page = (PAGE_SIZE - (at & (PAGE_SIZE - 1))) as usize;
            let (now, later) = rest.split_at(page.min(rest.len()));
            let there = self
                .translate_debug(at)
                .is_some_and(|pa| self.bus.ram().write(pa, now).is_ok());
            if !there {
                return false;
            }
            at = self.after(at, now.len() as u64);
            rest = later;
        }
        true
    }

    /// Whether code at the page offset of `va` is decoded with a breakpoint.
    pub(crate) fn may_break(&self, va: u64) -> bool {
        let debug = self.debug.as_ref();
        debug.is_some_and(|debug| debug.offsets.contains(&offset(va)))
    }

    /// Whether a step must not be made here.
    pub(crate) fn stops_here(&mut self) -> bool {
        self.debug.is_some() && self.breaks_here()
    }

    fn breaks_here(&mut self) -> bool {
        let pc = self.pc;
        let Some(debug) = &mut self.debug else {
            return false;
        };
        debug.breakpoints.contains(&pc) && debug.pass.take() != Some(pc)
    }

    /// Whether accesses to the page of `va` have to be looked at.
    pub(crate) fn is_watched(&self, va: u64, access: Access) -> bool {
        let Some(debug) = &self.debug else {
            return false;
        };
        let page = va & !(PAGE_SIZE - 1);
        access != Access::Fetch
            && debug
                .watchpoints
                .iter()
                .any(|point| point.touches(page, PAGE_SIZE))
    }

    /// Looks whether an access is watched.
    ///
    /// # Errors
    /// What [`Hart::exception`] makes a stop of.
    #[inline]
    pub(crate) fn check_watch(&mut self, va: u64, size: u64, access: Access) -> Result<(), Trap> {
        match &mut self.debug {
            None => Ok(()),
            Some(debug) => debug.check_watch(va, size, access),
        }
    }

    /// Looks whether an access to a device is to stop.
    ///
    /// # Errors
    /// As [`Hart::check_watch`].
    #[inline]
    pub(crate) fn check_device(
        &mut self,
        pa: u64,
        size: u64,
        write: Option<u64>,
    ) -> Result<(), Trap> {
        let Some(debug) = &mut self.debug else {
            return Ok(());
        };
        if debug.quiet || !debug.devices.iter().any(|range| range.contains(&pa)) {
            return Ok(());
        }
        debug.pending = Some(Stop::Mmio {
            at: pa,
            size,
            write,
        });
        Err(interruption(pa))
    }

    /// Whether what looks like an exception is a stop.
    pub(crate) fn is_stopping(&self) -> bool {
        let debug = self.debug.as_ref();
        debug.is_some_and(|debug| debug.pending.is_some())
    }

    /// Takes the stop that is not the exception it looks like.
    pub(crate) fn take_debug_stop(&mut self) -> Option<Stop> {
        self.debug.as_mut()?.pending.take()
    }

    /// An exception was taken.
    pub(crate) fn stop_at_trap(&mut self, trap: Trap) {
        let Some(debug) = &self.debug else {
            return;
        };
        if debug.traps >> (trap.cause as u64) & 1 != 0 {
            self.exit = Some(Exit::Debug(Stop::Trap(trap)));
        }
    }

    /// Whether this hart has to look at every instruction for its watchpoints.
    pub(crate) fn goes_stepwise(&self) -> bool {
        let debug = self.debug.as_ref();
        debug.is_some_and(|debug| !debug.watchpoints.is_empty()) && self.memory.space().is_some()
    }

    /// [`Hart::run`] of a hart that has watchpoints and no TLB.
    pub(crate) fn run_stepwise(&mut self, instructions: u64) -> Exit {
        for _ in 0..instructions {
            if self.pins.is_kicked() {
                break;
            }
            if self.breaks_here() {
                return Exit::Debug(Stop::Breakpoint);
            }
            if let Some((va, size, access)) = self.next_access()
                && self.check_watch(va, size, access).is_err()
                && let Some(stop) = self.take_debug_stop()
            {
                return Exit::Debug(stop);
            }
            match self.step_with(true) {
                Exit::Quantum => {}
                exit => return exit,
            }
        }
        Exit::Quantum
    }

    /// What the instruction at `pc` is about to access.
    fn next_access(&mut self) -> Option<(u64, u64, Access)> {
        let mut word = [0; 4];
        let pc = self.pc;
        if !self.peek(pc, &mut word) && !self.peek(pc, &mut word[..2]) {
            return None;
        }
        let mut word = u32::from_le_bytes(word);
        if word & 3 != 3 {
            word &= 0xffff;
        }
        let inst = decode(word, self.xlen)?;
        let (size, access) = shape(inst.op)?;
        let mut va = self.x(inst.rs1);
        match inst.op.info().extension {
            Extension::A | Extension::Zacas => {}
            _ if inst.op == Opcode::CboZero => va &= !(size - 1),
            _ => va = va.wrapping_add(inst.imm as i64 as u64),
        }
        Some((self.after(va, 0), size, access))
    }
}

impl Debug {
    #[cold]
    fn check_watch(&mut self, at: u64, size: u64, access: Access) -> Result<(), Trap> {
        let write = access == Access::Store;
        let hit = |point: &&Watchpoint| {
            let kind = if write { point.write } else { point.read };
            kind && point.touches(at, size)
        };
        if self.quiet {
            return Ok(());
        }
        let Some(point) = self.watchpoints.iter().find(hit).copied() else {
            return Ok(());
        };
        self.pending = Some(Stop::Watch {
            at,
            size,
            write,
            point,
        });
        Err(interruption(at))
    }
}

/// How many bytes an instruction accesses, and how.
fn shape(op: Opcode) -> Option<(u64, Access)> {
    use Opcode::*;
    let load = |size| Some((size, Access::Load));
    let store = |size| Some((size, Access::Store));
    match op {
        Lb | Lbu => load(1),
        Lh | Lhu | Flh => load(2),
        Lw | Lwu | Flw | LrW => load(4),
        Ld | Fld | LrD => load(8),
        Sb => store(1),
        Sh | Fsh => store(2),
        Sw | Fsw => store(4),
        Sd | Fsd => store(8),
        AmocasQ => store(16),
        AmocasDRv32 => store(8),
        CboZero => store(64),
        _ => match op.info().extension {
            Extension::A | Extension::Zacas if op.info().mnemonic.ends_with(".w") => store(4),
            Extension::A | Extension::Zacas => store(8),
            _ => None,
        },
    }
}

/// Stands first in a block that begins where there may be a breakpoint.
pub(crate) fn breakpoint(h: &mut Hart, c: Cursor) -> Cursor {
    if h.breaks_here() {
        h.exit = Some(Exit::Debug(Stop::Breakpoint));
        return h.leave_before(c);
    }
    go!(h, c.next())
}
