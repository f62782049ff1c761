//! Time as the guest sees it: `mtime` ticks.

use std::sync::atomic::{AtomicU64, Ordering};

/// Frequency of `mtime` and of the `time` CSR, in hertz (the board's
/// `timebase-frequency`).
pub const TIMEBASE_HZ: u64 = 10_000_000;
/// Nanoseconds in a tick.
pub const NANOS_PER_TICK: u64 = 1_000_000_000 / TIMEBASE_HZ;

/// The source of `mtime`.
pub trait Clock: Send + Sync {
    /// The current value of `mtime`, in ticks of [`TIMEBASE_HZ`].
    fn now(&self) -> u64;

    /// Sets `mtime`; it goes on from there.
    fn set(&self, ticks: u64);

    /// A hart retired this many instructions since it last said so. Only a
    /// virtual clock listens.
    fn retire(&self, instructions: u64);

    /// All harts wait: a virtual clock jumps to `ticks` if that lies ahead.
    fn skip_to(&self, ticks: u64);

    /// How many nanoseconds after [`now`](Self::now) it is when a hart has retired
    /// this many instructions that it has not told of. Zero under the host's time.
    fn ahead(&self, _instructions: u64) -> u64 {
        0
    }

    /// How many instructions of the current tick have been retired, where that counts.
    fn phase(&self) -> u64 {
        0
    }

    /// Goes on from [`now`](Self::now) and [`phase`](Self::phase) as they once were.
    fn restore(&self, ticks: u64, _phase: u64) {
        self.set(ticks);
    }
}

/// A clock that counts retired instructions, under which a run is
/// deterministic.
#[derive(Debug)]
pub struct VirtualClock {
    instructions: AtomicU64,
    offset: AtomicU64,
    per_tick: u64,
}

impl VirtualClock {
    /// A clock at zero that moves one tick every `per_tick` instructions
    /// (at least 1).
    pub fn new(per_tick: u64) -> Self {
        Self {
            instructions: AtomicU64::new(0),
            offset: AtomicU64::new(0),
            per_tick: per_tick.max(1),
        }
    }

    fn counted(&self) -> u64 {
        self.instructions.load(Ordering::Relaxed) / self.per_tick
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> u64 {
        self.counted()
            .wrapping_add(self.offset.load(Ordering::Relaxed))
    }

    fn set(&self, ticks: u64) {
        self.offset
            .store(ticks.wrapping_sub(self.counted()), Ordering::Relaxed);
    }

    fn retire(&self, instructions: u64) {
        self.instructions.fetch_add(instructions, Ordering::Relaxed);
    }

    fn skip_to(&self, ticks: u64) {
        if ticks > self.now() {
            self.set(ticks);
        }
    }

    fn ahead(&self, instructions: u64) -> u64 {
        instructions.saturating_mul(NANOS_PER_TICK) / self.per_tick
    }

    fn phase(&self) -> u64 {
        self.instructions.load(Ordering::Relaxed) % self.per_tick
    }

    fn restore(&self, ticks: u64, phase: u64) {
        self.instructions
            .store(phase % self.per_tick, Ordering::Relaxed);
        self.set(ticks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_time_counts_instructions_and_skips_forward_only() {
        let clock = VirtualClock::new(10);
        clock.retire(25);
        assert_eq!(clock.now(), 2);
        clock.set(100);
        clock.retire(5);
        assert_eq!(clock.now(), 101);
        clock.skip_to(500);
        assert_eq!(clock.now(), 500);
        clock.skip_to(3);
        assert_eq!(clock.now(), 500);
        clock.retire(7);
        let (now, phase) = (clock.now(), clock.phase());
        clock.retire(123);
        clock.restore(now, phase);
        clock.retire(7);
        assert_eq!((clock.now(), clock.phase()), (501, 4));
        clock.retire(6);
        assert_eq!(clock.now(), 502);
    }
}
