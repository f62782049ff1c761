//! The chips on the board, one file each.
//!
//! A chip is registers plus injected effects: it learns of interrupts, time,
//! consoles, disks and randomness only through the handles it was built with
//! ([`ruse_bus::IrqLine`], [`ruse_bus::Clock`], the traits in [`backend`],
//! [`ruse_disk::Disk`]). It knows no address and no host, so that a test, a
//! deterministic run and a real board use the very same code.
//!
//! Each chip implements [`ruse_bus::Device`] and describes itself to the
//! device tree; a board adds where it sits and which interrupt it has.
//!
//! ```
//! use ruse_bus::{Device, IrqLine, Width};
//! use ruse_devices::{ConsoleOut, Uart};
//!
//! struct Screen;
//! impl ConsoleOut for Screen {
//!     fn write(&mut self, bytes: &[u8]) {
//!         assert_eq!(bytes, b"!");
//!     }
//! }
//!
//! let mut uart = Uart::new(IrqLine::disconnected(), Box::new(Screen));
//! uart.write(0, Width::B1, b'!'.into())?;
//! assert_eq!(uart.read(5, Width::B1)?, 0x60, "ready for the next byte");
//! # Ok::<(), ruse_bus::AccessFault>(())
//! ```

pub mod aclint;
pub mod backend;
pub mod goldfish_rtc;
pub mod plic;
pub mod test_finisher;
pub mod uart;
pub mod virtio;

pub use aclint::Aclint;
pub use backend::{ConsoleIn, ConsoleOut, Entropy, FileServer, NetCard, Network, WallClock};
pub use goldfish_rtc::GoldfishRtc;
pub use plic::Plic;
pub use test_finisher::{Power, PowerRequest, TestFinisher};
pub use uart::Uart;
