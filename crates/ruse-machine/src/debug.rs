//! The run loop of a machine that is debugged: whatever the clock, the harts take turns on
//! one thread, until one of them stops for its debugger ([`ruse_hart::Stop`]).

use ruse_devices::Power;
use ruse_event::{Class, What};
use ruse_hart::{Exit, Stop, Trap, Watchpoint};

use crate::clock::span;
use crate::config::Time;
use crate::error::MachineError;
use crate::machine::Machine;
use crate::run::{Outcome, lockup};
use crate::sbi;
use crate::seat::State;

/// Instructions that each of the other harts gets while one is stepped: enough for what
/// it may be waiting for to come about, little enough to be where it was.
const SHARE: u64 = 16;

/// What a hart is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Stand still.
    Stay,
    /// Run.
    Run,
    /// Execute one instruction, or take one trap, and stop.
    Step,
}

/// What the harts are to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumePlan {
    /// One a hart; what is missing runs.
    pub moves: Vec<Move>,
    /// Whether a hart that steps may take an interrupt. If not, its pending interrupts
    /// wait until it runs, so that stepping does not end in the timer's handler.
    pub interrupts: bool,
}

impl ResumePlan {
    /// All harts run.
    pub fn run() -> Self {
        Self {
            moves: Vec::new(),
            interrupts: false,
        }
    }

    /// One hart steps, and the others do `others`.
    pub fn step(hart: usize, others: Move) -> Self {
        let mut moves = vec![others; hart + 1];
        moves[hart] = Move::Step;
        if others == Move::Stay {
            moves.resize(crate::layout::MAX_HARTS, Move::Stay);
        }
        Self {
            moves,
            interrupts: false,
        }
    }

    pub(crate) fn of(&self, hart: usize) -> Move {
        self.moves.get(hart).copied().unwrap_or(Move::Run)
    }
}

/// Why a machine that is debugged stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DebugStop {
    /// A hart is at a breakpoint, which it has not executed.
    Breakpoint {
        /// Which.
        hart: usize,
    },
    /// A hart has accessed what is watched.
    Watch {
        /// Which.
        hart: usize,
        /// Where the access began, a virtual address.
        at: u64,
        /// How many bytes.
        size: u64,
        /// Whether it was a store or an atomic operation.
        write: bool,
        /// The watchpoint.
        point: Watchpoint,
        /// Where the instruction is that did it; `pc` is already after it.
        pc: u64,
    },
    /// A hart has accessed a device ([`Machine::stop_at_devices`]).
    Mmio {
        /// Which.
        hart: usize,
        /// The name of the device's place on the bus.
        device: String,
        /// The register, in bytes from the device's base.
        offset: u64,
        /// How many bytes.
        size: u64,
        /// What was written, if something was.
        write: Option<u64>,
        /// Where the instruction is that did it; `pc` is already after it.
        pc: u64,
    },
    /// A hart has taken an exception, and is at the handler.
    Trap {
        /// Which.
        hart: usize,
        /// The exception.
        trap: Trap,
    },
    /// A hart has done its step.
    Step {
        /// Which.
        hart: usize,
    },
    /// The guest reset the machine, which is at its start again.
    Reset,
    /// Somebody interrupted it ([`crate::Handle::interrupt`]).
    Interrupted,
    /// The machine ended, or a [`crate::Handle`] asked to stop.
    Outcome(Outcome),
}

impl Machine {
    /// Runs until a hart stops for its debugger. Breakpoints, watchpoints and traps are
    /// set on the harts ([`Machine::harts_mut`]). A hart at whose breakpoint the last run
    /// ended goes on with the instruction there.
    ///
    /// # Errors
    /// As [`Machine::run`].
    pub fn debug_run(&mut self, plan: &ResumePlan) -> Result<DebugStop, MachineError> {
        if self.journal.is_some() {
            let stop = self.debug_exact(plan)?;
            self.parts.out.flush();
            return Ok(stop);
        }
        let stop = loop {
            if let Some(stop) = self.debug_round(plan)? {
                break stop;
            }
        };
        self.parts.out.flush();
        if let DebugStop::Breakpoint { hart } = stop {
            self.harts[hart].pass_breakpoint();
        }
        Ok(stop)
    }

