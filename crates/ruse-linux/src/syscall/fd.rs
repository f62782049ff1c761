//! File descriptors: close, dup, fcntl, ioctl, locks.

use std::rc::Rc;

use super::{Answer, Cx};
use crate::errno::Errno;
use crate::fs::{
    Description, Fd, Lock, Locks, MemoryFile, O_APPEND, O_ASYNC, O_CLOEXEC, O_DIRECT, O_NOATIME,
    O_NONBLOCK, O_PATH, O_RDWR, Owner, memory,
};
use crate::process::rlimit;
use crate::thread::Wait;

impl Cx<'_> {
    /// The limit on descriptors (`RLIMIT_NOFILE`).
    pub(crate) fn fd_limit(&mut self) -> usize {
        let (soft, _) = self.process().rlimit(rlimit::NOFILE);
        usize::try_from(soft).unwrap_or(usize::MAX).min(1 << 20)
    }

    /// Gives an open file the lowest free descriptor.
    pub(crate) fn install(&mut self, description: Rc<Description>, cloexec: bool) -> Answer {
        let limit = self.fd_limit();
        let fd = Fd {
            description,
            cloexec,
        };
        Ok(self.files().borrow_mut().add(fd, 0, limit)? as u64)
    }

    /// What closing a descriptor brings with it, besides what the file itself
    /// does when nobody holds it any more.
    pub(crate) fn closed(&mut self, fd: Fd) {
        if self.kernel.vfs.locks.is_empty() {
            return;
        }
        let pid = self.thread().pid;
        let file = fd.description;
        if let Ok(stat) = file.file.stat() {
            self.kernel
                .vfs
                .locks
                .release_process(pid, stat.dev, stat.ino);
        }
        drop(file);
        // Who waits for a lock looks again.
        self.kernel.stir();
    }
}

pub(crate) fn close(cx: &mut Cx) -> Answer {
    let fd = cx.args[0] as i32;
    let closed = usize::try_from(fd)
        .ok()
        .and_then(|fd| cx.files().borrow_mut().fds.get_mut(fd)?.take())
        .ok_or(Errno::EBADF)?;
    cx.closed(closed);
    Ok(0)
}

pub(crate) fn close_range(cx: &mut Cx) -> Answer {
    const UNSHARE: u64 = 2;
    const CLOEXEC: u64 = 4;
    let [first, last, flags, ..] = cx.args;
    let (first, last) = (first as u32, last as u32);
    if flags & !(UNSHARE | CLOEXEC) != 0 || first > last {
        return Err(Errno::EINVAL.into());
    }
    if flags & UNSHARE != 0 {
        let own = cx.files().borrow().clone();
        cx.thread().files = Rc::new(std::cell::RefCell::new(own));
    }
    let files = cx.files();
    let end = files.borrow().fds.len().min(last as usize + 1);
    for fd in first as usize..end {
        if flags & CLOEXEC != 0 {
            if let Some(Some(fd)) = files.borrow_mut().fds.get_mut(fd) {
                fd.cloexec = true;
            }
            continue;
        }
        let closed = files.borrow_mut().fds.get_mut(fd).and_then(Option::take);
        if let Some(closed) = closed {
            cx.closed(closed);
        }
    }
    Ok(0)
}

pub(crate) fn dup(cx: &mut Cx) -> Answer {
    let file = cx.file(cx.args[0])?;
    cx.install(file, false)
}

pub(crate) fn dup3(cx: &mut Cx) -> Answer {
    let [old, new, flags, ..] = cx.args;
    if flags as u32 & !O_CLOEXEC != 0 || old as i32 == new as i32 {
        return Err(Errno::EINVAL.into());
    }
    let description = cx.file(old)?;
    let new = usize::try_from(new as i32).map_err(|_| Errno::EBADF)?;
    if new >= cx.fd_limit() {
        return Err(Errno::EBADF.into());
    }
    let files = cx.files();
    let replaced = {
        let mut files = files.borrow_mut();
        if files.fds.len() <= new {
            files.fds.resize(new + 1, None);
        }
        files.fds[new].replace(Fd {
            description,
            cloexec: flags as u32 & O_CLOEXEC != 0,
        })
    };
    if let Some(replaced) = replaced {
        cx.closed(replaced);
    }
    Ok(new as u64)
}

