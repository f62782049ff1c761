//! Open files on their way from one process to another (`SCM_RIGHTS`,
//! unix(7)).
//!
//! A socket may be in its own queue, or two in each other's, so that nobody
//! can ever receive them: [`InFlight::collect`] finds and closes those. And a
//! chain of sockets, each in the queue of the next, is closed link by link,
//! not by recursion.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};

use super::channel::Channel;
use crate::errno::Errno;
use crate::fs::Description;

/// The most files that may be on their way in a box.
const MOST: usize = 16384;
/// The most of one message (`SCM_MAX_FD`).
pub(crate) const RIGHTS_MAX: usize = 253;

/// All files that are on their way in a box.
#[derive(Default)]
pub(crate) struct InFlight {
    count: Cell<usize>,
    /// Queues that hold files, or did.
    queues: RefCell<Vec<Weak<Channel>>>,
    /// When there are this many, loops are looked for.
    threshold: Cell<usize>,
    /// Files to be closed, while others are.
    trash: RefCell<Vec<Rc<Description>>>,
    emptying: Cell<bool>,
}

/// Files in a message.
pub(crate) struct Rights {
    files: Vec<Rc<Description>>,
    all: Rc<InFlight>,
}

impl InFlight {
    /// Sends files on their way.
    pub(crate) fn send(self: &Rc<Self>, files: Vec<Rc<Description>>) -> Result<Rights, Errno> {
        if !files.is_empty() && self.count.get() >= self.threshold.get().max(64) {
            self.collect();
            self.threshold.set(self.count.get() * 2);
        }
        if self.count.get() + files.len() > MOST {
            return Err(Errno::ETOOMANYREFS);
        }
        self.count.set(self.count.get() + files.len());
        Ok(Rights {
            files,
            all: Rc::clone(self),
        })
    }

    /// A queue is given files.
    pub(crate) fn queued(&self, queue: &Rc<Channel>) {
        let mut queues = self.queues.borrow_mut();
        if queues.len() >= 64 && queues.len().is_power_of_two() {
            queues.retain(|queue| queue.strong_count() > 0);
        }
        if !queues
            .iter()
            .any(|other| std::ptr::eq(other.as_ptr(), Rc::as_ptr(queue)))
        {
            queues.push(Rc::downgrade(queue));
        }
    }

    fn discard(&self, files: Vec<Rc<Description>>) {
        self.trash.borrow_mut().extend(files);
        if self.emptying.replace(true) {
            return;
        }
        loop {
            let next = self.trash.borrow_mut().pop();
            match next {
                // May come back here, to add to the trash.
                Some(file) => drop(file),
                None => break,
            }
        }
        self.emptying.set(false);
    }

    /// Closes files that only queues hold which nobody can read from.
    pub(crate) fn collect(&self) {
        let queues: Vec<Rc<Channel>> = {
            let mut queues = self.queues.borrow_mut();
            queues.retain(|queue| queue.upgrade().is_some_and(|queue| queue.has_rights()));
            queues.iter().filter_map(Weak::upgrade).collect()
        };
        let address = |queue: &Rc<Channel>| Rc::as_ptr(queue) as usize;
        // How often each file is in a queue, and where.
        let mut flying: BTreeMap<usize, (Rc<Description>, usize)> = BTreeMap::new();
        let mut inside: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for queue in &queues {
            let here = inside.entry(address(queue)).or_default();
            queue.for_each_right(&mut |file| {
                let key = Rc::as_ptr(file) as usize;
                let entry = flying.entry(key).or_insert_with(|| (Rc::clone(file), 0));
                entry.1 += 1;
                here.push(key);
            });
        }
        // Which queues a file reads from, if nobody else holds the file.
        let mut reads: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (&key, (file, times)) in &flying {
            // One is held by the table here.
            if Rc::strong_count(file) != times + 1 {
                continue;
            }
            if let Some(socket) = file.file.socket() {
                let mut own = Vec::new();
                socket.for_each_queue(&mut |queue| own.push(address(queue)));
                reads.insert(key, own);
            }
        }
        // What can be reached from a queue that somebody can read.
        let doubtful: BTreeSet<usize> = reads.values().flatten().copied().collect();
        let mut work: Vec<usize> = inside
            .keys()
            .copied()
            .filter(|queue| !doubtful.contains(queue))
            .collect();
        let mut alive: BTreeSet<usize> = work.iter().copied().collect();
        while let Some(queue) = work.pop() {
            for file in inside.get(&queue).into_iter().flatten() {
                for &next in reads.get(file).into_iter().flatten() {
                    if alive.insert(next) {
                        work.push(next);
                    }
                }
            }
        }
        drop(flying);
        let dead: Vec<_> = queues
            .iter()
            .filter(|queue| !alive.contains(&address(queue)))
            .collect();
        if !dead.is_empty() {
            log::debug!(
                "{} queues of sockets in flight were unreachable",
                dead.len()
            );
        }
        for queue in dead {
            queue.drop_rights();
        }
    }
}

impl Rights {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// The files, without taking them.
    pub(crate) fn files(&self) -> &[Rc<Description>] {
        &self.files
    }

    /// They have arrived.
    pub(crate) fn take(mut self) -> Vec<Rc<Description>> {
        self.all.count.set(self.all.count.get() - self.files.len());
        std::mem::take(&mut self.files)
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        self.all.count.set(self.all.count.get() - self.files.len());
        let files = std::mem::take(&mut self.files);
        if !files.is_empty() {
            self.all.discard(files);
        }
    }
}
