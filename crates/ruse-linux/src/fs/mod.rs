//! Files as the guest sees them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::syscall::{Answer, Cx, Stop};
use crate::thread::Tid;

mod attributes;
mod change;
mod console;
pub(crate) mod counter;
mod dev;
mod dirent;
pub(crate) mod epoll;
mod fifo;
mod host;
mod hostfile;
mod hostio;
mod ldisc;
mod lock;
pub(crate) mod memory;
mod mount;
mod news;
mod ops;
mod os;
pub(crate) mod pipe;
mod proc;
pub(crate) mod pty;
pub(crate) mod signalfd;
mod single;
mod stdio;
mod termios;
#[cfg(test)]
mod tests;
pub(crate) mod tty;
mod vfs;
mod walk;

pub(crate) use change::{Change, Time, Times, allowed};
pub(crate) use dirent::{Directory, Entry, KernelDirectory, d_type};
pub(crate) use lock::{Lock, Locks, Owner};
pub(crate) use memory::MemoryFile;
pub(crate) use mount::StatFs;
pub(crate) use news::News;
pub(crate) use ops::{Base, PathOnly, name_of};
pub(crate) use stdio::standard_files;
pub(crate) use vfs::{Vfs, Who};
pub(crate) use walk::{Rules, within};

/// A request for readiness, and readiness itself: `POLLIN` and the like.
pub(crate) type Interest = u16;
pub(crate) const POLLIN: u16 = 0x1;
pub(crate) const POLLPRI: u16 = 0x2;
pub(crate) const POLLOUT: u16 = 0x4;
pub(crate) const POLLERR: u16 = 0x8;
pub(crate) const POLLHUP: u16 = 0x10;
pub(crate) const POLLNVAL: u16 = 0x20;
pub(crate) const POLLRDNORM: u16 = 0x40;
pub(crate) const POLLRDBAND: u16 = 0x80;
pub(crate) const POLLWRNORM: u16 = 0x100;
pub(crate) const POLLWRBAND: u16 = 0x200;
pub(crate) const POLLRDHUP: u16 = 0x2000;

// Open flags of asm-generic (`include/uapi/asm-generic/fcntl.h`).
pub(crate) const O_ACCMODE: u32 = 3;
pub(crate) const O_RDONLY: u32 = 0;
pub(crate) const O_WRONLY: u32 = 1;
pub(crate) const O_RDWR: u32 = 2;
pub(crate) const O_CREAT: u32 = 0o100;
pub(crate) const O_EXCL: u32 = 0o200;
pub(crate) const O_NOCTTY: u32 = 0o400;
pub(crate) const O_TRUNC: u32 = 0o1000;
pub(crate) const O_APPEND: u32 = 0o2000;
pub(crate) const O_NONBLOCK: u32 = 0o4000;
pub(crate) const O_DSYNC: u32 = 0o10000;
pub(crate) const O_ASYNC: u32 = 0o20000;
pub(crate) const O_DIRECT: u32 = 0o40000;
pub(crate) const O_LARGEFILE: u32 = 0o100000;
pub(crate) const O_DIRECTORY: u32 = 0o200000;
pub(crate) const O_NOFOLLOW: u32 = 0o400000;
pub(crate) const O_NOATIME: u32 = 0o1000000;
pub(crate) const O_CLOEXEC: u32 = 0o2000000;
pub(crate) const O_SYNC: u32 = 0o4010000;
pub(crate) const O_PATH: u32 = 0o10000000;
pub(crate) const O_TMPFILE: u32 = 0o20000000 | O_DIRECTORY;

// File types in `st_mode`.
pub(crate) const S_IFMT: u32 = 0o170000;
pub(crate) const S_IFSOCK: u32 = 0o140000;
pub(crate) const S_IFLNK: u32 = 0o120000;
pub(crate) const S_IFREG: u32 = 0o100000;
pub(crate) const S_IFBLK: u32 = 0o060000;
pub(crate) const S_IFDIR: u32 = 0o040000;
pub(crate) const S_IFCHR: u32 = 0o020000;
pub(crate) const S_IFIFO: u32 = 0o010000;

