//! The guest-physical address space: RAM, the MMIO map, IRQ lines and the
//! [`Device`] trait.
//!
//! A hart and a device meet only here. The hart reads and writes
//! guest-physical addresses; [`Bus`] finds RAM or a device behind them. A
//! device reaches guest memory through [`Ram`]'s checked accessors and raises
//! interrupts through the [`IrqLine`]s it was built with. Nothing in this
//! crate knows of files, threads, terminals or sockets.
//!
//! A single Linux program needs no machine: its memory is a [`Space`], guest
//! virtual addresses mapped straight into the host's, with a permission a page.

mod bus;
mod clock;
mod codemap;
mod device;
mod irq;
mod monitor;
mod ram;
mod shared;
mod space;
pub mod state;
mod touched;

pub use bus::{Bus, MapError, Region};
pub use clock::{Clock, NANOS_PER_TICK, TIMEBASE_HZ, VirtualClock};
pub use codemap::{CodeMap, LINE_SHIFT, Pages, Writer};
pub use device::{AccessFault, Device, DtNode, DtValue, Names, Register, Width};
pub use irq::{Activity, HartPins, IrqLine, IrqSink, Ongoing, Wake};
pub use monitor::Monitor;
pub use ram::{PAGE_SHIFT, PAGE_SIZE, Ram, RamError};
pub use shared::Shared;
pub use space::{Prot, Space};
pub use state::BadState;
