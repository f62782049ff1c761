//! What is debugged.

use std::fmt::Display;

use ruse_hart::{Watchpoint, Xlen};

use crate::arch::Register;

/// A thread as GDB numbers them, from 1 on.
pub type Thread = usize;

/// What a thread is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Stand still.
    Stay,
    /// Run.
    Run,
    /// Execute one instruction.
    Step,
}

/// What the threads are to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What those do that are told.
    pub moves: Vec<(Thread, Move)>,
    /// What the others do.
    pub others: Move,
}

impl Plan {
    /// All run.
    pub fn run() -> Self {
        Self {
            moves: Vec::new(),
            others: Move::Run,
        }
    }

    /// What a thread does.
    pub fn of(&self, thread: Thread) -> Move {
        let told = self.moves.iter().find(|(told, _)| *told == thread);
        told.map_or(self.others, |(_, how)| *how)
    }
}

/// Why a guest stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt<O> {
    /// A thread is at a breakpoint.
    Breakpoint(Thread),
    /// A thread has accessed what is watched.
    Watch(Thread, Watchpoint),
    /// A thread has done its step.
    Step(Thread),
    /// A thread has to be looked at, for what this signal of GDB's stands for.
    Signal(Thread, u8),
    /// It went back to where there is no way back from, as a thread sees it.
    Beginning(Thread),
    /// It was interrupted ([`Guest::interrupter`]).
    Interrupted,
    /// It has ended.
    Over(O),
}

/// Something that can be debugged.
pub trait Guest {
    /// How it ends.
    type Outcome;
    /// Why it cannot go on.
    type Error: Display;

    /// The width of the integer registers.
    fn xlen(&self) -> Xlen;

    /// Its threads, at least one.
    fn threads(&self) -> Vec<Thread>;

    /// What a thread is at, in a few words.
    fn describe(&self, thread: Thread) -> String;

    /// A register's value; `None` if there is no such register or thread.
    fn register(&mut self, thread: Thread, register: Register) -> Option<u64>;

    /// Changes a register; whether that can be.
    fn set_register(&mut self, thread: Thread, register: Register, value: u64) -> bool;

    /// Reads memory as a thread sees it, without any effect: how many bytes, from the
    /// first on, are there.
    fn read(&self, thread: Thread, at: u64, out: &mut [u8]) -> usize;

    /// Writes memory as a thread sees it, whatever the permissions; whether all of it is
    /// there.
    fn write(&mut self, thread: Thread, at: u64, bytes: &[u8]) -> bool;

    /// Sets or removes a breakpoint.
    fn set_breakpoint(&mut self, at: u64, on: bool);

    /// Sets or removes a watchpoint.
    fn set_watchpoint(&mut self, point: Watchpoint, on: bool);

    /// Goes on until there is a reason to stop. A thread at a breakpoint that it stopped
    /// at goes on with the instruction there.
    ///
    /// # Errors
    /// If the guest cannot go on.
    fn resume(&mut self, plan: &Plan) -> Result<Halt<Self::Outcome>, Self::Error>;

    /// Whether it can go back.
    fn has_past(&self) -> bool {
        false
    }

    /// Goes back: by one step of a thread, or to the last time that something would have
    /// stopped it. Interrupted, it is back as far as it had looked.
    ///
    /// # Errors
    /// If the guest cannot do again what it did.
    fn back(&mut self, step: Option<Thread>) -> Result<Halt<Self::Outcome>, Self::Error> {
        Ok(Halt::Beginning(step.unwrap_or(1)))
    }

    /// Makes [`Guest::resume`] return with [`Halt::Interrupted`], now or the next time, and
    /// [`Guest::back`] if that is under way.
    fn interrupter(&self) -> Box<dyn Fn() + Send>;

    /// Whether it was asked, from elsewhere, to end.
    fn is_stopping(&self) -> bool;

    /// How it ends when it is made to.
    fn stopped(&self) -> Self::Outcome;

    /// An exit code for the debugger, or the signal that ended it.
    fn code(outcome: &Self::Outcome) -> Result<u8, u8>;

    /// What `monitor` COMMAND says with `thread` selected; `None`: the guest is to end.
    fn monitor(&mut self, thread: Thread, command: &str) -> Option<String>;

    /// Where there is memory, as a `<memory-map>` document, if that does not change.
    fn memory_map(&self) -> Option<String>;
}
