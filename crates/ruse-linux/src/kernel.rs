//! The kernel of one box: threads in turns on one host thread, and system
//! calls that wait.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ruse_event::{Class, Origin, What};
use ruse_hart::{Cause, Exit as HartExit, Trap};

use crate::config::Config;
use crate::debug::{ATTENTION, Debug, DebugStop};
use crate::errno::Errno;
use crate::error::LinuxError;
use crate::fs::Vfs;
use crate::fs::tty::{self, Ttys};
use crate::futex::Futexes;
use crate::host::Host;
use crate::mm::Memory;
use crate::net::Net;
use crate::outside::HostSignals;
use crate::process::{Exit, Process};
use crate::sched::{Due, Scheduler};
use crate::signal;
use crate::syscall::{self, Answer, Cx, Stop};
use crate::thread::{Blocked, State, Thread, Tid, Wait};
use crate::wait::Hub;

/// The process that stands for the box itself: parent of the first one, and
/// of orphans.
pub(crate) const INIT: Tid = 1;
/// Thread ids are below this, as Linux has them on large machines.
const TIDS: Tid = 1 << 22;
/// Instructions that a system call counts for in its thread's turn.
const CALL: i64 = 50;

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
    pub(crate) kernel: Kernel,
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

    /// The directory of the host's that holds the box's own `/tmp`, until this
    /// is dropped.
    pub fn private_dir(&self) -> &std::path::Path {
        self.kernel.vfs.private_dir()
    }

    /// Instructions that all threads retired.
    pub fn retired(&self) -> u64 {
        self.kernel.retired
    }

    /// The most memory that all processes together had in use, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.kernel.memory.peak()
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
    pub sched: Scheduler,
    pub futexes: Futexes,
    /// What the memories of all processes have in common.
    pub memory: Rc<Memory>,
    /// System V shared memory.
    pub segments: syscall::Segments,
    /// What may end a wait.
    pub hub: Hub,
    pub ttys: Ttys,
    pub net: Rc<Net>,
    /// The host's signals, if they are the guest's.
    pub signals: Option<HostSignals>,
    next_tid: Tid,
    /// Unknown system calls that were named in the log.
    pub unknown: HashSet<u64>,
    pub retired: u64,
    /// The thread whose turn it is, and since when.
    pub running: Option<(Tid, Duration)>,
    /// The running thread gives up its turn.
    pub yielded: bool,
    pub tracer: crate::strace::Tracer,
    /// Threads that were made since the start.
    pub forks: u64,
    /// A debugger wants the program to stop.
    pub interrupt: Arc<AtomicBool>,
    /// What a debugger wants, if there is one.
    pub debug: Option<Box<Debug>>,
    pub started: Duration,
    pub outcome: Option<Outcome>,
}

impl Kernel {
    pub(crate) fn new(config: Config, host: Box<dyn Host>) -> Result<Self, LinuxError> {
        let hub = Hub::default();
        let started = host.monotonic();
        hub.set_now(started);
        let vfs = Vfs::new(&config)?;
        let memory = Memory::new(host.clock(), config.limits.memory, config.tap.clone());
        let tracer = crate::strace::Tracer::new(&config);
        Ok(Self {
            config,
            host,
            vfs,
            threads: BTreeMap::new(),
            processes: BTreeMap::new(),
            first: 0,
            sched: Scheduler::default(),
            futexes: Futexes::default(),
            memory,
            segments: Default::default(),
            hub,
            ttys: Ttys::default(),
            net: Rc::default(),
            signals: None,
            next_tid: INIT,
            unknown: HashSet::new(),
            retired: 0,
            running: None,
            yielded: false,
            tracer,
            forks: 0,
            interrupt: Arc::default(),
            debug: None,
            started,
            outcome: None,
        })
    }

    /// Monotonic time, now.
    pub(crate) fn now(&self) -> Duration {
        let now = self.host.monotonic();
        self.hub.set_now(now);
        now
    }

