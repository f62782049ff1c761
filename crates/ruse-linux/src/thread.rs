//! A guest thread: what Linux calls a task.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ruse_hart::Registers;

use crate::fs::{Files, Place};
use crate::futex::Key;
use crate::mm::Mm;
use crate::signal::{Actions, Pending, SigSet};

/// A thread id; a process has that of its first thread.
pub(crate) type Tid = u32;

/// A guest thread.
pub(crate) struct Thread {
    pub tid: Tid,
    /// Its process.
    pub pid: Tid,
    /// Valid while another thread's registers are in the hart ([`Mm::loaded`]).
    pub regs: Registers,
    pub mm: Rc<RefCell<Mm>>,
    pub files: Rc<RefCell<Files>>,
    pub place: Rc<RefCell<Place>>,
    pub actions: Rc<RefCell<Actions>>,
    pub state: State,
    /// It is in the queue of ready threads.
    pub queued: bool,
    /// It is in the list of threads to look at: woken, or with a signal due.
    pub nudged: bool,
    /// It is in the list of threads that are tried again when the hub rings.
    pub waiting: bool,
    /// Something is to be done before it runs guest code: a signal may be due,
    /// a mask is to be restored, the process is stopped.
    pub attention: bool,
    /// Blocked signals.
    pub mask: SigSet,
    /// The mask to restore once a signal was delivered or none is due
    /// (sigsuspend, ppoll, pselect, epoll_pwait).
    pub saved_mask: Option<SigSet>,
    /// Signals that sigtimedwait waits for, though they are blocked.
    pub sigwait: SigSet,
    /// Signals for this thread alone.
    pub pending: Pending,
    pub alt_stack: AltStack,
    /// Where to write 0 and wake a futex at exit (`CLONE_CHILD_CLEARTID`).
    pub clear_child_tid: u64,
    /// `set_robust_list`: head and length.
    pub robust_list: (u64, u64),
    /// The futex in whose queue it waits.
    pub futex: Option<Key>,
    /// The thread whose vfork made this one, until exec or exit.
    pub vfork_parent: Option<Tid>,
    /// `comm`: at most 15 bytes.
    pub name: Vec<u8>,
    /// Instructions retired by it.
    pub retired: u64,
    /// Host time that it was running for.
    pub cpu: Duration,
    /// The system call for strace, as far as it was printed.
    pub trace: Option<Box<crate::strace::Line>>,
    /// Policy and real-time priority: remembered, of no effect.
    pub policy: (u32, u32),
    /// Nice value: remembered, of no effect.
    pub nice: i32,
    /// `PR_SET_TIMERSLACK`, in nanoseconds.
    pub slack: u64,
    /// `PR_SET_PDEATHSIG`.
    pub death_signal: u32,
}

impl Thread {
    /// A thread with zero registers and no signal blocked or pending. It is
    /// made known by [`Kernel::adopt`](crate::kernel::Kernel::adopt).
    pub(crate) fn new(
        tid: Tid,
        pid: Tid,
        mm: Rc<RefCell<Mm>>,
        files: Rc<RefCell<Files>>,
        place: Rc<RefCell<Place>>,
    ) -> Self {
        Self {
            tid,
            pid,
            regs: Registers {
                x: [0; 32],
                f: [0; 32],
                pc: 0,
                fcsr: 0,
            },
            mm,
            files,
            place,
            actions: Rc::default(),
            state: State::Ready,
            queued: false,
            nudged: false,
            waiting: false,
            attention: false,
            mask: 0,
            saved_mask: None,
            sigwait: 0,
            pending: Pending::default(),
            alt_stack: AltStack::default(),
            clear_child_tid: 0,
            robust_list: (0, 0),
            futex: None,
            vfork_parent: None,
            name: Vec::new(),
            retired: 0,
            cpu: Duration::ZERO,
            trace: None,
            policy: (0, 0),
            nice: 0,
            slack: 50_000,
            death_signal: 0,
        }
    }

    /// Whether it is in a system call that waits.
    pub(crate) fn blocked(&self) -> Option<&Blocked> {
        match &self.state {
            State::Blocked(blocked) => Some(blocked),
            State::Ready => None,
        }
    }
}

/// `sigaltstack`; of size 0 if there is none.
#[derive(Clone, Copy, Default)]
pub(crate) struct AltStack {
    pub base: u64,
    pub size: u64,
    pub flags: u32,
}

/// Whether a thread can run. A stopped process is stopped besides
/// ([`Process::stopped`](crate::process::Process)).
pub(crate) enum State {
    /// It runs or waits for its turn.
    Ready,
    /// In a system call that cannot be finished yet.
    Blocked(Blocked),
}

/// A system call that waits. It is tried again, from its start, when
/// something happened that may let it finish.
pub(crate) struct Blocked {
    pub number: u64,
    pub args: [u64; 6],
    pub wait: Wait,
    /// [`Hub::events`](crate::wait::Hub::events) when it was last tried.
    pub seen: u64,
    /// A futex or another queue let it go: it finishes with this.
    pub woken: bool,
}

/// What a blocked system call waits for.
#[derive(Default)]
pub(crate) struct Wait {
    /// When it gives up, in [`Host::monotonic`](crate::Host::monotonic) time.
    /// A call that is tried again finds the deadline of its first try here.
    pub deadline: Option<Duration>,
    /// What it has done already (bytes of a long write): the next try goes on
    /// from there, and a signal ends it with this result, if it is not 0,
    /// instead of EINTR.
    pub done: u64,
    /// Only being woken, a deadline or a signal ends it: trying again is
    /// useless (futexes).
    pub queued: bool,
    /// A signal ends it with EINTR even under SA_RESTART (poll, sleep, ...).
    pub no_restart: bool,
    /// Only a signal that kills ends it (vfork).
    pub killable: bool,
    /// Where to write, as a `struct timespec`, what was left until the
    /// deadline when a signal ended it; 0 for nowhere.
    pub remain: u64,
}
