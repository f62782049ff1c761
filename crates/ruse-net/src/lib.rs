//! What a network card is connected to: a user-mode network ([`User`]), or
//! another machine ([`Link`]).
//!
//! The user-mode network needs no privilege: to the host it is one more
//! process with sockets. The guest is 10.0.2.15 (and has an address in
//! `fd72:7573:6500::/64`), the gateway 10.0.2.2 gives it that address by DHCP,
//! answers echo requests and stands for the host, and 10.0.2.3 passes on
//! questions to the host's name servers: the addresses of QEMU's user-mode
//! network, so that guests which know that one work here.
//!
//! - TCP: a connection is made on the host first, and only then does the guest
//!   hear that there is one, so that what is refused is refused. Ends and
//!   resets are passed on, each in its direction, and who reads slowly makes
//!   the other one wait.
//! - UDP: a socket for each pair of ends, until nothing was said for two
//!   minutes.
//! - Echo requests to other hosts go through unprivileged ICMP sockets where
//!   the host lets this process have them (Linux:
//!   `net.ipv4.ping_group_range`), and are refused elsewhere.
//! - A guest reaches neither the host's loopback nor the host's own addresses
//!   nor link-local ones, unless [`Policy`] says so.
//!
//! Everything is bounded: connections ([`MAX_CONNECTIONS`]), conversations,
//! bytes on their way. Left out: IP fragments from the guest, IPv6's extension
//! headers, IGMP, and all that is neither TCP, UDP nor an echo.

mod addr;
mod dhcp;
mod frame;
mod host;
#[cfg(unix)]
mod link;
#[cfg(not(unix))]
#[path = "link_none.rs"]
mod link;
mod neighbor;
mod spec;
mod stack;
mod tcp;
pub mod testing;
mod udp;
mod user;

pub use addr::{DNS4, DNS6, GATEWAY_MAC, GATEWAY4, GATEWAY6, GUEST4, PREFIX6, Policy};
pub use host::{Datagrams, Host, RealHost, Stream};
pub use link::Link;
pub use smoltcp::time::Instant;
pub use spec::{Forward, NetSpec, SpecError, Wire};
pub use stack::{MAX_CONNECTIONS, Stack};
pub use user::{NetError, User};
