//! A TCP connection of the guest's, and the host's that it is joined to.
//!
//! smoltcp is the guest's peer. It looks at all its sockets for each packet,
//! so each connection has an interface of its own with a single socket, and
//! packets find theirs by a hash of addresses and ports.
//!
//! Flow control is end to end: what the host's socket does not take stays in
//! the receive buffer and closes the window, and what the guest does not take
//! stays in the transmit buffer and then in the host's socket.

use std::io;
use std::net::{IpAddr, SocketAddr};

use smoltcp::iface::{
    Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet,
};
use smoltcp::phy::{
    Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken,
};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpCidr, IpListenEndpoint};

use crate::frame::{ETHER, MTU, Out, Unreachable, find_mss, reset, unreachable};
use crate::host::Stream;

/// Bytes of each buffer while connections are few, and when they are many.
const BUFFER: usize = 1 << 20;
const SMALL_BUFFER: usize = 64 << 10;
/// How many are few.
const FEW: usize = 32;
/// The longest IP packet, for guests that take long segments.
const LONG: usize = 65_535;
/// The longest segment for them: several fit into a window.
const LONG_SEGMENT: u16 = 32_000;
const TCP_HEADERS4: u16 = 40;
const TCP_HEADERS6: u16 = 60;
/// How long the host may take to connect, or the guest to answer.
const CONNECT: Duration = Duration::from_secs(60);
/// An idle connection is asked for whether it still lives this often, and is
/// given up when there was no answer for so long.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const SILENCE: Duration = Duration::from_secs(900);
/// Bytes moved before the next connection's turn.
const TURN: usize = 256 << 10;

/// Who talks to whom, as the guest sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) guest: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// What a connection wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// To be looked at again at this time, or when something happens.
    Wait(Option<Instant>),
    /// To go on, after the others.
    Again,
    /// Nothing any more.
    Dead,
}

enum Stage {
    /// The host connects; the guest's SYN, an IP packet, waits.
    Connecting {
        syn: Vec<u8>,
        until: Instant,
    },
    Open(Box<Peer>),
}

/// smoltcp's side.
struct Peer {
    iface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    mtu: usize,
}

/// A connection.
pub(crate) struct Flow {
    pub(crate) key: Key,
    stage: Stage,
    host: Box<dyn Stream>,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The host says no more.
    host_end: bool,
    /// The guest says no more, and the host knows.
    guest_end: bool,
    mss: u16,
}

/// The cable between smoltcp and the frames' queue.
struct Cable<'a> {
    input: Option<&'a [u8]>,
    out: &'a mut Out,
    to: IpAddr,
    mss: u16,
    mtu: usize,
}

struct Packet<'a>(&'a [u8]);

struct Slot<'a> {
    out: &'a mut Out,
    to: IpAddr,
    mss: u16,
}

impl RxToken for Packet<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Slot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut bytes = vec![0; ETHER + len];
        let result = f(&mut bytes[ETHER..]);
        self.out.segment(bytes, self.to, self.mss);
        result
    }
}

