//! Signals (signal(7)): what they are, and how they are sent.
//!
//! `deliver` decides what a pending signal does to its thread, `frame` lays
//! out what a handler finds on its stack.

mod deliver;
mod frame;
mod send;

pub(crate) use deliver::deliver;
pub(crate) use frame::{SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, sigreturn};
pub(crate) use send::{
    force, forget_pending, ignored, pending, retarget, send, send_group, send_thread, set_mask,
    take, temporary_mask,
};

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
/// The first real-time signal: from here on signals queue.
pub(crate) const SIGRTMIN: u32 = 32;
/// The last signal.
pub(crate) const SIGMAX: u32 = 64;

/// The set of one signal.
pub(crate) const fn bit(signal: u32) -> SigSet {
    1 << ((signal.wrapping_sub(1)) & 63)
}

/// Cannot be blocked, ignored or caught.
pub(crate) const UNBLOCKABLE: SigSet = bit(SIGKILL) | bit(SIGSTOP);
/// Those whose default is to stop the process.
const STOPS: SigSet = bit(SIGSTOP) | bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);
/// Those whose default is to do nothing.
const QUIET: SigSet = bit(SIGCHLD) | bit(SIGURG) | bit(SIGWINCH) | bit(SIGCONT);
/// Faults come before other signals.
const FAULTS: SigSet =
    bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGTRAP) | bit(SIGFPE) | bit(SIGSYS);

/// `si_code` of signals that are not faults.
pub(crate) mod code {
    pub const USER: i32 = 0;
    pub const KERNEL: i32 = 0x80;
    pub const TIMER: i32 = -2;
    pub const TKILL: i32 = -6;
    pub const CLD_EXITED: i32 = 1;
    pub const CLD_KILLED: i32 = 2;
    pub const CLD_STOPPED: i32 = 5;
    pub const CLD_CONTINUED: i32 = 6;
}

/// What the receiver learns about a signal (`siginfo_t`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct SigInfo {
    pub signal: u32,
    /// `si_code`.
    pub code: i32,
    /// What else, by kind.
    pub detail: Detail,
}

/// The part of `siginfo_t` that depends on the kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Detail {
    /// Sent by a process (`SI_USER`, `SI_TKILL`, `SI_QUEUE`).
    From { pid: u32, uid: u32, value: u64 },
    /// A fault at this address.
    Fault { address: u64 },
    /// A child changed its state; times in clock ticks.
    Child {
        pid: u32,
        uid: u32,
        status: u32,
        user: u64,
        system: u64,
    },
    /// A timer of timer_create(2).
    Timer { id: i32, overrun: i32, value: u64 },
    /// A file became ready (`SIGIO`).
    #[allow(dead_code)]
    Poll { band: u64, fd: i32 },
    /// As rt_sigqueueinfo(2) was given it, from byte 16 on.
    Raw([u8; 24]),
}

impl SigInfo {
    /// From the kernel itself.
    pub(crate) fn kernel(signal: u32) -> Self {
        Self {
            signal,
            code: code::KERNEL,
            detail: Detail::From {
                pid: 0,
                uid: 0,
                value: 0,
            },
        }
    }

    /// As kill(2) sends it.
    pub(crate) fn user(signal: u32, pid: u32, uid: u32) -> Self {
        Self {
            signal,
            code: code::USER,
            detail: Detail::From { pid, uid, value: 0 },
        }
    }

    /// A fault at `address`.
    pub(crate) fn fault(signal: u32, code: i32, address: u64) -> Self {
        Self {
            signal,
            code,
            detail: Detail::Fault { address },
        }
    }

