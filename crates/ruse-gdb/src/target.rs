//! A guest as `gdbstub` wants it.

use std::collections::{BTreeMap, BTreeSet};

use gdbstub::common::{Signal, Tid};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadRangeStepping, MultiThreadRangeSteppingOps, MultiThreadResume,
    MultiThreadResumeOps, MultiThreadSchedulerLocking, MultiThreadSchedulerLockingOps,
    MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::ext::base::reverse_exec::{
    ReverseCont, ReverseContOps, ReverseStep, ReverseStepOps,
};
use gdbstub::target::ext::base::single_register_access::{
    SingleRegisterAccess, SingleRegisterAccessOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps,
    SwBreakpoint, SwBreakpointOps, WatchKind,
};
use gdbstub::target::ext::memory_map::{MemoryMap, MemoryMapOps};
use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps, outputln};
use gdbstub::target::ext::target_description_xml_override::{
    TargetDescriptionXmlOverride, TargetDescriptionXmlOverrideOps,
};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};
use ruse_hart::Watchpoint;

use crate::arch::{Core, Register, Riscv, description, little_endian};
use crate::guest::{Guest, Halt, Move, Plan, Thread};

/// "Bad address".
const EFAULT: u8 = 14;

/// What goes on in the guest's mind never fails.
type Never = std::convert::Infallible;

/// A guest with a debugger.
pub(crate) struct Debugged<'a, G: Guest> {
    pub(crate) guest: &'a mut G,
    /// The thread that the debugger looked at last.
    thread: Thread,
    soft: BTreeSet<u64>,
    hard: BTreeSet<u64>,
    watched: Vec<Watchpoint>,
    actions: BTreeMap<Thread, Move>,
    ranges: BTreeMap<Thread, (u64, u64)>,
    locked: bool,
    /// It is to go back instead: by a step of a thread, or as far as there is nothing to
    /// stop for.
    back: Option<Option<Thread>>,
    /// The guest was told to go on.
    pub(crate) went: bool,
    /// `monitor quit` was said.
    pub(crate) quit: bool,
    xml: String,
    map: Option<String>,
}

impl<'a, G: Guest> Debugged<'a, G> {
    pub(crate) fn new(guest: &'a mut G) -> Self {
        let first = guest.threads().first().copied().unwrap_or(1);
        let privileged = guest.register(first, Register::Priv).is_some();
        let xml = description(guest.xlen(), privileged, |csr| {
            guest.register(first, Register::Csr(csr)).is_some()
        });
        Self {
            thread: first,
            soft: BTreeSet::new(),
            hard: BTreeSet::new(),
            watched: Vec::new(),
            actions: BTreeMap::new(),
            ranges: BTreeMap::new(),
            locked: false,
            back: None,
            went: false,
            quit: false,
            map: guest.memory_map(),
            guest,
            xml,
        }
    }

    /// The thread that the debugger looked at last, if it is still there.
    pub(crate) fn selected(&self) -> Thread {
        let threads = self.guest.threads();
        if threads.contains(&self.thread) {
            self.thread
        } else {
            threads.first().copied().unwrap_or(1)
        }
    }

    /// Has the guest do what the debugger said last.
    pub(crate) fn go(&mut self) -> Result<Halt<G::Outcome>, G::Error> {
        self.went = true;
        let plan = Plan {
            moves: self
                .actions
                .iter()
                .map(|(thread, how)| (*thread, *how))
                .collect(),
            others: if self.locked { Move::Stay } else { Move::Run },
        };
        loop {
            let halt = match self.back {
                Some(step) => {
                    let halt = self.guest.back(step)?;
                    if !matches!(halt, Halt::Interrupted) {
                        self.back = None;
                    }
                    halt
                }
                None => self.guest.resume(&plan)?,
            };
            match halt {
                Halt::Step(thread) => {
                    self.thread = thread;
                    let pc = self.guest.register(thread, Register::Pc).unwrap_or(0);
                    let range = self.ranges.get(&thread);
                    if !range.is_some_and(|(start, end)| (*start..*end).contains(&pc)) {
                        return Ok(halt);
                    }
                }
                Halt::Breakpoint(thread)
                | Halt::Watch(thread, _)
                | Halt::Signal(thread, _)
                | Halt::Beginning(thread) => {
                    self.thread = thread;
                    return Ok(halt);
                }
                Halt::Interrupted | Halt::Over(_) => return Ok(halt),
            }
        }
    }

    /// Whether a thread is at a breakpoint that the debugger called a hardware one.
    pub(crate) fn is_hard(&mut self, thread: Thread) -> bool {
        let pc = self.guest.register(thread, Register::Pc).unwrap_or(0);
        self.hard.contains(&pc) && !self.soft.contains(&pc)
    }

    fn update(&mut self, at: u64) {
        let on = self.soft.contains(&at) || self.hard.contains(&at);
        self.guest.set_breakpoint(at, on);
    }
}

