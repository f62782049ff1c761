//! The two directions of the console, and the handle on a running machine.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use ruse_bus::{HartPins, Wake};
use ruse_devices::ConsoleOut;

use crate::bell::Bell;
use crate::lock;
use crate::machine::Machine;

/// How many bytes of input wait inside the machine.
const INPUT: usize = 4096;
/// How many breaks do.
const BREAKS: usize = 16;
/// How much output is kept back at most.
const OUTPUT: usize = 16 << 10;

#[derive(Default)]
struct Inbox {
    bytes: VecDeque<u8>,
    /// Breaks among them: how many bytes come before each.
    breaks: VecDeque<usize>,
    closed: bool,
    stop: bool,
    interrupt: bool,
    errands: VecDeque<Errand>,
    paced: bool,
    gone: bool,
}

/// What is to be done with a machine while it stands still.
pub(crate) type Errand = Box<dyn FnOnce(&mut Machine) + Send>;

struct Shared {
    inbox: Mutex<Inbox>,
    room: Condvar,
    bell: Arc<Bell>,
}

/// Stops a machine as soon as can be: a hart that reports something stops before its
/// next instruction. For those who are told what happens ([`ruse_event::Watch`]).
#[derive(Clone)]
pub struct Brake {
    pub(crate) handle: Handle,
    pub(crate) pins: Vec<Arc<HartPins>>,
}

impl Brake {
    /// Makes [`crate::Machine::run`] return with [`crate::Outcome::Stopped`].
    pub fn pull(&self) {
        self.handle.stop();
        for pins in &self.pins {
            pins.kick();
        }
    }
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

    /// Types `bytes` if there is room for them at once; whether there was.
    pub fn try_send(&self, bytes: &[u8]) -> bool {
        let mut inbox = lock(&self.0.inbox);
        let fits = !inbox.gone && inbox.bytes.len() + bytes.len() <= INPUT;
        if fits {
            inbox.bytes.extend(bytes);
        }
        drop(inbox);
        self.0.bell.wake();
        fits
    }

    /// Sends a break on the serial line, after what was typed before. There are
    /// never more than a few in a row: nobody needs them.
    pub fn send_break(&self) {
        let mut inbox = lock(&self.0.inbox);
        let after = inbox.bytes.len();
        if inbox.breaks.len() < BREAKS {
            inbox.breaks.push_back(after);
        }
        drop(inbox);
        self.0.bell.wake();
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

    /// Makes [`crate::Machine::debug_run`] return with
    /// [`crate::DebugStop::Interrupted`].
    pub fn interrupt(&self) {
        lock(&self.0.inbox).interrupt = true;
        self.0.bell.wake();
    }

    /// Has whoever runs the machine do this, while all harts stand still; if nobody does,
    /// whoever runs it next. False, and nothing is done, when the machine is gone.
    pub fn errand(&self, errand: impl FnOnce(&mut Machine) + Send + 'static) -> bool {
        let mut inbox = lock(&self.0.inbox);
        if inbox.gone {
            return false;
        }
        inbox.errands.push_back(Box::new(errand));
        drop(inbox);
        self.0.bell.wake();
        true
    }

    /// Whether there is an errand to do.
    pub(crate) fn has_errand(&self) -> bool {
        !lock(&self.0.inbox).errands.is_empty()
    }

    /// The next errand.
    pub(crate) fn take_errand(&self) -> Option<Errand> {
        lock(&self.0.inbox).errands.pop_front()
    }

    /// Somebody sits in front of the machine: under the virtual clock, waiting then takes as
    /// long as it says, until something comes in, and not the host's whole core.
    pub fn pace(&self) {
        lock(&self.0.inbox).paced = true;
    }

    /// Whether somebody does.
    pub(crate) fn is_paced(&self) -> bool {
        lock(&self.0.inbox).paced
    }

    /// Whether to interrupt a machine that is debugged; the wish is then granted.
    pub fn take_interrupt(&self) -> bool {
        std::mem::take(&mut lock(&self.0.inbox).interrupt)
    }

    /// Whether [`Handle::stop`] was called, and the machine has not stopped since.
    pub fn is_stopping(&self) -> bool {
        lock(&self.0.inbox).stop
    }

    /// Whether to stop; the wish is then granted.
    pub(crate) fn take_stop(&self) -> bool {
        std::mem::take(&mut lock(&self.0.inbox).stop)
    }

    /// Whether nobody will type any more.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.0.inbox).closed
    }