/// `struct stat`, before it is laid out.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Stat {
    pub dev: u64,
    pub ino: u64,
    /// Type and permissions: `S_IFREG | 0o644`.
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u64,
    pub size: u64,
    pub blksize: u32,
    /// In units of 512 bytes.
    pub blocks: u64,
    /// Seconds and nanoseconds since 1970.
    pub atime: (i64, u32),
    pub mtime: (i64, u32),
    pub ctime: (i64, u32),
    /// When it was made, where the host knows.
    pub btime: Option<(i64, u32)>,
}

impl Stat {
    /// `S_IFREG` and the like.
    pub(crate) fn kind(&self) -> u32 {
        self.mode & S_IFMT
    }

    /// Whether it is a directory.
    pub(crate) fn is_dir(&self) -> bool {
        self.kind() == S_IFDIR
    }
}

/// What is about to be done to a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    Read,
    Write,
    Poll,
}

/// An open file, directory, pipe, socket, ... Calls never block the host
/// thread: what cannot be done now fails with EAGAIN, and the system call
/// layer waits, also where the description is not `O_NONBLOCK`.
pub(crate) trait File {
    /// Reads from a stream, or at `offset` where the file has positions.
    fn read(&self, _offset: u64, _out: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::EINVAL)
    }
    /// Writes to a stream, or at `offset` where the file has positions.
    fn write(&self, _offset: u64, _bytes: &[u8]) -> Result<usize, Errno> {
        Err(Errno::EINVAL)
    }
    /// Like `read`, for files whose contents come from the kernel.
    fn read_in(&self, _kernel: &mut Kernel, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        self.read(offset, out)
    }
    /// Like `write`, for files that change something in the kernel.
    fn write_in(&self, _kernel: &mut Kernel, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.write(offset, bytes)
    }
    /// Whether the file has positions: reads and writes move the
    /// description's offset.
    fn seekable(&self) -> bool {
        false
    }
    fn stat(&self) -> Result<Stat, Errno>;
    /// ftruncate(2).
    fn truncate(&self, _size: u64) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }
    /// fsync(2), or fdatasync(2).
    fn sync(&self, _only_data: bool) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }
    /// fallocate(2) with these `FALLOC_FL_*`.
    fn allocate(&self, _mode: u32, _offset: u64, _len: u64) -> Result<(), Errno> {
        Err(Errno::ENODEV)
    }
    /// Where the next data (`hole`: hole) begins, from `offset` on: lseek(2)
    /// with `SEEK_DATA` and `SEEK_HOLE`.
    fn seek(&self, offset: u64, hole: bool) -> Result<u64, Errno> {
        let size = self.stat()?.size;
        match offset < size {
            true if hole => Ok(size),
            true => Ok(offset),
            false => Err(Errno::ENXIO),
        }
    }
    /// fchmod(2), fchown(2), futimens(3).
    fn change(&self, _change: &Change) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
    /// The directory that it is.
    fn directory(&self) -> Option<&Directory> {
        None
    }
    /// What readlink shows for its entry in /proc/PID/fd, if not the path.
    fn label(&self) -> Option<String> {
        None
    }
    /// What can be done now without waiting.
    fn poll(&self) -> Interest {
        POLLIN | POLLOUT
    }
    /// Called on behalf of a system call before `read`, `write` or `poll`, for
    /// files whose answer depends on who asks (terminals, signalfd). An error
    /// is the system call's answer.
    fn ask(&self, _kernel: &mut Kernel, _tid: Tid, _what: Ask) -> Result<(), Stop> {
        Ok(())
    }
    /// ioctl(2), but for the requests that any file answers (FIOCLEX, FIONBIO).
    fn ioctl(&self, _cx: &mut Cx, _file: &Description, _request: u32, _argument: u64) -> Answer {
        Err(Errno::ENOTTY.into())
    }
    /// Whether epoll takes it: whether it can be not ready.
    fn pollable(&self) -> bool {
        false
    }
    /// Counts news, so that edge-triggered epoll can tell them from old ones.
    fn edges(&self) -> u64 {
        0
    }
    /// The socket that it is.
    fn socket(&self) -> Option<&dyn crate::net::Socket> {
        None
    }
    /// The file beneath, for what only one kind of file can do.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// An open file description (open(2)): what file descriptors refer to.
