//! Telling those who wait that a file has changed.

use std::cell::Cell;

use crate::wait::Hub;

/// What one side of a pipe, socket or counter tells those who wait on it.
///
/// The hub rings only if somebody was told "not now" or looked since the last
/// news: bytes that nobody waits for make no blocked call run again.
pub(crate) struct News {
    hub: Hub,
    watched: Cell<bool>,
    count: Cell<u64>,
}

impl News {
    pub(crate) fn new(hub: &Hub) -> Self {
        Self {
            hub: hub.clone(),
            watched: Cell::new(false),
            count: Cell::new(0),
        }
    }

    /// Somebody looks, and may wait for what comes.
    pub(crate) fn watch(&self) {
        self.watched.set(true);
    }

    /// It changed for the better.
    pub(crate) fn happened(&self) {
        self.count.set(self.count.get().wrapping_add(1));
        if self.watched.replace(false) {
            self.hub.ring();
        }
    }

    /// How often it changed.
    pub(crate) fn count(&self) -> u64 {
        self.count.get()
    }

    /// The hub it rings.
    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }
}
