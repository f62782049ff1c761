//! Timers that send signals: setitimer(2), timer_create(2).

use std::time::Duration;

use super::time::{clock, monotonic, read};
use super::{Answer, Cx};
use crate::abi;
use crate::errno::Errno;
use crate::signal::{SIGALRM, SIGMAX};
use crate::thread::Tid;
use crate::timer::{self, Base, Interval, Notify};

const TIMER_ABSTIME: u64 = 1;
/// `sigev_notify` of timer_create(2).
const SIGEV_SIGNAL: u32 = 0;
const SIGEV_NONE: u32 = 1;
const SIGEV_THREAD: u32 = 2;
const SIGEV_THREAD_ID: u32 = 4;

/// The clock and index of a timer of setitimer(2).
fn interval(cx: &mut Cx, which: u64) -> Result<(usize, Base), Errno> {
    let pid = cx.thread().pid;
    match which as u32 {
        0 => Ok((0, Base::Monotonic)),
        1 => Ok((1, Base::Process(pid))),
        2 => Ok((2, Base::Process(pid))),
        _ => Err(Errno::EINVAL),
    }
}

/// What a timer shows: how long until it expires, never zero while it is set.
fn left(next: Option<Duration>, now: Duration) -> Duration {
    next.map_or(Duration::ZERO, |at| {
        at.saturating_sub(now).max(Duration::from_micros(1))
    })
}

/// A `struct timeval` of a timer.
fn timeval(cx: &mut Cx, at: u64) -> Result<Duration, Errno> {
    let (seconds, micros) = (cx.read_u64(at)?, cx.read_u64(at.wrapping_add(8))?);
    if seconds > i64::MAX as u64 || micros >= 1_000_000 {
        return Err(Errno::EINVAL);
    }
    Ok(Duration::new(seconds, micros as u32 * 1000))
}

fn write_interval(cx: &mut Cx, at: u64, which: usize, base: Base) -> Result<(), Errno> {
    let now = read(cx, base);
    let timer = cx
        .process()
        .intervals
        .get(which)
        .copied()
        .unwrap_or_default();
    let mut out = [0; 32];
    out[..16].copy_from_slice(&abi::timeval(timer.every));
    out[16..].copy_from_slice(&abi::timeval(left(timer.next, now)));
    cx.write(at, &out)
}

/// getitimer(2).
pub(crate) fn getitimer(cx: &mut Cx) -> Answer {
    let [which, at, ..] = cx.args;
    let (which, base) = interval(cx, which)?;
    write_interval(cx, at, which, base)?;
    Ok(0)
}

/// setitimer(2).
pub(crate) fn setitimer(cx: &mut Cx) -> Answer {
    let [which, new, old, ..] = cx.args;
    let (which, base) = interval(cx, which)?;
    let (every, first) = if new == 0 {
        (Duration::ZERO, Duration::ZERO)
    } else {
        (timeval(cx, new)?, timeval(cx, new.wrapping_add(16))?)
    };
    if old != 0 {
        write_interval(cx, old, which, base)?;
    }
    let now = read(cx, base);
    let next = (!first.is_zero()).then(|| now.saturating_add(first));
    let pid = cx.thread().pid;
    timer::set_interval(cx.kernel, pid, which, Interval { next, every });
    Ok(0)
}

/// timer_create(2).
pub(crate) fn timer_create(cx: &mut Cx) -> Answer {
    let [id, event, at, ..] = cx.args;
    let base = clock(cx, id)?;
    let pid = cx.thread().pid;
    let (notify, value) = if event == 0 {
        (Notify::Process(SIGALRM), None)
    } else {
        let value = cx.read_u64(event)?;
        let signal = cx.read_u32(event.wrapping_add(8))?;
        let how = cx.read_u32(event.wrapping_add(12))?;
        let tid = cx.read_u32(event.wrapping_add(16))?;
        if how != SIGEV_NONE && !(1..=SIGMAX).contains(&signal) {
            return Err(Errno::EINVAL.into());
        }
        let notify = match how {
            SIGEV_NONE => Notify::Nobody,
            SIGEV_SIGNAL | SIGEV_THREAD => Notify::Process(signal),
            SIGEV_THREAD_ID => {
                let theirs = cx.kernel.threads.get(&tid).map(|thread| thread.pid);
                if theirs != Some(pid) {
                    return Err(Errno::EINVAL.into());
                }
                Notify::Thread(signal, tid)
            }
            _ => return Err(Errno::EINVAL.into()),
        };
        (notify, Some(value))
    };
    let timers = &mut cx.process().timers;
    let id = timers.add(base, notify, value).ok_or(Errno::EAGAIN)?;
    if let Err(errno) = cx.write(at, &id.to_le_bytes()) {
        cx.process().timers.all.remove(&id);
        return Err(errno.into());
    }
    Ok(0)
}

/// A timer of the caller by its id.
fn find(cx: &mut Cx, id: u64) -> Result<(Tid, i32, timer::Timer), Errno> {
    let id = id as i32;
    let pid = cx.thread().pid;
    let timer = cx.process().timers.all.get(&id).copied();
    timer.map(|timer| (pid, id, timer)).ok_or(Errno::EINVAL)
}

fn now(cx: &mut Cx, base: Base) -> Duration {
    // Real time is kept as monotonic time.
    match base {
        Base::Real => read(cx, Base::Monotonic),
        base => read(cx, base),
    }
}

fn write_timer(cx: &mut Cx, at: u64, timer: &timer::Timer) -> Result<(), Errno> {
    let now = now(cx, timer.base);
    let mut out = [0; 32];
    out[..16].copy_from_slice(&abi::timespec(timer.every));
    out[16..].copy_from_slice(&abi::timespec(left(timer.next, now)));
    cx.write(at, &out)
}

/// timer_gettime(2).
pub(crate) fn timer_gettime(cx: &mut Cx) -> Answer {
    let [id, at, ..] = cx.args;
    let (_, _, timer) = find(cx, id)?;
    write_timer(cx, at, &timer)?;
    Ok(0)
}

/// timer_settime(2).
pub(crate) fn timer_settime(cx: &mut Cx) -> Answer {
    let [id, flags, new, old, ..] = cx.args;
    let every = cx.timespec(new)?;
    let first = cx.timespec(new.wrapping_add(16))?;
    let (pid, id, timer) = find(cx, id)?;
    if old != 0 {
        write_timer(cx, old, &timer)?;
    }
    let next = if first.is_zero() {
        None
    } else if flags & TIMER_ABSTIME != 0 {
        Some(monotonic(cx, timer.base, first))
    } else {
        Some(now(cx, timer.base).saturating_add(first))
    };
    timer::set_timer(cx.kernel, pid, id, next, every);
    Ok(0)
}

/// timer_getoverrun(2).
pub(crate) fn timer_getoverrun(cx: &mut Cx) -> Answer {
    let id = cx.args[0];
    let (_, _, timer) = find(cx, id)?;
    Ok(timer.overrun as u64)
}

/// timer_delete(2).
pub(crate) fn timer_delete(cx: &mut Cx) -> Answer {
    let id = cx.args[0];
    let (pid, id, _) = find(cx, id)?;
    timer::set_timer(cx.kernel, pid, id, None, Duration::ZERO);
    cx.process().timers.all.remove(&id);
    Ok(0)
}
