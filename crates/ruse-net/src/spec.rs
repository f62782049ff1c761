//! What `--net` and `--forward` say, also where a file says it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

use crate::addr::{GUEST4, Policy};

/// What a card is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Nothing: there is no card.
    None,
    /// The user-mode network.
    User(Policy),
    /// Another machine, by a Unix socket of this path.
    Socket(PathBuf),
}

/// A network card: `none`, `user[,restrict][,host-loopback][,mac=MAC]` or
/// `socket:PATH[,mac=MAC]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetSpec {
    /// What it is connected to.
    pub wire: Wire,
    /// Its hardware address, if that matters.
    pub mac: Option<[u8; 6]>,
}

/// A port of the host's that leads to one of the guest's:
/// `[udp:][HOSTADDR:]PORT:[GUESTADDR:]PORT`, with IPv6 addresses in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// UDP instead of TCP.
    pub udp: bool,
    /// Where it is on the host: 127.0.0.1 unless it says otherwise.
    pub host: SocketAddr,
    /// Where it leads to: 10.0.2.15 unless it says otherwise.
    pub guest: SocketAddr,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// No such network.
    #[error("{0:?} is no network; it can be none, user or socket:PATH")]
    Wire(String),
    /// No such option of that network.
    #[error("{0:?} is no option of such a network")]
    Option(String),
    /// No hardware address of a single card.
    #[error("{0:?} is no MAC address of a card, such as 52:54:00:12:34:56")]
    Mac(String),
    /// No path.
    #[error("socket: needs a path")]
    Path,
    /// Not a forward.
    #[error("{0:?} is no forward, such as 8080:80, udp:5353:53 or 0.0.0.0:8080:80")]
    Forward(String),
    /// A guest address that no guest has.
    #[error("{0} is no address of a guest; guests are in 10.0.2.0/24, from 10.0.2.4 on")]
    Guest(IpAddr),
}

impl FromStr for NetSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut parts = text.split(',');
        let kind = parts.next().unwrap_or_default();
        let mut wire = match (kind, kind.strip_prefix("socket:")) {
            ("none", _) => Wire::None,
            ("user", _) => Wire::User(Policy::default()),
            (_, Some("")) => return Err(SpecError::Path),
            (_, Some(path)) => Wire::Socket(path.into()),
            _ => return Err(SpecError::Wire(kind.into())),
        };
        let mut mac = None;
        for part in parts {
            match (&mut wire, part, part.strip_prefix("mac=")) {
                (Wire::User(_) | Wire::Socket(_), _, Some(text)) => mac = Some(parse_mac(text)?),
                (Wire::User(policy), "restrict", _) => policy.restrict = true,
                (Wire::User(policy), "host-loopback", _) => policy.host_loopback = true,
                _ => return Err(SpecError::Option(part.into())),
            }
        }
        Ok(Self { wire, mac })
    }
}

fn parse_mac(text: &str) -> Result<[u8; 6], SpecError> {
    let wrong = || SpecError::Mac(text.into());
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = parts
            .next()
            .filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|part| u8::from_str_radix(part, 16).ok())
            .ok_or_else(wrong)?;
    }
    // Neither everybody's nor nobody's.
    if parts.next().is_some() || mac[0] & 1 != 0 || mac == [0; 6] {
        return Err(wrong());
    }
    Ok(mac)
}

/// Takes `PORT` or `ADDR:PORT` from the end of `text`.
fn last_socket(text: &str) -> Option<(&str, Option<IpAddr>, u16)> {
    let (rest, port) = match text.rsplit_once(':') {
        Some((rest, port)) => (rest, port),
        None => ("", text),
    };
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok()?;
    if let Some(inner) = rest.strip_suffix(']') {
        let (rest, ip) = inner.rsplit_once('[')?;
        return Some((
            rest.strip_suffix(':').unwrap_or(rest),
            Some(ip.parse().ok()?),
            port,
        ));
    }
    let (before, last) = rest.rsplit_once(':').unwrap_or(("", rest));
    match last.parse::<Ipv4Addr>() {
        Ok(ip) => Some((before, Some(ip.into()), port)),
        Err(_) => Some((rest, None, port)),
    }
}