    /// Stops after accesses to the devices whose places on the bus have these names, such
    /// as `uart0`; whether there are all of them.
    pub fn stop_at_devices(&mut self, names: &[&str]) -> bool {
        let regions = self.bus.regions().iter();
        let found: Vec<_> = regions
            .filter(|region| names.contains(&region.name.as_str()))
            .map(|region| region.base..region.base + region.size)
            .collect();
        let all = found.len() == names.len();
        for hart in &mut self.harts {
            hart.stop_at_devices(found.clone());
        }
        all
    }

    /// Every hart's turn, or a sleep.
    fn debug_round(&mut self, plan: &ResumePlan) -> Result<Option<DebugStop>, MachineError> {
        self.do_errands();
        if self.handle.take_stop() {
            return Ok(Some(DebugStop::Outcome(Outcome::Stopped)));
        }
        if self.handle.take_interrupt() {
            return Ok(Some(DebugStop::Interrupted));
        }
        // In this order: what was typed before is delivered.
        let closed = self.handle.is_closed();
        let deadline = match self.inputs()? {
            Ok(deadline) => deadline,
            Err(outcome) => return Ok(Some(DebugStop::Outcome(outcome))),
        };
        let harts = 0..self.harts.len();
        let steps = harts.clone().any(|hart| plan.of(hart) == Move::Step);
        let quantum = if steps { SHARE } else { self.quantum };
        let mut busy = false;
        // Those that step come last: then the round is over.
        let (last, first): (Vec<_>, Vec<_>) = harts.partition(|hart| plan.of(*hart) == Move::Step);
        for index in first.into_iter().chain(last) {
            let how = plan.of(index);
            self.seats[index].pins().take_kick();
            if how == Move::Stay || !self.seats[index].enter(&mut self.harts[index], false) {
                continue;
            }
            busy = true;
            let stop = match how {
                Move::Step => Some(self.debug_step(index, plan.interrupts)?),
                _ => self.debug_turn(index, quantum)?,
            };
            if stop.is_some() && !self.parts.power.is_pending() {
                return Ok(stop);
            }
            if self.parts.power.is_pending() {
                break;
            }
        }
        self.parts.out.flush();
        match self.parts.power.take() {
            Some(Power::Off { code }) => {
                return Ok(Some(DebugStop::Outcome(Outcome::Off { code })));
            }
            Some(Power::Reboot) => {
                self.reset()?;
                return Ok(Some(DebugStop::Reset));
            }
            None if !busy => self.debug_idle(plan, deadline, closed)?,
            None => {}
        }
        Ok(None)
    }

    /// Runs a hart for a quantum, or until it stops or has nothing to do.
    fn debug_turn(
        &mut self,
        index: usize,
        quantum: u64,
    ) -> Result<Option<DebugStop>, MachineError> {
        let mut left = quantum;
        while left > 0 {
            let hart = &mut self.harts[index];
            let before = hart.retired();
            let exit = hart.run(left);
            let ran = hart.retired().wrapping_sub(before);
            if exit == Exit::Quantum {
                if let Some(sample) = &self.sample {
                    sample.sample(hart);
                }
                return Ok(None);
            }
            if let Some(stop) = self.debug_exit(index, exit)? {
                return Ok(Some(stop));
            }
            if exit != Exit::SbiCall
                || self.seats[index].state() != State::Running
                || self.parts.power.is_pending()
            {
                return Ok(None);
            }
            left = left.saturating_sub(ran + sbi::COST);
        }
        Ok(None)
    }

