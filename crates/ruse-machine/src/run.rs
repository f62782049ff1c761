//! The run loop: harts in turn on one thread, devices in between, and sleep
//! when nobody has anything to do. Several harts under the host clock have a
//! thread each instead ([`crate::threads`]).

use std::time::Instant;

use ruse_devices::Power;
use ruse_event::{Class, What};
use ruse_hart::{Exit, Hart, Privilege, Trap};

use crate::board::Parts;
use crate::clock::span;
use crate::config::Time;
use crate::console::Handle;
use crate::error::MachineError;
use crate::exact::Until;
use crate::journal::Journal;
use crate::lock;
use crate::machine::Machine;
use crate::sbi;
use crate::seat::State;

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
    /// When the guest reboots, the machine is reset and runs on. Under the host
    /// clock each of several harts runs on a thread of its own; a panic on one of
    /// them comes out here.
    ///
    /// # Errors
    /// [`MachineError`] if the guest cannot go on.
    pub fn run(&mut self) -> Result<Outcome, MachineError> {
        let outcome = if self.journal.is_some() {
            self.run_exact(Until::Stopped)?.unwrap_or(Outcome::Stopped)
        } else if self.time == Time::Host && self.harts.len() > 1 {
            self.run_threads()?
        } else {
            loop {
                if let Some(outcome) = self.round()? {
                    break outcome;
                }
            }
        };
        self.parts.out.flush();
        Ok(outcome)
    }

    /// Runs until about `instructions` instructions have been retired, by all
    /// harts together; `None` if they have, and nothing ended the run. The
    /// harts take turns.
    ///
    /// # Errors
    /// As [`Machine::run`].
    pub fn run_for(&mut self, instructions: u64) -> Result<Option<Outcome>, MachineError> {
        if self.journal.is_some() {
            let until = Until::Steps(self.steps().saturating_add(instructions));
            let outcome = self.run_exact(until)?;
            self.parts.out.flush();
            return Ok(outcome);
        }
        let end = self.retired().saturating_add(instructions);
        while self.retired() < end {
            if let Some(outcome) = self.round()? {
                self.parts.out.flush();
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    }

    /// Whether a hart has something to execute: it neither sleeps nor is stopped.
    pub fn is_awake(&self, index: usize) -> bool {
        self.seats[index].state() == State::Running
    }

    /// Does what others want done while the machine stands still ([`crate::Handle::errand`]).
    /// Whoever runs it need not call this; whoever has it stand still may.
    pub fn do_errands(&mut self) {
        while let Some(errand) = self.handle.take_errand() {
            errand(self);
        }
    }

    /// Every hart's turn, or a sleep.
    fn round(&mut self) -> Result<Option<Outcome>, MachineError> {
        self.do_errands();
        if self.handle.take_stop() {
            return Ok(Some(Outcome::Stopped));
        }
        // In this order: what was typed before is delivered.
        let closed = self.handle.is_closed();
        let deadline = match self.inputs()? {
            Ok(deadline) => deadline,
            Err(outcome) => return Ok(Some(outcome)),
        };
        let mut busy = false;
        for index in 0..self.harts.len() {
            self.seats[index].pins().take_kick();
            if self.seats[index].enter(&mut self.harts[index], false) {
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
            None if !busy => self.idle(deadline, closed)?,
            None => {}
        }
        Ok(None)
    }

    /// Lets in what comes from outside, and says until when nothing does by itself; or how
    /// the run ends here.
    pub(crate) fn inputs(&mut self) -> Result<Result<Option<u64>, Outcome>, MachineError> {
        let at = self.position();
        match &mut self.journal {
            None => Ok(Ok(poll(&self.parts, &self.handle).0)),
            Some(journal) => {
                let (parts, handle) = (&self.parts, &self.handle);
                let ended = journal.exchange(at, &mut self.harts, parts, handle)?;
                Ok(match ended {
                    Some(outcome) => Err(outcome),
                    None => Ok(timers(parts)),
                })
            }
        }
    }

    /// Runs a hart for a quantum, or until it has nothing to do.
    fn turn(&mut self, index: usize) -> Result<(), MachineError> {
        let mut left = self.quantum;
        while left > 0 {
            let hart = &mut self.harts[index];
            let seat = &self.seats[index];
            let before = hart.retired();
            let exit = hart.run(left);
            let ran = hart.retired().wrapping_sub(before);
            match exit {
                Exit::Quantum => {
                    if let Some(sample) = &self.sample {
                        sample.sample(hart);
                    }
                    return Ok(());
                }
                Exit::Pause | Exit::Trap(_) => return Ok(()),
                // Who asks for stops runs it otherwise.
                Exit::Debug(_) => hart.pass_breakpoint(),
                Exit::Wait => {
                    hart.tell(Class::Sleep, || What::Sleep);
                    seat.set_state(State::Waiting);
                    return Ok(());
                }
                Exit::SbiCall => {
                    sbi::call(hart, index, &self.seats, &self.parts);
                    if seat.state() != State::Running || self.parts.power.is_pending() {
                        return Ok(());
                    }
                    // A call is work too: a hart that does nothing but call
                    // must not keep the others waiting.
                    left = left.saturating_sub(ran + sbi::COST);
                }
                Exit::Lockup(trap) => return Err(lockup(hart, trap)),
            }
        }
        Ok(())
    }

    /// Nobody has anything to do: lets time pass until somebody may have.
    /// `closed`: nobody will type any more.
    pub(crate) fn idle(&mut self, deadline: Option<u64>, closed: bool) -> Result<(), MachineError> {
        let waiting = self.harts.iter().zip(&self.seats);
        let timers = waiting
            .filter(|(_, seat)| seat.state() != State::Stopped)
            .filter_map(|(hart, _)| hart.timer_deadline());
        let deadline = deadline.into_iter().chain(timers).min();
        if deadline.is_none()
            && let Some(journal) = &self.journal
        {
            journal.idle(self.position())?;
        }
        match (deadline, self.time) {
            (Some(tick), Time::Virtual { .. }) => {
                if self.is_live() {
                    let limit = span(self.parts.clock.now(), tick);
                    let start = Instant::now();
                    self.parts.bell.sleep(Some(limit));
                    if start.elapsed() < limit {
                        // Something came in, and it is as early as it was.
                        return Ok(());
                    }
                }
                self.parts.clock.skip_to(tick);
            }
            (Some(tick), Time::Host) => {
                let limit = span(self.parts.clock.now(), tick);
                self.parts.bell.sleep(Some(limit));
            }
            (None, _) if closed && !self.is_stirring() => {
                return Err(MachineError::WaitsForEver);
            }
            (None, _) => self.parts.bell.sleep(None),
        }
        Ok(())
    }

    /// Whether somebody sits in front of the machine, or is in its network, and sees what
    /// it does for the first time.
    fn is_live(&self) -> bool {
        let again = self.journal.as_ref().is_some_and(Journal::is_replay);
        let somebody = self.handle.is_paced() || !self.parts.networks.is_empty();
        somebody && !again && self.past_left() == 0
    }

    /// Whether something goes on, or happened since the deadline was looked up.
    pub(crate) fn is_stirring(&self) -> bool {
        // In this order: what went on may have ended in an interrupt.
        self.parts.activity.is_any()
            || self
                .harts
                .iter()
                .zip(&self.seats)
                .any(|(hart, seat)| seat.state() != State::Stopped && hart.interrupt_pending())
    }
}

/// Brings devices up to date with time and input. Returns the tick at which
/// that has to happen next, and whether no input is left.
pub(crate) fn poll(parts: &Parts, handle: &Handle) -> (Option<u64>, bool) {
    let delivered = handle.deliver(
        |bytes| lock(&parts.input).receive(bytes),
        || lock(&parts.uart).receive_break(),
    );
    (timers(parts), delivered)
}

/// Brings devices up to date with time: until when that is.
fn timers(parts: &Parts) -> Option<u64> {
    let aclint = parts.aclint.as_ref();
    let timer = aclint.and_then(|aclint| lock(aclint).poll());
    let alarm = lock(&parts.rtc).poll().map(|nanos| {
        let now = parts.clock.now();
        parts.wall.tick_of(nanos, now)
    });
    timer.into_iter().chain(alarm).min()
}

/// The report of a hart that traps for ever.
pub(crate) fn lockup(hart: &mut Hart, trap: Trap) -> MachineError {
    let vector = match hart.privilege() {
        Privilege::Machine => MTVEC,
        _ => STVEC,
    };
    MachineError::Lockup {
        hart: hart.hartid(),
        pc: hart.csr(vector).unwrap_or(0) & !3,
        cause: words(&format!("{:?}", trap.cause)),
        tval: trap.tval,
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
