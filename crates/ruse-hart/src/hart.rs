//! The hart itself: its state, and how it runs.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use ruse_bus::{Bus, Clock, HartPins, PAGE_SIZE, Pages, Writer};
use ruse_event::{Class, Tap};
use ruse_isa::Xlen;
use ruse_softfloat::{Flags, Round};

use crate::census::Census;
use crate::code::{Code, Context};
use crate::csr::{Csrs, envcfg, status};
use crate::debug::{Debug, Stop};
use crate::engine::{self, Cursor, Unlinked};
use crate::exec;
use crate::space::Memory;
use crate::tlb::Tlb;
use crate::trap::{Cause, Privilege, Trap, irq};

/// Index in [`Hart::r`] of what is written to `x0`.
pub(crate) const SINK: u8 = 32;
/// Index in [`Hart::r`] of `f0`.
pub(crate) const F0: u8 = 64;
/// How many traps without a retired instruction in between are a lockup.
const LOCKUP: u32 = 10_000;
/// Instructions between two looks at what others want: a few microseconds.
const SLICE: i64 = 1024;
/// How long a list of pages that others are closing is searched and not tidied.
const PROVISIONAL: usize = 64;
/// Address spaces whose decoded links are kept apart.
const CONTEXTS: usize = 8;

/// What a hart is built from.
pub struct HartConfig {
    /// `mhartid`.
    pub hartid: u64,
    /// The width of the integer registers.
    pub xlen: Xlen,
    /// The guest-physical address space.
    pub bus: Arc<Bus>,
    /// The interrupt pins.
    pub pins: Arc<HartPins>,
    /// The source of `time`.
    pub clock: Arc<dyn Clock>,
    /// Whether `menvcfg.ADUE` can be set, so that hardware updates the A and
    /// D bits of page tables (Svadu); else they fault (Svade).
    pub svadu: bool,
    /// Whether an ECALL from S-mode leaves [`Hart::run`] with
    /// [`Exit::SbiCall`] instead of trapping to M-mode.
    pub sbi: bool,
}

/// Why [`Hart::run`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The instructions are used up, a device moved a pin, or somebody kicked
    /// the hart ([`HartPins::kick`]).
    Quantum,
    /// PAUSE, or a wait for a reservation: the guest waits for another hart.
    Pause,
    /// WFI with nothing pending.
    Wait,
    /// ECALL from S-mode, for the built-in SBI; `pc` is still at it.
    SbiCall,
    /// The hart traps for ever without retiring an instruction: its trap
    /// handler itself cannot run.
    Lockup(Trap),
    /// In user mode: the instruction at `pc` raised this exception, and
    /// changed nothing.
    Trap(Trap),
    /// A debugger wants to have a look.
    Debug(Stop),
}

/// What LR found.
#[derive(Clone, Copy)]
pub(crate) struct Reservation {
    /// The host address.
    pub at: u64,
    /// The value, zero-extended.
    pub value: u64,
    /// What [`ruse_bus::Monitor::watch`] said before.
    pub version: u64,
}

