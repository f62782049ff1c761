//! What a chip needs from the world outside the machine.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use ruse_bus::{BadState, Wake};
use ruse_event::Tap;

/// Where a serial port or a console sends what the guest prints.
pub trait ConsoleOut: Send {
    /// Takes all of `bytes`.
    fn write(&mut self, bytes: &[u8]);
}

/// A chip that takes what somebody types.
///
/// Nothing offered is ever lost: what does not fit is not accepted, and stays
/// with the caller.
pub trait ConsoleIn: Send {
    /// Takes as many of `bytes` as there is room for and says how many.
    fn receive(&mut self, bytes: &[u8]) -> usize;

    /// How many bytes [`Self::receive`] would take now.
    fn room(&self) -> usize;
}

/// The time of day.
pub trait WallClock: Send {
    /// Nanoseconds since 1970-01-01 00:00 UTC.
    fn unix_nanos(&self) -> u64;
}

/// A source of randomness.
pub trait Entropy: Send {
    /// Fills `out` with random bytes.
    fn fill(&mut self, out: &mut [u8]);

    /// Where it is, if it will give the same again from there ([`Self::load`]).
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Goes on from where it was.
    ///
    /// # Errors
    /// [`BadState`] if the bytes are not what [`Self::save`] gave.
    fn load(&mut self, _state: &[u8]) -> Result<(), BadState> {
        Ok(())
    }
}

/// What serves files to a guest, message by message.
pub trait FileServer: Send {
    /// Answers `message` in `reply` and says how long that is; 0 if no answer
    /// fits.
    fn answer(&mut self, message: &[u8], reply: &mut [u8]) -> usize;

    /// What it knows of its guest, for [`Self::load`].
    fn save(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Knows of its guest what [`Self::save`] wrote.
    ///
    /// # Errors
    /// [`BadState`] if that is something else.
    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        ruse_bus::state::none(state)
    }
}

/// An Ethernet frame, without its check sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// From the destination's address to the end of the payload.
    pub bytes: Vec<u8>,
    /// What a card has yet to do to it.
    pub offload: Offload,
}

/// Work on a frame that is left to a card, which in a virtual network mostly
/// means: to nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// The Internet checksum over all from the first number on is to be
    /// stored that much further on as the second says, where the sum of the
    /// pseudo header is now.
    pub checksum: Option<(u16, u16)>,
    /// The frame stands for many.
    pub segments: Option<Segments>,
}

/// A TCP segment that is longer than the wire's frames, to be cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// Over IPv6, not IPv4.
    pub v6: bool,
    /// The payload of each frame on the wire.
    pub size: u16,
    /// The length of the headers, which all of them have.
    pub header: u16,
}

/// What a guest takes besides frames that could be on a wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// Frames with a checksum to be finished.
    pub checksum: bool,
    /// Long TCP segments over IPv4.
    pub tcp4: bool,
    /// Long TCP segments over IPv6.
    pub tcp6: bool,
}

/// What became of frames offered to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It has them all.
    All,
    /// It has no room for more. The bell rings when it has.
    Full,
    /// It does not use the card.
    Down,
}

/// A network card, from the network's side. Frames wait in the guest's own
/// memory until they are taken, and what cannot be given stays with the
/// network: the card holds none.
pub trait NetCard: Send + Sync {
    /// Takes what the guest sends, up to about `limit` bytes. False: that was
    /// all, and the bell rings when there is more.
    fn take(&self, limit: usize, each: &mut dyn FnMut(Frame)) -> bool;

    /// Gives the guest frames, from the first on.
    fn give(&self, frames: &mut VecDeque<Frame>) -> Given;

    /// What the guest takes.
    fn takes(&self) -> Takes;

    /// Plugs the cable in or out.
    fn set_link(&self, up: bool);
}

/// What a card is connected to. It does its work on a thread of its own.
pub trait Network: Send {
    /// Whether it takes frames with work left to do, and makes some.
    fn offloads(&self) -> bool;

    /// Whether the cable is plugged in at first.
    fn link(&self) -> bool {
        true
    }

    /// Whom the card wakes when the guest sends or makes room.
    fn bell(&self) -> Arc<dyn Wake>;

    /// From now on tells `tap` of connections. Comes before [`Self::start`].
    fn watch(&mut self, _tap: &Tap) {}

    /// Begins to serve `card`, until what is returned is dropped.
    ///
    /// # Errors
    /// If the host gives no thread.
    fn start(self: Box<Self>, card: Arc<dyn NetCard>) -> io::Result<Box<dyn Any + Send + Sync>>;
}

#[cfg(test)]
pub(crate) mod fakes {
    //! Effects that tests can look at.

    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    use ruse_bus::{IrqLine, IrqSink};

    use super::ConsoleOut;

    /// Up to 64 interrupt lines, as a mask of those that are high.
    #[derive(Default)]
    pub struct Lines(AtomicU64);

    impl Lines {
        pub fn get(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }

        pub fn high(&self, line: u32) -> bool {
            self.get() & 1 << line != 0
        }

        pub fn line(self: &Arc<Self>, line: u32) -> IrqLine {
            IrqLine::new(self.clone(), line)
        }
    }

    impl IrqSink for Lines {
        fn set_level(&self, line: u32, level: bool) {
            if level {
                self.0.fetch_or(1 << line, Ordering::Relaxed);
            } else {
                self.0.fetch_and(!(1 << line), Ordering::Relaxed);
            }
        }
    }

    /// A console whose output can be read back.
    #[derive(Clone, Default)]
    pub struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Screen {
        pub fn take(&self) -> Vec<u8> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl ConsoleOut for Screen {
        fn write(&mut self, bytes: &[u8]) {
            self.0.lock().unwrap().extend_from_slice(bytes);
        }
    }
}
