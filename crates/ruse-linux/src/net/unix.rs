//! Unix sockets (unix(7)): streams, datagrams and sequenced packets, with
//! names in the box's file tree or abstract ones.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use super::addr::{AF_UNIX, Address, UnixName};
use super::channel::{Channel, Credentials};
use super::options::{SO_RCVBUF, SO_SNDBUF, SOL_SOCKET};
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

/// The longest accept queue (`net.core.somaxconn`).
pub(super) const BACKLOG_MAX: u32 = 4096;

/// A Unix socket.
pub(crate) struct Unix {
    kind: u32,
    me: Weak<Self>,
    hub: Hub,
    net: Rc<Net>,
    options: Options,
    name: RefCell<UnixName>,
    state: RefCell<State>,
    inbox: Rc<Channel>,
    error: Cell<Option<Errno>>,
    /// Connections to accept, room for more.
    news: News,
    ino: u64,
}

enum State {
    Fresh,
    Listening {
        queue: VecDeque<Rc<Unix>>,
        backlog: usize,
        owner: Credentials,
    },
    Connected {
        outbox: Rc<Channel>,
        peer: Weak<Unix>,
        peer_name: UnixName,
        owner: Credentials,
    },
    /// A datagram socket with a default receiver.
    Directed {
        to: Weak<Unix>,
        name: UnixName,
    },
}

impl Unix {
    pub(super) fn new(hub: &Hub, net: &Rc<Net>, kind: u32) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            kind,
            me: me.clone(),
            hub: hub.clone(),
            net: Rc::clone(net),
            options: Options::default(),
            name: RefCell::default(),
            state: RefCell::new(State::Fresh),
            inbox: Channel::new(hub, &net.in_flight, kind != SOCK_STREAM),
            error: Cell::new(None),
            news: News::new(hub),
            ino: hub.new_inode(),
        })
    }

    pub(super) fn pair(
        hub: &Hub,
        net: &Rc<Net>,
        kind: u32,
        owner: Credentials,
    ) -> (Rc<Self>, Rc<Self>) {
        let (a, b) = (Self::new(hub, net, kind), Self::new(hub, net, kind));
        a.join(&b, owner);
        b.join(&a, owner);
        (a, b)
    }

    /// Becomes the one end of a connection whose other end is `peer`.
    fn join(&self, peer: &Rc<Self>, owner: Credentials) {
        let limit = self.options.number(SOL_SOCKET, SO_SNDBUF);
        peer.inbox.set_limit(limit.max(4096) as usize);
        *self.state.borrow_mut() = State::Connected {
            outbox: Rc::clone(&peer.inbox),
            peer: Rc::downgrade(peer),
            peer_name: peer.name.borrow().clone(),
            owner,
        };
        self.news.happened();
    }

    fn find(&self, to: &Address, node: Option<Node>) -> Result<Rc<Self>, Errno> {
        let found = match (to, node) {
            (Address::Unix(UnixName::Abstract(name)), _) => {
                let names = self.net.abstract_names.borrow();
                names.get(name).and_then(Weak::upgrade)
            }
            (Address::Unix(UnixName::Path(_)), Some(node)) => {
                let nodes = self.net.nodes.borrow();
                nodes.get(&node).and_then(Weak::upgrade)
            }
            _ => return Err(Errno::EINVAL),
        };
        let found = found.ok_or(Errno::ECONNREFUSED)?;
        if found.kind != self.kind {
            return Err(Errno::EPROTOTYPE);
        }
        Ok(found)
    }

    fn own_name(&self) -> Option<Address> {
        match &*self.name.borrow() {
            UnixName::Unnamed => None,
            name => Some(Address::Unix(name.clone())),
        }
    }

    fn direct(&self, to: &Address, node: Option<Node>) -> Result<Connecting, Errno> {
        let state = if *to == Address::Unspecified {
            State::Fresh
        } else {
            let target = self.find(to, node)?;
            if !target.hears(self) {
                return Err(Errno::EPERM);
            }
            let name = target.name.borrow().clone();
            State::Directed {
                to: Rc::downgrade(&target),
                name,
            }
        };
        *self.state.borrow_mut() = state;
        Ok(Connecting::Done)
    }

    /// Whether a datagram socket takes messages from `from`: one with a
    /// receiver of its own only from that.
    fn hears(&self, from: &Self) -> bool {
        match &*self.state.borrow() {
            State::Directed { to, .. } => std::ptr::eq(to.as_ptr(), from),
            State::Connected { peer, .. } => std::ptr::eq(peer.as_ptr(), from),
            _ => true,
        }
    }

    /// Where messages go, unless said otherwise.
    fn receiver(&self) -> Result<Rc<Channel>, Errno> {
        match &*self.state.borrow() {
            State::Connected { outbox, .. } => Ok(Rc::clone(outbox)),
            State::Directed { to, .. } => to
                .upgrade()
                .map(|to| Rc::clone(&to.inbox))
                .ok_or(Errno::ECONNREFUSED),
            _ => Err(Errno::ENOTCONN),
        }
    }
}