/// One RISC-V hart. What every handler needs comes first, where the host's
/// instructions reach it with short displacements.
#[repr(C)]
pub struct Hart {
    /// x0 to x31, the sink of x0 at [`SINK`], f0 to f31 from [`F0`]. Indexed
    /// by a byte, so that no bound needs checking.
    pub(crate) r: [u64; 256],
    /// Start of the block that is executing; between blocks, the next
    /// instruction.
    pub(crate) pc: u64,
    /// Instructions left in this slice of the quantum.
    pub(crate) budget: i64,
    pub(crate) ctx: Context,
    /// Whether NX is set and the dynamic rounding mode is RNE: host floating
    /// point may then do.
    pub(crate) float_fast: bool,
    /// Whether the host multiplies and adds doubles in one instruction.
    pub(crate) fma: bool,
    pub(crate) memory: Memory,
    pub(crate) tlb: Tlb,
    pub(crate) unlinked: Unlinked,
    pub(crate) code: Code,
    pub(crate) privilege: Privilege,
    pub(crate) csrs: Csrs,
    /// What LR reserved.
    pub(crate) reservation: Option<Reservation>,
    /// Whether `stimecmp` had been reached when last looked.
    pub(crate) timer_hit: bool,
    pub(crate) exit: Option<Exit>,
    pub(crate) xlen: Xlen,
    pub(crate) hartid: u64,
    pub(crate) svadu: bool,
    pub(crate) sbi: bool,
    pub(crate) bus: Arc<Bus>,
    pub(crate) pins: Arc<HartPins>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether its turns are exact ([`Hart::run_exact`]).
    exact: bool,
    /// Steps that retired no instruction: traps, interrupts, calls of the built-in SBI.
    pub(crate) traps: u64,
    /// A device moved a pin, which ended the quantum.
    yielded: bool,
    /// Instructions left in the quantum after this slice.
    reserve: i64,
    /// `retired() + budget`.
    retired_at_zero: u64,
    /// What the clock has been told.
    pub(crate) published: u64,
    pub(crate) last_trap_retired: u64,
    pub(crate) futile_traps: u32,
    last_trap: Option<Trap>,
    pub(crate) writer: Writer,
    /// Pages with decoded code that other harts had open when last looked.
    pub(crate) provisional: Vec<u64>,
    stale_seen: u64,
    guarded_seen: u64,
    /// `satp` and the number of each address space that is remembered.
    contexts: [(u64, u64); CONTEXTS],
    /// The number of what all address spaces share.
    global_context: u64,
    next_context: u64,
    /// Filters of the pages that were executed from: in one address space,
    /// and shared by all.
    fetched: [[u64; 64]; 2],
    /// Whom it tells what happens.
    pub(crate) tap: Tap,
    /// What it counts, if it does.
    pub(crate) census: Option<Box<Census>>,
    /// What a debugger asked of it, if one did.
    pub(crate) debug: Option<Box<Debug>>,
}

impl Hart {
    /// A hart in its reset state: M-mode, `pc` 0.
    pub fn new(config: HartConfig) -> Self {
        let writer = Writer::new(config.bus.ram().clone(), config.pins.clone());
        Self::with(config, Tlb::new(), Memory::new(None), writer)
    }

    pub(crate) fn with(config: HartConfig, tlb: Tlb, memory: Memory, writer: Writer) -> Self {
        let mut hart = Self {
            r: [0; 256],
            pc: 0,
            budget: 0,
            ctx: Context {
                local: 0,
                global: 0,
            },
            float_fast: false,
            fma: exec::float::host_has_fma(),
            memory,
            tlb,
            unlinked: Unlinked::NONE,
            code: Code::new(),
            privilege: Privilege::Machine,
            csrs: Csrs::new(config.xlen),
            reservation: None,
            timer_hit: false,
            exit: None,
            xlen: config.xlen,
            hartid: config.hartid,
            svadu: config.svadu,
            sbi: config.sbi,
            bus: config.bus,
            pins: config.pins,
            clock: config.clock,
            exact: false,
            traps: 0,
            yielded: false,
            reserve: 0,
            retired_at_zero: 0,
            published: 0,
            last_trap_retired: 0,
            futile_traps: 0,
            last_trap: None,
            writer,
            provisional: Vec::new(),
            stale_seen: 0,
            guarded_seen: 0,
            contexts: [(0, 0); CONTEXTS],
            global_context: 1,
            next_context: 2,
            fetched: [[0; 64]; 2],
            tap: Tap::NONE,
            census: None,
            debug: None,
        };
        hart.reset();
        hart
    }

    /// Back to the reset state. The count of retired instructions goes on.
    pub fn reset(&mut self) {
        self.code.clear();
        self.provisional.clear();
        self.restart();
    }

    /// Back to the reset state, but for the decoded code, which is good until
    /// [`Hart::sync_code`]: for a hart that firmware starts again.
    pub fn restart(&mut self) {
        self.r = [0; 256];
        self.pc = 0;
        self.privilege = Privilege::Machine;
        self.csrs = Csrs::new(self.xlen);
        self.reservation = None;
        self.exit = None;
        self.futile_traps = 0;
        self.refresh_float();
        self.flush_tlb();
    }

