//! What the network needs of the host: sockets that never block, each with a
//! number by which the poller tells that it may be tried again.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, UdpSocket};
use std::time::Duration;

use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::spec::Forward;

/// A connection.
pub trait Stream: Send {
    /// Whether it is established by now.
    ///
    /// # Errors
    /// Why it never will be.
    fn established(&mut self) -> io::Result<bool>;
    /// As [`Read::read`].
    ///
    /// # Errors
    /// Of the host's, [`io::ErrorKind::WouldBlock`] among them.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize>;
    /// As [`Write::write`].
    ///
    /// # Errors
    /// As [`Stream::read`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Says that no more will be written.
    fn finish(&mut self);
    /// Makes its end a reset.
    fn reset(&mut self);
    /// Its own address on the host, if it has one.
    fn local(&self) -> Option<SocketAddr> {
        None
    }
}

/// A socket for datagrams to and from one other.
pub trait Datagrams: Send {
    /// Receives one.
    ///
    /// # Errors
    /// As [`Stream::read`].
    fn recv(&mut self, out: &mut [u8]) -> io::Result<usize>;
    /// Sends one.
    ///
    /// # Errors
    /// As [`Stream::read`].
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Its own address on the host, if it has one.
    fn local(&self) -> Option<SocketAddr> {
        None
    }
}

/// The host. `id` is what its poller will call the socket.
pub trait Host {
    /// Begins to connect to `to`; `own`: even if that is the host itself.
    ///
    /// # Errors
    /// Of the host's, or because it is.
    fn connect(&mut self, to: SocketAddr, own: bool, id: usize) -> io::Result<Box<dyn Stream>>;
    /// A socket for datagrams to `to`.
    ///
    /// # Errors
    /// As [`Host::connect`].
    fn datagrams(&mut self, to: SocketAddr, own: bool, id: usize)
    -> io::Result<Box<dyn Datagrams>>;
    /// A socket for echo requests to `to`.
    ///
    /// # Errors
    /// Where there is no such thing without privileges.
    fn echo(&mut self, to: IpAddr, id: usize) -> io::Result<Box<dyn Datagrams>>;
    /// A connection made to a forwarded port, if there is one.
    ///
    /// # Errors
    /// Of the host's.
    fn accept(&mut self, forward: usize, id: usize) -> io::Result<(Box<dyn Stream>, SocketAddr)>;
    /// A datagram sent to a forwarded port.
    ///
    /// # Errors
    /// Of the host's.
    fn recv_from(&mut self, forward: usize, out: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
    /// Answers from a forwarded port.
    ///
    /// # Errors
    /// Of the host's.
    fn send_to(&mut self, forward: usize, bytes: &[u8], to: SocketAddr) -> io::Result<usize>;
    /// The host's name servers.
    fn resolvers(&self) -> &[SocketAddr];
    /// Whether the host knows a way to IPv6's Internet.
    fn has_ipv6(&self) -> bool;
}

/// A port that is forwarded.
enum Port {
    Tcp(mio::net::TcpListener),
    Udp(mio::net::UdpSocket),
}

/// The host that this runs on.
pub struct RealHost {
    registry: Registry,
    ports: Vec<Port>,
    resolvers: Vec<SocketAddr>,
    ipv6: bool,
}

fn any_of(to: IpAddr) -> SocketAddr {
    match to {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// A datagram socket connected to `to`, unless the host would talk to itself:
/// then it would choose the very same address for both ends.
fn connected(to: SocketAddr, own: bool) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(any_of(to.ip()))?;
    socket.connect(to)?;
    if !own && socket.local_addr()?.ip() == to.ip() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it is this host's own address",
        ));
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl RealHost {
    /// Binds the ports of `forwards`, in their order, which are the poller's
    /// numbers `first` and on.
    ///
    /// # Errors
    /// The forward that failed, and why.
    pub fn new(
        registry: Registry,
        forwards: &[Forward],
        first: usize,
    ) -> Result<Self, (Forward, io::Error)> {
        let mut ports = Vec::new();
        for (n, forward) in forwards.iter().enumerate() {
            let token = Token(first + n);
            let port = listen(&registry, forward, token).map_err(|error| (*forward, error))?;
            ports.push(port);
        }
        Ok(Self {
            registry,
            ports,
            resolvers: resolvers(),
            // No packet is sent; it is only looked for a route.
            ipv6: connected(
                SocketAddr::new(
                    Ipv6Addr::new(0x2001, 0x500, 0x9f, 0, 0, 0, 0, 0x42).into(),
                    53,
                ),
                false,
            )
            .is_ok(),
        })
    }

    /// Where the ports of its forwards were bound to.
    pub fn bound(&self) -> impl Iterator<Item = Option<SocketAddr>> + '_ {
        self.ports.iter().map(|port| match port {
            Port::Tcp(port) => port.local_addr().ok(),
            Port::Udp(port) => port.local_addr().ok(),
        })
    }
}

