//! Threads and processes: clone(2), exit(2), pidfd_open(2).

use std::cell::RefCell;
use std::rc::Rc;

use ruse_hart::Registers;

use super::{Answer, Cx, Stop};
use crate::errno::Errno;
use crate::fs::{Description, Fd};
use crate::kernel::INIT;
use crate::pidfd::PidFd;
use crate::process::{Exit, Process, rlimit};
use crate::signal::{SIGMAX, SigInfo, code};
use crate::thread::{Thread, Tid, Wait};

/// Flags of clone(2).
mod flag {
    pub const VM: u64 = 0x100;
    pub const FS: u64 = 0x200;
    pub const FILES: u64 = 0x400;
    pub const SIGHAND: u64 = 0x800;
    pub const PIDFD: u64 = 0x1000;
    pub const PTRACE: u64 = 0x2000;
    pub const VFORK: u64 = 0x4000;
    pub const PARENT: u64 = 0x8000;
    pub const THREAD: u64 = 0x1_0000;
    pub const SYSVSEM: u64 = 0x4_0000;
    pub const SETTLS: u64 = 0x8_0000;
    pub const PARENT_SETTID: u64 = 0x10_0000;
    pub const CHILD_CLEARTID: u64 = 0x20_0000;
    pub const DETACHED: u64 = 0x40_0000;
    pub const UNTRACED: u64 = 0x80_0000;
    pub const CHILD_SETTID: u64 = 0x100_0000;
    pub const IO: u64 = 0x8000_0000;
    pub const CLEAR_SIGHAND: u64 = 0x1_0000_0000;
    /// New namespaces, which need privileges that the box does not give.
    pub const NAMESPACES: u64 = 0x0002_0000 | 0x0200_0000 | 0x7c00_0000 | 0x80;
    pub const KNOWN: u64 = VM
        | FS
        | FILES
        | SIGHAND
        | PIDFD
        | PTRACE
        | VFORK
        | PARENT
        | THREAD
        | SYSVSEM
        | SETTLS
        | PARENT_SETTID
        | CHILD_CLEARTID
        | DETACHED
        | UNTRACED
        | CHILD_SETTID
        | IO
        | CLEAR_SIGHAND
        | NAMESPACES;
}

/// Most processes of one box: each has 2^38 bytes of host addresses, of which
/// a host with 47 bits has 512.
pub(crate) const PROCESSES: usize = 400;
/// Most threads of one box.
pub(crate) const THREADS: usize = 8192;

/// What clone(2) and clone3(2) ask for.
struct Request {
    flags: u64,
    exit_signal: u32,
    /// The child's stack pointer, or 0.
    stack: u64,
    tls: u64,
    parent_tid: u64,
    child_tid: u64,
    pidfd: u64,
}

/// clone(2), with the order of arguments of riscv (`CLONE_BACKWARDS`).
pub(crate) fn clone(cx: &mut Cx) -> Answer {
    let [flags, stack, parent_tid, tls, child_tid, _] = cx.args;
    // The upper half is not looked at, but for clone3.
    let flags = flags & 0xffff_ffff;
    make(
        cx,
        &Request {
            flags: flags & !0xff,
            exit_signal: (flags & 0xff) as u32,
            stack,
            tls,
            parent_tid,
            child_tid,
            pidfd: parent_tid,
        },
    )
}

/// clone3(2).
pub(crate) fn clone3(cx: &mut Cx) -> Answer {
    const SIZE: u64 = 88;
    let [at, size, ..] = cx.args;
    if size < 64 {
        return Err(Errno::EINVAL.into());
    }
    if size > 4096 {
        return Err(Errno::E2BIG.into());
    }
    let bytes = cx.bytes(at, size, 4096)?;
    // What is unknown must not be asked for.
    if bytes.iter().skip(SIZE as usize).any(|&byte| byte != 0) {
        return Err(Errno::E2BIG.into());
    }
    let field = |n: usize| {
        let mut value = [0; 8];
        if let Some(bytes) = bytes.get(8 * n..8 * n + 8) {
            value.copy_from_slice(bytes);
        }
        u64::from_le_bytes(value)
    };
    let [
        flags,
        pidfd,
        child_tid,
        parent_tid,
        exit_signal,
        stack,
        stack_size,
        tls,
    ] = [0, 1, 2, 3, 4, 5, 6, 7].map(field);
    let (set_tid, set_tid_size) = (field(8), field(9));
    if set_tid != 0 || set_tid_size != 0 {
        // Choosing a thread id needs a privilege that the box does not give.
        let invalid = set_tid == 0 || set_tid_size == 0 || set_tid_size > 32;
        return Err(if invalid { Errno::EINVAL } else { Errno::EPERM }.into());
    }
    let invalid = flags & !flag::KNOWN != 0
        || flags & (flag::DETACHED | 0xff & !0x80) != 0
        || exit_signal > u64::from(SIGMAX)
        || (stack == 0) != (stack_size == 0)
        || flags & (flag::THREAD | flag::PARENT) != 0 && exit_signal != 0
        || flags & flag::SIGHAND != 0 && flags & flag::CLEAR_SIGHAND != 0;
    if invalid {
        return Err(Errno::EINVAL.into());
    }
    make(
        cx,
        &Request {
            flags,
            exit_signal: exit_signal as u32,
            stack: stack.wrapping_add(stack_size),
            tls,
            parent_tid,
            child_tid,
            pidfd,
        },
    )
}

