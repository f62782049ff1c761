//! A guest: smoltcp on a card that is two queues.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant as Clock};

use ruse_bus::Wake;
use ruse_devices::backend::{Frame, Given, NetCard, Network, Offload, Takes};
use ruse_net::{GATEWAY4, GATEWAY6, GUEST4, Policy, User};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{
    Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken,
};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint};

const MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
pub const GUEST6: Ipv6Addr = Ipv6Addr::new(0xfd72, 0x7573, 0x6500, 0, 0, 0, 0, 0x15);
/// Only a hang takes so long.
const PATIENCE: Duration = Duration::from_secs(120);
/// Frames that the guest has buffers for.
const RING: usize = 64;
const BUFFER: usize = 256 << 10;

/// With and without what a card may leave to the network.
pub const ALL_TAKES: [Takes; 2] = [
    Takes {
        checksum: false,
        tcp4: false,
        tcp6: false,
    },
    Takes {
        checksum: true,
        tcp4: true,
        tcp6: true,
    },
];

/// Bytes that are not the same anywhere.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

#[derive(Default)]
struct Rings {
    sent: VecDeque<Frame>,
    received: VecDeque<Frame>,
    starved: bool,
}

struct Card {
    rings: Mutex<Rings>,
    news: Condvar,
    takes: Takes,
}

impl Card {
    fn lock(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock().unwrap()
    }
}

impl NetCard for Card {
    fn take(&self, limit: usize, each: &mut dyn FnMut(Frame)) -> bool {
        let mut left = limit;
        while left > 0 {
            let Some(frame) = self.lock().sent.pop_front() else {
                return false;
            };
            left = left.saturating_sub(frame.bytes.len());
            each(frame);
        }
        true
    }

    fn give(&self, frames: &mut VecDeque<Frame>) -> Given {
        let mut rings = self.lock();
        while rings.received.len() < RING {
            let Some(frame) = frames.pop_front() else {
                break;
            };
            rings.received.push_back(frame);
        }
        self.news.notify_all();
        rings.starved = !frames.is_empty();
        match frames.is_empty() {
            true => Given::All,
            false => Given::Full,
        }
    }

    fn takes(&self) -> Takes {
        self.takes
    }

    fn set_link(&self, _: bool) {}
}

/// smoltcp's end of it.
struct Port {
    card: Arc<Card>,
    bell: Arc<dyn Wake>,
}

struct Received(Frame);
struct Sent<'a>(&'a Port);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        check(&self.0);
        f(&self.0.bytes)
    }
}

/// What a real driver would insist on.
fn check(frame: &Frame) {
    let len = frame.bytes.len();
    match frame.offload.segments {
        None => assert!(len <= 1514, "{len} bytes on the wire"),
        Some(segments) => {
            assert!(frame.offload.checksum.is_some());
            let payload = len - usize::from(segments.header);
            assert!(payload > segments.size.into() && segments.size <= 1460);
        }
    }
}

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut bytes = vec![0; len];
        let result = f(&mut bytes);
        let tcp4 = bytes[12..14] == [8, 0] && bytes[23] == 6;
        let tcp6 = bytes[12..14] == [0x86, 0xdd] && bytes[20] == 6;
        let start = if tcp4 { 34 } else { 54 };
        let mut offload = Offload::default();
        if self.0.card.takes.checksum && (tcp4 || tcp6) {
            // Somebody else's business.
            bytes[usize::from(start) + 16] ^= 0x55;
            offload.checksum = Some((start, 16));
        }
        self.0.card.lock().sent.push_back(Frame { bytes, offload });
        self.0.bell.wake();
        result
    }
}

