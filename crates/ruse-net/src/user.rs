//! The thread of a user-mode network.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use mio::{Events, Poll, Token, Waker};
use ruse_bus::Wake;
use ruse_devices::backend::{Given, NetCard, Network};
use ruse_event::Tap;
use smoltcp::time::Instant;
use thiserror::Error;

use crate::addr::Policy;
use crate::host::RealHost;
use crate::spec::Forward;
use crate::stack::Stack;

/// The poller's numbers: of connections from 0 on, of forwards, and of the
/// bell.
const FORWARDS: usize = 1 << 30;
const BELL: Token = Token(usize::MAX);
/// How much of the guest's is taken before others' turn.
const TURN: usize = 1 << 20;

/// Why there is no network.
#[derive(Debug, Error)]
pub enum NetError {
    /// The host's poller failed.
    #[error("cannot wait for sockets: {0}")]
    Poll(#[from] io::Error),
    /// A forwarded port cannot be bound.
    #[error("cannot listen for --forward {forward}: {source}")]
    Forward {
        /// Which one.
        forward: Forward,
        /// What the host says.
        source: io::Error,
    },
    /// A socket between machines.
    #[error("{path}: {source}; is it a socket of two machines, and its folder there?")]
    Socket {
        /// Its path.
        path: std::path::PathBuf,
        /// What the host says.
        source: io::Error,
    },
    /// Forwards, but no card that they could lead to.
    #[error("--forward needs a card of --net user")]
    NoUser,
    /// This host has no such sockets.
    #[error("this host has no Unix sockets: --net socket: does not work here")]
    NoSockets,
}

/// A bell that wakes a poller, at most once until it is heard.
pub(crate) struct Bell {
    waker: Waker,
    rung: AtomicBool,
    stop: AtomicBool,
}

impl Bell {
    pub(crate) fn new(poll: &Poll) -> io::Result<Self> {
        Ok(Self {
            waker: Waker::new(poll.registry(), BELL)?,
            rung: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        })
    }

    /// Whether it rang since the last time.
    pub(crate) fn heard(&self) -> bool {
        self.rung.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(&self) {
        if !self.rung.swap(true, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            log::error!("cannot wake the network's thread: {error}");
        }
    }
}

/// A thread that ends when this is dropped.
pub(crate) struct Running {
    pub(crate) bell: Arc<Bell>,
    pub(crate) thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(
        bell: Arc<Bell>,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<Box<dyn Any + Send + Sync>> {
        let thread = std::thread::Builder::new().name("net".into()).spawn(work)?;
        Ok(Box::new(Self {
            bell,
            thread: Some(thread),
        }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.bell.stop.store(true, Ordering::SeqCst);
        let _ = self.bell.waker.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the network's thread panicked");
        }
    }
}

/// A network of the guest's own, from which connections go out as this
/// process's, and come in by forwarded ports. It needs no privilege.
pub struct User {
    poll: Poll,
    bell: Arc<Bell>,
    stack: Stack<RealHost>,
    start: std::time::Instant,
}

impl User {
    /// A network for a card with the address `mac`. Ports are bound, and the
    /// host's name servers looked up, now.
    ///
    /// # Errors
    /// [`NetError`] if the host refuses.
    pub fn new(policy: Policy, forwards: &[Forward], mac: [u8; 6]) -> Result<Self, NetError> {
        let poll = Poll::new()?;
        let bell = Arc::new(Bell::new(&poll)?);
        let registry = poll.registry().try_clone()?;
        let host = RealHost::new(registry, forwards, FORWARDS)
            .map_err(|(forward, source)| NetError::Forward { forward, source })?;
        for (forward, bound) in forwards.iter().zip(host.bound()) {
            if let Some(bound) = bound {
                log::info!("{bound} leads to the guest's {}", forward.guest);
            }
        }
        Ok(Self {
            stack: Stack::new(host, policy, forwards, mac, Instant::ZERO),
            poll,
            bell,
            start: std::time::Instant::now(),
        })
    }

    /// Where forwarded ports are on the host, in their order.
    pub fn bound(&self) -> Vec<Option<std::net::SocketAddr>> {
        self.stack.host().bound().collect()
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.start.elapsed().as_micros() as i64)
    }

    fn run(mut self, card: &dyn NetCard) {
        let mut events = Events::with_capacity(256);
        let mut more = true;
        let mut blocked = false;
        while !self.bell.is_stopped() {
            let now = self.now();
            let timeout = if more || self.stack.is_busy() && !blocked {
                std::time::Duration::ZERO
            } else {
                (self.stack.deadline().max(now) - now).into()
            };
            if let Err(error) = self.poll.poll(&mut events, Some(timeout))
                && error.kind() != io::ErrorKind::Interrupted
            {
                log::error!("the network ends: {error}");
                return;
            }
            for event in &events {
                match event.token() {
                    BELL => {}
                    Token(id) if id >= FORWARDS => self.stack.called(id - FORWARDS),
                    Token(id) => self.stack.ready(
                        id,
                        event.is_readable() || event.is_read_closed() || event.is_error(),
                        event.is_writable() || event.is_write_closed() || event.is_error(),
                    ),
                }
            }
            let now = self.now();
            if self.bell.heard() || more {
                self.stack.set_takes(card.takes(), now);
                let stack = &mut self.stack;
                // Frames are taken under the card's lock, and looked at after.
                let mut frames = Vec::new();
                more = card.take(TURN, &mut |frame| frames.push(frame));
                for frame in frames {
                    stack.input(frame, now);
                }
            }
            self.stack.work(now);
            blocked = false;
            if !self.stack.frames().is_empty() {
                match card.give(self.stack.frames()) {
                    Given::All => {}
                    Given::Full => blocked = true,
                    Given::Down => self.stack.frames().clear(),
                }
                self.stack.taken();
            }
        }
    }
}

impl Network for User {
    fn offloads(&self) -> bool {
        true
    }

    fn bell(&self) -> Arc<dyn Wake> {
        self.bell.clone()
    }

    fn watch(&mut self, tap: &Tap) {
        self.stack.watch(tap);
    }

    fn start(self: Box<Self>, card: Arc<dyn NetCard>) -> io::Result<Box<dyn Any + Send + Sync>> {
        Running::start(self.bell.clone(), move || self.run(&*card))
    }
}
