//! The user-mode network: frames of the guest's in, host sockets out, and
//! back. It knows neither threads nor clocks: whoever has it feeds it frames,
//! tells it what sockets are ready and what time it is, and takes its frames
//! away.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ruse_devices::backend::{Frame, Takes};
use ruse_event::{Class, Flow as Became, Tap};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    DHCP_SERVER_PORT, Icmpv4Message, Icmpv4Packet, Icmpv6Message, Icmpv6Packet, IpProtocol,
    Ipv4Packet, Ipv6Packet, NdiscRepr, TcpPacket, UdpPacket,
};

use crate::addr::{GATEWAY_MAC, GATEWAY4, GATEWAY6, Policy, Way, is_guest, is_ours};
use crate::dhcp::Leases;
use crate::frame::{
    ETHER, ETHER_ARP, ETHER_IPV4, ETHER_IPV6, Out, Unreachable, datagram, ip_packet, reset,
    unreachable,
};
use crate::host::Host;
use crate::neighbor;
use crate::spec::Forward;
use crate::tcp::{self, Flow, Next, refuse};
use crate::udp::{self, Callers, Talk};

/// Connections at once. Who asks for more is refused.
pub const MAX_CONNECTIONS: usize = 2048;
/// Between advertisements of the router.
const ADVERTISE: Duration = Duration::from_secs(300);
const SWEEP: Duration = Duration::from_secs(1);
/// Until the host is asked again for what it did not have.
const RETRY: Duration = Duration::from_millis(100);
/// Questions without an answer after which the next name server is asked.
const UNANSWERED: u32 = 2;
/// What an ICMP message quotes.
const QUOTE: usize = 60 + 8;

struct Entry {
    what: What,
    /// It is among those that wait for their turn.
    dirty: bool,
    /// It has a timer.
    at: Option<Instant>,
}

enum What {
    Flow(Box<Flow>),
    Talk(Box<Talk>),
}

/// A user-mode network with one card.
pub struct Stack<H> {
    host: H,
    policy: Policy,
    out: Out,
    leases: Leases,
    /// By the number that the host's poller knows them by.
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    flows: HashMap<tcp::Key, usize>,
    talks: HashMap<udp::Key, usize>,
    callers: Callers,
    forwards: Vec<(Forward, bool)>,
    dirty: VecDeque<usize>,
    timers: BTreeSet<(Instant, usize)>,
    advertise: Instant,
    sweep: Instant,
    retry: Option<Instant>,
    seed: u64,
    resolver: usize,
    unanswered: u32,
    buffer: Vec<u8>,
    tap: Tap,
}

impl What {
    /// The protocol, the guest's end, the other end, and the host's socket.
    fn ends(&self) -> Option<(&'static str, SocketAddr, SocketAddr, Option<SocketAddr>)> {
        match self {
            Self::Flow(flow) => {
                let tcp::Key { guest, remote } = flow.key;
                Some(("tcp", guest, remote, flow.local()))
            }
            Self::Talk(talk) => match talk.key {
                udp::Key::Udp(guest, remote) => Some(("udp", guest, remote, talk.socket.local())),
                udp::Key::Echo(..) => None,
            },
        }
    }

    fn tell(&self, tap: &Tap, became: Became) {
        if tap.wants(Class::Net)
            && let Some((protocol, guest, far, host)) = self.ends()
        {
            tap.tell(Class::Net, || ruse_event::What::Flow {
                protocol,
                guest,
                far,
                host,
                flow: became,
            });
        }
    }
}

impl<H: Host> Stack<H> {
    /// A network that the card with the address `mac` is connected to.
    pub fn new(host: H, policy: Policy, forwards: &[Forward], mac: [u8; 6], now: Instant) -> Self {
        Self {
            host,
            policy,
            out: Out::new(mac),
            leases: Leases::default(),
            entries: Vec::new(),
            free: Vec::new(),
            flows: HashMap::new(),
            talks: HashMap::new(),
            callers: Callers::default(),
            forwards: forwards.iter().map(|&forward| (forward, false)).collect(),
            dirty: VecDeque::new(),
            timers: BTreeSet::new(),
            advertise: now,
            sweep: now,
            retry: None,
            seed: RandomState::new().hash_one(now.total_micros()),
            resolver: 0,
            unanswered: 0,
            buffer: vec![0; udp::LONGEST],
            tap: Tap::NONE,
        }
    }

