//! Socket options (socket(7), tcp(7), ip(7), ipv6(7)).
//!
//! Options that are a number are kept in one table, which says what they are
//! at first; a socket that must act on one is told.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use super::timeval;
use crate::errno::Errno;

pub(crate) const SOL_SOCKET: u32 = 1;
pub(crate) const SOL_IP: u32 = 0;
pub(crate) const SOL_TCP: u32 = 6;
pub(crate) const SOL_UDP: u32 = 17;
pub(crate) const SOL_IPV6: u32 = 41;

pub(crate) const SO_REUSEADDR: u32 = 2;
pub(crate) const SO_TYPE: u32 = 3;
pub(crate) const SO_ERROR: u32 = 4;
pub(crate) const SO_BROADCAST: u32 = 6;
pub(crate) const SO_SNDBUF: u32 = 7;
pub(crate) const SO_RCVBUF: u32 = 8;
pub(crate) const SO_KEEPALIVE: u32 = 9;
pub(crate) const SO_LINGER: u32 = 13;
pub(crate) const SO_REUSEPORT: u32 = 15;
pub(crate) const SO_PASSCRED: u32 = 16;
pub(crate) const SO_PEERCRED: u32 = 17;
const SO_RCVTIMEO: u32 = 20;
const SO_SNDTIMEO: u32 = 21;
pub(crate) const SO_ACCEPTCONN: u32 = 30;
const SO_SNDBUFFORCE: u32 = 32;
const SO_RCVBUFFORCE: u32 = 33;
pub(crate) const SO_PROTOCOL: u32 = 38;
pub(crate) const SO_DOMAIN: u32 = 39;
const SO_RCVTIMEO_NEW: u32 = 66;
const SO_SNDTIMEO_NEW: u32 = 67;
pub(crate) const TCP_NODELAY: u32 = 1;
pub(crate) const TCP_KEEPIDLE: u32 = 4;
pub(crate) const TCP_KEEPINTVL: u32 = 5;
pub(crate) const TCP_KEEPCNT: u32 = 6;
pub(crate) const IP_TTL: u32 = 2;
pub(crate) const IPV6_UNICAST_HOPS: u32 = 16;
pub(crate) const IPV6_V6ONLY: u32 = 26;

/// The most that SO_SNDBUF and SO_RCVBUF give (`net.core.wmem_max`), before
/// Linux doubles it.
const BUFFER_MAX: i32 = 212_992;

/// Level, name, and value at first of options that are a number.
const NUMBERS: &[(u32, u32, i32)] = &[
    (SOL_SOCKET, 1, 0),
    (SOL_SOCKET, SO_REUSEADDR, 0),
    (SOL_SOCKET, 5, 0),
    (SOL_SOCKET, SO_BROADCAST, 0),
    (SOL_SOCKET, SO_SNDBUF, 212_992),
    (SOL_SOCKET, SO_RCVBUF, 212_992),
    (SOL_SOCKET, SO_KEEPALIVE, 0),
    (SOL_SOCKET, 10, 0),
    (SOL_SOCKET, 11, 0),
    (SOL_SOCKET, 12, 0),
    (SOL_SOCKET, SO_REUSEPORT, 0),
    (SOL_SOCKET, SO_PASSCRED, 0),
    // SO_RCVLOWAT, SO_SNDLOWAT, SO_TIMESTAMP, SO_MARK, SO_BUSY_POLL,
    // SO_INCOMING_CPU.
    (SOL_SOCKET, 18, 1),
    (SOL_SOCKET, 19, 1),
    (SOL_SOCKET, 29, 0),
    (SOL_SOCKET, 36, 0),
    (SOL_SOCKET, 46, 0),
    (SOL_SOCKET, 49, -1),
    (SOL_TCP, TCP_NODELAY, 0),
    // TCP_MAXSEG, TCP_CORK.
    (SOL_TCP, 2, 536),
    (SOL_TCP, 3, 0),
    (SOL_TCP, TCP_KEEPIDLE, 7200),
    (SOL_TCP, TCP_KEEPINTVL, 75),
    (SOL_TCP, TCP_KEEPCNT, 9),
    // TCP_SYNCNT, TCP_LINGER2, TCP_DEFER_ACCEPT, TCP_WINDOW_CLAMP,
    // TCP_QUICKACK, TCP_USER_TIMEOUT, TCP_FASTOPEN, TCP_NOTSENT_LOWAT,
    // TCP_FASTOPEN_CONNECT.
    (SOL_TCP, 7, 6),
    (SOL_TCP, 8, 60),
    (SOL_TCP, 9, 0),
    (SOL_TCP, 10, 0),
    (SOL_TCP, 12, 1),
    (SOL_TCP, 18, 0),
    (SOL_TCP, 23, 0),
    (SOL_TCP, 25, -1),
    (SOL_TCP, 30, 0),
    // IP_TOS.
    (SOL_IP, 1, 0),
    (SOL_IP, IP_TTL, 64),
    // IP_PKTINFO, IP_MTU_DISCOVER, IP_RECVERR, IP_RECVTTL, IP_RECVTOS,
    // IP_FREEBIND, IP_BIND_ADDRESS_NO_PORT, IP_MULTICAST_TTL and _LOOP.
    (SOL_IP, 8, 0),
    (SOL_IP, 10, 1),
    (SOL_IP, 11, 0),
    (SOL_IP, 12, 0),
    (SOL_IP, 13, 0),
    (SOL_IP, 15, 0),
    (SOL_IP, 24, 0),
    (SOL_IP, 33, 1),
    (SOL_IP, 34, 1),
    (SOL_IPV6, IPV6_UNICAST_HOPS, 64),
    // IPV6_MULTICAST_HOPS and _LOOP, IPV6_MTU_DISCOVER, IPV6_RECVERR.
    (SOL_IPV6, 18, 1),
    (SOL_IPV6, 19, 1),
    (SOL_IPV6, 23, 1),
    (SOL_IPV6, 25, 0),
    (SOL_IPV6, IPV6_V6ONLY, 0),
    // IPV6_RECVPKTINFO, IPV6_RECVTCLASS, IPV6_TCLASS, IPV6_DONTFRAG.
    (SOL_IPV6, 49, 0),
    (SOL_IPV6, 62, 0),
    (SOL_IPV6, 66, 0),
    (SOL_IPV6, 67, 0),
];

