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
    /// Whether the thread whose turn it is woke up.
    woke: bool,
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
        self.woke = self.spent < QUANTUM || self.ready.is_empty();
        if self.woke
            && let Some(tid) = self.soon.pop_front()
        {
            return Some(tid);
        }
        self.woke = false;
        self.spent = 0;
        self.ready.pop_front()
    }

    /// The thread whose turn it is ran.
    pub(crate) fn ran(&mut self, instructions: u64) {
        if self.woke {
            self.spent = self.spent.saturating_add(instructions);
        }
    }

    /// Whether only the running thread can run.
    pub(crate) fn is_empty(&self) -> bool {
        self.soon.is_empty() && self.ready.is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_wake_come_first_but_do_not_starve_others() {
        let mut sched = Scheduler::default();
        sched.push(1, false);
        sched.push(2, true);
        let mut turns = [0_u64; 3];
        for _ in 0..100 {
            let tid = sched.pop().unwrap();
            turns[tid as usize] += 1;
            // Both would run for ever; 2 sleeps a moment every half quantum.
            sched.ran(if tid == 1 { QUANTUM } else { QUANTUM / 2 });
            sched.push(tid, tid == 2);
        }
        assert!(turns[1] >= 30 && turns[2] >= 60, "{turns:?}");
    }

    #[test]
    fn a_thread_that_wakes_is_next_after_one_turn() {
        let mut sched = Scheduler::default();
        for tid in 1..=4 {
            sched.push(tid, false);
        }
        for _ in 0..10 {
            let tid = sched.pop().unwrap();
            sched.ran(QUANTUM);
            sched.push(tid, false);
            sched.push(9, true);
            assert_eq!(sched.pop(), Some(9));
            sched.ran(100);
        }
    }

    #[test]
    fn turns_are_not_longer_than_until_the_next_deadline() {
        let mut sched = Scheduler::default();
        let now = Duration::from_secs(5);
        assert_eq!(sched.quantum(now), ALONE);
        sched.at(now + Duration::from_micros(50), Due::Call(7));
        assert_eq!(sched.quantum(now), 50_000);
        assert_eq!(sched.expired(now), None);
        sched.cancel(now + Duration::from_micros(50), Due::Call(7));
        sched.at(now, Due::Interval(7));
        assert_eq!(sched.quantum(now), SHORTEST);
        assert_eq!(sched.expired(now), Some(Due::Interval(7)));
        assert_eq!(sched.expired(now), None);
    }
}