fn make(cx: &mut Cx, request: &Request) -> Answer {
    if let Some(earlier) = &cx.earlier {
        return vfork_wait(cx.kernel, cx.tid, earlier.wait.done as Tid);
    }
    let flags = request.flags;
    let has = |bits: u64| flags & bits != 0;
    let invalid = has(flag::THREAD) && !has(flag::SIGHAND)
        || has(flag::SIGHAND) && !has(flag::VM)
        || has(flag::PIDFD) && has(flag::DETACHED)
        || has(flag::PIDFD) && has(flag::PARENT_SETTID) && request.pidfd == request.parent_tid
        || request.exit_signal > SIGMAX;
    if invalid {
        return Err(Errno::EINVAL.into());
    }
    if has(flag::NAMESPACES) {
        return Err(Errno::EPERM.into());
    }
    limits(cx, has(flag::THREAD))?;

    let (tid, pid) = (cx.tid, cx.thread().pid);
    let child = new_thread(cx, request)?;
    let child_tid = child.tid;
    // Everything that can fail comes before the child is known.
    if has(flag::PARENT_SETTID) {
        cx.write(request.parent_tid, &child_tid.to_le_bytes())?;
    }
    let process = (!has(flag::THREAD)).then(|| new_process(cx, request, child_tid, pid));
    if has(flag::PIDFD) {
        let process = process.as_ref().map(|process| Rc::clone(&process.ended));
        let ended = process.unwrap_or_else(|| Rc::clone(&cx.process().ended));
        let fd = add_pidfd(cx, PidFd::new(child.pid, ended), 0)?;
        if let Err(errno) = cx.write(request.pidfd, &fd.to_le_bytes()) {
            let files = cx.files();
            if let Some(slot) = files.borrow_mut().fds.get_mut(fd as usize) {
                *slot = None;
            }
            return Err(errno.into());
        }
    }
    if has(flag::CHILD_SETTID) {
        // Linux does not care either whether that succeeds.
        let mm = Rc::clone(&child.mm);
        let _ = mm
            .borrow_mut()
            .write(request.child_tid, &child_tid.to_le_bytes());
    }
    cx.kernel.adopt(child, process);
    if has(flag::VFORK) {
        return vfork_wait(cx.kernel, tid, child_tid);
    }
    Ok(u64::from(child_tid))
}

/// Fork bombs end here.
fn limits(cx: &mut Cx, thread: bool) -> Result<(), Errno> {
    let threads = cx.kernel.threads.len();
    let processes = cx.kernel.processes.len();
    let limit = cx.process().rlimit(rlimit::NPROC).0;
    let privileged = cx.process().credentials.euid == 0;
    if threads >= THREADS
        || !thread && processes >= PROCESSES
        || !privileged && threads as u64 >= limit
    {
        log::debug!("{threads} threads in {processes} processes: no more of them");
        return Err(Errno::EAGAIN);
    }
    Ok(())
}

