//! Threads in turns on one host thread, and what they wait for.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use ruse_hart::{Cause, Exit as HartExit, Trap};

use crate::config::Config;
use crate::error::LinuxError;
use crate::fs::Vfs;
use crate::host::Host;
use crate::process::{Exit, Process};
use crate::signal::{self, Detail, SigInfo};
use crate::syscall::{self, Cx, Stop};
use crate::thread::{Blocked, State, Thread, Tid, Wait};
use crate::wait::Hub;

/// Instructions of one turn while other threads are ready or wait.
const QUANTUM: u64 = 200_000;
/// The process that stands for the box itself: parent of the first one, and
/// of orphans.
pub(crate) const INIT: Tid = 1;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It exited with this code.
    Exited(u8),
    /// This signal killed it.
    Killed(u32),
    /// It used up its instructions, memory or time.
    Limit(&'static str),
}

/// A Linux program about to run, and what it brings forth.
pub struct Linux {
    kernel: Kernel,
}

impl Linux {
    /// Loads the program.
    ///
    /// # Errors
    /// [`LinuxError`] if the program or a directory is missing or unsuitable.
    pub fn new(config: Config, host: Box<dyn Host>) -> Result<Self, LinuxError> {
        let mut kernel = Kernel::new(config, host)?;
        crate::exec::first(&mut kernel)?;
        Ok(Self { kernel })
    }

    /// Runs until the first process ends; what it started ends with it.
    ///
    /// # Errors
    /// [`LinuxError`] if the host fails.
    pub fn run(&mut self) -> Result<Outcome, LinuxError> {
        self.kernel.run()
    }

    /// Instructions that all threads retired.
    pub fn retired(&self) -> u64 {
        self.kernel.retired
    }
}

/// The kernel of one box.
pub(crate) struct Kernel {
    pub config: Config,
    pub host: Box<dyn Host>,
    pub vfs: Vfs,
    pub threads: BTreeMap<Tid, Thread>,
    pub processes: BTreeMap<Tid, Process>,
    /// The first process.
    pub first: Tid,
    pub ready: VecDeque<Tid>,
    next_tid: Tid,
    /// What ends waiting: shared with the files that can.
    pub hub: Hub,
    /// Unknown system calls that were named in the log.
    pub unknown: HashSet<u64>,
    pub retired: u64,
    pub started: Duration,
    pub outcome: Option<Outcome>,
}

impl Kernel {
    fn new(config: Config, host: Box<dyn Host>) -> Result<Self, LinuxError> {
        let vfs = Vfs::new(&config)?;
        let started = host.monotonic();
        Ok(Self {
            config,
            host,
            vfs,
            threads: BTreeMap::new(),
            processes: BTreeMap::new(),
            first: 0,
            ready: VecDeque::new(),
            next_tid: INIT,
            hub: Hub::default(),
            unknown: HashSet::new(),
            retired: 0,
            started,
            outcome: None,
        })
    }

    /// A thread id that no thread, process, group or session has.
    pub(crate) fn new_tid(&mut self) -> Tid {
        loop {
            self.next_tid = if self.next_tid >= 4_000_000 {
                INIT + 1
            } else {
                self.next_tid + 1
            };
            let tid = self.next_tid;
            let used = self.threads.contains_key(&tid)
                || self
                    .processes
                    .values()
                    .any(|p| p.pid == tid || p.group == tid || p.session == tid);
            if !used {
                return tid;
            }
        }
    }

    /// Something happened that may let blocked system calls finish.
    pub(crate) fn stir(&mut self) {
        self.hub.ring();
    }

    /// Lets a blocked thread finish its system call.
    pub(crate) fn wake(&mut self, tid: Tid) {
        if let Some(Thread {
            state: State::Blocked(blocked),
            ..
        }) = self.threads.get_mut(&tid)
        {
            blocked.woken = true;
            self.hub.ring();
        }
    }