    /// Runs about `instructions` instructions: blocks are not cut, so that it
    /// may be up to 64 more. Returns earlier when there is a reason to.
    pub fn run(&mut self, instructions: u64) -> Exit {
        if self.goes_stepwise() {
            return self.run_stepwise(instructions);
        }
        self.start(instructions);
        if !self.exact {
            // Whatever other harts and devices did in between may have broken a
            // reservation; giving it up is always allowed.
            self.reservation = None;
        }
        let exit = loop {
            if let Some(exit) = self.exit.take() {
                break exit;
            }
            if self.budget <= 0 && !self.next_slice() {
                break Exit::Quantum;
            }
            self.take_interrupt();
            if self.exact {
                self.drop_stale();
            }
            let generation = self.code.generation();
            match self.block_here() {
                Ok(cursor) => {
                    if self.code.generation() == generation {
                        self.unlinked.set(cursor, self.context_of(self.pc));
                    }
                    self.unlinked = Unlinked::NONE;
                    engine::run(self, cursor);
                }
                Err(trap) => {
                    self.unlinked = Unlinked::NONE;
                    self.exception(trap);
                }
            }
        };
        self.finish();
        exit
    }

    /// From now on its turns are exact: a turn is the same however it is cut into runs and
    /// steps. Each begins with [`Hart::begin_turn`].
    pub fn set_exact(&mut self) {
        self.exact = true;
    }

    /// A turn begins: what other harts and devices did, and the time, are noticed now.
    pub fn begin_turn(&mut self) {
        self.pins.take_attention();
        self.check_timer();
        self.reservation = None;
        self.yielded = false;
    }

    /// How many steps it has made: each retires an instruction, or takes a trap or an
    /// interrupt, or is a call of the built-in SBI ([`Hart::note_step`]).
    pub fn steps(&self) -> u64 {
        self.retired().wrapping_add(self.traps)
    }

    /// The call for which [`Hart::run`] returned was answered.
    pub fn note_step(&mut self) {
        self.traps += 1;
    }

    /// Whether the last run ended because a device moved a pin, with which the turn ends.
    pub fn has_yielded(&self) -> bool {
        self.yielded
    }

    /// Runs until exactly so many more steps have been made, or there is a reason to return
    /// earlier, within a turn that is exact. When interrupts are taken does not depend on
    /// how code was cut into blocks.
    pub fn run_exact(&mut self, steps: u64) -> Exit {
        // A block is never longer.
        const MARGIN: u64 = 64;
        let end = self.steps().wrapping_add(steps);
        if steps > MARGIN {
            let exit = self.run(steps - MARGIN);
            let left = end.wrapping_sub(self.steps());
            if exit != Exit::Quantum || self.yielded || left > MARGIN {
                return exit;
            }
        }
        while self.steps() < end {
            if self.stops_here() {
                return Exit::Debug(Stop::Breakpoint);
            }
            let exit = self.step_noting(true);
            if exit != Exit::Quantum || self.yielded {
                return exit;
            }
        }
        Exit::Quantum
    }

    /// Executes exactly one instruction, or takes one trap or interrupt.
    pub fn step(&mut self) -> Exit {
        self.step_with(true)
    }

    /// The same; no interrupt is taken unless `interrupts`.
    pub(crate) fn step_with(&mut self, interrupts: bool) -> Exit {
        self.start(1);
        let due = interrupts && self.interrupt_due().is_some();
        if due {
            self.take_interrupt();
        } else {
            match self.single_here(false) {
                Ok(cursor) => engine::run(self, cursor),
                Err(trap) => self.exception(trap),
            }
        }
        self.unlinked = Unlinked::NONE;
        let exit = self.exit.take().unwrap_or(Exit::Quantum);
        self.finish();
        exit
    }

    fn start(&mut self, instructions: u64) {
        let retired = self.retired();
        let instructions = instructions.min(i64::MAX as u64) as i64;
        self.budget = instructions.min(SLICE);
        self.reserve = instructions - self.budget;
        self.retired_at_zero = retired.wrapping_add(self.budget as u64);
        self.unlinked = Unlinked::NONE;
        if !self.exact {
            self.pins.take_attention();
            self.check_timer();
        }
        self.close_guarded(false);
        self.drop_stale();
    }