    /// From now on tells `tap` of connections.
    pub fn watch(&mut self, tap: &Tap) {
        self.tap = tap.clone();
    }

    /// The host.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// The frames for the guest, to take from the front. Then
    /// [`Stack::taken`].
    pub fn frames(&mut self) -> &mut VecDeque<Frame> {
        &mut self.out.frames
    }

    /// Frames were taken.
    pub fn taken(&mut self) {
        self.out.recount();
    }

    /// Whether frames are made, not only kept.
    pub fn has_room(&self) -> bool {
        self.out.has_room()
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.flows.len()
    }

    /// How many conversations by datagrams there are.
    pub fn conversations(&self) -> usize {
        self.talks.len()
    }

    /// Tells what the guest takes. When that changes, another driver took the
    /// card, which knows of no connections.
    pub fn set_takes(&mut self, takes: Takes, now: Instant) {
        if self.out.takes == takes {
            return;
        }
        let ids: Vec<_> = self.flows.values().copied().collect();
        for id in ids {
            if let Some(Entry {
                what: What::Flow(flow),
                ..
            }) = self.entries.get_mut(id).and_then(Option::as_mut)
            {
                flow.abort(&mut self.out, now);
            }
            self.remove(id);
        }
        self.out.frames.clear();
        self.out.recount();
        self.out.takes = takes;
        self.advertise = now;
    }

    /// The socket of that number may be tried again.
    pub fn ready(&mut self, id: usize, readable: bool, writable: bool) {
        let Some(Some(entry)) = self.entries.get_mut(id) else {
            return;
        };
        match &mut entry.what {
            What::Flow(flow) => {
                flow.readable |= readable;
                flow.writable |= writable;
            }
            What::Talk(talk) => talk.readable |= readable,
        }
        self.touch(id);
    }

    /// Somebody may have come to a forwarded port.
    pub fn called(&mut self, forward: usize) {
        if let Some((_, ready)) = self.forwards.get_mut(forward) {
            *ready = true;
        }
    }

    /// Whether [`Stack::work`] has something to do.
    pub fn is_busy(&self) -> bool {
        self.out.has_room()
            && (!self.dirty.is_empty()
                || self.retry.is_none() && self.forwards.iter().any(|(_, ready)| *ready))
    }

    /// When there will be something to do without anything happening.
    pub fn deadline(&self) -> Instant {
        let timer = self.timers.first().map(|&(at, _)| at);
        let sweeps = !self.talks.is_empty() || !self.callers.is_empty();
        let sweep = sweeps.then_some(self.sweep);
        [timer, sweep, self.retry]
            .into_iter()
            .flatten()
            .fold(self.advertise, Instant::min)
    }

    /// Does what there is to do, while there is room for frames.
    pub fn work(&mut self, now: Instant) {
        if now >= self.advertise {
            self.advertise = now + ADVERTISE;
            self.advertise_router();
        }
        if now >= self.sweep {
            self.sweep = now + SWEEP;
            self.expire(now);
        }
        if self.retry.is_some_and(|at| now >= at) {
            self.retry = None;
        }
        while let Some(&(at, id)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(Some(entry)) = self.entries.get_mut(id) {
                entry.at = None;
            }
            self.touch(id);
        }
        if self.retry.is_none() {
            for forward in 0..self.forwards.len() {
                self.answer_calls(forward, now);
            }
        }
        // One turn each.
        for _ in 0..self.dirty.len() {
            if !self.out.has_room() {
                break;
            }
            let Some(id) = self.dirty.pop_front() else {
                break;
            };
            self.serve(id, now);
        }
    }

    fn touch(&mut self, id: usize) {
        if let Some(Some(entry)) = self.entries.get_mut(id)
            && !entry.dirty
        {
            entry.dirty = true;
            self.dirty.push_back(id);
        }
    }