/// The options of a socket.
#[derive(Default)]
pub(crate) struct Options {
    numbers: RefCell<BTreeMap<(u32, u32), i32>>,
    linger: Cell<Option<u32>>,
    receive_timeout: Cell<Option<Duration>>,
    send_timeout: Cell<Option<Duration>>,
}

impl Options {
    /// The value of an option that is a number; 0 for an unknown one.
    pub(crate) fn number(&self, level: u32, name: u32) -> i32 {
        self.find(level, name).unwrap_or(0)
    }

    /// Whether an option is on.
    pub(crate) fn on(&self, level: u32, name: u32) -> bool {
        self.number(level, name) != 0
    }

    /// `SO_LINGER`, in seconds.
    pub(crate) fn linger(&self) -> Option<u32> {
        self.linger.get()
    }

    /// `SO_RCVTIMEO`.
    pub(crate) fn receive_timeout(&self) -> Option<Duration> {
        self.receive_timeout.get()
    }

    /// `SO_SNDTIMEO`.
    pub(crate) fn send_timeout(&self) -> Option<Duration> {
        self.send_timeout.get()
    }

    fn find(&self, level: u32, name: u32) -> Option<i32> {
        let set = self.numbers.borrow().get(&(level, name)).copied();
        set.or_else(|| {
            let at = NUMBERS.iter().find(|at| (at.0, at.1) == (level, name));
            at.map(|&(_, _, value)| value)
        })
    }

    /// Those of a socket just accepted are those of its listener.
    pub(crate) fn inherit(&self, from: &Self) {
        self.numbers.borrow_mut().clone_from(&from.numbers.borrow());
        self.linger.set(from.linger.get());
        self.receive_timeout.set(from.receive_timeout.get());
        self.send_timeout.set(from.send_timeout.get());
    }

