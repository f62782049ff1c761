//! Signals (signal(7)).

use std::collections::VecDeque;

/// A set of signals: bit n-1 for signal n.
pub(crate) type SigSet = u64;

macro_rules! signals {
    ($( $name:ident = $number:literal, )*) => {
        $( #[allow(dead_code)] pub(crate) const $name: u32 = $number; )*
        /// The name, as strace prints it.
        pub(crate) fn name(signal: u32) -> Option<&'static str> {
            match signal {
                $( $number => Some(stringify!($name)), )*
                _ => None,
            }
        }
    };
}
signals! {
    SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGILL = 4, SIGTRAP = 5, SIGABRT = 6, SIGBUS = 7,
    SIGFPE = 8, SIGKILL = 9, SIGUSR1 = 10, SIGSEGV = 11, SIGUSR2 = 12, SIGPIPE = 13,
    SIGALRM = 14, SIGTERM = 15, SIGSTKFLT = 16, SIGCHLD = 17, SIGCONT = 18, SIGSTOP = 19,
    SIGTSTP = 20, SIGTTIN = 21, SIGTTOU = 22, SIGURG = 23, SIGXCPU = 24, SIGXFSZ = 25,
    SIGVTALRM = 26, SIGPROF = 27, SIGWINCH = 28, SIGIO = 29, SIGPWR = 30, SIGSYS = 31,
}

/// What the receiver learns about a signal (`siginfo_t`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct SigInfo {
    pub signal: u32,
    /// `si_code`.
    pub code: i32,
    /// `si_pid` and `si_uid`, or the two halves of `si_addr`.
    pub detail: Detail,
}

/// The part of `siginfo_t` that depends on the kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Detail {
    /// Sent by a process (`SI_USER`, `SI_TKILL`, `SI_QUEUE`), or a child's end.
    From { pid: u32, uid: u32, value: u64 },
    /// A fault at this address.
    Fault { address: u64 },
}

/// Signals that wait for delivery.
#[derive(Clone, Default, Debug)]
pub(crate) struct Pending {
    pub queue: VecDeque<SigInfo>,
}

/// `struct sigaction` (riscv64 has no restorer).
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Action {
    /// 0 default, 1 ignore, else the handler's address.
    pub handler: u64,
    pub flags: u64,
    pub mask: SigSet,
}

/// A process's signal actions, by signal number minus one.
#[derive(Clone)]
pub(crate) struct Actions(pub [Action; 64]);

impl Default for Actions {
    fn default() -> Self {
        Self([Action::default(); 64])
    }
}

use crate::kernel::Kernel;
use crate::thread::{Blocked, Thread, Tid};

/// Whether a signal is pending that `thread` would act on now.
pub(crate) fn due(_kernel: &Kernel, _thread: &Thread) -> bool {
    false
}

/// Delivers what is due to a thread that is about to run guest code.
pub(crate) fn deliver(_kernel: &mut Kernel, _tid: Tid) {}

/// A signal interrupts a blocked system call: it fails with EINTR, or starts
/// again after the handler (SA_RESTART). Registers are in the hart.
pub(crate) fn interrupt(_kernel: &mut Kernel, _tid: Tid, _blocked: Blocked) {}

/// A fault of the thread itself: cannot be blocked or ignored.
pub(crate) fn force(_kernel: &mut Kernel, _tid: Tid, _info: SigInfo) {}