/// The child, which is not known to anybody yet.
fn new_thread(cx: &mut Cx, request: &Request) -> Result<Thread, Errno> {
    let flags = request.flags;
    let has = |bits: u64| flags & bits != 0;
    let mm = cx.mm();
    let mut registers: Registers = mm.borrow().hart.registers();
    let child_mm = if has(flag::VM) {
        mm
    } else {
        let mut copy = mm.borrow().fork()?;
        copy.loaded = None;
        Rc::new(RefCell::new(copy))
    };
    registers.pc = registers.pc.wrapping_add(4);
    registers.x[10] = 0;
    if request.stack != 0 {
        registers.x[2] = request.stack;
    }
    if has(flag::SETTLS) {
        registers.x[4] = request.tls;
    }

    let child_tid = cx.kernel.new_tid();
    let parent = cx.thread();
    let files = if has(flag::FILES) {
        Rc::clone(&parent.files)
    } else {
        Rc::new(RefCell::new(parent.files.borrow().clone()))
    };
    let place = if has(flag::FS) {
        Rc::clone(&parent.place)
    } else {
        Rc::new(RefCell::new(parent.place.borrow().clone()))
    };
    let pid = if has(flag::THREAD) {
        parent.pid
    } else {
        child_tid
    };
    let mut child = Thread::new(child_tid, pid, child_mm, files, place);
    child.actions = if has(flag::SIGHAND) {
        Rc::clone(&parent.actions)
    } else {
        let mut actions = parent.actions.borrow().clone();
        if has(flag::CLEAR_SIGHAND) {
            actions.forget_handlers();
        }
        Rc::new(RefCell::new(actions))
    };
    child.regs = registers;
    child.mask = parent.mask;
    child.name.clone_from(&parent.name);
    child.policy = parent.policy;
    child.nice = parent.nice;
    child.slack = parent.slack;
    // A thread that shares memory but not for vfork must not share the
    // alternate stack.
    if !has(flag::VM) || has(flag::VFORK) {
        child.alt_stack = parent.alt_stack;
    }
    if has(flag::CHILD_CLEARTID) {
        child.clear_child_tid = request.child_tid;
    }
    if has(flag::VFORK) {
        child.vfork_parent = Some(parent.tid);
    }
    Ok(child)
}

/// The process of a child that is no mere thread.
fn new_process(cx: &mut Cx, request: &Request, pid: Tid, caller: Tid) -> Process {
    let now = cx.kernel.now();
    let first = cx.kernel.first;
    let old = cx.process();
    // The parent of the first process is not there to have further children.
    let sibling = request.flags & flag::PARENT != 0 && caller != first;
    let parent = if sibling { old.parent } else { caller };
    let mut new = Process::new(pid, parent, now);
    new.group = old.group;
    new.session = old.session;
    new.exit_signal = if request.flags & flag::PARENT != 0 {
        old.exit_signal
    } else {
        request.exit_signal
    };
    new.exe.clone_from(&old.exe);
    new.cmdline.clone_from(&old.cmdline);
    new.environ.clone_from(&old.environ);
    new.auxv.clone_from(&old.auxv);
    new.rlimits.clone_from(&old.rlimits);
    new.credentials = old.credentials.clone();
    new.dumpable = old.dumpable;
    new.no_new_privs = old.no_new_privs;
    new
}

/// The parent of a vfork waits until the child execs or ends.
fn vfork_wait(kernel: &crate::kernel::Kernel, parent: Tid, child: Tid) -> Answer {
    let waits = kernel
        .threads
        .get(&child)
        .is_some_and(|thread| thread.vfork_parent == Some(parent));
    if !waits {
        return Ok(u64::from(child));
    }
    Err(Stop::Block(Wait {
        done: u64::from(child),
        queued: true,
        killable: true,
        ..Wait::default()
    }))
}

/// exit(2): of one thread.
pub(crate) fn exit(cx: &mut Cx) -> Answer {
    let exit = Exit::Code(cx.args[0] as u8);
    let (tid, pid) = (cx.tid, cx.thread().pid);
    if tid == pid {
        cx.process().leader_code = cx.args[0] as u8;
    }
    if cx.kernel.config.strace {
        crate::strace::ended(cx.kernel, tid, exit);
    }
    cx.kernel.end_thread(tid);
    Err(Stop::Done)
}

/// exit_group(2): of all threads of the process.
pub(crate) fn exit_group(cx: &mut Cx) -> Answer {
    let (pid, code) = (cx.thread().pid, cx.args[0] as u8);
    cx.kernel.end_group(pid, Exit::Code(code));
    Err(Stop::Done)
}

/// set_tid_address(2).
pub(crate) fn set_tid_address(cx: &mut Cx) -> Answer {
    cx.thread().clear_child_tid = cx.args[0];
    Ok(u64::from(cx.tid))
}

/// getpid(2).
pub(crate) fn getpid(cx: &mut Cx) -> Answer {
    Ok(u64::from(cx.thread().pid))
}

/// gettid(2).
pub(crate) fn gettid(cx: &mut Cx) -> Answer {
    Ok(u64::from(cx.tid))
}

/// getppid(2).
pub(crate) fn getppid(cx: &mut Cx) -> Answer {
    Ok(u64::from(cx.process().parent))
}

