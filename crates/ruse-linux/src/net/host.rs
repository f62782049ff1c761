//! The host's sockets, where the user has opened the network.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket as HostSide, TcpKeepalive, Type};

use super::addr::{AF_INET, AF_INET6, Address, mapped};
use super::channel::Credentials;
use super::options::{
    IP_TTL, IPV6_UNICAST_HOPS, IPV6_V6ONLY, SO_BROADCAST, SO_KEEPALIVE, SO_LINGER, SO_RCVBUF,
    SO_SNDBUF, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_NODELAY,
};
#[cfg(unix)]
use super::options::{SO_REUSEADDR, SO_REUSEPORT, TCP_KEEPCNT};
use super::{
    Caller, Connecting, MSG_PEEK, Node, Options, Received, Rights, SOCK_DGRAM, SOCK_STREAM, Socket,
    socket_stat,
};
use crate::errno::Errno;
use crate::fs::{Description, File, Interest, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, Stat};
use crate::syscall::{Answer, Cx};
use crate::wait::{Hub, Io, Source};

/// No datagram is larger.
const DATAGRAM_MAX: usize = 65536;

/// A socket of the host.
pub(crate) struct HostSocket {
    v6: bool,
    stream: bool,
    hub: Hub,
    source: Rc<Source>,
    options: Options,
    state: Cell<State>,
    /// The last connect(2) failed after it had returned.
    failed: Cell<bool>,
    /// The peer will not send any more.
    ended: Cell<bool>,
    /// We will not send any more.
    finished: Cell<bool>,
    error: Cell<Option<Errno>>,
    /// Where datagrams arrive, as hosts do not tell how long one was that
    /// they cut.
    scratch: RefCell<Vec<u8>>,
    ino: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Fresh,
    Listening,
    Connecting,
    /// As far as the guest was told, it still connects.
    Untold,
    Connected,
}

impl HostSocket {
    pub(super) fn new(hub: &Hub, v6: bool, stream: bool) -> Result<Rc<Self>, Errno> {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = if stream {
            HostSide::new(domain, Type::STREAM, Some(Protocol::TCP))?
        } else {
            HostSide::new(domain, Type::DGRAM, Some(Protocol::UDP))?
        };
        if v6 {
            // Not all hosts begin as Linux does.
            socket.set_only_v6(false)?;
        }
        Ok(Self::from_host(hub, socket, v6, stream, State::Fresh)?)
    }

    fn from_host(
        hub: &Hub,
        socket: HostSide,
        v6: bool,
        stream: bool,
        state: State,
    ) -> io::Result<Rc<Self>> {
        socket.set_nonblocking(true)?;
        let io = if stream {
            Io::Stream(socket.into())
        } else {
            Io::Datagram(socket.into())
        };
        let source = hub.watch(io, POLLOUT);
        if stream && state == State::Fresh {
            // The host has nothing to tell of it yet.
            source.ignore(POLLIN | POLLOUT);
        }
        Ok(Rc::new(Self {
            v6,
            stream,
            hub: hub.clone(),
            source,
            options: Options::default(),
            state: Cell::new(state),
            failed: Cell::new(false),
            ended: Cell::new(false),
            finished: Cell::new(false),
            error: Cell::new(None),
            scratch: RefCell::default(),
            ino: hub.new_inode(),
        }))
    }

