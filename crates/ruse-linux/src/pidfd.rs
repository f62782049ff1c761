//! Files that stand for processes (pidfd_open(2)): readable once the process
//! ended.

use std::cell::Cell;
use std::rc::Rc;

use crate::errno::Errno;
use crate::fs::{File, Interest, POLLIN, Stat};
use crate::thread::Tid;

/// A process as a file.
pub(crate) struct PidFd {
    pid: Tid,
    ended: Rc<Cell<bool>>,
}

impl PidFd {
    /// `ended` becomes true when the process has no threads left.
    pub(crate) fn new(pid: Tid, ended: Rc<Cell<bool>>) -> Self {
        Self { pid, ended }
    }

    /// Which process.
    pub(crate) fn pid(&self) -> Tid {
        self.pid
    }
}

impl File for PidFd {
    fn stat(&self) -> Result<Stat, Errno> {
        Ok(Stat {
            mode: 0o600,
            nlink: 1,
            ino: u64::from(self.pid),
            blksize: 4096,
            ..Stat::default()
        })
    }

    fn poll(&self) -> Interest {
        if self.ended.get() { POLLIN } else { 0 }
    }

    fn pollable(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