impl<G: Guest> Drop for Debugged<'_, G> {
    /// The guest keeps nothing of its debugger.
    fn drop(&mut self) {
        for at in self.soft.union(&self.hard) {
            self.guest.set_breakpoint(*at, false);
        }
        for point in &self.watched {
            self.guest.set_watchpoint(*point, false);
        }
    }
}

impl<G: Guest> Target for Debugged<'_, G> {
    type Arch = Riscv;
    type Error = Never;

    fn base_ops(&mut self) -> BaseOps<'_, Riscv, Never> {
        BaseOps::MultiThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }

    fn support_memory_map(&mut self) -> Option<MemoryMapOps<'_, Self>> {
        self.map.is_some().then_some(self)
    }

    fn support_target_description_xml_override(
        &mut self,
    ) -> Option<TargetDescriptionXmlOverrideOps<'_, Self>> {
        Some(self)
    }
}

impl<G: Guest> MultiThreadBase for Debugged<'_, G> {
    fn read_registers(&mut self, regs: &mut Core, tid: Tid) -> TargetResult<(), Self> {
        self.thread = tid.get();
        let mut get = |register| self.guest.register(tid.get(), register);
        regs.pc = get(Register::Pc).ok_or(TargetError::NonFatal)?;
        for (n, x) in regs.x.iter_mut().enumerate() {
            *x = get(Register::X(n as u8)).ok_or(TargetError::NonFatal)?;
        }
        regs.xlen = self.guest.xlen();
        Ok(())
    }

    fn write_registers(&mut self, regs: &Core, tid: Tid) -> TargetResult<(), Self> {
        self.thread = tid.get();
        let mut set = |register, value| match self.guest.set_register(tid.get(), register, value) {
            true => Ok(()),
            false => Err(TargetError::NonFatal),
        };
        for (n, x) in regs.x.iter().enumerate().skip(1) {
            set(Register::X(n as u8), *x)?;
        }
        set(Register::Pc, regs.pc)
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, Tid, Self>> {
        Some(self)
    }

    fn read_addrs(&mut self, at: u64, out: &mut [u8], tid: Tid) -> TargetResult<usize, Self> {
        self.thread = tid.get();
        match self.guest.read(tid.get(), at, out) {
            0 if !out.is_empty() => Err(TargetError::Errno(EFAULT)),
            len => Ok(len),
        }
    }

    fn write_addrs(&mut self, at: u64, bytes: &[u8], tid: Tid) -> TargetResult<(), Self> {
        self.thread = tid.get();
        match self.guest.write(tid.get(), at, bytes) {
            true => Ok(()),
            false => Err(TargetError::Errno(EFAULT)),
        }
    }

    fn list_active_threads(&mut self, tell: &mut dyn FnMut(Tid)) -> Result<(), Never> {
        self.guest
            .threads()
            .into_iter()
            .filter_map(Tid::new)
            .for_each(tell);
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }

    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl<G: Guest> SingleRegisterAccess<Tid> for Debugged<'_, G> {
    fn read_register(
        &mut self,
        tid: Tid,
        register: Register,
        out: &mut [u8],
    ) -> TargetResult<usize, Self> {
        self.thread = tid.get();
        let value = self.guest.register(tid.get(), register);
        let value = value.ok_or(TargetError::NonFatal)?.to_le_bytes();
        let size = register.size(self.guest.xlen());
        let out = out.get_mut(..size).ok_or(TargetError::NonFatal)?;
        out.copy_from_slice(&value[..size]);
        Ok(size)
    }

    fn write_register(
        &mut self,
        tid: Tid,
        register: Register,
        bytes: &[u8],
    ) -> TargetResult<(), Self> {
        self.thread = tid.get();
        let value = little_endian(bytes);
        match self.guest.set_register(tid.get(), register, value) {
            true => Ok(()),
            false => Err(TargetError::NonFatal),
        }
    }
}

impl<G: Guest> ThreadExtraInfo for Debugged<'_, G> {
    fn thread_extra_info(&self, tid: Tid, out: &mut [u8]) -> Result<usize, Never> {
        Ok(slice(
            self.guest.describe(tid.get()).as_bytes(),
            0,
            out.len(),
            out,
        ))
    }
}

impl<G: Guest> MultiThreadResume for Debugged<'_, G> {
    /// It goes on in [`Debugged::go`].
    fn resume(&mut self) -> Result<(), Never> {
        Ok(())
    }

    fn clear_resume_actions(&mut self) -> Result<(), Never> {
        self.actions.clear();
        self.ranges.clear();
        self.locked = false;
        self.back = None;
        Ok(())
    }

    fn set_resume_action_continue(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Never> {
        self.actions.insert(tid.get(), Move::Run);
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_reverse_step(&mut self) -> Option<ReverseStepOps<'_, Tid, Self>> {
        self.guest.has_past().then_some(self)
    }

    fn support_reverse_cont(&mut self) -> Option<ReverseContOps<'_, Tid, Self>> {
        self.guest.has_past().then_some(self)
    }

    fn support_range_step(&mut self) -> Option<MultiThreadRangeSteppingOps<'_, Self>> {
        Some(self)
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl<G: Guest> MultiThreadSingleStep for Debugged<'_, G> {
    fn set_resume_action_step(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Never> {
        self.actions.insert(tid.get(), Move::Step);
        Ok(())
    }
}