    /// A thread id that no thread, process, group or session has.
    pub(crate) fn new_tid(&mut self) -> Tid {
        loop {
            self.next_tid += 1;
            if self.next_tid >= TIDS {
                self.next_tid = INIT + 1;
            }
            let tid = self.next_tid;
            let used = self.threads.contains_key(&tid)
                || self.processes.contains_key(&tid)
                || self
                    .processes
                    .values()
                    .any(|p| p.group == tid || p.session == tid);
            if !used {
                return tid;
            }
        }
    }

    /// Takes in a new thread, and its process if that is new, too. The thread
    /// becomes ready.
    pub(crate) fn adopt(&mut self, thread: Thread, process: Option<Process>) {
        let (tid, pid) = (thread.tid, thread.pid);
        if let Some(process) = process {
            if let Some(parent) = self.processes.get_mut(&process.parent) {
                parent.children.push(pid);
            }
            self.processes.insert(pid, process);
        }
        if let Some(process) = self.processes.get_mut(&pid) {
            process.threads.push(tid);
        }
        self.forks += 1;
        self.threads.insert(tid, thread);
        self.enqueue(tid, false);
    }

    /// Something happened that may let blocked system calls finish.
    pub(crate) fn stir(&mut self) {
        self.hub.ring();
    }

    /// Lets a thread that waits in some queue finish its system call.
    pub(crate) fn wake(&mut self, tid: Tid) {
        if let Some(thread) = self.threads.get_mut(&tid)
            && let State::Blocked(blocked) = &mut thread.state
        {
            blocked.woken = true;
            self.nudge(tid);
        }
    }

    /// Lets a blocked thread try its system call again.
    pub(crate) fn nudge(&mut self, tid: Tid) {
        if let Some(thread) = self.threads.get_mut(&tid)
            && matches!(thread.state, State::Blocked(_))
            && !thread.nudged
        {
            thread.nudged = true;
            self.sched.nudged.push(tid);
        }
    }

