//! The loopback network of a box whose host network is closed: TCP and UDP
//! between its own guests, on 127.0.0.0/8 and ::1. Everything else is
//! unreachable.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};

use super::addr::{AF_INET, AF_INET6, Address, is_any, mapped, unmapped};
use super::channel::{Channel, Credentials};
use super::options::{
    IPV6_V6ONLY, SO_RCVBUF, SO_REUSEADDR, SO_REUSEPORT, SO_SNDBUF, SOL_IPV6, SOL_SOCKET,
};
use super::unix::BACKLOG_MAX;
use super::{
    Caller, Connecting, Net, Node, Options, Received, Rights, SOCK_DGRAM, SOCK_STREAM, Socket,
    socket_stat,
};
use crate::errno::Errno;
use crate::fs::{
    Description, File, Interest, News, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, Stat,
};
use crate::syscall::{Answer, Cx};
use crate::wait::Hub;

/// Ports that are given to those who want any
/// (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: std::ops::Range<u16> = 32768..61000;
/// The largest datagram.
const DATAGRAM_MAX: usize = 65507;

/// Whether of TCP, and its number.
type Port = (bool, u16);

/// Who has which port: for TCP and for UDP.
#[derive(Default)]
pub(super) struct Ports {
    bound: RefCell<BTreeMap<Port, Vec<Weak<Inet>>>>,
    next: Cell<u16>,
    /// Turns of those that share a port.
    turn: Cell<usize>,
}

/// An Internet socket within the box.
pub(crate) struct Inet {
    v6: bool,
    stream: bool,
    me: Weak<Self>,
    hub: Hub,
    net: Rc<Net>,
    options: Options,
    local: Cell<Option<SocketAddr>>,
    /// The address of an explicit bind(2).
    bound: Cell<Option<IpAddr>>,
    state: RefCell<State>,
    inbox: Rc<Channel>,
    error: Cell<Option<Errno>>,
    /// The peer is known to be gone.
    reset: Cell<bool>,
    /// Reading was shut down.
    deaf: Cell<bool>,
    news: News,
    ino: u64,
}

enum State {
    Fresh,
    Listening {
        queue: VecDeque<Rc<Inet>>,
        backlog: usize,
    },
    /// The accept queue of whom it wants to reach is full.
    Waiting(SocketAddr),
    Connected {
        outbox: Rc<Channel>,
        peer: Weak<Inet>,
        to: SocketAddr,
        /// connect(2) was told "in progress" and not yet "done".
        untold: bool,
    },
    /// UDP with a default receiver.
    Directed(SocketAddr),
}

impl Ports {
    fn sockets(&self, stream: bool, port: u16) -> Vec<Rc<Inet>> {
        let bound = self.bound.borrow();
        let sockets = bound.get(&(stream, port)).into_iter().flatten();
        sockets.filter_map(Weak::upgrade).collect()
    }

    /// The socket that hears what is sent to `to`; `from` is whose it is.
    fn find(&self, stream: bool, to: SocketAddr, from: Option<SocketAddr>) -> Option<Rc<Inet>> {
        let mut best: Vec<Rc<Inet>> = Vec::new();
        let mut most = 0;
        for socket in self.sockets(stream, to.port()) {
            let score = socket.hears(to, from);
            if score > most {
                most = score;
                best.clear();
            }
            if score != 0 && score == most {
                best.push(socket);
            }
        }
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let at = turn.checked_rem(best.len())?;
        Some(best.swap_remove(at))
    }

    fn free(&self, socket: &Inet, at: SocketAddr) -> bool {
        self.sockets(socket.stream, at.port())
            .iter()
            .all(|other| std::ptr::eq(&**other, socket) || !socket.conflicts(other, at))
    }

    fn ephemeral(&self, socket: &Inet, ip: IpAddr) -> Option<SocketAddr> {
        for _ in EPHEMERAL {
            let next = self.next.get().max(EPHEMERAL.start);
            let after = next.wrapping_add(1);
            self.next.set(if EPHEMERAL.contains(&after) {
                after
            } else {
                EPHEMERAL.start
            });
            let at = SocketAddr::new(ip, next);
            // Nobody at all there: also not with SO_REUSEADDR.
            if self.sockets(socket.stream, next).is_empty() {
                return Some(at);
            }
        }
        None
    }