    /// Offers what was typed to `receive`, which says how much it took, and
    /// breaks to `send_break`, which says whether it did. Whether all was taken.
    pub(crate) fn deliver(
        &self,
        mut receive: impl FnMut(&[u8]) -> usize,
        mut send_break: impl FnMut() -> bool,
    ) -> bool {
        // Neither is called under the lock: the device may be printing, and who
        // passes that on may find that it has to stop the machine. Meanwhile
        // others only add to the end.
        loop {
            let (next, offered) = {
                let inbox = lock(&self.0.inbox);
                let next = inbox.breaks.front().copied();
                let len = next.unwrap_or(inbox.bytes.len());
                let offered: Vec<u8> = inbox.bytes.iter().take(len).copied().collect();
                (next, offered)
            };
            if next == Some(0) {
                if !send_break() {
                    return false;
                }
                lock(&self.0.inbox).breaks.pop_front();
                continue;
            }
            if offered.is_empty() {
                return true;
            }
            let taken = receive(&offered);
            if taken > 0 {
                let mut inbox = lock(&self.0.inbox);
                inbox.bytes.drain(..taken);
                for after in &mut inbox.breaks {
                    *after -= taken;
                }
                self.0.room.notify_all();
            }
            if taken < offered.len() {
                return false;
            }
        }
    }

    /// The machine is gone: nobody need wait for room.
    pub(crate) fn hang_up(&self) {
        let mut inbox = lock(&self.0.inbox);
        inbox.gone = true;
        let errands = std::mem::take(&mut inbox.errands);
        drop(inbox);
        // They may hold on to anything.
        drop(errands);
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
    /// What is printed has been printed before.
    muted: AtomicBool,
}

impl SharedOut {
    /// A console in front of `out`; `bell` rings when there is something to
    /// pass on.
    pub(crate) fn new(out: Box<dyn ConsoleOut>, bell: Arc<Bell>) -> Self {
        Self(Arc::new(Collected {
            bytes: Mutex::new(Vec::with_capacity(OUTPUT)),
            out: Mutex::new(out),
            bell,
            muted: AtomicBool::new(false),
        }))
    }

    /// Whether what is printed from now on has been printed before.
    pub(crate) fn mute(&self, muted: bool) {
        self.0.muted.store(muted, Ordering::Relaxed);
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
        if self.0.muted.load(Ordering::Relaxed) {
            return;
        }
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
            let take = |bytes: &[u8]| {
                let taken = bytes.len().min(100);
                got.extend_from_slice(&bytes[..taken]);
                taken
            };
            handle.deliver(take, || true);
        }
        sender.join().unwrap();
        assert_eq!(got, sent);
        assert!(handle.is_closed());
    }

    #[test]
    fn a_break_stays_where_it_is_among_the_bytes() {
        let handle = Handle::new(Arc::default());
        handle.send(b"abc");
        handle.send_break();
        handle.send(b"s");
        handle.send_break();
        handle.send_break();
        handle.send(b"xy");
        let got = std::cell::RefCell::new(String::new());
        let busy = std::cell::Cell::new(false);
        for _ in 0..20 {
            let take = |bytes: &[u8]| {
                got.borrow_mut().push(char::from(bytes[0]));
                1
            };
            // The line takes a break only every other time.
            let send_break = || {
                busy.set(!busy.get());
                if busy.get() {
                    return false;
                }
                got.borrow_mut().push('!');
                true
            };
            handle.deliver(take, send_break);
        }
        assert_eq!(*got.borrow(), "abc!s!!xy");
        for _ in 0..1000 {
            handle.send_break();
        }
        assert_eq!(lock(&handle.0.inbox).breaks.len(), BREAKS);
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