    /// setsockopt(2), of options that are kept here. Gives the name by which
    /// the socket is to be told.
    pub(crate) fn set(&self, level: u32, name: u32, bytes: &[u8]) -> Result<u32, Errno> {
        let (level, name) = canonical(level, name);
        match (level, name) {
            (SOL_SOCKET, SO_LINGER) => {
                let on = word(bytes)?;
                let time = word(bytes.get(4..).unwrap_or_default())?;
                self.linger.set((on != 0).then_some(time.max(0) as u32));
                return Ok(name);
            }
            (SOL_SOCKET, SO_RCVTIMEO) => {
                self.receive_timeout.set(timeval(bytes)?);
                return Ok(name);
            }
            (SOL_SOCKET, SO_SNDTIMEO) => {
                self.send_timeout.set(timeval(bytes)?);
                return Ok(name);
            }
            _ => {}
        }
        if self.find(level, name).is_none() {
            return Err(Errno::ENOPROTOOPT);
        }
        let value = match bytes {
            // IP options may be a byte.
            [byte] if level == SOL_IP => i32::from(*byte),
            _ => word(bytes)?,
        };
        let value = match (level, name) {
            // Linux doubles it, for its own bookkeeping.
            (SOL_SOCKET, SO_SNDBUF) => value.clamp(2304, BUFFER_MAX) * 2,
            (SOL_SOCKET, SO_RCVBUF) => value.clamp(1152, BUFFER_MAX) * 2,
            (SOL_SOCKET, 18) => value.max(1),
            (SOL_SOCKET, 1..=17) if name != 12 => i32::from(value != 0),
            (SOL_TCP, TCP_NODELAY | 3) => i32::from(value != 0),
            (SOL_TCP, TCP_KEEPIDLE | TCP_KEEPINTVL) if !(1..=32767).contains(&value) => {
                return Err(Errno::EINVAL);
            }
            (SOL_TCP, TCP_KEEPCNT) if !(1..=127).contains(&value) => return Err(Errno::EINVAL),
            (SOL_IP, IP_TTL) if value == -1 => 64,
            (SOL_IP, IP_TTL) if !(1..=255).contains(&value) => return Err(Errno::EINVAL),
            (SOL_IPV6, IPV6_UNICAST_HOPS) if value == -1 => 64,
            (SOL_IPV6, IPV6_UNICAST_HOPS) if !(0..=255).contains(&value) => {
                return Err(Errno::EINVAL);
            }
            _ => value,
        };
        self.numbers.borrow_mut().insert((level, name), value);
        Ok(name)
    }

    /// getsockopt(2), of options that are kept here.
    pub(crate) fn get(&self, level: u32, name: u32) -> Result<Vec<u8>, Errno> {
        let (level, name) = canonical(level, name);
        let time = |time: Option<Duration>| {
            let time = time.unwrap_or_default();
            let mut out = time.as_secs().to_le_bytes().to_vec();
            out.extend_from_slice(&u64::from(time.subsec_micros()).to_le_bytes());
            out
        };
        match (level, name) {
            (SOL_SOCKET, SO_LINGER) => {
                let linger = self.linger.get();
                let mut out = u32::from(linger.is_some()).to_le_bytes().to_vec();
                out.extend_from_slice(&linger.unwrap_or(0).to_le_bytes());
                Ok(out)
            }
            (SOL_SOCKET, SO_RCVTIMEO) => Ok(time(self.receive_timeout.get())),
            (SOL_SOCKET, SO_SNDTIMEO) => Ok(time(self.send_timeout.get())),
            _ => {
                let value = self.find(level, name).ok_or(Errno::ENOPROTOOPT)?;
                Ok(value.to_le_bytes().to_vec())
            }
        }
    }
}

/// One name for options with several.
fn canonical(level: u32, name: u32) -> (u32, u32) {
    let name = match (level, name) {
        (SOL_SOCKET, SO_RCVTIMEO_NEW) => SO_RCVTIMEO,
        (SOL_SOCKET, SO_SNDTIMEO_NEW) => SO_SNDTIMEO,
        (SOL_SOCKET, SO_SNDBUFFORCE) => SO_SNDBUF,
        (SOL_SOCKET, SO_RCVBUFFORCE) => SO_RCVBUF,
        _ => name,
    };
    (level, name)
}

fn word(bytes: &[u8]) -> Result<i32, Errno> {
    let word = bytes.first_chunk().ok_or(Errno::EINVAL)?;
    Ok(i32::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_kept_and_checked() {
        let options = Options::default();
        assert_eq!(options.get(SOL_SOCKET, SO_REUSEADDR), Ok(vec![0; 4]));
        assert!(
            options
                .set(SOL_SOCKET, SO_REUSEADDR, &7i32.to_le_bytes())
                .is_ok()
        );
        assert_eq!(options.get(SOL_SOCKET, SO_REUSEADDR), Ok(vec![1, 0, 0, 0]));
        assert_eq!(
            options.set(SOL_SOCKET, SO_REUSEADDR, &[1]),
            Err(Errno::EINVAL)
        );
        assert_eq!(options.set(99, 1, &[0; 4]), Err(Errno::ENOPROTOOPT));
        assert!(
            options
                .set(SOL_SOCKET, SO_SNDBUF, &i32::MAX.to_le_bytes())
                .is_ok()
        );
        assert_eq!(options.number(SOL_SOCKET, SO_SNDBUF), BUFFER_MAX * 2);
        let mut time = 2u64.to_le_bytes().to_vec();
        time.extend_from_slice(&500_000u64.to_le_bytes());
        assert!(options.set(SOL_SOCKET, SO_RCVTIMEO, &time).is_ok());
        assert_eq!(options.receive_timeout(), Some(Duration::from_millis(2500)));
        assert_eq!(options.get(SOL_SOCKET, SO_RCVTIMEO_NEW), Ok(time));
    }
}
