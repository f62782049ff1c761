//! A guest process: what its threads have in common besides memory, files
//! and signal actions, which clone(2) can share in any combination.

use std::collections::BTreeMap;

use crate::signal::Pending;
use crate::thread::Tid;

/// A guest process.
pub(crate) struct Process {
    pub pid: Tid,
    pub parent: Tid,
    pub group: Tid,
    pub session: Tid,
    pub children: Vec<Tid>,
    /// Its living threads.
    pub threads: Vec<Tid>,
    /// Signals for any of its threads.
    pub pending: Pending,
    /// `wait` status, once it has no threads left.
    pub exit: Option<Exit>,
    /// What the parent is told by at exit; 0 for nothing.
    pub exit_signal: u32,
    /// A stop or continue that `wait` may report.
    pub stop_report: Option<u32>,
    /// `exec`ed file, as the guest names it.
    pub exe: Vec<u8>,
    pub cmdline: Vec<u8>,
    pub environ: Vec<u8>,
    pub auxv: Vec<u8>,
    /// `RLIMIT_*` that were set: soft and hard.
    pub rlimits: BTreeMap<u32, (u64, u64)>,
    pub credentials: Credentials,
    /// Instructions of threads and children that are gone.
    pub retired: u64,
    pub children_retired: u64,
    /// When it started, in monotonic time.
    pub started: std::time::Duration,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// exit(code).
    Code(u8),
    /// Killed by this signal.
    Signal(u32),
}

impl Exit {
    /// As wait(2) reports it.
    pub(crate) fn status(self) -> u32 {
        match self {
            Self::Code(code) => u32::from(code) << 8,
            Self::Signal(signal) => signal,
        }
    }
}

/// User and group ids: a box of its own, in which the guest starts as root.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    pub ruid: u32,
    pub euid: u32,
    pub suid: u32,
    pub rgid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub groups: Vec<u32>,
}