mod cmd {
    pub(super) const F_DUPFD: u32 = 0;
    pub(super) const F_GETFD: u32 = 1;
    pub(super) const F_SETFD: u32 = 2;
    pub(super) const F_GETFL: u32 = 3;
    pub(super) const F_SETFL: u32 = 4;
    pub(super) const F_GETLK: u32 = 5;
    pub(super) const F_SETLK: u32 = 6;
    pub(super) const F_SETLKW: u32 = 7;
    pub(super) const F_SETOWN: u32 = 8;
    pub(super) const F_GETOWN: u32 = 9;
    pub(super) const F_OFD_GETLK: u32 = 36;
    pub(super) const F_OFD_SETLK: u32 = 37;
    pub(super) const F_OFD_SETLKW: u32 = 38;
    pub(super) const F_GETLEASE: u32 = 1025;
    pub(super) const F_DUPFD_CLOEXEC: u32 = 1030;
    pub(super) const F_SETPIPE_SZ: u32 = 1031;
    pub(super) const F_GETPIPE_SZ: u32 = 1032;
    pub(super) const F_ADD_SEALS: u32 = 1033;
    pub(super) const F_GET_SEALS: u32 = 1034;
}
use cmd::*;

const F_UNLCK: u16 = 2;
const F_WRLCK: u16 = 1;
const F_RDLCK: u16 = 0;

