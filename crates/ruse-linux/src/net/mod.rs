//! Sockets: those within the box ([`unix`], [`inet`]) and, with `--net`, the
//! host's ([`host`]).
//!
//! The network is closed unless the user opens it. Internet sockets work in
//! either case: without the host's network the box has a loopback interface
//! of its own, over which its guests reach each other and nothing else.

pub(crate) mod addr;
mod channel;
mod host;
mod inet;
mod interface;
pub(crate) mod options;
mod rights;
mod unix;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

pub(crate) use addr::{Address, UnixName};
pub(crate) use channel::{Channel, Credentials};
pub(crate) use options::Options;
pub(crate) use rights::{InFlight, RIGHTS_MAX, Rights};

use crate::errno::Errno;
use crate::fs::{Description, File, S_IFSOCK, Stat, pipe::anonymous};
use crate::syscall::{Answer, Cx};
use crate::wait::Hub;

pub(crate) const SOCK_STREAM: u32 = 1;
pub(crate) const SOCK_DGRAM: u32 = 2;
const SOCK_RAW: u32 = 3;
pub(crate) const SOCK_SEQPACKET: u32 = 5;

pub(crate) const MSG_OOB: u32 = 1;
pub(crate) const MSG_PEEK: u32 = 2;
pub(crate) const MSG_CTRUNC: u32 = 8;
pub(crate) const MSG_TRUNC: u32 = 0x20;
pub(crate) const MSG_DONTWAIT: u32 = 0x40;
pub(crate) const MSG_EOR: u32 = 0x80;
pub(crate) const MSG_WAITALL: u32 = 0x100;
pub(crate) const MSG_ERRQUEUE: u32 = 0x2000;
pub(crate) const MSG_NOSIGNAL: u32 = 0x4000;
pub(crate) const MSG_WAITFORONE: u32 = 0x10000;
pub(crate) const MSG_CMSG_CLOEXEC: u32 = 0x4000_0000;

/// What was received.
#[derive(Default)]
pub(crate) struct Received {
    pub len: usize,
    /// Of a datagram: how long it was before it was cut.
    pub full_len: usize,
    pub truncated: bool,
    pub from: Option<Address>,
    pub rights: Vec<Rc<Description>>,
    pub sender: Option<Credentials>,
}

/// Who asks something of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub credentials: Credentials,
    pub nonblocking: bool,
}

/// What connect(2) came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Connecting {
    Done,
    /// It goes on by itself: EINPROGRESS, or a wait.
    InProgress,
    /// It was going on already: EALREADY, or a wait.
    Already,
    /// It was not begun, as a queue is full: EAGAIN, or another try.
    Full,
}

/// A socket. None of its functions waits: EAGAIN means "not yet".
pub(crate) trait Socket: File {
    fn options(&self) -> &Options;
    /// `AF_INET` and so on.
    fn domain(&self) -> u16;
    /// `SOCK_STREAM` and so on.
    fn kind(&self) -> u32;
    /// `IPPROTO_TCP` and so on.
    fn protocol(&self) -> u32 {
        0
    }
    /// Binds to an Internet or abstract address, or a Unix path whose file
    /// is `node`.
    fn bind(&self, at: &Address, node: Option<Node>) -> Result<(), Errno>;
    fn listen(&self, backlog: u32, caller: Caller) -> Result<(), Errno>;
    fn accept(&self) -> Result<(Rc<dyn Socket>, Address), Errno>;
    fn connect(
        &self,
        to: &Address,
        node: Option<Node>,
        caller: Caller,
    ) -> Result<Connecting, Errno>;
    fn name(&self) -> Result<Address, Errno>;
    fn peer(&self) -> Result<Address, Errno>;
    /// Sends; of a stream perhaps only a part. Takes `rights` if anything
    /// was sent.
    fn send(
        &self,
        data: &[u8],
        to: Option<(&Address, Option<Node>)>,
        rights: &mut Option<Rights>,
        sender: Credentials,
    ) -> Result<usize, Errno>;
    fn recv(&self, out: &mut [u8], flags: u32) -> Result<Received, Errno>;
    /// Ends reading, writing, or both.
    fn shutdown(&self, read: bool, write: bool) -> Result<(), Errno>;
    /// An option was set that the socket itself must know.
    fn option_set(&self, _level: u32, _name: u32) -> Result<(), Errno> {
        Ok(())
    }
    /// The error that waits to be told (`SO_ERROR`), now taken.
    fn take_error(&self) -> Option<Errno>;
    /// Whether it listens.
    fn listens(&self) -> bool {
        false
    }
    /// Bytes to read.
    fn input_len(&self) -> usize;
    /// Bytes that wait to be sent.
    fn output_len(&self) -> usize {
        0
    }
    /// The process at the other end (`SO_PEERCRED`).
    fn peer_credentials(&self) -> Option<Credentials> {
        None
    }
    /// The queues that only it reads.
    fn for_each_queue(&self, _act: &mut dyn FnMut(&Rc<Channel>)) {}
}

