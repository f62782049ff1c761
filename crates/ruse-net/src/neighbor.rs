//! Who is where on the link: ARP (RFC 826), and neighbor discovery with router
//! advertisements (RFC 4861; name servers in them: RFC 8106).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, Icmpv6Packet, Icmpv6Repr, IpProtocol,
    NdiscNeighborFlags, NdiscRepr,
};

use crate::addr::{DNS6, GATEWAY_MAC, PREFIX6, ROUTER6, is_guest, is_ours};
use crate::frame::{ETHER, ETHER_ARP, MTU, ether, hop_packet};

const GATEWAY: EthernetAddress = EthernetAddress(GATEWAY_MAC);
/// What must not come from beyond the link (RFC 4861, section 3.1).
const ON_LINK: u8 = 255;
/// Seconds for which an advertisement holds, which is repeated before.
const LIFETIME: u16 = 1800;
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// What an ARP packet says.
pub(crate) struct Heard {
    /// Who has this address.
    pub(crate) ip: IpAddr,
    pub(crate) mac: [u8; 6],
    /// The frame that answers.
    pub(crate) answer: Option<Vec<u8>>,
}

/// Listens to an ARP packet.
pub(crate) fn arp(payload: &[u8]) -> Option<Heard> {
    let packet = ArpPacket::new_checked(payload).ok()?;
    let ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr,
        ..
    } = ArpRepr::parse(&packet).ok()?
    else {
        return None;
    };
    // A probe (RFC 5227) has no address yet.
    let from = IpAddr::V4(source_protocol_addr);
    if !source_hardware_addr.is_unicast()
        || !is_guest(from) && source_protocol_addr != Ipv4Addr::UNSPECIFIED
    {
        return None;
    }
    let heard = |answer| Heard {
        ip: from,
        mac: source_hardware_addr.0,
        answer,
    };
    if operation != ArpOperation::Request || !is_ours(target_protocol_addr.into()) {
        return Some(heard(None));
    }
    let answer = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: GATEWAY,
        source_protocol_addr: target_protocol_addr,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    };
    let mut frame = ether(source_hardware_addr.0, ETHER_ARP, answer.buffer_len());
    answer.emit(&mut ArpPacket::new_unchecked(&mut frame[ETHER..]));
    Some(heard(Some(frame)))
}

/// The answer to a neighbor's question about one of our addresses.
pub(crate) fn advertisement(from: Ipv6Addr, asked: &NdiscRepr<'_>) -> Option<Vec<u8>> {
    let NdiscRepr::NeighborSolicit { target_addr, .. } = *asked else {
        return None;
    };
    if !is_ours(target_addr.into()) {
        return None;
    }
    // Somebody without an address is asked for by all (section 7.2.4).
    let (to, solicited) = match from.is_unspecified() {
        true => (ALL_NODES, NdiscNeighborFlags::empty()),
        false => (from, NdiscNeighborFlags::SOLICITED),
    };
    let answer = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
        flags: solicited | NdiscNeighborFlags::OVERRIDE | NdiscNeighborFlags::ROUTER,
        target_addr,
        lladdr: Some(GATEWAY.into()),
    });
    let len = answer.buffer_len();
    let protocol = IpProtocol::Icmpv6;
    Some(hop_packet(
        target_addr.into(),
        to.into(),
        protocol,
        ON_LINK,
        len,
        |bytes| {
            let mut packet = Icmpv6Packet::new_unchecked(bytes);
            answer.emit(
                &target_addr,
                &to,
                &mut packet,
                &ChecksumCapabilities::default(),
            );
        },
    ))
}