impl Device for Cable<'_> {
    type RxToken<'b>
        = Packet<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = Slot<'b>
    where
        Self: 'b;

    fn receive(&mut self, _: Instant) -> Option<(Packet<'_>, Slot<'_>)> {
        let input = self.input.take()?;
        let (to, mss) = (self.to, self.mss);
        let out = &mut *self.out;
        Some((Packet(input), Slot { out, to, mss }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Slot<'_>> {
        let (to, mss) = (self.to, self.mss);
        self.out.has_room().then_some(Slot {
            out: &mut *self.out,
            to,
            mss,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ip;
        caps.max_transmission_unit = self.mtu;
        // Checked before and filled in after it.
        caps.checksum = ChecksumCapabilities::ignored();
        caps.checksum.ipv4 = Checksum::Tx;
        caps
    }
}

impl Peer {
    fn new(key: Key, out: &mut Out, flows: usize, seed: u64, now: Instant) -> Self {
        let long = match key.guest {
            SocketAddr::V4(_) => out.takes.tcp4,
            SocketAddr::V6(_) => out.takes.tcp6,
        };
        let mtu = if long { LONG } else { MTU };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut cable = Cable {
            input: None,
            out,
            to: key.guest.ip(),
            mss: 0,
            mtu,
        };
        let mut iface = Interface::new(config, &mut cable, now);
        // Everything is on this link.
        iface.update_ip_addrs(|addrs| {
            let _ = addrs.push(IpCidr::new(key.remote.ip().into(), 0));
        });
        let size = if flows <= FEW { BUFFER } else { SMALL_BUFFER };
        // Host memory is only taken for what was used of it.
        let buffer = || SocketBuffer::new(vec![0; size]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        socket.set_timeout(Some(CONNECT));
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Self {
            iface,
            sockets,
            handle,
            mtu,
        }
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn input(&mut self, packet: &[u8], to: IpAddr, mss: u16, out: &mut Out, now: Instant) {
        let mut cable = Cable {
            input: Some(packet),
            out,
            to,
            mss,
            mtu: self.mtu,
        };
        let result = self
            .iface
            .poll_ingress_single(now, &mut cable, &mut self.sockets);
        debug_assert_ne!(result, PollIngressSingleResult::None);
    }

    /// Sends one packet if there is something to send.
    fn output(&mut self, to: IpAddr, mss: u16, out: &mut Out, now: Instant) -> bool {
        let mtu = self.mtu;
        let input = None;
        let mut cable = Cable {
            input,
            out,
            to,
            mss,
            mtu,
        };
        let result = self.iface.poll_egress(now, &mut cable, &mut self.sockets);
        result == PollResult::SocketStateChanged
    }
}

impl Flow {
    /// A connection that the guest asks for with this SYN, and that `host`
    /// connects to meanwhile.
    pub(crate) fn outwards(key: Key, syn: &[u8], host: Box<dyn Stream>, now: Instant) -> Self {
        let until = now + CONNECT;
        let syn = syn.to_vec();
        Self::new(key, Stage::Connecting { syn, until }, host)
    }

    /// A connection that `host` got and the guest does not know of.
    pub(crate) fn inwards(
        key: Key,
        host: Box<dyn Stream>,
        out: &mut Out,
        flows: usize,
        seed: u64,
        now: Instant,
    ) -> Option<Self> {
        let mut peer = Box::new(Peer::new(key, out, flows, seed, now));
        let Peer {
            iface,
            sockets,
            handle,
            ..
        } = &mut *peer;
        let to = (key.guest.ip(), key.guest.port());
        let from = (key.remote.ip(), key.remote.port());
        let socket: &mut Socket = sockets.get_mut(*handle);
        let connected = socket.connect(iface.context(), to, from);
        connected.ok()?;
        Some(Self::new(key, Stage::Open(peer), host))
    }

    fn new(key: Key, stage: Stage, host: Box<dyn Stream>) -> Self {
        Self {
            key,
            stage,
            host,
            readable: false,
            writable: false,
            host_end: false,
            guest_end: false,
            mss: 536,
        }
    }

    /// The host's socket.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.host.local()
    }

    fn to(&self) -> IpAddr {
        self.key.guest.ip()
    }

    /// Notes the guest's MSS, and tells smoltcp of a larger one if the guest
    /// takes long segments.
    fn opening(&mut self, packet: &mut [u8]) {
        let Stage::Open(peer) = &self.stage else {
            return;
        };
        let (ip_len, headers) = match self.key.guest {
            SocketAddr::V4(_) => (
                packet.first().map_or(0, |byte| usize::from(byte & 15) * 4),
                TCP_HEADERS4,
            ),
            SocketAddr::V6(_) => (40, TCP_HEADERS6),
        };
        let long = peer.mtu == LONG;
        let Some(tcp) = packet.get_mut(ip_len..) else {
            return;
        };
        if tcp.get(13).is_none_or(|flags| flags & 2 == 0) {
            return;
        }
        let (mss, at) = find_mss(tcp);
        self.mss = mss.clamp(64, MTU as u16 - headers);
        if let Some(at) = at
            && long
        {
            tcp[at..at + 2].copy_from_slice(&LONG_SEGMENT.to_be_bytes());
        }
    }

    /// A packet of the guest's, from its IP header on.
    pub(crate) fn input(&mut self, packet: &mut [u8], out: &mut Out, now: Instant) {
        self.opening(packet);
        let (to, mss) = (self.to(), self.mss);
        match &mut self.stage {
            // The SYN again, or a change of mind.
            Stage::Connecting { until, .. } => {
                let header = match packet[0] >> 4 {
                    4 => usize::from(packet[0] & 15) * 4,
                    _ => 40,
                };
                if packet.get(header + 13).is_some_and(|flags| flags & 4 != 0) {
                    *until = now;
                }
            }
            Stage::Open(peer) => peer.input(packet, to, mss, out, now),
        }
    }

    /// Moves what can be moved.
    pub(crate) fn serve(&mut self, out: &mut Out, flows: usize, seed: u64, now: Instant) -> Next {
        if let Stage::Connecting { syn, until } = &mut self.stage {
            let until = *until;
            match self.host.established() {
                Ok(true) => {
                    let mut syn = std::mem::take(syn);
                    let mut peer = Box::new(Peer::new(self.key, out, flows, seed, now));
                    let at = IpListenEndpoint {
                        addr: Some(self.key.remote.ip().into()),
                        port: self.key.remote.port(),
                    };
                    if peer.socket().listen(at).is_err() {
                        return Next::Dead;
                    }
                    self.stage = Stage::Open(peer);
                    (self.readable, self.writable) = (true, true);
                    self.input(&mut syn, out, now);
                }
                Ok(false) if now < until => return Next::Wait(Some(until)),
                Ok(false) => {
                    refuse(&self.key, syn, &io::ErrorKind::TimedOut.into(), out);
                    return Next::Dead;
                }
                Err(error) => {
                    refuse(&self.key, syn, &error, out);
                    return Next::Dead;
                }
            }
        }
        self.pump(out, now)
    }

    fn pump(&mut self, out: &mut Out, now: Instant) -> Next {
        let (to, mss) = (self.to(), self.mss);
        let mut moved = 0;
        loop {
            let Stage::Open(peer) = &mut self.stage else {
                return Next::Dead;
            };
            let before = moved;
            moved += to_host(peer.socket(), &mut *self.host, &mut self.writable);
            moved += from_host(
                peer.socket(),
                &mut *self.host,
                &mut self.readable,
                &mut self.host_end,
            );
            // Little bits into a window that is almost closed take up whole
            // buffers of the guest's, more than it has promised (RFC 9293,
            // section 3.8.6.2.1): Nagle's rule avoids that, but is only for
            // when there is much to send.
            let full = if peer.mtu == LONG { LONG_SEGMENT } else { mss };
            let socket = peer.socket();
            socket.set_nagle_enabled(socket.send_queue() > 2 * usize::from(full));
            let mut sent = false;
            while peer.output(to, mss, out, now) {
                sent = true;
            }
            let state = peer.socket().state();
            let more = out.has_room() && (moved != before || sent);
            match state {
                State::Established if !sent && moved == before => {
                    let socket = peer.socket();
                    socket.set_keep_alive(Some(KEEP_ALIVE));
                    socket.set_timeout(Some(SILENCE));
                }
                State::CloseWait | State::LastAck | State::Closing | State::TimeWait
                    if peer.socket().recv_queue() == 0 && !self.guest_end =>
                {
                    self.guest_end = true;
                    self.host.finish();
                    continue;
                }
                _ => {}
            }
            if more && moved < TURN {
                continue;
            }
            if !out.has_room() || more {
                return Next::Again;
            }
            return match state {
                // Both have finished. That the guest saw the last ACK is sure:
                // nothing is lost on this wire.
                State::TimeWait => Next::Dead,
                State::Closed if self.guest_end && self.host_end => Next::Dead,
                // A reset, also of an attempt to connect.
                State::Closed | State::Listen => {
                    self.host.reset();
                    Next::Dead
                }
                _ => {
                    let at = peer.iface.poll_at(now, &peer.sockets);
                    Next::Wait(at.map(|at| at.max(now + Duration::from_millis(1))))
                }
            };
        }
    }

    /// Ends it both ways at once.
    pub(crate) fn abort(&mut self, out: &mut Out, now: Instant) {
        self.host.reset();
        let (to, mss) = (self.to(), self.mss);
        if let Stage::Open(peer) = &mut self.stage {
            peer.socket().abort();
            peer.output(to, mss, out, now);
        }
    }
}

/// From the guest to the host, as far as possible.
fn to_host(socket: &mut Socket, host: &mut dyn Stream, writable: &mut bool) -> usize {
    let mut moved = 0;
    while *writable && socket.can_recv() {
        let written = socket.recv(|bytes| match host.write(bytes) {
            Ok(len) => (len, Ok(len)),
            Err(error) => (0, Err(error)),
        });
        match written {
            Ok(Ok(len @ 1..)) => moved += len,
            Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => *writable = false,
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => {
                socket.abort();
                break;
            }
        }
    }
    moved
}

/// From the host to the guest, as far as possible.
fn from_host(
    socket: &mut Socket,
    host: &mut dyn Stream,
    readable: &mut bool,
    end: &mut bool,
) -> usize {
    let mut moved = 0;
    while *readable && !*end && socket.can_send() {
        let read = socket.send(|room| match host.read(room) {
            Ok(len) => (len, Ok(len)),
            Err(error) => (0, Err(error)),
        });
        match read {
            Ok(Ok(0)) => {
                *end = true;
                socket.close();
            }
            Ok(Ok(len)) => moved += len,
            Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => *readable = false,
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => {
                socket.abort();
                break;
            }
        }
    }
    moved
}

/// Tells the guest that there is no connection.
pub(crate) fn refuse(key: &Key, packet: &[u8], error: &io::Error, out: &mut Out) {
    let header = match key.guest {
        SocketAddr::V4(_) => packet.first().map_or(0, |byte| usize::from(byte & 15) * 4),
        SocketAddr::V6(_) => 40,
    };
    let why = match error.kind() {
        io::ErrorKind::HostUnreachable | io::ErrorKind::TimedOut => Some(Unreachable::Host),
        io::ErrorKind::NetworkUnreachable => Some(Unreachable::Net),
        _ => None,
    };
    let answer = match why {
        Some(why) => unreachable(why, packet).map(|(_, answer)| answer),
        None => reset(key.remote, key.guest, packet.get(header..).unwrap_or(&[])),
    };
    if let Some(answer) = answer {
        out.packet(key.guest.ip(), &answer);
    }
}
