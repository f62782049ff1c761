//! Sockets: making, naming and connecting them, and their options. Messages
//! are in `message`.

use std::rc::Rc;
use std::time::Duration;

use super::pipe::{install, install_pair, uninstall};
use super::{Answer, Cx, Stop};
use crate::errno::Errno;
use crate::fs::{Base, Description, File, O_CLOEXEC, O_NONBLOCK, O_RDWR, S_IFSOCK};
use crate::net::{self, Address, Caller, Connecting, Credentials, Node, Socket, UnixName, options};
use crate::thread::Wait;

/// The longest address (`struct sockaddr_storage`).
const ADDRESS_MAX: u32 = 128;
/// The longest value of an option.
const OPTION_MAX: i32 = 4096;

/// The socket behind an open file.
pub(super) fn socket_of(description: &Description) -> Result<&dyn Socket, Errno> {
    description.file.socket().ok_or(Errno::ENOTSOCK)
}

/// Who calls, as the peer may learn.
pub(super) fn credentials(cx: &mut Cx) -> Credentials {
    let process = cx.process();
    Credentials {
        pid: process.pid,
        uid: process.credentials.euid,
        gid: process.credentials.egid,
    }
}

fn caller(cx: &mut Cx, description: &Description) -> Caller {
    Caller {
        credentials: credentials(cx),
        nonblocking: description.flags.get() & O_NONBLOCK != 0,
    }
}

/// "Not yet": the answer of a call that does not wait, or the wait. `done` is
/// what it has done already, `timeout` that of the socket.
pub(super) fn not_yet(
    cx: &mut Cx,
    nonblocking: bool,
    timeout: Option<Duration>,
    done: u64,
) -> Stop {
    let deadline = cx.deadline(timeout);
    if nonblocking || cx.expired(deadline) {
        return Errno::EAGAIN.into();
    }
    Stop::Block(Wait {
        deadline,
        done,
        no_restart: timeout.is_some(),
        ..Wait::default()
    })
}