    fn take(&self, stream: bool, port: u16, socket: Weak<Inet>) {
        let mut bound = self.bound.borrow_mut();
        let sockets = bound.entry((stream, port)).or_default();
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(socket);
    }

    fn release(&self, stream: bool, port: u16) {
        let mut bound = self.bound.borrow_mut();
        if let Some(sockets) = bound.get_mut(&(stream, port)) {
            sockets.retain(|socket| socket.strong_count() > 0);
            if sockets.is_empty() {
                bound.remove(&(stream, port));
            }
        }
    }
}

/// Whether a box has this address.
fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

impl Inet {
    pub(super) fn new(hub: &Hub, net: &Rc<Net>, v6: bool, stream: bool) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            v6,
            stream,
            me: me.clone(),
            hub: hub.clone(),
            net: Rc::clone(net),
            options: Options::default(),
            local: Cell::new(None),
            bound: Cell::new(None),
            state: RefCell::new(State::Fresh),
            inbox: Channel::new(hub, &net.in_flight, !stream),
            error: Cell::new(None),
            reset: Cell::new(false),
            deaf: Cell::new(false),
            news: News::new(hub),
            ino: hub.new_inode(),
        })
    }

    fn only_v6(&self) -> bool {
        self.options.on(SOL_IPV6, IPV6_V6ONLY)
    }

    /// How well it fits what is sent to `to`: 0 for not at all.
    fn hears(&self, to: SocketAddr, from: Option<SocketAddr>) -> u32 {
        let Some(local) = self.local.get() else {
            return 0;
        };
        let ip = local.ip().to_canonical();
        let mut score = match (ip, to.ip()) {
            _ if ip == to.ip() => 4,
            (IpAddr::V4(any), IpAddr::V4(_)) if any.is_unspecified() => 2,
            (IpAddr::V6(any), IpAddr::V6(_)) if any.is_unspecified() => 2,
            (IpAddr::V6(any), IpAddr::V4(_)) if any.is_unspecified() && !self.only_v6() => 1,
            _ => return 0,
        };
        match &*self.state.borrow() {
            State::Listening { .. } if self.stream => {}
            _ if self.stream => return 0,
            State::Directed(peer) => {
                if Some(*peer) != from {
                    return 0;
                }
                score += 8;
            }
            _ => {}
        }
        score
    }

    /// Whether it cannot be bound to `at` because `other` is there.
    fn conflicts(&self, other: &Self, at: SocketAddr) -> bool {
        let Some(theirs) = other.local.get() else {
            return false;
        };
        let both = |name| self.options.on(SOL_SOCKET, name) && other.options.on(SOL_SOCKET, name);
        let (a, b) = (at.ip().to_canonical(), theirs.ip().to_canonical());
        let wide = |ip: IpAddr, only_v6: bool, other: IpAddr| {
            is_any(ip) && (ip.is_ipv4() == other.is_ipv4() || (ip.is_ipv6() && !only_v6))
        };
        let overlap = a == b || wide(a, self.only_v6(), b) || wide(b, other.only_v6(), a);
        let listens = matches!(&*other.state.borrow(), State::Listening { .. });
        overlap && !both(SO_REUSEPORT) && (!both(SO_REUSEADDR) || listens)
    }

    /// The address that stands for all.
    fn any(&self) -> IpAddr {
        if self.v6 {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        }
    }

    /// An address in the family of the socket.
    fn own_family(&self, at: SocketAddr) -> SocketAddr {
        if self.v6 { mapped(at) } else { at }
    }

    /// Where `to` leads: to the box, or nowhere.
    fn destination(&self, to: SocketAddr) -> Result<SocketAddr, Errno> {
        if to.is_ipv6() && !self.v6 {
            return Err(Errno::EAFNOSUPPORT);
        }
        let to = unmapped(to);
        if self.v6 && to.is_ipv4() && self.only_v6() {
            return Err(Errno::ENETUNREACH);
        }
        let ip = match to.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip if is_local(ip) => ip,
            _ => return Err(Errno::ENETUNREACH),
        };
        if to.port() == 0 {
            return Err(if self.stream {
                Errno::ECONNREFUSED
            } else {
                Errno::EINVAL
            });
        }
        Ok(SocketAddr::new(ip, to.port()))
    }

    /// Has an address of its own, from which it can reach `to`.
    fn bind_for(&self, to: SocketAddr) -> Result<SocketAddr, Errno> {
        let ip: IpAddr = match to.ip() {
            // Whoever calls any of 127.0.0.0/8 calls from that.
            ip if self.stream => ip,
            ip if ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
            _ => Ipv6Addr::LOCALHOST.into(),
        };
        match self.local.get() {
            Some(local) if is_any(local.ip()) => Ok(SocketAddr::new(ip, local.port())),
            Some(local) => Ok(unmapped(local)),
            None => {
                let ports = &self.net.inet;
                let at = ports.ephemeral(self, ip).ok_or(Errno::EADDRNOTAVAIL)?;
                // Datagrams are heard on every address.
                let shown = match self.stream {
                    true => self.own_family(at),
                    false => SocketAddr::new(self.any(), at.port()),
                };
                self.local.set(Some(shown));
                ports.take(self.stream, at.port(), self.me.clone());
                Ok(at)
            }
        }
    }

    fn connect_stream(&self, to: SocketAddr, caller: Caller) -> Result<Connecting, Errno> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let again = match &mut *self.state.borrow_mut() {
            State::Fresh => false,
            State::Waiting(_) => true,
            State::Connected { untold, .. } if *untold => {
                *untold = false;
                return Ok(Connecting::Done);
            }
            _ => return Err(Errno::EISCONN),
        };
        let to = self.destination(to)?;
        match self.reach(to) {
            Ok(true) if again => Ok(Connecting::Done),
            Ok(false) if again => Ok(Connecting::Already),
            Ok(true) if caller.nonblocking => {
                if let State::Connected { untold, .. } = &mut *self.state.borrow_mut() {
                    *untold = true;
                }
                Ok(Connecting::InProgress)
            }
            Ok(true) => Ok(Connecting::Done),
            Ok(false) => {
                *self.state.borrow_mut() = State::Waiting(to);
                Ok(Connecting::InProgress)
            }
            Err(errno) if caller.nonblocking => {
                self.error.set(Some(errno));
                Ok(Connecting::InProgress)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Connects to whoever listens at `to`; false if the queue is full.
    fn reach(&self, to: SocketAddr) -> Result<bool, Errno> {
        let listener = self.net.inet.find(true, to, None);
        let listener = listener.ok_or(Errno::ECONNREFUSED)?;
        let me = self.me.upgrade().ok_or(Errno::EINVAL)?;
        let from = self.bind_for(to)?;
        if std::ptr::eq(&*listener, self) {
            return Err(Errno::ECONNREFUSED);
        }
        let mut state = listener.state.borrow_mut();
        let State::Listening { queue, backlog } = &mut *state else {
            return Err(Errno::ECONNREFUSED);
        };
        if queue.len() > *backlog {
            listener.news.watch();
            return Ok(false);
        }
        let other = Self::new(&self.hub, &self.net, listener.v6, true);
        other.options.inherit(&listener.options);
        other.local.set(Some(other.own_family(to)));
        me.join(&other, to);
        other.join(&me, from);
        queue.push_back(other);
        drop(state);
        listener.news.happened();
        Ok(true)
    }

    fn join(&self, peer: &Rc<Self>, to: SocketAddr) {
        let size = self.options.number(SOL_SOCKET, SO_SNDBUF);
        peer.inbox.set_limit(size.max(4096) as usize);
        // What it was bound to for sending is its address now.
        if let (true, Some(local)) = (is_any_opt(self.local.get()), self.local.get()) {
            let ip = match to.ip() {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            };
            let at = self.own_family(SocketAddr::new(ip, local.port()));
            self.local.set(Some(at));
        }
        *self.state.borrow_mut() = State::Connected {
            outbox: Rc::clone(&peer.inbox),
            peer: Rc::downgrade(peer),
            to,
            untold: false,
        };
        self.news.happened();
    }

    /// Goes on with a connection that waits for room.
    fn advance(&self) {
        let to = match &*self.state.borrow() {
            State::Waiting(to) => *to,
            _ => return,
        };
        if let Err(errno) = self.reach(to) {
            *self.state.borrow_mut() = State::Fresh;
            self.error.set(Some(errno));
        }
    }

    fn send_datagram(
        &self,
        data: &[u8],
        to: Option<SocketAddr>,
        sender: Credentials,
    ) -> Result<usize, Errno> {
        let to = match (to, &*self.state.borrow()) {
            (Some(to), _) => self.destination(to)?,
            (None, State::Directed(to)) => *to,
            (None, _) => return Err(Errno::EDESTADDRREQ),
        };
        if data.len() > DATAGRAM_MAX {
            return Err(Errno::EMSGSIZE);
        }
        let from = self.bind_for(to)?;
        let Some(target) = self.net.inet.find(false, to, Some(from)) else {
            // "Port unreachable" comes back, to those who are connected.
            if matches!(&*self.state.borrow(), State::Directed(_)) {
                self.error.set(Some(Errno::ECONNREFUSED));
                self.news.happened();
            }
            return Ok(data.len());
        };
        let shown = Address::Inet(target.own_family(from));
        match target.inbox.write(data, Some(shown), &mut None, sender) {
            // Datagrams are lost when nobody has room for them.
            Ok(_) | Err(Errno::EAGAIN | Errno::EPIPE | Errno::EMSGSIZE) => Ok(data.len()),
            Err(errno) => Err(errno),
        }
    }
}

fn is_any_opt(at: Option<SocketAddr>) -> bool {
    at.is_some_and(|at| is_any(at.ip()))
}

impl Socket for Inet {
    fn options(&self) -> &Options {
        &self.options
    }

    fn domain(&self) -> u16 {
        if self.v6 { AF_INET6 } else { AF_INET }
    }

    fn kind(&self) -> u32 {
        if self.stream { SOCK_STREAM } else { SOCK_DGRAM }
    }

    fn protocol(&self) -> u32 {
        if self.stream { 6 } else { 17 }
    }

    fn bind(&self, at: &Address, _node: Option<Node>) -> Result<(), Errno> {
        let at = at.of_family(self.v6)?;
        if self.local.get().is_some() {
            return Err(Errno::EINVAL);
        }
        if !is_any(at.ip()) && !is_local(at.ip()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let ports = &self.net.inet;
        let at = match at.port() {
            0 => ports.ephemeral(self, at.ip()).ok_or(Errno::EADDRINUSE)?,
            _ if !ports.free(self, at) => return Err(Errno::EADDRINUSE),
            _ => at,
        };
        self.local.set(Some(at));
        self.bound.set(Some(at.ip()));
        ports.take(self.stream, at.port(), self.me.clone());
        Ok(())
    }

    fn listen(&self, backlog: u32, _caller: Caller) -> Result<(), Errno> {
        if !self.stream {
            return Err(Errno::EOPNOTSUPP);
        }
        let most = backlog.min(BACKLOG_MAX) as usize;
        match &mut *self.state.borrow_mut() {
            State::Fresh => {}
            State::Listening { backlog, .. } => {
                *backlog = most;
                return Ok(());
            }
            _ => return Err(Errno::EINVAL),
        }
        let ports = &self.net.inet;
        match self.local.get() {
            None => {
                let at = ports.ephemeral(self, self.any()).ok_or(Errno::EADDRINUSE)?;
                self.local.set(Some(at));
                ports.take(true, at.port(), self.me.clone());
            }
            // With SO_REUSEADDR two may be bound, but one listens.
            Some(at) if !ports.free(self, at) => return Err(Errno::EADDRINUSE),
            Some(_) => {}
        }
        *self.state.borrow_mut() = State::Listening {
            queue: VecDeque::new(),
            backlog: most,
        };
        self.news.happened();
        Ok(())
    }

    fn accept(&self) -> Result<(Rc<dyn Socket>, Address), Errno> {
        if !self.stream {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut state = self.state.borrow_mut();
        let State::Listening { queue, .. } = &mut *state else {
            return Err(Errno::EINVAL);
        };
        let Some(socket) = queue.pop_front() else {
            self.news.watch();
            return Err(Errno::EAGAIN);
        };
        drop(state);
        self.news.happened();
        let peer = socket.peer().unwrap_or(Address::Unspecified);
        Ok((socket, peer))
    }

    fn connect(
        &self,
        to: &Address,
        _node: Option<Node>,
        caller: Caller,
    ) -> Result<Connecting, Errno> {
        if self.stream {
            return self.connect_stream(to.inet()?, caller);
        }
        let state = match to {
            Address::Unspecified => {
                // It is heard again as before it was connected.
                let ip = self.bound.get().unwrap_or_else(|| self.any());
                let local = self.local.get();
                self.local
                    .set(local.map(|at| SocketAddr::new(ip, at.port())));
                State::Fresh
            }
            _ => {
                let to = self.destination(to.inet()?)?;
                let from = self.bind_for(to)?;
                self.local.set(Some(self.own_family(from)));
                State::Directed(to)
            }
        };
        *self.state.borrow_mut() = state;
        Ok(Connecting::Done)
    }

    fn name(&self) -> Result<Address, Errno> {
        let unbound = SocketAddr::new(self.any(), 0);
        Ok(Address::Inet(self.local.get().unwrap_or(unbound)))
    }

    fn peer(&self) -> Result<Address, Errno> {
        match &*self.state.borrow() {
            State::Connected { to, .. } | State::Directed(to) => {
                Ok(Address::Inet(self.own_family(*to)))
            }
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn send(
        &self,
        data: &[u8],
        to: Option<(&Address, Option<Node>)>,
        rights: &mut Option<Rights>,
        sender: Credentials,
    ) -> Result<usize, Errno> {
        self.advance();
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if !self.stream {
            let to = to.map(|(to, _)| to.inet()).transpose()?;
            return self.send_datagram(data, to, sender);
        }
        let outbox = match &*self.state.borrow() {
            State::Connected { outbox, .. } => Rc::clone(outbox),
            State::Waiting(_) => {
                self.news.watch();
                return Err(Errno::EAGAIN);
            }
            _ => return Err(Errno::EPIPE),
        };
        // Files do not travel over networks.
        drop(rights.take());
        match outbox.write(data, None, &mut None, sender) {
            // The peer is gone: TCP learns of it from the answer to the
            // first segment that it sends in vain.
            Err(Errno::EPIPE) if !outbox.is_finished() && !self.reset.replace(true) => {
                self.news.happened();
                Ok(data.len())
            }
            result => result,
        }
    }

    fn recv(&self, out: &mut [u8], flags: u32) -> Result<Received, Errno> {
        self.advance();
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        match &*self.state.borrow() {
            State::Connected { .. } => {}
            State::Waiting(_) => {
                self.news.watch();
                return Err(Errno::EAGAIN);
            }
            _ if self.stream => return Err(Errno::ENOTCONN),
            _ => {}
        }
        match self.inbox.read(out, flags) {
            Err(Errno::EAGAIN) if self.deaf.get() => Ok(Received::default()),
            result => result,
        }
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<(), Errno> {
        match &*self.state.borrow() {
            State::Connected { outbox, .. } => {
                if write {
                    outbox.finish();
                }
                if read {
                    // The peer does not notice.
                    self.deaf.set(true);
                    self.inbox.for_reader.happened();
                }
                Ok(())
            }
            State::Directed(_) => {
                if read {
                    self.deaf.set(true);
                    self.inbox.for_reader.happened();
                }
                Ok(())
            }
            // It stops listening.
            State::Listening { .. } if read => Ok(()),
            _ => Err(Errno::ENOTCONN),
        }?;
        let mut state = self.state.borrow_mut();
        if let (State::Listening { queue, .. }, true) = (&mut *state, read) {
            let queue = std::mem::take(queue);
            *state = State::Fresh;
            drop(state);
            drop(queue);
            self.news.happened();
        }
        Ok(())
    }

    fn option_set(&self, level: u32, name: u32) -> Result<(), Errno> {
        let size = self.options.number(level, name).max(4096) as usize;
        match (level, name) {
            (SOL_SOCKET, SO_SNDBUF) => {
                if let State::Connected { outbox, .. } = &*self.state.borrow() {
                    outbox.set_limit(size);
                }
            }
            (SOL_SOCKET, SO_RCVBUF) if !self.stream => self.inbox.set_limit(size),
            _ => {}
        }
        Ok(())
    }

    fn take_error(&self) -> Option<Errno> {
        self.advance();
        self.error.take()
    }

    fn listens(&self) -> bool {
        matches!(&*self.state.borrow(), State::Listening { .. })
    }

    fn input_len(&self) -> usize {
        self.inbox.next_len()
    }

    fn output_len(&self) -> usize {
        match &*self.state.borrow() {
            State::Connected { outbox, .. } => outbox.used(),
            _ => 0,
        }
    }
}

impl File for Inet {
    fn read(&self, _offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        self.recv(out, 0).map(|received| received.len)
    }

    fn write(&self, _offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.send(bytes, None, &mut None, Credentials::default())
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(socket_stat(self.ino))
    }

    fn poll(&self) -> Interest {
        self.advance();
        self.news.watch();
        self.inbox.for_reader.watch();
        let mut ready = 0;
        if self.inbox.readable() {
            ready |= POLLIN;
        }
        if self.error.get().is_some() {
            ready |= POLLERR | POLLIN | POLLOUT;
            if self.stream {
                ready |= POLLHUP;
            }
        }
        match &*self.state.borrow() {
            State::Fresh if self.stream => ready |= POLLOUT | POLLHUP,
            State::Fresh | State::Directed(_) => ready |= POLLOUT,
            State::Waiting(_) => {}
            State::Listening { queue, .. } => {
                if !queue.is_empty() {
                    ready |= POLLIN;
                }
            }
            State::Connected { outbox, .. } => {
                if self.reset.get() {
                    ready |= POLLERR | POLLHUP;
                }
                if self.inbox.is_finished() || self.deaf.get() {
                    ready |= POLLIN | POLLRDHUP;
                    if outbox.is_finished() {
                        ready |= POLLHUP;
                    }
                }
                if outbox.is_finished() || outbox.is_abandoned() || outbox.writable() {
                    ready |= POLLOUT;
                }
            }
        }
        ready
    }

    fn ioctl(&self, cx: &mut Cx, _file: &Description, request: u32, argument: u64) -> Answer {
        super::ioctl(self, cx, request, argument)
    }

    fn pollable(&self) -> bool {
        true
    }

    fn edges(&self) -> u64 {
        let own = self
            .news
            .count()
            .wrapping_add(self.inbox.for_reader.count());
        match &*self.state.borrow() {
            State::Connected { outbox, .. } => own.wrapping_add(outbox.for_writers.count()),
            _ => own,
        }
    }

    fn label(&self) -> Option<String> {
        Some(format!("socket:[{}]", self.ino))
    }

    fn socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Inet {
    fn drop(&mut self) {
        let left = self.inbox.abandon();
        let state = std::mem::replace(&mut *self.state.borrow_mut(), State::Fresh);
        if let State::Connected { outbox, peer, .. } = &state {
            outbox.finish();
            let reset = left || self.options.linger() == Some(0);
            if let Some(peer) = peer.upgrade().filter(|_| reset) {
                peer.error.set(Some(Errno::ECONNRESET));
                peer.news.happened();
            }
        }
        drop(state);
        self.inbox.clear();
        self.news.happened();
        if let Some(local) = self.local.get() {
            self.net.inet.release(self.stream, local.port());
        }
    }
}
