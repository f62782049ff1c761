//! The run loop: harts in turn on one thread, devices in between, and sleep
//! when nobody has anything to do.

use ruse_devices::Power;
use ruse_hart::{Cause, Exit, Privilege};

use crate::clock::span;
use crate::config::Time;
use crate::error::MachineError;
use crate::lock;
use crate::machine::{Machine, State};
use crate::sbi;

/// CSR numbers for the report of a lockup.
const STVEC: u16 = 0x105;
const MTVEC: u16 = 0x305;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The guest switched the machine off.
    Off {
        /// Zero for success, or the guest's own code.
        code: u32,
    },
    /// A [`crate::Handle`] asked to stop. The machine can be run on.
    Stopped,
}

impl Machine {
    /// Runs until the guest switches off or a [`crate::Handle`] stops it.
    /// When the guest reboots, the machine is reset and runs on.
    ///
    /// # Errors
    /// [`MachineError`] if the guest cannot go on.
    pub fn run(&mut self) -> Result<Outcome, MachineError> {
        let outcome = loop {
            if let Some(outcome) = self.round()? {
                break outcome;
            }
        };
        self.parts.out.flush();
        Ok(outcome)
    }

    /// Runs until about `instructions` instructions have been retired, by all
    /// harts together; `None` if they have, and nothing ended the run.
    ///
    /// # Errors
    /// As [`Machine::run`].
    pub fn run_for(&mut self, instructions: u64) -> Result<Option<Outcome>, MachineError> {
        let end = self.retired().saturating_add(instructions);
        while self.retired() < end {
            if let Some(outcome) = self.round()? {
                self.parts.out.flush();
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    }

    /// Every hart's turn, or a sleep.
    fn round(&mut self) -> Result<Option<Outcome>, MachineError> {
        if self.handle.take_stop() {
            return Ok(Some(Outcome::Stopped));
        }
        let deadline = self.poll();
        let mut busy = false;
        for index in 0..self.harts.len() {
            if self.is_runnable(index) {
                busy = true;
                self.turn(index)?;
                if self.parts.power.is_pending() {
                    break;
                }
            }
        }
        self.parts.out.flush();
        match self.parts.power.take() {
            Some(Power::Off { code }) => return Ok(Some(Outcome::Off { code })),
            Some(Power::Reboot) => self.reset()?,
            None if !busy => self.idle(deadline)?,
            None => {}
        }
        Ok(None)
    }

    /// Brings devices up to date with time and input. Returns the tick at
    /// which that has to happen next.
    fn poll(&mut self) -> Option<u64> {
        let input = &self.parts.input;
        self.handle.deliver(|bytes| lock(input).receive(bytes));
        let timer = self
            .parts
            .aclint
            .as_ref()
            .and_then(|aclint| lock(aclint).poll());
        let alarm = lock(&self.parts.rtc).poll().map(|nanos| {
            let now = self.parts.clock.now();
            self.parts.wall.tick_of(nanos, now)
        });
        timer.into_iter().chain(alarm).min()
    }

    /// Whether the hart has something to do; wakes it if so.
    fn is_runnable(&mut self, index: usize) -> bool {
        let hart = &mut self.harts[index];
        let state = &mut self.states[index];
        match *state {
            State::Running => return true,
            State::Stopped => return false,
            State::Waiting | State::Suspended { .. } if !hart.interrupt_pending() => return false,
            State::Waiting | State::Suspended { resume: None } => {}
            State::Suspended {
                resume: Some((pc, opaque)),
            } => {
                let hartid = hart.hartid();
                hart.reset();
                hart.enter_supervisor(pc, hartid, opaque);
            }
        }
        *state = State::Running;
        true
    }

    /// Runs a hart for a quantum, or until it has nothing to do.
    fn turn(&mut self, index: usize) -> Result<(), MachineError> {
        let mut left = self.quantum;
        while left > 0 {
            let before = self.harts[index].retired();
            let exit = self.harts[index].run(left);
            let ran = self.harts[index].retired().wrapping_sub(before);
            match exit {
                Exit::Quantum | Exit::Trap(_) => return Ok(()),
                Exit::Wait => {
                    self.states[index] = State::Waiting;
                    return Ok(());
                }
                Exit::SbiCall => {
                    sbi::call(self, index);
                    if self.states[index] != State::Running || self.parts.power.is_pending() {
                        return Ok(());
                    }
                    // A call is work too: a hart that does nothing but call
                    // must not keep the others waiting.
                    left = left.saturating_sub(ran + sbi::COST);
                }
                Exit::Lockup(trap) => return Err(self.lockup(index, trap.cause, trap.tval)),
            }
        }
        Ok(())
    }

    fn lockup(&mut self, index: usize, cause: Cause, tval: u64) -> MachineError {
        let hart = &mut self.harts[index];
        let vector = match hart.privilege() {
            Privilege::Machine => MTVEC,
            _ => STVEC,
        };
        MachineError::Lockup {
            hart: hart.hartid(),
            pc: hart.csr(vector).unwrap_or(0) & !3,
            cause: words(&format!("{cause:?}")),
            tval,
        }
    }

    /// Nobody has anything to do: lets time pass until somebody may have.
    fn idle(&mut self, deadline: Option<u64>) -> Result<(), MachineError> {
        let timers = self
            .harts
            .iter()
            .zip(&self.states)
            .filter(|(_, state)| **state != State::Stopped)
            .filter_map(|(hart, _)| hart.timer_deadline());
        let deadline = deadline.into_iter().chain(timers).min();
        match (deadline, self.time) {
            (Some(tick), Time::Virtual { .. }) => self.parts.clock.skip_to(tick),
            (Some(tick), Time::Host) => {
                let limit = span(self.parts.clock.now(), tick);
                self.parts.bell.sleep(Some(limit));
            }
            (None, _) if self.handle.is_closed() && !self.is_stirring() => {
                return Err(MachineError::WaitsForEver);
            }
            (None, _) => self.parts.bell.sleep(None),
        }
        Ok(())
    }

    /// Whether something goes on, or happened since the deadline was looked up.
    fn is_stirring(&self) -> bool {
        // In this order: what went on may have ended in an interrupt.
        self.parts.activity.is_any()
            || self
                .harts
                .iter()
                .zip(&self.states)
                .any(|(hart, state)| *state != State::Stopped && hart.interrupt_pending())
    }
}

/// `LoadPageFault` as "a load page fault".
fn words(name: &str) -> String {
    let mut words = String::from(if name.starts_with(['A', 'E', 'I', 'O', 'U']) {
        "an"
    } else {
        "a"
    });
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_read_as_words() {
        assert_eq!(words("LoadPageFault"), "a load page fault");
        assert_eq!(words("IllegalInstruction"), "an illegal instruction");
    }
}
