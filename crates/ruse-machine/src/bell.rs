//! What a run loop sleeps on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ruse_bus::Wake;

/// A bell that ends the current or the next sleep. Ringing it while nobody
/// sleeps costs one atomic exchange.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Bell {
    rung: AtomicBool,
    asleep: Mutex<bool>,
    condition: Condvar,
}

impl Bell {
    /// Sleeps until the bell rings, at most for `limit`. Returns at once if
    /// it has rung since the last call.
    pub(crate) fn sleep(&self, limit: Option<Duration>) {
        self.wait(limit);
        self.clear();
    }

    /// Sleeps until the bell rings, at most for `limit`. Returns at once if
    /// it has rung since it was last cleared.
    pub(crate) fn wait(&self, limit: Option<Duration>) {
        let mut asleep = crate::lock(&self.asleep);
        *asleep = true;
        // SeqCst with `wake`: either it sees a sleeper, or we see the ring.
        if !self.is_rung() {
            let quiet = |_: &mut bool| !self.is_rung();
            asleep = match limit {
                Some(limit) => match self.condition.wait_timeout_while(asleep, limit, quiet) {
                    Ok((guard, _)) => guard,
                    Err(poisoned) => poisoned.into_inner().0,
                },
                None => self
                    .condition
                    .wait_while(asleep, quiet)
                    .unwrap_or_else(|poisoned| poisoned.into_inner()),
            };
        }
        *asleep = false;
    }

    /// Whether the bell has rung since it was last cleared.
    pub(crate) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::SeqCst)
    }

    /// Forgets that the bell has rung: to be called before a look at what it
    /// may have rung for.
    pub(crate) fn clear(&self) {
        self.rung.swap(false, Ordering::SeqCst);
    }
}

impl Wake for Bell {
    fn wake(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // The lock makes sure that a sleeper waits already.
            let asleep = crate::lock(&self.asleep);
            if *asleep {
                self.condition.notify_all();
            }
        }
    }
}

/// What a hart's pins ring: its own bell while it has a thread of its own,
/// else that of the run loop of all.
pub(crate) struct HartBell {
    own: Bell,
    common: Arc<Bell>,
    threaded: AtomicBool,
}

impl HartBell {
    pub(crate) fn new(common: Arc<Bell>) -> Self {
        Self {
            own: Bell::default(),
            common,
            threaded: AtomicBool::new(false),
        }
    }

    /// The bell that only this hart's thread sleeps on.
    pub(crate) fn own(&self) -> &Bell {
        &self.own
    }

    /// The hart has a thread from now on, or no more.
    pub(crate) fn set_threaded(&self, threaded: bool) {
        self.threaded.store(threaded, Ordering::SeqCst);
    }
}

impl Wake for HartBell {
    fn wake(&self) {
        if self.threaded.load(Ordering::SeqCst) {
            self.own.wake();
        } else {
            self.common.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_ring_ends_this_sleep_or_the_next() {
        let bell = Arc::new(Bell::default());
        let start = Instant::now();
        bell.wake();
        bell.sleep(None);
        let ringer = std::thread::spawn({
            let bell = bell.clone();
            move || {
                std::thread::sleep(Duration::from_millis(20));
                bell.wake();
            }
        });
        bell.sleep(None);
        assert!(start.elapsed() >= Duration::from_millis(20));
        ringer.join().unwrap();
        let start = Instant::now();
        bell.sleep(Some(Duration::from_millis(5)));
        assert!(start.elapsed() >= Duration::from_millis(5), "no ring left");
    }
}