    /// A thread has something to do before it runs guest code.
    pub(crate) fn alert(&mut self, tid: Tid) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.attention = true;
            self.nudge(tid);
        }
    }

    /// The process of a thread is not stopped any more.
    pub(crate) fn resume(&mut self, tid: Tid) {
        self.alert(tid);
        self.enqueue(tid, true);
    }

    /// Puts a thread that is ready into the queue, unless it is its turn.
    fn enqueue(&mut self, tid: Tid, woke: bool) {
        if self.running.is_none_or(|(running, _)| running != tid) {
            self.push(tid, woke);
        }
    }

    /// Puts a thread that is ready into the queue.
    fn push(&mut self, tid: Tid, woke: bool) {
        if let Some(thread) = self.threads.get_mut(&tid)
            && matches!(thread.state, State::Ready)
            && !thread.queued
        {
            thread.queued = true;
            self.sched.push(tid, woke);
        }
    }

    fn run(&mut self) -> Result<Outcome, LinuxError> {
        loop {
            if let Some(outcome) = self.round()? {
                return Ok(outcome);
            }
        }
    }

    /// One thread's turn, or a wait; how the program ended, if it has.
    pub(crate) fn round(&mut self) -> Result<Option<Outcome>, LinuxError> {
        let now = self.now();
        self.charge(now);
        self.limits_reached(now);
        if self.outcome.is_some() {
            return Ok(self.outcome);
        }
        self.hub.pump();
        self.host_signals();
        tty::deferred(self);
        self.expire(now);
        self.try_waiting();
        match self.sched.pop() {
            Some(tid) => self.turn(tid, now),
            None if self.outcome.is_some() => {}
            None => self.idle()?,
        }
        Ok(None)
    }

    /// The thread whose turn it was used host time.
    fn charge(&mut self, now: Duration) {
        if let Some((tid, since)) = self.running.take()
            && let Some(thread) = self.threads.get_mut(&tid)
        {
            let spent = now.saturating_sub(since);
            thread.cpu += spent;
            let pid = thread.pid;
            crate::timer::charge(self, tid, pid, spent);
        }
    }

    /// Lets `tid` run for one quantum, or until it blocks or dies.
    fn turn(&mut self, tid: Tid, now: Duration) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        thread.queued = false;
        self.running = Some((tid, now));
        let mut left = self.sched.quantum(now) as i64;
        while left > 0 {
            let Some(thread) = self.threads.get(&tid) else {
                return;
            };
            if thread.attention && !signal::deliver(self, tid) {
                return;
            }
            let Some(thread) = self.threads.get(&tid) else {
                return;
            };
            if !matches!(thread.state, State::Ready) {
                return;
            }
            let others = |debug: &Debug| debug.alone && debug.step != Some(tid);
            if self.debug.as_deref().is_some_and(others) {
                break;
            }
            let mm = Rc::clone(&thread.mm);
            self.load_into(tid, &mm);
            let before = mm.borrow().hart.retired();
            let exit = match self.debug {
                None => Some(mm.borrow_mut().hart.run(left as u64)),
                Some(_) => self.debugged(tid, left as u64),
            };
            let ran = mm.borrow().hart.retired().wrapping_sub(before);
            left -= ran as i64;
            self.retired += ran;
            self.sched.ran(ran);
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.retired += ran;
            }
            let Some(exit) = exit else {
                break;
            };
            match exit {
                HartExit::Trap(trap) if trap.cause == Cause::EcallFromUser => {
                    let (number, args) = {
                        let hart = &mm.borrow().hart;
                        (hart.x(17), [10, 11, 12, 13, 14, 15].map(|n| hart.x(n)))
                    };
                    self.attempt(tid, number, args, None);
                    left -= CALL;
                    self.sched.ran(CALL as u64);
                    // Signals and futexes reach those that wait at once.
                    self.try_nudged();
                    if std::mem::take(&mut self.yielded) {
                        break;
                    }
                }
                HartExit::Trap(trap) => self.trap(tid, trap),
                _ => break,
            }
            if self.outcome.is_some() {
                return;
            }
            if self
                .debug
                .as_ref()
                .is_some_and(|debug| debug.stop.is_some())
            {
                break;
            }
        }
        // It used up its turn, or yields.
        self.push(tid, false);
    }

    fn limits_reached(&mut self, now: Duration) {
        let limits = &self.config.limits;
        let reached = if limits.instructions.is_some_and(|most| self.retired >= most) {
            "instructions"
        } else if limits
            .time
            .is_some_and(|most| now.saturating_sub(self.started) >= most)
        {
            "time"
        } else {
            return;
        };
        self.outcome.get_or_insert(Outcome::Limit(reached));
    }

    /// Puts a thread's registers into its hart.
    pub(crate) fn load(&mut self, tid: Tid) {
        if let Some(thread) = self.threads.get(&tid) {
            let mm = Rc::clone(&thread.mm);
            self.load_into(tid, &mm);
        }
    }

    fn load_into(&mut self, tid: Tid, mm: &Rc<std::cell::RefCell<crate::mm::Mm>>) {
        let mut mm = mm.borrow_mut();
        if mm.loaded == Some(tid) {
            return;
        }
        if let Some(other) = mm.loaded.replace(tid)
            && let Some(other) = self.threads.get_mut(&other)
        {
            other.regs = mm.hart.registers();
        }
        if let Some(thread) = self.threads.get(&tid) {
            mm.hart.set_registers(&thread.regs);
        }
    }

    /// An exception of the running thread that is no system call.
    fn trap(&mut self, tid: Tid, trap: Trap) {
        let Some(thread) = self.threads.get(&tid) else {
            return;
        };
        let mm = Rc::clone(&thread.mm);
        let fault = mm.borrow_mut().fault(trap);
        if let Err(info) = fault {
            if let Some(debug) = &mut self.debug {
                debug.stop = Some(DebugStop::Signal(tid, info.signal));
            }
            signal::force(self, tid, info);
        }
    }

    /// Executes a system call; `earlier` if it blocked before. The thread's
    /// registers are in its hart, unless it blocked before.
    fn attempt(&mut self, tid: Tid, number: u64, args: [u64; 6], earlier: Option<Blocked>) {
        let again = earlier.is_some();
        let deadline = earlier.as_ref().and_then(|earlier| earlier.wait.deadline);
        let seen = self.hub.events();
        if self.config.strace && !again {
            crate::strace::enter(self, tid, number, args);
        }
        let mut cx = Cx::new(self, tid, number, args, earlier);
        let answer = syscall::dispatch(&mut cx);
        match answer {
            Err(Stop::Block(wait)) => {
                return self.block(tid, number, args, wait, seen, deadline);
            }
            _ if again => self.forget_wait(tid, deadline),
            _ => {}
        }
        self.tell_call(tid, number, args, &answer);
        match answer {
            Ok(value) => {
                self.trace_result(tid, Ok(value));
                self.finish_call(tid, value);
                self.restore_mask(tid);
            }
            Err(Stop::Errno(errno)) => {
                self.trace_result(tid, Err(errno));
                self.finish_call(tid, -i64::from(errno.0) as u64);
                self.restore_mask(tid);
            }
            Err(Stop::Done | Stop::Block(_)) => self.trace_result(tid, Ok(0)),
        }
    }

    /// Tells whoever watches of a system call that has ended.
    fn tell_call(&self, tid: Tid, number: u64, args: [u64; 6], answer: &Answer) {
        let tap = self.config.tap.from(Origin::Thread(tid as u64));
        tap.tell(Class::Call, || What::Syscall {
            number,
            args,
            answer: match answer {
                Ok(value) => Some(*value as i64),
                Err(Stop::Errno(errno)) => Some(-i64::from(errno.0)),
                Err(Stop::Done | Stop::Block(_)) => Some(0),
            },
        });
    }

    /// Tells strace how a system call ended.
    pub(crate) fn trace_result(&mut self, tid: Tid, result: Result<u64, Errno>) {
        if self.config.strace {
            crate::strace::leave(self, tid, result);
        }
    }

    /// Ends a system call of a thread.
    fn finish_call(&mut self, tid: Tid, value: u64) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        let mut mm = thread.mm.borrow_mut();
        if mm.loaded == Some(tid) {
            let pc = mm.hart.pc();
            mm.hart.set_x(10, value);
            mm.hart.set_pc(pc.wrapping_add(4));
        } else {
            thread.regs.x[10] = value;
            thread.regs.pc = thread.regs.pc.wrapping_add(4);
        }
    }

    /// The mask that held for the time of a system call holds no more.
    fn restore_mask(&mut self, tid: Tid) {
        if let Some(thread) = self.threads.get_mut(&tid)
            && let Some(mask) = thread.saved_mask.take()
        {
            signal::set_mask(self, tid, mask);
        }
    }

    /// A signal ends a system call; its handler will restore the mask.
    pub(crate) fn finish_interrupted(&mut self, tid: Tid, result: Result<u64, Errno>) {
        self.trace_result(tid, result);
        let value = result.unwrap_or_else(|errno| -i64::from(errno.0) as u64);
        self.finish_call(tid, value);
    }

    /// A system call waits; its thread had the deadline `before` already.
    fn block(
        &mut self,
        tid: Tid,
        number: u64,
        args: [u64; 6],
        wait: Wait,
        seen: u64,
        before: Option<Duration>,
    ) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        if wait.deadline != before
            && let Some(at) = before
        {
            self.sched.cancel(at, Due::Call(tid));
        }
        if let Some(at) = wait.deadline {
            self.sched.at(at, Due::Call(tid));
        }
        if !wait.queued && !thread.waiting {
            thread.waiting = true;
            self.sched.waiting.push(tid);
        }
        thread.state = State::Blocked(Blocked {
            number,
            args,
            wait,
            seen,
            woken: false,
        });
        if thread.attention {
            signal::deliver(self, tid);
        }
        self.enqueue(tid, true);
    }

    /// What a blocked thread waited for is forgotten.
    fn forget_wait(&mut self, tid: Tid, deadline: Option<Duration>) {
        if let Some(at) = deadline {
            self.sched.cancel(at, Due::Call(tid));
        }
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.sigwait = 0;
            if let Some(key) = thread.futex.take() {
                self.futexes.leave(key, tid);
            }
        }
    }

    /// Takes a thread out of the system call in which it waits.
    pub(crate) fn unblock(&mut self, tid: Tid) -> Option<Blocked> {
        let thread = self.threads.get_mut(&tid)?;
        match std::mem::replace(&mut thread.state, State::Ready) {
            State::Ready => None,
            State::Blocked(blocked) => {
                self.forget_wait(tid, blocked.wait.deadline);
                Some(blocked)
            }
        }
    }

    /// Tries a blocked system call again.
    fn try_again(&mut self, tid: Tid) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        let stopped = self
            .processes
            .get(&thread.pid)
            .is_some_and(|process| process.stopped.is_some());
        if stopped {
            // It will be nudged when its process goes on.
            return;
        }
        if let State::Blocked(blocked) = std::mem::replace(&mut thread.state, State::Ready) {
            self.attempt(tid, blocked.number, blocked.args, Some(blocked));
            self.enqueue(tid, true);
        }
    }

    /// Tries the system calls again of threads that were let go, or have a
    /// signal due.
    fn try_nudged(&mut self) {
        if self.sched.nudged.is_empty() {
            return;
        }
        for tid in std::mem::take(&mut self.sched.nudged) {
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.nudged = false;
                self.try_again(tid);
            }
        }
    }

    /// Tries blocked system calls again that may finish now.
    fn try_waiting(&mut self) {
        self.try_nudged();
        let events = self.hub.events();
        if self.sched.seen == events {
            return;
        }
        self.sched.seen = events;
        for tid in std::mem::take(&mut self.sched.waiting) {
            let Some(thread) = self.threads.get_mut(&tid) else {
                continue;
            };
            thread.waiting = false;
            if thread.blocked().is_some_and(|b| b.seen != events) {
                self.try_again(tid);
            }
            if let Some(thread) = self.threads.get_mut(&tid)
                && thread.blocked().is_some_and(|b| !b.wait.queued)
                && !thread.waiting
            {
                thread.waiting = true;
                self.sched.waiting.push(tid);
            }
        }
    }

    /// What was to happen by now happens.
    fn expire(&mut self, now: Duration) {
        while let Some(due) = self.sched.expired(now) {
            match due {
                Due::Call(tid) => self.nudge(tid),
                Due::Interval(pid) => crate::timer::interval_expired(self, pid, now),
                Due::Timer(pid, id) => crate::timer::timer_expired(self, pid, id, now),
            }
        }
    }

    /// Nothing can run: waits for the host, or for the next deadline.
    fn idle(&mut self) -> Result<(), LinuxError> {
        if self.threads.is_empty() {
            self.outcome = Some(Outcome::Exited(0));
            return Ok(());
        }
        if self.sched.seen != self.hub.events() || !self.sched.nudged.is_empty() {
            return Ok(());
        }
        let limit = self.config.limits.time.map(|most| self.started + most);
        let next = [self.sched.next_deadline(), self.hub.next_alarm(), limit]
            .into_iter()
            .flatten()
            .min();
        let now = self.now();
        let mut wait = next.map(|at| at.saturating_sub(now));
        if self.debug.is_some() {
            wait = Some(wait.map_or(ATTENTION, |wait| wait.min(ATTENTION)));
        }
        self.hub.wait(wait);
        Ok(())
    }

    /// The first process is gone.
    pub(crate) fn first_ended(&mut self, exit: Exit) {
        self.outcome.get_or_insert(match exit {
            Exit::Signal(_) if self.memory.exhausted.get() => Outcome::Limit("memory"),
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
