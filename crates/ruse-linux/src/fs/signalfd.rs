//! signalfd(2): signals that are read instead of being handled. Whose they
//! are is decided by who reads.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::pipe::anonymous;
use super::{Ask, File, Interest, POLLIN, Stat};
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::signal::{self, Detail, SigInfo, SigSet};
use crate::syscall::Stop;
use crate::thread::Tid;

/// Bytes of `struct signalfd_siginfo`.
const SIZE: usize = 128;

/// A signalfd.
pub(crate) struct SignalFd {
    mask: Cell<SigSet>,
    /// Signals taken for the read that is being done.
    taken: RefCell<VecDeque<[u8; SIZE]>>,
    /// Whether who asked last has one of these signals.
    ready: Cell<bool>,
    edges: Cell<u64>,
}

impl SignalFd {
    pub(crate) fn new(mask: SigSet) -> Self {
        Self {
            mask: Cell::new(mask),
            taken: RefCell::default(),
            ready: Cell::new(false),
            edges: Cell::new(0),
        }
    }

    /// Changes which signals it is for.
    pub(crate) fn set_mask(&self, mask: SigSet) {
        self.mask.set(mask);
    }
}

/// A signal as `struct signalfd_siginfo`.
fn encode(info: &SigInfo) -> [u8; SIZE] {
    let mut out = [0; SIZE];
    let mut word = |at: usize, value: u32| out[at..at + 4].copy_from_slice(&value.to_le_bytes());
    word(0, info.signal);
    word(8, info.code as u32);
    let (mut long, mut times) = ((40, 0), None);
    match info.detail {
        Detail::From { pid, uid, value } => {
            word(12, pid);
            word(16, uid);
            word(44, value as u32);
            long = (48, value);
        }
        Detail::Child {
            pid,
            uid,
            status,
            user,
            system,
        } => {
            word(12, pid);
            word(16, uid);
            word(40, status);
            times = Some((user, system));
        }
        Detail::Fault { address } => long = (72, address),
        Detail::Timer { id, overrun, value } => {
            word(24, id as u32);
            word(32, overrun as u32);
            word(44, value as u32);
            long = (48, value);
        }
        Detail::Poll { band, fd } => {
            word(20, fd as u32);
            word(28, band as u32);
        }
        Detail::Raw(raw) => {
            let part =
                |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
            word(12, part(0));
            word(16, part(4));
            word(44, part(8));
            long = (48, u64::from(part(8)) | u64::from(part(12)) << 32);
        }
    }
    if long.1 != 0 {
        out[long.0..long.0 + 8].copy_from_slice(&long.1.to_le_bytes());
    }
    if let Some((user, system)) = times {
        out[56..64].copy_from_slice(&user.to_le_bytes());
        out[64..72].copy_from_slice(&system.to_le_bytes());
    }
    out
}

impl File for SignalFd {
    fn read(&self, _offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        if out.len() < SIZE {
            return Err(Errno::EINVAL);
        }
        let next = self.taken.borrow_mut().pop_front().ok_or(Errno::EAGAIN)?;
        out[..SIZE].copy_from_slice(&next);
        Ok(SIZE)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(anonymous(0o600, 1))
    }

    fn poll(&self) -> Interest {
        if self.ready.get() { POLLIN } else { 0 }
    }

    fn ask(&self, kernel: &mut Kernel, tid: Tid, what: Ask) -> Result<(), Stop> {
        let ready = signal::pending(kernel, tid) & self.mask.get() != 0;
        if ready && !self.ready.get() {
            self.edges.set(self.edges.get().wrapping_add(1));
        }
        self.ready.set(ready);
        let mut taken = self.taken.borrow_mut();
        if what == Ask::Read
            && taken.is_empty()
            && let Some(info) = signal::take(kernel, tid, self.mask.get())
        {
            taken.push_back(encode(&info));
            self.ready.set(false);
        }
        Ok(())
    }

    fn pollable(&self) -> bool {
        true
    }

    fn edges(&self) -> u64 {
        self.edges.get()
    }

    fn label(&self) -> Option<String> {
        Some("anon_inode:[signalfd]".into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