    /// The slice is used up: begins the next one, if any instructions are left
    /// and nobody wants the hart to stop.
    fn next_slice(&mut self) -> bool {
        if self.pins.is_kicked() {
            return false;
        }
        self.close_guarded(true);
        while self.budget <= 0 && self.reserve > 0 {
            let more = self.reserve.min(SLICE);
            self.reserve -= more;
            self.budget += more;
            self.retired_at_zero = self.retired_at_zero.wrapping_add(more as u64);
        }
        self.budget > 0
    }

    fn finish(&mut self) {
        self.unlinked = Unlinked::NONE;
        let retired = self.retired();
        self.retired_at_zero = retired;
        self.budget = 0;
        self.reserve = 0;
        self.publish(retired);
        if self.memory.space().is_none() {
            // From here on the hart does not store (`ruse_bus`'s `codemap`, 3.).
            fence(Ordering::SeqCst);
            self.close_guarded(true);
        }
    }

    fn publish(&mut self, retired: u64) {
        self.clock.retire(retired.wrapping_sub(self.published));
        self.published = retired;
    }

    /// In an exact turn, has the clock show the time at the instruction at `c`, whatever was
    /// executed in one go with it.
    pub(crate) fn publish_before(&mut self, c: Cursor) {
        if self.exact {
            let before = u64::from(self.code.mark(c).before);
            self.publish(self.retired().wrapping_add(before));
        }
    }

    /// Ends the quantum at the end of the current block, without losing count.
    pub(crate) fn end_quantum(&mut self) {
        self.retired_at_zero = self.retired();
        self.budget = 0;
        self.reserve = 0;
    }

    /// Instructions retired since the hart was made.
    pub fn retired(&self) -> u64 {
        self.retired_at_zero.wrapping_sub(self.budget as u64)
    }

    /// As many have been retired, and the clock knows.
    pub(crate) fn set_retired(&mut self, retired: u64) {
        (self.budget, self.reserve) = (0, 0);
        self.retired_at_zero = retired;
        self.published = retired;
        self.last_trap_retired = retired;
    }

    /// `time`, when `retired` instructions have been.
    pub(crate) fn time_at(&mut self, retired: u64) -> u64 {
        self.publish(retired);
        self.clock.now()
    }

    /// `stimecmp` or its enable was written.
    pub(crate) fn timer_written(&mut self, retired: u64) {
        self.publish(retired);
        self.check_timer();
    }

    fn check_timer(&mut self) {
        self.timer_hit = self.sstc_enabled() && self.clock.now() >= self.csrs.stimecmp;
    }

    /// To be called when the hart was kicked and will not run: it stops storing
    /// the fast way to pages that others have decoded from, as it would at the
    /// start of a run.
    pub fn settle(&mut self) {
        self.close_guarded(false);
    }

    /// Stops storing the fast way to pages that others have decoded from.
    /// `ran`: since the last call the hart may have stored.
    fn close_guarded(&mut self, ran: bool) {
        let ram = self.bus.ram();
        match ram.code().guarded_since(&mut self.guarded_seen) {
            None => {}
            Some(Pages::All) => {
                self.tlb.guard_all();
                self.writer.close_all(ran);
            }
            Some(Pages::Some(pages)) => {
                for page in pages {
                    if self.writer.is_open(page)
                        && let Some(host) = ram.host_page(page)
                    {
                        self.tlb.guard(host as u64);
                        self.writer.close(page, ran);
                    }
                }
            }
        }
    }

    /// Sees to it that stores to the `len` bytes at `pa`, which the hart has
    /// decoded and is about to compare, are noticed.
    pub(crate) fn guard_code(&mut self, pa: u64, len: u64) {
        if let Some(space) = self.memory.space() {
            space.mark_code(pa, len);
            return;
        }
        let page = pa & !(PAGE_SIZE - 1);
        // Whoever marked the page before this saw that it was open, whoever
        // does so later sees what this hart has stored.
        fence(Ordering::SeqCst);
        if self.writer.is_open(page)
            && let Some(host) = self.bus.ram().host_page(page)
        {
            self.tlb.guard(host as u64);
            self.writer.close(page, true);
        }
        if self.provisional.len() >= PROVISIONAL {
            let writer = &self.writer;
            self.provisional.retain(|page| writer.others(*page));
        }
        let known = self.provisional.contains(&page);
        if self.writer.mark(pa, len, !known) && !known {
            self.provisional.push(page);
        }
    }

