//! A host that is made up, for tests and for a fuzzer: every connection is
//! made at once and says back what it is told.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ruse_devices::backend::{Frame, Offload, Takes};
use smoltcp::time::{Duration, Instant};

use crate::addr::{GATEWAY_MAC, Policy};
use crate::frame::{BROADCAST, ETHER_ARP, ETHER_IPV4, ETHER_IPV6};
use crate::host::{Datagrams, Host, Stream};
use crate::stack::Stack;

/// How much one of its sockets holds.
const ROOM: usize = 64 << 10;

/// What happened to its sockets.
#[derive(Debug, Default)]
pub struct Seen {
    /// Where connections were made to, in order.
    pub connected: Vec<SocketAddr>,
    /// Where datagrams were sent to.
    pub sent: Vec<(SocketAddr, Vec<u8>)>,
    /// Connections that ended in a reset.
    pub resets: usize,
    /// Connections whose guest finished.
    pub finished: usize,
}

/// Such a host.
#[derive(Clone, Default)]
pub struct EchoHost {
    /// What happened.
    pub seen: Arc<Mutex<Seen>>,
    /// Its name servers.
    pub resolvers: Vec<SocketAddr>,
    /// Its name servers never answer, and connections are never established.
    pub silent: bool,
    /// Who connects to it by a forwarded port.
    pub callers: RefCell<VecDeque<SocketAddr>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Echo {
    seen: Arc<Mutex<Seen>>,
    to: SocketAddr,
    bytes: VecDeque<u8>,
    datagrams: VecDeque<Vec<u8>>,
    finished: bool,
    silent: bool,
}

impl EchoHost {
    fn socket(&self, to: SocketAddr) -> Box<Echo> {
        Box::new(Echo {
            seen: self.seen.clone(),
            to,
            bytes: VecDeque::new(),
            datagrams: VecDeque::new(),
            finished: false,
            silent: self.silent,
        })
    }
}

impl Stream for Echo {
    fn established(&mut self) -> io::Result<bool> {
        // One port of each host is closed.
        match self.to.port() {
            1 => Err(ErrorKind::ConnectionRefused.into()),
            2 => Err(ErrorKind::HostUnreachable.into()),
            _ => Ok(!self.silent),
        }
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && !self.finished {
            return Err(ErrorKind::WouldBlock.into());
        }
        io::Read::read(&mut self.bytes, out)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = ROOM - self.bytes.len();
        if room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let part = &bytes[..room.min(bytes.len())];
        self.bytes.extend(part);
        Ok(part.len())
    }

    fn finish(&mut self) {
        self.finished = true;
        lock(&self.seen).finished += 1;
    }

    fn reset(&mut self) {
        lock(&self.seen).resets += 1;
    }
}

impl Datagrams for Echo {
    fn recv(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.datagrams.pop_front().ok_or(ErrorKind::WouldBlock)?;
        let len = bytes.len().min(out.len());
        out[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.seen).sent.push((self.to, bytes.into()));
        if self.datagrams.len() < 16 && !self.silent {
            self.datagrams.push_back(bytes.into());
        }
        Ok(bytes.len())
    }
}

impl Host for EchoHost {
    fn connect(&mut self, to: SocketAddr, _: bool, _: usize) -> io::Result<Box<dyn Stream>> {
        lock(&self.seen).connected.push(to);
        Ok(self.socket(to))
    }

    fn datagrams(&mut self, to: SocketAddr, _: bool, _: usize) -> io::Result<Box<dyn Datagrams>> {
        Ok(self.socket(to))
    }

    fn echo(&mut self, to: IpAddr, _: usize) -> io::Result<Box<dyn Datagrams>> {
        Ok(self.socket(SocketAddr::new(to, 0)))
    }

    fn accept(&mut self, _: usize, _: usize) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
        let from = self.callers.borrow_mut().pop_front();
        let from = from.ok_or(ErrorKind::WouldBlock)?;
        Ok((self.socket(from), from))
    }

    fn recv_from(&mut self, _: usize, out: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let from = self.callers.borrow_mut().pop_front();
        let from = from.ok_or(ErrorKind::WouldBlock)?;
        let len = out.len().min(5);
        out[..len].copy_from_slice(&b"hello"[..len]);
        Ok((len, from))
    }

    fn send_to(&mut self, _: usize, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        lock(&self.seen).sent.push((to, bytes.into()));
        Ok(bytes.len())
    }

    fn resolvers(&self) -> &[SocketAddr] {
        &self.resolvers
    }

    fn has_ipv6(&self) -> bool {
        true
    }
}

/// Any bytes as a guest that sends frames while time passes, for a fuzzer. The
/// frames are a little more like real ones than chance would have them.
///
/// # Panics
/// If the network keeps more than it may.
pub fn feed(data: &[u8]) {
    let host = EchoHost {
        resolvers: vec![SocketAddr::from(([192, 0, 2, 53], 53))],
        ..EchoHost::default()
    };
    let forwards: Vec<_> = ["1:80", "udp:1:53"]
        .iter()
        .flat_map(|f| f.parse())
        .collect();
    let mac = [0x52, 0x54, 0, 0, 0, 1];
    let mut now = Instant::ZERO;
    let mut stack = Stack::new(host.clone(), Policy::default(), &forwards, mac, now);
    let mut rest = data;
    while let Some((&[what, len, ..], after)) = rest.split_first_chunk::<2>() {
        let (part, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        match what & 7 {
            0 => now += Duration::from_millis(u64::from(len) << (what >> 4)),
            1 => {
                let takes = Takes {
                    checksum: what & 8 != 0,
                    tcp4: what & 24 == 24,
                    tcp6: what & 40 == 40,
                };
                stack.set_takes(takes, now);
            }
            2 => {
                stack.called(usize::from(what >> 3 & 1));
                stack.ready(len.into(), true, true);
            }
            kind => {
                let mut bytes = if what & 8 == 0 {
                    GATEWAY_MAC
                } else {
                    BROADCAST
                }
                .to_vec();
                bytes.extend(mac);
                let ether = match kind {
                    3 => ETHER_ARP,
                    4 => ETHER_IPV6,
                    _ => ETHER_IPV4,
                };
                bytes.extend(ether.to_be_bytes());
                bytes.extend(part);
                if ether == ETHER_IPV4 {
                    mend(&mut bytes[14..], what >> 4);
                }
                let offload = Offload {
                    checksum: (what & 16 != 0).then_some((34, 16)),
                    segments: None,
                };
                stack.input(Frame { bytes, offload }, now);
            }
        }
        stack.work(now);
        if what & 0x80 != 0 {
            stack.frames().clear();
            stack.taken();
        }
        let waiting: usize = stack.frames().iter().map(|frame| frame.bytes.len()).sum();
        assert!(waiting <= 3 << 20, "{waiting} bytes wait for the guest");
    }
}

/// Makes bytes a valid IPv4 header, from a guest, to somewhere.
fn mend(bytes: &mut [u8], how: u8) {
    if bytes.len() < 20 {
        return;
    }
    let len = bytes.len() as u16;
    bytes[0] = 0x45;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    bytes[6..8].fill(0);
    bytes[9] = [6, 17, 1, 6][usize::from(how & 3)];
    bytes[12..16].copy_from_slice(&[10, 0, 2, 15]);
    if how & 4 != 0 {
        let host = bytes[19] & 3;
        bytes[16..20].copy_from_slice(&[192, 0, 2, host]);
    }
    smoltcp::wire::Ipv4Packet::new_unchecked(bytes).fill_checksum();
}
