//! Packets made by the network, and the frames around them.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use ruse_devices::backend::{Frame, Offload, Segments, Takes};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv4Packet, Icmpv4Repr, IpProtocol, IpRepr, Ipv4Packet, Ipv6Packet, TcpControl, TcpPacket,
    TcpRepr, TcpSeqNumber, UdpRepr,
};

use crate::addr::GATEWAY_MAC;

/// Ethernet's header.
pub(crate) const ETHER: usize = 14;
pub(crate) const ETHER_IPV4: u16 = 0x0800;
pub(crate) const ETHER_IPV6: u16 = 0x86dd;
pub(crate) const ETHER_ARP: u16 = 0x0806;
pub(crate) const BROADCAST: [u8; 6] = [0xff; 6];

/// The longest IP packet on the wire.
pub(crate) const MTU: usize = 1500;
/// Bytes that may wait for the guest before nothing more is made.
const LIMIT: usize = 1 << 20;
/// Bytes beyond which even what cannot wait is dropped.
const HARD_LIMIT: usize = 2 << 20;
/// Guests whose hardware addresses are remembered.
const MAX_GUESTS: usize = 64;
const HOPS: u8 = 64;

/// Frames on their way to the guest.
pub(crate) struct Out {
    pub(crate) frames: VecDeque<Frame>,
    bytes: usize,
    pub(crate) takes: Takes,
    /// Who is behind the card, and the card's own address for all else.
    macs: HashMap<IpAddr, [u8; 6]>,
    card: [u8; 6],
}

impl Out {
    pub(crate) fn new(card: [u8; 6]) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            takes: Takes::default(),
            macs: HashMap::new(),
            card,
        }
    }

    /// Whether more may be made.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < LIMIT
    }

    /// Some of the frames may be gone.
    pub(crate) fn recount(&mut self) {
        self.bytes = self.frames.iter().map(|frame| frame.bytes.len()).sum();
    }

    pub(crate) fn learn(&mut self, ip: IpAddr, mac: [u8; 6]) {
        if let Some(known) = self.macs.get_mut(&ip) {
            *known = mac;
        } else if self.macs.len() < MAX_GUESTS {
            self.macs.insert(ip, mac);
        }
    }

    pub(crate) fn mac_of(&self, ip: IpAddr) -> [u8; 6] {
        self.macs.get(&ip).copied().unwrap_or(self.card)
    }

    pub(crate) fn push(&mut self, frame: Frame) {
        if self.bytes < HARD_LIMIT {
            self.bytes += frame.bytes.len();
            self.frames.push_back(frame);
        }
    }

    /// Sends an IP packet to the guest that has its destination's address.
    pub(crate) fn packet(&mut self, to: IpAddr, packet: &[u8]) {
        self.packet_to(self.mac_of(to), packet);
    }

    pub(crate) fn packet_to(&mut self, mac: [u8; 6], packet: &[u8]) {
        let kind = match packet.first().map(|first| first >> 4) {
            Some(4) => ETHER_IPV4,
            _ => ETHER_IPV6,
        };
        let mut bytes = ether(mac, kind, packet.len());
        bytes[ETHER..].copy_from_slice(packet);
        self.push(Frame {
            bytes,
            offload: Offload::default(),
        });
    }

    /// Sends a datagram, in fragments if need be.
    pub(crate) fn datagram(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        let packet = datagram(from, to, payload);
        if packet.len() <= MTU {
            return self.packet(to.ip(), &packet);
        }
        match to.ip() {
            IpAddr::V4(_) => {
                for fragment in fragments(&packet) {
                    self.packet(to.ip(), &fragment);
                }
            }
            // That few senders expect to arrive.
            IpAddr::V6(_) => log::debug!("a datagram of {} bytes is dropped", payload.len()),
        }
    }

    /// Sends a TCP segment that smoltcp made into `bytes` behind room for the
    /// Ethernet header, without a checksum; `mss` is what the guest takes.
    pub(crate) fn segment(&mut self, mut bytes: Vec<u8>, to: IpAddr, mss: u16) {
        let v6 = to.is_ipv6();
        let kind = if v6 { ETHER_IPV6 } else { ETHER_IPV4 };
        put_ether(&mut bytes, self.mac_of(to), kind);
        // It writes neither options nor extension headers.
        let ip_len = if v6 { 40 } else { 20 };
        let start = ETHER + ip_len;
        let Some((head, tcp)) = bytes.split_at_mut_checked(start) else {
            return;
        };
        if tcp.len() < 20 {
            return;
        }
        let mut offload = Offload::default();
        if self.takes.checksum {
            let addresses = match v6 {
                true => &head[ETHER + 8..ETHER + 40],
                false => &head[ETHER + 12..ETHER + 20],
            };
            let sum = fold(sum(addresses) + 6 + tcp.len() as u64);
            tcp[16..18].copy_from_slice(&sum.to_be_bytes());
            offload.checksum = Some((start as u16, 16));
        } else {
            finish_tcp(head, tcp, v6);
        }
        let header = usize::from(tcp[12] >> 4) * 4;
        if tcp.len() - header.min(tcp.len()) > mss.into() {
            offload.segments = Some(Segments {
                v6,
                size: mss,
                header: (start + header) as u16,
            });
        }
        self.push(Frame { bytes, offload });
    }
}

