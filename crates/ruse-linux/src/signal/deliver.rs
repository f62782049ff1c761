//! What pending signals do to a thread (`kernel/signal.c`, `get_signal`, and
//! `arch/riscv/kernel/signal.c` of Linux).

use super::{
    DEFAULT, IGNORE, QUIET, SIGKILL, SIGSEGV, SIGSTOP, STOPS, SigInfo, bit, frame, sa, set_mask,
    take,
};
use crate::abi;
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::process::{Exit, Report};
use crate::thread::{Blocked, State, Tid};

/// Lets a thread act on the signals that are due, before it runs guest code
/// or goes on waiting. A handler ends the system call that it waits in.
/// Whether the thread is there and its process is not stopped.
pub(crate) fn deliver(kernel: &mut Kernel, tid: Tid) -> bool {
    loop {
        let Some(thread) = kernel.threads.get_mut(&tid) else {
            return false;
        };
        let (pid, unblocked) = (thread.pid, !thread.mask);
        let kill_only = thread.blocked().is_some_and(|b| b.wait.killable);
        let Some(process) = kernel.processes.get(&pid) else {
            return false;
        };
        if process.stopped.is_some() {
            // `attention` stays.
            return false;
        }
        if kill_only {
            let due = (thread.pending.set | process.pending.set) & bit(SIGKILL);
            if due != 0 {
                kernel.end_group(pid, Exit::Signal(SIGKILL));
            }
            return due == 0;
        }
        let Some(info) = take(kernel, tid, unblocked) else {
            break;
        };
        let Some(thread) = kernel.threads.get_mut(&tid) else {
            return false;
        };
        let action = thread.actions.borrow().of(info.signal);
        if kernel.config.strace {
            crate::strace::signal(kernel, tid, &info);
        }
        match action.handler {
            IGNORE => {}
            DEFAULT if QUIET & bit(info.signal) != 0 => {}
            DEFAULT if STOPS & bit(info.signal) != 0 => {
                let orphaned = kernel.processes.get(&pid).is_some_and(|p| {
                    kernel.orphaned(p.group) && !kernel.outside_continues(p.group)
                });
                if info.signal == SIGSTOP || !orphaned {
                    if kernel.config.strace {
                        crate::strace::stopped(kernel, tid, info.signal);
                    }
                    stop(kernel, pid, info.signal);
                }
            }
            DEFAULT => {
                log::debug!("process {pid} is killed by {info:?}");
                kernel.end_group(pid, Exit::Signal(info.signal));
                return false;
            }
            _ => handle(kernel, tid, info, action),
        }
    }
    let Some(thread) = kernel.threads.get_mut(&tid) else {
        return false;
    };
    thread.attention = false;
    if matches!(thread.state, State::Ready)
        && let Some(mask) = thread.saved_mask.take()
    {
        set_mask(kernel, tid, mask);
    }
    true
}

/// Enters a handler.
fn handle(kernel: &mut Kernel, tid: Tid, info: SigInfo, action: super::Action) {
    kernel.load(tid);
    if let Some(blocked) = kernel.unblock(tid) {
        interrupt(kernel, tid, blocked, action.flags);
    }
    let Some(thread) = kernel.threads.get_mut(&tid) else {
        return;
    };
    if action.flags & sa::RESETHAND != 0 {
        thread
            .actions
            .borrow_mut()
            .set(info.signal, super::Action::default());
    }
    let old = thread.saved_mask.take().unwrap_or(thread.mask);
    if frame::push(thread, &info, &action, old).is_err() {
        // The stack cannot take the frame: that is a fault which its own
        // handler cannot catch if it is this one.
        if info.signal == SIGSEGV {
            thread
                .actions
                .borrow_mut()
                .set(SIGSEGV, super::Action::default());
        }
        thread.saved_mask = (old != thread.mask).then_some(old);
        super::force(kernel, tid, SigInfo::kernel(SIGSEGV));
        return;
    }
    let mut mask = thread.mask | action.mask;
    if action.flags & sa::NODEFER == 0 {
        mask |= bit(info.signal);
    }
    set_mask(kernel, tid, mask);
}

/// A handler ends the system call in which its thread waited: with what was
/// done, or EINTR; or the call starts again after the handler. The registers
/// are in the hart.
fn interrupt(kernel: &mut Kernel, tid: Tid, blocked: Blocked, flags: u64) {
    let wait = &blocked.wait;
    if wait.done == 0 && !wait.no_restart && flags & sa::RESTART != 0 {
        return kernel.trace_result(tid, Err(Errno(512)));
    }
    if wait.remain != 0 {
        let left = wait
            .deadline
            .map_or_else(Default::default, |at| at.saturating_sub(kernel.now()));
        if let Some(thread) = kernel.threads.get(&tid) {
            let mm = std::rc::Rc::clone(&thread.mm);
            // Linux ignores the failure, too: EINTR is told all the same.
            let _ = mm.borrow_mut().write(wait.remain, &abi::timespec(left));
        }
    }
    let result = if wait.done == 0 {
        Err(Errno::EINTR)
    } else {
        Ok(wait.done)
    };
    kernel.finish_interrupted(tid, result);
}

/// Stops a process.
fn stop(kernel: &mut Kernel, pid: Tid, signal: u32) {
    let Some(process) = kernel.processes.get_mut(&pid) else {
        return;
    };
    process.stopped = Some(signal);
    process.report = Some(Report::Stopped(signal));
    for tid in process.threads.clone() {
        if let Some(thread) = kernel.threads.get_mut(&tid) {
            thread.attention = true;
        }
    }
    kernel.tell_parent_of_report(pid, Report::Stopped(signal));
}
