//! The board: memory map, device tree, loaders, built-in SBI and the run loop.
//!
//! A [`Machine`] is made from a [`MachineConfig`] and run to its [`Outcome`].
//! It knows no terminal: what the guest prints goes to the [`ConsoleOut`] of
//! the configuration, what somebody types comes in through a [`Handle`], from
//! any thread.
//!
//! ```
//! use ruse_machine::{Boot, Image, Machine, MachineConfig, Outcome};
//!
//! // lui t0, 0x100; lui t1, 0x5; addi t1, t1, 0x555; sw t1, 0(t0)
//! let words: [u32; 4] = [0x0010_02b7, 0x0000_5337, 0x5553_0313, 0x0062_a023];
//! let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
//! let image = Image::new("power off", bytes);
//! let mut config = MachineConfig::new(Boot::Bare { image });
//! config.memory = 1 << 20;
//! let mut machine = Machine::new(config)?;
//! assert_eq!(machine.run()?, Outcome::Off { code: 0 });
//! # Ok::<(), ruse_machine::MachineError>(())
//! ```
//!
//! The address map is that of QEMU's `virt` board ([`layout`]), so that
//! OpenSBI, U-Boot and Linux run as they are.

mod bell;
mod blocks;
mod board;
mod buttons;
mod clock;
mod config;
mod console;
mod debug;
mod entropy;
mod error;
mod exact;
mod fdt;
mod gate;
mod image;
mod journal;
pub mod layout;
mod load;
mod machine;
mod past;
mod rom;
mod run;
mod sbi;
mod seat;
mod snapshot;
mod threads;

pub use blocks::FileError;
pub use board::Placed;
pub use buttons::Buttons;
pub use clock::HostClock;
pub use config::{Boot, Cpu, MachineConfig, Nic, Port, Sample, Share, Time};
pub use console::{Brake, Handle};
pub use debug::{DebugStop, Move, ResumePlan};
pub use entropy::SeededEntropy;
pub use error::{LoadError, MachineError};
pub use gate::Unplugged;
pub use image::Image;
pub use journal::{Journal, JournalError, Player, Recorder};
pub use machine::Machine;
pub use past::NoWayBack;
pub use run::Outcome;
pub use snapshot::{Snapshot, SnapshotError, Summary};

pub use ruse_bus::BadState;
pub use ruse_devices::{ConsoleOut, Entropy, FileServer, WallClock};
pub use ruse_hart::{Cause, Hart, Trap, Watchpoint, Xlen};

/// Locks a mutex whose data stays sound whoever panicked while holding it.
fn lock<T: ?Sized>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