/// A file that stands for a Unix socket: device and number.
pub(crate) type Node = (u64, u64);

/// The network of a box.
#[derive(Default)]
pub(crate) struct Net {
    pub in_flight: Rc<InFlight>,
    abstract_names: RefCell<BTreeMap<Vec<u8>, Weak<unix::Unix>>>,
    nodes: RefCell<BTreeMap<Node, Weak<unix::Unix>>>,
    inet: inet::Ports,
    autobind: Cell<u32>,
}

impl Drop for Net {
    fn drop(&mut self) {
        // Sockets in each other's queues would outlive the box.
        self.in_flight.collect();
    }
}

/// Makes a socket.
pub(crate) fn socket(
    hub: &Hub,
    net: &Rc<Net>,
    host: bool,
    domain: u16,
    kind: u32,
    protocol: u32,
) -> Result<Rc<dyn Socket>, Errno> {
    const IPPROTO_TCP: u32 = 6;
    const IPPROTO_UDP: u32 = 17;
    match domain {
        addr::AF_UNIX => {
            if protocol > 1 {
                return Err(Errno::EPROTONOSUPPORT);
            }
            // SOCK_RAW is another name for datagrams here.
            let kind = if kind == SOCK_RAW { SOCK_DGRAM } else { kind };
            if !matches!(kind, SOCK_STREAM | SOCK_DGRAM | SOCK_SEQPACKET) {
                return Err(Errno::ESOCKTNOSUPPORT);
            }
            Ok(unix::Unix::new(hub, net, kind))
        }
        addr::AF_INET | addr::AF_INET6 => {
            let stream = match (kind, protocol) {
                (SOCK_STREAM, 0 | IPPROTO_TCP) => true,
                (SOCK_DGRAM, 0 | IPPROTO_UDP) => false,
                (SOCK_STREAM | SOCK_DGRAM, _) => return Err(Errno::EPROTONOSUPPORT),
                // Raw sockets see more than a guest is to see.
                (SOCK_RAW, _) => return Err(Errno::EPERM),
                _ => return Err(Errno::ESOCKTNOSUPPORT),
            };
            let v6 = domain == addr::AF_INET6;
            if host {
                Ok(host::HostSocket::new(hub, v6, stream)?)
            } else {
                Ok(inet::Inet::new(hub, net, v6, stream))
            }
        }
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Two connected Unix sockets (socketpair(2)).
pub(crate) fn pair(
    hub: &Hub,
    net: &Rc<Net>,
    kind: u32,
    caller: Caller,
) -> (Rc<dyn Socket>, Rc<dyn Socket>) {
    let (a, b) = unix::Unix::pair(hub, net, kind, caller.credentials);
    (a, b)
}

/// The ioctls of sockets.
fn ioctl(socket: &dyn Socket, cx: &mut Cx, request: u32, argument: u64) -> Answer {
    const FIONREAD: u32 = 0x541b;
    const TIOCOUTQ: u32 = 0x5411;
    const SIOCATMARK: u32 = 0x8905;
    let value = match request {
        FIONREAD if socket.listens() => return Err(Errno::EINVAL.into()),
        FIONREAD => socket.input_len(),
        TIOCOUTQ => socket.output_len(),
        SIOCATMARK if socket.kind() == SOCK_STREAM => 0,
        _ => return interface::ioctl(cx, request, argument),
    };
    let value = i32::try_from(value).unwrap_or(i32::MAX);
    cx.write(argument, &value.to_le_bytes())?;
    Ok(0)
}

/// What stat(2) says of a socket.
fn socket_stat(ino: u64) -> Stat {
    Stat {
        dev: 8,
        ..anonymous(S_IFSOCK | 0o777, ino)
    }
}

/// A time-out in an option, as `struct timeval`: none for 0.
pub(crate) fn timeval(bytes: &[u8]) -> Result<Option<Duration>, Errno> {
    let (Some(secs), Some(micros)) = (
        bytes.get(..8).and_then(<[u8]>::first_chunk),
        bytes.get(8..16).and_then(<[u8]>::first_chunk),
    ) else {
        return Err(Errno::EINVAL);
    };
    let (secs, micros) = (i64::from_le_bytes(*secs), i64::from_le_bytes(*micros));
    if !(0..1_000_000).contains(&micros) {
        return Err(Errno::EDOM);
    }
    // A negative time-out is over at once, says Linux.
    let time = match u64::try_from(secs) {
        Ok(secs) => Duration::new(secs, micros as u32 * 1000),
        Err(_) => Duration::from_nanos(1),
    };
    Ok((!time.is_zero()).then_some(time))
}