    fn host(&self) -> SockRef<'_> {
        match self.source.io() {
            Io::Stream(io) => SockRef::from(io),
            Io::Datagram(io) => SockRef::from(io),
            Io::File(_) => unreachable!("a socket is no file"),
        }
    }

    /// Notes what the host's answer tells of its readiness.
    fn settle<T>(&self, what: Interest, result: io::Result<T>) -> Result<T, Errno> {
        result.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                self.source.blocked(what);
                Errno::EAGAIN
            }
            io::ErrorKind::Interrupted => {
                self.source.took(what);
                Errno::EAGAIN
            }
            _ => error.into(),
        })
    }

    /// Looks whether a connection that was begun is there by now.
    fn advance(&self) {
        if self.state.get() != State::Connecting {
            return;
        }
        if self.source.ready() & POLLOUT == 0 && !self.look(POLLOUT) {
            return;
        }
        match self.host().take_error() {
            Ok(None) if self.host().peer_addr().is_ok() => {
                self.state.set(State::Untold);
                self.source.took(POLLIN);
            }
            // It was woken too early.
            Ok(None) => self.source.blocked(POLLOUT),
            Ok(Some(error)) | Err(error) => {
                self.state.set(State::Fresh);
                self.failed.set(true);
                self.error.set(Some(error.into()));
            }
        }
    }

    /// Asks the host whether it is ready now.
    fn look(&self, what: Interest) -> bool {
        let ready = match self.source.io() {
            Io::Stream(io) => look(io, what),
            Io::Datagram(io) => look(io, what),
            Io::File(_) => Some(true),
        };
        match ready {
            Some(true) => self.source.is_ready(what),
            Some(false) => self.source.blocked(what),
            // The host cannot say at once, but it will say when.
            None => self.source.took(what),
        }
        ready == Some(true)
    }

    /// A datagram socket is not connected any more.
    fn disconnect(&self) {
        #[cfg(unix)]
        if let Io::Datagram(io) = self.source.io()
            && let Err(error) = rustix::net::connect_unspec(io)
        {
            log::debug!("a socket stays connected: {error}");
        }
    }

    fn recv_stream(&self, out: &mut [u8], peek: bool) -> Result<usize, Errno> {
        let Io::Stream(stream) = self.source.io() else {
            return Err(Errno::EINVAL);
        };
        let mut stream: &std::net::TcpStream = stream;
        let result = if peek {
            stream.peek(out)
        } else {
            stream.read(out)
        };
        let len = self.settle(POLLIN, result)?;
        match len {
            0 if !out.is_empty() => {
                self.ended.set(true);
                self.source.is_ready(POLLIN);
            }
            _ if peek => self.source.is_ready(POLLIN),
            // That was all, most likely: the host will say when there is more.
            _ if len < out.len() => self.source.blocked(POLLIN),
            _ => self.source.took(POLLIN),
        }
        Ok(len)
    }

    fn recv_datagram(&self, out: &mut [u8], peek: bool) -> Result<Received, Errno> {
        let Io::Datagram(socket) = self.source.io() else {
            return Err(Errno::EINVAL);
        };
        let mut scratch = self.scratch.borrow_mut();
        scratch.resize(DATAGRAM_MAX, 0);
        let result = if peek {
            socket.peek_from(&mut scratch)
        } else {
            socket.recv_from(&mut scratch)
        };
        let (full_len, from) = self.settle(POLLIN, result)?;
        if !peek {
            self.source.took(POLLIN);
        }
        let len = full_len.min(out.len());
        out[..len].copy_from_slice(&scratch[..len]);
        let from = if self.v6 { mapped(from) } else { from };
        Ok(Received {
            len,
            full_len,
            truncated: len < full_len,
            from: Some(Address::Inet(from)),
            ..Received::default()
        })
    }

    fn send_datagram(&self, data: &[u8], to: Option<SocketAddr>) -> Result<usize, Errno> {
        let Io::Datagram(socket) = self.source.io() else {
            return Err(Errno::EINVAL);
        };
        let result = match to {
            Some(to) => socket.send_to(data, to),
            None if self.state.get() == State::Connected => socket.send(data),
            None => return Err(Errno::EDESTADDRREQ),
        };
        match result {
            // Hosts tell this by a number only.
            Err(error) if is_too_long(&error) => Err(Errno::EMSGSIZE),
            result => self.settle(POLLOUT, result),
        }
    }

    fn apply(&self, level: u32, name: u32) -> io::Result<()> {
        let host = self.host();
        let value = self.options.number(level, name);
        let on = value != 0;
        let size = usize::try_from(value).unwrap_or(0);
        match (level, name) {
            #[cfg(unix)]
            (SOL_SOCKET, SO_REUSEADDR) => host.set_reuse_address(on),
            #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
            (SOL_SOCKET, SO_REUSEPORT) => host.set_reuse_port(on),
            (SOL_SOCKET, SO_BROADCAST) => host.set_broadcast(on),
            (SOL_SOCKET, SO_KEEPALIVE) => host.set_keepalive(on),
            (SOL_SOCKET, SO_LINGER) => {
                let linger = self.options.linger();
                host.set_linger(linger.map(|secs| Duration::from_secs(secs.into())))
            }
            // Halved again, as Linux doubles it.
            (SOL_SOCKET, SO_SNDBUF) => host.set_send_buffer_size(size / 2),
            (SOL_SOCKET, SO_RCVBUF) => host.set_recv_buffer_size(size / 2),
            (SOL_TCP, TCP_NODELAY) => host.set_tcp_nodelay(on),
            (SOL_TCP, TCP_KEEPIDLE | TCP_KEEPINTVL | super::options::TCP_KEEPCNT) => {
                let number = |name| self.options.number(SOL_TCP, name).max(1) as u32;
                let seconds = |name| Duration::from_secs(number(name).into());
                let keepalive = TcpKeepalive::new().with_time(seconds(TCP_KEEPIDLE));
                let keepalive = keepalive.with_interval(seconds(TCP_KEEPINTVL));
                #[cfg(unix)]
                let keepalive = keepalive.with_retries(number(TCP_KEEPCNT));
                // Setting them switches them on.
                let was = host.keepalive()?;
                host.set_tcp_keepalive(&keepalive)?;
                host.set_keepalive(was)
            }
            (SOL_IP, IP_TTL) if !self.v6 => host.set_ttl_v4(value as u32),
            (SOL_IPV6, IPV6_UNICAST_HOPS) if self.v6 => host.set_unicast_hops_v6(value as u32),
            (SOL_IPV6, IPV6_V6ONLY) if self.v6 => host.set_only_v6(on),
            _ => Ok(()),
        }
    }
}

