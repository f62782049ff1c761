//! `mtime` and the time of day, from the host or from `mtime`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ruse_bus::{Clock, TIMEBASE_HZ};
use ruse_devices::WallClock;

/// Nanoseconds in a tick of `mtime`.
const TICK_NANOS: u64 = 1_000_000_000 / TIMEBASE_HZ;

/// `mtime` that advances with the host's monotonic clock.
#[derive(Debug)]
pub struct HostClock {
    start: Instant,
    offset: AtomicU64,
}

impl HostClock {
    /// A clock that shows zero now.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            offset: AtomicU64::new(0),
        }
    }

    fn elapsed(&self) -> u64 {
        // 2^64 ns are 584 years.
        self.start.elapsed().as_nanos() as u64 / TICK_NANOS
    }
}

impl Default for HostClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for HostClock {
    fn now(&self) -> u64 {
        self.elapsed()
            .wrapping_add(self.offset.load(Ordering::Relaxed))
    }

    fn set(&self, ticks: u64) {
        self.offset
            .store(ticks.wrapping_sub(self.elapsed()), Ordering::Relaxed);
    }

    fn retire(&self, _: u64) {}

    fn skip_to(&self, _: u64) {}
}

/// How long it is from tick `now` to tick `then`.
pub(crate) fn span(now: u64, then: u64) -> Duration {
    Duration::from_nanos(then.saturating_sub(now).saturating_mul(TICK_NANOS))
}

/// The host's time of day.
pub(crate) struct HostWall;

impl WallClock for HostWall {
    fn unix_nanos(&self) -> u64 {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as u64)
    }
}

/// A time of day that advances with the guest's time.
pub(crate) struct GuestWall {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) epoch_nanos: u64,
}

impl WallClock for GuestWall {
    fn unix_nanos(&self) -> u64 {
        self.epoch_nanos
            .wrapping_add(self.clock.now().wrapping_mul(TICK_NANOS))
    }
}

/// One wall clock for two: the RTC, and the run loop that turns the RTC's
/// alarm into a deadline.
#[derive(Clone)]
pub(crate) struct SharedWall(Arc<std::sync::Mutex<Box<dyn WallClock>>>);

impl SharedWall {
    pub(crate) fn new(clock: Box<dyn WallClock>) -> Self {
        Self(Arc::new(std::sync::Mutex::new(clock)))
    }

    /// The tick of `mtime`, which now is `now`, at which it will be
    /// `unix_nanos`.
    pub(crate) fn tick_of(&self, unix_nanos: u64, now: u64) -> u64 {
        let ahead = unix_nanos.saturating_sub(self.unix_nanos());
        now.saturating_add(ahead.div_ceil(TICK_NANOS).max(1))
    }
}

impl WallClock for SharedWall {
    fn unix_nanos(&self) -> u64 {
        crate::lock(&self.0).unix_nanos()
    }
}

#[cfg(test)]
mod tests {
    use ruse_bus::VirtualClock;

    use super::*;

    #[test]
    fn host_time_goes_on_from_what_was_set() {
        let clock = HostClock::new();
        clock.set(1_000_000_000);
        std::thread::sleep(Duration::from_millis(2));
        let now = clock.now();
        assert!((1_000_020_000..2_000_000_000).contains(&now), "{now}");
        assert_eq!(span(5, 15), Duration::from_micros(1));
        assert_eq!(span(15, 5), Duration::ZERO);
    }

    #[test]
    fn an_alarm_is_never_early() {
        let clock = Arc::new(VirtualClock::new(1));
        clock.set(7);
        let wall = SharedWall::new(Box::new(GuestWall {
            clock: clock.clone(),
            epoch_nanos: 1_000,
        }));
        assert_eq!(wall.unix_nanos(), 1_700);
        assert_eq!(wall.tick_of(1_801, clock.now()), 9);
        assert_eq!(wall.tick_of(5, clock.now()), 8);
    }
}