fn add_pidfd(cx: &mut Cx, file: PidFd, flags: u32) -> Result<i32, Errno> {
    const O_RDWR: u32 = 2;
    let description = Description::new(
        Rc::new(file),
        O_RDWR | flags,
        b"anon_inode:[pidfd]".to_vec(),
    );
    let limit = cx.process().rlimit(rlimit::NOFILE).0;
    let files = cx.files();
    let fd = Fd {
        description,
        cloexec: true,
    };
    files.borrow_mut().add(fd, 0, limit as usize)
}

/// pidfd_open(2).
pub(crate) fn pidfd_open(cx: &mut Cx) -> Answer {
    const PIDFD_NONBLOCK: u64 = 0o4000;
    let [pid, flags, ..] = cx.args;
    let pid = pid as i32;
    if pid <= 0 || flags & 0xffff_ffff & !PIDFD_NONBLOCK != 0 {
        return Err(Errno::EINVAL.into());
    }
    let pid = pid as Tid;
    let Some(process) = cx.kernel.processes.get(&pid) else {
        let thread = cx.kernel.threads.contains_key(&pid);
        return Err(if thread { Errno::EINVAL } else { Errno::ESRCH }.into());
    };
    let ended = Rc::clone(&process.ended);
    let fd = add_pidfd(cx, PidFd::new(pid, ended), flags as u32)?;
    Ok(fd as u64)
}

/// The process behind a pidfd.
pub(super) fn process_of(cx: &mut Cx, fd: u64) -> Result<Tid, Errno> {
    let description = cx.file(fd)?;
    let pidfd = description.file.as_any().downcast_ref::<PidFd>();
    pidfd.map(PidFd::pid).ok_or(Errno::EBADF)
}

/// The same, or behind an open directory /proc/PID.
fn process_or_directory_of(cx: &mut Cx, fd: u64) -> Result<Tid, Errno> {
    let description = cx.file(fd)?;
    let name = description.path.strip_prefix(b"/proc/");
    let pid = name
        .and_then(|name| std::str::from_utf8(name).ok())
        .and_then(|name| name.parse().ok());
    match pid {
        Some(pid) if description.file.directory().is_some() => Ok(pid),
        _ => process_of(cx, fd),
    }
}

/// pidfd_send_signal(2).
pub(crate) fn pidfd_send_signal(cx: &mut Cx) -> Answer {
    let [fd, signal, info, flags, ..] = cx.args;
    if flags as u32 != 0 || signal > u64::from(SIGMAX) {
        return Err(Errno::EINVAL.into());
    }
    let pid = process_or_directory_of(cx, fd)?;
    let (own, uid) = (cx.thread().pid, cx.process().credentials.ruid);
    let info = if info == 0 {
        SigInfo::user(signal as u32, own, uid)
    } else {
        let info = super::signal::given_info(cx, signal as u32, info)?;
        // Only to itself may it pretend to be somebody else.
        if pid != own && (info.code >= 0 || info.code == code::TKILL) {
            return Err(Errno::EPERM.into());
        }
        info
    };
    super::signal::send_to(cx, pid, info)
}

/// pidfd_getfd(2): the box's processes may look into each other.
pub(crate) fn pidfd_getfd(cx: &mut Cx) -> Answer {
    let [fd, target, flags, ..] = cx.args;
    if flags as u32 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let pid = process_of(cx, fd)?;
    let description = cx
        .kernel
        .processes
        .get(&pid)
        .and_then(|process| cx.kernel.threads.get(process.threads.first()?))
        .ok_or(Errno::ESRCH)?
        .files
        .borrow()
        .get(target as i32)?;
    let limit = cx.process().rlimit(rlimit::NOFILE).0;
    let files = cx.files();
    let fd = Fd {
        description,
        cloexec: true,
    };
    let fd = files.borrow_mut().add(fd, 0, limit as usize)?;
    Ok(fd as u64)
}

/// The process that a pid argument names, 0 for the caller's.
pub(super) fn named(cx: &mut Cx, pid: u64) -> Result<Tid, Errno> {
    let pid = pid as i32;
    if pid == 0 {
        return Ok(cx.thread().pid);
    }
    let pid = Tid::try_from(pid).map_err(|_| Errno::ESRCH)?;
    match cx.kernel.processes.get(&pid) {
        Some(_) if pid != INIT => Ok(pid),
        _ => cx
            .kernel
            .threads
            .get(&pid)
            .map(|thread| thread.pid)
            .ok_or(Errno::ESRCH),
    }
}
