//! Signals: sigaction(2), sigprocmask(2), kill(2) and the others.

use super::process::named;
use super::{Answer, Cx, Stop};
use crate::errno::Errno;
use crate::kernel::INIT;
use crate::signal::{
    self, Action, Detail, SIGCONT, SIGMAX, SigInfo, SigSet, UNBLOCKABLE, bit, code,
};
use crate::thread::{AltStack, Tid, Wait};

const MINSIGSTKSZ: u64 = 2048;

/// The size argument that every call with a signal set has.
fn set_size(size: u64) -> Result<(), Errno> {
    if size == 8 {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

/// rt_sigaction(2). riscv's `struct sigaction` is handler, flags, mask.
pub(crate) fn rt_sigaction(cx: &mut Cx) -> Answer {
    let [number, new, old, size, ..] = cx.args;
    set_size(size)?;
    let number = number as u32;
    if number == 0 || number > SIGMAX || new != 0 && UNBLOCKABLE & bit(number) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let given = if new == 0 {
        None
    } else {
        Some(Action {
            handler: cx.read_u64(new)?,
            flags: cx.read_u64(new.wrapping_add(8))?,
            mask: cx.read_u64(new.wrapping_add(16))? & !UNBLOCKABLE,
        })
    };
    let before = cx.thread().actions.borrow().of(number);
    if old != 0 {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&before.handler.to_le_bytes());
        bytes[8..16].copy_from_slice(&before.flags.to_le_bytes());
        bytes[16..].copy_from_slice(&before.mask.to_le_bytes());
        cx.write(old, &bytes)?;
    }
    if let Some(action) = given {
        let thread = cx.thread();
        thread.actions.borrow_mut().set(number, action);
        if signal::ignored(thread, number) {
            // What is ignored now is not pending either, blocked or not.
            let pid = thread.pid;
            signal::forget_pending(cx.kernel, pid, bit(number));
        }
    }
    Ok(0)
}

/// rt_sigprocmask(2).
pub(crate) fn rt_sigprocmask(cx: &mut Cx) -> Answer {
    let [how, new, old, size, ..] = cx.args;
    set_size(size)?;
    let mask = cx.thread().mask;
    if new != 0 {
        let set = cx.read_u64(new)?;
        let changed = match how as u32 {
            0 => mask | set,
            1 => mask & !set,
            2 => set,
            _ => return Err(Errno::EINVAL.into()),
        };
        let tid = cx.tid;
        signal::set_mask(cx.kernel, tid, changed);
    }
    if old != 0 {
        cx.write(old, &mask.to_le_bytes())?;
    }
    Ok(0)
}

/// rt_sigpending(2).
pub(crate) fn rt_sigpending(cx: &mut Cx) -> Answer {
    let [at, size, ..] = cx.args;
    if size > 8 {
        return Err(Errno::EINVAL.into());
    }
    let pending: SigSet = signal::pending(cx.kernel, cx.tid) & cx.thread().mask;
    cx.write(at, &pending.to_le_bytes()[..size as usize])?;
    Ok(0)
}

/// rt_sigsuspend(2): only a handler ends it.
pub(crate) fn rt_sigsuspend(cx: &mut Cx) -> Answer {
    let [at, size, ..] = cx.args;
    set_size(size)?;
    if at == 0 {
        return Err(Errno::EFAULT.into());
    }
    signal::temporary_mask(cx, at, size)?;
    Err(Stop::Block(Wait {
        queued: true,
        no_restart: true,
        ..Wait::default()
    }))
}

/// rt_sigtimedwait(2).
pub(crate) fn rt_sigtimedwait(cx: &mut Cx) -> Answer {
    let [set, info_at, timeout, size, ..] = cx.args;
    set_size(size)?;
    let set = cx.read_u64(set)? & !UNBLOCKABLE;
    let timeout = if timeout == 0 {
        None
    } else {
        Some(cx.timespec(timeout)?)
    };
    let tid = cx.tid;
    if let Some(info) = signal::take(cx.kernel, tid, set) {
        if info_at != 0 {
            cx.write(info_at, &info.encode())?;
        }
        return Ok(u64::from(info.signal));
    }
    let deadline = cx.deadline(timeout);
    if cx.expired(deadline) {
        return Err(Errno::EAGAIN.into());
    }
    cx.thread().sigwait = set;
    Err(Stop::Block(Wait {
        deadline,
        queued: true,
        no_restart: true,
        ..Wait::default()
    }))
}

/// rt_sigreturn(2).
pub(crate) fn rt_sigreturn(cx: &mut Cx) -> Answer {
    signal::sigreturn(cx)
}

/// restart_syscall(2): interrupted calls go on by themselves here.
pub(crate) fn restart_syscall(_: &mut Cx) -> Answer {
    Err(Errno::EINTR.into())
}

/// sigaltstack(2).
pub(crate) fn sigaltstack(cx: &mut Cx) -> Answer {
    let [new, old, ..] = cx.args;
    let sp = cx.mm().borrow().hart.x(2);
    let current = cx.thread().alt_stack;
    let given = if new == 0 {
        None
    } else {
        Some((
            cx.read_u64(new)?,
            cx.read_u32(new.wrapping_add(8))?,
            cx.read_u64(new.wrapping_add(16))?,
        ))
    };
    if let Some((base, flags, size)) = given {
        if current.size != 0 && current.holds(sp) {
            return Err(Errno::EPERM.into());
        }
        let stack = match flags & !signal::SS_AUTODISARM {
            signal::SS_DISABLE => AltStack::default(),
            0 | signal::SS_ONSTACK if size < MINSIGSTKSZ => return Err(Errno::ENOMEM.into()),
            0 | signal::SS_ONSTACK => AltStack {
                base,
                size,
                flags: flags & signal::SS_AUTODISARM,
            },
            _ => return Err(Errno::EINVAL.into()),
        };
        cx.thread().alt_stack = stack;
    }
    if old != 0 {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&current.base.to_le_bytes());
        bytes[8..12].copy_from_slice(&current.status(sp).to_le_bytes());
        bytes[16..].copy_from_slice(&current.size.to_le_bytes());
        cx.write(old, &bytes)?;
    }
    Ok(0)
}

