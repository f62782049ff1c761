//! The memory of a process: areas, demand paging, access for system calls.

use std::sync::Arc;

use ruse_bus::Space;
use ruse_hart::{Hart, Trap};

use crate::errno::Errno;
use crate::signal::SigInfo;
use crate::thread::Tid;

/// An address space and the hart that executes its threads in turns.
pub(crate) struct Mm {
    pub space: Arc<Space>,
    pub hart: Hart,
    /// The thread whose registers are in the hart.
    pub loaded: Option<Tid>,
}

impl Mm {
    /// Copies guest memory, as a load of the guest would see it.
    pub(crate) fn read(&mut self, _va: u64, _out: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::EFAULT)
    }

    /// Copies to guest memory, as a store of the guest would.
    pub(crate) fn write(&mut self, _va: u64, _bytes: &[u8]) -> Result<(), Errno> {
        Err(Errno::EFAULT)
    }

    /// Answers an exception of the thread that is running: maps the page, or
    /// says which signal it raises.
    pub(crate) fn fault(&mut self, trap: Trap) -> Result<(), SigInfo> {
        Err(SigInfo::fault(crate::signal::SIGSEGV, 1, trap.tval))
    }
}
