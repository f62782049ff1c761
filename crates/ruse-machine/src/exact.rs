//! The run loop of a machine whose inputs are recorded or replayed: harts in turn on one
//! thread, as in [`crate::run`], but so that what they do does not depend on where
//! somebody stops them, looks at them, or has them go step by step.
//!
//! Where the machine is within a round is part of its state ([`Turn`]). A turn has so many
//! *steps* ([`ruse_hart::Hart::steps`]), and goes on where it was left.
//!
//! What a TLB holds shows: guests clear the accessed bits of page-table entries without
//! SFENCE.VMA, and see them set again only once the page is looked up again. So every
//! epoch of some steps begins with empty TLBs, as a machine does that goes on from a
//! checkpoint, and only there are checkpoints made.

use ruse_devices::Power;
use ruse_event::{Class, What};
use ruse_hart::{Exit, Stop};

use crate::debug::{DebugStop, Move, ResumePlan};
use crate::error::MachineError;
use crate::machine::Machine;
use crate::run::{Outcome, lockup};
use crate::sbi;
use crate::seat::State;

/// log2 of the steps of an epoch.
const EPOCH: u32 = 22;

/// Where the machine is within a round.
pub(crate) struct Turn {
    /// Whose turn it is; the number of harts if the round is over.
    hart: usize,
    /// Steps left in the turn; none: it has not begun.
    left: u64,
    /// Whether a hart had something to do.
    busy: bool,
    /// When devices want to be looked at, as of the start of the round.
    deadline: Option<u64>,
    /// Whether nobody would type any more, at the start of the round.
    closed: bool,
}

/// How far to go.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// Until somebody or something stops it.
    Stopped,
    /// Until all harts together have made so many steps.
    Steps(u64),
    /// Until this hart has.
    HartSteps(usize, u64),
    /// Until this hart is about to make one.
    TurnOf(usize),
}

impl Machine {
    /// Steps made by all harts.
    pub(crate) fn steps(&self) -> u64 {
        self.harts.iter().map(ruse_hart::Hart::steps).sum()
    }

    fn has_come(&self, until: Until) -> bool {
        match until {
            Until::Stopped => false,
            Until::Steps(steps) => self.steps() >= steps,
            Until::HartSteps(hart, steps) => self.harts[hart].steps() >= steps,
            Until::TurnOf(hart) => {
                let turn = self.turn.as_ref();
                turn.is_some_and(|turn| turn.hart == hart && turn.left > 0)
            }
        }
    }

    /// Goes on; `None` when it has come as far as it was to.
    ///
    /// # Errors
    /// As [`Machine::run`].
    pub(crate) fn exact(&mut self, until: Until) -> Result<Option<DebugStop>, MachineError> {
        loop {
            let past = self.past_left();
            self.parts.out.mute(past > 0);
            if self.has_come(until) {
                return Ok(None);
            }
            // Whoever goes back does not want to be stopped on the way.
            if !self.is_seeking() {
                self.do_errands();
                if self.handle.take_stop() {
                    return Ok(Some(DebugStop::Outcome(Outcome::Stopped)));
                }
                if self.handle.take_interrupt() {
                    return Ok(Some(DebugStop::Interrupted));
                }
            }
            let stop = match &self.turn {
                None => self.begin_round()?,
                Some(turn) if turn.hart == self.harts.len() => self.end_round()?,
                Some(turn) if turn.left == 0 => {
                    self.begin_turn();
                    None
                }
                Some(turn) => {
                    let index = turn.hart;
                    let mut most = turn.left;
                    if past > 0 {
                        most = most.min(past);
                    }
                    most = most.min(match until {
                        Until::Steps(steps) => steps - self.steps(),
                        Until::HartSteps(hart, steps) if hart == index => {
                            steps - self.harts[hart].steps()
                        }
                        _ => most,
                    });
                    let before = self.harts[index].steps();
                    let exit = self.harts[index].run_exact(most);
                    self.settle_turn(exit, before)?
                }
            };
            if stop.is_some() {
                return Ok(stop);
            }
        }
    }

    fn begin_round(&mut self) -> Result<Option<DebugStop>, MachineError> {
        let epoch = Some(self.steps() >> EPOCH);
        if self.epoch != epoch {
            self.epoch = epoch;
            self.harts.iter_mut().for_each(ruse_hart::Hart::flush_tlb);
            self.checkpoint()?;
        }
        // In this order: what was typed before is delivered.
        let closed = self.handle.is_closed();
        match self.inputs()? {
            Ok(deadline) => {
                self.turn = Some(Turn {
                    hart: 0,
                    left: 0,
                    busy: false,
                    deadline,
                    closed,
                });
                Ok(None)
            }
            Err(outcome) => Ok(Some(DebugStop::Outcome(outcome))),
        }
    }

