//! The run loop of several harts under the host clock: a thread for each, and
//! the calling thread for the devices.
//!
//! A hart's thread looks at its desk ([`crate::seat`]), runs the hart for a
//! quantum, and does what that ended for. When the hart has nothing to execute
//! the thread sleeps on the hart's own bell, which rings when a pin rises or
//! something comes onto the desk, or until the hart's own timer. The bell is
//! cleared before the last look at what it may have rung for, so that no ring
//! is lost. No thread ever waits for another by spinning.
//!
//! The calling thread delivers input, passes on output, and polls the devices
//! that time passes for; it sleeps on the machine's bell. It also ends the run:
//! all threads are told to, and the scope waits for them, so that everything
//! after, a reset included, happens on one thread.
//!
//! *Nobody will ever wake* is hard to tell from outside. A hart counts its naps.
//! The calling thread looks at all of them twice: if each was asleep both times,
//! in the same nap, without a deadline, and its bell had not rung, then between
//! the looks all slept and nobody rang. There it polls the devices, to which
//! nobody can have given anything to do since.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ruse_bus::Wake;
use ruse_devices::Power;
use ruse_event::{Class, What};
use ruse_hart::{Exit, Hart};

use crate::board::Parts;
use crate::clock::span;
use crate::config::Sample;
use crate::console::Handle;
use crate::error::MachineError;
use crate::lock;
use crate::machine::Machine;
use crate::run::{Outcome, lockup, poll};
use crate::sbi;
use crate::seat::{Seat, State};

/// How long output that follows other output may be kept back. What comes after
/// a pause, such as an echo, is passed on at once.
const OUTPUT_GAP: Duration = Duration::from_millis(2);
/// How often input that a device has no room for is offered again.
const INPUT_GAP: Duration = Duration::from_millis(5);

/// How often in a row a guest may PAUSE before its thread yields.
const PAUSES: u32 = 32;
/// The machine software interrupt's pin.
const MSIP: u64 = 1 << 3;

/// What a hart that has used its turn should do with the host's core. Where
/// there are more harts than cores, the one that it waits for may not have one,
/// and the host's time slices are a hundred times longer than a turn.
enum Patience {
    /// Keep it.
    Works,
    /// Keep it for a while.
    Spins,
    /// Give it away.
    WaitsForHart,
}

/// Why a run ended.
enum End {
    /// Somebody asked for it.
    Stopped,
    /// The guest did something to its power supply.
    Power,
    /// Something is to be done while all stand still.
    Errand,
}

/// What the threads of a run share.
struct Stage<'a> {
    seats: &'a [Seat],
    parts: &'a Parts,
    handle: &'a Handle,
    quantum: u64,
    sample: Option<&'a dyn Sample>,
    /// Every thread is to end.
    over: AtomicBool,
    error: Mutex<Option<MachineError>>,
}

impl Machine {
    /// [`Machine::run`], with a thread for each hart.
    pub(crate) fn run_threads(&mut self) -> Result<Outcome, MachineError> {
        loop {
            match self.perform()? {
                End::Stopped => return Ok(Outcome::Stopped),
                End::Errand => {
                    self.do_errands();
                    if self.handle.take_stop() {
                        return Ok(Outcome::Stopped);
                    }
                }
                End::Power => match self.parts.power.take() {
                    Some(Power::Off { code }) => return Ok(Outcome::Off { code }),
                    Some(Power::Reboot) => self.reset()?,
                    None => {}
                },
            }
        }
    }

    /// Runs the harts until they have to be stopped.
    fn perform(&mut self) -> Result<End, MachineError> {
        let stage = Stage {
            seats: &self.seats,
            parts: &self.parts,
            handle: &self.handle,
            quantum: self.quantum,
            sample: self.sample.as_deref(),
            over: AtomicBool::new(false),
            error: Mutex::new(None),
        };
        let stage = &stage;
        let _bells = Bells::new(stage.seats);
        let end = std::thread::scope(|scope| {
            // Even if this thread panics, the others end.
            let _curtain = Curtain(stage);
            for (index, hart) in self.harts.iter_mut().enumerate() {
                std::thread::Builder::new()
                    .name(format!("hart {index}"))
                    .spawn_scoped(scope, move || stage.act(hart, index))
                    .map_err(MachineError::Thread)?;
            }
            stage.direct()
        });
        match lock(&stage.error).take() {
            Some(error) => Err(error),
            None => end,
        }
    }
}

/// The pins of the harts ring their own bells while this lives.
struct Bells<'a>(&'a [Seat]);

impl<'a> Bells<'a> {
    fn new(seats: &'a [Seat]) -> Self {
        for seat in seats {
            seat.bell().set_threaded(true);
        }
        Self(seats)
    }
}

impl Drop for Bells<'_> {
    fn drop(&mut self) {
        for seat in self.0 {
            seat.bell().set_threaded(false);
        }
    }
}

/// Ends the run for all when one thread leaves.
struct Curtain<'a>(&'a Stage<'a>);

