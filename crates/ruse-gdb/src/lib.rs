//! Guests that are debugged from outside: GDB's remote serial protocol (GDB manual,
//! appendix "Remote Protocol"), of which the packets are `gdbstub`'s.
//!
//! A [`Server`] is opened on an [`Address`] before anything runs. [`Server::serve`] then
//! runs a [`Guest`], on the calling thread, and does what whoever is connected asks. A
//! thread of its own accepts connections, one at a time, and reads; it interrupts the
//! guest when something comes. When the debugger leaves the guest runs on, and the next
//! may come.
//!
//! What a debugger sees of a RISC-V guest is in [`arch`]: all registers, CSRs included.
//! A `ruse_machine::Machine` is a guest: its harts are threads, its breakpoints and
//! watchpoints those of `ruse-hart`, and `monitor help` says what else there is.

pub mod arch;
mod guest;
mod listen;
mod monitor;
mod program;
mod server;
mod system;
mod target;

pub use guest::{Guest, Halt, Move, Plan, Thread};
pub use listen::{Address, ListenError, Server};
