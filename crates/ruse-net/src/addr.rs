//! The addresses of the user-mode network, and where its guests may go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The network's prefix, as QEMU's.
pub(crate) const NET4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 0);
pub(crate) const MASK4: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
/// The gateway, which stands for the host.
pub const GATEWAY4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The name server.
pub const DNS4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// The first guest, which is all there is unless the guest is a bridge.
pub const GUEST4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// How many guests get an address.
pub(crate) const LEASES: u8 = 16;

/// A unique local prefix (RFC 4193), "ruse" in its global ID.
pub const PREFIX6: Ipv6Addr = Ipv6Addr::new(0xfd72, 0x7573, 0x6500, 0, 0, 0, 0, 0);
/// The gateway.
pub const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfd72, 0x7573, 0x6500, 0, 0, 0, 0, 2);
/// The name server.
pub const DNS6: Ipv6Addr = Ipv6Addr::new(0xfd72, 0x7573, 0x6500, 0, 0, 0, 0, 3);
/// The gateway on the link.
pub(crate) const ROUTER6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

/// The hardware address of all that is not a guest.
pub const GATEWAY_MAC: [u8; 6] = [0x52, 0x55, 10, 0, 2, 2];

/// The port of name servers.
pub(crate) const DNS_PORT: u16 = 53;

pub(crate) fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == NET4.octets()[..3],
        IpAddr::V6(ip) => ip.segments()[..4] == PREFIX6.segments()[..4],
    }
}

/// Whether the address is one of the network's own, for which it answers.
pub(crate) fn is_ours(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip == GATEWAY4 || ip == DNS4,
        IpAddr::V6(ip) => ip == GATEWAY6 || ip == DNS6 || ip == ROUTER6,
    }
}

/// Whether a guest may have this address.
pub(crate) fn is_guest(ip: IpAddr) -> bool {
    let on_link = match ip {
        IpAddr::V4(_) => is_local(ip),
        IpAddr::V6(v6) => is_local(ip) || v6.is_unicast_link_local(),
    };
    on_link && !is_ours(ip) && !matches!(ip, IpAddr::V4(v4) if matches!(v4.octets()[3], 0 | 255))
}

/// Where a guest's packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To this socket of the host's or beyond. `own`: even if the address is
    /// the host's own.
    To { to: SocketAddr, own: bool },
    /// To the host's name server.
    Dns,
    /// Nowhere.
    Closed,
}

/// Where guests may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Nowhere: only who comes in is answered.
    pub restrict: bool,
    /// The gateway's address leads to the host's loopback.
    pub host_loopback: bool,
}

impl Policy {
    pub(crate) fn way(&self, to: SocketAddr) -> Way {
        let ip = to.ip();
        if self.restrict {
            return Way::Closed;
        }
        if (ip == DNS4 || ip == DNS6) && to.port() == DNS_PORT {
            return Way::Dns;
        }
        if ip == GATEWAY4 || ip == GATEWAY6 {
            let loopback: IpAddr = match ip {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
            return match self.host_loopback {
                true => Way::To {
                    to: SocketAddr::new(loopback, to.port()),
                    own: true,
                },
                false => Way::Closed,
            };
        }
        match is_public(ip) && to.port() != 0 {
            true => Way::To { to, own: false },
            false => Way::Closed,
        }
    }
}

/// Whether an address can be that of another host. (Whether it is this host's
/// own, only the host knows.)
pub(crate) fn is_public(ip: IpAddr) -> bool {
    if is_local(ip) || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
        return false;
    }
    match ip {
        // 0/8 is this host, 240/4 is reserved.
        IpAddr::V4(ip) => {
            let first = ip.octets()[0];
            first != 0 && first < 240 && !ip.is_link_local()
        }
        // The first 96 bits zero, or mapped: IPv4 in disguise.
        IpAddr::V6(ip) => {
            let segments = ip.segments();
            !ip.is_unicast_link_local()
                && segments[..6] != [0; 6]
                && ip.to_ipv4_mapped().is_none()
                // Site-local (deprecated): as link-local.
                && segments[0] & 0xffc0 != 0xfec0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(policy: Policy, to: &str) -> Way {
        policy.way(to.parse().unwrap())
    }

    #[test]
    fn the_hosts_own_and_what_is_no_host_are_closed() {
        for to in [
            "127.0.0.1:80",
            "127.9.9.9:80",
            "0.0.0.0:80",
            "0.1.2.3:80",
            "169.254.169.254:80",
            "224.0.0.1:80",
            "255.255.255.255:80",
            "240.0.0.1:1",
            "10.0.2.2:22",
            "10.0.2.3:80",
            "10.0.2.15:80",
            "10.0.2.77:80",
            "192.0.2.1:0",
            "[::1]:80",
            "[::]:80",
            "[::127.0.0.1]:80",
            "[::ffff:127.0.0.1]:80",
            "[::ffff:192.0.2.1]:80",
            "[fe80::1]:80",
            "[fec0::1]:80",
            "[ff02::1]:80",
            "[fd72:7573:6500::2]:80",
            "[fd72:7573:6500::9]:80",
        ] {
            assert_eq!(way(Policy::default(), to), Way::Closed, "{to}");
        }
    }

    #[test]
    fn others_are_open_unless_all_is_closed() {
        let restrict = Policy {
            restrict: true,
            host_loopback: true,
        };
        for to in ["192.0.2.1:80", "10.0.3.2:80", "[2001:db8::1]:443"] {
            let open = Way::To {
                to: to.parse().unwrap(),
                own: false,
            };
            assert_eq!(way(Policy::default(), to), open);
            assert_eq!(way(restrict, to), Way::Closed);
        }
        assert_eq!(way(Policy::default(), "10.0.2.3:53"), Way::Dns);
        for to in ["10.0.2.3:53", "10.0.2.2:80"] {
            assert_eq!(way(restrict, to), Way::Closed);
        }
    }

    #[test]
    fn the_gateway_is_the_hosts_loopback_if_asked() {
        let policy = Policy {
            host_loopback: true,
            restrict: false,
        };
        for (to, real) in [
            ("10.0.2.2:80", "127.0.0.1:80"),
            ("[fd72:7573:6500::2]:80", "[::1]:80"),
        ] {
            let to = way(policy, to);
            let real = real.parse().unwrap();
            assert_eq!(
                to,
                Way::To {
                    to: real,
                    own: true
                }
            );
        }
        assert_eq!(way(policy, "127.0.0.1:80"), Way::Closed);
    }
}
