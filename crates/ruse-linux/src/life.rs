//! How threads and processes end, and who learns of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::kernel::{INIT, Kernel};
use crate::process::{Exit, Report};
use crate::sched::Due;
use crate::signal::{self, Detail, IGNORE, SIGCHLD, SIGCONT, SIGHUP, SigInfo, code, sa};
use crate::thread::Tid;

/// Clock ticks a second, as times(2) and `siginfo_t` count.
pub(crate) const TICKS: u64 = 100;

/// Time in clock ticks.
pub(crate) fn ticks(time: Duration) -> u64 {
    (time.as_millis() as u64) / (1000 / TICKS)
}

impl Kernel {
    /// All threads of a process end; it ends like this.
    pub(crate) fn end_group(&mut self, pid: Tid, exit: Exit) {
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        process.exit.get_or_insert(exit);
        for tid in process.threads.clone() {
            if self.config.strace {
                crate::strace::ended(self, tid, exit);
            }
            self.end_thread(tid);
        }
    }

    /// A thread ends, and with the last one its process.
    pub(crate) fn end_thread(&mut self, tid: Tid) {
        self.unblock(tid);
        crate::futex::thread_ends(self, tid);
        let Some(thread) = self.threads.remove(&tid) else {
            return;
        };
        {
            let mut mm = thread.mm.borrow_mut();
            if mm.loaded == Some(tid) {
                mm.loaded = None;
            }
        }
        let vfork_parent = thread.vfork_parent;
        let pid = thread.pid;
        let running = match self.running {
            Some((running, since)) if running == tid => self.now().saturating_sub(since),
            _ => Duration::ZERO,
        };
        let shared = if let Some(process) = self.processes.get_mut(&pid) {
            process.threads.retain(|&other| other != tid);
            process.retired += thread.retired;
            process.cpu += thread.cpu + running;
            process.pending.set
        } else {
            0
        };
        // Its descriptors are closed here, unless others share them.
        drop(thread);
        if let Some(parent) = vfork_parent {
            self.nudge(parent);
        }
        let empty = self
            .processes
            .get(&pid)
            .is_some_and(|process| process.threads.is_empty());
        if empty {
            self.end_process(pid);
        } else if shared != 0 {
            signal::retarget(self, pid, shared);
        }
        self.stir();
    }

    /// A process has no threads left.
    fn end_process(&mut self, pid: Tid) {
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        let exit = *process.exit.get_or_insert(Exit::Code(process.leader_code));
        process.ended.set(true);
        process.stopped = None;
        process.report = None;
        let (parent, group, signal) = (process.parent, process.group, process.exit_signal);
        let leads = process.session == pid;
        let children = std::mem::take(&mut process.children);
        if let Some(at) = process.intervals[0].next.take() {
            self.sched.cancel(at, Due::Interval(pid));
        }
        crate::timer::forget(self, pid);
        if leads {
            crate::fs::tty::session_ended(self, pid);
        }
        self.orphan(pid, children);
        self.hang_up_if_orphaned(group, pid);
        if pid == self.first {
            self.first_ended(exit);
        }
        if parent == INIT || !self.processes.contains_key(&parent) {
            self.reap(pid);
            return;
        }
        let action = self.action(parent, SIGCHLD);
        let unwanted =
            signal == SIGCHLD && (action.handler == IGNORE || action.flags & sa::NOCLDWAIT != 0);
        if signal != 0 {
            let (code, status) = match exit {
                Exit::Code(code) => (code::CLD_EXITED, u32::from(code)),
                Exit::Signal(signal) => (code::CLD_KILLED, signal),
            };
            let info = self.child_info(pid, signal, code, status);
            signal::send(self, parent, info);
        }
        if unwanted {
            self.reap(pid);
        }
        self.wake_waiters(parent);
    }

    /// What a process does on a signal.
    fn action(&self, pid: Tid, signal: u32) -> signal::Action {
        self.processes
            .get(&pid)
            .and_then(|process| self.threads.get(process.threads.first()?))
            .map(|thread| thread.actions.borrow().of(signal))
            .unwrap_or_default()
    }

