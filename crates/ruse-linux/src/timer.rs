//! Timers that send signals: setitimer(2), timer_create(2), `RLIMIT_CPU`.
//!
//! Those of real time stand in the scheduler's list of deadlines, those of
//! CPU time are looked at when a turn ends.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::kernel::Kernel;
use crate::process::rlimit;
use crate::sched::Due;
use crate::signal::{
    self, Detail, Pending, SIGALRM, SIGKILL, SIGPROF, SIGVTALRM, SIGXCPU, SigInfo, code,
};
use crate::thread::Tid;

/// A process has at most so many timers.
pub(crate) const MOST: usize = 1024;

/// A timer of setitimer(2).
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Interval {
    /// When it expires next: in monotonic time, or the process's CPU time.
    pub next: Option<Duration>,
    /// What it is set to again; zero if it is not.
    pub every: Duration,
}

/// What a timer counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Base {
    /// Monotonic time.
    Monotonic,
    /// Real time: as monotonic time plus what it was ahead when it was set.
    Real,
    /// CPU time of this process.
    Process(Tid),
    /// CPU time of this thread.
    Thread(Tid),
}

impl Base {
    fn is_cpu(self) -> bool {
        matches!(self, Self::Process(_) | Self::Thread(_))
    }
}

/// Who is told that a timer expired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Notify {
    /// `SIGEV_NONE`.
    Nobody,
    /// `SIGEV_SIGNAL`.
    Process(u32),
    /// `SIGEV_THREAD_ID`.
    Thread(u32, Tid),
}

/// A timer of timer_create(2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    pub base: Base,
    pub notify: Notify,
    /// `sigev_value`.
    pub value: u64,
    /// When it expires next: monotonic or CPU time.
    pub next: Option<Duration>,
    pub every: Duration,
    /// Expirations since the signal that is pending was sent.
    extra: i32,
    /// `extra` when the last signal was delivered.
    pub overrun: i32,
}

/// The timers of a process.
#[derive(Default, Debug)]
pub(crate) struct Timers {
    pub all: BTreeMap<i32, Timer>,
    next_id: i32,
}

impl Timers {
    /// A timer that is not set.
    pub(crate) fn add(&mut self, base: Base, notify: Notify, value: Option<u64>) -> Option<i32> {
        if self.all.len() >= MOST {
            return None;
        }
        while self.all.contains_key(&self.next_id) {
            self.next_id = self.next_id.wrapping_add(1) & i32::MAX;
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1) & i32::MAX;
        let timer = Timer {
            base,
            notify,
            value: value.unwrap_or(id as u64),
            next: None,
            every: Duration::ZERO,
            extra: 0,
            overrun: 0,
        };
        self.all.insert(id, timer);
        Some(id)
    }

    /// The signal of a timer is delivered: how often it expired since.
    pub(crate) fn delivered(&mut self, id: i32) -> i32 {
        let Some(timer) = self.all.get_mut(&id) else {
            return 0;
        };
        timer.overrun = std::mem::take(&mut timer.extra);
        timer.overrun
    }
}

/// Sets a timer of real time; `next` is zero to stop it.
pub(crate) fn set_interval(kernel: &mut Kernel, pid: Tid, which: usize, new: Interval) {
    let Some(process) = kernel.processes.get_mut(&pid) else {
        return;
    };
    let Some(slot) = process.intervals.get_mut(which) else {
        return;
    };
    let old = std::mem::replace(slot, new);
    if which == 0 {
        if let Some(at) = old.next {
            kernel.sched.cancel(at, Due::Interval(pid));
        }
        if let Some(at) = new.next {
            kernel.sched.at(at, Due::Interval(pid));
        }
    }
}

/// When a timer that expired at `at` expires again, and how many times it did
/// in between.
fn again(at: Duration, every: Duration, now: Duration) -> (Option<Duration>, i32) {
    if every.is_zero() {
        return (None, 0);
    }
    let missed = now.saturating_sub(at).as_nanos() / every.as_nanos();
    let missed = u32::try_from(missed).unwrap_or(i32::MAX as u32);
    let next = every
        .checked_mul(missed.saturating_add(1))
        .and_then(|d| at.checked_add(d));
    (next, i32::try_from(missed).unwrap_or(i32::MAX))
}

/// `ITIMER_REAL` expires.
pub(crate) fn interval_expired(kernel: &mut Kernel, pid: Tid, now: Duration) {
    let Some(process) = kernel.processes.get_mut(&pid) else {
        return;
    };
    let timer = &mut process.intervals[0];
    let Some(at) = timer.next else {
        return;
    };
    timer.next = again(at, timer.every, now).0;
    if let Some(at) = timer.next {
        kernel.sched.at(at, Due::Interval(pid));
    }
    signal::send(kernel, pid, SigInfo::kernel(SIGALRM));
}

