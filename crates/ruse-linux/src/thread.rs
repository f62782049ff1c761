//! A guest thread: what Linux calls a task.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ruse_hart::Registers;

use crate::fs::{Files, Place};
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
    /// Blocked signals.
    pub mask: SigSet,
    /// The mask to restore once a signal was delivered or none is due
    /// (sigsuspend, ppoll, pselect, epoll_pwait).
    pub saved_mask: Option<SigSet>,
    /// Signals for this thread alone.
    pub pending: Pending,
    pub alt_stack: AltStack,
    /// Where to write 0 and wake a futex at exit (`CLONE_CHILD_CLEARTID`).
    pub clear_child_tid: u64,
    /// `set_robust_list`: head and length.
    pub robust_list: (u64, u64),
    /// The thread whose vfork made this one, until exec or exit.
    pub vfork_parent: Option<Tid>,
    /// `comm`: at most 15 bytes.
    pub name: Vec<u8>,
    /// Instructions retired by it.
    pub retired: u64,
}

/// `sigaltstack`.
#[derive(Clone, Copy, Default)]
pub(crate) struct AltStack {
    pub base: u64,
    pub size: u64,
    pub flags: u32,
}

/// Whether a thread can run.
pub(crate) enum State {
    /// It runs or waits for its turn.
    Ready,
    /// In a system call that cannot be finished yet.
    Blocked(Blocked),
    /// By SIGSTOP and the like.
    Stopped,
    /// Gone; to be taken from the tables.
    Dead,
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
}