impl Device for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sent<'_>)> {
        let mut rings = self.card.lock();
        let frame = rings.received.pop_front()?;
        if std::mem::take(&mut rings.starved) {
            self.bell.wake();
        }
        drop(rings);
        Some((Received(frame), Sent(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sent<'_>> {
        (self.card.lock().sent.len() < RING).then_some(Sent(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = 1514;
        if self.card.takes.checksum {
            caps.checksum = ChecksumCapabilities::default();
            caps.checksum.tcp = Checksum::Tx;
        }
        caps
    }
}

pub struct Guest {
    port: Port,
    iface: Interface,
    sockets: SocketSet<'static>,
    udp: SocketHandle,
    next_port: u16,
    start: Clock,
    /// Where forwards are on the host.
    pub ports: Vec<SocketAddr>,
    _network: Box<dyn std::any::Any + Send + Sync>,
}

impl Guest {
    pub fn new(policy: Policy, forwards: &[&str], takes: Takes) -> Self {
        let forwards: Vec<_> = forwards.iter().map(|text| text.parse().unwrap()).collect();
        let user = User::new(policy, &forwards, MAC).unwrap();
        let ports = user.bound().into_iter().map(Option::unwrap).collect();
        let card = Arc::new(Card {
            rings: Mutex::default(),
            news: Condvar::new(),
            takes,
        });
        let bell = user.bell();
        let network = Box::new(user).start(card.clone()).unwrap();
        let mut port = Port { card, bell };
        port.bell.wake();
        let config = Config::new(EthernetAddress(MAC).into());
        let mut iface = Interface::new(config, &mut port, Instant::ZERO);
        iface.update_ip_addrs(|addrs| {
            addrs.push(IpCidr::new(GUEST4.into(), 24)).unwrap();
            addrs.push(IpCidr::new(GUEST6.into(), 64)).unwrap();
        });
        iface.routes_mut().add_default_ipv4_route(GATEWAY4).unwrap();
        iface.routes_mut().add_default_ipv6_route(GATEWAY6).unwrap();
        let mut sockets = SocketSet::new(Vec::new());
        let buffer = || {
            let slots = vec![udp::PacketMetadata::EMPTY; 16];
            udp::PacketBuffer::new(slots, vec![0; 65_536])
        };
        let udp = sockets.add(udp::Socket::new(buffer(), buffer()));
        Self {
            port,
            iface,
            sockets,
            udp,
            next_port: 20_000,
            start: Clock::now(),
            ports,
            _network: network,
        }
    }

    pub fn tcp(&mut self, socket: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(socket)
    }

    fn poll(&mut self) -> bool {
        let now = Instant::from_micros(self.start.elapsed().as_micros() as i64);
        let result = self.iface.poll(now, &mut self.port, &mut self.sockets);
        result == smoltcp::iface::PollResult::SocketStateChanged
    }

    /// A little time passes.
    pub fn rest(&mut self) {
        if !self.poll() {
            let rings = self.port.card.lock();
            let _ = self
                .port
                .card
                .news
                .wait_timeout_while(rings, Duration::from_millis(5), |rings| {
                    rings.received.is_empty()
                })
                .unwrap();
        }
    }

    /// Until something has come true.
    #[track_caller]
    pub fn wait(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Clock::now() + PATIENCE;
        while !done(self) {
            self.rest();
            assert!(Clock::now() < end, "waited in vain for {what}");
        }
    }

    fn socket(&mut self) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_ack_delay(None);
        self.sockets.add(socket)
    }

    /// Begins to connect.
    pub fn begin(&mut self, to: SocketAddr) -> SocketHandle {
        let handle = self.socket();
        self.next_port += 1;
        let local: IpAddr = match to {
            SocketAddr::V4(_) => GUEST4.into(),
            SocketAddr::V6(_) => GUEST6.into(),
        };
        let socket: &mut tcp::Socket = self.sockets.get_mut(handle);
        let to = IpEndpoint::new(to.ip().into(), to.port());
        socket
            .connect(self.iface.context(), to, (local, self.next_port))
            .unwrap();
        handle
    }

    #[track_caller]
    pub fn connect(&mut self, to: SocketAddr) -> SocketHandle {
        let socket = self.begin(to);
        self.wait("a connection", |guest| guest.tcp(socket).may_send());
        socket
    }

    pub fn listen(&mut self, port: u16) -> SocketHandle {
        let socket = self.socket();
        self.tcp(socket).listen(port).unwrap();
        socket
    }

    #[track_caller]
    pub fn send_all(&mut self, socket: SocketHandle, bytes: &[u8]) {
        let mut sent = 0;
        self.wait("room", |guest| {
            sent += guest.tcp(socket).send_slice(&bytes[sent..]).unwrap();
            sent == bytes.len()
        });
    }

    /// Sends until nothing goes any more.
    pub fn send_until_stuck(&mut self, socket: SocketHandle, bytes: &[u8]) -> usize {
        let (mut sent, mut stuck) = (0, 0);
        while stuck < 100 && sent < bytes.len() {
            match self.tcp(socket).send_slice(&bytes[sent..]).unwrap() {
                0 => stuck += 1,
                len => (sent, stuck) = (sent + len, 0),
            }
            self.rest();
        }
        sent
    }

    #[track_caller]
    pub fn read_to_end(&mut self, socket: SocketHandle) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.wait("the end", |guest| {
            let socket = guest.tcp(socket);
            while socket.can_recv() {
                socket
                    .recv(|part| {
                        bytes.extend_from_slice(part);
                        (part.len(), ())
                    })
                    .unwrap();
            }
            !socket.may_recv()
        });
        bytes
    }

    pub fn udp_bind(&mut self, port: u16) {
        let socket: &mut udp::Socket = self.sockets.get_mut(self.udp);
        socket.close();
        socket.bind(port).unwrap();
    }

    pub fn udp_send(&mut self, from: u16, to: SocketAddr, bytes: &[u8]) {
        let socket: &mut udp::Socket = self.sockets.get_mut(self.udp);
        if !socket.is_open() {
            socket.bind(from).unwrap();
        }
        let to = IpEndpoint::new(to.ip().into(), to.port());
        socket.send_slice(bytes, to).unwrap();
        let udp = self.udp;
        self.wait("the datagram to go", |guest| {
            let socket: &mut udp::Socket = guest.sockets.get_mut(udp);
            socket.send_queue() == 0
        });
    }

    #[track_caller]
    pub fn udp_recv(&mut self) -> (Vec<u8>, SocketAddr) {
        let udp = self.udp;
        let mut found = None;
        self.wait("a datagram", |guest| {
            let socket: &mut udp::Socket = guest.sockets.get_mut(udp);
            found = socket.recv().ok().map(|(bytes, meta)| {
                let ip = match meta.endpoint.addr {
                    smoltcp::wire::IpAddress::Ipv4(ip) => IpAddr::V4(ip),
                    smoltcp::wire::IpAddress::Ipv6(ip) => IpAddr::V6(ip),
                };
                (bytes.to_vec(), SocketAddr::new(ip, meta.endpoint.port))
            });
            found.is_some()
        });
        found.unwrap()
    }
}

const _: Ipv4Addr = GUEST4;
