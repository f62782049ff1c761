//! File locks: flock(2), fcntl(2) with `F_SETLK` (of a process) and
//! `F_OFD_SETLK` (of an open file description). They are between guests of
//! the box; the host's locks are not touched.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use super::Description;
use crate::kernel::Kernel;
use crate::thread::Tid;

/// Who holds a lock.
#[derive(Clone)]
pub(crate) enum Owner {
    /// A process, whatever descriptor it used.
    Process(Tid),
    /// An open file description: gone when that is closed.
    Description(Weak<Description>),
}

impl Owner {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Process(a), Self::Process(b)) => a == b,
            (Self::Description(a), Self::Description(b)) => Weak::ptr_eq(a, b),
            _ => false,
        }
    }

    fn alive(&self, kernel: &Kernel) -> bool {
        match self {
            Self::Process(pid) => kernel
                .processes
                .get(pid)
                .is_some_and(|process| !process.threads.is_empty()),
            Self::Description(file) => file.strong_count() > 0,
        }
    }
}

/// A lock on bytes `start..end`.
#[derive(Clone)]
pub(crate) struct Lock {
    pub owner: Owner,
    pub exclusive: bool,
    pub start: u64,
    pub end: u64,
}

impl Lock {
    fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// Device and inode number, and whether it is flock's kind, which is apart.
type Key = (u64, u64, bool);

/// All locks of the box.
#[derive(Default)]
pub(crate) struct Locks {
    files: RefCell<HashMap<Key, Vec<Lock>>>,
}

impl Locks {
    /// A lock of another owner that stands in the way.
    pub(crate) fn conflict(&self, kernel: &Kernel, key: Key, wanted: &Lock) -> Option<Lock> {
        let mut files = self.files.borrow_mut();
        let locks = files.get_mut(&key)?;
        locks.retain(|lock| lock.owner.alive(kernel));
        locks
            .iter()
            .filter(|lock| lock.overlaps(wanted) && (lock.exclusive || wanted.exclusive))
            .find(|lock| !lock.owner.same(&wanted.owner))
            .cloned()
    }

    /// Replaces what the owner has of the range by `wanted`, which nothing
    /// stands in the way of; with `unlock`, by nothing.
    pub(crate) fn set(&self, key: Key, wanted: Lock, unlock: bool) {
        let mut files = self.files.borrow_mut();
        let locks = files.entry(key).or_default();
        let mut kept = Vec::with_capacity(locks.len() + 2);
        let mut merged = wanted.clone();
        for lock in locks.drain(..) {
            let touches = lock.start <= merged.end && merged.start <= lock.end;
            if !lock.owner.same(&wanted.owner) || !touches {
                kept.push(lock);
                continue;
            }
            if !unlock && lock.exclusive == wanted.exclusive {
                merged.start = merged.start.min(lock.start);
                merged.end = merged.end.max(lock.end);
                continue;
            }
            // What is left of the old one on both sides.
            if lock.start < wanted.start {
                kept.push(Lock {
                    end: lock.end.min(wanted.start),
                    ..lock.clone()
                });
            }
            if lock.end > wanted.end {
                kept.push(Lock {
                    start: lock.start.max(wanted.end),
                    ..lock
                });
            }
        }
        if !unlock {
            kept.push(merged);
        }
        if kept.is_empty() {
            files.remove(&key);
        } else {
            files.insert(key, kept);
        }
    }

    /// Whether there are locks at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.borrow().is_empty()
    }

    /// A process closed a descriptor of this file: its locks on it are gone
    /// (POSIX). Says whether it had any.
    pub(crate) fn release_process(&self, pid: Tid, dev: u64, ino: u64) -> bool {
        let mut files = self.files.borrow_mut();
        let Some(locks) = files.get_mut(&(dev, ino, false)) else {
            return false;
        };
        let before = locks.len();
        locks.retain(|lock| !matches!(lock.owner, Owner::Process(owner) if owner == pid));
        let had = locks.len() < before;
        if locks.is_empty() {
            files.remove(&(dev, ino, false));
        }
        had
    }

    /// An open file description as an owner.
    pub(crate) fn description(file: &Rc<Description>) -> Owner {
        Owner::Description(Rc::downgrade(file))
    }
}
