//! The address service (DHCP, RFC 2131; options of RFC 2132).

use std::net::Ipv4Addr;

use smoltcp::wire::{DHCP_SERVER_PORT, DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress};

use crate::addr::{DNS4, GATEWAY4, GUEST4, LEASES, MASK4};

/// A day, in seconds.
const LEASE: u32 = 86_400;
const CLIENT_PORT: u16 = 68;

/// Who has which address, the first one first.
#[derive(Debug, Default)]
pub(crate) struct Leases(Vec<EthernetAddress>);

/// An answer and where it goes.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) payload: Vec<u8>,
    pub(crate) from_port: u16,
    pub(crate) to: Ipv4Addr,
    pub(crate) to_port: u16,
    pub(crate) mac: [u8; 6],
}

impl Leases {
    fn address_of(&mut self, mac: EthernetAddress) -> Option<Ipv4Addr> {
        let index = match self.0.iter().position(|known| *known == mac) {
            Some(index) => index,
            None if self.0.len() < LEASES.into() => {
                self.0.push(mac);
                self.0.len() - 1
            }
            None => return None,
        };
        let [a, b, c, first] = GUEST4.octets();
        Some(Ipv4Addr::new(a, b, c, first + index as u8))
    }

    /// Answers a datagram for the server's port.
    pub(crate) fn answer(&mut self, payload: &[u8]) -> Option<Answer> {
        let packet = DhcpPacket::new_checked(payload).ok()?;
        let asked = DhcpRepr::parse(&packet).ok()?;
        let mac = asked.client_hardware_address;
        if !mac.is_unicast() {
            return None;
        }
        // It may have been offered something by somebody else.
        if asked
            .server_identifier
            .is_some_and(|server| server != GATEWAY4)
        {
            return None;
        }
        let (kind, gives) = match asked.message_type {
            DhcpMessageType::Discover => (DhcpMessageType::Offer, true),
            DhcpMessageType::Request => {
                let wanted = asked.requested_ip.unwrap_or(asked.client_ip);
                match Some(wanted) == self.address_of(mac) {
                    true => (DhcpMessageType::Ack, true),
                    false => (DhcpMessageType::Nak, false),
                }
            }
            // It has an address and asks for the rest.
            DhcpMessageType::Inform => (DhcpMessageType::Ack, false),
            _ => return None,
        };
        let informs = kind == DhcpMessageType::Ack || gives;
        let your_ip = match gives {
            true => self.address_of(mac)?,
            false => Ipv4Addr::UNSPECIFIED,
        };
        let mut reply = DhcpRepr {
            message_type: kind,
            transaction_id: asked.transaction_id,
            secs: 0,
            client_hardware_address: mac,
            client_ip: asked.client_ip,
            your_ip,
            server_ip: GATEWAY4,
            router: informs.then_some(GATEWAY4),
            subnet_mask: informs.then_some(MASK4),
            relay_agent_ip: asked.relay_agent_ip,
            broadcast: asked.broadcast,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(GATEWAY4),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: gives.then_some(LEASE),
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        };
        if informs {
            let _ = reply.dns_servers.insert(Default::default()).push(DNS4);
        }
        let mut bytes = vec![0; reply.buffer_len()];
        reply
            .emit(&mut DhcpPacket::new_unchecked(&mut bytes[..]))
            .ok()?;
        // RFC 2131, section 4.1: who has no address yet hears it on its
        // hardware address, or by broadcast if it asks for that.
        let has_ip = !asked.client_ip.is_unspecified();
        let to = match (has_ip && kind != DhcpMessageType::Nak, asked.broadcast) {
            (true, _) => asked.client_ip,
            (false, false) if gives => your_ip,
            _ => Ipv4Addr::BROADCAST,
        };
        Some(Answer {
            payload: bytes,
            from_port: DHCP_SERVER_PORT,
            to,
            to_port: CLIENT_PORT,
            mac: match to {
                Ipv4Addr::BROADCAST => crate::frame::BROADCAST,
                _ => mac.0,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: DhcpMessageType, mac: u8, wanted: Option<Ipv4Addr>) -> Vec<u8> {
        let repr = DhcpRepr {
            message_type: kind,
            transaction_id: 0x1234,
            secs: 0,
            client_hardware_address: EthernetAddress([0x52, 0x54, 0, 0, 0, mac]),
            client_ip: Ipv4Addr::UNSPECIFIED,
            your_ip: Ipv4Addr::UNSPECIFIED,
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: false,
            requested_ip: wanted,
            client_identifier: None,
            server_identifier: None,
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..]))
            .unwrap();
        bytes
    }

    fn ask(leases: &mut Leases, request: &[u8]) -> (DhcpMessageType, Ipv4Addr, Ipv4Addr) {
        let answer = leases.answer(request).expect("an answer");
        let packet = DhcpPacket::new_checked(&answer.payload[..]).unwrap();
        let repr = DhcpRepr::parse(&packet).unwrap();
        assert_eq!(repr.transaction_id, 0x1234);
        assert_eq!(repr.server_identifier, Some(GATEWAY4));
        if repr.message_type != DhcpMessageType::Nak {
            assert_eq!(repr.router, Some(GATEWAY4));
            assert_eq!(repr.subnet_mask, Some(MASK4));
            assert_eq!(repr.dns_servers.unwrap()[..], [DNS4]);
        }
        (repr.message_type, repr.your_ip, answer.to)
    }

    #[test]
    fn each_guest_has_its_address_and_keeps_it() {
        use DhcpMessageType::{Ack, Discover, Inform, Nak, Offer, Request};
        let mut leases = Leases::default();
        let second = Ipv4Addr::new(10, 0, 2, 16);
        for (request, answer) in [
            (request(Discover, 1, None), (Offer, GUEST4, GUEST4)),
            (request(Request, 1, Some(GUEST4)), (Ack, GUEST4, GUEST4)),
            (request(Discover, 2, None), (Offer, second, second)),
            (
                request(Request, 2, Some(GUEST4)),
                (Nak, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST),
            ),
            (request(Request, 1, Some(GUEST4)), (Ack, GUEST4, GUEST4)),
            (
                request(Inform, 1, None),
                (Ack, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST),
            ),
        ] {
            assert_eq!(ask(&mut leases, &request), answer);
        }
    }

    #[test]
    fn a_flood_of_guests_gets_no_more_than_there_is() {
        let mut leases = Leases::default();
        let offered = (0..=255)
            .filter(|&mac| {
                leases
                    .answer(&request(DhcpMessageType::Discover, mac, None))
                    .is_some()
            })
            .count();
        assert_eq!(offered, LEASES.into());
    }

    #[test]
    fn nonsense_is_not_answered() {
        let mut leases = Leases::default();
        let good = request(DhcpMessageType::Discover, 1, None);
        for len in 0..good.len() {
            let _ = leases.answer(&good[..len]);
        }
        assert!(
            leases
                .answer(&request(DhcpMessageType::Offer, 1, None))
                .is_none()
        );
        assert!(
            leases
                .answer(&request(DhcpMessageType::Release, 1, None))
                .is_none()
        );
    }
}