/// A timer of timer_create(2) expires.
pub(crate) fn timer_expired(kernel: &mut Kernel, pid: Tid, id: i32, now: Duration) {
    let Some(process) = kernel.processes.get_mut(&pid) else {
        return;
    };
    let Some(timer) = process.timers.all.get_mut(&id) else {
        return;
    };
    let Some(at) = timer.next else {
        return;
    };
    let (next, missed) = again(at, timer.every, now);
    timer.next = next;
    let real = !timer.base.is_cpu();
    let (signal, thread) = match timer.notify {
        Notify::Nobody => (0, None),
        Notify::Process(signal) => (signal, None),
        Notify::Thread(signal, tid) => (signal, Some(tid)),
    };
    let queue = match thread {
        Some(tid) => kernel.threads.get(&tid).map(|thread| &thread.pending),
        None => Some(&process.pending),
    };
    let waits = queue.is_some_and(|pending| holds(pending, id));
    timer.extra = timer
        .extra
        .saturating_add(missed)
        .saturating_add(i32::from(waits));
    let info = SigInfo {
        signal,
        code: code::TIMER,
        detail: Detail::Timer {
            id,
            overrun: 0,
            value: timer.value,
        },
    };
    if real && let Some(at) = next {
        kernel.sched.at(at, Due::Timer(pid, id));
    }
    if signal != 0 && !waits {
        match thread {
            Some(tid) => signal::send_thread(kernel, tid, info),
            None => signal::send(kernel, pid, info),
        };
    }
}

/// Whether the signal of a timer is pending.
fn holds(pending: &Pending, timer: i32) -> bool {
    pending
        .queue
        .iter()
        .any(|info| matches!(info.detail, Detail::Timer { id, .. } if id == timer))
}

/// Sets a timer of timer_create(2) to expire at `next`.
pub(crate) fn set_timer(
    kernel: &mut Kernel,
    pid: Tid,
    id: i32,
    next: Option<Duration>,
    every: Duration,
) {
    let Some(process) = kernel.processes.get_mut(&pid) else {
        return;
    };
    let Some(timer) = process.timers.all.get_mut(&id) else {
        return;
    };
    let old = std::mem::replace(&mut timer.next, next);
    timer.every = every;
    timer.extra = 0;
    timer.overrun = 0;
    if !timer.base.is_cpu() {
        if let Some(at) = old {
            kernel.sched.cancel(at, Due::Timer(pid, id));
        }
        if let Some(at) = next {
            kernel.sched.at(at, Due::Timer(pid, id));
        }
    }
}

/// The timers of timer_create(2) of a process are gone (exec, exit).
pub(crate) fn forget(kernel: &mut Kernel, pid: Tid) {
    let Some(process) = kernel.processes.get_mut(&pid) else {
        return;
    };
    for (id, timer) in std::mem::take(&mut process.timers.all) {
        if let Some(at) = timer.next {
            kernel.sched.cancel(at, Due::Timer(pid, id));
        }
    }
}

/// A thread used host time: timers and limits of CPU time are looked at.
pub(crate) fn charge(kernel: &mut Kernel, tid: Tid, pid: Tid, spent: Duration) {
    let Some(process) = kernel.processes.get(&pid) else {
        return;
    };
    let limit = process.rlimits.get(&rlimit::CPU).copied();
    let watched = process.intervals[1].next.is_some()
        || process.intervals[2].next.is_some()
        || process.timers.all.values().any(|timer| timer.base.is_cpu());
    if !watched && limit.is_none() {
        return;
    }
    let process_now = kernel.process_cpu(pid);
    let thread_now = kernel.thread_cpu(tid);
    if let Some(process) = kernel.processes.get_mut(&pid) {
        let mut due = Vec::new();
        for (which, signal) in [(1, SIGVTALRM), (2, SIGPROF)] {
            let timer = &mut process.intervals[which];
            if let Some(at) = timer.next
                && at <= process_now
            {
                timer.next = again(at, timer.every, process_now).0;
                due.push(signal);
            }
        }
        let expired: Vec<(i32, Duration)> = process
            .timers
            .all
            .iter()
            .filter_map(|(&id, timer)| {
                let now = match timer.base {
                    Base::Process(_) => process_now,
                    Base::Thread(owner) if owner == tid => thread_now,
                    _ => return None,
                };
                timer.next.filter(|&at| at <= now).map(|_| (id, now))
            })
            .collect();
        for signal in due {
            signal::send(kernel, pid, SigInfo::kernel(signal));
        }
        for (id, now) in expired {
            timer_expired(kernel, pid, id, now);
        }
    }
    if let Some((soft, hard)) = limit {
        let before = process_now.saturating_sub(spent).as_secs();
        let after = process_now.as_secs();
        if after >= hard {
            signal::send(kernel, pid, SigInfo::kernel(SIGKILL));
        } else if after >= soft && before < after {
            signal::send(kernel, pid, SigInfo::kernel(SIGXCPU));
        }
    }
}
