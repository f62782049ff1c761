//! What a chip needs from the world outside the machine.

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
}

/// What serves files to a guest, message by message.
pub trait FileServer: Send {
    /// Answers `message` in `reply` and says how long that is; 0 if no answer
    /// fits.
    fn answer(&mut self, message: &[u8], reply: &mut [u8]) -> usize;
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
