//! Queues of threads that wait for words of guest memory (futex(2)), and the
//! lists of locks that a dying thread leaves (get_robust_list(2)).

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::thread::Tid;

/// What makes two futex words the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Key {
    /// An address in one address space, told by where the kernel keeps it.
    Private(usize, u64),
    /// An offset in a shared object.
    Shared(u64, u64),
}

/// In a futex word: others wait.
pub(crate) const WAITERS: u32 = 0x8000_0000;
/// In a futex word: its owner died.
pub(crate) const OWNER_DIED: u32 = 0x4000_0000;
/// In a futex word: who owns it.
pub(crate) const TID_MASK: u32 = 0x3fff_ffff;
/// Linux gives up after so many locks.
const ROBUST_LIMIT: usize = 2048;

/// A thread that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiter {
    pub tid: Tid,
    /// `FUTEX_WAIT_BITSET`.
    pub bits: u32,
    /// For a lock that is handed over (`FUTEX_LOCK_PI`).
    pub lock: bool,
}

/// All queues.
#[derive(Default)]
pub(crate) struct Futexes {
    queues: HashMap<Key, VecDeque<Waiter>>,
}

impl Futexes {
    /// A thread waits.
    pub(crate) fn enter(&mut self, key: Key, waiter: Waiter) {
        self.queues.entry(key).or_default().push_back(waiter);
    }

    /// A thread waits no more.
    pub(crate) fn leave(&mut self, key: Key, tid: Tid) {
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.retain(|waiter| waiter.tid != tid);
            if queue.is_empty() {
                self.queues.remove(&key);
            }
        }
    }

    /// Takes up to `most` threads whose bits meet `bits`. `None` if one that
    /// waits for a lock is among them: the guest mixes what cannot be mixed.
    pub(crate) fn take(&mut self, key: Key, most: usize, bits: u32) -> Option<Vec<Tid>> {
        let Some(queue) = self.queues.get_mut(&key) else {
            return Some(Vec::new());
        };
        if queue.iter().any(|waiter| waiter.lock) {
            return None;
        }
        let mut taken = Vec::new();
        queue.retain(|waiter| {
            let take = taken.len() < most && waiter.bits & bits != 0;
            if take {
                taken.push(waiter.tid);
            }
            !take
        });
        if queue.is_empty() {
            self.queues.remove(&key);
        }
        Some(taken)
    }

    /// Takes the thread that is to have a lock next, and tells whether others
    /// are left.
    pub(crate) fn take_lock(&mut self, key: Key) -> Option<(Tid, bool)> {
        let queue = self.queues.get_mut(&key)?;
        let at = queue.iter().position(|waiter| waiter.lock)?;
        let waiter = queue.remove(at)?;
        let others = !queue.is_empty();
        if !others {
            self.queues.remove(&key);
        }
        Some((waiter.tid, others))
    }

    /// Whether threads wait.
    pub(crate) fn any(&self, key: Key) -> bool {
        self.queues.contains_key(&key)
    }

    /// Moves up to `most` threads to another queue; gives who was moved.
    pub(crate) fn requeue(&mut self, from: Key, to: Key, most: usize) -> Vec<Tid> {
        if from == to {
            let queue = self.queues.get(&from);
            return queue.map_or_else(Vec::new, |queue| {
                queue.iter().take(most).map(|waiter| waiter.tid).collect()
            });
        }
        let Some(queue) = self.queues.get_mut(&from) else {
            return Vec::new();
        };
        let moved: Vec<Waiter> = queue.drain(..most.min(queue.len())).collect();
        if queue.is_empty() {
            self.queues.remove(&from);
        }
        let tids = moved.iter().map(|waiter| waiter.tid).collect();
        if !moved.is_empty() {
            self.queues.entry(to).or_default().extend(moved);
        }
        tids
    }
}

/// What the word at `va` is to others: `private` if only threads of this
/// address space are meant.
pub(crate) fn key(mm: &Rc<std::cell::RefCell<Mm>>, va: u64, private: bool) -> Key {
    if !private && let Some((object, offset)) = mm.borrow().shared_key(va) {
        return Key::Shared(object, offset);
    }
    Key::Private(Rc::as_ptr(mm).addr(), va)
}

/// Wakes up to `most` threads that wait for the word at `va`.
pub(crate) fn wake(kernel: &mut Kernel, key: Key, most: usize, bits: u32) -> Result<u64, Errno> {
    let woken = kernel.futexes.take(key, most, bits).ok_or(Errno::EINVAL)?;
    for &tid in &woken {
        if let Some(thread) = kernel.threads.get_mut(&tid) {
            thread.futex = None;
        }
        kernel.wake(tid);
    }
    Ok(woken.len() as u64)
}

