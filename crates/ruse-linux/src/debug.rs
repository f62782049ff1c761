//! Programs that are debugged: threads run until one of them stops for its debugger.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ruse_hart::{Cause, Exit as HartExit, Hart, Registers, Stop, Watchpoint};

use crate::error::LinuxError;
use crate::kernel::{Kernel, Linux, Outcome};
use crate::thread::Tid;

/// How long a program that waits may not hear that it is interrupted.
pub(crate) const ATTENTION: Duration = Duration::from_millis(50);

/// Why a program that is debugged stopped. Threads are named by their numbers (`gettid`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebugStop {
    /// A thread is at a breakpoint.
    Breakpoint(u32),
    /// A thread has accessed what is watched.
    Watch(u32, Watchpoint),
    /// A thread has executed one instruction.
    Step(u32),
    /// A thread is about to get this signal, for what its next instruction did.
    Signal(u32, u32),
    /// Somebody interrupted it.
    Interrupted,
    /// It has ended.
    Over(Outcome),
}

/// What a debugger wants.
#[derive(Default)]
pub(crate) struct Debug {
    breakpoints: BTreeSet<u64>,
    watchpoints: Vec<Watchpoint>,
    /// The thread that is to execute one instruction.
    pub step: Option<Tid>,
    /// The others stand still meanwhile.
    pub alone: bool,
    pub stop: Option<DebugStop>,
}

impl Debug {
    /// Makes a hart stop for what is asked for.
    pub(crate) fn arm(&self, hart: &mut Hart) {
        for at in &self.breakpoints {
            hart.add_breakpoint(*at);
        }
        for point in &self.watchpoints {
            if !hart.watchpoints().contains(point) {
                hart.add_watchpoint(*point);
            }
        }
    }
}

impl Linux {
    fn debug(&mut self) -> &mut Debug {
        self.kernel.debug.get_or_insert_default()
    }

    /// The threads, those of the first process first.
    pub fn threads(&self) -> Vec<u32> {
        self.kernel.threads.keys().copied().collect()
    }

    /// The process of a thread.
    pub fn process_of(&self, tid: u32) -> Option<u32> {
        self.kernel.threads.get(&tid).map(|thread| thread.pid)
    }

    /// A thread's registers.
    pub fn registers(&self, tid: u32) -> Option<Registers> {
        let thread = self.kernel.threads.get(&tid)?;
        let mm = thread.mm.borrow();
        Some(match mm.loaded == Some(tid) {
            true => mm.hart.registers(),
            false => thread.regs.clone(),
        })
    }

    /// Changes a thread's registers; whether there is one.
    pub fn set_registers(&mut self, tid: u32, registers: &Registers) -> bool {
        let Some(thread) = self.kernel.threads.get_mut(&tid) else {
            return false;
        };
        let mut mm = thread.mm.borrow_mut();
        match mm.loaded == Some(tid) {
            true => mm.hart.set_registers(registers),
            false => thread.regs = registers.clone(),
        }
        true
    }

    /// Reads memory as a thread sees it: how many bytes from `at` on are there. Pages that
    /// were never touched come into being, as they would for the thread.
    pub fn read_memory(&self, tid: u32, at: u64, out: &mut [u8]) -> usize {
        let Some(thread) = self.kernel.threads.get(&tid) else {
            return 0;
        };
        let mut mm = thread.mm.borrow_mut();
        let mut done = 0;
        while done < out.len() {
            let at = at.wrapping_add(done as u64);
            let end = out.len().min(done + (4096 - (at & 4095)) as usize);
            if mm.read(at, &mut out[done..end]).is_err() {
                break;
            }
            done = end;
        }
        done
    }

    /// Writes memory as a thread sees it; whether all of it is there.
    pub fn write_memory(&mut self, tid: u32, at: u64, bytes: &[u8]) -> bool {
        let Some(thread) = self.kernel.threads.get(&tid) else {
            return false;
        };
        let mut mm = thread.mm.borrow_mut();
        let mut there = vec![0; bytes.len()];
        if mm.read(at, &mut there).is_err() {
            return false;
        }
        // What the program may not write to, a debugger may.
        mm.hart.poke(at, bytes)
    }

    /// Sets or removes a breakpoint, in all processes.
    pub fn set_breakpoint(&mut self, at: u64, on: bool) {
        if on {
            self.debug().breakpoints.insert(at);
            return;
        }
        self.debug().breakpoints.remove(&at);
        for thread in self.kernel.threads.values() {
            thread.mm.borrow_mut().hart.remove_breakpoint(at);
        }
    }

    /// Sets or removes a watchpoint, in all processes.
    pub fn set_watchpoint(&mut self, point: Watchpoint, on: bool) {
        let points = &mut self.debug().watchpoints;
        points.retain(|known| *known != point);
        if on {
            points.push(point);
            return;
        }
        for thread in self.kernel.threads.values() {
            thread.mm.borrow_mut().hart.remove_watchpoint(&point);
        }
    }

    /// What makes [`Self::debug_run`] return when it is set, by any thread.
    pub fn interrupter(&self) -> Arc<AtomicBool> {
        self.kernel.interrupt.clone()
    }

    /// Runs until there is a reason to stop. `step`: a thread that is to execute one
    /// instruction, and whether the others stand still meanwhile.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn debug_run(&mut self, step: Option<(u32, bool)>) -> Result<DebugStop, LinuxError> {
        let debug = self.debug();
        debug.step = step.map(|(tid, _)| tid);
        debug.alone = step.is_some_and(|(_, alone)| alone);
        loop {
            if self.kernel.interrupt.swap(false, Ordering::SeqCst) {
                return Ok(DebugStop::Interrupted);
            }
            if let Some(outcome) = self.kernel.round()? {
                return Ok(DebugStop::Over(outcome));
            }
            if let Some(stop) = self.debug().stop.take() {
                return Ok(stop);
            }
        }
    }
}

impl Kernel {
    /// Has a hart go on as a debugger wants it to; what it left its run for, or `None` if
    /// it stopped for the debugger.
    pub(crate) fn debugged(&mut self, tid: Tid, left: u64) -> Option<HartExit> {
        let mm = Rc::clone(&self.threads.get(&tid)?.mm);
        let debug = self.debug.as_mut()?;
        let hart = &mut mm.borrow_mut().hart;
        debug.arm(hart);
        let steps = debug.step == Some(tid);
        let exit = match steps {
            true => hart.step_noting(false),
            false => hart.run(left),
        };
        match exit {
            HartExit::Debug(Stop::Breakpoint) => {
                hart.pass_breakpoint();
                debug.stop = Some(DebugStop::Breakpoint(tid));
                None
            }
            HartExit::Debug(Stop::Watch { point, .. }) => {
                debug.stop = Some(DebugStop::Watch(tid, point));
                match hart.step_over(false) {
                    // Its page was not there yet: once more.
                    HartExit::Trap(trap) => {
                        debug.stop = None;
                        Some(HartExit::Trap(trap))
                    }
                    _ => None,
                }
            }
            HartExit::Debug(_) => None,
            HartExit::Trap(trap) if trap.cause != Cause::EcallFromUser => Some(exit),
            exit => {
                if steps {
                    debug.stop = Some(DebugStop::Step(tid));
                }
                Some(exit)
            }
        }
    }
}
