//! Where a hart sits: what state it is in, and what other harts ask of it.
//!
//! A hart belongs to whoever runs it, its own thread or the one that runs all.
//! Others leave requests on its desk. It finds them there before it next
//! executes guest code ([`Seat::enter`]); if it is executing, it is kicked, and
//! leaves its run within a slice of it. So whoever needs a request carried out
//! before going on ([`Seat::granted`]) waits only for a hart that is *inside*,
//! which can be said under the desk's lock: it waits for microseconds if that
//! hart has a core of the host, and not at all for one that sleeps, waits for
//! others itself, or just takes its turn on the same thread. Whoever waits is
//! not inside, so that two that wait for each other do not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ruse_bus::HartPins;
use ruse_event::{Class, What};
use ruse_hart::Hart;
use serde::{Deserialize, Serialize};

use crate::bell::HartBell;
use crate::lock;

/// Fences that wait for a hart before they become one for everything.
const FENCES: usize = 16;
/// In place of a deadline: there is none.
const NEVER: u64 = u64::MAX;

/// What a hart is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// It executes.
    Running,
    /// It waits for an interrupt.
    Waiting,
    /// The SBI has it stopped.
    Stopped,
    /// The SBI has been asked to start it at this address with this argument.
    Starting {
        /// Address.
        pc: u64,
        /// Argument.
        opaque: u64,
    },
    /// The SBI has it suspended, and an interrupt resumes it: after the call,
    /// or at this address with this argument.
    Suspended {
        /// Address and argument.
        resume: Option<(u64, u64)>,
    },
}

/// A fence for another hart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    /// FENCE.I.
    Code,
    /// SFENCE.VMA for everything.
    All,
    /// SFENCE.VMA for one address space.
    Asid(u64),
    /// SFENCE.VMA for `size` bytes from `start`.
    Range {
        /// The first byte.
        start: u64,
        /// How many.
        size: u64,
    },
}

impl Fence {
    /// Executes the fence.
    pub(crate) fn apply(self, hart: &mut Hart) {
        match self {
            Self::Code => hart.sync_code(),
            Self::All => hart.flush_tlb(),
            Self::Asid(asid) => hart.flush_tlb_asid(asid),
            Self::Range { start, size } => hart.flush_tlb_range(start, size),
        }
    }
}

struct Desk {
    state: State,
    fences: Vec<Fence>,
    /// A supervisor software interrupt.
    ipi: bool,
    /// How many fences were ever asked for, and have been executed.
    asked: u64,
    granted: u64,
    /// Somebody waits for that.
    awaited: bool,
}

/// What tells one fence from the next.
pub(crate) struct Ticket(u64);

/// One hart's seat.
#[repr(align(128))]
pub(crate) struct Seat {
    desk: Mutex<Desk>,
    /// Told when fences were executed, or the hart went outside.
    granted: Condvar,
    /// Something new is on the desk.
    news: AtomicBool,
    /// The hart executes guest code. Written by its owner, under the lock.
    inside: AtomicBool,
    /// The hart's thread sleeps.
    resting: AtomicBool,
    /// How often it has gone to sleep.
    naps: AtomicU64,
    /// The tick at which it wakes by itself.
    deadline: AtomicU64,
    pins: Arc<HartPins>,
    bell: Arc<HartBell>,
}

impl Seat {
    pub(crate) fn new(pins: Arc<HartPins>, bell: Arc<HartBell>) -> Self {
        Self {
            desk: Mutex::new(Desk {
                state: State::Stopped,
                fences: Vec::new(),
                ipi: false,
                asked: 0,
                granted: 0,
                awaited: false,
            }),
            granted: Condvar::new(),
            news: AtomicBool::new(false),
            inside: AtomicBool::new(false),
            resting: AtomicBool::new(false),
            naps: AtomicU64::new(0),
            deadline: AtomicU64::new(NEVER),
            pins,
            bell,
        }
    }

    pub(crate) fn bell(&self) -> &HartBell {
        &self.bell
    }

    pub(crate) fn pins(&self) -> &HartPins {
        &self.pins
    }

    // What others do.

    pub(crate) fn state(&self) -> State {
        lock(&self.desk).state
    }

    /// Whether something is on the desk that the hart has not seen.
    pub(crate) fn has_news(&self) -> bool {
        self.news.load(Ordering::SeqCst)
    }

    /// Asks for a fence. `None`: it is not to be waited for, because the hart
    /// will execute it before anything else.
    pub(crate) fn ask(&self, fence: Fence) -> Option<Ticket> {
        let mut desk = lock(&self.desk);
        if matches!(desk.state, State::Stopped | State::Starting { .. }) {
            // It will know nothing when it starts.
            return None;
        }
        if desk.fences.len() >= FENCES {
            desk.fences.clear();
            desk.fences.extend([Fence::Code, Fence::All]);
        } else if desk.fences.last() != Some(&fence) {
            desk.fences.push(fence);
        }
        desk.asked += 1;
        self.news.store(true, Ordering::SeqCst);
        if !self.inside.load(Ordering::SeqCst) {
            return None;
        }
        desk.awaited = true;
        let ticket = Ticket(desk.asked);
        drop(desk);
        self.pins.kick();
        Some(ticket)
    }