/// What a thread that ends does to futexes: locks that it holds pass on, and
/// whoever joins it is woken.
pub(crate) fn thread_ends(kernel: &mut Kernel, tid: Tid) {
    let Some(thread) = kernel.threads.get_mut(&tid) else {
        return;
    };
    let mm = Rc::clone(&thread.mm);
    let head = std::mem::take(&mut thread.robust_list).0;
    let clear = std::mem::take(&mut thread.clear_child_tid);
    if head != 0 {
        // A list that is not what it should be just ends the walk.
        let _ = walk_robust_list(kernel, &mm, head, tid);
    }
    // Nobody is left to look at it if the memory goes with the thread.
    if clear != 0 && Rc::strong_count(&mm) > 2 {
        let written = mm.borrow_mut().write(clear, &0_u32.to_le_bytes());
        if written.is_ok() {
            let key = key(&mm, clear, false);
            let _ = wake(kernel, key, 1, u32::MAX);
        }
    }
}

fn read_u64(mm: &Rc<std::cell::RefCell<Mm>>, va: u64) -> Result<u64, Errno> {
    let mut bytes = [0; 8];
    mm.borrow_mut().read(va, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// `exit_robust_list` of Linux: `struct robust_list_head` is the first entry,
/// the offset from an entry to its word, and an entry that is being changed.
fn walk_robust_list(
    kernel: &mut Kernel,
    mm: &Rc<std::cell::RefCell<Mm>>,
    head: u64,
    tid: Tid,
) -> Result<(), Errno> {
    let mut entry = read_u64(mm, head)?;
    let offset = read_u64(mm, head.wrapping_add(8))?;
    let changing = read_u64(mm, head.wrapping_add(16))?;
    let mut left = ROBUST_LIMIT;
    // Bit 0 marks a lock with priority inheritance.
    while entry & !1 != head && left > 0 {
        let next = read_u64(mm, entry & !1);
        if entry & !1 != changing & !1 {
            release(
                kernel,
                mm,
                (entry & !1).wrapping_add(offset),
                tid,
                entry & 1 != 0,
            )?;
        }
        entry = next?;
        left -= 1;
    }
    if changing != 0 {
        release(
            kernel,
            mm,
            (changing & !1).wrapping_add(offset),
            tid,
            changing & 1 != 0,
        )?;
    }
    Ok(())
}

/// `handle_futex_death` of Linux.
fn release(
    kernel: &mut Kernel,
    mm: &Rc<std::cell::RefCell<Mm>>,
    va: u64,
    tid: Tid,
    inherits: bool,
) -> Result<(), Errno> {
    if va & 3 != 0 {
        return Err(Errno::EFAULT);
    }
    let mut bytes = [0; 4];
    mm.borrow_mut().read(va, &mut bytes)?;
    let word = u32::from_le_bytes(bytes);
    if word & TID_MASK != tid {
        return Ok(());
    }
    if inherits {
        let key = key(mm, va, false);
        let private = self::key(mm, va, true);
        for key in [key, private] {
            if kernel.futexes.any(key) {
                return hand_over(kernel, mm, va, key, OWNER_DIED);
            }
        }
    }
    let new = word & WAITERS | OWNER_DIED;
    mm.borrow_mut().write(va, &new.to_le_bytes())?;
    if word & WAITERS != 0 {
        let shared = key(mm, va, false);
        let private = key(mm, va, true);
        if wake(kernel, shared, 1, u32::MAX) == Ok(0) && private != shared {
            let _ = wake(kernel, private, 1, u32::MAX);
        }
    }
    Ok(())
}

/// The lock at `va` passes to whoever waits for it next, or is free.
pub(crate) fn hand_over(
    kernel: &mut Kernel,
    mm: &Rc<std::cell::RefCell<Mm>>,
    va: u64,
    key: Key,
    also: u32,
) -> Result<(), Errno> {
    let next = kernel.futexes.take_lock(key);
    let word = match next {
        Some((tid, others)) => tid | also | if others { WAITERS } else { 0 },
        None => also,
    };
    mm.borrow_mut().write(va, &word.to_le_bytes())?;
    if let Some((tid, _)) = next {
        if let Some(thread) = kernel.threads.get_mut(&tid) {
            thread.futex = None;
        }
        kernel.wake(tid);
    }
    Ok(())
}
