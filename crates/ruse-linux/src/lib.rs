//! Linux programs as guests.
//!
//! [`Linux`] is a small kernel for riscv64 Linux processes. Each process has
//! a [`ruse_bus::Space`] for memory and a user-mode [`ruse_hart::Hart`] that
//! executes its threads in turns; an ECALL leaves the hart and is answered
//! here, by Rust's standard library and small host traits rather than by the
//! host's own system calls, so that the guest sees the same Linux on any host.
//!
//! - `kernel`: threads, the run loop, waiting; `process` and `thread`: what
//!   they are made of;
//! - `syscall`: the table of system calls, one file a family;
//! - `mm`: a process's memory areas, page faults, access to guest memory;
//! - `exec`: from an ELF file to a process image;
//! - `signal`: sending, delivering and returning from signals;
//! - `fs`: the files of the box that the guest sees;
//! - `net`: sockets, and the loopback network of a box;
//! - `wait`: what ends waiting: other threads, time, the host's files;
//! - `outside`: signals of the host on behalf of the guest;
//! - `abi`: the numbers and layouts of the riscv64 Linux ABI.
//!
//! All guests of one [`Linux`] run on one host thread: nothing here needs a
//! lock, and a run under a virtual clock is reproducible.

mod abi;
mod config;
mod debug;
mod errno;
mod error;
mod exec;
mod fs;
mod futex;
mod host;
mod kernel;
mod life;
mod mm;
mod net;
mod outside;
mod pidfd;
mod process;
mod sched;
mod signal;
mod strace;
mod syscall;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod thread;
mod timer;
mod wait;

pub use config::{Config, Limits, Share, Stdio};
pub use debug::DebugStop;
pub use error::LinuxError;
pub use host::{Host, StdHost};
pub use kernel::{Linux, Outcome};

/// The name of a system call of riscv64 Linux and how many arguments it has, if it is
/// one that there is here.
pub fn syscall_name(number: u64) -> Option<(&'static str, usize)> {
    syscall::find(number).map(|(name, _, shape)| (name, shape.len().min(6)))
}
