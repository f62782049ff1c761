//! A guest process: what its threads have in common besides memory, files
//! and signal actions, which clone(2) can share in any combination.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::signal::Pending;
use crate::thread::Tid;
use crate::timer::{Interval, Timers};

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
    /// It ends like this: set once its threads are to go; `wait` reports it
    /// once there are none left.
    pub exit: Option<Exit>,
    /// What its first thread gave to exit(2).
    pub leader_code: u8,
    /// Whether it has no threads left; shared with its pidfds.
    pub ended: Rc<Cell<bool>>,
    /// What the parent is told by at exit; 0 for nothing.
    pub exit_signal: u32,
    /// Stopped by this signal.
    pub stopped: Option<u32>,
    /// A stop or continue that `wait` may report.
    pub report: Option<Report>,
    /// Whether it execed since it was forked (setpgid looks).
    pub execed: bool,
    /// Whether orphans below it become its children
    /// (`PR_SET_CHILD_SUBREAPER`).
    pub subreaper: bool,
    /// `PR_SET_DUMPABLE`.
    pub dumpable: u32,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// `exec`ed file, as the guest names it.
    pub exe: Vec<u8>,
    pub cmdline: Vec<u8>,
    pub environ: Vec<u8>,
    pub auxv: Vec<u8>,
    /// `RLIMIT_*` that were set: soft and hard.
    pub rlimits: BTreeMap<u32, (u64, u64)>,
    pub credentials: Credentials,
    /// `ITIMER_REAL`, `ITIMER_VIRTUAL`, `ITIMER_PROF`.
    pub intervals: [Interval; 3],
    /// timer_create(2).
    pub timers: Timers,
    /// Instructions of threads that are gone.
    pub retired: u64,
    /// Instructions of children that were waited for, and theirs.
    pub children_retired: u64,
    /// Host time of threads that are gone.
    pub cpu: Duration,
    /// Host time of children that were waited for, and theirs.
    pub children_cpu: Duration,
    /// When it started, in monotonic time.
    pub started: Duration,
}

impl Process {
    /// A process of its own session, without threads. It is made known by
    /// [`Kernel::adopt`](crate::kernel::Kernel::adopt).
    pub(crate) fn new(pid: Tid, parent: Tid, started: Duration) -> Self {
        Self {
            pid,
            parent,
            group: pid,
            session: pid,
            children: Vec::new(),
            threads: Vec::new(),
            pending: Pending::default(),
            exit: None,
            leader_code: 0,
            ended: Rc::default(),
            exit_signal: crate::signal::SIGCHLD,
            stopped: None,
            report: None,
            execed: false,
            subreaper: false,
            dumpable: 1,
            no_new_privs: false,
            exe: Vec::new(),
            cmdline: Vec::new(),
            environ: Vec::new(),
            auxv: Vec::new(),
            rlimits: BTreeMap::new(),
            credentials: Credentials::default(),
            intervals: Default::default(),
            timers: Timers::default(),
            retired: 0,
            children_retired: 0,
            cpu: Duration::ZERO,
            children_cpu: Duration::ZERO,
            started,
        }
    }

    /// Soft and hard limit of a resource (`RLIMIT_*`).
    pub(crate) fn rlimit(&self, resource: u32) -> (u64, u64) {
        self.rlimits
            .get(&resource)
            .copied()
            .unwrap_or(match resource {
                rlimit::STACK => (8 << 20, rlimit::INFINITY),
                rlimit::CORE => (0, rlimit::INFINITY),
                rlimit::NPROC => (1 << 14, 1 << 14),
                rlimit::NOFILE => (1024, 1 << 16),
                rlimit::MEMLOCK => (8 << 20, 8 << 20),
                rlimit::SIGPENDING => (1 << 12, 1 << 12),
                rlimit::MSGQUEUE => (819_200, 819_200),
                rlimit::NICE | rlimit::RTPRIO => (0, 0),
                _ => (rlimit::INFINITY, rlimit::INFINITY),
            })
    }
}

/// `RLIMIT_*` of asm-generic.
#[allow(dead_code)]
pub(crate) mod rlimit {
    pub const CPU: u32 = 0;
    pub const FSIZE: u32 = 1;
    pub const DATA: u32 = 2;
    pub const STACK: u32 = 3;
    pub const CORE: u32 = 4;
    pub const RSS: u32 = 5;
    pub const NPROC: u32 = 6;
    pub const NOFILE: u32 = 7;
    pub const MEMLOCK: u32 = 8;
    pub const AS: u32 = 9;
    pub const LOCKS: u32 = 10;
    pub const SIGPENDING: u32 = 11;
    pub const MSGQUEUE: u32 = 12;
    pub const NICE: u32 = 13;
    pub const RTPRIO: u32 = 14;
    pub const RTTIME: u32 = 15;
    pub const COUNT: u32 = 16;
    pub const INFINITY: u64 = u64::MAX;
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

/// What a parent may learn of a child that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// Stopped by this signal.
    Stopped(u32),
    /// It goes on.
    Continued,
}

/// User and group ids: a box of its own, in which the guest starts as root.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub ruid: u32,
    pub euid: u32,
    pub suid: u32,
    pub rgid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub groups: Vec<u32>,
    /// Capabilities, which nothing looks at but capget(2).
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    /// `PR_CAPBSET_DROP`.
    pub bounding: u64,
    /// `PR_SET_KEEPCAPS`: who gives up user 0 keeps what is permitted.
    pub keep: bool,
}

/// All capabilities of Linux 6.
pub(crate) const CAPABILITIES: u64 = (1 << 41) - 1;

impl Default for Credentials {
    fn default() -> Self {
        Self {
            ruid: 0,
            euid: 0,
            suid: 0,
            rgid: 0,
            egid: 0,
            sgid: 0,
            groups: Vec::new(),
            effective: CAPABILITIES,
            permitted: CAPABILITIES,
            inheritable: 0,
            bounding: CAPABILITIES,
            keep: false,
        }
    }
}