    /// FENCE.I: drops decoded code that was overwritten since. No operation
    /// of a block may be executing, or the current one must leave.
    pub fn sync_code(&mut self) {
        if let Some(space) = self.memory.space() {
            space.windows_change();
        }
        // What other harts have stored and told this one of is visible.
        fence(Ordering::SeqCst);
        self.drop_provisional();
        self.drop_stale();
    }

    /// Drops the code of pages that others still have open, and might have
    /// stored to: before the list of stale pages is looked at.
    fn drop_provisional(&mut self) {
        if self.provisional.is_empty() {
            return;
        }
        let writer = &self.writer;
        self.provisional.retain(|page| writer.others(*page));
        let mut dropped = false;
        for page in &self.provisional {
            dropped |= self.code.drop_page(*page);
        }
        if dropped {
            self.unlinked = Unlinked::NONE;
            self.forget_all();
        }
    }

    fn drop_stale(&mut self) {
        let code = self.bus.ram().code();
        let dropped = match code.stale_since(&mut self.stale_seen) {
            None => return,
            Some(Pages::All) => {
                self.code.clear();
                true
            }
            Some(Pages::Some(pages)) => pages
                .into_iter()
                .fold(false, |dropped, page| self.code.drop_page(page) | dropped),
        };
        // Elsewhere than in dropped blocks nothing leads into them, but for
        // what is remembered by virtual address.
        if dropped {
            self.unlinked = Unlinked::NONE;
            self.forget_all();
        }
    }

    /// Drops all decoded code.
    pub(crate) fn forget_code(&mut self) {
        self.code.clear();
        self.unlinked = Unlinked::NONE;
        self.forget_all();
    }

    /// SFENCE.VMA for everything.
    pub fn flush_tlb(&mut self) {
        self.tlb.flush_all();
        self.forget_all();
    }

    /// SFENCE.VMA for one address space, but not what all of them share.
    pub fn flush_tlb_asid(&mut self, asid: u64) {
        if asid == self.asid(self.csrs.satp) {
            self.tlb.flush_local();
        }
        // Of other address spaces the TLB holds nothing.
        self.forget_local(|hart, satp| hart.asid(satp) == asid);
    }

    fn asid(&self, satp: u64) -> u64 {
        match self.xlen {
            Xlen::Rv32 => satp >> 22 & 0x1ff,
            Xlen::Rv64 => satp >> 44 & 0xffff,
        }
    }

    /// SFENCE.VMA for `size` bytes from virtual address `va`.
    pub fn flush_tlb_range(&mut self, va: u64, size: u64) {
        const MANY: u64 = 64 << 12;
        if size > MANY {
            self.flush_tlb();
            return;
        }
        let mut at = va & !0xfff;
        let end = va.saturating_add(size.max(1));
        while at < end {
            self.flush_tlb_page(at);
            match at.checked_add(0x1000) {
                Some(next) => at = next,
                None => break,
            }
        }
    }

    pub(crate) fn flush_tlb_page(&mut self, va: u64) {
        let large = self.tlb.flush_page(va);
        let (word, bit) = Self::fetch_bit(va);
        let [local, global] = self.fetched.map(|filter| filter[word] & bit != 0);
        if large || global {
            self.forget_all();
        } else if local {
            self.forget_local(|_, _| true);
        }
    }

    fn fetch_bit(va: u64) -> (usize, u64) {
        let page = va >> 12;
        let hash = (page ^ page >> 12) as usize & 0xfff;
        (hash >> 6, 1 << (hash & 63))
    }

    /// Code at `va` was looked up by its virtual address.
    pub(crate) fn note_fetch(&mut self, va: u64) {
        let (word, bit) = Self::fetch_bit(va);
        let global = self.tlb.is_global_fetch(va);
        self.fetched[usize::from(global)][word] |= bit;
    }

    /// The context in which what was found at `pc` holds, `pc` having been
    /// fetched from just now.
    pub(crate) fn context_of(&self, pc: u64) -> u64 {
        let across = pc & (PAGE_SIZE - 1) == PAGE_SIZE - 2;
        let global = self.tlb.is_global_fetch(pc)
            && (!across || self.tlb.is_global_fetch(self.after(pc, 2)));
        if global {
            self.ctx.global
        } else {
            self.ctx.local
        }
    }

