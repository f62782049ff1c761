//! Waiting without being busy: what rings when something happened, alarms,
//! and the host's files that become ready.
//!
//! The [`Hub`] is shared by the kernel and by the files that can make a
//! blocked system call finish. A pipe rings it when bytes move; a timer sets
//! an alarm; what belongs to the host (sockets, standard input) is a
//! [`Source`], which remembers what the host was last known to be ready for.
//! That memory is a hint: it is taken back when the host answers "would
//! block", and then the source is armed again, which asks the host anew. So
//! polling thousands of host files costs no host calls, and nothing wakes the
//! host thread for a file that nobody uses.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File as HostFile;
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use polling::{Event, Events, Poller};

use crate::fs::{Interest, POLLIN, POLLOUT};
use crate::thread::Tid;

/// Between looks at the host while guests are busy.
const PUMP_INTERVAL: Duration = Duration::from_micros(500);

/// What may end a wait. Clones are the same hub.
#[derive(Clone, Default)]
pub(crate) struct Hub(Rc<Inner>);

#[derive(Default)]
struct Inner {
    events: Cell<u64>,
    now: Cell<Duration>,
    pumped: Cell<Duration>,
    next_key: Cell<usize>,
    round: Cell<u64>,
    deferred: RefCell<Vec<Deferred>>,
    alarms: RefCell<BTreeMap<usize, Duration>>,
    sources: RefCell<BTreeMap<usize, Weak<Source>>>,
    /// Made with the first source; `Err` if the host gives none.
    poller: RefCell<Option<Arc<Poller>>>,
}

impl Hub {
    /// Something happened that may let blocked system calls finish.
    pub(crate) fn ring(&self) {
        self.0.events.set(self.0.events.get().wrapping_add(1));
    }

    /// How often it rang.
    pub(crate) fn events(&self) -> u64 {
        self.0.events.get()
    }

    /// The kernel tells the time; alarms that are due ring.
    pub(crate) fn set_now(&self, now: Duration) {
        self.0.now.set(now);
        let mut alarms = self.0.alarms.borrow_mut();
        if alarms.is_empty() {
            return;
        }
        let before = alarms.len();
        alarms.retain(|_, at| *at > now);
        if alarms.len() != before {
            drop(alarms);
            self.ring();
        }
    }

    /// Monotonic time, as the kernel last told it.
    pub(crate) fn now(&self) -> Duration {
        self.0.now.get()
    }

    fn key(&self) -> usize {
        let key = self.0.next_key.get();
        self.0.next_key.set(key.wrapping_add(1) & (usize::MAX >> 1));
        key
    }

    /// A new look at many files begins.
    pub(crate) fn new_round(&self) {
        self.0.round.set(self.0.round.get() + 1);
    }

    /// The look at many files that is going on: what was found out for it is
    /// not found out again.
    pub(crate) fn round(&self) -> u64 {
        self.0.round.get()
    }

    /// Has the kernel do something soon, that files cannot do.
    pub(crate) fn defer(&self, what: Deferred) {
        self.0.deferred.borrow_mut().push(what);
        self.ring();
    }

    /// What was deferred.
    pub(crate) fn take_deferred(&self) -> Vec<Deferred> {
        std::mem::take(&mut *self.0.deferred.borrow_mut())
    }

    /// A number for a file without a name, as /proc/PID/fd shows it.
    pub(crate) fn new_inode(&self) -> u64 {
        // Away from small numbers, as programs take 0 for "none".
        4096 + self.key() as u64
    }

    /// An alarm that is not set.
    pub(crate) fn alarm(&self) -> Alarm {
        Alarm {
            hub: self.clone(),
            key: self.key(),
        }
    }

    /// When the next alarm is due.
    pub(crate) fn next_alarm(&self) -> Option<Duration> {
        self.0.alarms.borrow().values().min().copied()
    }

    fn poller(&self) -> Option<Arc<Poller>> {
        let mut poller = self.0.poller.borrow_mut();
        if poller.is_none() {
            match Poller::new() {
                Ok(new) => *poller = Some(Arc::new(new)),
                Err(error) => log::error!("the host does not tell when files are ready: {error}"),
            }
        }
        poller.clone()
    }

    /// What lets another host thread end [`wait`](Self::wait).
    #[cfg_attr(unix, allow(dead_code))]
    pub(crate) fn notifier(&self) -> Option<Arc<Poller>> {
        self.poller()
    }