fn put_ether(bytes: &mut [u8], to: [u8; 6], kind: u16) {
    bytes[..6].copy_from_slice(&to);
    bytes[6..12].copy_from_slice(&GATEWAY_MAC);
    bytes[12..14].copy_from_slice(&kind.to_be_bytes());
}

/// A frame for `len` bytes of payload.
pub(crate) fn ether(to: [u8; 6], kind: u16, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; ETHER + len];
    put_ether(&mut bytes, to, kind);
    bytes
}

/// The sum of 16-bit words.
fn sum(bytes: &[u8]) -> u64 {
    let mut chunks = bytes.chunks_exact(2);
    let words: u64 = (&mut chunks)
        .map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    words
        + chunks
            .remainder()
            .first()
            .map_or(0, |&last| u64::from(last) << 8)
}

/// In ones' complement.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn finish_tcp(head: &[u8], tcp: &mut [u8], v6: bool) {
    let (from, to) = match v6 {
        true => addresses6(&head[ETHER..]),
        false => addresses4(&head[ETHER..]),
    };
    TcpPacket::new_unchecked(tcp).fill_checksum(&from.into(), &to.into());
}

fn addresses4(packet: &[u8]) -> (IpAddr, IpAddr) {
    let packet = Ipv4Packet::new_unchecked(packet);
    (packet.src_addr().into(), packet.dst_addr().into())
}

fn addresses6(packet: &[u8]) -> (IpAddr, IpAddr) {
    let packet = Ipv6Packet::new_unchecked(packet);
    (packet.src_addr().into(), packet.dst_addr().into())
}

/// An IP packet of this protocol, whose payload `fill` writes.
pub(crate) fn ip_packet(
    from: IpAddr,
    to: IpAddr,
    protocol: IpProtocol,
    len: usize,
    fill: impl FnOnce(&mut [u8]),
) -> Vec<u8> {
    hop_packet(from, to, protocol, HOPS, len, fill)
}

/// As [`ip_packet`], with so many hops.
pub(crate) fn hop_packet(
    from: IpAddr,
    to: IpAddr,
    protocol: IpProtocol,
    hops: u8,
    len: usize,
    fill: impl FnOnce(&mut [u8]),
) -> Vec<u8> {
    let repr = IpRepr::new(from.into(), to.into(), protocol, len, hops);
    let mut packet = vec![0; repr.buffer_len()];
    repr.emit(&mut packet, &ChecksumCapabilities::default());
    fill(&mut packet[repr.header_len()..]);
    packet
}

pub(crate) fn datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let repr = UdpRepr {
        src_port: from.port(),
        dst_port: to.port(),
    };
    let len = repr.header_len() + payload.len();
    ip_packet(from.ip(), to.ip(), IpProtocol::Udp, len, |bytes| {
        repr.emit(
            &mut smoltcp::wire::UdpPacket::new_unchecked(bytes),
            &from.ip().into(),
            &to.ip().into(),
            payload.len(),
            |out| out.copy_from_slice(payload),
            &ChecksumCapabilities::default(),
        );
    })
}

/// Cuts up an IPv4 packet without options (RFC 791, section 3.2).
fn fragments(packet: &[u8]) -> Vec<Vec<u8>> {
    const HEADER: usize = 20;
    const PART: usize = (MTU - HEADER) / 8 * 8;
    static IDENT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(1);
    let ident = IDENT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let (header, payload) = packet.split_at(HEADER);
    let count = payload.len().div_ceil(PART);
    payload
        .chunks(PART)
        .enumerate()
        .map(|(n, part)| {
            let mut bytes = [header, part].concat();
            let len = bytes.len() as u16;
            let mut fragment = Ipv4Packet::new_unchecked(&mut bytes[..]);
            fragment.set_total_len(len);
            fragment.set_ident(ident);
            fragment.set_dont_frag(false);
            fragment.set_more_frags(n + 1 < count);
            fragment.set_frag_offset((n * PART) as u16);
            fragment.fill_checksum();
            bytes
        })
        .collect()
}

