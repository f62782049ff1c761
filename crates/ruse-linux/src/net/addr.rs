//! Socket addresses (`struct sockaddr` and its kin).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::errno::Errno;

pub(crate) const AF_UNSPEC: u16 = 0;
pub(crate) const AF_UNIX: u16 = 1;
pub(crate) const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;
/// Bytes of `sun_path`.
const PATH_MAX: usize = 108;

/// Where a socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// Nowhere: ends a connection.
    Unspecified,
    Unix(UnixName),
    Inet(SocketAddr),
}

/// The name of a Unix socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum UnixName {
    #[default]
    Unnamed,
    /// A path in the box.
    Path(Vec<u8>),
    /// In a name space of its own (after a zero byte).
    Abstract(Vec<u8>),
}

impl Address {
    /// Reads a `struct sockaddr` of this many bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Errno> {
        let [low, high, rest @ ..] = bytes else {
            return Err(Errno::EINVAL);
        };
        match u16::from_le_bytes([*low, *high]) {
            AF_UNSPEC => Ok(Self::Unspecified),
            AF_UNIX => UnixName::parse(rest).map(Self::Unix),
            AF_INET => {
                let [p0, p1, a, b, c, d, ..] = rest else {
                    return Err(Errno::EINVAL);
                };
                // The kernel wants all 16 bytes.
                if bytes.len() < 16 {
                    return Err(Errno::EINVAL);
                }
                let ip = Ipv4Addr::new(*a, *b, *c, *d);
                let port = u16::from_be_bytes([*p0, *p1]);
                Ok(Self::Inet((ip, port).into()))
            }
            AF_INET6 => {
                // Without sin6_scope_id in the oldest form (RFC 2133).
                if bytes.len() < 24 {
                    return Err(Errno::EINVAL);
                }
                let port = u16::from_be_bytes([bytes[2], bytes[3]]);
                let word = |at: usize| {
                    let word = bytes.get(at..at + 4).and_then(<[u8]>::first_chunk);
                    word.map_or(0, |word| u32::from_le_bytes(*word))
                };
                let mut ip = [0; 16];
                ip.copy_from_slice(&bytes[8..24]);
                let ip = Ipv6Addr::from(ip);
                let flow = u32::from_be(word(4));
                Ok(Self::Inet(
                    SocketAddrV6::new(ip, port, flow, word(24)).into(),
                ))
            }
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    /// As the guest reads it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Unspecified => AF_UNSPEC.to_le_bytes().to_vec(),
            Self::Unix(name) => {
                let mut out = AF_UNIX.to_le_bytes().to_vec();
                match name {
                    UnixName::Unnamed => {}
                    UnixName::Path(path) => {
                        out.extend_from_slice(path);
                        out.push(0);
                    }
                    UnixName::Abstract(name) => {
                        out.push(0);
                        out.extend_from_slice(name);
                    }
                }
                out
            }
            Self::Inet(SocketAddr::V4(at)) => {
                let mut out = AF_INET.to_le_bytes().to_vec();
                out.extend_from_slice(&at.port().to_be_bytes());
                out.extend_from_slice(&at.ip().octets());
                out.extend_from_slice(&[0; 8]);
                out
            }
            Self::Inet(SocketAddr::V6(at)) => {
                let mut out = AF_INET6.to_le_bytes().to_vec();
                out.extend_from_slice(&at.port().to_be_bytes());
                out.extend_from_slice(&at.flowinfo().to_be_bytes());
                out.extend_from_slice(&at.ip().octets());
                out.extend_from_slice(&at.scope_id().to_le_bytes());
                out
            }
        }
    }

    /// An Internet address, or the error for what is none.
    pub(crate) fn inet(&self) -> Result<SocketAddr, Errno> {
        match self {
            Self::Inet(at) => Ok(*at),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    /// The address to bind a socket of IPv6, or of IPv4, to.
    pub(crate) fn of_family(&self, v6: bool) -> Result<SocketAddr, Errno> {
        let at = self.inet()?;
        match (at.is_ipv6(), v6) {
            (false, true) => Err(Errno::EINVAL),
            (true, false) => Err(Errno::EAFNOSUPPORT),
            _ => Ok(at),
        }
    }
}

impl UnixName {
    fn parse(bytes: &[u8]) -> Result<Self, Errno> {
        if bytes.len() > PATH_MAX {
            return Err(Errno::EINVAL);
        }
        Ok(match bytes {
            [] => Self::Unnamed,
            [0, name @ ..] => Self::Abstract(name.to_vec()),
            path => {
                let end = path.iter().position(|&b| b == 0).unwrap_or(path.len());
                Self::Path(path[..end].to_vec())
            }
        })
    }
}

/// An IPv4 address as a socket of IPv6 sees it.
pub(crate) fn mapped(at: SocketAddr) -> SocketAddr {
    match at {
        SocketAddr::V4(at) => (at.ip().to_ipv6_mapped(), at.port()).into(),
        at => at,
    }
}

/// An address without the disguise of [`mapped`].
pub(crate) fn unmapped(at: SocketAddr) -> SocketAddr {
    (at.ip().to_canonical(), at.port()).into()
}

/// Whether it stands for "any".
pub(crate) fn is_any(ip: IpAddr) -> bool {
    ip.to_canonical().is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let v4 = [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let at = Address::parse(&v4).unwrap_or(Address::Unspecified);
        assert_eq!(at, Address::Inet(([127, 0, 0, 1], 8080).into()));
        assert_eq!(at.to_bytes(), v4);
        let mut v6 = vec![10, 0, 0, 80, 0, 0, 0, 0];
        v6.extend_from_slice(&Ipv6Addr::LOCALHOST.octets());
        v6.extend_from_slice(&[0; 4]);
        let at = Address::parse(&v6).unwrap_or(Address::Unspecified);
        assert_eq!(at, Address::Inet((Ipv6Addr::LOCALHOST, 80).into()));
        assert_eq!(at.to_bytes(), v6);
        let unix = Address::parse(b"\x01\x00/a\0junk");
        assert_eq!(unix, Ok(Address::Unix(UnixName::Path(b"/a".to_vec()))));
        let name = Address::parse(b"\x01\x00\0x\0");
        assert_eq!(name, Ok(Address::Unix(UnixName::Abstract(b"x\0".to_vec()))));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bytes in [
            &[][..],
            &[2],
            &[2, 0, 1, 1],
            &[10, 0, 0, 0, 0, 0],
            &[1; 120],
        ] {
            assert!(Address::parse(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(Address::parse(&[77, 0, 1]), Err(Errno::EAFNOSUPPORT));
    }
}