    fn serve(&mut self, id: usize, now: Instant) {
        let Some(Some(entry)) = self.entries.get_mut(id) else {
            return;
        };
        entry.dirty = false;
        let next = match &mut entry.what {
            What::Flow(flow) => {
                self.seed = self
                    .seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                flow.serve(&mut self.out, self.flows.len(), self.seed, now)
            }
            What::Talk(talk) => {
                let answered = listen(talk, &mut self.out, &mut self.buffer, now);
                if answered && talk.resolver == Some(self.resolver) {
                    self.unanswered = 0;
                }
                match talk.readable {
                    true => Next::Again,
                    false => Next::Wait(None),
                }
            }
        };
        match next {
            Next::Again => self.touch(id),
            Next::Dead => self.remove(id),
            Next::Wait(at) => {
                if entry.at != at {
                    if let Some(old) = entry.at {
                        self.timers.remove(&(old, id));
                    }
                    entry.at = at;
                    self.timers.extend(at.map(|at| (at, id)));
                }
            }
        }
    }

    /// A number for something new.
    fn reserve(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        })
    }

    fn insert(&mut self, id: usize, what: What) {
        what.tell(&self.tap, Became::Opened);
        match &what {
            What::Flow(flow) => self.flows.insert(flow.key, id),
            What::Talk(talk) => self.talks.insert(talk.key, id),
        };
        // It may have been among those who wait, as what it was before.
        let dirty = self.dirty.contains(&id);
        self.entries[id] = Some(Entry {
            what,
            dirty,
            at: None,
        });
        self.touch(id);
    }

    fn remove(&mut self, id: usize) {
        let Some(entry) = self.entries.get_mut(id).and_then(Option::take) else {
            return;
        };
        if let Some(at) = entry.at {
            self.timers.remove(&(at, id));
        }
        entry.what.tell(&self.tap, Became::Closed);
        match entry.what {
            What::Flow(flow) => self.flows.remove(&flow.key),
            What::Talk(talk) => self.talks.remove(&talk.key),
        };
        self.free.push(id);
    }

    /// A frame that the guest sends.
    pub fn input(&mut self, frame: Frame, now: Instant) {
        let Frame { mut bytes, offload } = frame;
        let Some((header, payload)) = bytes.split_first_chunk_mut::<ETHER>() else {
            return;
        };
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, k0, k1] = *header;
        let (to, from) = ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]);
        if to != GATEWAY_MAC && d0 & 1 == 0 || from[0] & 1 != 0 {
            return;
        }
        let partial = offload.checksum.is_some();
        match u16::from_be_bytes([k0, k1]) {
            ETHER_ARP => {
                if let Some(heard) = neighbor::arp(payload) {
                    if is_guest(heard.ip) {
                        self.out.learn(heard.ip, heard.mac);
                    }
                    if let Some(bytes) = heard.answer {
                        self.out.push(Frame {
                            bytes,
                            ..Frame::default()
                        });
                    }
                }
            }
            ETHER_IPV4 => {
                self.ipv4(payload, from, partial, now);
            }
            ETHER_IPV6 => {
                self.ipv6(payload, from, partial, now);
            }
            _ => {}
        }
    }

    fn ipv4(&mut self, bytes: &mut [u8], mac: [u8; 6], partial: bool, now: Instant) -> Option<()> {
        let packet = Ipv4Packet::new_checked(&*bytes).ok()?;
        if packet.version() != 4 || !packet.verify_checksum() {
            return None;
        }
        // Fragments are not put together: see the crate's documentation.
        if packet.more_frags() || packet.frag_offset() != 0 {
            log::debug!("a fragment from {} is dropped", packet.src_addr());
            return None;
        }
        let (from, to) = (packet.src_addr(), packet.dst_addr());
        let (header, end) = (packet.header_len().into(), packet.total_len().into());
        let protocol = packet.next_header();
        let bytes = &mut bytes[..end];
        if protocol == IpProtocol::Udp {
            let udp = UdpPacket::new_checked(&bytes[header..]).ok()?;
            if udp.dst_port() == DHCP_SERVER_PORT && (to.is_broadcast() || to == GATEWAY4) {
                let answer = self.leases.answer(udp.payload())?;
                let from = SocketAddr::new(GATEWAY4.into(), answer.from_port);
                let to = SocketAddr::new(answer.to.into(), answer.to_port);
                let packet = datagram(from, to, &answer.payload);
                self.out.packet_to(answer.mac, &packet);
                return Some(());
            }
        }
        if !is_guest(from.into()) {
            return None;
        }
        self.out.learn(from.into(), mac);
        let (from, to) = (from.into(), to.into());
        match protocol {
            IpProtocol::Tcp => self.tcp(bytes, header, from, to, partial, now),
            IpProtocol::Udp => self.udp(bytes, header, from, to, partial, now),
            IpProtocol::Icmp => self.echo4(bytes, header, from, to, now),
            _ => None,
        }
    }

    fn ipv6(&mut self, bytes: &mut [u8], mac: [u8; 6], partial: bool, now: Instant) -> Option<()> {
        const HEADER: usize = 40;
        let packet = Ipv6Packet::new_checked(&*bytes).ok()?;
        if packet.version() != 6 {
            return None;
        }
        let (from, to) = (packet.src_addr(), packet.dst_addr());
        let (protocol, end) = (packet.next_header(), packet.total_len());
        let on_link = packet.hop_limit() == 255;
        let bytes = &mut bytes[..end];
        if protocol == IpProtocol::Icmpv6 {
            let icmp = Icmpv6Packet::new_checked(&bytes[HEADER..]).ok()?;
            if !partial && !icmp.verify_checksum(&from, &to) {
                return None;
            }
            if is_guest(from.into()) {
                self.out.learn(from.into(), mac);
            }
            return match icmp.msg_type() {
                Icmpv6Message::RouterSolicit if on_link => {
                    self.advertise_router();
                    Some(())
                }
                Icmpv6Message::NeighborSolicit if on_link => {
                    let asked = NdiscRepr::parse(&icmp).ok()?;
                    let answer = neighbor::advertisement(from, &asked)?;
                    self.out.packet_to(mac, &answer);
                    Some(())
                }
                Icmpv6Message::EchoRequest if is_guest(from.into()) => {
                    self.echo6(bytes, from, to, now)
                }
                _ => None,
            };
        }
        if !is_guest(from.into()) {
            return None;
        }
        self.out.learn(from.into(), mac);
        let (from, to) = (from.into(), to.into());
        match protocol {
            IpProtocol::Tcp => self.tcp(bytes, HEADER, from, to, partial, now),
            IpProtocol::Udp => self.udp(bytes, HEADER, from, to, partial, now),
            _ => None,
        }
    }

    fn advertise_router(&mut self) {
        let packet = neighbor::router(
            self.host.has_ipv6() && !self.policy.restrict,
            !self.policy.restrict && !self.host.resolvers().is_empty(),
        );
        self.out.packet_to([0x33, 0x33, 0, 0, 0, 1], &packet);
    }

    fn tcp(
        &mut self,
        packet: &mut [u8],
        header: usize,
        from: IpAddr,
        to: IpAddr,
        partial: bool,
        now: Instant,
    ) -> Option<()> {
        let segment = TcpPacket::new_checked(&packet[header..]).ok()?;
        if !partial && !segment.verify_checksum(&from.into(), &to.into()) {
            return None;
        }
        let (from_port, to_port) = (segment.src_port(), segment.dst_port());
        if from_port == 0 || to_port == 0 {
            return None;
        }
        let key = tcp::Key {
            guest: SocketAddr::new(from, from_port),
            remote: SocketAddr::new(to, to_port),
        };
        if let Some(&id) = self.flows.get(&key) {
            if let Some(Some(Entry {
                what: What::Flow(flow),
                ..
            })) = self.entries.get_mut(id)
            {
                flow.input(packet, &mut self.out, now);
            }
            self.touch(id);
            return Some(());
        }
        if to.is_multicast() || matches!(to, IpAddr::V4(ip) if ip.is_broadcast()) {
            return None;
        }
        let opens = segment.syn() && !segment.ack() && !segment.rst() && !segment.fin();
        let way = match opens && self.flows.len() < MAX_CONNECTIONS {
            true => self.policy.way(key.remote),
            false => Way::Closed,
        };
        let way = match way {
            Way::To { to, own } => Some((to, own)),
            Way::Dns => self.resolver().map(|to| (to, true)),
            Way::Closed => None,
        };
        let Some((to, own)) = way else {
            let answer = reset(key.remote, key.guest, &packet[header..])?;
            self.out.packet(from, &answer);
            return None;
        };
        let id = self.reserve();
        match self.host.connect(to, own, id) {
            Ok(stream) => {
                let flow = Flow::outwards(key, packet, stream, now);
                self.insert(id, What::Flow(Box::new(flow)));
            }
            Err(error) => {
                self.free.push(id);
                log::debug!("cannot connect to {to}: {error}");
                self.tap.tell(Class::Net, || ruse_event::What::Flow {
                    protocol: "tcp",
                    guest: key.guest,
                    far: key.remote,
                    host: None,
                    flow: Became::Refused,
                });
                refuse(&key, packet, &error, &mut self.out);
            }
        }
        Some(())
    }

    /// The name server that is asked at present.
    fn resolver(&self) -> Option<SocketAddr> {
        let all = self.host.resolvers();
        all.get(self.resolver % all.len().max(1)).copied()
    }

    fn udp(
        &mut self,
        packet: &[u8],
        header: usize,
        from: IpAddr,
        to: IpAddr,
        partial: bool,
        now: Instant,
    ) -> Option<()> {
        let udp = UdpPacket::new_checked(&packet[header..]).ok()?;
        if !partial && !udp.verify_checksum(&from.into(), &to.into()) {
            return None;
        }
        let guest = SocketAddr::new(from, udp.src_port());
        let remote = SocketAddr::new(to, udp.dst_port());
        if (to == GATEWAY4 || to == GATEWAY6)
            && let Some((forward, caller)) = self.callers.find(guest, remote.port(), now)
        {
            let _ = self.host.send_to(forward, udp.payload(), caller);
            return Some(());
        }
        let key = udp::Key::Udp(guest, remote);
        if !self.talks.contains_key(&key) {
            let (to, own, resolver) = match self.policy.way(remote) {
                Way::To { to, own } => (Some(to), own, None),
                Way::Dns => (self.resolver(), true, Some(self.resolver)),
                Way::Closed => (None, false, None),
            };
            let id = self.reserve();
            let socket = match to {
                Some(to) => self.host.datagrams(to, own, id),
                None => Err(io::ErrorKind::PermissionDenied.into()),
            };
            let idle = match resolver {
                Some(_) => udp::IDLE_DNS,
                None => udp::IDLE,
            };
            self.begin(key, id, socket, idle, resolver, packet, now)?;
        }
        self.say(key, udp.payload(), packet, now)
    }

    /// Begins a conversation, if the host gave a socket for it.
    #[expect(clippy::too_many_arguments, reason = "what makes a conversation")]
    fn begin(
        &mut self,
        key: udp::Key,
        id: usize,
        socket: io::Result<Box<dyn crate::host::Datagrams>>,
        idle: Duration,
        resolver: Option<usize>,
        packet: &[u8],
        now: Instant,
    ) -> Option<()> {
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => {
                self.free.push(id);
                let why = match error.kind() {
                    io::ErrorKind::NetworkUnreachable => Unreachable::Net,
                    io::ErrorKind::HostUnreachable => Unreachable::Host,
                    _ => Unreachable::Prohibited,
                };
                self.complain(why, packet);
                return None;
            }
        };
        if self.talks.len() >= udp::MAX {
            self.remove_oldest();
        }
        let talk = Talk {
            key,
            socket,
            last: now,
            idle,
            readable: false,
            head: Vec::new(),
            resolver,
        };
        self.insert(id, What::Talk(Box::new(talk)));
        Some(())
    }

    /// Tells the guest that a packet did not arrive, unless it went to many.
    fn complain(&mut self, why: Unreachable, packet: &[u8]) {
        let many = match packet.first().map(|first| first >> 4) {
            Some(4) => packet.get(16).is_some_and(|&first| first >= 224),
            _ => packet.get(24) == Some(&0xff),
        };
        if !many && let Some((to, answer)) = unreachable(why, packet) {
            self.out.packet(to, &answer);
        }
    }

    /// Sends a datagram of the guest's.
    fn say(&mut self, key: udp::Key, payload: &[u8], packet: &[u8], now: Instant) -> Option<()> {
        let id = *self.talks.get(&key)?;
        let Some(Some(Entry {
            what: What::Talk(talk),
            ..
        })) = self.entries.get_mut(id)
        else {
            return None;
        };
        talk.last = now;
        talk.head.clear();
        talk.head
            .extend_from_slice(&packet[..packet.len().min(QUOTE)]);
        let asks = talk.resolver;
        let mut sent = talk.socket.send(payload);
        if sent
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        {
            // That was about the one before.
            sent = talk.socket.send(payload);
        }
        if let Err(error) = &sent {
            log::debug!("cannot send a datagram: {error}");
        }
        if asks == Some(self.resolver) {
            self.unanswered += 1;
            if self.unanswered > UNANSWERED {
                self.next_resolver();
            }
        }
        Some(())
    }

    /// Asks another name server from now on.
    fn next_resolver(&mut self) {
        self.unanswered = 0;
        let count = self.host.resolvers().len();
        if count < 2 {
            return;
        }
        let silent = self.resolver;
        self.resolver = (silent + 1) % count;
        let ids: Vec<_> = self.talks.values().copied().collect();
        for id in ids {
            if let Some(Some(Entry {
                what: What::Talk(talk),
                ..
            })) = self.entries.get(id)
                && talk.resolver == Some(silent)
            {
                self.remove(id);
            }
        }
    }

    fn echo4(
        &mut self,
        packet: &[u8],
        header: usize,
        from: IpAddr,
        to: IpAddr,
        now: Instant,
    ) -> Option<()> {
        let icmp = Icmpv4Packet::new_checked(&packet[header..]).ok()?;
        if icmp.msg_type() != Icmpv4Message::EchoRequest || !icmp.verify_checksum() {
            return None;
        }
        let ident = icmp.echo_ident();
        self.echo(packet, header, from, to, ident, now)
    }

    fn echo6(&mut self, packet: &[u8], from: Ipv6Addr, to: Ipv6Addr, now: Instant) -> Option<()> {
        let ident = Icmpv6Packet::new_checked(&packet[40..]).ok()?.echo_ident();
        self.echo(packet, 40, from.into(), to.into(), ident, now)
    }

    fn echo(
        &mut self,
        packet: &[u8],
        header: usize,
        from: IpAddr,
        to: IpAddr,
        ident: u16,
        now: Instant,
    ) -> Option<()> {
        let message = &packet[header..];
        if is_ours(to) {
            echo_reply(message, to, from, ident, &mut self.out);
            return Some(());
        }
        let key = udp::Key::Echo(from, to, ident);
        if !self.talks.contains_key(&key) {
            let Way::To { .. } = self.policy.way(SocketAddr::new(to, 7)) else {
                self.complain(Unreachable::Prohibited, packet);
                return None;
            };
            let id = self.reserve();
            let socket = self.host.echo(to, id);
            self.begin(key, id, socket, udp::IDLE_DNS, None, packet, now)?;
        }
        self.say(key, message, packet, now)
    }

    fn remove_oldest(&mut self) {
        let last = |id: &usize| match self.entries.get(*id) {
            Some(Some(Entry {
                what: What::Talk(talk),
                ..
            })) => talk.last,
            _ => Instant::ZERO,
        };
        if let Some(id) = self.talks.values().copied().min_by_key(last) {
            self.remove(id);
        }
    }

    /// Ends conversations that nobody takes part in any more.
    fn expire(&mut self, now: Instant) {
        self.callers.expire(now);
        let ids: Vec<_> = self.talks.values().copied().collect();
        for id in ids {
            if let Some(Some(Entry {
                what: What::Talk(talk),
                ..
            })) = self.entries.get(id)
                && now >= talk.last + talk.idle
            {
                self.remove(id);
            }
        }
    }

    fn answer_calls(&mut self, index: usize, now: Instant) {
        let Some(&(forward, true)) = self.forwards.get(index) else {
            return;
        };
        let gateway: IpAddr = match forward.guest {
            SocketAddr::V4(_) => GATEWAY4.into(),
            SocketAddr::V6(_) => GATEWAY6.into(),
        };
        for _ in 0..udp::TURN {
            if !self.out.has_room() {
                return;
            }
            let result = match forward.udp {
                true => self.caller_says(index, forward.guest, gateway, now),
                false => self.call(index, forward.guest, gateway, now),
            };
            match result.map_err(|error| error.kind()) {
                Ok(()) | Err(io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) => {}
                // Answers that did not arrive.
                Err(io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset) => {}
                Err(io::ErrorKind::WouldBlock) => {
                    self.forwards[index].1 = false;
                    return;
                }
                // It has no more descriptors, for example.
                Err(error) => {
                    log::debug!("nobody can come in by {forward}: {error}");
                    self.retry = Some(now + RETRY);
                    return;
                }
            }
        }
    }

    fn call(
        &mut self,
        index: usize,
        guest: SocketAddr,
        gateway: IpAddr,
        now: Instant,
    ) -> io::Result<()> {
        let id = self.reserve();
        let accepted = self.host.accept(index, id);
        let (mut stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                self.free.push(id);
                return Err(error);
            }
        };
        // The caller's port, if that is free.
        let mut port = from.port().max(1024);
        let key = loop {
            let remote = SocketAddr::new(gateway, port);
            let key = tcp::Key { guest, remote };
            if self.flows.len() >= MAX_CONNECTIONS || !self.flows.contains_key(&key) {
                break key;
            }
            port = port.checked_add(1).unwrap_or(1024);
        };
        if self.flows.len() >= MAX_CONNECTIONS {
            stream.reset();
            self.free.push(id);
            return Ok(());
        }
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let (flows, seed) = (self.flows.len(), self.seed);
        match Flow::inwards(key, stream, &mut self.out, flows, seed, now) {
            Some(flow) => self.insert(id, What::Flow(Box::new(flow))),
            None => self.free.push(id),
        }
        Ok(())
    }

    fn caller_says(
        &mut self,
        index: usize,
        guest: SocketAddr,
        gateway: IpAddr,
        now: Instant,
    ) -> io::Result<()> {
        let (len, from) = self.host.recv_from(index, &mut self.buffer)?;
        let port = self.callers.port(index, from, guest, now);
        let from = SocketAddr::new(gateway, port);
        self.out.datagram(from, guest, &self.buffer[..len]);
        Ok(())
    }
}