    /// Has a hart execute one instruction.
    fn debug_step(&mut self, index: usize, interrupts: bool) -> Result<DebugStop, MachineError> {
        let hart = &mut self.harts[index];
        let pc = hart.pc();
        // What it accesses is of interest also to who steps.
        let stop = match hart.step_noting(interrupts) {
            Exit::Debug(stop) => self.after(index, stop, pc)?,
            exit => self.debug_exit(index, exit)?,
        };
        Ok(stop.unwrap_or(DebugStop::Step { hart: index }))
    }

    /// Does what a hart left its run for.
    fn debug_exit(&mut self, index: usize, exit: Exit) -> Result<Option<DebugStop>, MachineError> {
        let hart = &mut self.harts[index];
        match exit {
            Exit::Quantum | Exit::Pause | Exit::Trap(_) => {}
            Exit::Wait => {
                hart.tell(Class::Sleep, || What::Sleep);
                self.seats[index].set_state(State::Waiting);
            }
            Exit::SbiCall => sbi::call(hart, index, &self.seats, &self.parts),
            Exit::Lockup(trap) => return Err(lockup(hart, trap)),
            Exit::Debug(stop) => {
                let pc = hart.pc();
                return self.after(index, stop, pc);
            }
        }
        Ok(None)
    }

    /// What to tell of a stop at `pc`.
    pub(crate) fn told(&self, index: usize, stop: &Stop, pc: u64) -> DebugStop {
        match *stop {
            Stop::Breakpoint => DebugStop::Breakpoint { hart: index },
            Stop::Trap(trap) => DebugStop::Trap { hart: index, trap },
            Stop::Watch {
                at,
                size,
                write,
                point,
            } => DebugStop::Watch {
                hart: index,
                at,
                size,
                write,
                point,
                pc,
            },
            Stop::Mmio { at, size, write } => {
                let region = self.bus.region(at);
                DebugStop::Mmio {
                    hart: index,
                    device: region.map_or_else(String::new, |region| region.name.clone()),
                    offset: region.map_or(at, |region| at - region.base),
                    size,
                    write,
                    pc,
                }
            }
        }
    }

    /// A hart has stopped; has it execute what it stopped before, if that was an access.
    fn after(
        &mut self,
        index: usize,
        stop: Stop,
        pc: u64,
    ) -> Result<Option<DebugStop>, MachineError> {
        let told = self.told(index, &stop, pc);
        if let DebugStop::Breakpoint { .. } | DebugStop::Trap { .. } = told {
            return Ok(Some(told));
        }
        match self.harts[index].step_over(false) {
            // It has not been executed; what there is to see is the exception.
            Exit::Debug(Stop::Trap(trap)) => Ok(Some(DebugStop::Trap { hart: index, trap })),
            Exit::Debug(_) => Ok(Some(told)),
            exit => {
                self.debug_exit(index, exit)?;
                Ok(Some(told))
            }
        }
    }

    /// Nobody that may has anything to do: lets time pass until somebody may have.
    fn debug_idle(
        &mut self,
        plan: &ResumePlan,
        deadline: Option<u64>,
        closed: bool,
    ) -> Result<(), MachineError> {
        let waiting = self.harts.iter().zip(&self.seats).enumerate();
        let moving = waiting.filter(|(n, _)| plan.of(*n) != Move::Stay);
        let timers = moving
            .filter(|(_, (_, seat))| seat.state() != State::Stopped)
            .filter_map(|(_, (hart, _))| hart.timer_deadline());
        let deadline = deadline.into_iter().chain(timers).min();
        let stays = (0..self.harts.len()).any(|hart| plan.of(hart) == Move::Stay);
        match (deadline, self.time) {
            (Some(tick), Time::Virtual { .. }) => self.parts.clock.skip_to(tick),
            (Some(tick), Time::Host) => {
                let limit = span(self.parts.clock.now(), tick);
                self.parts.bell.sleep(Some(limit));
            }
            (None, _) if closed && !stays && !self.is_stirring() => {
                return Err(MachineError::WaitsForEver);
            }
            (None, _) => self.parts.bell.sleep(None),
        }
        Ok(())
    }
}