/// A router advertisement to all (sections 4.2, 4.6). `way_out`: it is the
/// way to the Internet.
pub(crate) fn router(way_out: bool, names: bool) -> Vec<u8> {
    let lifetime = if way_out { LIFETIME } else { 0 };
    let mut body = vec![134, 0, 0, 0, 64, 0];
    body.extend(lifetime.to_be_bytes());
    // Reachable and retransmission time: unspecified.
    body.extend([0; 8]);
    // Our link-layer address.
    body.extend([1, 1]);
    body.extend(GATEWAY_MAC);
    // MTU.
    body.extend([5, 1, 0, 0]);
    body.extend((MTU as u32).to_be_bytes());
    // The prefix: on this link, and for addresses to be made of.
    body.extend([3, 4, 64, 0xc0]);
    body.extend(86_400_u32.to_be_bytes());
    body.extend(14_400_u32.to_be_bytes());
    body.extend([0; 4]);
    body.extend(PREFIX6.octets());
    if names {
        body.extend([25, 3, 0, 0]);
        body.extend(u32::from(LIFETIME).to_be_bytes());
        body.extend(DNS6.octets());
    }
    let (from, to) = (ROUTER6, ALL_NODES);
    hop_packet(
        from.into(),
        to.into(),
        IpProtocol::Icmpv6,
        ON_LINK,
        body.len(),
        |bytes| {
            bytes.copy_from_slice(&body);
            Icmpv6Packet::new_unchecked(bytes).fill_checksum(&from, &to);
        },
    )
}

#[cfg(test)]
mod tests {
    use smoltcp::wire::Ipv6Packet;

    use super::*;
    use crate::addr::{DNS4, GATEWAY4, GUEST4};

    const MAC: EthernetAddress = EthernetAddress([0x52, 0x54, 0, 0, 0, 1]);

    fn who_has(from: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
        let repr = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: MAC,
            source_protocol_addr: from,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: target,
        };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[..]));
        bytes
    }

    #[test]
    fn arp_answers_for_the_networks_own_addresses_only() {
        for target in [GATEWAY4, DNS4] {
            let heard = arp(&who_has(GUEST4, target)).unwrap();
            assert_eq!((heard.ip, heard.mac), (GUEST4.into(), MAC.0));
            let frame = heard.answer.unwrap();
            assert_eq!(frame[..6], MAC.0);
            let packet = ArpPacket::new_checked(&frame[ETHER..]).unwrap();
            assert_eq!(packet.operation(), ArpOperation::Reply);
            assert_eq!(packet.source_hardware_addr(), GATEWAY_MAC);
            assert_eq!(packet.source_protocol_addr(), target.octets());
        }
        // Its own address, probed for: nobody has it.
        let heard = arp(&who_has(Ipv4Addr::UNSPECIFIED, GUEST4)).unwrap();
        assert!(heard.answer.is_none());
        assert!(arp(&who_has(GATEWAY4, GUEST4)).is_none(), "an impostor");
        assert!(arp(&who_has(GUEST4, GATEWAY4)[..20]).is_none());
    }

    #[test]
    fn the_router_advertisement_is_well_formed() {
        for (way_out, lifetime) in [(true, LIFETIME), (false, 0)] {
            let bytes = router(way_out, true);
            let packet = Ipv6Packet::new_checked(&bytes[..]).unwrap();
            assert_eq!(packet.hop_limit(), 255);
            let icmp = Icmpv6Packet::new_checked(packet.payload()).unwrap();
            let caps = ChecksumCapabilities::default();
            let parsed = Icmpv6Repr::parse(&ROUTER6, &ALL_NODES, &icmp, &caps).unwrap();
            let Icmpv6Repr::Ndisc(NdiscRepr::RouterAdvert {
                router_lifetime,
                prefix_info: Some(prefix),
                mtu,
                ..
            }) = parsed
            else {
                panic!("{parsed:?}");
            };
            assert_eq!(router_lifetime.secs(), lifetime.into());
            assert_eq!((prefix.prefix, prefix.prefix_len), (PREFIX6, 64));
            assert_eq!(mtu, Some(1500));
        }
    }

    #[test]
    fn neighbors_are_told_where_the_router_is() {
        let from: Ipv6Addr = "fe80::5054:ff:fe00:1".parse().unwrap();
        let ask = |target_addr| NdiscRepr::NeighborSolicit {
            target_addr,
            lladdr: Some(MAC.into()),
        };
        for (from, to) in [(from, from), (Ipv6Addr::UNSPECIFIED, ALL_NODES)] {
            let bytes = advertisement(from, &ask(ROUTER6)).unwrap();
            let packet = Ipv6Packet::new_checked(&bytes[..]).unwrap();
            assert_eq!((packet.src_addr(), packet.dst_addr()), (ROUTER6, to));
        }
        assert!(advertisement(from, &ask(from)).is_none());
    }
}