/// Passes on what the host has for a conversation. True if there was an
/// answer.
fn listen(talk: &mut Talk, out: &mut Out, buffer: &mut [u8], now: Instant) -> bool {
    let mut answered = false;
    for _ in 0..udp::TURN {
        if !talk.readable || !out.has_room() {
            break;
        }
        match talk.socket.recv(buffer) {
            Ok(len) => {
                answered = true;
                talk.last = now;
                match talk.key {
                    udp::Key::Udp(guest, remote) => out.datagram(remote, guest, &buffer[..len]),
                    udp::Key::Echo(guest, remote, ident) => {
                        echo_reply(&buffer[..len], remote, guest, ident, out);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => talk.readable = false,
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::ConnectionRefused => Some(Unreachable::Port),
                    io::ErrorKind::HostUnreachable => Some(Unreachable::Host),
                    io::ErrorKind::NetworkUnreachable => Some(Unreachable::Net),
                    _ => None,
                };
                if let Some((to, answer)) = why.and_then(|why| unreachable(why, &talk.head)) {
                    out.packet(to, &answer);
                }
            }
        }
    }
    answered
}

/// Sends the reply to an echo request, or passes one on.
fn echo_reply(message: &[u8], from: IpAddr, to: IpAddr, ident: u16, out: &mut Out) {
    // Some hosts give the IP header too.
    let header = match (to, message.first()) {
        (IpAddr::V4(_), Some(first @ 0x45..=0x4f)) => usize::from(first & 15) * 4,
        _ => 0,
    };
    let message = message.get(header..).unwrap_or(&[]);
    if message.len() < 8 {
        return;
    }
    let packet = match (from, to) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            ip_packet(from, to, IpProtocol::Icmp, message.len(), |bytes| {
                bytes.copy_from_slice(message);
                let mut icmp = Icmpv4Packet::new_unchecked(bytes);
                icmp.set_msg_type(Icmpv4Message::EchoReply);
                icmp.set_echo_ident(ident);
                icmp.fill_checksum();
            })
        }
        (IpAddr::V6(from6), IpAddr::V6(to6)) => {
            ip_packet(from, to, IpProtocol::Icmpv6, message.len(), |bytes| {
                bytes.copy_from_slice(message);
                let mut icmp = Icmpv6Packet::new_unchecked(bytes);
                icmp.set_msg_type(Icmpv6Message::EchoReply);
                icmp.set_echo_ident(ident);
                icmp.fill_checksum(&from6, &to6);
            })
        }
        _ => return,
    };
    out.packet(to, &packet);
}