    fn child_info(&self, pid: Tid, signal: u32, code: i32, status: u32) -> SigInfo {
        let (uid, user) = self
            .processes
            .get(&pid)
            .map_or((0, Duration::ZERO), |p| (p.credentials.ruid, p.cpu));
        SigInfo {
            signal,
            code,
            detail: Detail::Child {
                pid,
                uid,
                status,
                user: ticks(user),
                system: 0,
            },
        }
    }

    /// A process stopped or goes on: its parent learns of it.
    pub(crate) fn tell_parent_of_report(&mut self, pid: Tid, report: Report) {
        let Some(parent) = self.processes.get(&pid).map(|process| process.parent) else {
            return;
        };
        let action = self.action(parent, SIGCHLD);
        if action.handler != IGNORE && action.flags & sa::NOCLDSTOP == 0 {
            let (code, status) = match report {
                Report::Stopped(signal) => (code::CLD_STOPPED, signal),
                Report::Continued => (code::CLD_CONTINUED, SIGCONT),
            };
            let info = self.child_info(pid, SIGCHLD, code, status);
            signal::send(self, parent, info);
        }
        self.wake_waiters(parent);
    }

    /// The threads of a process that wait for children look again.
    fn wake_waiters(&mut self, pid: Tid) {
        let Some(process) = self.processes.get(&pid) else {
            return;
        };
        for tid in process.threads.clone() {
            let waits = self
                .threads
                .get(&tid)
                .and_then(|thread| thread.blocked())
                .is_some_and(|b| {
                    matches!(b.number, crate::syscall::WAIT4 | crate::syscall::WAITID)
                });
            if waits {
                self.nudge(tid);
            }
        }
    }

    /// Forgets a process that ended. Its time is the parent's to report if
    /// the parent waited for it.
    pub(crate) fn reap(&mut self, pid: Tid) {
        let Some(process) = self.processes.remove(&pid) else {
            return;
        };
        if let Some(parent) = self.processes.get_mut(&process.parent) {
            parent.children.retain(|&child| child != pid);
            parent.children_retired += process.retired + process.children_retired;
            parent.children_cpu += process.cpu + process.children_cpu;
        }
    }

    /// Children whose parent ended get another one.
    fn orphan(&mut self, pid: Tid, children: Vec<Tid>) {
        let mut heir = self.processes.get(&pid).map_or(INIT, |p| p.parent);
        while let Some(process) = self.processes.get(&heir) {
            if process.subreaper && !process.threads.is_empty() {
                break;
            }
            heir = process.parent;
        }
        for child in children {
            let Some(process) = self.processes.get_mut(&child) else {
                continue;
            };
            process.parent = heir;
            let (dead, group) = (process.ended.get(), process.group);
            let threads = process.threads.clone();
            if let Some(heir) = self.processes.get_mut(&heir) {
                heir.children.push(child);
            }
            if dead && heir == INIT {
                self.reap(child);
                continue;
            }
            if dead {
                self.wake_waiters(heir);
            }
            for tid in threads {
                let death = self.threads.get(&tid).map_or(0, |t| t.death_signal);
                if death != 0 {
                    signal::send_thread(self, tid, SigInfo::user(death, pid, 0));
                }
            }
            self.hang_up_if_orphaned(group, 0);
        }
    }

    /// Whether nobody in its session but outside of it looks after a process
    /// group (POSIX "orphaned process group").
    pub(crate) fn orphaned(&self, group: Tid) -> bool {
        self.orphaned_without(group, 0)
    }

    fn orphaned_without(&self, group: Tid, gone: Tid) -> bool {
        !self.processes.values().any(|process| {
            process.group == group
                && process.pid != gone
                && !process.ended.get()
                && self
                    .processes
                    .get(&process.parent)
                    .is_some_and(|p| p.session == process.session && p.group != group)
        })
    }