    /// No virtual address means what it did.
    fn forget_all(&mut self) {
        self.contexts = [(0, 0); CONTEXTS];
        self.fetched = [[0; 64]; 2];
        self.global_context = self.next_context;
        self.next_context += 1;
        self.mode_changed();
    }

    /// What is not shared by all address spaces changed, in those whose `satp`
    /// is `concerned`.
    fn forget_local(&mut self, concerned: impl Fn(&Self, u64) -> bool) {
        for n in 0..CONTEXTS {
            if concerned(self, self.contexts[n].0) {
                self.contexts[n] = (0, 0);
            }
        }
        if self.contexts == [(0, 0); CONTEXTS] {
            self.fetched[0] = [0; 64];
        }
        self.mode_changed();
    }

    /// Privilege, `mstatus` or `satp` changed: selects TLB arrays and context.
    pub(crate) fn mode_changed(&mut self) {
        let data = self.tlb_mode(self.data_privilege());
        let fetch = match self.privilege {
            Privilege::User => crate::tlb::Mode::User,
            Privilege::Supervisor => crate::tlb::Mode::Supervisor,
            Privilege::Machine => crate::tlb::Mode::Machine,
        };
        self.tlb.select(data, fetch);
        let fs_off = u64::from(self.csrs.mstatus & status::FS == 0);
        let mode = (self.privilege as u64) << 1 | fs_off;
        self.ctx = Context {
            local: self.context() << 3 | mode,
            global: self.global_context << 3 | mode,
        };
    }

    /// `satp` is about to change to `value`.
    pub(crate) fn change_address_space(&mut self, value: u64) {
        let mode = |satp: u64| match self.xlen {
            Xlen::Rv32 => satp >> 31,
            Xlen::Rv64 => satp >> 60,
        };
        if mode(value) == mode(self.csrs.satp) {
            self.csrs.satp = value;
            self.tlb.flush_local();
            self.mode_changed();
        } else {
            self.csrs.satp = value;
            self.tlb.flush();
            self.forget_all();
        }
    }

    /// The number of the current address space.
    fn context(&mut self) -> u64 {
        let satp = self.csrs.satp;
        if let Some((_, number)) = self
            .contexts
            .iter()
            .find(|(key, number)| *key == satp && *number != 0)
        {
            return *number;
        }
        let number = self.next_context;
        self.next_context += 1;
        self.contexts[number as usize % CONTEXTS] = (satp, number);
        number
    }

    /// Ends the block before the instruction at `c`.
    pub(crate) fn leave_before(&mut self, c: Cursor) -> Cursor {
        let mark = self.code.mark(c);
        self.move_to(u64::from(mark.offset), u64::from(mark.before));
        Cursor::LEAVE
    }

    /// Ends the block after the instruction at `c`.
    pub(crate) fn leave_after(&mut self, c: Cursor) -> Cursor {
        let mark = self.code.mark(c);
        self.move_to(
            u64::from(mark.offset) + u64::from(mark.len),
            u64::from(mark.before) + 1,
        );
        Cursor::LEAVE
    }

    /// In an exact turn code that was stored to is not executed any more, FENCE.I or not,
    /// for how much of it was decoded before depends on how the turn is cut: leaves after
    /// the instruction at `c` if there is such code.
    #[inline]
    pub(crate) fn leave_overwritten(&mut self, c: Cursor) -> bool {
        let overwritten = self.exact && self.bus.ram().code().is_stale(self.stale_seen);
        if overwritten {
            match self.device_stirred() {
                true => self.end_after(c),
                false => self.leave_after(c),
            };
        }
        overwritten
    }

    /// Ends the block and the quantum after the instruction at `c`.
    pub(crate) fn end_after(&mut self, c: Cursor) -> Cursor {
        self.leave_after(c);
        self.end_quantum();
        Cursor::LEAVE
    }

    /// Moves from the block's start to `offset` bytes after it, having
    /// retired `count` instructions.
    pub(crate) fn move_to(&mut self, offset: u64, count: u64) {
        self.pc = self.pc.wrapping_add(offset);
        if self.xlen == Xlen::Rv32 {
            self.pc &= 0xffff_ffff;
        }
        self.budget -= count as i64;
    }

