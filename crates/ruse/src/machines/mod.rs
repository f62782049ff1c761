//! Machines by name: files that describe them (`ruse up`), and those of them
//! that run (`ruse ps`, `ruse console`, `ruse stop`).
//!
//! A machine with a name has an entry in a directory of its user's
//! ([`registry`]) and listens on a socket there ([`control`]), on which the
//! other commands talk to it ([`wire`]).

mod attach;
mod client;
mod control;
mod file;
mod hub;
mod list;
mod logfile;
mod place;
mod registry;
mod save;
mod shutdown;
mod socket;
mod stop;
mod up;
mod wire;

pub use attach::attach;
pub use control::{Facts, Presence};
pub use file::{FileError, Options};
pub use hub::Tee;
pub use list::list;
pub use registry::name;
pub use save::save;
pub use shutdown::Shutdown;
pub use stop::{Stop, stop};
pub use up::{console_log, detached, in_background, leave, ready};
pub use wire::{DiskFacts, End};
