//! A machine as a guest: its harts are the threads.

use std::fmt::Write;

use ruse_bus::{PAGE_SIZE, Region, Width};
use ruse_hart::{Hart, Privilege, Watchpoint, Xlen};
use ruse_isa::csr;
use ruse_machine::{DebugStop, Machine, MachineError, Outcome, ResumePlan};

use crate::arch::Register;
use crate::guest::{Guest, Halt, Move, Plan, Thread};
use crate::monitor;

/// GDB's number for "trace/breakpoint trap".
const SIGTRAP: u8 = 5;

pub(crate) fn mode(privilege: Privilege) -> &'static str {
    match privilege {
        Privilege::User => "U-mode",
        Privilege::Supervisor => "S-mode",
        Privilege::Machine => "M-mode",
    }
}

/// Reads what is left of a page of the boot ROM, which no other device is like: reading
/// has no effect.
fn rom(hart: &Hart, at: u64, out: &mut [u8]) -> bool {
    let bus = hart.bus();
    let Some(pa) = hart.translate_debug(at) else {
        return false;
    };
    let is_rom = |region: &Region| region.name == "rom";
    out.iter_mut().zip(pa..).all(|(byte, pa)| {
        let there = bus.region(pa).is_some_and(is_rom);
        let read = there.then(|| bus.read(pa, Width::B1).ok()).flatten();
        read.map(|value| *byte = value as u8).is_some()
    })
}

fn index(thread: Thread) -> usize {
    thread.wrapping_sub(1)
}

/// What GDB is told of a stop, if anything.
fn halt(stop: &DebugStop) -> Option<Halt<Outcome>> {
    Some(match *stop {
        DebugStop::Breakpoint { hart } => Halt::Breakpoint(hart + 1),
        DebugStop::Watch { hart, point, .. } => Halt::Watch(hart + 1, point),
        DebugStop::Step { hart } => Halt::Step(hart + 1),
        DebugStop::Mmio { hart, .. } | DebugStop::Trap { hart, .. } => {
            Halt::Signal(hart + 1, SIGTRAP)
        }
        DebugStop::Interrupted => Halt::Interrupted,
        DebugStop::Reset => return None,
        DebugStop::Outcome(outcome) => Halt::Over(outcome),
    })
}

impl Guest for Machine {
    type Outcome = Outcome;
    type Error = MachineError;

    fn xlen(&self) -> Xlen {
        self.harts()[0].xlen()
    }

    fn threads(&self) -> Vec<Thread> {
        (1..=self.harts().len()).collect()
    }

    fn describe(&self, thread: Thread) -> String {
        let Some(hart) = self.harts().get(index(thread)) else {
            return String::new();
        };
        let sleeps = if self.is_awake(index(thread)) {
            ""
        } else {
            ", waits"
        };
        format!("hart {}, {}{sleeps}", hart.hartid(), mode(hart.privilege()))
    }

    fn register(&mut self, thread: Thread, register: Register) -> Option<u64> {
        let hart = self.harts_mut().get_mut(index(thread))?;
        match register {
            Register::X(n) => Some(hart.x(n)),
            Register::Pc => Some(hart.pc()),
            Register::F(n) => Some(hart.f(n)),
            Register::Csr(csr::SEED) => None,
            Register::Csr(number) => hart.csr(number),
            Register::Priv => Some(hart.privilege() as u64),
        }
    }

    fn set_register(&mut self, thread: Thread, register: Register, value: u64) -> bool {
        if self.register(thread, register) == Some(value) {
            return true;
        }
        if !self.may_change() {
            return false;
        }
        let Some(hart) = self.harts_mut().get_mut(index(thread)) else {
            return false;
        };
        match register {
            Register::X(n) => hart.set_x(n, value),
            Register::Pc => hart.set_pc(value),
            Register::F(n) => hart.set_f(n, value),
            Register::Csr(number) => return hart.set_csr(number, value),
            Register::Priv => match value {
                0 => hart.set_privilege(Privilege::User),
                1 => hart.set_privilege(Privilege::Supervisor),
                3 => hart.set_privilege(Privilege::Machine),
                _ => return false,
            },
        }
        true
    }

