//! The system calls: one table, one file a family.
//!
//! A line of the table gives number, name, function, and how strace shows the
//! arguments. Numbers are those of Linux's `asm-generic/unistd.h`.

mod process;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::errno::Errno;
use crate::fs::{Description, Files};
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::process::Process;
use crate::thread::{Blocked, Thread, Tid, Wait};

/// Why a system call has no result.
pub(crate) enum Stop {
    /// It failed.
    Errno(Errno),
    /// It waits; it will be tried again from its start.
    Block(Wait),
    /// The thread does not go on after the ECALL (exit, exec, sigreturn): its
    /// registers are as they should be.
    Done,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// What a system call gives.
pub(crate) type Answer = Result<u64, Stop>;

/// A system call being executed: the kernel, and who called.
pub(crate) struct Cx<'k> {
    pub kernel: &'k mut Kernel,
    pub tid: Tid,
    pub number: u64,
    pub args: [u64; 6],
    /// What it waited for, if it is tried again.
    pub earlier: Option<Blocked>,
}

impl<'k> Cx<'k> {
    pub(crate) fn new(
        kernel: &'k mut Kernel,
        tid: Tid,
        number: u64,
        args: [u64; 6],
        earlier: Option<Blocked>,
    ) -> Self {
        Self {
            kernel,
            tid,
            number,
            args,
            earlier,
        }
    }

    /// The calling thread.
    pub(crate) fn thread(&mut self) -> &mut Thread {
        let tid = self.tid;
        self.kernel
            .threads
            .get_mut(&tid)
            .unwrap_or_else(|| unreachable!("a caller is a thread"))
    }

    /// The calling process.
    pub(crate) fn process(&mut self) -> &mut Process {
        let pid = self.thread().pid;
        self.kernel
            .processes
            .get_mut(&pid)
            .unwrap_or_else(|| unreachable!("a thread has a process"))
    }

    /// The caller's memory. Its registers are in the hart.
    pub(crate) fn mm(&mut self) -> Rc<RefCell<Mm>> {
        Rc::clone(&self.thread().mm)
    }

    /// The caller's file descriptors.
    pub(crate) fn files(&mut self) -> Rc<RefCell<Files>> {
        Rc::clone(&self.thread().files)
    }

    /// The open file description behind a descriptor argument.
    pub(crate) fn file(&mut self, fd: u64) -> Result<Rc<Description>, Errno> {
        self.files().borrow().get(fd as i32)
    }

    pub(crate) fn read(&mut self, va: u64, out: &mut [u8]) -> Result<(), Errno> {
        self.mm().borrow_mut().read(va, out)
    }

    pub(crate) fn write(&mut self, va: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.mm().borrow_mut().write(va, bytes)
    }

    pub(crate) fn read_u64(&mut self, va: u64) -> Result<u64, Errno> {
        let mut bytes = [0; 8];
        self.read(va, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn read_u32(&mut self, va: u64) -> Result<u32, Errno> {
        let mut bytes = [0; 4];
        self.read(va, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// `len` bytes, of which there may be up to `most`.
    pub(crate) fn bytes(&mut self, va: u64, len: u64, most: u64) -> Result<Vec<u8>, Errno> {
        if len > most {
            return Err(Errno::EINVAL);
        }
        let mut bytes = vec![0; len as usize];
        self.read(va, &mut bytes)?;
        Ok(bytes)
    }

    /// A NUL-terminated string of fewer than `most` bytes.
    pub(crate) fn string(&mut self, va: u64, most: usize) -> Result<Vec<u8>, Errno> {
        let mut text = Vec::new();
        let mut at = va;
        while text.len() < most {
            // Not across pages: the next one may be out of bounds.
            let mut chunk = [0; 64];
            let len = 64.min(4096 - (at & 4095)) as usize;
            self.read(at, &mut chunk[..len])?;
            if let Some(end) = chunk[..len].iter().position(|&b| b == 0) {
                text.extend_from_slice(&chunk[..end]);
                return if text.len() < most {
                    Ok(text)
                } else {
                    Err(Errno::ENAMETOOLONG)
                };
            }
            text.extend_from_slice(&chunk[..len]);
            at = at.wrapping_add(len as u64);
        }
        Err(Errno::ENAMETOOLONG)
    }

    /// A path argument.
    pub(crate) fn path(&mut self, va: u64) -> Result<Vec<u8>, Errno> {
        self.string(va, 4096)
    }

    /// A `struct timespec` argument.
    pub(crate) fn timespec(&mut self, va: u64) -> Result<Duration, Errno> {
        let (secs, nanos) = (self.read_u64(va)?, self.read_u64(va.wrapping_add(8))?);
        if secs > i64::MAX as u64 || nanos >= 1_000_000_000 {
            return Err(Errno::EINVAL);
        }
        Ok(Duration::new(secs, nanos as u32))
    }

    /// When a wait of `timeout` ends that began when the call was first
    /// tried; `None` waits for ever.
    pub(crate) fn deadline(&self, timeout: Option<Duration>) -> Option<Duration> {
        match &self.earlier {
            Some(earlier) => earlier.wait.deadline,
            None => timeout.map(|timeout| self.kernel.host.monotonic().saturating_add(timeout)),
        }
    }

    /// Whether `deadline` has passed.
    pub(crate) fn expired(&self, deadline: Option<Duration>) -> bool {
        deadline.is_some_and(|at| at <= self.kernel.host.monotonic())
    }

    /// Whether the call waited in a queue and was let go.
    pub(crate) fn woken(&self) -> bool {
        self.earlier.as_ref().is_some_and(|earlier| earlier.woken)
    }
}

type Call = fn(&mut Cx) -> Answer;

macro_rules! calls {
    ($( $number:literal $name:ident $module:ident::$function:ident $shape:literal; )*) => {
        /// Name, function and argument shape of a system call.
        pub(crate) fn find(number: u64) -> Option<(&'static str, Call, &'static str)> {
            match number {
                $( $number => Some((stringify!($name), $module::$function, $shape)), )*
                _ => None,
            }
        }
    };
}

// Shapes, one letter an argument: i int, u unsigned, x hexadecimal, p pointer,
// s string, b bytes whose length is the next argument, B bytes as many as the
// result, f descriptor, d directory descriptor (AT_FDCWD), o open flags,
// m mode, P protection, M mmap flags, S signal, t timespec.
calls! {
    93 exit process::exit "i";
    94 exit_group process::exit_group "i";
}

/// Executes a system call.
pub(crate) fn dispatch(cx: &mut Cx) -> Answer {
    match find(cx.number) {
        Some((_, call, _)) => call(cx),
        None => {
            if cx.kernel.unknown.insert(cx.number) {
                log::warn!("system call {} is unknown: ENOSYS", cx.number);
            }
            Err(Errno::ENOSYS.into())
        }
    }
}