pub(crate) struct Description {
    pub file: Rc<dyn File>,
    /// Access mode and status flags: `O_RDWR | O_APPEND`, ...
    pub flags: Cell<u32>,
    pub offset: Cell<u64>,
    /// The guest path it was opened by, for /proc and messages.
    pub path: Vec<u8>,
}

impl Description {
    /// A file just opened: at offset 0.
    pub(crate) fn new(file: Rc<dyn File>, flags: u32, path: Vec<u8>) -> Rc<Self> {
        Rc::new(Self {
            file,
            flags: Cell::new(flags),
            offset: Cell::new(0),
            path,
        })
    }

    /// Whether it was opened for reading.
    pub(crate) fn readable(&self) -> bool {
        let flags = self.flags.get();
        flags & O_PATH == 0 && flags & O_ACCMODE != O_WRONLY
    }

    /// Whether it was opened for writing.
    pub(crate) fn writable(&self) -> bool {
        let flags = self.flags.get();
        flags & O_PATH == 0 && flags & O_ACCMODE != O_RDONLY
    }
}

/// A file descriptor.
#[derive(Clone)]
pub(crate) struct Fd {
    pub description: Rc<Description>,
    pub cloexec: bool,
}

/// The file descriptors of a process.
#[derive(Clone, Default)]
pub(crate) struct Files {
    pub fds: Vec<Option<Fd>>,
}

impl Files {
    /// Whether a descriptor below `limit` is free.
    pub(crate) fn has_room(&self, limit: usize) -> bool {
        self.fds.len() < limit || self.fds[..limit].iter().any(Option::is_none)
    }

    /// The open file description behind `fd`.
    pub(crate) fn get(&self, fd: i32) -> Result<Rc<Description>, Errno> {
        usize::try_from(fd)
            .ok()
            .and_then(|fd| self.fds.get(fd)?.as_ref())
            .map(|fd| Rc::clone(&fd.description))
            .ok_or(Errno::EBADF)
    }

    /// The lowest free descriptor from `from`, now in use.
    pub(crate) fn add(&mut self, fd: Fd, from: usize, limit: usize) -> Result<i32, Errno> {
        let free = (from..limit)
            .find(|&n| self.fds.get(n).is_none_or(Option::is_none))
            .ok_or(Errno::EMFILE)?;
        if self.fds.len() <= free {
            self.fds.resize(free + 1, None);
        }
        self.fds[free] = Some(fd);
        Ok(free as i32)
    }
}

/// A directory that somebody stands in or holds open: where it is now. It
/// follows renames by guests of any directory above.
pub(crate) struct Where {
    /// An absolute guest path without symbolic links or dots.
    pub path: RefCell<Vec<u8>>,
    /// Whether it was removed.
    pub gone: Cell<bool>,
}

/// Where a process is in the file system (clone(2) with `CLONE_FS` shares it).
#[derive(Clone)]
pub(crate) struct Place {
    pub cwd: Rc<Where>,
    /// What it sees as `/` (chroot(2)).
    pub root: Rc<Where>,
    pub umask: u32,
}

impl Place {
    /// In the root directory of the box.
    pub(crate) fn new() -> Self {
        let root = Rc::new(Where {
            path: RefCell::new(b"/".to_vec()),
            gone: Cell::new(false),
        });
        Self {
            cwd: Rc::clone(&root),
            root,
            umask: 0o022,
        }
    }
}
