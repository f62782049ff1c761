//! Interrupt lines: wires from a device to an interrupt controller, and from
//! there to a hart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ruse_event::{Class, Origin, Tap, What};

/// Where interrupt lines end: an interrupt controller's inputs, or a hart's
/// pins.
pub trait IrqSink: Send + Sync {
    /// Drives input `line` to `level`.
    fn set_level(&self, line: u32, level: bool);
}

/// One wire. Cloning it gives another handle on the same wire.
#[derive(Clone)]
pub struct IrqLine {
    sink: Option<Arc<dyn IrqSink>>,
    line: u32,
}

impl IrqLine {
    /// A wire to input `line` of `sink`.
    pub fn new(sink: Arc<dyn IrqSink>, line: u32) -> Self {
        Self {
            sink: Some(sink),
            line,
        }
    }

    /// A wire that leads nowhere.
    pub fn disconnected() -> Self {
        Self {
            sink: None,
            line: 0,
        }
    }

    /// Drives the wire to `level`.
    pub fn set(&self, level: bool) {
        if let Some(sink) = &self.sink {
            sink.set_level(self.line, level);
        }
    }
}

/// Something that ends the sleep of a run loop whose harts all wait.
pub trait Wake: Send + Sync {
    /// Ends the current or the next sleep.
    fn wake(&self);
}

/// The interrupt pins of one hart: the bits of `mip` that hardware drives
/// (privileged manual, "Machine Interrupt (mip and mie) Registers").
///
/// As an [`IrqSink`] its line numbers are interrupt numbers: 3 (MSIP), 7
/// (MTIP), 9 (SEIP), 11 (MEIP).
#[repr(align(128))]
pub struct HartPins {
    levels: AtomicU64,
    attention: AtomicBool,
    kicked: AtomicBool,
    waker: Option<Arc<dyn Wake>>,
    tap: Tap,
}

impl HartPins {
    /// Pins at low level; `waker` hears of each rising one.
    pub fn new(waker: Option<Arc<dyn Wake>>) -> Self {
        Self {
            levels: AtomicU64::new(0),
            attention: AtomicBool::new(false),
            kicked: AtomicBool::new(false),
            waker,
            tap: Tap::NONE,
        }
    }

    /// The same pins, which tell `tap` when they move. It comes from their hart
    /// ([`Tap::from`]).
    #[must_use]
    pub fn watched(self, tap: Tap) -> Self {
        Self { tap, ..self }
    }

    /// The pins that are high, as a mask in the layout of `mip`.
    #[inline]
    pub fn levels(&self) -> u64 {
        self.levels.load(Ordering::Acquire)
    }

    /// Whether a pin changed since the last call: after an access to a device,
    /// whether that may have moved a line.
    #[inline]
    pub fn take_attention(&self) -> bool {
        self.attention.load(Ordering::Relaxed) && self.attention.swap(false, Ordering::Acquire)
    }

    /// Has the hart leave its run soon, this one or the next, and ends a
    /// sleep: somebody has left word for whoever runs the hart.
    pub fn kick(&self) {
        self.kicked.store(true, Ordering::SeqCst);
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }

    /// Whether the hart was kicked since the last [`Self::take_kick`].
    #[inline]
    pub fn is_kicked(&self) -> bool {
        self.kicked.load(Ordering::Relaxed)
    }

    /// Whether the hart was kicked since the last call. To be called before
    /// looking for the word that was left.
    #[inline]
    pub fn take_kick(&self) -> bool {
        self.is_kicked() && self.kicked.swap(false, Ordering::SeqCst)
    }
}

impl IrqSink for HartPins {
    fn set_level(&self, line: u32, level: bool) {
        let bit = 1u64 << (line & 63);
        // Most calls change nothing, and must not take the line away from the
        // hart's cache. Whoever drives a line does so under a lock.
        if (self.levels.load(Ordering::Acquire) & bit != 0) == level {
            return;
        }
        let old = if level {
            self.levels.fetch_or(bit, Ordering::AcqRel)
        } else {
            self.levels.fetch_and(!bit, Ordering::AcqRel)
        };
        if (old & bit != 0) != level {
            if let Origin::Hart(hart) = self.tap.origin() {
                self.tap.tell(Class::Irq, || What::Pin {
                    hart,
                    number: line,
                    level,
                });
            }
            self.attention.store(true, Ordering::Release);
            if level && let Some(waker) = &self.waker {
                waker.wake();
            }
        }
    }
}

/// Counts what is going on outside the harts and may end in an interrupt: a
/// disk at work, a network that is connected. While there is any, a machine
/// whose harts all wait does not wait in vain.
#[derive(Clone, Default)]
pub struct Activity(Arc<AtomicU64>);

/// Something that is going on, until it is dropped.
pub struct Ongoing(Arc<AtomicU64>);

impl Activity {
    /// Something begins.
    pub fn begin(&self) -> Ongoing {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ongoing(self.0.clone())
    }

    /// Whether anything is going on. If not, the interrupts that it led to
    /// can be seen.
    pub fn is_any(&self) -> bool {
        self.0.load(Ordering::SeqCst) != 0
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activity_ends_with_the_last() {
        let activity = Activity::default();
        let (first, second) = (activity.begin(), activity.clone().begin());
        drop(first);
        assert!(activity.is_any());
        drop(second);
        assert!(!activity.is_any());
    }

    #[test]
    fn pins_follow_their_lines() {
        let pins = Arc::new(HartPins::new(None));
        let line = IrqLine::new(pins.clone(), 7);
        assert!(!pins.take_attention());
        line.set(true);
        assert_eq!(pins.levels(), 1 << 7);
        assert!(pins.take_attention());
        line.set(true);
        assert!(!pins.take_attention(), "an unchanged level is no news");
        line.set(false);
        assert_eq!(pins.levels(), 0);
        assert!(pins.take_attention());
        IrqLine::disconnected().set(true);
    }
}