/// The signal number argument of kill(2) and its kind: 0 only asks whether
/// the receiver is there.
fn number(signal: u64) -> Result<u32, Errno> {
    let signal = signal as u32;
    if signal > SIGMAX {
        return Err(Errno::EINVAL);
    }
    Ok(signal)
}

/// Whether the caller may send `signal` to a process.
fn may_send(cx: &mut Cx, pid: Tid, signal: u32) -> Result<(), Errno> {
    let (own, session) = (cx.process().credentials.clone(), cx.process().session);
    let Some(target) = cx.kernel.processes.get(&pid) else {
        return Err(Errno::ESRCH);
    };
    let theirs = &target.credentials;
    let same = [own.euid, own.ruid]
        .iter()
        .any(|uid| [theirs.ruid, theirs.suid].contains(uid));
    if own.euid == 0 || same || signal == SIGCONT && target.session == session {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

fn from_caller(cx: &mut Cx, signal: u32) -> SigInfo {
    let (pid, uid) = (cx.thread().pid, cx.process().credentials.ruid);
    SigInfo::user(signal, pid, uid)
}

/// Sends to one process, if the caller may.
pub(super) fn send_to(cx: &mut Cx, pid: Tid, info: SigInfo) -> Answer {
    may_send(cx, pid, info.signal)?;
    if !signal::send(cx.kernel, pid, info) {
        return Err(Errno::EAGAIN.into());
    }
    Ok(0)
}

/// kill(2).
pub(crate) fn kill(cx: &mut Cx) -> Answer {
    let [target, signal, ..] = cx.args;
    let target = target as i32;
    let signal = number(signal)?;
    let info = from_caller(cx, signal);
    if target > 0 {
        if target as Tid == INIT {
            // The box itself listens to nobody.
            return if signal == 0 {
                Ok(0)
            } else {
                Err(Errno::EPERM.into())
            };
        }
        let pid = named(cx, target as u64)?;
        return send_to(cx, pid, info);
    }
    if target == i32::MIN {
        return Err(Errno::ESRCH.into());
    }
    let own = cx.thread().pid;
    let group = match target {
        0 => Some(cx.process().group),
        -1 => None,
        group => Some(group.unsigned_abs()),
    };
    let targets: Vec<Tid> = cx
        .kernel
        .processes
        .values()
        .filter(|p| match group {
            Some(group) => p.group == group,
            None => p.pid != own,
        })
        .map(|p| p.pid)
        .collect();
    let mut result = Err(Errno::ESRCH.into());
    for pid in targets {
        match send_to(cx, pid, info) {
            Ok(_) => result = Ok(0),
            Err(stop) if result.is_err() => result = Err(stop),
            Err(_) => {}
        }
    }
    result
}

/// Sends to one thread: of the process `group`, or of any if that is `None`.
fn send_thread(cx: &mut Cx, group: Option<i32>, tid: i32, info: SigInfo) -> Answer {
    if tid <= 0 || group.is_some_and(|group| group <= 0) {
        return Err(Errno::EINVAL.into());
    }
    let tid = tid as Tid;
    let pid = match cx.kernel.threads.get(&tid) {
        Some(thread) => thread.pid,
        // A zombie has one thread still, as it were.
        None if cx.kernel.processes.contains_key(&tid) => tid,
        None => return Err(Errno::ESRCH.into()),
    };
    if group.is_some_and(|group| group as Tid != pid) {
        return Err(Errno::ESRCH.into());
    }
    may_send(cx, pid, info.signal)?;
    if cx.kernel.threads.contains_key(&tid) && !signal::send_thread(cx.kernel, tid, info) {
        return Err(Errno::EAGAIN.into());
    }
    Ok(0)
}

/// tkill(2).
pub(crate) fn tkill(cx: &mut Cx) -> Answer {
    let [tid, signal, ..] = cx.args;
    let signal = number(signal)?;
    let info = SigInfo {
        code: code::TKILL,
        ..from_caller(cx, signal)
    };
    send_thread(cx, None, tid as i32, info)
}

/// tgkill(2).
pub(crate) fn tgkill(cx: &mut Cx) -> Answer {
    let [pid, tid, signal, ..] = cx.args;
    let signal = number(signal)?;
    let info = SigInfo {
        code: code::TKILL,
        ..from_caller(cx, signal)
    };
    send_thread(cx, Some(pid as i32), tid as i32, info)
}

/// A `siginfo_t` that the guest made.
pub(super) fn given_info(cx: &mut Cx, signal: u32, at: u64) -> Result<SigInfo, Errno> {
    let mut bytes = [0; 40];
    cx.read(at, &mut bytes)?;
    let mut code = [0; 4];
    code.copy_from_slice(&bytes[8..12]);
    let mut rest = [0; 24];
    rest.copy_from_slice(&bytes[16..]);
    Ok(SigInfo {
        signal,
        code: i32::from_le_bytes(code),
        detail: Detail::Raw(rest),
    })
}

/// Only to itself may a process pretend to be the kernel or another sender.
fn honest(info: &SigInfo, own: bool) -> Result<(), Errno> {
    if !own && (info.code >= 0 || info.code == code::TKILL) {
        return Err(Errno::EPERM);
    }
    Ok(())
}

/// rt_sigqueueinfo(2).
pub(crate) fn rt_sigqueueinfo(cx: &mut Cx) -> Answer {
    let [pid, signal, info, ..] = cx.args;
    let signal = number(signal)?;
    let info = given_info(cx, signal, info)?;
    let own = cx.thread().pid;
    honest(&info, pid as Tid == own)?;
    if pid as i32 <= 0 {
        return Err(Errno::ESRCH.into());
    }
    let pid = named(cx, pid)?;
    send_to(cx, pid, info)
}

/// rt_tgsigqueueinfo(2).
pub(crate) fn rt_tgsigqueueinfo(cx: &mut Cx) -> Answer {
    let [pid, tid, signal, info, ..] = cx.args;
    let signal = number(signal)?;
    let info = given_info(cx, signal, info)?;
    let own = cx.thread().pid;
    honest(&info, pid as Tid == own)?;
    send_thread(cx, Some(pid as i32), tid as i32, info)
}
