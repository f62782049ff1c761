//! What a virtual machine costs.
//!
//! One program ([`roms/bench`](../../../roms/bench)), built from one source with the same
//! options for the host and for riscv64, measures how long the processor, the kernel, a
//! disk and a network take. It runs natively, in name spaces of its own, as a Linux
//! program of Ruse's, as the first program of an operating system in Ruse, and both in
//! QEMU: one of these *contenders* at a time, in turns, for several rounds.
//!
//! - [`workload`] and [`contender`] are the tables; one line adds one.
//! - `measure` does the rounds, `run` one run, `log` reads what it prints.
//! - [`report`] is what comes out, and how it is shown.

pub mod claims;
pub mod contender;
pub mod debian;
mod error;
pub mod facts;
mod initramfs;
pub mod log;
pub mod measure;
pub mod report;
pub mod run;
pub mod stats;
pub mod storage;
pub mod worker;
pub mod workload;

pub use error::BenchError;
pub use measure::{Options, Watch, measure};
pub use report::Report;