    /// Watches a host file, which is `ready` for this much.
    pub(crate) fn watch(&self, io: Io, ready: Interest) -> Rc<Source> {
        let source = Rc::new(Source {
            hub: self.clone(),
            key: self.key(),
            io,
            ready: Cell::new(ready),
            unsure: Cell::new(!ready & (POLLIN | POLLOUT)),
            interest: Cell::new(POLLIN | POLLOUT),
            armed: Cell::new(0),
            registered: Cell::new(false),
            edges: Cell::new(0),
        });
        self.0
            .sources
            .borrow_mut()
            .insert(source.key, Rc::downgrade(&source));
        source
    }

    /// Whether host files are watched: whether [`wait`](Self::wait) may end
    /// before its deadline.
    pub(crate) fn watches(&self) -> bool {
        !self.0.sources.borrow().is_empty()
    }

    /// Looks at the host from time to time, while guests are busy.
    pub(crate) fn pump(&self) {
        let now = self.0.now.get();
        if self.watches() && now.saturating_sub(self.0.pumped.get()) >= PUMP_INTERVAL {
            self.0.pumped.set(now);
            self.wait(Some(Duration::ZERO));
        }
    }

    /// Sleeps until a host file becomes ready that was not, another thread
    /// notifies, a host signal arrives, or `timeout` has passed. Rings if
    /// something became ready.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        let Some(poller) = self.poller() else {
            std::thread::sleep(
                timeout
                    .unwrap_or(Duration::MAX)
                    .min(Duration::from_millis(10)),
            );
            return self.ring();
        };
        let sources: Vec<Rc<Source>> = {
            let sources = self.0.sources.borrow();
            sources.values().filter_map(Weak::upgrade).collect()
        };
        let mut immediate = false;
        for source in &sources {
            immediate |= !source.arm(&poller);
        }
        let timeout = if immediate {
            Some(Duration::ZERO)
        } else {
            timeout
        };
        let mut events = Events::new();
        match poller.wait(&mut events, timeout) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => log::error!("waiting for the host: {error}"),
        }
        // Elsewhere threads read standard input; they notify without a word.
        let mut rang = immediate || cfg!(not(unix));
        for event in events.iter() {
            let source = self
                .0
                .sources
                .borrow()
                .get(&event.key)
                .and_then(Weak::upgrade);
            if let Some(source) = source {
                source.happened(event);
                rang = true;
            }
        }
        if rang {
            self.ring();
        }
    }
}

/// What files have the kernel do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deferred {
    /// Send a signal to a process group.
    Group { group: Tid, signal: u32 },
}

/// A moment at which the hub rings; not any more once it is dropped.
pub(crate) struct Alarm {
    hub: Hub,
    key: usize,
}

impl Alarm {
    /// Sets it anew, or takes it back.
    pub(crate) fn set(&self, at: Option<Duration>) {
        let mut alarms = self.hub.0.alarms.borrow_mut();
        match at {
            Some(at) => alarms.insert(self.key, at),
            None => alarms.remove(&self.key),
        };
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.set(None);
    }
}

/// A file of the host. None of them blocks, or it is only touched when ready.
pub(crate) enum Io {
    /// A TCP socket: not yet connected, connected or listening.
    Stream(TcpStream),
    /// A UDP socket.
    Datagram(UdpSocket),
    /// Standard input and the like: any kind of file.
    #[cfg_attr(not(unix), allow(dead_code))]
    File(HostFile),
}

/// A file of the host, and what it is ready for as far as known.
pub(crate) struct Source {
    hub: Hub,
    key: usize,
    io: Io,
    ready: Cell<Interest>,
    /// Not known to be ready, nor to be not.
    unsure: Cell<Interest>,
    interest: Cell<Interest>,
    armed: Cell<Interest>,
    registered: Cell<bool>,
    edges: Cell<u64>,
}

impl Source {
    /// The host's file.
    pub(crate) fn io(&self) -> &Io {
        &self.io
    }

    /// What it is ready for, as far as known.
    pub(crate) fn ready(&self) -> Interest {
        self.ready.get()
    }

    /// Counts news from the host (for edge-triggered epoll).
    pub(crate) fn edges(&self) -> u64 {
        self.edges.get()
    }

