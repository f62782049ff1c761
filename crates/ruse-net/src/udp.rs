//! Conversations by datagrams: UDP, and echo requests, which are datagrams to
//! the host just as well.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use smoltcp::time::{Duration, Instant};

use crate::host::Datagrams;

/// How many there are at once; the one that is longest silent makes room.
pub(crate) const MAX: usize = 256;
/// How long one lives on when nothing is said.
pub(crate) const IDLE: Duration = Duration::from_secs(120);
/// An answer is all that is expected of a name server.
pub(crate) const IDLE_DNS: Duration = Duration::from_secs(15);
/// Datagrams from the host before others' turn.
pub(crate) const TURN: usize = 32;
/// The longest datagram.
pub(crate) const LONGEST: usize = 65_535;

/// What a conversation is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// From the guest's socket to another, as the guest sees it.
    Udp(SocketAddr, SocketAddr),
    /// From the guest to another, with this identifier.
    Echo(IpAddr, IpAddr, u16),
}

/// A conversation that the guest began.
pub(crate) struct Talk {
    pub(crate) key: Key,
    pub(crate) socket: Box<dyn Datagrams>,
    pub(crate) last: Instant,
    pub(crate) idle: Duration,
    pub(crate) readable: bool,
    /// The start of the guest's last packet, for who says that it did not
    /// arrive.
    pub(crate) head: Vec<u8>,
    /// Which of the host's name servers it is with.
    pub(crate) resolver: Option<usize>,
}

/// Conversations that others began, by a forwarded port.
#[derive(Default)]
pub(crate) struct Callers {
    /// By the guest's socket and the gateway's port: the forward, the caller,
    /// and when it was last heard of.
    calls: HashMap<(SocketAddr, u16), (usize, SocketAddr, Instant)>,
}

impl Callers {
    /// The gateway's port that stands for a caller.
    pub(crate) fn port(
        &mut self,
        forward: usize,
        from: SocketAddr,
        guest: SocketAddr,
        now: Instant,
    ) -> u16 {
        // Its own, if that is free.
        let mut port = from.port().max(1024);
        for _ in 0..=self.calls.len() {
            match self.calls.get(&(guest, port)) {
                Some(&(whose, who, _)) if (whose, who) != (forward, from) => {
                    port = port.checked_add(1).unwrap_or(1024);
                }
                _ => break,
            }
        }
        if self.calls.len() >= MAX
            && !self.calls.contains_key(&(guest, port))
            && let Some(oldest) = self.calls.iter().min_by_key(|(_, call)| call.2)
        {
            let oldest = *oldest.0;
            self.calls.remove(&oldest);
        }
        self.calls.insert((guest, port), (forward, from, now));
        port
    }

    /// Who is meant when the guest answers.
    pub(crate) fn find(
        &mut self,
        guest: SocketAddr,
        port: u16,
        now: Instant,
    ) -> Option<(usize, SocketAddr)> {
        let (forward, from, last) = self.calls.get_mut(&(guest, port))?;
        *last = now;
        Some((*forward, *from))
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        self.calls.retain(|_, call| now < call.2 + IDLE);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_told_apart_and_bounded() {
        let mut callers = Callers::default();
        let guest = "10.0.2.15:53".parse().unwrap();
        let now = Instant::from_secs(1);
        let from = |n: u16| SocketAddr::from(([192, 0, 2, (n >> 8) as u8], 5000 + n % 2));
        let first = callers.port(0, from(0), guest, now);
        assert_eq!(first, 5000);
        assert_eq!(
            callers.port(0, from(0), guest, now),
            first,
            "the same again"
        );
        let other: SocketAddr = "192.0.2.9:5000".parse().unwrap();
        let second = callers.port(0, other, guest, now);
        assert_ne!(second, first);
        assert_eq!(callers.find(guest, second, now), Some((0, other)));
        for n in 0..2000u16 {
            let from = SocketAddr::from(([192, 0, 2, 7], 10_000 + n));
            callers.port(0, from, guest, now + Duration::from_millis(n.into()));
        }
        assert!(callers.calls.len() <= MAX);
        callers.expire(now + Duration::from_secs(1000));
        assert!(callers.is_empty());
    }
}
