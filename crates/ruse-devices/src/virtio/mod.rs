//! Virtio devices (Virtual I/O Device specification, version 1.2).
//!
//! A device ([`VirtioDevice`]) knows its queues and its configuration, and
//! not how it is attached; [`VirtioMmio`] attaches one to the bus. Modern
//! devices with split virtqueues only: no legacy interface, no packed rings.

mod blk;
mod console;
mod input;
mod mmio;
mod net;
mod p9;
mod queue;
mod requests;
mod rng;
#[cfg(test)]
mod testing;

use ruse_bus::{BadState, Ram};
use ruse_event::Tap;

pub use blk::Blk;
pub use console::Console;
pub use input::Input;
pub use mmio::{SIZE, VirtioMmio};
pub use net::Net;
pub use p9::P9;
pub use queue::{Chain, Queue, QueueError, Reader, Segment, Writer};
pub use requests::{Patience, Requests, Served, Server, ServerThread, Worker, serve_on_thread};
pub use rng::Rng;

/// Features that belong to the transport and the queues (section 6).
pub mod feature {
    /// Descriptors may point to tables of descriptors.
    pub const INDIRECT_DESC: u64 = 1 << 28;
    /// Notifications are suppressed by index instead of by flag.
    pub const EVENT_IDX: u64 = 1 << 29;
    /// The device is a modern one.
    pub const VERSION_1: u64 = 1 << 32;
    /// A single queue can be reset.
    pub const RING_RESET: u64 = 1 << 40;
}

/// A virtio device, whatever its transport.
pub trait VirtioDevice: Send {
    /// What kind of device it is (section 5).
    fn device_id(&self) -> u32;

    /// The device's own feature bits that it offers.
    fn features(&self) -> u64;

    /// How large each of its queues may be.
    fn queue_sizes(&self) -> &[u16];

    /// Reads the configuration space. `out` comes zeroed, and stays so where
    /// the device has nothing.
    fn read_config(&self, offset: u64, out: &mut [u8]);

    /// Writes the configuration space.
    fn write_config(&mut self, _offset: u64, _bytes: &[u8]) {}

    /// The driver settled on `features`, a subset of what was offered.
    fn negotiated(&mut self, _features: u64) {}

    /// The driver may have put something into queue `index`, which exists and
    /// is ready.
    ///
    /// # Errors
    /// [`QueueError`] if the driver broke the rules: the device then stops
    /// until it is reset.
    fn notify(&mut self, index: usize, queues: &mut [Queue], ram: &Ram) -> Result<(), QueueError>;

    /// From now on tells `tap` what it does.
    fn watch(&mut self, _tap: &Tap) {}

    /// The driver takes queues away: what is being answered must end first.
    fn stop(&mut self) {}

    /// Forgets what a driver set up. [`Self::stop`] came before.
    fn reset(&mut self) {}

    /// Puts back what it has taken from its queues and not begun with.
    fn put_back(&mut self, _queues: &mut [Queue]) {}

    /// Its state besides queues and features. [`Self::put_back`] came before.
    fn save(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Becomes what it was at [`Self::save`]. [`Self::reset`] and [`Self::negotiated`]
    /// came before, and its queues are as they were.
    ///
    /// # Errors
    /// [`BadState`] if the bytes are no such state.
    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        ruse_bus::state::none(state)
    }
}

/// Copies the part of a configuration `space` that lies at `offset` to `out`.
fn copy_config(space: &[u8], offset: u64, out: &mut [u8]) {
    let from = usize::try_from(offset)
        .ok()
        .and_then(|offset| space.get(offset..))
        .unwrap_or(&[]);
    let len = from.len().min(out.len());
    out[..len].copy_from_slice(&from[..len]);
}
