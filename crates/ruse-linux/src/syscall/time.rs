//! Clocks and sleeping: clock_gettime(2), nanosleep(2), and the others.

use std::time::Duration;

use super::process::named;
use super::{Answer, Cx, Stop};
use crate::abi;
use crate::errno::Errno;
use crate::life::ticks;
use crate::thread::{Tid, Wait};
use crate::timer::Base;

const TIMER_ABSTIME: u64 = 1;

/// What a clock id names.
pub(super) fn clock(cx: &mut Cx, id: u64) -> Result<Base, Errno> {
    let id = id as i32;
    if id < 0 {
        // clock_getcpuclockid(3): ~pid << 3, a bit for threads, and the kind.
        let target = !(id >> 3) as u32;
        if id & 3 == 3 {
            return Err(Errno::EINVAL);
        }
        return if id & 4 == 0 {
            let pid = named(cx, u64::from(target)).map_err(|_| Errno::EINVAL)?;
            Ok(Base::Process(pid))
        } else {
            let tid = if target == 0 { cx.tid } else { target };
            let thread = cx.kernel.threads.get(&tid).map(|thread| thread.pid);
            if thread != Some(cx.thread().pid) {
                return Err(Errno::EINVAL);
            }
            Ok(Base::Thread(tid))
        };
    }
    Ok(match id {
        // Coarse ones are as fine here; alarms cannot wake a machine.
        0 | 5 | 8 | 11 => Base::Real,
        1 | 4 | 6 | 7 | 9 => Base::Monotonic,
        2 => Base::Process(cx.thread().pid),
        3 => Base::Thread(cx.tid),
        _ => return Err(Errno::EINVAL),
    })
}

/// What a clock shows.
pub(super) fn read(cx: &mut Cx, base: Base) -> Duration {
    match base {
        Base::Real => cx.kernel.host.realtime(),
        Base::Monotonic => cx.kernel.host.monotonic(),
        Base::Process(pid) => cx.kernel.process_cpu(pid),
        Base::Thread(tid) => cx.kernel.thread_cpu(tid),
    }
}

/// The monotonic time at which a clock of real or monotonic time shows `at`.
pub(super) fn monotonic(cx: &mut Cx, base: Base, at: Duration) -> Duration {
    match base {
        Base::Real => {
            let real = cx.kernel.host.realtime();
            let now = cx.kernel.host.monotonic();
            now.saturating_add(at.saturating_sub(real))
        }
        _ => at,
    }
}

/// clock_gettime(2).
pub(crate) fn clock_gettime(cx: &mut Cx) -> Answer {
    let [id, at, ..] = cx.args;
    let base = clock(cx, id)?;
    let now = read(cx, base);
    cx.write(at, &abi::timespec(now))?;
    Ok(0)
}

/// clock_getres(2).
pub(crate) fn clock_getres(cx: &mut Cx) -> Answer {
    let [id, at, ..] = cx.args;
    clock(cx, id)?;
    if at != 0 {
        cx.write(at, &abi::timespec(Duration::from_nanos(1)))?;
    }
    Ok(0)
}

/// clock_settime(2), settimeofday(2), clock_adjtime(2): the host's clock is
/// not the guest's to set.
pub(crate) fn not_permitted(_: &mut Cx) -> Answer {
    Err(Errno::EPERM.into())
}

/// gettimeofday(2).
pub(crate) fn gettimeofday(cx: &mut Cx) -> Answer {
    let [at, zone, ..] = cx.args;
    if at != 0 {
        let now = cx.kernel.host.realtime();
        cx.write(at, &abi::timeval(now))?;
    }
    if zone != 0 {
        cx.write(zone, &[0; 8])?;
    }
    Ok(0)
}

/// Sleeps until `deadline`.
fn sleep(cx: &Cx, deadline: Option<Duration>, remain: u64) -> Answer {
    if cx.expired(deadline) {
        return Ok(0);
    }
    Err(Stop::Block(Wait {
        deadline,
        queued: true,
        no_restart: true,
        remain,
        ..Wait::default()
    }))
}

/// nanosleep(2).
pub(crate) fn nanosleep(cx: &mut Cx) -> Answer {
    let [time, remain, ..] = cx.args;
    let time = cx.timespec(time)?;
    let deadline = cx.deadline(Some(time));
    sleep(cx, deadline, remain)
}

/// clock_nanosleep(2).
pub(crate) fn clock_nanosleep(cx: &mut Cx) -> Answer {
    let [id, flags, time, remain, ..] = cx.args;
    let base = match clock(cx, id)? {
        Base::Thread(_) => return Err(Errno::EINVAL.into()),
        // Nobody sleeps while its process computes, but another thread might.
        Base::Process(_) => return Err(Errno::EOPNOTSUPP.into()),
        base => base,
    };
    let time = cx.timespec(time)?;
    if flags & TIMER_ABSTIME == 0 {
        let deadline = cx.deadline(Some(time));
        return sleep(cx, deadline, remain);
    }
    let deadline = match &cx.earlier {
        Some(earlier) => earlier.wait.deadline,
        None => Some(monotonic(cx, base, time)),
    };
    // Its end is known: it may start again after a handler, but Linux has it
    // fail with EINTR, too.
    sleep(cx, deadline, 0)
}

/// times(2).
pub(crate) fn times(cx: &mut Cx) -> Answer {
    let at = cx.args[0];
    let pid = cx.thread().pid;
    if at != 0 {
        let own = ticks(cx.kernel.process_cpu(pid));
        let children = ticks(cx.process().children_cpu);
        let mut out = [0; 32];
        out[..8].copy_from_slice(&own.to_le_bytes());
        out[16..24].copy_from_slice(&children.to_le_bytes());
        cx.write(at, &out)?;
    }
    Ok(ticks(cx.kernel.host.monotonic()))
}

/// getrusage(2).
pub(crate) fn getrusage(cx: &mut Cx) -> Answer {
    let [who, at, ..] = cx.args;
    let pid: Tid = cx.thread().pid;
    let time = match who as i32 {
        0 => cx.kernel.process_cpu(pid),
        -1 => cx.process().children_cpu,
        1 => cx.kernel.thread_cpu(cx.tid),
        _ => return Err(Errno::EINVAL.into()),
    };
    let resident = cx.mm().borrow().resident() / 1024;
    cx.write(at, &abi::rusage(time, resident))?;
    Ok(0)
}