/// Reads an address argument. A Unix path is followed to its file.
pub(super) fn read_address(
    cx: &mut Cx,
    va: u64,
    len: u32,
) -> Result<(Address, Option<Node>), Errno> {
    if len as i32 > ADDRESS_MAX as i32 || (len as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let mut bytes = vec![0; len as usize];
    cx.read(va, &mut bytes)?;
    let address = Address::parse(&bytes)?;
    let node = match &address {
        Address::Unix(UnixName::Path(path)) => Some(node_at(cx, path)?),
        _ => None,
    };
    Ok((address, node))
}

fn node_at(cx: &mut Cx, path: &[u8]) -> Result<Node, Errno> {
    let who = cx.who();
    let stat = who.vfs().stat(&who, &Base::Cwd, path, true)?;
    if !who.may(&stat, 2) {
        return Err(Errno::EACCES);
    }
    if stat.kind() != S_IFSOCK {
        return Err(Errno::ECONNREFUSED);
    }
    Ok((stat.dev, stat.ino))
}

/// Tells the guest an address: as much of it as fits, and its length.
pub(super) fn write_address(
    cx: &mut Cx,
    va: u64,
    len_va: u64,
    address: Option<&Address>,
) -> Result<(), Errno> {
    let room = cx.read_u32(len_va)? as i32;
    if room < 0 {
        return Err(Errno::EINVAL);
    }
    let bytes = address.map(Address::to_bytes).unwrap_or_default();
    let len = bytes.len().min(room as usize);
    cx.write(va, &bytes[..len])?;
    cx.write(len_va, &(bytes.len() as u32).to_le_bytes())
}

/// The flags in a socket's type.
fn split_type(kind: u32) -> Result<(u32, u32), Errno> {
    let flags = kind & !0xf;
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok((kind & 0xf, flags | O_RDWR))
}

/// A socket as the file that it is.
fn as_file(socket: Rc<dyn Socket>) -> Rc<dyn File> {
    socket
}

/// socket(2): domain, type, protocol.
pub(crate) fn socket(cx: &mut Cx) -> Answer {
    let [domain, kind, protocol, ..] = cx.args;
    let (kind, flags) = split_type(kind as u32)?;
    let domain = u16::try_from(domain as u32).map_err(|_| Errno::EAFNOSUPPORT)?;
    let kernel = &cx.kernel;
    let socket = net::socket(
        &kernel.hub,
        &kernel.net,
        kernel.config.net,
        domain,
        kind,
        protocol as u32,
    )?;
    Ok(install(cx, as_file(socket), flags, Vec::new())? as u64)
}

/// socketpair(2): domain, type, protocol, descriptors.
pub(crate) fn socketpair(cx: &mut Cx) -> Answer {
    let [domain, kind, protocol, va, ..] = cx.args;
    let (kind, flags) = split_type(kind as u32)?;
    if domain as u32 != u32::from(net::addr::AF_UNIX) {
        return Err(match domain as u32 {
            2 | 10 => Errno::EOPNOTSUPP,
            _ => Errno::EAFNOSUPPORT,
        }
        .into());
    }
    if protocol > 1 {
        return Err(Errno::EPROTONOSUPPORT.into());
    }
    let kind = match kind {
        3 => net::SOCK_DGRAM,
        net::SOCK_STREAM | net::SOCK_DGRAM | net::SOCK_SEQPACKET => kind,
        _ => return Err(Errno::ESOCKTNOSUPPORT.into()),
    };
    let caller = Caller {
        credentials: credentials(cx),
        nonblocking: false,
    };
    let (a, b) = net::pair(&cx.kernel.hub, &cx.kernel.net, kind, caller);
    install_pair(cx, va, (as_file(a), flags), (as_file(b), flags))
}

/// bind(2): descriptor, address, length.
pub(crate) fn bind(cx: &mut Cx) -> Answer {
    let [fd, va, len, ..] = cx.args;
    let description = cx.file(fd)?;
    let socket = socket_of(&description)?;
    let len = len as u32;
    if len > ADDRESS_MAX {
        return Err(Errno::EINVAL.into());
    }
    let mut bytes = vec![0; len as usize];
    cx.read(va, &mut bytes)?;
    let address = Address::parse(&bytes)?;
    if let Address::Unix(_) = &address
        && socket.domain() != net::addr::AF_UNIX
    {
        return Err(Errno::EAFNOSUPPORT.into());
    }
    let mut node = None;
    if let Address::Unix(UnixName::Path(path)) = &address
        && socket.domain() == net::addr::AF_UNIX
    {
        if !matches!(socket.name(), Ok(Address::Unix(UnixName::Unnamed))) {
            return Err(Errno::EINVAL.into());
        }
        let who = cx.who();
        who.vfs()
            .make_node(&who, &Base::Cwd, path, S_IFSOCK | 0o777)
            .map_err(|errno| match errno {
                Errno::EEXIST => Errno::EADDRINUSE,
                errno => errno,
            })?;
        let stat = who.vfs().stat(&who, &Base::Cwd, path, false)?;
        node = Some((stat.dev, stat.ino));
    }
    socket.bind(&address, node)?;
    Ok(0)
}

/// listen(2): descriptor, backlog.
pub(crate) fn listen(cx: &mut Cx) -> Answer {
    let [fd, backlog, ..] = cx.args;
    let description = cx.file(fd)?;
    let caller = caller(cx, &description);
    // A negative backlog is a large one.
    socket_of(&description)?.listen(backlog as u32, caller)?;
    Ok(0)
}

fn accept_with(cx: &mut Cx, flags: u32) -> Answer {
    let [fd, va, len_va, ..] = cx.args;
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let description = cx.file(fd)?;
    let socket = socket_of(&description)?;
    // Before a connection is taken that could not be given back.
    if va != 0 {
        cx.read_u32(len_va)?;
    }
    let (accepted, peer) = match socket.accept() {
        Err(Errno::EAGAIN) => {
            let nonblocking = description.flags.get() & O_NONBLOCK != 0;
            let timeout = socket.options().receive_timeout();
            return Err(not_yet(cx, nonblocking, timeout, 0));
        }
        result => result?,
    };
    let fd = install(cx, as_file(accepted), flags | O_RDWR, Vec::new())?;
    if va != 0
        && let Err(errno) = write_address(cx, va, len_va, Some(&peer))
    {
        uninstall(cx, fd);
        return Err(errno.into());
    }
    Ok(fd as u64)
}

/// accept(2).
pub(crate) fn accept(cx: &mut Cx) -> Answer {
    accept_with(cx, 0)
}

/// accept4(2).
pub(crate) fn accept4(cx: &mut Cx) -> Answer {
    let flags = cx.args[3] as u32;
    accept_with(cx, flags)
}

/// connect(2): descriptor, address, length.
pub(crate) fn connect(cx: &mut Cx) -> Answer {
    let [fd, va, len, ..] = cx.args;
    let description = cx.file(fd)?;
    let socket = socket_of(&description)?;
    let (address, node) = read_address(cx, va, len as u32)?;
    let unix = socket.domain() == net::addr::AF_UNIX;
    if address != Address::Unspecified && unix != matches!(address, Address::Unix(_)) {
        let errno = if unix {
            Errno::EINVAL
        } else {
            Errno::EAFNOSUPPORT
        };
        return Err(errno.into());
    }
    let caller = caller(cx, &description);
    let progress = socket.connect(&address, node, caller)?;
    let errno = match progress {
        Connecting::Done => return Ok(0),
        Connecting::InProgress => Errno::EINPROGRESS,
        Connecting::Already => Errno::EALREADY,
        Connecting::Full => Errno::EAGAIN,
    };
    if caller.nonblocking {
        return Err(errno.into());
    }
    match not_yet(cx, false, socket.options().send_timeout(), 0) {
        Stop::Errno(_) if errno != Errno::EAGAIN => Err(Errno::EINPROGRESS.into()),
        stop => Err(stop),
    }
}

/// getsockname(2).
pub(crate) fn getsockname(cx: &mut Cx) -> Answer {
    let [fd, va, len_va, ..] = cx.args;
    let description = cx.file(fd)?;
    let name = socket_of(&description)?.name()?;
    write_address(cx, va, len_va, Some(&name))?;
    Ok(0)
}

/// getpeername(2).
pub(crate) fn getpeername(cx: &mut Cx) -> Answer {
    let [fd, va, len_va, ..] = cx.args;
    let description = cx.file(fd)?;
    let name = socket_of(&description)?.peer()?;
    write_address(cx, va, len_va, Some(&name))?;
    Ok(0)
}

/// shutdown(2): descriptor, how.
pub(crate) fn shutdown(cx: &mut Cx) -> Answer {
    let [fd, how, ..] = cx.args;
    let description = cx.file(fd)?;
    let socket = socket_of(&description)?;
    match how as i32 {
        0 => socket.shutdown(true, false)?,
        1 => socket.shutdown(false, true)?,
        2 => socket.shutdown(true, true)?,
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

/// setsockopt(2): descriptor, level, name, value, length.
pub(crate) fn setsockopt(cx: &mut Cx) -> Answer {
    const TCP_CONGESTION: u32 = 13;
    let [fd, level, name, va, len, _] = cx.args;
    let (level, name, len) = (level as u32, name as u32, len as i32);
    let description = cx.file(fd)?;
    let socket = socket_of(&description)?;
    if !(0..=OPTION_MAX).contains(&len) {
        return Err(Errno::EINVAL.into());
    }
    let mut bytes = vec![0; len as usize];
    cx.read(va, &mut bytes)?;
    check_level(socket, level)?;
    if (level, name) == (options::SOL_TCP, TCP_CONGESTION) {
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        return match &bytes[..end] {
            b"cubic" | b"reno" => Ok(0),
            _ => Err(Errno::ENOENT.into()),
        };
    }
    let name = socket.options().set(level, name, &bytes)?;
    socket.option_set(level, name)?;
    cx.kernel.stir();
    Ok(0)
}

/// Whether a socket has options of this level at all.
fn check_level(socket: &dyn Socket, level: u32) -> Result<(), Errno> {
    let (v6, inet) = (
        socket.domain() == net::addr::AF_INET6,
        socket.domain() != net::addr::AF_UNIX,
    );
    let known = match level {
        options::SOL_SOCKET => true,
        options::SOL_IP => inet,
        options::SOL_TCP => inet && socket.kind() == net::SOCK_STREAM,
        options::SOL_UDP => inet && socket.kind() == net::SOCK_DGRAM,
        options::SOL_IPV6 => v6,
        _ => false,
    };
    match known {
        true => Ok(()),
        false if inet => Err(Errno::ENOPROTOOPT),
        false => Err(Errno::EOPNOTSUPP),
    }
}

/// getsockopt(2): descriptor, level, name, value, length.
pub(crate) fn getsockopt(cx: &mut Cx) -> Answer {
    let [fd, level, name, va, len_va, _] = cx.args;
    let (level, name) = (level as u32, name as u32);
    let description = cx.file(fd)?;
    let socket = socket_of(&description)?;
    let room = cx.read_u32(len_va)? as i32;
    if room < 0 {
        return Err(Errno::EINVAL.into());
    }
    check_level(socket, level)?;
    let bytes = match computed(cx, socket, level, name) {
        Some(bytes) => bytes,
        None => socket.options().get(level, name)?,
    };
    let len = bytes.len().min(room as usize);
    cx.write(va, &bytes[..len])?;
    cx.write(len_va, &(len as u32).to_le_bytes())?;
    Ok(0)
}

/// Options that are not kept but found out.
fn computed(cx: &mut Cx, socket: &dyn Socket, level: u32, name: u32) -> Option<Vec<u8>> {
    use crate::net::options::{
        SO_ACCEPTCONN, SO_DOMAIN, SO_ERROR, SO_PEERCRED, SO_PROTOCOL, SO_TYPE, SOL_SOCKET, SOL_TCP,
    };
    const TCP_INFO: u32 = 11;
    const TCP_CONGESTION: u32 = 13;
    const SO_COOKIE: u32 = 57;
    let word = |value: u32| Some(value.to_le_bytes().to_vec());
    match (level, name) {
        (SOL_SOCKET, SO_TYPE) => word(socket.kind()),
        (SOL_SOCKET, SO_DOMAIN) => word(socket.domain().into()),
        (SOL_SOCKET, SO_PROTOCOL) => word(socket.protocol()),
        (SOL_SOCKET, SO_ACCEPTCONN) => word(socket.listens().into()),
        (SOL_SOCKET, SO_ERROR) => {
            let error = socket.take_error();
            cx.kernel.stir();
            word(error.map_or(0, |errno| errno.0.into()))
        }
        (SOL_SOCKET, SO_PEERCRED) if socket.domain() == net::addr::AF_UNIX => {
            let who = socket.peer_credentials().unwrap_or(Credentials {
                pid: 0,
                uid: u32::MAX,
                gid: u32::MAX,
            });
            Some([who.pid, who.uid, who.gid].map(u32::to_le_bytes).concat())
        }
        (SOL_SOCKET, SO_COOKIE) => {
            let stat = socket.stat().ok()?;
            Some(stat.ino.to_le_bytes().to_vec())
        }
        (SOL_TCP, TCP_INFO) => {
            // The state; of the rest nothing is known.
            let mut info = vec![0; 104];
            info[0] = match (socket.listens(), socket.peer()) {
                (true, _) => 10,
                (_, Ok(_)) => 1,
                _ => 7,
            };
            Some(info)
        }
        (SOL_TCP, TCP_CONGESTION) => Some(b"cubic\0\0\0\0\0\0\0\0\0\0\0".to_vec()),
        _ => None,
    }
}