    /// The instruction at `c` raises an exception.
    #[cold]
    pub(crate) fn fault(&mut self, c: Cursor, trap: Trap) -> Cursor {
        self.leave_before(c);
        self.exception(trap);
        Cursor::LEAVE
    }

    /// The instruction at `self.pc` raises an exception.
    pub(crate) fn exception(&mut self, trap: Trap) {
        if let Some(stop) = self.take_debug_stop() {
            self.exit = Some(Exit::Debug(stop));
            return;
        }
        let trap = match self.xlen {
            Xlen::Rv32 => Trap {
                tval: trap.tval as u32 as i32 as i64 as u64,
                ..trap
            },
            Xlen::Rv64 => trap,
        };
        log::trace!("hart {}: {:?} at {:#x}", self.hartid, trap, self.pc);
        self.last_trap = Some(trap);
        if self.memory.space().is_some() {
            self.tell_exception(trap);
            self.exit = Some(Exit::Trap(trap));
            return;
        }
        self.take_trap(trap);
        self.stop_at_trap(trap);
        if self.tap.wants(Class::Trap) && self.pins.is_kicked() {
            // Whoever was told wants to have a look before the handler runs.
            self.end_quantum();
        }
        if self.futile_traps > LOCKUP {
            self.futile_traps = 0;
            self.exit = Some(Exit::Lockup(trap));
        }
    }

    /// The instruction at `c` is illegal as things stand.
    #[cold]
    pub(crate) fn illegal(&mut self, c: Cursor) -> Cursor {
        self.leave_before(c);
        let word = self.fetch_word().unwrap_or(0);
        self.exception(Trap::new(Cause::IllegalInstruction, u64::from(word)));
        Cursor::LEAVE
    }

    /// A trap or an interrupt is a step; in an exact turn it uses up one.
    pub(crate) fn count_trap(&mut self) {
        self.traps += 1;
        if self.exact {
            // `retired()` stays what it is.
            self.budget -= 1;
            self.retired_at_zero = self.retired_at_zero.wrapping_sub(1);
        }
    }

    /// Whether an access moved an interrupt line, or somebody wants the hart
    /// to stop.
    pub(crate) fn device_stirred(&mut self) -> bool {
        let moved = self.pins.take_attention();
        self.yielded |= moved;
        moved | self.pins.is_kicked()
    }

    /// The rounding mode that field `rm` selects, if it is a valid one.
    #[inline(always)]
    pub(crate) fn round(&self, rm: u8) -> Option<Round> {
        Round::from_bits(if rm == 7 { self.csrs.frm } else { rm })
    }

    /// Accrues floating-point exception flags.
    #[inline(always)]
    pub(crate) fn raise(&mut self, flags: Flags) {
        if self.csrs.fflags | flags.bits() != self.csrs.fflags {
            self.csrs.fflags |= flags.bits();
            self.refresh_float();
        }
    }

    pub(crate) fn refresh_float(&mut self) {
        self.float_fast = self.csrs.frm == 0 && self.csrs.fflags & Flags::NX.bits() != 0;
    }

    // What the board and a debugger see.

    /// The address of the next instruction.
    pub fn pc(&self) -> u64 {
        self.pc
    }

    /// Continues at `pc` (bit 0 is ignored).
    pub fn set_pc(&mut self, pc: u64) {
        self.pc = match self.xlen {
            Xlen::Rv32 => pc & 0xffff_fffe,
            Xlen::Rv64 => pc & !1,
        };
    }

    /// Integer register `n` (0 to 31); on RV32 sign-extended.
    pub fn x(&self, n: u8) -> u64 {
        self.r[usize::from(n & 31)]
    }

    /// Sets integer register `n` (1 to 31; x0 stays zero).
    pub fn set_x(&mut self, n: u8, value: u64) {
        if n & 31 != 0 {
            self.r[usize::from(n & 31)] = match self.xlen {
                Xlen::Rv32 => value as i32 as i64 as u64,
                Xlen::Rv64 => value,
            };
        }
    }

    /// Floating-point register `n` (0 to 31), NaN-boxed.
    pub fn f(&self, n: u8) -> u64 {
        self.r[usize::from(F0 + (n & 31))]
    }