impl<G: Guest> MultiThreadRangeStepping for Debugged<'_, G> {
    fn set_resume_action_range_step(
        &mut self,
        tid: Tid,
        start: u64,
        end: u64,
    ) -> Result<(), Never> {
        self.actions.insert(tid.get(), Move::Step);
        self.ranges.insert(tid.get(), (start, end));
        Ok(())
    }
}

impl<G: Guest> MultiThreadSchedulerLocking for Debugged<'_, G> {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Never> {
        self.locked = true;
        Ok(())
    }
}

impl<G: Guest> Breakpoints for Debugged<'_, G> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl<G: Guest> SwBreakpoint for Debugged<'_, G> {
    fn add_sw_breakpoint(&mut self, at: u64, _: usize) -> TargetResult<bool, Self> {
        self.soft.insert(at);
        self.update(at);
        Ok(true)
    }

    fn remove_sw_breakpoint(&mut self, at: u64, _: usize) -> TargetResult<bool, Self> {
        let there = self.soft.remove(&at);
        self.update(at);
        Ok(there)
    }
}

impl<G: Guest> HwBreakpoint for Debugged<'_, G> {
    fn add_hw_breakpoint(&mut self, at: u64, _: usize) -> TargetResult<bool, Self> {
        self.hard.insert(at);
        self.update(at);
        Ok(true)
    }

    fn remove_hw_breakpoint(&mut self, at: u64, _: usize) -> TargetResult<bool, Self> {
        let there = self.hard.remove(&at);
        self.update(at);
        Ok(there)
    }
}

fn watchpoint(at: u64, len: u64, kind: WatchKind) -> Watchpoint {
    Watchpoint {
        at,
        len,
        read: kind != WatchKind::Write,
        write: kind != WatchKind::Read,
    }
}

/// What GDB calls a watchpoint of this kind.
pub(crate) fn watch_kind(point: &Watchpoint) -> WatchKind {
    match (point.read, point.write) {
        (true, true) => WatchKind::ReadWrite,
        (true, false) => WatchKind::Read,
        _ => WatchKind::Write,
    }
}

impl<G: Guest> HwWatchpoint for Debugged<'_, G> {
    fn add_hw_watchpoint(
        &mut self,
        at: u64,
        len: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        let point = watchpoint(at, len, kind);
        if !self.watched.contains(&point) {
            self.watched.push(point);
            self.guest.set_watchpoint(point, true);
        }
        Ok(true)
    }

    fn remove_hw_watchpoint(
        &mut self,
        at: u64,
        len: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        let point = watchpoint(at, len, kind);
        let before = self.watched.len();
        self.watched.retain(|known| *known != point);
        self.guest.set_watchpoint(point, false);
        Ok(self.watched.len() < before)
    }
}

impl<G: Guest> ReverseStep<Tid> for Debugged<'_, G> {
    fn reverse_step(&mut self, tid: Tid) -> Result<(), Never> {
        self.back = Some(Some(tid.get()));
        Ok(())
    }
}

impl<G: Guest> ReverseCont<Tid> for Debugged<'_, G> {
    fn reverse_cont(&mut self) -> Result<(), Never> {
        self.back = Some(None);
        Ok(())
    }
}

impl<G: Guest> MonitorCmd for Debugged<'_, G> {
    fn handle_monitor_cmd(
        &mut self,
        command: &[u8],
        mut out: ConsoleOutput<'_>,
    ) -> Result<(), Never> {
        let command = String::from_utf8_lossy(command);
        match self.guest.monitor(self.selected(), command.trim()) {
            Some(says) => outputln!(out, "{}", says.trim_end()),
            None => self.quit = true,
        }
        Ok(())
    }
}

/// Copies what lies at `offset` of `all`, at most `len` bytes.
fn slice(all: &[u8], offset: u64, len: usize, out: &mut [u8]) -> usize {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
    let rest = &all[start..];
    let len = rest.len().min(len).min(out.len());
    out[..len].copy_from_slice(&rest[..len]);
    len
}

impl<G: Guest> MemoryMap for Debugged<'_, G> {
    fn memory_map_xml(&self, offset: u64, len: usize, out: &mut [u8]) -> TargetResult<usize, Self> {
        let map = self.map.as_deref().unwrap_or_default();
        Ok(slice(map.as_bytes(), offset, len, out))
    }
}

impl<G: Guest> TargetDescriptionXmlOverride for Debugged<'_, G> {
    fn target_description_xml(
        &self,
        annex: &[u8],
        offset: u64,
        len: usize,
        out: &mut [u8],
    ) -> TargetResult<usize, Self> {
        if annex != b"target.xml" {
            return Err(TargetError::NonFatal);
        }
        Ok(slice(self.xml.as_bytes(), offset, len, out))
    }
}
