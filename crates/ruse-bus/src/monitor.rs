//! What a store-conditional goes by, beside the value in memory.
//!
//! LR remembers the value that it found, and SC replaces it by an atomic
//! compare-and-exchange: so a store by anybody in between makes it fail, unless
//! the same value is there again. Where harts manage a lock-free structure
//! that is not good enough: an element may have been taken out and put back.
//! Such structures change by SC, so that these are counted, in a table by
//! address: an SC also fails if another has succeeded there since the LR. What
//! stays undetected is a value brought back by plain stores or AMOs alone.

use std::sync::atomic::{AtomicU64, Ordering};

/// log2 of the places that are told apart; others share one, and then an SC
/// may fail without need.
const BITS: u32 = 8;

/// One place, in a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Place {
    /// Twice the number of SCs; odd while one is being carried out.
    version: AtomicU64,
}

/// The counters of one RAM.
pub struct Monitor {
    places: Box<[Place]>,
}

impl Default for Monitor {
    fn default() -> Self {
        Self {
            places: (0..1 << BITS).map(|_| Place::default()).collect(),
        }
    }
}

impl Monitor {
    fn version(&self, at: u64) -> &AtomicU64 {
        let hash = (at >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS);
        &self.places[hash as usize].version
    }

    /// What LR remembers, before it loads, of the host address `at`.
    #[inline]
    pub fn watch(&self, at: u64) -> u64 {
        self.version(at).load(Ordering::SeqCst)
    }

    /// Carries out `exchange`, which says whether it stored, unless an SC has
    /// succeeded at `at` since `version` was read, or is under way. Whether it
    /// stored.
    #[inline]
    pub fn store(&self, at: u64, version: u64, exchange: impl FnOnce() -> bool) -> bool {
        let place = self.version(at);
        // Nobody waits here: an SC may always fail, and the one that is under
        // way will not.
        if version & 1 != 0
            || place
                .compare_exchange(version, version + 1, Ordering::SeqCst, Ordering::SeqCst)
                .is_err()
        {
            return false;
        }
        let stored = exchange();
        let next = if stored { version + 2 } else { version };
        place.store(next, Ordering::Release);
        stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_of_two_fails() {
        let monitor = Monitor::default();
        let (first, second) = (monitor.watch(64), monitor.watch(64));
        assert!(!monitor.store(64, first, || false));
        assert!(monitor.store(64, second, || true));
        assert!(!monitor.store(64, first, || true));
        let again = monitor.watch(64);
        let nested = monitor.store(64, again, || {
            let busy = monitor.watch(64);
            assert!(!monitor.store(64, again, || true));
            !monitor.store(64, busy, || true)
        });
        assert!(nested);
    }
}
