//! ppoll and pselect6 (poll(2), select(2)).

use std::time::Duration;

use super::{Answer, Cx, Stop};
use crate::errno::Errno;
use crate::fs::{
    Ask, Interest, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDBAND, POLLRDNORM,
    POLLWRBAND, POLLWRNORM,
};
use crate::signal::temporary_mask;
use crate::thread::Wait;

/// What a file is ready for, with the names that poll has for it.
pub(super) fn readiness(cx: &mut Cx, fd: i32) -> Result<Interest, Errno> {
    let description = cx.file(fd as u64)?;
    let tid = cx.tid;
    // poll cannot fail: what cannot be asked is ready, and fails then.
    drop(description.file.ask(cx.kernel, tid, Ask::Poll));
    Ok(widen(description.file.poll()))
}

/// `POLLRDNORM` goes with `POLLIN`, `POLLWRNORM` with `POLLOUT`.
pub(crate) fn widen(mut ready: Interest) -> Interest {
    if ready & POLLIN != 0 {
        ready |= POLLRDNORM;
    }
    if ready & POLLOUT != 0 {
        ready |= POLLWRNORM;
    }
    ready
}

/// A `struct timespec *timeout`, null for ever.
pub(super) fn timeout(cx: &mut Cx, va: u64) -> Result<Option<Duration>, Errno> {
    match va {
        0 => Ok(None),
        _ => cx.timespec(va).map(Some),
    }
}

/// Looks at the host before files are asked without waiting: what arrived is
/// to be seen.
pub(super) fn look_at_host(cx: &mut Cx, timeout: Option<Duration>) {
    if timeout == Some(Duration::ZERO) && cx.earlier.is_none() && cx.kernel.hub.watches() {
        cx.kernel.hub.wait(timeout);
    }
}

/// What is left of the time goes where it came from, as Linux does.
fn write_remaining(cx: &mut Cx, va: u64, deadline: Option<Duration>) {
    if let (Some(deadline), true) = (deadline, va != 0) {
        let left = deadline.saturating_sub(cx.kernel.hub.now());
        // Memory that cannot be written does not undo what was found.
        let _ = cx.write(va, &crate::abi::timespec(left));
    }
}

fn waits(deadline: Option<Duration>) -> Stop {
    Stop::Block(Wait {
        deadline,
        no_restart: true,
        ..Wait::default()
    })
}

/// ppoll(2): fds, nfds, timeout, sigmask, sigsetsize.
pub(crate) fn ppoll(cx: &mut Cx) -> Answer {
    let [fds, count, time, mask, size, _] = cx.args;
    let timeout = timeout_of_first_try(cx, time)?;
    if count > cx.fd_limit() as u64 {
        return Err(Errno::EINVAL.into());
    }
    let count = count as usize;
    let deadline = cx.deadline(timeout);
    temporary_mask(cx, mask, size)?;
    look_at_host(cx, timeout);
    cx.kernel.hub.new_round();
    let mut table = vec![0; count * 8];
    cx.read(fds, &mut table)?;
    let mut ready = 0;
    for entry in table.chunks_exact_mut(8) {
        let fd = i32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let wanted = u16::from_le_bytes([entry[4], entry[5]]);
        let found = if fd < 0 {
            0
        } else {
            match readiness(cx, fd) {
                Ok(found) => found & (wanted | POLLERR | POLLHUP),
                Err(_) => POLLNVAL,
            }
        };
        entry[6..].copy_from_slice(&found.to_le_bytes());
        ready += u64::from(found != 0);
    }
    if ready == 0 && !cx.expired(deadline) {
        return Err(waits(deadline));
    }
    cx.write(fds, &table)?;
    write_remaining(cx, time, deadline);
    Ok(ready)
}

/// The timeout; not read again, as what remains may stand there, when the
/// call is tried again.
fn timeout_of_first_try(cx: &mut Cx, va: u64) -> Result<Option<Duration>, Errno> {
    match cx.earlier {
        Some(_) => Ok(None),
        None => timeout(cx, va),
    }
}

const READ: Interest = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR;
const WRITE: Interest = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR;

/// pselect6(2): n, readfds, writefds, exceptfds, timeout, { mask, size }.
pub(crate) fn pselect6(cx: &mut Cx) -> Answer {
    let [n, read, write, except, time, sigmask] = cx.args;
    let n = n as i32;
    if n < 0 {
        return Err(Errno::EINVAL.into());
    }
    let n = (n as usize).min(cx.fd_limit().next_multiple_of(64));
    let timeout = timeout_of_first_try(cx, time)?;
    let deadline = cx.deadline(timeout);
    let (mask, size) = match sigmask {
        0 => (0, 8),
        at => (cx.read_u64(at)?, cx.read_u64(at.wrapping_add(8))?),
    };
    temporary_mask(cx, mask, size)?;
    look_at_host(cx, timeout);
    cx.kernel.hub.new_round();
    let len = n.div_ceil(64) * 8;
    let places = [read, write, except];
    let mut sets = [vec![0; len], vec![0; len], vec![0; len]];
    for (set, &va) in sets.iter_mut().zip(&places) {
        if va != 0 {
            cx.read(va, set)?;
        }
    }
    let mut found = [vec![0; len], vec![0; len], vec![0; len]];
    let mut count = 0;
    for fd in 0..n {
        let (at, bit) = (fd / 8, 1u8 << (fd % 8));
        if sets.iter().all(|set| set[at] & bit == 0) {
            continue;
        }
        let ready = readiness(cx, fd as i32)?;
        for ((set, found), kind) in sets.iter().zip(&mut found).zip([READ, WRITE, POLLPRI]) {
            if set[at] & bit != 0 && ready & kind != 0 {
                found[at] |= bit;
                count += 1;
            }
        }
    }
    if count == 0 && !cx.expired(deadline) {
        return Err(waits(deadline));
    }
    for (found, &va) in found.iter().zip(&places) {
        if va != 0 {
            cx.write(va, found)?;
        }
    }
    write_remaining(cx, time, deadline);
    Ok(count)
}