impl Socket for Unix {
    fn options(&self) -> &Options {
        &self.options
    }

    fn domain(&self) -> u16 {
        AF_UNIX
    }

    fn kind(&self) -> u32 {
        self.kind
    }

    fn bind(&self, at: &Address, node: Option<Node>) -> Result<(), Errno> {
        let Address::Unix(name) = at else {
            return Err(Errno::EINVAL);
        };
        if *self.name.borrow() != UnixName::Unnamed {
            return Err(Errno::EINVAL);
        }
        let mut names = self.net.abstract_names.borrow_mut();
        let taken = |name: &Vec<u8>, names: &std::collections::BTreeMap<Vec<u8>, Weak<Self>>| {
            names
                .get(name)
                .is_some_and(|other| other.strong_count() > 0)
        };
        let name = match (name, node) {
            (UnixName::Unnamed, _) => {
                // Any name of five hexadecimal digits.
                let next = || {
                    let next = self.net.autobind.get();
                    self.net.autobind.set(next.wrapping_add(1) & 0xf_ffff);
                    format!("{next:05x}").into_bytes()
                };
                let mut name = next();
                let mut tries = 0;
                while taken(&name, &names) {
                    tries += 1;
                    if tries > 0xf_ffff {
                        return Err(Errno::ENOSPC);
                    }
                    name = next();
                }
                UnixName::Abstract(name)
            }
            (UnixName::Abstract(name), _) if taken(name, &names) => return Err(Errno::EADDRINUSE),
            (UnixName::Path(_), None) => return Err(Errno::EINVAL),
            (name, _) => name.clone(),
        };
        match (&name, node) {
            (UnixName::Abstract(name), _) => {
                names.insert(name.clone(), self.me.clone());
            }
            (_, Some(node)) => {
                let mut nodes = self.net.nodes.borrow_mut();
                nodes.retain(|_, socket| socket.strong_count() > 0);
                nodes.insert(node, self.me.clone());
            }
            _ => {}
        }
        *self.name.borrow_mut() = name;
        Ok(())
    }

    fn listen(&self, backlog: u32, caller: Caller) -> Result<(), Errno> {
        if self.kind == SOCK_DGRAM {
            return Err(Errno::EOPNOTSUPP);
        }
        if *self.name.borrow() == UnixName::Unnamed {
            return Err(Errno::EINVAL);
        }
        let most = backlog.min(BACKLOG_MAX) as usize;
        let mut state = self.state.borrow_mut();
        match &mut *state {
            State::Listening { backlog, owner, .. } => {
                (*backlog, *owner) = (most, caller.credentials);
            }
            State::Fresh => {
                *state = State::Listening {
                    queue: VecDeque::new(),
                    backlog: most,
                    owner: caller.credentials,
                };
            }
            _ => return Err(Errno::EINVAL),
        }
        drop(state);
        self.news.happened();
        Ok(())
    }

