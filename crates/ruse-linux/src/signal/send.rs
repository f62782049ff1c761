//! From whoever sends a signal to the thread that will act on it.

use super::{
    DEFAULT, Detail, IGNORE, QUIET, SIGCONT, SIGKILL, STOPS, SigInfo, SigSet, UNBLOCKABLE, bit,
};
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::process::{Report, rlimit};
use crate::syscall::Cx;
use crate::thread::{Thread, Tid};

/// Sends a signal to a process: any of its threads may act on it. False if
/// there is no such process or its queue is full.
pub(crate) fn send(kernel: &mut Kernel, pid: Tid, info: SigInfo) -> bool {
    if kernel
        .processes
        .get(&pid)
        .is_none_or(|p| p.threads.is_empty())
    {
        // A zombie takes signals and does nothing.
        return kernel.processes.contains_key(&pid);
    }
    if !prepare(kernel, pid, info.signal) || discarded(kernel, pid, None, info.signal) {
        return true;
    }
    let Some(process) = kernel.processes.get_mut(&pid) else {
        return false;
    };
    let most = process.rlimit(rlimit::SIGPENDING).0;
    if info.signal >= super::SIGRTMIN && process.pending.queue.len() as u64 >= most {
        return false;
    }
    process.pending.push(info);
    choose(kernel, pid, bit(info.signal));
    kernel.stir();
    true
}

/// Sends a signal to one thread. False if there is none or its queue is full.
pub(crate) fn send_thread(kernel: &mut Kernel, tid: Tid, info: SigInfo) -> bool {
    let Some(pid) = kernel.threads.get(&tid).map(|thread| thread.pid) else {
        return false;
    };
    if !prepare(kernel, pid, info.signal) || discarded(kernel, pid, Some(tid), info.signal) {
        return true;
    }
    let most = kernel
        .processes
        .get(&pid)
        .map_or(0, |p| p.rlimit(rlimit::SIGPENDING).0);
    let Some(thread) = kernel.threads.get_mut(&tid) else {
        return false;
    };
    if info.signal >= super::SIGRTMIN && thread.pending.queue.len() as u64 >= most {
        return false;
    }
    thread.pending.push(info);
    if wants(thread, bit(info.signal)) {
        kernel.alert(tid);
    }
    kernel.stir();
    true
}

/// Sends a signal to every process of a group. False if there is none.
pub(crate) fn send_group(kernel: &mut Kernel, group: Tid, info: SigInfo) -> bool {
    let members: Vec<Tid> = kernel
        .processes
        .values()
        .filter(|process| process.group == group)
        .map(|process| process.pid)
        .collect();
    for &pid in &members {
        send(kernel, pid, info);
    }
    !members.is_empty()
}

/// A fault of the thread itself: cannot be blocked or ignored.
pub(crate) fn force(kernel: &mut Kernel, tid: Tid, info: SigInfo) {
    let Some(thread) = kernel.threads.get_mut(&tid) else {
        return;
    };
    let which = bit(info.signal);
    let mut actions = thread.actions.borrow_mut();
    if thread.mask & which != 0 || actions.of(info.signal).handler == IGNORE {
        actions.set(info.signal, super::Action::default());
        thread.mask &= !which;
    }
    drop(actions);
    thread.pending.drop_all(which);
    thread.pending.push(info);
    kernel.alert(tid);
}

/// What sending does besides: continuing stopped processes, and taking back
/// what contradicts it. False if nothing is left to be done.
fn prepare(kernel: &mut Kernel, pid: Tid, signal: u32) -> bool {
    if signal == 0 {
        return false;
    }
    let (undone, resume) = match signal {
        SIGCONT => (STOPS, true),
        SIGKILL => (0, true),
        _ if STOPS & bit(signal) != 0 => (bit(SIGCONT), false),
        _ => return true,
    };
    let Some(process) = kernel.processes.get_mut(&pid) else {
        return false;
    };
    process.pending.drop_all(undone);
    let was_stopped = resume && process.stopped.take().is_some();
    let threads = process.threads.clone();
    if was_stopped && signal == SIGCONT {
        process.report = Some(Report::Continued);
    }
    for tid in threads {
        if let Some(thread) = kernel.threads.get_mut(&tid) {
            thread.pending.drop_all(undone);
        }
        if was_stopped {
            kernel.resume(tid);
        }
    }
    if was_stopped && signal == SIGCONT {
        kernel.tell_parent_of_report(pid, Report::Continued);
    }
    true
}

