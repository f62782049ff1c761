//! What the kernel needs of the host besides files and sockets.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ruse_bus::{Clock, TIMEBASE_HZ};

/// Time and randomness.
pub trait Host {
    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
    /// Time since 1970-01-01 00:00 UTC.
    fn realtime(&self) -> Duration;
    /// Fills `out` with randomness fit for keys.
    fn entropy(&mut self, out: &mut [u8]);
    /// What the `time` CSR shows: [`Host::monotonic`] in ticks.
    fn clock(&self) -> Arc<dyn Clock>;
}

/// The host as the standard library shows it.
#[derive(Debug, Clone, Copy)]
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

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(*self)
    }
}

impl Clock for StdHost {
    fn now(&self) -> u64 {
        let nanos = self.monotonic().as_nanos();
        (nanos / u128::from(1_000_000_000 / TIMEBASE_HZ)) as u64
    }

    /// The host's time is what it is.
    fn set(&self, _ticks: u64) {}

    fn retire(&self, _instructions: u64) {}

    fn skip_to(&self, _ticks: u64) {}
}