    /// A newly orphaned process group with a stopped process would stay so
    /// for ever: it is told.
    fn hang_up_if_orphaned(&mut self, group: Tid, gone: Tid) {
        let stopped = self
            .processes
            .values()
            .any(|process| process.group == group && process.stopped.is_some());
        if stopped && self.orphaned_without(group, gone) {
            signal::send_group(self, group, SigInfo::kernel(SIGHUP));
            signal::send_group(self, group, SigInfo::kernel(SIGCONT));
        }
    }

    /// execve(2) is past the point of no return: the calling thread is alone
    /// in its process, has its id, and shares with no other process but its
    /// memory, which is the caller's to replace. Descriptors that are to be
    /// closed are closed, signal handlers are gone. Gives the thread's id from now on.
    pub(crate) fn begin_image(&mut self, tid: Tid) -> Tid {
        let Some(pid) = self.threads.get(&tid).map(|thread| thread.pid) else {
            return tid;
        };
        self.trace_result(tid, Ok(0));
        let others: Vec<Tid> = self
            .processes
            .get(&pid)
            .map(|p| p.threads.iter().copied().filter(|&t| t != tid).collect())
            .unwrap_or_default();
        for other in others {
            self.end_thread(other);
        }
        crate::futex::thread_ends(self, tid);
        crate::timer::forget(self, pid);
        let Some(mut thread) = self.threads.remove(&tid) else {
            return tid;
        };
        {
            let mut mm = thread.mm.borrow_mut();
            if mm.loaded == Some(tid) {
                mm.loaded = Some(pid);
            }
        }
        thread.tid = pid;
        thread.death_signal = 0;
        thread.alt_stack = Default::default();
        let mut actions = thread.actions.borrow().clone();
        actions.forget_handlers();
        thread.actions = Rc::new(RefCell::new(actions));
        let mut files = thread.files.borrow().clone();
        for fd in &mut files.fds {
            if fd.as_ref().is_some_and(|fd| fd.cloexec) {
                *fd = None;
            }
        }
        thread.files = Rc::new(RefCell::new(files));
        let place = thread.place.borrow().clone();
        thread.place = Rc::new(RefCell::new(place));
        let vfork_parent = thread.vfork_parent.take();
        self.threads.insert(pid, thread);
        if let Some(parent) = vfork_parent {
            self.nudge(parent);
        }
        if let Some(process) = self.processes.get_mut(&pid) {
            process.threads = vec![pid];
            process.execed = true;
            process.dumpable = 1;
            process.credentials.keep = false;
            process.exit_signal = SIGCHLD;
        }
        if tid != pid {
            // The turn of the old id ends here.
            self.running = None;
            self.resume(pid);
        }
        self.stir();
        pid
    }

    /// The state of a thread, as /proc shows it.
    #[allow(dead_code)]
    pub(crate) fn state_letter(&self, tid: Tid) -> char {
        match self.threads.get(&tid) {
            None => 'Z',
            Some(thread) => {
                let stopped = self
                    .processes
                    .get(&thread.pid)
                    .is_some_and(|process| process.stopped.is_some());
                match thread.blocked() {
                    _ if stopped => 'T',
                    Some(_) => 'S',
                    None => 'R',
                }
            }
        }
    }

    /// Host time that a process used so far.
    pub(crate) fn process_cpu(&self, pid: Tid) -> Duration {
        let Some(process) = self.processes.get(&pid) else {
            return Duration::ZERO;
        };
        process
            .threads
            .iter()
            .map(|&tid| self.thread_cpu(tid))
            .fold(process.cpu, |sum, cpu| sum + cpu)
    }

    /// Host time that a thread used so far.
    pub(crate) fn thread_cpu(&self, tid: Tid) -> Duration {
        let cpu = self.threads.get(&tid).map_or(Duration::ZERO, |t| t.cpu);
        match self.running {
            Some((running, since)) if running == tid => {
                cpu + self.host.monotonic().saturating_sub(since)
            }
            _ => cpu,
        }
    }
}