fn listen(registry: &Registry, forward: &Forward, token: Token) -> io::Result<Port> {
    let domain = Domain::for_address(forward.host);
    if forward.udp {
        let mut socket = mio::net::UdpSocket::bind(forward.host)?;
        registry.register(&mut socket, token, Interest::READABLE)?;
        return Ok(Port::Udp(socket));
    }
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // A port of connections that linger is free all the same.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&forward.host.into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    let mut listener = mio::net::TcpListener::from_std(socket.into());
    registry.register(&mut listener, token, Interest::READABLE)?;
    Ok(Port::Tcp(listener))
}

/// The name servers of `/etc/resolv.conf` (resolv.conf(5)).
fn resolvers() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let found = parse_resolvers(&text);
    if found.is_empty() {
        log::warn!("no name servers in /etc/resolv.conf: guests cannot look up names");
    }
    found
}

fn parse_resolvers(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver")).then(|| words.next())?
        })
        .filter_map(|ip| {
            // A link-local server's address names its interface.
            let socket = |ip: &str| format!("[{ip}]:53").parse().ok();
            match ip.parse::<IpAddr>() {
                Ok(ip) => Some(SocketAddr::new(ip, 53)),
                Err(_) => socket(ip),
            }
        })
        .take(8)
        .collect()
}

impl Host for RealHost {
    fn connect(&mut self, to: SocketAddr, own: bool, id: usize) -> io::Result<Box<dyn Stream>> {
        if !own {
            connected(to, false)?;
        }
        let mut stream = mio::net::TcpStream::connect(to)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut stream, Token(id), interest)?;
        Ok(Box::new(RealStream(stream)))
    }

    fn datagrams(
        &mut self,
        to: SocketAddr,
        own: bool,
        id: usize,
    ) -> io::Result<Box<dyn Datagrams>> {
        let mut socket = mio::net::UdpSocket::from_std(connected(to, own)?);
        let token = Token(id);
        self.registry
            .register(&mut socket, token, Interest::READABLE)?;
        Ok(Box::new(RealDatagrams(socket)))
    }

    fn echo(&mut self, to: IpAddr, id: usize) -> io::Result<Box<dyn Datagrams>> {
        connected(SocketAddr::new(to, 7), false)?;
        let (domain, protocol) = match to {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
        socket.set_nonblocking(true)?;
        socket.connect(&SocketAddr::new(to, 0).into())?;
        let mut socket = mio::net::UdpSocket::from_std(socket.into());
        let token = Token(id);
        self.registry
            .register(&mut socket, token, Interest::READABLE)?;
        Ok(Box::new(RealDatagrams(socket)))
    }

    fn accept(&mut self, forward: usize, id: usize) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
        let Some(Port::Tcp(listener)) = self.ports.get(forward) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let (mut stream, from) = listener.accept()?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut stream, Token(id), interest)?;
        let _ = stream.set_nodelay(true);
        Ok((Box::new(RealStream(stream)), from))
    }

    fn recv_from(&mut self, forward: usize, out: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self.ports.get(forward) {
            Some(Port::Udp(socket)) => socket.recv_from(out),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn send_to(&mut self, forward: usize, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        match self.ports.get(forward) {
            Some(Port::Udp(socket)) => socket.send_to(bytes, to),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn resolvers(&self) -> &[SocketAddr] {
        &self.resolvers
    }

    fn has_ipv6(&self) -> bool {
        self.ipv6
    }
}

// Dropping a socket takes it out of the poller.
struct RealStream(mio::net::TcpStream);
struct RealDatagrams(mio::net::UdpSocket);

impl Stream for RealStream {
    fn established(&mut self) -> io::Result<bool> {
        if let Some(error) = self.0.take_error()? {
            return Err(error);
        }
        match self.0.peer_addr() {
            Ok(_) => {
                let _ = self.0.set_nodelay(true);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn finish(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    fn reset(&mut self) {
        let _ = SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
    }

    fn local(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()
    }
}

impl Datagrams for RealDatagrams {
    fn recv(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.recv(out)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes)
    }

    fn local(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_found() {
        let text = "# nameserver 1.1.1.1\nsearch x\nnameserver 127.0.0.53\n nameserver\tfd00::3\nnameserver\nnameserver x\noptions edns0";
        let expected: Vec<SocketAddr> = ["127.0.0.53:53", "[fd00::3]:53"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert_eq!(parse_resolvers(text), expected);
    }

    #[test]
    fn the_hosts_own_addresses_are_known_as_such() {
        let own = connected("127.0.0.1:9".parse().unwrap(), false);
        assert_eq!(own.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(connected("127.0.0.1:9".parse().unwrap(), true).is_ok());
    }
}