pub(crate) fn fcntl(cx: &mut Cx) -> Answer {
    let [fd, command, arg, ..] = cx.args;
    let command = command as u32;
    let file = cx.file(fd)?;
    let only_path = file.flags.get() & O_PATH != 0;
    if only_path
        && !matches!(
            command,
            F_DUPFD | F_DUPFD_CLOEXEC | F_GETFD | F_SETFD | F_GETFL
        )
    {
        return Err(Errno::EBADF.into());
    }
    let slot = fd as usize;
    match command {
        F_DUPFD | F_DUPFD_CLOEXEC => {
            let limit = cx.fd_limit();
            let from = usize::try_from(arg as i32).map_err(|_| Errno::EINVAL)?;
            if from >= limit {
                return Err(Errno::EINVAL.into());
            }
            let fd = Fd {
                description: file,
                cloexec: command == F_DUPFD_CLOEXEC,
            };
            Ok(cx.files().borrow_mut().add(fd, from, limit)? as u64)
        }
        F_GETFD => {
            let files = cx.files();
            let files = files.borrow();
            let fd = files.fds.get(slot).and_then(Option::as_ref);
            Ok(u64::from(fd.is_some_and(|fd| fd.cloexec)))
        }
        F_SETFD => {
            if let Some(Some(fd)) = cx.files().borrow_mut().fds.get_mut(slot) {
                fd.cloexec = arg & 1 != 0;
            }
            Ok(0)
        }
        F_GETFL => Ok(u64::from(file.flags.get())),
        F_SETFL => {
            const CAN: u32 = O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK;
            file.flags.set(file.flags.get() & !CAN | arg as u32 & CAN);
            Ok(0)
        }
        F_GETLK | F_SETLK | F_SETLKW | F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW => {
            record_lock(cx, &file, command, arg)
        }
        // Nobody is told by SIGIO here; that nobody is, is the default.
        F_GETOWN => Ok(0),
        F_SETOWN if arg as i32 == 0 || file.file.pollable() => Ok(0),
        F_GETLEASE => Ok(u64::from(F_UNLCK)),
        F_GETPIPE_SZ | F_SETPIPE_SZ => {
            let end = file
                .file
                .as_any()
                .downcast_ref::<crate::fs::pipe::PipeEnd>()
                .ok_or(Errno::EBADF)?;
            Ok(if command == F_GETPIPE_SZ {
                end.capacity() as u64
            } else {
                end.set_capacity(arg)? as u64
            })
        }
        F_ADD_SEALS | F_GET_SEALS => {
            let memory = file
                .file
                .as_any()
                .downcast_ref::<MemoryFile>()
                .ok_or(Errno::EINVAL)?;
            if command == F_GET_SEALS {
                return Ok(u64::from(memory.seals.get()));
            }
            if !file.writable() || memory.seals.get() & memory::F_SEAL_SEAL != 0 {
                return Err(Errno::EPERM.into());
            }
            if arg as u32 & !memory::F_SEALS != 0 {
                return Err(Errno::EINVAL.into());
            }
            memory.seals.set(memory.seals.get() | arg as u32);
            Ok(0)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

/// `struct flock` against the table of locks.
fn record_lock(cx: &mut Cx, file: &Rc<Description>, command: u32, va: u64) -> Answer {
    let bytes = cx.bytes(va, 32, 32)?;
    let word = |at: usize| {
        bytes[at..at + 8]
            .iter()
            .rev()
            .fold(0_u64, |word, &b| word << 8 | u64::from(b)) as i64
    };
    let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let (kind, whence, start, len) = (half(0), half(2), word(8), word(16));
    let pid_field = word(24) as i32;
    let base = match whence {
        0 => 0,
        1 => file.offset.get() as i64,
        2 => file.file.stat()?.size as i64,
        _ => return Err(Errno::EINVAL.into()),
    };
    let start = base.checked_add(start).ok_or(Errno::EOVERFLOW)?;
    let (start, end) = match len {
        0 => (start, i64::MAX),
        len if len > 0 => (start, start.checked_add(len).ok_or(Errno::EOVERFLOW)?),
        len => (start.checked_add(len).ok_or(Errno::EINVAL)?, start),
    };
    if start < 0 || end < start {
        return Err(Errno::EINVAL.into());
    }
    let of_process = matches!(command, F_GETLK | F_SETLK | F_SETLKW);
    if !of_process && pid_field != 0 {
        return Err(Errno::EINVAL.into());
    }
    let owner = if of_process {
        Owner::Process(cx.thread().pid)
    } else {
        Locks::description(file)
    };
    let wanted = Lock {
        owner,
        exclusive: kind == F_WRLCK,
        start: start as u64,
        end: end as u64,
    };
    let stat = file.file.stat()?;
    let key = (stat.dev, stat.ino, false);
    let locks = &cx.kernel.vfs.locks;
    match (kind, command) {
        (F_RDLCK | F_WRLCK, F_GETLK | F_OFD_GETLK) => {
            let mut out = bytes.clone();
            match locks.conflict(cx.kernel, key, &wanted) {
                None => out[0..2].copy_from_slice(&F_UNLCK.to_le_bytes()),
                Some(lock) => {
                    let kind = if lock.exclusive { F_WRLCK } else { F_RDLCK };
                    let len = match lock.end {
                        end if end == i64::MAX as u64 => 0,
                        end => end - lock.start,
                    };
                    let pid: i32 = match lock.owner {
                        Owner::Process(pid) => pid as i32,
                        Owner::Description(_) => -1,
                    };
                    out[0..2].copy_from_slice(&kind.to_le_bytes());
                    out[2..4].copy_from_slice(&[0, 0]);
                    out[8..16].copy_from_slice(&lock.start.to_le_bytes());
                    out[16..24].copy_from_slice(&len.to_le_bytes());
                    out[24..28].copy_from_slice(&pid.to_le_bytes());
                }
            }
            cx.write(va, &out)?;
            Ok(0)
        }
        (_, F_GETLK | F_OFD_GETLK) => Err(Errno::EINVAL.into()),
        (F_UNLCK, _) => {
            locks.set(key, wanted, true);
            cx.kernel.stir();
            Ok(0)
        }
        (F_RDLCK | F_WRLCK, _) => {
            let allowed = match kind {
                F_RDLCK => file.readable(),
                _ => file.writable(),
            };
            if !allowed {
                return Err(Errno::EBADF.into());
            }
            if locks.conflict(cx.kernel, key, &wanted).is_some() {
                return match command {
                    F_SETLKW | F_OFD_SETLKW => Err(super::Stop::Block(Wait::events())),
                    _ => Err(Errno::EAGAIN.into()),
                };
            }
            locks.set(key, wanted, false);
            cx.kernel.stir();
            Ok(0)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(crate) fn flock(cx: &mut Cx) -> Answer {
    const LOCK_SH: u64 = 1;
    const LOCK_EX: u64 = 2;
    const LOCK_NB: u64 = 4;
    const LOCK_UN: u64 = 8;
    let [fd, operation, ..] = cx.args;
    let file = cx.file(fd)?;
    if file.flags.get() & O_PATH != 0 {
        return Err(Errno::EBADF.into());
    }
    let stat = file.file.stat()?;
    let key = (stat.dev, stat.ino, true);
    let wanted = Lock {
        owner: Locks::description(&file),
        exclusive: operation & LOCK_EX != 0,
        start: 0,
        end: u64::MAX,
    };
    let locks = &cx.kernel.vfs.locks;
    match operation & !LOCK_NB {
        LOCK_UN => {
            locks.set(key, wanted, true);
            cx.kernel.stir();
        }
        LOCK_SH | LOCK_EX => {
            if locks.conflict(cx.kernel, key, &wanted).is_some() {
                return if operation & LOCK_NB != 0 {
                    Err(Errno::EAGAIN.into())
                } else {
                    Err(super::Stop::Block(Wait::events()))
                };
            }
            locks.set(key, wanted, false);
            cx.kernel.stir();
        }
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

/// ioctl(2): what every file answers; the rest is the file's own.
pub(crate) fn ioctl(cx: &mut Cx) -> Answer {
    const FIONCLEX: u32 = 0x5450;
    const FIOCLEX: u32 = 0x5451;
    const FIONBIO: u32 = 0x5421;
    const FIOASYNC: u32 = 0x5452;
    const FIONREAD: u32 = 0x541b;
    let [fd, request, arg, ..] = cx.args;
    let request = request as u32;
    let file = cx.file(fd)?;
    if file.flags.get() & O_PATH != 0 {
        return Err(Errno::EBADF.into());
    }
    match request {
        FIOCLEX | FIONCLEX => {
            if let Some(Some(fd)) = cx.files().borrow_mut().fds.get_mut(fd as usize) {
                fd.cloexec = request == FIOCLEX;
            }
            Ok(0)
        }
        FIONBIO | FIOASYNC => {
            let flag = if request == FIONBIO {
                O_NONBLOCK
            } else {
                O_ASYNC
            };
            let on = cx.read_u32(arg)? != 0;
            let flags = file.flags.get();
            file.flags
                .set(if on { flags | flag } else { flags & !flag });
            Ok(0)
        }
        FIONREAD if file.file.stat()?.kind() == crate::fs::S_IFREG => {
            let left = file.file.stat()?.size.saturating_sub(file.offset.get());
            cx.write(arg, &(left.min(i32::MAX as u64) as u32).to_le_bytes())?;
            Ok(0)
        }
        _ => file.file.ioctl(cx, &file, request, arg),
    }
}

pub(crate) fn memfd_create(cx: &mut Cx) -> Answer {
    const CLOEXEC: u64 = 1;
    const ALLOW_SEALING: u64 = 2;
    const NOEXEC_SEAL: u64 = 8;
    const EXEC: u64 = 16;
    let [name, flags, ..] = cx.args;
    if flags & !(CLOEXEC | ALLOW_SEALING | NOEXEC_SEAL | EXEC) != 0
        || flags & (NOEXEC_SEAL | EXEC) == NOEXEC_SEAL | EXEC
    {
        return Err(Errno::EINVAL.into());
    }
    let name = match cx.string(name, 250) {
        Err(Errno::ENAMETOOLONG) => return Err(Errno::EINVAL.into()),
        name => name?,
    };
    let seals = match flags & (ALLOW_SEALING | NOEXEC_SEAL) {
        0 => memory::F_SEAL_SEAL,
        _ => 0,
    };
    let now = cx.kernel.host.realtime();
    let now = (now.as_secs() as i64, now.subsec_nanos());
    let path = [b"/memfd:", &name[..]].concat();
    let file = MemoryFile::new(name, cx.kernel.vfs.number(), seals, now);
    let description = Description::new(Rc::new(file), O_RDWR, path);
    cx.install(description, flags & CLOEXEC != 0)
}
