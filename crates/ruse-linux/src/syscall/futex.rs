//! futex(2), and the lists of locks of a dying thread.

use std::time::Duration;

use super::time::monotonic;
use super::{Answer, Cx, Stop};
use crate::errno::Errno;
use crate::futex::{self, Key, OWNER_DIED, TID_MASK, WAITERS, Waiter};
use crate::thread::{Tid, Wait};
use crate::timer::Base;

const WAIT: u32 = 0;
const WAKE: u32 = 1;
const REQUEUE: u32 = 3;
const CMP_REQUEUE: u32 = 4;
const WAKE_OP: u32 = 5;
const LOCK_PI: u32 = 6;
const UNLOCK_PI: u32 = 7;
const TRYLOCK_PI: u32 = 8;
const WAIT_BITSET: u32 = 9;
const WAKE_BITSET: u32 = 10;
const LOCK_PI2: u32 = 13;
const PRIVATE: u32 = 128;
const CLOCK_REALTIME: u32 = 256;
/// All bits: woken by whatever wakes.
const ANY: u32 = u32::MAX;

/// futex(2).
pub(crate) fn futex(cx: &mut Cx) -> Answer {
    let [va, op, value, timeout, va2, value3] = cx.args;
    let op = op as u32;
    let (value, value3) = (value as u32, value3 as u32);
    let private = op & PRIVATE != 0;
    let command = op & !(PRIVATE | CLOCK_REALTIME);
    if op & CLOCK_REALTIME != 0 && !matches!(command, WAIT | WAIT_BITSET | LOCK_PI2) {
        return Err(Errno::ENOSYS.into());
    }
    let key = |cx: &mut Cx, va: u64| -> Result<Key, Errno> {
        if va & 3 != 0 {
            return Err(Errno::EINVAL);
        }
        Ok(futex::key(&cx.mm(), va, private))
    };
    match command {
        WAIT | WAIT_BITSET => {
            let bits = if command == WAIT { ANY } else { value3 };
            if bits == 0 {
                return Err(Errno::EINVAL.into());
            }
            let base = match op & CLOCK_REALTIME {
                0 => Base::Monotonic,
                _ => Base::Real,
            };
            let deadline = deadline(cx, timeout, base, command == WAIT_BITSET)?;
            let key = key(cx, va)?;
            wait(cx, va, value, key, bits, deadline)
        }
        WAKE | WAKE_BITSET => {
            let bits = if command == WAKE { ANY } else { value3 };
            if bits == 0 {
                return Err(Errno::EINVAL.into());
            }
            let key = key(cx, va)?;
            Ok(futex::wake(cx.kernel, key, most(value), bits)?)
        }
        REQUEUE | CMP_REQUEUE => {
            let (from, to) = (key(cx, va)?, key(cx, va2)?);
            if (value as i32) < 0 || (timeout as i32) < 0 {
                return Err(Errno::EINVAL.into());
            }
            if command == CMP_REQUEUE && cx.read_u32(va)? != value3 {
                return Err(Errno::EAGAIN.into());
            }
            let woken = futex::wake(cx.kernel, from, value as usize, ANY)?;
            let moved = cx.kernel.futexes.requeue(from, to, timeout as u32 as usize);
            for tid in &moved {
                if let Some(thread) = cx.kernel.threads.get_mut(tid) {
                    thread.futex = Some(to);
                }
            }
            Ok(match command {
                REQUEUE => woken,
                _ => woken + moved.len() as u64,
            })
        }
        WAKE_OP => {
            let (first, second) = (key(cx, va)?, key(cx, va2)?);
            let also = apply(cx, va2, value3)?;
            let mut woken = futex::wake(cx.kernel, first, most(value), ANY)?;
            if also {
                woken += futex::wake(cx.kernel, second, most(timeout as u32), ANY)?;
            }
            Ok(woken)
        }
        LOCK_PI | LOCK_PI2 => {
            let base = match (command, op & CLOCK_REALTIME) {
                (LOCK_PI2, 0) => Base::Monotonic,
                _ => Base::Real,
            };
            let deadline = deadline(cx, timeout, base, true)?;
            let key = key(cx, va)?;
            lock(cx, va, key, deadline)
        }
        TRYLOCK_PI => {
            let key = key(cx, va)?;
            try_lock(cx, va, key)
        }
        UNLOCK_PI => {
            let key = key(cx, va)?;
            if cx.read_u32(va)? & TID_MASK != cx.tid {
                return Err(Errno::EPERM.into());
            }
            let mm = cx.mm();
            futex::hand_over(cx.kernel, &mm, va, key, 0)?;
            Ok(0)
        }
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// How many are woken: the number is signed, and at least one is woken.
fn most(value: u32) -> usize {
    (value as i32).max(1) as usize
}

/// The deadline of a wait, in monotonic time.
fn deadline(
    cx: &mut Cx,
    timeout: u64,
    base: Base,
    absolute: bool,
) -> Result<Option<Duration>, Errno> {
    if timeout == 0 {
        return Ok(None);
    }
    if let Some(earlier) = &cx.earlier {
        return Ok(earlier.wait.deadline);
    }
    let time = cx.timespec(timeout)?;
    if absolute {
        Ok(Some(monotonic(cx, base, time)))
    } else {
        Ok(cx.deadline(Some(time)))
    }
}

fn wait(
    cx: &mut Cx,
    va: u64,
    value: u32,
    key: Key,
    bits: u32,
    deadline: Option<Duration>,
) -> Answer {
    if cx.woken() {
        return Ok(0);
    }
    if cx.earlier.is_none() {
        if cx.read_u32(va)? != value {
            return Err(Errno::EAGAIN.into());
        }
        if cx.expired(deadline) {
            return Err(Errno::ETIMEDOUT.into());
        }
        enter(cx, key, bits, false);
    } else if cx.expired(deadline) {
        return Err(Errno::ETIMEDOUT.into());
    }
    Err(block(deadline))
}

fn enter(cx: &mut Cx, key: Key, bits: u32, lock: bool) {
    let tid = cx.tid;
    cx.kernel.futexes.enter(key, Waiter { tid, bits, lock });
    cx.thread().futex = Some(key);
}

fn block(deadline: Option<Duration>) -> Stop {
    Stop::Block(Wait {
        deadline,
        queued: true,
        // A wait with a timeout is not started again, as it would be longer.
        no_restart: deadline.is_some(),
        ..Wait::default()
    })
}

/// `FUTEX_WAKE_OP`: changes the word at `va`; whether its old value compares
/// as asked.
fn apply(cx: &mut Cx, va: u64, encoded: u32) -> Result<bool, Errno> {
    let sign = |bits: u32| ((bits << 20) as i32) >> 20;
    let mut operand = sign(encoded >> 12 & 0xfff);
    let compared = sign(encoded & 0xfff);
    let operation = encoded >> 28;
    if operation & 8 != 0 {
        operand = 1_i32.wrapping_shl(operand as u32 & 31);
    }
    let old = cx.read_u32(va)?;
    let operand = operand as u32;
    let new = match operation & 7 {
        0 => operand,
        1 => old.wrapping_add(operand),
        2 => old | operand,
        3 => old & !operand,
        4 => old ^ operand,
        _ => return Err(Errno::ENOSYS),
    };
    cx.write(va, &new.to_le_bytes())?;
    let old = old as i32;
    Ok(match encoded >> 24 & 0xf {
        0 => old == compared,
        1 => old != compared,
        2 => old < compared,
        3 => old <= compared,
        4 => old > compared,
        5 => old >= compared,
        _ => return Err(Errno::ENOSYS),
    })
}

/// Whether the lock is the caller's now.
fn acquire(cx: &mut Cx, va: u64, key: Key) -> Result<bool, Errno> {
    let word = cx.read_u32(va)?;
    let owner: Tid = word & TID_MASK;
    if owner == cx.tid {
        return Err(Errno::EDEADLK);
    }
    if owner == 0 {
        let waiters = if cx.kernel.futexes.any(key) {
            WAITERS
        } else {
            0
        };
        let new = cx.tid | word & OWNER_DIED | waiters;
        cx.write(va, &new.to_le_bytes())?;
        return Ok(true);
    }
    if !cx.kernel.threads.contains_key(&owner) {
        return Err(Errno::ESRCH);
    }
    Ok(false)
}

fn lock(cx: &mut Cx, va: u64, key: Key, deadline: Option<Duration>) -> Answer {
    if cx.woken() {
        return Ok(0);
    }
    if cx.earlier.is_none() {
        if acquire(cx, va, key)? {
            return Ok(0);
        }
        let word = cx.read_u32(va)? | WAITERS;
        cx.write(va, &word.to_le_bytes())?;
        enter(cx, key, ANY, true);
    }
    if cx.expired(deadline) {
        return Err(Errno::ETIMEDOUT.into());
    }
    // Unlike a wait for a word, one for a lock starts again after a handler.
    Err(Stop::Block(Wait {
        deadline,
        queued: true,
        ..Wait::default()
    }))
}

fn try_lock(cx: &mut Cx, va: u64, key: Key) -> Answer {
    if acquire(cx, va, key)? {
        Ok(0)
    } else {
        Err(Errno::EAGAIN.into())
    }
}

/// set_robust_list(2).
pub(crate) fn set_robust_list(cx: &mut Cx) -> Answer {
    let [head, size, ..] = cx.args;
    if size != 24 {
        return Err(Errno::EINVAL.into());
    }
    cx.thread().robust_list = (head, size);
    Ok(0)
}

/// get_robust_list(2).
pub(crate) fn get_robust_list(cx: &mut Cx) -> Answer {
    let [pid, head_at, size_at, ..] = cx.args;
    let tid = if pid as u32 == 0 { cx.tid } else { pid as Tid };
    let thread = cx.kernel.threads.get(&tid).ok_or(Errno::ESRCH)?;
    let head = thread.robust_list.0;
    cx.write(size_at, &24_u64.to_le_bytes())?;
    cx.write(head_at, &head.to_le_bytes())?;
    Ok(0)
}
