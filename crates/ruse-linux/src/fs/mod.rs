//! Files as the guest sees them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::syscall::{Answer, Cx, Stop};
use crate::thread::Tid;

/// A request for readiness, and readiness itself: `POLLIN` and the like.
pub(crate) type Interest = u16;
pub(crate) const POLLIN: u16 = 0x1;
pub(crate) const POLLPRI: u16 = 0x2;
pub(crate) const POLLOUT: u16 = 0x4;
pub(crate) const POLLERR: u16 = 0x8;
pub(crate) const POLLHUP: u16 = 0x10;
pub(crate) const POLLNVAL: u16 = 0x20;
pub(crate) const POLLRDHUP: u16 = 0x2000;

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
    /// Whether the file has positions: reads and writes move the
    /// description's offset.
    fn seekable(&self) -> bool {
        false
    }
    fn stat(&self) -> Result<Stat, Errno>;
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
    fn ioctl(&self, _cx: &mut Cx, _request: u32, _argument: u64) -> Answer {
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

/// Where a process is in the file system.
#[derive(Clone)]
pub(crate) struct Place {
    /// The working directory, an absolute guest path.
    pub cwd: Vec<u8>,
    pub umask: u32,
}

/// Shared file system state of all guests.
pub(crate) struct Vfs {
    #[allow(dead_code)]
    mounts: RefCell<()>,
}

impl Vfs {
    /// The box that `config` describes.
    pub(crate) fn new(_config: &crate::config::Config) -> Result<Self, crate::error::LinuxError> {
        Ok(Self {
            mounts: RefCell::new(()),
        })
    }
}