/// Whether a signal is thrown away at once: ignored, and nobody blocks it.
fn discarded(kernel: &Kernel, pid: Tid, tid: Option<Tid>, signal: u32) -> bool {
    let Some(process) = kernel.processes.get(&pid) else {
        return true;
    };
    // Of a process its first thread decides, as in Linux.
    let Some(thread) = tid
        .or_else(|| process.threads.first().copied())
        .and_then(|tid| kernel.threads.get(&tid))
    else {
        return true;
    };
    (thread.mask | thread.saved_mask.unwrap_or(0) | thread.sigwait) & bit(signal) == 0
        && ignored(thread, signal)
}

/// Whether a signal would do nothing to a thread that does not block it.
pub(crate) fn ignored(thread: &Thread, signal: u32) -> bool {
    match thread.actions.borrow().of(signal).handler {
        IGNORE => UNBLOCKABLE & bit(signal) == 0,
        DEFAULT => QUIET & bit(signal) != 0,
        _ => false,
    }
}

fn wants(thread: &Thread, signals: SigSet) -> bool {
    (!thread.mask | thread.sigwait) & signals != 0
}

/// Finds a thread that acts on signals that are pending for its process.
fn choose(kernel: &mut Kernel, pid: Tid, signals: SigSet) {
    let Some(process) = kernel.processes.get(&pid) else {
        return;
    };
    let chosen = process
        .threads
        .iter()
        .copied()
        .find(|tid| kernel.threads.get(tid).is_some_and(|t| wants(t, signals)));
    if let Some(tid) = chosen {
        kernel.alert(tid);
    }
}

/// A thread blocks signals now, or is gone: another one acts on them.
pub(crate) fn retarget(kernel: &mut Kernel, pid: Tid, signals: SigSet) {
    let Some(process) = kernel.processes.get(&pid) else {
        return;
    };
    let mut left = process.pending.set & signals;
    while left != 0 {
        let one = left & left.wrapping_neg();
        choose(kernel, pid, one);
        left &= !one;
    }
}

/// Changes which signals a thread blocks.
pub(crate) fn set_mask(kernel: &mut Kernel, tid: Tid, mask: SigSet) {
    let mask = mask & !UNBLOCKABLE;
    let Some(thread) = kernel.threads.get_mut(&tid) else {
        return;
    };
    let blocked_now = mask & !thread.mask;
    let unblocked_now = thread.mask & !mask;
    thread.mask = mask;
    let pid = thread.pid;
    if unblocked_now != 0 {
        let shared = kernel.processes.get(&pid).map_or(0, |p| p.pending.set);
        if let Some(thread) = kernel.threads.get_mut(&tid)
            && (thread.pending.set | shared) & unblocked_now != 0
        {
            thread.attention = true;
        }
    }
    if blocked_now != 0 {
        retarget(kernel, pid, blocked_now);
    }
}

/// For the time of one system call the mask is that at `at` (ppoll, pselect6,
/// epoll_pwait, sigsuspend); nothing changes if `at` is null, or when the call
/// is tried again. The kernel restores it.
pub(crate) fn temporary_mask(cx: &mut Cx, at: u64, size: u64) -> Result<(), Errno> {
    if at == 0 || cx.earlier.is_some() {
        return Ok(());
    }
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    let mask = cx.read_u64(at)?;
    let thread = cx.thread();
    thread.saved_mask = Some(thread.mask);
    let tid = cx.tid;
    set_mask(cx.kernel, tid, mask);
    Ok(())
}

/// The signals that are pending for a thread, blocked or not.
pub(crate) fn pending(kernel: &Kernel, tid: Tid) -> SigSet {
    kernel.threads.get(&tid).map_or(0, |thread| {
        let shared = kernel
            .processes
            .get(&thread.pid)
            .map_or(0, |p| p.pending.set);
        thread.pending.set | shared
    })
}

/// Signals of a process and its threads that are not to be acted on any more.
pub(crate) fn forget_pending(kernel: &mut Kernel, pid: Tid, which: SigSet) {
    let Some(process) = kernel.processes.get_mut(&pid) else {
        return;
    };
    process.pending.drop_all(which);
    for tid in &process.threads {
        if let Some(thread) = kernel.threads.get_mut(tid) {
            thread.pending.drop_all(which);
        }
    }
}

/// Takes one of the signals in `from` that is pending for a thread
/// (sigtimedwait, signalfd, delivery).
pub(crate) fn take(kernel: &mut Kernel, tid: Tid, from: SigSet) -> Option<SigInfo> {
    let thread = kernel.threads.get_mut(&tid)?;
    let process = kernel.processes.get_mut(&thread.pid)?;
    let mut info = if process.pending.set & from & bit(SIGKILL) != 0 {
        process.pending.take(bit(SIGKILL))?
    } else {
        thread
            .pending
            .take(from)
            .or_else(|| process.pending.take(from))?
    };
    if let Detail::Timer { id, overrun, .. } = &mut info.detail {
        *overrun = process.timers.delivered(*id);
    }
    Some(info)
}