    /// What it may be ready for: a look at the host would tell.
    pub(crate) fn unsure(&self) -> Interest {
        self.unsure.get()
    }

    /// It was tried and would have blocked: the host is to tell when it is
    /// ready again.
    pub(crate) fn blocked(&self, what: Interest) {
        self.ready.set(self.ready.get() & !what);
        self.unsure.set(self.unsure.get() & !what);
        self.interest.set(self.interest.get() | what);
    }

    /// Something was taken from it: perhaps that was all.
    pub(crate) fn took(&self, what: Interest) {
        self.ready.set(self.ready.get() & !what);
        self.unsure.set(self.unsure.get() | what);
        self.interest.set(self.interest.get() | what);
    }

    /// A look at the host told that it is ready.
    pub(crate) fn is_ready(&self, what: Interest) {
        if self.ready.get() & what != what {
            self.edges.set(self.edges.get().wrapping_add(1));
        }
        self.ready.set(self.ready.get() | what);
        self.unsure.set(self.unsure.get() & !what);
    }

    /// Nothing of this kind is to be expected any more, or not yet.
    pub(crate) fn ignore(&self, what: Interest) {
        self.interest.set(self.interest.get() & !what);
        self.ready.set(self.ready.get() & !what);
        self.unsure.set(self.unsure.get() & !what);
    }

    fn happened(&self, event: Event) {
        // The host delivers one event each time it is armed.
        self.armed.set(0);
        let failed = event.is_err() == Some(true) || event.is_interrupt();
        if event.readable || failed {
            self.is_ready(POLLIN);
        }
        if event.writable || failed {
            self.is_ready(POLLOUT);
        }
        self.edges.set(self.edges.get().wrapping_add(1));
    }

    /// Asks the host about what is not known to be ready. False if the host
    /// cannot tell for this kind of file (regular files): then it is ready.
    #[allow(unsafe_code)]
    fn arm(&self, poller: &Poller) -> bool {
        let wanted = self.interest.get() & !self.ready.get();
        if wanted == 0 || (self.registered.get() && self.armed.get() & wanted == wanted) {
            return true;
        }
        if cfg!(not(unix)) && matches!(self.io, Io::File(_)) {
            return true;
        }
        let event = Event::new(self.key, wanted & POLLIN != 0, wanted & POLLOUT != 0);
        let result = if self.registered.get() {
            self.each(|io| match io {
                Either::Stream(io) => poller.modify(io, event),
                Either::Datagram(io) => poller.modify(io, event),
                #[cfg(unix)]
                Either::File(io) => poller.modify(io, event),
            })
        } else {
            // SAFETY: the poller must forget the file before it is closed:
            // `drop` sees to that. It is closed nowhere else, as `io` is
            // private and only lent.
            self.each(|io| unsafe {
                match io {
                    Either::Stream(io) => poller.add(io, event),
                    Either::Datagram(io) => poller.add(io, event),
                    #[cfg(unix)]
                    Either::File(io) => poller.add(io, event),
                }
            })
        };
        match result {
            Ok(()) => {
                self.registered.set(true);
                self.armed.set(wanted);
                true
            }
            Err(error) => {
                log::debug!("a host file is taken for ready: {error}");
                self.is_ready(wanted);
                false
            }
        }
    }

    fn each(&self, act: impl FnOnce(Either<'_>) -> io::Result<()>) -> io::Result<()> {
        match &self.io {
            Io::Stream(io) => act(Either::Stream(io)),
            Io::Datagram(io) => act(Either::Datagram(io)),
            #[cfg(unix)]
            Io::File(io) => act(Either::File(io)),
            #[cfg(not(unix))]
            Io::File(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

enum Either<'a> {
    Stream(&'a TcpStream),
    Datagram(&'a UdpSocket),
    #[cfg(unix)]
    File(&'a HostFile),
}

impl Drop for Source {
    fn drop(&mut self) {
        self.hub.0.sources.borrow_mut().remove(&self.key);
        if self.registered.get()
            && let Some(poller) = self.hub.poller()
        {
            let result = self.each(|io| match io {
                Either::Stream(io) => poller.delete(io),
                Either::Datagram(io) => poller.delete(io),
                #[cfg(unix)]
                Either::File(io) => poller.delete(io),
            });
            if let Err(error) = result {
                log::debug!("forgetting a host file: {error}");
            }
        }
    }
}
