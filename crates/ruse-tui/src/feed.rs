//! What comes from the machine: events, and what the guest prints.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ruse_event::{Class, Event, Watch, What};
use ruse_lens::explain;
use ruse_machine::{Brake, ConsoleOut};
use tui_term::vt100;

/// Events that wait to be shown. When there are more, the oldest are dropped: the guest
/// is not held up.
const WAITING: usize = 16_384;
/// Lines of the console that are kept above the screen.
const SCROLLBACK: usize = 2_000;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happened since somebody last looked.
#[derive(Default)]
pub(crate) struct News {
    pub events: VecDeque<Event>,
    /// How many there were of each class, those dropped among them.
    pub counts: [u64; Class::ALL.len()],
    pub dropped: u64,
}

/// What the machine is to be stopped for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Catch {
    /// Accesses to the registers of the device at this address.
    pub device: Option<u64>,
    /// Traps.
    pub traps: bool,
}

impl Catch {
    /// Why `event` is one to stop for.
    fn why(self, event: &Event) -> Option<String> {
        match event.what {
            What::Mmio { base, offset, .. } if self.device == Some(base) => {
                Some(format!("register {offset:#x} of the device was accessed"))
            }
            What::Trap { cause, .. } if self.traps => Some(explain::exception(cause)),
            What::Interrupt { number, .. } if self.traps => Some(explain::interrupt(number)),
            _ => None,
        }
    }
}

/// Collects events.
#[derive(Clone, Default)]
pub struct Feed(Arc<Mutex<News>>, Arc<Mutex<Trap>>);

/// What the machine is to be stopped for, how, and what it was stopped for.
#[derive(Default)]
struct Trap {
    catch: Catch,
    brake: Option<Brake>,
    caught: Option<String>,
}

impl Feed {
    /// Stops the machine for what `catch` says, by `brake`.
    pub(crate) fn set_catch(&self, catch: Catch, brake: &Brake) {
        *lock(&self.1) = Trap {
            catch,
            brake: Some(brake.clone()),
            caught: None,
        };
    }

    /// Why the machine was stopped, if it was.
    pub(crate) fn take_caught(&self) -> Option<String> {
        lock(&self.1).caught.take()
    }

    /// All that is new.
    pub(crate) fn take(&self) -> News {
        std::mem::take(&mut lock(&self.0))
    }
}

impl Watch for Feed {
    fn event(&self, event: Event) {
        {
            let mut trap = lock(&self.1);
            if trap.caught.is_none()
                && let Some(why) = trap.catch.why(&event)
            {
                trap.caught = Some(why);
                if let Some(brake) = &trap.brake {
                    brake.pull();
                }
            }
        }
        let mut news = lock(&self.0);
        news.counts[event.class as usize] += 1;
        if news.events.len() >= WAITING {
            news.events.pop_front();
            news.dropped += 1;
        }
        news.events.push_back(event);
    }
}

/// What the guest prints, as a terminal shows it.
#[derive(Clone)]
pub struct Screen(Arc<Mutex<vt100::Parser>>);

impl Default for Screen {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(vt100::Parser::new(24, 80, SCROLLBACK))))
    }
}

impl Screen {
    pub(crate) fn lock(&self) -> MutexGuard<'_, vt100::Parser> {
        lock(&self.0)
    }
}

impl ConsoleOut for Screen {
    fn write(&mut self, bytes: &[u8]) {
        self.lock().process(bytes);
    }
}

#[cfg(test)]
mod tests {
    use ruse_event::{Origin, What};

    use super::*;

    #[test]
    fn a_flood_drops_the_oldest_and_counts_all() {
        let feed = Feed::default();
        for time in 0..20_000 {
            feed.event(Event {
                time,
                origin: Origin::Hart(0),
                class: Class::Sleep,
                what: What::Sleep,
            });
        }
        let news = feed.take();
        assert_eq!(news.events.len(), WAITING);
        assert_eq!(news.events.back().unwrap().time, 19_999);
        assert_eq!(news.counts[Class::Sleep as usize], 20_000);
        assert_eq!(news.dropped, 20_000 - WAITING as u64);
        assert!(feed.take().events.is_empty());
    }
}
