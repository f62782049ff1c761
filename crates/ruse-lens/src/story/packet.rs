//! What the first bytes of a frame say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A frame, as far as its first bytes were understood.
pub(super) struct Frame {
    source: Option<IpAddr>,
    target: Option<IpAddr>,
    ports: Option<(u16, u16)>,
    kind: String,
}

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

fn ipv4(bytes: &[u8], at: usize) -> Option<IpAddr> {
    let raw: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(raw).into())
}

fn ipv6(bytes: &[u8], at: usize) -> Option<IpAddr> {
    let raw: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(Ipv6Addr::from(raw).into())
}

impl Frame {
    /// Reads headers: Ethernet, ARP, IP, and what is in that.
    pub(super) fn parse(head: &[u8]) -> Self {
        let mut frame = Self {
            source: None,
            target: None,
            ports: None,
            kind: "a frame".into(),
        };
        frame.ethernet(head);
        frame
    }

    fn ethernet(&mut self, head: &[u8]) -> Option<()> {
        let (kind, rest) = (be16(head, 12)?, head.get(14..)?);
        match kind {
            ARP => {
                self.source = ipv4(rest, 14);
                self.target = ipv4(rest, 24);
                self.kind = match be16(rest, 6)? {
                    1 => format!("an ARP request: who has {}?", self.target?),
                    _ => format!("an ARP reply: {} is here", self.source?),
                };
            }
            IPV4 => {
                self.source = ipv4(rest, 12);
                self.target = ipv4(rest, 16);
                let header = usize::from(rest.first()? & 0xf) * 4;
                self.transport(*rest.get(9)?, rest.get(header..)?)?;
            }
            IPV6 => {
                self.source = ipv6(rest, 8);
                self.target = ipv6(rest, 24);
                self.transport(*rest.get(6)?, rest.get(40..)?)?;
            }
            other => self.kind = format!("a frame of type {other:#06x}"),
        }
        Some(())
    }

    fn transport(&mut self, protocol: u8, rest: &[u8]) -> Option<()> {
        self.kind = format!("an IP packet of protocol {protocol}");
        match protocol {
            TCP => {
                self.ports = Some((be16(rest, 0)?, be16(rest, 2)?));
                let flags = *rest.get(13)?;
                let names = [(2, "SYN"), (16, "ACK"), (1, "FIN"), (4, "RST"), (8, "PSH")];
                let set = names.iter().filter(|(bit, _)| flags & bit != 0);
                let set: Vec<_> = set.map(|(_, name)| *name).collect();
                self.kind = format!("TCP {}", set.join("+"));
            }
            UDP => {
                self.ports = Some((be16(rest, 0)?, be16(rest, 2)?));
                self.kind = match self.ports? {
                    (67 | 68, 67 | 68) => "UDP, DHCP".into(),
                    (53, _) | (_, 53) => "UDP, DNS".into(),
                    _ => "UDP".into(),
                };
            }
            ICMP => {
                self.kind = match rest.first()? {
                    0 => "an echo reply".into(),
                    3 => "ICMP: unreachable".into(),
                    8 => "an echo request".into(),
                    kind => format!("ICMP type {kind}"),
                };
            }
            ICMPV6 => {
                self.kind = match rest.first()? {
                    128 => "an echo request".into(),
                    129 => "an echo reply".into(),
                    133 => "a router solicitation".into(),
                    134 => "a router advertisement".into(),
                    135 => "a neighbor solicitation".into(),
                    136 => "a neighbor advertisement".into(),
                    kind => format!("ICMPv6 type {kind}"),
                };
            }
            _ => {}
        }
        Some(())
    }

    /// The guest's end and the other one, if it belongs to a connection.
    pub(super) fn ends(&self, to_guest: bool) -> Option<(SocketAddr, SocketAddr)> {
        let (from, to) = self.ports?;
        let source = SocketAddr::new(self.source?, from);
        let target = SocketAddr::new(self.target?, to);
        Some(if to_guest {
            (target, source)
        } else {
            (source, target)
        })
    }

    /// What it is, in a few words.
    pub(super) fn summary(&self, to_guest: bool, len: u32) -> String {
        let end = |address: Option<IpAddr>, port: Option<u16>| match (address, port) {
            (Some(address), Some(port)) => SocketAddr::new(address, port).to_string(),
            (Some(address), None) => address.to_string(),
            (None, _) => "?".into(),
        };
        let other = match (self.kind.contains("ARP"), to_guest) {
            (true, _) => return format!("{}, {len} bytes", self.kind),
            (false, _) if self.source.is_none() => String::new(),
            (false, true) => format!(" from {}", end(self.source, self.ports.map(|p| p.0))),
            (false, false) => format!(" to {}", end(self.target, self.ports.map(|p| p.1))),
        };
        format!("{}{other}, {len} bytes", self.kind)
    }
}
