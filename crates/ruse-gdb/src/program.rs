//! A Linux program as a guest: its threads are the threads, those of processes that it
//! started among them. GDB's numbers are the program's own (`gettid`).

use ruse_hart::{Watchpoint, Xlen};
use ruse_isa::csr;
use ruse_linux::{DebugStop, Linux, LinuxError, Outcome};

use crate::arch::Register;
use crate::guest::{Guest, Halt, Move, Plan, Thread};

/// Signals as GDB numbers them, by Linux's numbers: those that an instruction raises.
fn signal(number: u32) -> u8 {
    match number {
        // SIGBUS, of which GDB's number is another.
        7 => 10,
        number => number as u8,
    }
}

fn tid(thread: Thread) -> u32 {
    thread as u32
}

impl Guest for Linux {
    type Outcome = Outcome;
    type Error = LinuxError;

    fn xlen(&self) -> Xlen {
        Xlen::Rv64
    }

    fn threads(&self) -> Vec<Thread> {
        let all = Linux::threads(self);
        all.into_iter().map(|tid| tid as Thread).collect()
    }

    fn describe(&self, thread: Thread) -> String {
        match self.process_of(tid(thread)) {
            Some(process) => format!("thread {thread} of process {process}"),
            None => String::new(),
        }
    }

    fn register(&mut self, thread: Thread, register: Register) -> Option<u64> {
        let all = self.registers(tid(thread))?;
        Some(match register {
            Register::X(n) => *all.x.get(usize::from(n))?,
            Register::Pc => all.pc,
            Register::F(n) => *all.f.get(usize::from(n))?,
            Register::Csr(csr::FCSR) => all.fcsr.into(),
            Register::Csr(csr::FFLAGS) => u64::from(all.fcsr & 0x1f),
            Register::Csr(csr::FRM) => u64::from(all.fcsr >> 5 & 7),
            Register::Csr(_) => return None,
            Register::Priv => 0,
        })
    }

    fn set_register(&mut self, thread: Thread, register: Register, value: u64) -> bool {
        let Some(mut all) = self.registers(tid(thread)) else {
            return false;
        };
        match register {
            Register::X(n) if (1..32).contains(&n) => all.x[usize::from(n)] = value,
            Register::Pc => all.pc = value & !1,
            Register::F(n) if n < 32 => all.f[usize::from(n)] = value,
            Register::Csr(csr::FCSR) => all.fcsr = value as u32 & 0xff,
            _ => return false,
        }
        self.set_registers(tid(thread), &all)
    }

    fn read(&self, thread: Thread, at: u64, out: &mut [u8]) -> usize {
        self.read_memory(tid(thread), at, out)
    }

    fn write(&mut self, thread: Thread, at: u64, bytes: &[u8]) -> bool {
        self.write_memory(tid(thread), at, bytes)
    }

    fn set_breakpoint(&mut self, at: u64, on: bool) {
        Linux::set_breakpoint(self, at, on);
    }

    fn set_watchpoint(&mut self, point: Watchpoint, on: bool) {
        Linux::set_watchpoint(self, point, on);
    }

    fn resume(&mut self, plan: &Plan) -> Result<Halt<Outcome>, LinuxError> {
        let threads = Guest::threads(self);
        let steps = threads
            .into_iter()
            .find(|thread| plan.of(*thread) == Move::Step);
        let step = steps.map(|thread| (tid(thread), plan.others == Move::Stay));
        let thread = |tid: u32| tid as Thread;
        Ok(match self.debug_run(step)? {
            DebugStop::Breakpoint(tid) => Halt::Breakpoint(thread(tid)),
            DebugStop::Watch(tid, point) => Halt::Watch(thread(tid), point),
            DebugStop::Step(tid) => Halt::Step(thread(tid)),
            DebugStop::Signal(tid, number) => Halt::Signal(thread(tid), signal(number)),
            DebugStop::Interrupted => Halt::Interrupted,
            DebugStop::Over(outcome) => Halt::Over(outcome),
        })
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send> {
        let flag = Linux::interrupter(self);
        Box::new(move || flag.store(true, std::sync::atomic::Ordering::SeqCst))
    }

    fn is_stopping(&self) -> bool {
        false
    }

    fn stopped(&self) -> Outcome {
        Outcome::Killed(9)
    }

    fn code(outcome: &Outcome) -> Result<u8, u8> {
        match outcome {
            Outcome::Exited(code) => Ok(*code),
            Outcome::Killed(number) => Err(signal(*number)),
            Outcome::Limit(_) => Err(gdbstub::common::Signal::SIGXCPU.0),
        }
    }

    fn monitor(&mut self, _: Thread, command: &str) -> Option<String> {
        match command.trim() {
            "quit" | "exit" => None,
            "help" | "" => Some("help   this\nquit   ends the program\n".into()),
            other => Some(format!(
                "no command `{other}` for a program; help lists them\n"
            )),
        }
    }

    fn memory_map(&self) -> Option<String> {
        // It changes as the program goes.
        None
    }
}