impl Drop for Curtain<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Stage<'_> {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Has all threads end.
    fn end(&self) {
        if self.over.swap(true, Ordering::SeqCst) {
            return;
        }
        for seat in self.seats {
            seat.pins().kick();
        }
        self.parts.bell.wake();
    }

    /// The part of a hart's thread.
    fn act(&self, hart: &mut Hart, index: usize) {
        // Also if it panics: then the scope passes the panic on.
        let _curtain = Curtain(self);
        let seat = &self.seats[index];
        let _left = Left(seat);
        let mut cleared = false;
        let mut pauses = 0;
        while !self.is_over() {
            // Before the look at what it was for.
            seat.pins().take_kick();
            // A guest that has asked for the power to go gets no further.
            let may = !self.parts.power.is_pending();
            if may && seat.enter(hart, true) {
                cleared = false;
                pauses = match self.turn(hart, index) {
                    Patience::Spins if pauses < PAUSES => pauses + 1,
                    Patience::Spins | Patience::WaitsForHart => {
                        std::thread::yield_now();
                        0
                    }
                    Patience::Works => 0,
                };
            } else if cleared {
                self.rest(hart, seat);
                cleared = false;
            } else {
                seat.bell().own().clear();
                cleared = true;
            }
        }
    }

    /// Runs a hart for a quantum, or until it has nothing to do.
    fn turn(&self, hart: &mut Hart, index: usize) -> Patience {
        let exit = hart.run(self.quantum);
        if exit == Exit::Quantum
            && let Some(sample) = self.sample
        {
            sample.sample(hart);
        }
        match exit {
            // Firmware spins until another hart has done what it was sent a
            // machine software interrupt for.
            Exit::Quantum if self.is_deaf(index) => return Patience::WaitsForHart,
            Exit::Pause => return Patience::Spins,
            Exit::Quantum | Exit::Trap(_) => {}
            // Who asks for stops runs it otherwise.
            Exit::Debug(_) => hart.pass_breakpoint(),
            Exit::Wait => {
                hart.tell(Class::Sleep, || What::Sleep);
                self.seats[index].set_state(State::Waiting);
            }
            Exit::SbiCall => sbi::call(hart, index, self.seats, self.parts),
            Exit::Lockup(trap) => {
                lock(&self.error).get_or_insert(lockup(hart, trap));
                self.end();
            }
        }
        Patience::Works
    }

    /// Whether another hart has not come to take a machine software interrupt.
    fn is_deaf(&self, index: usize) -> bool {
        let mut others = self.seats.iter().enumerate();
        others.any(|(n, seat)| n != index && seat.pins().levels() & MSIP != 0)
    }

    /// Sleeps until the hart may have something to do.
    fn rest(&self, hart: &Hart, seat: &Seat) {
        let timer = match seat.state() {
            State::Stopped => None,
            _ => hart.timer_deadline(),
        };
        let limit = timer.map(|tick| span(self.parts.clock.now(), tick));
        seat.rest(timer, limit, || {
            // Is this the last one to fall asleep?
            if timer.is_none() && self.sound_asleep().is_some() {
                self.parts.bell.wake();
            }
        });
    }

    /// The naps of all harts, if all sleep and none would wake by itself.
    fn sound_asleep(&self) -> Option<Vec<u64>> {
        self.seats.iter().map(Seat::sound_asleep).collect()
    }

    /// The part of the calling thread.
    fn direct(&self) -> Result<End, MachineError> {
        let mut flushed: Option<Instant> = None;
        loop {
            if self.handle.take_stop() {
                return Ok(End::Stopped);
            }
            if self.parts.power.is_pending() {
                return Ok(End::Power);
            }
            if self.handle.has_errand() {
                return Ok(End::Errand);
            }
            if self.is_over() {
                // A hart cannot go on, which the caller reports, or a thread
                // panicked, which the scope does.
                return Ok(End::Stopped);
            }
            let closed = self.handle.is_closed();
            let asleep = self.sound_asleep();
            let (deadline, delivered) = poll(self.parts, self.handle);
            let mut limit = deadline.map(|tick| span(self.parts.clock.now(), tick));
            let mut at_most = |gap: Duration| limit = Some(limit.map_or(gap, |old| old.min(gap)));
            if !delivered {
                at_most(INPUT_GAP);
            }
            if self.parts.out.is_waiting() {
                match flushed.map(|at| OUTPUT_GAP.saturating_sub(at.elapsed())) {
                    Some(gap) if !gap.is_zero() => at_most(gap),
                    _ => {
                        self.parts.out.flush();
                        flushed = Some(Instant::now());
                    }
                }
            }
            // In this order: what went on may have ended in an interrupt.
            if closed
                && asleep.is_some()
                && deadline.is_none()
                && !self.parts.activity.is_any()
                && self.sound_asleep() == asleep
            {
                return Err(MachineError::WaitsForEver);
            }
            self.parts.bell.sleep(limit);
        }
    }
}

/// Nobody waits for a hart whose thread has ended.
struct Left<'a>(&'a Seat);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}