    /// Makes a thread ready to run.
    pub(crate) fn make_ready(&mut self, tid: Tid) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.state = State::Ready;
            if !self.ready.contains(&tid) {
                self.ready.push_back(tid);
            }
        }
    }

    fn run(&mut self) -> Result<Outcome, LinuxError> {
        loop {
            if let Some(outcome) = self.outcome {
                return Ok(outcome);
            }
            self.hub.set_now(self.host.monotonic());
            self.hub.pump();
            self.timers();
            self.retry_blocked();
            match self.ready.pop_front() {
                Some(tid) => self.turn(tid),
                None if self.outcome.is_some() => {}
                None => self.idle()?,
            }
        }
    }

    /// Lets `tid` run for one quantum, or until it blocks or dies.
    fn turn(&mut self, tid: Tid) {
        let alone = self.ready.is_empty();
        let mut left = QUANTUM as i64 * if alone { 20 } else { 1 };
        while left > 0 {
            signal::deliver(self, tid);
            let Some(thread) = self.threads.get(&tid) else {
                return;
            };
            if !matches!(thread.state, State::Ready) {
                return;
            }
            let mm = std::rc::Rc::clone(&thread.mm);
            self.load(tid);
            let (exit, ran) = {
                let mut mm = mm.borrow_mut();
                let before = mm.hart.retired();
                let exit = mm.hart.run(left as u64);
                (exit, mm.hart.retired().wrapping_sub(before))
            };
            left -= ran as i64;
            self.retired += ran;
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.retired += ran;
            }
            match exit {
                HartExit::Trap(trap) => self.trap(tid, trap),
                _ => break,
            }
            left -= 50;
            if self.limits_reached() {
                return;
            }
        }
        if let Some(Thread {
            state: State::Ready,
            ..
        }) = self.threads.get(&tid)
            && !self.ready.contains(&tid)
        {
            self.ready.push_back(tid);
        }
        self.limits_reached();
    }

    fn limits_reached(&mut self) -> bool {
        let limits = &self.config.limits;
        if limits.instructions.is_some_and(|most| self.retired >= most) {
            self.outcome = Some(Outcome::Limit("instructions"));
        } else if limits
            .time
            .is_some_and(|most| self.host.monotonic() - self.started >= most)
        {
            self.outcome = Some(Outcome::Limit("time"));
        }
        self.outcome.is_some()
    }

    /// Puts a thread's registers into its hart.
    pub(crate) fn load(&mut self, tid: Tid) {
        let Some(thread) = self.threads.get(&tid) else {
            return;
        };
        let mm = std::rc::Rc::clone(&thread.mm);
        let mut mm = mm.borrow_mut();
        if mm.loaded == Some(tid) {
            return;
        }
        if let Some(other) = mm.loaded.replace(tid) {
            let registers = mm.hart.registers();
            if let Some(other) = self.threads.get_mut(&other) {
                other.regs = registers;
            }
        }
        if let Some(thread) = self.threads.get(&tid) {
            mm.hart.set_registers(&thread.regs);
        }
    }

    fn trap(&mut self, tid: Tid, trap: Trap) {
        if trap.cause == Cause::EcallFromUser {
            return self.system_call(tid);
        }
        let Some(thread) = self.threads.get(&tid) else {
            return;
        };
        let mm = std::rc::Rc::clone(&thread.mm);
        let info = {
            let mut mm = mm.borrow_mut();
            match mm.fault(trap) {
                Ok(()) => return,
                Err(info) => info,
            }
        };
        signal::force(self, tid, info);
    }

    fn system_call(&mut self, tid: Tid) {
        let Some(thread) = self.threads.get(&tid) else {
            return;
        };
        let mm = std::rc::Rc::clone(&thread.mm);
        let (number, args) = {
            let mm = mm.borrow();
            let hart = &mm.hart;
            (hart.x(17), [10, 11, 12, 13, 14, 15].map(|n| hart.x(n)))
        };
        self.attempt(tid, number, args, None);
    }

    /// Executes a system call of a thread whose registers are in its hart;
    /// `earlier` if it blocked before.
    fn attempt(&mut self, tid: Tid, number: u64, args: [u64; 6], earlier: Option<Blocked>) {
        self.hub.set_now(self.host.monotonic());
        let events = self.hub.events();
        let mut cx = Cx::new(self, tid, number, args, earlier);
        let answer = syscall::dispatch(&mut cx);
        match answer {
            Ok(value) => self.finish_call(tid, value),
            Err(Stop::Errno(errno)) => self.finish_call(tid, -i64::from(errno.0) as u64),
            Err(Stop::Block(mut wait)) => {
                wait.deadline = wait.deadline.or(None);
                if let Some(thread) = self.threads.get_mut(&tid) {
                    thread.state = State::Blocked(Blocked {
                        number,
                        args,
                        wait,
                        seen: events,
                        woken: false,
                    });
                }
            }
            Err(Stop::Done) => {}
        }
    }

    /// Ends a system call of a thread whose registers are in its hart.
    fn finish_call(&mut self, tid: Tid, value: u64) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        let mut mm = thread.mm.borrow_mut();
        let pc = mm.hart.pc();
        mm.hart.set_x(10, value);
        mm.hart.set_pc(pc.wrapping_add(4));
    }

    /// Tries blocked system calls again that may finish now.
    fn retry_blocked(&mut self) {
        let now = self.host.monotonic();
        let due: Vec<Tid> = self
            .threads
            .values()
            .filter(|thread| match &thread.state {
                State::Blocked(b) => {
                    b.woken
                        || b.wait.deadline.is_some_and(|at| at <= now)
                        || (!b.wait.queued && b.seen != self.hub.events())
                        || signal::due(self, thread)
                }
                _ => false,
            })
            .map(|thread| thread.tid)
            .collect();
        for tid in due {
            let Some(thread) = self.threads.get_mut(&tid) else {
                continue;
            };
            let State::Blocked(blocked) = std::mem::replace(&mut thread.state, State::Ready) else {
                continue;
            };
            self.load(tid);
            let interrupted = !blocked.woken
                && blocked.wait.deadline.is_none_or(|at| at > now)
                && self
                    .threads
                    .get(&tid)
                    .is_some_and(|thread| signal::due(self, thread));
            if interrupted {
                signal::interrupt(self, tid, blocked);
            } else {
                let (number, args) = (blocked.number, blocked.args);
                self.attempt(tid, number, args, Some(blocked));
            }
            if let Some(Thread {
                state: State::Ready,
                ..
            }) = self.threads.get(&tid)
                && !self.ready.contains(&tid)
            {
                self.ready.push_back(tid);
            }
        }
    }

    /// Interval timers and alarms that are due send their signals.
    fn timers(&mut self) {}

    /// Nothing can run: waits for the host, or for the next deadline.
    fn idle(&mut self) -> Result<(), LinuxError> {
        let now = self.host.monotonic();
        let next = self
            .threads
            .values()
            .filter_map(|thread| match &thread.state {
                State::Blocked(b) => b.wait.deadline,
                _ => None,
            })
            .min();
        if self.threads.is_empty() {
            self.outcome = Some(Outcome::Exited(0));
            return Ok(());
        }
        let next = [next, self.hub.next_alarm()].into_iter().flatten().min();
        self.hub.wait(next.map(|at| at.saturating_sub(now)));
        Ok(())
    }

    /// The first process is gone.
    pub(crate) fn first_ended(&mut self, exit: Exit) {
        self.outcome.get_or_insert(match exit {
            Exit::Code(code) => Outcome::Exited(code),
            Exit::Signal(signal) => Outcome::Killed(signal),
        });
    }
}

/// Waits for nothing but being tried again.
impl Wait {
    /// For what other threads do.
    pub(crate) fn events() -> Self {
        Self::default()
    }
}

impl SigInfo {
    /// A fault at `address`.
    pub(crate) fn fault(signal: u32, code: i32, address: u64) -> Self {
        Self {
            signal,
            code,
            detail: Detail::Fault { address },
        }
    }
}
