//! epoll, eventfd, timerfd and signalfd.

use std::rc::Rc;
use std::time::Duration;

use super::pipe::install;
use super::poll::{look_at_host, timeout};
use super::{Answer, Cx, Stop};
use crate::abi;
use crate::errno::Errno;
use crate::fs::counter::{EventFd, TimerClock, TimerFd};
use crate::fs::epoll::Epoll;
use crate::fs::signalfd::SignalFd;
use crate::fs::{Description, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_RDWR};
use crate::signal::{self, SIGKILL, SIGSTOP, temporary_mask};
use crate::thread::Wait;

/// Bytes of `struct epoll_event`, which is not packed here.
const EPOLL_EVENT: u64 = 16;
/// The most events of one call (`EP_MAX_EVENTS` is larger, but nobody has so
/// many files).
const EVENTS_MAX: i32 = i32::MAX / EPOLL_EVENT as i32;

/// epoll_create1(2).
pub(crate) fn epoll_create1(cx: &mut Cx) -> Answer {
    let flags = cx.args[0] as u32;
    if flags & !O_CLOEXEC != 0 {
        return Err(Errno::EINVAL.into());
    }
    let epoll = Rc::new(Epoll::new(&cx.kernel.hub));
    Ok(install(cx, epoll, flags | O_RDWR, Vec::new())? as u64)
}

fn epoll(description: &Description) -> Result<&Epoll, Errno> {
    description
        .file
        .as_any()
        .downcast_ref()
        .ok_or(Errno::EINVAL)
}