    /// As `siginfo_t` of asm-generic.
    pub(crate) fn encode(&self) -> [u8; 128] {
        let mut out = [0; 128];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.signal.to_le_bytes());
        put(8, &self.code.to_le_bytes());
        match self.detail {
            Detail::From { pid, uid, value } => {
                put(16, &pid.to_le_bytes());
                put(20, &uid.to_le_bytes());
                put(24, &value.to_le_bytes());
            }
            Detail::Fault { address } => put(16, &address.to_le_bytes()),
            Detail::Child {
                pid,
                uid,
                status,
                user,
                system,
            } => {
                put(16, &pid.to_le_bytes());
                put(20, &uid.to_le_bytes());
                put(24, &status.to_le_bytes());
                put(32, &user.to_le_bytes());
                put(40, &system.to_le_bytes());
            }
            Detail::Timer { id, overrun, value } => {
                put(16, &id.to_le_bytes());
                put(20, &overrun.to_le_bytes());
                put(24, &value.to_le_bytes());
            }
            Detail::Poll { band, fd } => {
                put(16, &band.to_le_bytes());
                put(24, &fd.to_le_bytes());
            }
            Detail::Raw(bytes) => put(16, &bytes),
        }
        out
    }
}

/// Signals that wait for delivery.
#[derive(Clone, Default, Debug)]
pub(crate) struct Pending {
    pub queue: VecDeque<SigInfo>,
    /// Those in the queue.
    pub set: SigSet,
}

impl Pending {
    /// Takes the first one in `from`: faults first, then by number.
    fn take(&mut self, from: SigSet) -> Option<SigInfo> {
        let due = self.set & from;
        if due == 0 {
            return None;
        }
        let urgent = if due & FAULTS != 0 { due & FAULTS } else { due };
        let signal = urgent.trailing_zeros() + 1;
        let at = self.queue.iter().position(|info| info.signal == signal)?;
        let info = self.queue.remove(at);
        if !self.queue.iter().any(|info| info.signal == signal) {
            self.set &= !bit(signal);
        }
        info
    }

    fn drop_all(&mut self, which: SigSet) {
        if self.set & which != 0 {
            self.queue.retain(|info| bit(info.signal) & which == 0);
            self.set &= !which;
        }
    }

    /// A signal that is not real-time waits at most once, but for those of
    /// timers, which themselves see to it.
    fn push(&mut self, info: SigInfo) {
        let queues = info.signal >= SIGRTMIN || matches!(info.detail, Detail::Timer { .. });
        if queues || self.set & bit(info.signal) == 0 {
            self.queue.push_back(info);
            self.set |= bit(info.signal);
        }
    }
}

/// `struct sigaction` (riscv64 has no restorer).
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Action {
    /// 0 default, 1 ignore, else the handler's address.
    pub handler: u64,
    pub flags: u64,
    pub mask: SigSet,
}

/// `SIG_DFL`.
pub(crate) const DEFAULT: u64 = 0;
/// `SIG_IGN`.
pub(crate) const IGNORE: u64 = 1;
/// `SA_*` of asm-generic.
pub(crate) mod sa {
    pub const NOCLDSTOP: u64 = 1;
    pub const NOCLDWAIT: u64 = 2;
    pub const ONSTACK: u64 = 0x0800_0000;
    pub const RESTART: u64 = 0x1000_0000;
    pub const NODEFER: u64 = 0x4000_0000;
    pub const RESETHAND: u64 = 0x8000_0000;
}

/// A process's signal actions, by signal number minus one.
#[derive(Clone)]
pub(crate) struct Actions(pub [Action; 64]);

impl Default for Actions {
    fn default() -> Self {
        Self([Action::default(); 64])
    }
}

impl Actions {
    /// That of `signal`, a number from 1 to 64.
    pub(crate) fn of(&self, signal: u32) -> Action {
        self.0
            .get((signal.wrapping_sub(1)) as usize)
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn set(&mut self, signal: u32, action: Action) {
        if let Some(slot) = self.0.get_mut((signal.wrapping_sub(1)) as usize) {
            *slot = action;
        }
    }

    /// execve(2): handlers are gone, ignored signals stay so.
    pub(crate) fn forget_handlers(&mut self) {
        for action in &mut self.0 {
            *action = Action {
                handler: if action.handler == IGNORE {
                    IGNORE
                } else {
                    DEFAULT
                },
                ..Action::default()
            };
        }
    }
}