impl FromStr for Forward {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let wrong = || SpecError::Forward(text.into());
        let (udp, rest) = match (text.strip_prefix("udp:"), text.strip_prefix("tcp:")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => (false, text),
        };
        let (rest, guest, guest_port) = last_socket(rest).ok_or_else(wrong)?;
        let (rest, host, host_port) = last_socket(rest).ok_or_else(wrong)?;
        if !rest.is_empty() || guest_port == 0 {
            return Err(wrong());
        }
        let guest = guest.unwrap_or(GUEST4.into());
        if !crate::addr::is_guest(guest) {
            return Err(SpecError::Guest(guest));
        }
        Ok(Self {
            udp,
            host: SocketAddr::new(host.unwrap_or(Ipv4Addr::LOCALHOST.into()), host_port),
            guest: SocketAddr::new(guest, guest_port),
        })
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.udp { "udp:" } else { "" };
        write!(f, "{kind}{}:{}", self.host, self.guest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let user = |restrict, host_loopback| {
            Wire::User(Policy {
                restrict,
                host_loopback,
            })
        };
        let mac = Some([0x52, 0x54, 0, 1, 2, 0xff]);
        for (text, wire, mac) in [
            ("none", Wire::None, None),
            ("user", user(false, false), None),
            ("user,restrict", user(true, false), None),
            (
                "user,mac=52:54:00:01:02:FF,host-loopback",
                user(false, true),
                mac,
            ),
            ("socket:/tmp/a b", Wire::Socket("/tmp/a b".into()), None),
            (
                "socket:x,mac=52:54:00:01:02:ff",
                Wire::Socket("x".into()),
                mac,
            ),
        ] {
            assert_eq!(text.parse(), Ok(NetSpec { wire, mac }), "{text}");
        }
        for text in [
            "",
            "usr",
            "none,restrict",
            "socket:",
            "socket:x,restrict",
            "user,",
            "user,mac=",
            "user,mac=01:00:00:00:00:00",
            "user,mac=52:54:00:01:02",
            "user,mac=52:54:00:01:02:03:04",
            "user,mac=52:54:00:01:02:+3",
            "user,mac=00:00:00:00:00:00",
        ] {
            assert!(text.parse::<NetSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn forwards() {
        for (text, udp, host, guest) in [
            ("8081:80", false, "127.0.0.1:8081", "10.0.2.15:80"),
            ("tcp:8081:80", false, "127.0.0.1:8081", "10.0.2.15:80"),
            ("udp:5353:53", true, "127.0.0.1:5353", "10.0.2.15:53"),
            ("0.0.0.0:1:2", false, "0.0.0.0:1", "10.0.2.15:2"),
            ("1:10.0.2.16:2", false, "127.0.0.1:1", "10.0.2.16:2"),
            (
                "udp:[::1]:1:[fd72:7573:6500::9]:2",
                true,
                "[::1]:1",
                "[fd72:7573:6500::9]:2",
            ),
            ("[::]:1:2", false, "[::]:1", "10.0.2.15:2"),
        ] {
            let (host, guest) = (host.parse().unwrap(), guest.parse().unwrap());
            let forward = Forward { udp, host, guest };
            assert_eq!(text.parse(), Ok(forward), "{text}");
            assert_eq!(forward.to_string().parse(), Ok(forward), "{text}");
        }
        for text in [
            "",
            "80",
            ":80",
            "80:",
            "a:80",
            "1:2:3",
            "+1:2",
            "1:0",
            "65536:1",
            "::1:1:2",
            "1:10.0.2.2:80",
            "1:10.0.2.255:80",
            "1:192.0.2.1:80",
            "x:1:2",
            "1:[::1]:2",
            "]:1:2",
        ] {
            assert!(text.parse::<Forward>().is_err(), "{text}");
        }
    }
}