    fn read(&self, thread: Thread, at: u64, out: &mut [u8]) -> usize {
        let Some(hart) = self.harts().get(index(thread)) else {
            return 0;
        };
        // Page by page, so that what is there is told of.
        let mut done = 0;
        while done < out.len() {
            let at = at.wrapping_add(done as u64);
            let page = (PAGE_SIZE - (at & (PAGE_SIZE - 1))) as usize;
            let end = out.len().min(done + page);
            if !hart.peek(at, &mut out[done..end]) && !rom(hart, at, &mut out[done..end]) {
                break;
            }
            done = end;
        }
        done
    }

    fn write(&mut self, thread: Thread, at: u64, bytes: &[u8]) -> bool {
        if !self.may_change() {
            return false;
        }
        let hart = self.harts_mut().get_mut(index(thread));
        hart.is_some_and(|hart| hart.poke(at, bytes))
    }

    fn set_breakpoint(&mut self, at: u64, on: bool) {
        for hart in self.harts_mut() {
            if on {
                hart.add_breakpoint(at);
            } else {
                hart.remove_breakpoint(at);
            }
        }
    }

    fn set_watchpoint(&mut self, point: Watchpoint, on: bool) {
        for hart in self.harts_mut() {
            if on {
                hart.add_watchpoint(point);
            } else {
                hart.remove_watchpoint(&point);
            }
        }
    }

    fn resume(&mut self, plan: &Plan) -> Result<Halt<Outcome>, MachineError> {
        let moves = self
            .threads()
            .into_iter()
            .map(|thread| match plan.of(thread) {
                Move::Stay => ruse_machine::Move::Stay,
                Move::Run => ruse_machine::Move::Run,
                Move::Step => ruse_machine::Move::Step,
            });
        let plan = ResumePlan {
            moves: moves.collect(),
            interrupts: false,
        };
        loop {
            if let Some(halt) = halt(&self.debug_run(&plan)?) {
                return Ok(halt);
            }
        }
    }

    fn has_past(&self) -> bool {
        self.remembers()
    }

    fn back(&mut self, step: Option<Thread>) -> Result<Halt<Outcome>, MachineError> {
        if let Some(thread) = step {
            let Some(hart) = Some(index(thread)).filter(|hart| *hart < self.harts().len()) else {
                return Ok(Halt::Beginning(thread));
            };
            return Ok(match self.step_back(hart)? {
                Ok(()) => Halt::Step(thread),
                Err(_) => Halt::Beginning(thread),
            });
        }
        let handle = self.handle();
        // What the debugger said to have it go has been heard.
        handle.take_interrupt();
        let mut enough = || handle.take_interrupt() || handle.is_stopping();
        let stop = self.run_back(&mut enough)?.ok().flatten();
        if handle.is_stopping() {
            return Ok(Halt::Over(Outcome::Stopped));
        }
        let halt = stop.and_then(|stop| halt(&stop));
        Ok(halt.unwrap_or(Halt::Beginning(1)))
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send> {
        let handle = self.handle();
        Box::new(move || handle.interrupt())
    }

    fn is_stopping(&self) -> bool {
        self.handle().is_stopping()
    }

    fn stopped(&self) -> Outcome {
        Outcome::Stopped
    }

    fn code(outcome: &Outcome) -> Result<u8, u8> {
        match outcome {
            Outcome::Off { code } => Ok(*code as u8),
            Outcome::Stopped => Err(gdbstub::common::Signal::SIGTERM.0),
        }
    }

    fn monitor(&mut self, thread: Thread, command: &str) -> Option<String> {
        monitor::run(self, index(thread), command)
    }

    fn memory_map(&self) -> Option<String> {
        let mut xml = String::from(
            "<?xml version=\"1.0\"?><!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory \
             Map V1.0//EN\" \"http://sourceware.org/gdb/gdb-memory-map.dtd\"><memory-map>",
        );
        // By virtual address there may be memory anywhere; where there is none, reading
        // fails. Without this GDB would not try.
        let all = match self.xlen() {
            Xlen::Rv32 => "0x100000000",
            Xlen::Rv64 => "0xffffffffffffffff",
        };
        // Writing to a string cannot fail.
        let _ = write!(
            xml,
            "<memory type=\"ram\" start=\"0x0\" length=\"{all}\"/></memory-map>"
        );
        Some(xml)
    }
}