/// epoll_ctl(2): epfd, op, fd, event.
pub(crate) fn epoll_ctl(cx: &mut Cx) -> Answer {
    const ADD: u64 = 1;
    const DEL: u64 = 2;
    const MOD: u64 = 3;
    let [epfd, op, fd, event, ..] = cx.args;
    let (mut events, mut data) = (0, 0);
    if op != DEL {
        events = cx.read_u32(event)?;
        data = cx.read_u64(event.wrapping_add(8))?;
    }
    let holder = cx.file(epfd)?;
    let file = cx.file(fd)?;
    if !file.file.pollable() {
        return Err(Errno::EPERM.into());
    }
    let epoll = epoll(&holder)?;
    if Rc::ptr_eq(&holder, &file) {
        return Err(Errno::EINVAL.into());
    }
    let fd = fd as i32;
    match op {
        ADD => epoll.add(fd, &file, events, data)?,
        DEL => epoll.remove(fd, &file)?,
        MOD => epoll.modify(fd, &file, events, data)?,
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

fn epoll_wait(cx: &mut Cx, timeout: Option<Duration>) -> Answer {
    let [epfd, events, most, _, mask, size] = cx.args;
    let most = most as i32;
    if most <= 0 || most > EVENTS_MAX {
        return Err(Errno::EINVAL.into());
    }
    let holder = cx.file(epfd)?;
    let deadline = cx.deadline(timeout);
    temporary_mask(cx, mask, size)?;
    look_at_host(cx, timeout);
    let tid = cx.tid;
    // Memory that cannot be written is found before events are taken.
    let found = epoll(&holder)?.collect(cx.kernel, tid, most.min(4096) as usize);
    if found.is_empty() && !cx.expired(deadline) {
        return Err(Stop::Block(Wait {
            deadline,
            no_restart: true,
            ..Wait::default()
        }));
    }
    let mut bytes = Vec::with_capacity(found.len() * EPOLL_EVENT as usize);
    for (ready, data) in &found {
        bytes.extend_from_slice(&u64::from(*ready).to_le_bytes());
        bytes.extend_from_slice(&data.to_le_bytes());
    }
    cx.write(events, &bytes)?;
    Ok(found.len() as u64)
}

/// epoll_pwait(2): epfd, events, maxevents, milliseconds, sigmask, size.
pub(crate) fn epoll_pwait(cx: &mut Cx) -> Answer {
    let timeout = u64::try_from(cx.args[3] as i32)
        .ok()
        .map(Duration::from_millis);
    epoll_wait(cx, timeout)
}

/// epoll_pwait2(2): the same with a `struct timespec *`.
pub(crate) fn epoll_pwait2(cx: &mut Cx) -> Answer {
    let timeout = timeout(cx, cx.args[3])?;
    epoll_wait(cx, timeout)
}

/// eventfd2(2): initial value, flags.
pub(crate) fn eventfd2(cx: &mut Cx) -> Answer {
    const EFD_SEMAPHORE: u32 = 1;
    let (count, flags) = (cx.args[0] as u32, cx.args[1] as u32);
    if flags & !(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let file = EventFd::new(&cx.kernel.hub, count, flags & EFD_SEMAPHORE != 0);
    let flags = flags & !EFD_SEMAPHORE | O_RDWR;
    Ok(install(cx, Rc::new(file), flags, Vec::new())? as u64)
}

/// timerfd_create(2): clock, flags.
pub(crate) fn timerfd_create(cx: &mut Cx) -> Answer {
    let flags = cx.args[1] as u32;
    let clock = match cx.args[0] as i32 {
        // CLOCK_REALTIME and CLOCK_REALTIME_ALARM.
        0 | 8 => TimerClock::Realtime,
        // CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM: a box is
        // never suspended.
        1 | 7 | 9 => TimerClock::Monotonic,
        _ => return Err(Errno::EINVAL.into()),
    };
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let file = TimerFd::new(&cx.kernel.hub, clock);
    Ok(install(cx, Rc::new(file), flags | O_RDONLY, Vec::new())? as u64)
}

fn timer(description: &Description) -> Result<&TimerFd, Errno> {
    description
        .file
        .as_any()
        .downcast_ref()
        .ok_or(Errno::EINVAL)
}

fn write_setting(cx: &mut Cx, va: u64, (left, interval): (Duration, Duration)) -> Answer {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&abi::timespec(interval));
    bytes[16..].copy_from_slice(&abi::timespec(left));
    cx.write(va, &bytes)?;
    Ok(0)
}

/// timerfd_settime(2): fd, flags, new, old.
pub(crate) fn timerfd_settime(cx: &mut Cx) -> Answer {
    const TFD_TIMER_ABSTIME: u32 = 1;
    const TFD_TIMER_CANCEL_ON_SET: u32 = 2;
    let [fd, flags, new, old, ..] = cx.args;
    let flags = flags as u32;
    // Nobody sets the clock of a box.
    if flags & !(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let interval = cx.timespec(new)?;
    let value = cx.timespec(new.wrapping_add(16))?;
    let description = cx.file(fd)?;
    let timer = timer(&description)?;
    let before = timer.get();
    let now = cx.kernel.hub.now();
    let next = match value {
        Duration::ZERO => None,
        value if flags & TFD_TIMER_ABSTIME == 0 => Some(now.saturating_add(value)),
        value => Some(match timer.clock {
            TimerClock::Monotonic => value,
            TimerClock::Realtime => {
                let clock = cx.kernel.host.realtime();
                now.saturating_add(value.saturating_sub(clock))
            }
        }),
    };
    timer.set(next, interval);
    cx.kernel.stir();
    match old {
        0 => Ok(0),
        va => write_setting(cx, va, before),
    }
}

/// timerfd_gettime(2): fd, current.
pub(crate) fn timerfd_gettime(cx: &mut Cx) -> Answer {
    let [fd, current, ..] = cx.args;
    let description = cx.file(fd)?;
    let setting = timer(&description)?.get();
    write_setting(cx, current, setting)
}

/// signalfd4(2): descriptor or -1, mask, its size, flags.
pub(crate) fn signalfd4(cx: &mut Cx) -> Answer {
    let [fd, mask, size, flags, ..] = cx.args;
    let flags = flags as u32;
    if size != 8 || flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mask = cx.read_u64(mask)? & !(signal::bit(SIGKILL) | signal::bit(SIGSTOP));
    if fd as i32 == -1 {
        let file = Rc::new(SignalFd::new(mask));
        return Ok(install(cx, file, flags | O_RDWR, Vec::new())? as u64);
    }
    let description = cx.file(fd)?;
    let file: &SignalFd = description
        .file
        .as_any()
        .downcast_ref()
        .ok_or(Errno::EINVAL)?;
    file.set_mask(mask);
    cx.kernel.stir();
    Ok(fd)
}