    /// Waits until the hart has executed the fence, or is not inside.
    pub(crate) fn granted(&self, ticket: &Ticket) {
        let mut desk = lock(&self.desk);
        while desk.granted < ticket.0 && self.inside.load(Ordering::SeqCst) {
            desk.awaited = true;
            desk = self
                .granted
                .wait(desk)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Sends a supervisor software interrupt, unless the hart is stopped.
    pub(crate) fn interrupt(&self) {
        let mut desk = lock(&self.desk);
        if desk.state == State::Stopped {
            return;
        }
        desk.ipi = true;
        self.news.store(true, Ordering::SeqCst);
        drop(desk);
        self.pins.kick();
    }

    /// Starts the hart if it is stopped; whether it was.
    pub(crate) fn start(&self, pc: u64, opaque: u64) -> bool {
        let mut desk = lock(&self.desk);
        if desk.state != State::Stopped {
            return false;
        }
        desk.state = State::Starting { pc, opaque };
        desk.ipi = false;
        desk.fences.clear();
        self.news.store(true, Ordering::SeqCst);
        drop(desk);
        self.pins.kick();
        true
    }

    /// What there is of it in a snapshot: fences that wait are not, for a hart that is
    /// loaded knows nothing.
    pub(crate) fn save(&self) -> (State, bool) {
        let desk = lock(&self.desk);
        (desk.state, desk.ipi)
    }

    /// As [`Seat::save`] had it.
    pub(crate) fn load(&self, (state, ipi): (State, bool)) {
        self.reset(state);
        lock(&self.desk).ipi = ipi;
        self.news.store(true, Ordering::SeqCst);
    }

    // What the owner does.

    /// The hart executes nothing before it has a look at its desk, its state
    /// being this.
    pub(crate) fn set_state(&self, state: State) {
        let mut desk = lock(&self.desk);
        desk.state = state;
        self.inside.store(false, Ordering::SeqCst);
        self.tell(&mut desk);
    }

    /// Puts the desk in order for a hart that was reset.
    pub(crate) fn reset(&self, state: State) {
        let mut desk = lock(&self.desk);
        desk.state = state;
        desk.ipi = false;
        desk.fences.clear();
        desk.granted = desk.asked;
        self.news.store(false, Ordering::SeqCst);
    }

    /// Does what is asked for on the desk, and wakes the hart if an interrupt
    /// is to. Whether the hart has something to execute. `threaded`: it will do
    /// so beside other harts, and is inside from now on.
    pub(crate) fn enter(&self, hart: &mut Hart, threaded: bool) -> bool {
        if self.inside.load(Ordering::Relaxed) && !self.news.load(Ordering::SeqCst) {
            return true;
        }
        let mut desk = lock(&self.desk);
        self.news.store(false, Ordering::SeqCst);
        let hartid = hart.hartid();
        if let State::Starting { pc, opaque } = desk.state {
            hart.restart();
            hart.enter_supervisor(pc, hartid, opaque);
            desk.state = State::Running;
        }
        for fence in desk.fences.drain(..) {
            fence.apply(hart);
        }
        if std::mem::take(&mut desk.ipi) {
            hart.set_ssip(true);
        }
        match desk.state {
            State::Waiting | State::Suspended { .. } if !hart.interrupt_pending() => {}
            State::Waiting | State::Suspended { resume: None } => {
                hart.tell(Class::Sleep, || What::Wake);
                desk.state = State::Running;
            }
            State::Suspended {
                resume: Some((pc, opaque)),
            } => {
                hart.resume_supervisor(pc, hartid, opaque);
                desk.state = State::Running;
            }
            State::Running | State::Stopped | State::Starting { .. } => {}
        }
        let runs = desk.state == State::Running;
        if !runs {
            hart.settle();
        }
        desk.granted = desk.asked;
        self.inside.store(runs && threaded, Ordering::SeqCst);
        self.tell(&mut desk);
        runs
    }

    /// The hart executes nothing for a while.
    pub(crate) fn leave(&self) {
        if self.inside.load(Ordering::Relaxed) {
            let mut desk = lock(&self.desk);
            self.inside.store(false, Ordering::SeqCst);
            self.tell(&mut desk);
        }
    }

    fn tell(&self, desk: &mut Desk) {
        if std::mem::take(&mut desk.awaited) {
            self.granted.notify_all();
        }
    }

    /// Sleeps until the hart's bell rings, at most for `limit`, which is up at
    /// the tick `deadline`. Does `last` when others can see that it sleeps.
    pub(crate) fn rest(&self, deadline: Option<u64>, limit: Option<Duration>, last: impl FnOnce()) {
        self.leave();
        self.deadline
            .store(deadline.unwrap_or(NEVER), Ordering::SeqCst);
        self.naps.fetch_add(1, Ordering::SeqCst);
        self.resting.store(true, Ordering::SeqCst);
        last();
        self.bell.own().wait(limit);
        self.resting.store(false, Ordering::SeqCst);
    }

    /// The number of the nap that the hart is in, if it sleeps, nothing has
    /// rung for it, and it would not wake by itself.
    pub(crate) fn sound_asleep(&self) -> Option<u64> {
        // In this order: the hart counts the nap before it rests.
        let resting = self.resting.load(Ordering::SeqCst);
        let naps = self.naps.load(Ordering::SeqCst);
        let asleep =
            resting && self.deadline.load(Ordering::SeqCst) == NEVER && !self.bell.own().is_rung();
        asleep.then_some(naps)
    }
}