/// The answer to a segment for no connection (RFC 9293, section 3.5.2); `None`
/// if there must be none.
pub(crate) fn reset(from: SocketAddr, to: SocketAddr, segment: &[u8]) -> Option<Vec<u8>> {
    let packet = TcpPacket::new_checked(segment).ok()?;
    if packet.rst() {
        return None;
    }
    let (seq_number, ack_number) = if packet.ack() {
        (packet.ack_number(), None)
    } else {
        let end = packet.seq_number() + packet.segment_len();
        (TcpSeqNumber(0), Some(end))
    };
    let repr = TcpRepr {
        src_port: from.port(),
        dst_port: to.port(),
        control: TcpControl::Rst,
        seq_number,
        ack_number,
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let len = repr.buffer_len();
    Some(ip_packet(
        from.ip(),
        to.ip(),
        IpProtocol::Tcp,
        len,
        |bytes| {
            repr.emit(
                &mut TcpPacket::new_unchecked(bytes),
                &from.ip().into(),
                &to.ip().into(),
                &ChecksumCapabilities::default(),
            );
        },
    ))
}

/// Why a packet does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreachable {
    Net,
    Host,
    Port,
    Prohibited,
}

/// Destination Unreachable (RFC 792; RFC 4443, section 3.1) about `packet`, to
/// its sender.
pub(crate) fn unreachable(why: Unreachable, packet: &[u8]) -> Option<(IpAddr, Vec<u8>)> {
    use smoltcp::wire::{Icmpv4DstUnreachable, Icmpv6DstUnreachable, Icmpv6Packet, Icmpv6Repr};
    if packet.first()? >> 4 == 4 {
        let original = Ipv4Packet::new_checked(packet).ok()?;
        let header = smoltcp::wire::Ipv4Repr {
            src_addr: original.src_addr(),
            dst_addr: original.dst_addr(),
            next_header: original.next_header(),
            payload_len: original.payload().len(),
            hop_limit: original.hop_limit(),
        };
        let repr = Icmpv4Repr::DstUnreachable {
            reason: match why {
                Unreachable::Net => Icmpv4DstUnreachable::NetUnreachable,
                Unreachable::Host => Icmpv4DstUnreachable::HostUnreachable,
                Unreachable::Port => Icmpv4DstUnreachable::PortUnreachable,
                Unreachable::Prohibited => Icmpv4DstUnreachable::CommProhibited,
            },
            header,
            data: original.payload().get(..8)?,
        };
        let (from, to) = (original.dst_addr().into(), original.src_addr().into());
        let len = repr.buffer_len();
        let answer = ip_packet(from, to, IpProtocol::Icmp, len, |bytes| {
            let mut packet = Icmpv4Packet::new_unchecked(bytes);
            repr.emit(&mut packet, &ChecksumCapabilities::default());
        });
        return Some((to, answer));
    }
    let original = Ipv6Packet::new_checked(packet).ok()?;
    let header = smoltcp::wire::Ipv6Repr {
        src_addr: original.src_addr(),
        dst_addr: original.dst_addr(),
        next_header: original.next_header(),
        payload_len: original.payload().len(),
        hop_limit: original.hop_limit(),
    };
    let repr = Icmpv6Repr::DstUnreachable {
        reason: match why {
            Unreachable::Net => Icmpv6DstUnreachable::NoRoute,
            Unreachable::Host => Icmpv6DstUnreachable::AddrUnreachable,
            Unreachable::Port => Icmpv6DstUnreachable::PortUnreachable,
            Unreachable::Prohibited => Icmpv6DstUnreachable::AdminProhibit,
        },
        header,
        data: &original.payload()[..original.payload().len().min(1000)],
    };
    let (from, to) = (original.dst_addr(), original.src_addr());
    let len = repr.buffer_len();
    let answer = ip_packet(from.into(), to.into(), IpProtocol::Icmpv6, len, |bytes| {
        let mut packet = Icmpv6Packet::new_unchecked(bytes);
        repr.emit(&from, &to, &mut packet, &ChecksumCapabilities::default());
    });
    Some((to.into(), answer))
}

/// The maximum segment size in the options of a TCP header that starts a
/// connection (RFC 9293, section 3.2), or the default, and where it is.
pub(crate) fn find_mss(tcp: &[u8]) -> (u16, Option<usize>) {
    const DEFAULT: u16 = 536;
    let end = tcp
        .get(12)
        .map_or(0, |byte| usize::from(byte >> 4) * 4)
        .min(tcp.len());
    let mut at = 20;
    while at < end {
        match tcp[at] {
            0 => break,
            1 => at += 1,
            kind => {
                let Some(len @ 2..) = tcp.get(at + 1).map(|&len| usize::from(len)) else {
                    break;
                };
                if kind == 2 && len == 4 && at + 4 <= end {
                    let mss = u16::from_be_bytes([tcp[at + 2], tcp[at + 3]]);
                    return (mss, Some(at + 2));
                }
                at += len;
            }
        }
    }
    (DEFAULT, None)
}