    /// Sets floating-point register `n` (0 to 31).
    pub fn set_f(&mut self, n: u8, value: u64) {
        self.r[usize::from(F0 + (n & 31))] = value;
    }

    /// `mhartid`.
    pub fn hartid(&self) -> u64 {
        self.hartid
    }

    /// The width of the integer registers.
    pub fn xlen(&self) -> Xlen {
        self.xlen
    }

    /// The guest-physical address space.
    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// The current privilege mode.
    pub fn privilege(&self) -> Privilege {
        self.privilege
    }

    /// Changes the privilege mode.
    pub fn set_privilege(&mut self, privilege: Privilege) {
        self.privilege = privilege;
        self.mode_changed();
    }

    /// A CSR as M-mode would read it.
    pub fn csr(&mut self, csr: u16) -> Option<u64> {
        let retired = self.retired();
        self.csr_read(csr, retired)
    }

    /// Writes a CSR as M-mode would; false if there is none or it is
    /// read-only.
    pub fn set_csr(&mut self, csr: u16, value: u64) -> bool {
        if csr >> 10 & 3 == 3 {
            return false;
        }
        let retired = self.retired();
        self.csr_write(csr, value, retired).is_some()
    }

    /// The last exception taken.
    pub fn last_trap(&self) -> Option<Trap> {
        self.last_trap
    }

    /// Starts in S-mode at `pc`, as over SBI firmware ("HSM extension"):
    /// everything is delegated, translation and interrupts are off.
    pub fn enter_supervisor(&mut self, pc: u64, a0: u64, a1: u64) {
        self.csrs = Csrs::new(self.xlen);
        let csrs = &mut self.csrs;
        csrs.medeleg = 0xb1ff;
        csrs.mideleg = irq::S_LEVEL;
        csrs.mcounteren = 0xffff_ffff;
        csrs.scounteren = 0xffff_ffff;
        let pbmte = if self.xlen == Xlen::Rv64 {
            envcfg::PBMTE
        } else {
            0
        };
        let adue = if self.svadu { envcfg::ADUE } else { 0 };
        csrs.menvcfg = envcfg::STCE | envcfg::CBIE | envcfg::CBCFE | envcfg::CBZE | pbmte | adue;
        csrs.pmp.set_addr(0, u64::MAX);
        csrs.pmp.set_config(0, 0x1f);
        self.privilege = Privilege::Supervisor;
        self.reservation = None;
        self.refresh_float();
        self.set_pc(pc);
        self.set_x(10, a0);
        self.set_x(11, a1);
        self.flush_tlb();
        self.sync_code();
    }

    /// As [`Hart::enter_supervisor`], after a suspend in which the hart lost all
    /// it had (SBI "Hart State Management Extension", non-retentive): what woke
    /// it is still pending, and its timer armed, as they are outside of a hart.
    pub fn resume_supervisor(&mut self, pc: u64, a0: u64, a1: u64) {
        let Csrs { mip, stimecmp, .. } = self.csrs;
        self.restart();
        self.enter_supervisor(pc, a0, a1);
        self.csrs.mip = mip;
        self.set_stimecmp(stimecmp);
    }

    /// Whether an enabled interrupt is pending, whatever the global enables:
    /// what ends WFI.
    pub fn interrupt_pending(&self) -> bool {
        self.mip() & self.csrs.mie != 0
    }

    /// When the supervisor timer ends WFI, in `mtime` ticks, if it is armed
    /// and its interrupt enabled. That may have come since one last asked
    /// whether an interrupt is pending.
    pub fn timer_deadline(&self) -> Option<u64> {
        (self.sstc_enabled() && self.csrs.stimecmp != u64::MAX && self.csrs.mie & irq::STI != 0)
            .then_some(self.csrs.stimecmp)
    }

    /// Arms the supervisor timer (SBI `set_timer`).
    pub fn set_stimecmp(&mut self, ticks: u64) {
        self.csrs.stimecmp = ticks;
    }

    /// Sets or clears the supervisor software interrupt (SBI `send_ipi`).
    pub fn set_ssip(&mut self, level: bool) {
        if level {
            self.csrs.mip |= irq::SSI;
        } else {
            self.csrs.mip &= !irq::SSI;
        }
    }
}
