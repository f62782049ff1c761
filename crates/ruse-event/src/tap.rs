//! Where events come out.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::{Class, Classes, Event, Origin, What};

/// Somebody who watches. Called from any thread, also while locks of devices are
/// held: it must not touch the machine, nor take long.
pub trait Watch: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event);
}

struct Shared {
    wanted: AtomicU32,
    watch: Arc<dyn Watch>,
    now: Box<dyn Fn() -> u64 + Send + Sync>,
    /// The time of the latest event.
    latest: AtomicU64,
}

/// A place that tells of events, to nobody by default. Clones have the same
/// watcher.
#[derive(Clone)]
pub struct Tap {
    shared: Option<Arc<Shared>>,
    origin: Origin,
}

impl Tap {
    /// A tap that nobody listens to.
    pub const NONE: Self = Self {
        shared: None,
        origin: Origin::Host,
    };

    /// A tap whose events of the `wanted` classes go to `watch`, with the time
    /// that `now` says: nanoseconds since power-on.
    pub fn new(
        watch: Arc<dyn Watch>,
        wanted: Classes,
        now: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            shared: Some(Arc::new(Shared {
                wanted: AtomicU32::new(wanted.bits()),
                watch,
                now: Box::new(now),
                latest: AtomicU64::new(0),
            })),
            origin: Origin::Host,
        }
    }

    /// The same for events that come from `origin`.
    #[must_use]
    pub fn from(&self, origin: Origin) -> Self {
        Self {
            shared: self.shared.clone(),
            origin,
        }
    }

    /// Where its events come from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether anybody wants events of this class now.
    #[inline]
    pub fn wants(&self, class: Class) -> bool {
        match &self.shared {
            None => false,
            Some(shared) => Classes::from_bits(shared.wanted.load(Ordering::Relaxed)).has(class),
        }
    }

    /// Time may be earlier from now on.
    pub fn rewind(&self) {
        if let Some(shared) = &self.shared {
            shared.latest.store(0, Ordering::Relaxed);
        }
    }

    /// What is wanted.
    pub fn wanted(&self) -> Classes {
        self.shared.as_ref().map_or(Classes::NONE, |shared| {
            Classes::from_bits(shared.wanted.load(Ordering::Relaxed))
        })
    }

    /// Changes what is wanted, for all clones.
    pub fn want(&self, classes: Classes) {
        if let Some(shared) = &self.shared {
            shared.wanted.store(classes.bits(), Ordering::Relaxed);
        }
    }

    /// Tells of something, if anybody wants to know.
    #[inline]
    pub fn tell(&self, class: Class, what: impl FnOnce() -> What) {
        if self.wants(class) {
            self.emit(0, class, what());
        }
    }

    /// The same, `ahead` nanoseconds after what the clock says: a hart under a
    /// virtual clock tells the clock only now and then how far it is.
    #[cold]
    pub fn tell_ahead(&self, ahead: u64, class: Class, what: impl FnOnce() -> What) {
        if self.wants(class) {
            self.emit(ahead, class, what());
        }
    }

    #[cold]
    fn emit(&self, ahead: u64, class: Class, what: What) {
        if let Some(shared) = &self.shared {
            let now = (shared.now)().saturating_add(ahead);
            // Time does not go back where one event happens within another.
            let time = shared.latest.fetch_max(now, Ordering::Relaxed).max(now);
            shared.watch.event(Event {
                time,
                origin: self.origin,
                class,
                what,
            });
        }
    }
}

impl Default for Tap {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tap({:?}, {})", self.origin, self.wanted())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Log(Mutex<Vec<(u64, What)>>);

    impl Watch for Log {
        fn event(&self, event: Event) {
            self.0.lock().unwrap().push((event.time, event.what));
        }
    }

    #[test]
    fn only_what_is_wanted_is_told_and_time_goes_on() {
        let log = Arc::new(Log(Mutex::default()));
        let tap = Tap::new(log.clone(), Class::Sleep.into(), || 5);
        let hart = tap.from(Origin::Hart(1));
        hart.tell(Class::Sleep, || What::Sleep);
        hart.tell(Class::Mmio, || unreachable!());
        hart.tell_ahead(10, Class::Sleep, || What::Wake);
        tap.tell(Class::Sleep, || What::Sleep);
        tap.want(Classes::NONE);
        hart.tell(Class::Sleep, || unreachable!());
        Tap::NONE.want(Classes::ALL);
        Tap::NONE.tell(Class::Sleep, || unreachable!());
        let seen = log.0.lock().unwrap();
        assert_eq!(
            *seen,
            [(5, What::Sleep), (15, What::Wake), (15, What::Sleep)]
        );
    }
}