#[cfg(unix)]
fn look(io: &impl std::os::fd::AsFd, what: Interest) -> Option<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let flags = match what {
        POLLOUT => PollFlags::OUT,
        _ => PollFlags::IN,
    };
    let mut fds = [PollFd::new(io, flags)];
    match poll(&mut fds, Some(&Timespec::default())) {
        Ok(_) => Some(!fds[0].revents().is_empty()),
        Err(_) => Some(true),
    }
}

#[cfg(not(unix))]
fn look<T>(_io: &T, _what: Interest) -> Option<bool> {
    None
}

#[cfg(unix)]
fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

#[cfg(not(unix))]
fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(unix)]
fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}

#[cfg(not(unix))]
fn is_too_long(error: &io::Error) -> bool {
    // WSAEMSGSIZE
    error.raw_os_error() == Some(10040)
}

impl Socket for HostSocket {
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
        Ok(self.host().bind(&at.into())?)
    }

    fn listen(&self, backlog: u32, _caller: Caller) -> Result<(), Errno> {
        if !self.stream {
            return Err(Errno::EOPNOTSUPP);
        }
        if !matches!(self.state.get(), State::Fresh | State::Listening) {
            return Err(Errno::EINVAL);
        }
        let backlog = i32::try_from(backlog.min(super::unix::BACKLOG_MAX)).unwrap_or(i32::MAX);
        self.host().listen(backlog)?;
        self.state.set(State::Listening);
        self.source.took(POLLIN);
        Ok(())
    }

    fn accept(&self) -> Result<(Rc<dyn Socket>, Address), Errno> {
        if self.state.get() != State::Listening {
            return Err(if self.stream {
                Errno::EINVAL
            } else {
                Errno::EOPNOTSUPP
            });
        }
        let (socket, from) = self.settle(POLLIN, self.host().accept())?;
        self.source.took(POLLIN);
        let socket = Self::from_host(&self.hub, socket, self.v6, true, State::Connected)?;
        socket.options.inherit(&self.options);
        let from = from.as_socket().map_or(Address::Unspecified, Address::Inet);
        Ok((socket, from))
    }

    fn connect(
        &self,
        to: &Address,
        _node: Option<Node>,
        _caller: Caller,
    ) -> Result<Connecting, Errno> {
        self.advance();
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if !self.stream {
            if *to == Address::Unspecified {
                self.disconnect();
                self.state.set(State::Fresh);
                return Ok(Connecting::Done);
            }
            self.host().connect(&to.inet()?.into())?;
            self.state.set(State::Connected);
            return Ok(Connecting::Done);
        }
        match self.state.get() {
            State::Fresh => {}
            State::Connecting => return Ok(Connecting::Already),
            State::Untold => {
                self.state.set(State::Connected);
                return Ok(Connecting::Done);
            }
            _ => return Err(Errno::EISCONN),
        }
        let to = to.inet()?;
        if to.is_ipv6() && !self.v6 {
            return Err(Errno::EAFNOSUPPORT);
        }
        let to = if self.v6 { mapped(to) } else { to };
        let mut result = self.host().connect(&to.into());
        if let Err(error) = &result
            && error.kind() == io::ErrorKind::ConnectionAborted
            && self.failed.replace(false)
        {
            // Linux says once more that the attempt before came to nothing.
            result = self.host().connect(&to.into());
        }
        match result {
            Ok(()) => {
                self.state.set(State::Connected);
                self.source.is_ready(POLLOUT);
                self.source.took(POLLIN);
                Ok(Connecting::Done)
            }
            Err(error) if is_in_progress(&error) => {
                self.state.set(State::Connecting);
                self.source.blocked(POLLOUT);
                Ok(Connecting::InProgress)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn name(&self) -> Result<Address, Errno> {
        let unbound: SocketAddr = if self.v6 {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        };
        // Some hosts have no name for what is not bound.
        let at = self.host().local_addr().ok();
        let at = at.and_then(|at| at.as_socket()).unwrap_or(unbound);
        Ok(Address::Inet(at))
    }

    fn peer(&self) -> Result<Address, Errno> {
        if self.state.get() == State::Fresh {
            return Err(Errno::ENOTCONN);
        }
        let at = self.host().peer_addr()?;
        at.as_socket().map(Address::Inet).ok_or(Errno::ENOTCONN)
    }

    fn send(
        &self,
        data: &[u8],
        to: Option<(&Address, Option<Node>)>,
        rights: &mut Option<Rights>,
        _sender: Credentials,
    ) -> Result<usize, Errno> {
        self.advance();
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        // Files do not travel over networks.
        drop(rights.take());
        if !self.stream {
            let to = to.map(|(to, _)| to.inet()).transpose()?;
            return self.send_datagram(data, to);
        }
        match self.state.get() {
            State::Connected | State::Untold => {}
            State::Connecting => return Err(Errno::EAGAIN),
            _ => return Err(Errno::EPIPE),
        }
        let Io::Stream(stream) = self.source.io() else {
            return Err(Errno::EINVAL);
        };
        let mut stream: &std::net::TcpStream = stream;
        let len = self.settle(POLLOUT, stream.write(data))?;
        if len < data.len() {
            self.source.blocked(POLLOUT);
        }
        Ok(len)
    }

    fn recv(&self, out: &mut [u8], flags: u32) -> Result<Received, Errno> {
        self.advance();
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let peek = flags & MSG_PEEK != 0;
        if !self.stream {
            return self.recv_datagram(out, peek);
        }
        match self.state.get() {
            State::Connected | State::Untold => {}
            State::Connecting => return Err(Errno::EAGAIN),
            _ => return Err(Errno::ENOTCONN),
        }
        let len = self.recv_stream(out, peek)?;
        Ok(Received {
            len,
            full_len: len,
            ..Received::default()
        })
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<(), Errno> {
        let how = match (read, write) {
            (true, true) => Shutdown::Both,
            (true, false) => Shutdown::Read,
            _ => Shutdown::Write,
        };
        self.host().shutdown(how)?;
        self.finished.set(self.finished.get() | write);
        // Ends are news.
        self.source.took(POLLIN);
        self.source.is_ready(POLLOUT);
        Ok(())
    }

    fn option_set(&self, level: u32, name: u32) -> Result<(), Errno> {
        match self.apply(level, name) {
            Ok(()) => Ok(()),
            // A host that knows less of it does not fail the guest.
            Err(error) if level == SOL_SOCKET || level == SOL_IPV6 => Err(error.into()),
            Err(error) => {
                log::debug!("socket option {level}/{name}: {error}");
                Ok(())
            }
        }
    }

    fn take_error(&self) -> Option<Errno> {
        self.advance();
        let kept = self.error.take();
        if self.state.get() == State::Untold {
            self.state.set(State::Connected);
        }
        kept.or_else(|| self.host().take_error().ok().flatten().map(Errno::from))
    }

    fn listens(&self) -> bool {
        self.state.get() == State::Listening
    }

    fn input_len(&self) -> usize {
        let mut out = vec![0; DATAGRAM_MAX];
        match self.state.get() {
            _ if !self.stream => self
                .recv_datagram(&mut out, true)
                .map_or(0, |received| received.full_len),
            State::Connected | State::Untold => self.recv_stream(&mut out, true).unwrap_or(0),
            _ => 0,
        }
    }
}

impl File for HostSocket {
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
        if self.error.get().is_some() {
            return POLLERR | POLLHUP | POLLIN | POLLOUT;
        }
        let stream = self.stream;
        match self.state.get() {
            State::Fresh if stream => return POLLOUT | POLLHUP,
            State::Connecting => return 0,
            _ => {}
        }
        if self.source.unsure() & POLLIN != 0 {
            self.look(POLLIN);
        }
        let mut ready = self.source.ready() & (POLLIN | POLLOUT);
        if self.state.get() == State::Listening {
            return ready & POLLIN;
        }
        if stream && ready & POLLIN != 0 && !self.ended.get() {
            // Data or the end?
            let mut byte = [0];
            if let Err(Errno::EAGAIN) = self.recv_stream(&mut byte, true) {
                ready &= !POLLIN;
            }
        }
        if self.ended.get() {
            ready |= POLLIN | POLLRDHUP;
            if self.finished.get() {
                ready |= POLLHUP;
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
        self.source.edges()
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