    fn accept(&self) -> Result<(Rc<dyn Socket>, Address), Errno> {
        if self.kind == SOCK_DGRAM {
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
        let peer = socket.peer().unwrap_or(Address::Unix(UnixName::Unnamed));
        Ok((socket, peer))
    }

    fn connect(
        &self,
        to: &Address,
        node: Option<Node>,
        caller: Caller,
    ) -> Result<Connecting, Errno> {
        if self.kind == SOCK_DGRAM {
            return self.direct(to, node);
        }
        match &*self.state.borrow() {
            State::Fresh => {}
            State::Listening { .. } => return Err(Errno::EINVAL),
            _ => return Err(Errno::EISCONN),
        }
        let target = self.find(to, node)?;
        let me = self.me.upgrade().ok_or(Errno::EINVAL)?;
        let mut state = target.state.borrow_mut();
        let State::Listening {
            queue,
            backlog,
            owner,
        } = &mut *state
        else {
            return Err(Errno::ECONNREFUSED);
        };
        if queue.len() > *backlog {
            target.news.watch();
            return Ok(Connecting::Full);
        }
        let other = Self::new(&self.hub, &self.net, self.kind);
        other.options.inherit(&target.options);
        other.name.replace(target.name.borrow().clone());
        me.join(&other, *owner);
        other.join(&me, caller.credentials);
        queue.push_back(other);
        drop(state);
        target.news.happened();
        Ok(Connecting::Done)
    }

    fn name(&self) -> Result<Address, Errno> {
        Ok(Address::Unix(self.name.borrow().clone()))
    }

    fn peer(&self) -> Result<Address, Errno> {
        match &*self.state.borrow() {
            State::Connected {
                peer, peer_name, ..
            } => {
                // It may have been bound meanwhile.
                let name = peer.upgrade().map(|peer| peer.name.borrow().clone());
                Ok(Address::Unix(name.unwrap_or_else(|| peer_name.clone())))
            }
            State::Directed { name, .. } => Ok(Address::Unix(name.clone())),
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
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let outbox = match to {
            Some(_) if self.kind != SOCK_DGRAM => {
                let connected = matches!(&*self.state.borrow(), State::Connected { .. });
                return Err(if connected {
                    Errno::EISCONN
                } else {
                    Errno::EOPNOTSUPP
                });
            }
            Some((to, node)) => {
                let target = self.find(to, node)?;
                if !target.hears(self) {
                    return Err(Errno::EPERM);
                }
                Rc::clone(&target.inbox)
            }
            None => self.receiver()?,
        };
        outbox
            .write(data, self.own_name(), rights, sender)
            .map_err(|errno| match errno {
                Errno::EPIPE if self.kind == SOCK_DGRAM => Errno::ECONNREFUSED,
                errno => errno,
            })
    }

    fn recv(&self, out: &mut [u8], flags: u32) -> Result<Received, Errno> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if self.kind != SOCK_DGRAM && !matches!(&*self.state.borrow(), State::Connected { .. }) {
            return Err(match self.kind {
                SOCK_STREAM => Errno::EINVAL,
                _ => Errno::ENOTCONN,
            });
        }
        let mut received = self.inbox.read(out, flags)?;
        if self.kind == SOCK_STREAM {
            received.from = None;
        }
        Ok(received)
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<(), Errno> {
        let state = self.state.borrow();
        match &*state {
            State::Connected { outbox, .. } => {
                if write {
                    outbox.finish();
                }
            }
            State::Directed { .. } => {}
            _ => return Err(Errno::ENOTCONN),
        }
        if read {
            self.inbox.abandon();
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
            (SOL_SOCKET, SO_RCVBUF) if self.kind == SOCK_DGRAM => self.inbox.set_limit(size),
            _ => {}
        }
        Ok(())
    }

    fn take_error(&self) -> Option<Errno> {
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

    fn peer_credentials(&self) -> Option<Credentials> {
        match &*self.state.borrow() {
            State::Connected { owner, .. } | State::Listening { owner, .. } => Some(*owner),
            _ => None,
        }
    }

    fn for_each_queue(&self, act: &mut dyn FnMut(&Rc<Channel>)) {
        act(&self.inbox);
        if let State::Listening { queue, .. } = &*self.state.borrow() {
            for socket in queue {
                act(&socket.inbox);
            }
        }
    }
}

impl File for Unix {
    fn read(&self, _offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        // Files that came along are lost, as with read(2) on Linux.
        self.recv(out, 0).map(|received| received.len)
    }

    fn write(&self, _offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let sender = Credentials::default();
        self.send(bytes, None, &mut None, sender)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(socket_stat(self.ino))
    }

    fn poll(&self) -> Interest {
        self.news.watch();
        self.inbox.for_reader.watch();
        let mut ready = 0;
        if self.inbox.readable() {
            ready |= POLLIN;
        }
        if self.error.get().is_some() {
            ready |= POLLERR;
        }
        match &*self.state.borrow() {
            State::Fresh if self.kind == SOCK_DGRAM => ready |= POLLOUT,
            State::Fresh => ready |= POLLOUT | POLLHUP,
            State::Listening { queue, .. } => {
                if !queue.is_empty() {
                    ready |= POLLIN;
                }
            }
            State::Connected { outbox, .. } => {
                let no_more = self.inbox.is_finished() || self.inbox.is_abandoned();
                let gone = outbox.is_finished() || outbox.is_abandoned();
                if no_more {
                    ready |= POLLIN | POLLRDHUP;
                }
                if no_more && gone {
                    ready |= POLLHUP;
                }
                if gone || outbox.writable() {
                    ready |= POLLOUT;
                }
            }
            State::Directed { to, .. } => {
                if to.upgrade().is_none_or(|to| to.inbox.writable()) {
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
        let outbox = self
            .receiver()
            .map_or(0, |outbox| outbox.for_writers.count());
        own.wrapping_add(outbox)
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

impl Drop for Unix {
    fn drop(&mut self) {
        let left = self.inbox.abandon();
        let state = std::mem::replace(&mut *self.state.borrow_mut(), State::Fresh);
        if let State::Connected { outbox, peer, .. } = &state {
            outbox.finish();
            if let Some(peer) = peer.upgrade().filter(|_| left) {
                peer.error.set(Some(Errno::ECONNRESET));
            }
        }
        // Those that were not accepted end here, too.
        drop(state);
        self.inbox.finish();
        self.inbox.clear();
        self.news.happened();
        if let UnixName::Abstract(name) = &*self.name.borrow() {
            let mut names = self.net.abstract_names.borrow_mut();
            if names.get(name).is_some_and(|at| at.strong_count() == 0) {
                names.remove(name);
            }
        }
    }
}