    fn begin_turn(&mut self) {
        let Some(turn) = &mut self.turn else { return };
        let index = turn.hart;
        self.seats[index].pins().take_kick();
        if self.seats[index].enter(&mut self.harts[index], false) {
            turn.busy = true;
            turn.left = self.quantum;
            self.harts[index].begin_turn();
        } else {
            turn.hart += 1;
        }
    }

    /// Does what a hart left its run for, before which it had made so many steps.
    fn settle_turn(&mut self, exit: Exit, before: u64) -> Result<Option<DebugStop>, MachineError> {
        let Some(turn) = &mut self.turn else {
            return Ok(None);
        };
        let index = turn.hart;
        let hart = &mut self.harts[index];
        turn.left = turn.left.saturating_sub(hart.steps().wrapping_sub(before));
        let mut told = None;
        let mut over = false;
        match exit {
            Exit::Quantum => {
                // Or somebody wants to have a look.
                over = hart.has_yielded();
                self.seats[index].pins().take_kick();
                if turn.left == 0
                    && let Some(sample) = &self.sample
                {
                    sample.sample(hart);
                }
            }
            Exit::Pause | Exit::Trap(_) => over = true,
            Exit::Wait => {
                hart.tell(Class::Sleep, || What::Sleep);
                self.seats[index].set_state(State::Waiting);
                over = true;
            }
            Exit::SbiCall => {
                sbi::call(hart, index, &self.seats, &self.parts);
                hart.note_step();
                turn.left = turn.left.saturating_sub(1 + sbi::COST);
                // It may have asked itself for something.
                over = self.seats[index].state() != State::Running || self.seats[index].has_news();
            }
            Exit::Lockup(trap) => return Err(lockup(hart, trap)),
            Exit::Debug(stop) => told = Some(stop),
        }
        if self.parts.power.is_pending() {
            // Nobody gets any further.
            (turn.hart, turn.left) = (self.harts.len(), 0);
        } else if over || turn.left == 0 {
            (turn.hart, turn.left) = (index + 1, 0);
        }
        match told {
            Some(stop) => self.exact_stop(index, stop),
            None => Ok(None),
        }
    }

    /// A hart has stopped; has it execute what it stopped before, if that was an access.
    fn exact_stop(&mut self, index: usize, stop: Stop) -> Result<Option<DebugStop>, MachineError> {
        let pc = self.harts[index].pc();
        let told = self.told(index, &stop, pc);
        if let DebugStop::Breakpoint { hart } = told {
            self.harts[hart].pass_breakpoint();
        }
        if let DebugStop::Breakpoint { .. } | DebugStop::Trap { .. } = told {
            return Ok(Some(told));
        }
        let before = self.harts[index].steps();
        match self.harts[index].step_over(false) {
            // It has not been executed; what there is to see is the exception.
            Exit::Debug(Stop::Trap(trap)) => {
                self.settle_turn(Exit::Quantum, before)?;
                Ok(Some(DebugStop::Trap { hart: index, trap }))
            }
            Exit::Debug(_) => Ok(Some(told)),
            exit => {
                self.settle_turn(exit, before)?;
                Ok(Some(told))
            }
        }
    }

    fn end_round(&mut self) -> Result<Option<DebugStop>, MachineError> {
        let Some(turn) = self.turn.take() else {
            return Ok(None);
        };
        self.parts.out.flush();
        match self.parts.power.take() {
            Some(Power::Off { code }) => {
                return Ok(Some(DebugStop::Outcome(Outcome::Off { code })));
            }
            Some(Power::Reboot) => {
                self.reset()?;
                return Ok(Some(DebugStop::Reset));
            }
            None if !turn.busy => self.idle(turn.deadline, turn.closed)?,
            None => {}
        }
        Ok(None)
    }

    /// [`Machine::run`].
    pub(crate) fn run_exact(&mut self, until: Until) -> Result<Option<Outcome>, MachineError> {
        loop {
            match self.exact(until)? {
                None => return Ok(None),
                Some(DebugStop::Outcome(outcome)) => return Ok(Some(outcome)),
                // Who asks for stops runs it otherwise.
                Some(_) => {}
            }
        }
    }

    /// [`Machine::debug_run`]. Who steps one hart has the others take their turns.
    pub(crate) fn debug_exact(&mut self, plan: &ResumePlan) -> Result<DebugStop, MachineError> {
        let steps = (0..self.harts.len()).find(|hart| plan.of(*hart) == Move::Step);
        let Some(index) = steps else {
            let stop = self.exact(Until::Stopped)?;
            return Ok(stop.unwrap_or(DebugStop::Interrupted));
        };
        if let Some(stop) = self.exact(Until::TurnOf(index))? {
            return Ok(stop);
        }
        let before = self.harts[index].steps();
        let exit = self.harts[index].step_noting(true);
        let stop = self.settle_turn(exit, before)?;
        Ok(stop.unwrap_or(DebugStop::Step { hart: index }))
    }
}
