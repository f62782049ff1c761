//! One RISC-V hart: registers, CSRs, traps, MMU and TLB, and the execution
//! engine.
//!
//! A [`Hart`] executes guest code against a [`ruse_bus::Bus`]. Code is decoded
//! once, by `block`, into runs of compact operations that `engine` dispatches
//! and whose meaning stands in `exec`, one file an extension. The privileged
//! architecture is in `csr`, `trap`, `mmu`, `tlb` and `pmp`.
//!
//! [`Hart::user`] makes a hart for one Linux process instead: the same engine
//! on a [`ruse_bus::Space`], without privileged architecture.
//!
//! The hart knows no file, clock, thread or device: time is a
//! [`ruse_bus::Clock`], interrupts come through [`ruse_bus::HartPins`].

mod base;
mod block;
mod census;
mod code;
mod csr;
mod debug;
mod engine;
mod exec;
mod fuse;
mod hart;
mod isa;
mod mmu;
mod pmp;
mod save;
mod space;
mod tlb;
mod trap;
mod user;
mod watch;
mod wide;

pub use census::{BlockCount, Counters, Tally};
pub use debug::{Stop, Watchpoint};
pub use hart::{Exit, Hart, HartConfig};
pub use isa::{isa_extensions, isa_string};
pub use mmu::Access;
pub use ruse_isa::Xlen;
pub use trap::{Cause, Privilege, Trap};
pub use user::Registers;
