//! The two directions of the console, and the handle on a running machine.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};

use ruse_bus::Wake;
use ruse_devices::ConsoleOut;

use crate::bell::Bell;
use crate::lock;

/// How many bytes of input wait inside the machine.
const INPUT: usize = 4096;
/// How much output is kept back at most.
const OUTPUT: usize = 16 << 10;

#[derive(Default)]
struct Inbox {
    bytes: VecDeque<u8>,
    closed: bool,
    stop: bool,
    gone: bool,
}

struct Shared {
    inbox: Mutex<Inbox>,
    room: Condvar,
    bell: Arc<Bell>,
}

/// A handle on a machine for other threads: they type into it or stop it.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    pub(crate) fn new(bell: Arc<Bell>) -> Self {
        Self(Arc::new(Shared {
            inbox: Mutex::default(),
            room: Condvar::new(),
            bell,
        }))
    }

    /// Types `bytes`. Waits for as long as the guest does not take them;
    /// false when the machine is gone.
    pub fn send(&self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        let mut inbox = lock(&self.0.inbox);
        while !rest.is_empty() && !inbox.gone {
            let room = INPUT - inbox.bytes.len().min(INPUT);
            if room == 0 {
                inbox = self
                    .0
                    .room
                    .wait(inbox)
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                continue;
            }
            let (now, later) = rest.split_at(room.min(rest.len()));
            inbox.bytes.extend(now);
            rest = later;
            self.0.bell.wake();
        }
        !inbox.gone
    }

    /// Says that nobody will type any more. The machine runs on.
    pub fn close_input(&self) {
        lock(&self.0.inbox).closed = true;
        self.0.bell.wake();
    }

    /// Makes [`crate::Machine::run`] return soon with
    /// [`crate::Outcome::Stopped`].
    pub fn stop(&self) {
        lock(&self.0.inbox).stop = true;
        self.0.bell.wake();
    }

    /// Whether to stop; the wish is then granted.
    pub(crate) fn take_stop(&self) -> bool {
        std::mem::take(&mut lock(&self.0.inbox).stop)
    }

    /// Whether nobody will type any more.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.0.inbox).closed
    }

    /// Offers what was typed to `receive`, which says how much it took. Whether
    /// all was taken.
    pub(crate) fn deliver(&self, receive: impl FnOnce(&[u8]) -> usize) -> bool {
        let mut inbox = lock(&self.0.inbox);
        if inbox.bytes.is_empty() {
            return true;
        }
        let taken = receive(inbox.bytes.make_contiguous());
        if taken > 0 {
            inbox.bytes.drain(..taken);
            self.0.room.notify_all();
        }
        inbox.bytes.is_empty()
    }

    /// The machine is gone: nobody need wait for room.
    pub(crate) fn hang_up(&self) {
        lock(&self.0.inbox).gone = true;
        self.0.room.notify_all();
    }
}

/// One console for all that print, which collects what they print until the
/// run loop passes it on.
#[derive(Clone)]
pub(crate) struct SharedOut(Arc<Collected>);

struct Collected {
    bytes: Mutex<Vec<u8>>,
    /// Locked before `bytes` by those who pass them on, so that their order
    /// stays.
    out: Mutex<Box<dyn ConsoleOut>>,
    bell: Arc<Bell>,
}

impl SharedOut {
    /// A console in front of `out`; `bell` rings when there is something to
    /// pass on.
    pub(crate) fn new(out: Box<dyn ConsoleOut>, bell: Arc<Bell>) -> Self {
        Self(Arc::new(Collected {
            bytes: Mutex::new(Vec::with_capacity(OUTPUT)),
            out: Mutex::new(out),
            bell,
        }))
    }

    /// Whether something waits to be passed on.
    pub(crate) fn is_waiting(&self) -> bool {
        !lock(&self.0.bytes).is_empty()
    }

    /// Passes on what was printed.
    pub(crate) fn flush(&self) {
        if !self.is_waiting() {
            return;
        }
        let mut out = lock(&self.0.out);
        let bytes = std::mem::replace(&mut *lock(&self.0.bytes), Vec::with_capacity(OUTPUT));
        if !bytes.is_empty() {
            out.write(&bytes);
        }
    }
}

impl ConsoleOut for SharedOut {
    fn write(&mut self, bytes: &[u8]) {
        let (first, full) = {
            let mut collected = lock(&self.0.bytes);
            let first = collected.is_empty();
            collected.extend_from_slice(bytes);
            (first, collected.len() >= OUTPUT)
        };
        if full {
            self.flush();
        } else if first {
            self.0.bell.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_waits_for_room_and_loses_nothing() {
        let handle = Handle::new(Arc::default());
        let sent: Vec<u8> = (0..3 * INPUT).map(|n| n as u8).collect();
        let sender = std::thread::spawn({
            let (handle, sent) = (handle.clone(), sent.clone());
            move || {
                assert!(handle.send(&sent));
                handle.close_input();
            }
        });
        let mut got = Vec::new();
        while got.len() < sent.len() {
            handle.deliver(|bytes| {
                let taken = bytes.len().min(100);
                got.extend_from_slice(&bytes[..taken]);
                taken
            });
        }
        sender.join().unwrap();
        assert_eq!(got, sent);
        assert!(handle.is_closed());
    }

    #[test]
    fn a_sender_to_a_machine_that_went_away_gives_up() {
        let handle = Handle::new(Arc::default());
        let sender = std::thread::spawn({
            let handle = handle.clone();
            move || handle.send(&[0; INPUT + 1])
        });
        while lock(&handle.0.inbox).bytes.len() < INPUT {
            std::thread::yield_now();
        }
        handle.hang_up();
        assert!(!sender.join().unwrap());
    }
}
