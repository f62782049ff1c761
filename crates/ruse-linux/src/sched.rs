//! Whose turn it is, and when the next deadline is.
//!
//! Threads that just woke up come before those that used up their turn, so
//! that an answer over a pipe or a key stroke does not wait behind whoever
//! computes; but after one quantum of them one of the others gets its turn.
//! Nothing here grows with the number of threads that merely exist.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::thread::Tid;

/// Instructions of one turn while other threads are ready.
pub(crate) const QUANTUM: u64 = 200_000;
/// Instructions of one turn while there are none.
const ALONE: u64 = 2_000_000;
/// Instructions of the shortest turn.
const SHORTEST: u64 = 4_000;

/// What is to happen at a moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Due {
    /// A blocked system call of this thread gives up.
    Call(Tid),
    /// The `ITIMER_REAL` of this process.
    Interval(Tid),
    /// A timer of timer_create(2) of this process.
    Timer(Tid, i32),
}

/// The queues of the scheduler.
#[derive(Default)]
pub(crate) struct Scheduler {
    /// Used up their turn.
    ready: VecDeque<Tid>,
    /// Woke up.
    soon: VecDeque<Tid>,
    /// Instructions of those that woke up since one of the others had a turn.
    spent: u64,
    /// To be looked at: let go from a queue, or with a signal due.
    pub nudged: Vec<Tid>,
    /// Blocked in system calls that are tried again whenever the hub rings.
    pub waiting: Vec<Tid>,
    /// How often the hub had rung when they were tried last.
    pub seen: u64,
    deadlines: BTreeSet<(Duration, Due)>,
}

impl Scheduler {
    /// A thread is ready; `woke` if it was blocked before. It must not be in a
    /// queue yet ([`Thread::queued`](crate::thread::Thread)).
    pub(crate) fn push(&mut self, tid: Tid, woke: bool) {
        if woke {
            self.soon.push_back(tid);
        } else {
            self.ready.push_back(tid);
        }
    }

    /// Whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<Tid> {
        if self.spent < QUANTUM
            && let Some(tid) = self.soon.pop_front()
        {
            return Some(tid);
        }
        let tid = self.ready.pop_front().or_else(|| self.soon.pop_front());
        self.spent = 0;
        tid
    }

    /// A thread ran; `woke` as in [`push`](Self::push).
    pub(crate) fn ran(&mut self, instructions: u64) {
        self.spent = self.spent.saturating_add(instructions);
    }

    /// Whether only the running thread can run.
    pub(crate) fn is_empty(&self) -> bool {
        self.soon.is_empty() && self.ready.is_empty()
    }

    /// How many threads wait for their turn.
    pub(crate) fn len(&self) -> usize {
        self.soon.len() + self.ready.len()
    }

    /// Instructions of the turn that begins at `now`: it ends about when the
    /// next deadline is.
    pub(crate) fn quantum(&self, now: Duration) -> u64 {
        let most = if self.is_empty() { ALONE } else { QUANTUM };
        match self.next_deadline() {
            // An instruction takes about a nanosecond or two.
            Some(at) => {
                let left = at.saturating_sub(now).as_nanos();
                u64::try_from(left).map_or(most, |left| left.clamp(SHORTEST, most))
            }
            None => most,
        }
    }

    /// Something is to happen at `at`.
    pub(crate) fn at(&mut self, at: Duration, what: Due) {
        self.deadlines.insert((at, what));
    }

    /// It is not to happen any more.
    pub(crate) fn cancel(&mut self, at: Duration, what: Due) {
        self.deadlines.remove(&(at, what));
    }

    /// When the next thing is to happen.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Takes what is to have happened by `now`, one by one.
    pub(crate) fn expired(&mut self, now: Duration) -> Option<Due> {
        let &(at, what) = self.deadlines.first()?;
        if at > now {
            return None;
        }
        self.deadlines.remove(&(at, what));
        Some(what)
    }
}
