//! System calls as text, in the manner of strace(1).

use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::process::Exit;
use crate::signal::SigInfo;
use crate::thread::Tid;

/// A system call that is going on.
#[derive(Default, Debug)]
pub(crate) struct Line {
    pub text: String,
}

/// A system call begins.
pub(crate) fn enter(_kernel: &mut Kernel, _tid: Tid, _number: u64, _args: [u64; 6]) {}

/// It waits.
pub(crate) fn blocks(_kernel: &mut Kernel, _tid: Tid) {}

/// It ends.
pub(crate) fn leave(_kernel: &mut Kernel, _tid: Tid, _result: Result<u64, Errno>) {}

/// A signal is acted on.
pub(crate) fn signal(_kernel: &mut Kernel, _tid: Tid, _info: &SigInfo) {}

/// A thread ends.
pub(crate) fn ended(_kernel: &mut Kernel, _tid: Tid, _exit: Exit) {}
