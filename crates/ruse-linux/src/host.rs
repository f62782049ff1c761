//! What the kernel needs of the host besides files and sockets.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time and randomness.
pub trait Host {
    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
    /// Time since 1970-01-01 00:00 UTC.
    fn realtime(&self) -> Duration;
    /// Fills `out` with randomness fit for keys.
    fn entropy(&mut self, out: &mut [u8]);
}

/// The host as the standard library shows it.
#[derive(Debug)]
pub struct StdHost {
    start: Instant,
}

impl StdHost {
    /// Time starts now.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for StdHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for StdHost {
    fn monotonic(&self) -> Duration {
        // A moment that is not zero: programs take zero for "never".
        Duration::from_secs(1000) + self.start.elapsed()
    }

    fn realtime(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }

    fn entropy(&mut self, out: &mut [u8]) {
        if let Err(error) = getrandom::fill(out) {
            log::error!("the host gives no randomness: {error}");
        }
    }
}
