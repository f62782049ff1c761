//! Sending and receiving on sockets (send(2), recv(2), cmsg(3)).

use std::rc::Rc;
use std::time::Duration;

use super::file::{Piece, part, raise};
use super::pipe::{install_description, uninstall};
use super::socket::{credentials, not_yet, read_address, socket_of, write_address};
use super::{Answer, Cx, Stop};
use crate::errno::Errno;
use crate::fs::{Ask, Description, O_CLOEXEC, O_NONBLOCK};
use crate::net::options::{SO_PASSCRED, SOL_SOCKET};
use crate::net::{
    self, Address, Credentials, MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_DONTWAIT, MSG_EOR, MSG_ERRQUEUE,
    MSG_NOSIGNAL, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_WAITFORONE, Node, RIGHTS_MAX,
    Received, Rights, SOCK_SEQPACKET, SOCK_STREAM, Socket,
};
use crate::signal::SIGPIPE;

/// Bytes that move at a time.
const CHUNK: u64 = 64 << 10;
/// The longest message (none is sent that does not fit a socket's buffer).
const MESSAGE_MAX: u64 = 1 << 20;
/// The most control data (`net.core.optmem_max`).
const CONTROL_MAX: u64 = 20480;
/// Bytes of `struct msghdr`, and of `struct mmsghdr` around it.
const MSGHDR: usize = 56;
const MMSGHDR: u64 = 64;
/// The most messages of one call.
const MESSAGES_MAX: u32 = 1024;
/// Control messages of `SOL_SOCKET`.
const SCM_RIGHTS: u32 = 1;
const SCM_CREDENTIALS: u32 = 2;

/// `struct msghdr`.
struct Header {
    name: u64,
    name_len: u32,
    pieces: Vec<Piece>,
    control: u64,
    control_len: u64,
}

impl Header {
    fn read(cx: &mut Cx, va: u64) -> Result<Self, Errno> {
        let mut bytes = [0; MSGHDR];
        cx.read(va, &mut bytes)?;
        let word = |at: usize| {
            let word = bytes.get(at..at + 8).and_then(<[u8]>::first_chunk);
            word.map_or(0, |word| u64::from_le_bytes(*word))
        };
        let (iov, count) = (word(16), word(24));
        if count > 1024 {
            return Err(Errno::EMSGSIZE);
        }
        Ok(Self {
            name: word(0),
            name_len: word(8) as u32,
            pieces: cx.pieces(iov, count)?,
            control: word(32),
            control_len: word(40),
        })
    }
}

fn total(pieces: &[Piece]) -> u64 {
    pieces
        .iter()
        .fold(0, |sum, piece| u64::saturating_add(sum, piece.1))
}

/// Reads what the pieces hold from byte `skip` on, at most `len` bytes.
fn gather(cx: &mut Cx, pieces: &[Piece], skip: u64, len: u64) -> Result<Vec<u8>, Errno> {
    let mut out = Vec::new();
    for (va, size) in part(pieces, skip, len) {
        let at = out.len();
        out.resize(at + size as usize, 0);
        cx.read(va, &mut out[at..])?;
    }
    Ok(out)
}

/// Writes bytes into the pieces from byte `skip` on.
fn scatter(cx: &mut Cx, pieces: &[Piece], skip: u64, mut bytes: &[u8]) -> Result<(), Errno> {
    for (va, size) in part(pieces, skip, bytes.len() as u64) {
        let (here, rest) = bytes.split_at(bytes.len().min(size as usize));
        cx.write(va, here)?;
        bytes = rest;
    }
    Ok(())
}

/// What a message carries besides its bytes.
#[derive(Default)]
struct Ancillary {
    files: Vec<Rc<Description>>,
    sender: Option<Credentials>,
}

/// Reads the control data of a message to a Unix socket.
fn read_control(cx: &mut Cx, control: u64, len: u64) -> Result<Ancillary, Errno> {
    if len > CONTROL_MAX {
        return Err(Errno::ENOBUFS);
    }
    let mut bytes = vec![0; len as usize];
    cx.read(control, &mut bytes)?;
    let mut ancillary = Ancillary::default();
    let mut rest = bytes.as_slice();
    // A header: length with itself, level, type.
    while let Some((head, _)) = rest.split_first_chunk::<16>() {
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let len = u64::from(word(0)) | u64::from(word(4)) << 32;
        let (level, kind) = (word(8), word(12));
        let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
        let data = rest.get(16..len).ok_or(Errno::EINVAL)?;
        match (level, kind) {
            (SOL_SOCKET, SCM_RIGHTS) => {
                for fd in data.as_chunks::<4>().0 {
                    let file = cx.file(u32::from_le_bytes(*fd).into())?;
                    ancillary.files.push(file);
                }
                if ancillary.files.len() > RIGHTS_MAX {
                    return Err(Errno::EINVAL);
                }
            }
            (SOL_SOCKET, SCM_CREDENTIALS) => {
                let words: &[u8; 12] = data.first_chunk().ok_or(Errno::EINVAL)?;
                let word = |at: usize| {
                    u32::from_le_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]])
                };
                let claimed = Credentials {
                    pid: word(0),
                    uid: word(4),
                    gid: word(8),
                };
                let own = credentials(cx);
                if own.uid != 0 && claimed != own {
                    return Err(Errno::EPERM);
                }
                if !cx.kernel.processes.contains_key(&claimed.pid) {
                    return Err(Errno::ESRCH);
                }
                ancillary.sender = Some(claimed);
            }
            (SOL_SOCKET, _) => return Err(Errno::EINVAL),
            // Wishes about packets, which nobody here has.
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    Ok(ancillary)
}

/// A message to be sent.
struct Sending<'a> {
    pieces: &'a [Piece],
    flags: u32,
    to: Option<(Address, Option<Node>)>,
    control: (u64, u64),
    /// Whether a blocking call goes on until all is sent.
    whole: bool,
}

fn send(cx: &mut Cx, description: &Description, message: Sending<'_>) -> Answer {
    let tid = cx.tid;
    let socket = socket_of(description)?;
    description.file.ask(cx.kernel, tid, Ask::Write)?;
    let stream = socket.kind() == SOCK_STREAM;
    let flags = message.flags;
    if flags & MSG_OOB != 0 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let wanted = total(message.pieces);
    if !stream && wanted > MESSAGE_MAX {
        return Err(Errno::EMSGSIZE.into());
    }
    let mut done = match message.whole {
        true => cx.earlier.as_ref().map_or(0, |earlier| earlier.wait.done),
        false => 0,
    };
    let mut sender = credentials(cx);
    let mut rights: Option<Rights> = None;
    // They go with the first byte.
    if done == 0 && socket.domain() == net::addr::AF_UNIX && message.control.1 > 0 {
        let ancillary = read_control(cx, message.control.0, message.control.1)?;
        sender = ancillary.sender.unwrap_or(sender);
        if !ancillary.files.is_empty() {
            rights = Some(cx.kernel.net.in_flight.send(ancillary.files)?);
        }
    }
    let to = message.to.as_ref().map(|(to, node)| (to, *node));
    let nonblocking = description.flags.get() & O_NONBLOCK != 0 || flags & MSG_DONTWAIT != 0;
    loop {
        let most = if stream { CHUNK } else { MESSAGE_MAX };
        let bytes = match gather(
            cx,
            message.pieces,
            done,
            most.min(wanted - done.min(wanted)),
        ) {
            Err(errno) if done == 0 => return Err(errno.into()),
            Err(_) => return Ok(done),
            Ok(bytes) => bytes,
        };
        match socket.send(&bytes, to, &mut rights, sender) {
            Ok(len) => {
                done += len as u64;
                if !stream || done >= wanted || len == 0 {
                    return Ok(done);
                }
            }
            Err(Errno::EAGAIN) if done > 0 && (nonblocking || !message.whole) => return Ok(done),
            Err(Errno::EAGAIN) => {
                let timeout = socket.options().send_timeout();
                return match not_yet(cx, nonblocking, timeout, done) {
                    Stop::Errno(_) if done > 0 => Ok(done),
                    stop => Err(stop),
                };
            }
            Err(_) if done > 0 => return Ok(done),
            Err(errno) => {
                let packets = socket.kind() == SOCK_SEQPACKET;
                if errno == Errno::EPIPE && (stream || packets) && flags & MSG_NOSIGNAL == 0 {
                    raise(cx, SIGPIPE);
                }
                return Err(errno.into());
            }
        }
    }
}

/// sendto(2): descriptor, bytes, length, flags, address, its length.
pub(crate) fn sendto(cx: &mut Cx) -> Answer {
    let [fd, va, len, flags, to, to_len] = cx.args;
    let description = cx.file(fd)?;
    socket_of(&description)?;
    let to = match to {
        0 => None,
        _ => Some(read_address(cx, to, to_len as u32)?),
    };
    let message = Sending {
        pieces: &[(va, len.min(i32::MAX as u64))],
        flags: flags as u32,
        to,
        control: (0, 0),
        whole: true,
    };
    send(cx, &description, message)
}

fn send_header(cx: &mut Cx, description: &Description, va: u64, flags: u32, whole: bool) -> Answer {
    let header = Header::read(cx, va)?;
    let to = match header.name {
        0 => None,
        _ if header.name_len == 0 => None,
        name => Some(read_address(cx, name, header.name_len)?),
    };
    let message = Sending {
        pieces: &header.pieces,
        flags,
        to,
        control: (header.control, header.control_len),
        whole,
    };
    send(cx, description, message)
}

/// sendmsg(2): descriptor, message, flags.
pub(crate) fn sendmsg(cx: &mut Cx) -> Answer {
    let [fd, va, flags, ..] = cx.args;
    let description = cx.file(fd)?;
    socket_of(&description)?;
    send_header(cx, &description, va, flags as u32, true)
}

/// sendmmsg(2): descriptor, messages, how many, flags.
pub(crate) fn sendmmsg(cx: &mut Cx) -> Answer {
    let [fd, va, count, flags, ..] = cx.args;
    let description = cx.file(fd)?;
    socket_of(&description)?;
    let count = (count as u32).min(MESSAGES_MAX);
    let mut done = earlier_done(cx);
    while done < u64::from(count) {
        let at = va.wrapping_add(done * MMSGHDR);
        match send_header(cx, &description, at, flags as u32, false) {
            Ok(len) => {
                let place = at.wrapping_add(MSGHDR as u64);
                if let Err(errno) = cx.write(place, &(len as u32).to_le_bytes()) {
                    return if done > 0 {
                        Ok(done)
                    } else {
                        Err(errno.into())
                    };
                }
                done += 1;
            }
            Err(Stop::Block(mut wait)) => {
                wait.done = done;
                return Err(Stop::Block(wait));
            }
            Err(_) if done > 0 => break,
            Err(stop) => return Err(stop),
        }
    }
    Ok(done)
}

fn earlier_done(cx: &Cx) -> u64 {
    cx.earlier.as_ref().map_or(0, |earlier| earlier.wait.done)
}

/// Receives into the pieces, from byte `skip` on. EAGAIN if there is nothing.
fn receive_once(
    cx: &mut Cx,
    socket: &dyn Socket,
    pieces: &[Piece],
    skip: u64,
    flags: u32,
) -> Result<Received, Errno> {
    let left = total(pieces).saturating_sub(skip);
    let most = match socket.kind() {
        SOCK_STREAM => left.min(CHUNK),
        _ => left.min(MESSAGE_MAX),
    };
    let mut buffer = vec![0; most as usize];
    let received = socket.recv(&mut buffer, flags & MSG_PEEK)?;
    scatter(cx, pieces, skip, &buffer[..received.len])?;
    Ok(received)
}

/// Receives a message, waiting if need be. Gives it and the result of the
/// call. `resumes`: the call may go on where an earlier try stopped.
fn receive(
    cx: &mut Cx,
    description: &Description,
    pieces: &[Piece],
    flags: u32,
    resumes: bool,
) -> Result<(Received, u64), Stop> {
    let tid = cx.tid;
    let socket = socket_of(description)?;
    description.file.ask(cx.kernel, tid, Ask::Read)?;
    if flags & MSG_OOB != 0 {
        let errno = match socket.domain() {
            net::addr::AF_UNIX => Errno::EOPNOTSUPP,
            _ => Errno::EINVAL,
        };
        return Err(errno.into());
    }
    // There are no errors but that which recv itself gives.
    if flags & MSG_ERRQUEUE != 0 {
        return Err(Errno::EAGAIN.into());
    }
    let stream = socket.kind() == SOCK_STREAM;
    let wanted = total(pieces);
    let all = stream && flags & MSG_WAITALL != 0 && flags & MSG_PEEK == 0 && resumes;
    let nonblocking = description.flags.get() & O_NONBLOCK != 0 || flags & MSG_DONTWAIT != 0;
    let mut done = if all { earlier_done(cx) } else { 0 };
    loop {
        match receive_once(cx, socket, pieces, done, flags) {
            Ok(mut received) => {
                let len = received.len as u64;
                done += len;
                if all && len > 0 && done < wanted && received.rights.is_empty() {
                    continue;
                }
                let result = match flags & MSG_TRUNC {
                    0 => done,
                    _ if stream => done,
                    _ => received.full_len as u64,
                };
                received.len = done as usize;
                return Ok((received, result));
            }
            Err(Errno::EAGAIN) => {
                let timeout = socket.options().receive_timeout();
                match not_yet(cx, nonblocking, timeout, done) {
                    Stop::Errno(_) if done > 0 => {}
                    stop => return Err(stop),
                }
                return Ok((Received::default(), done));
            }
            Err(_) if done > 0 => return Ok((Received::default(), done)),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// recvfrom(2): descriptor, buffer, length, flags, address, its length.
pub(crate) fn recvfrom(cx: &mut Cx) -> Answer {
    let [fd, va, len, flags, from, from_len] = cx.args;
    let description = cx.file(fd)?;
    let pieces = [(va, len.min(i32::MAX as u64))];
    let (received, result) = receive(cx, &description, &pieces, flags as u32, true)?;
    if from != 0 {
        write_address(cx, from, from_len, received.from.as_ref())?;
    }
    Ok(result)
}

/// Receives by a header. `whole` as in [`receive`].
fn receive_header(
    cx: &mut Cx,
    description: &Description,
    va: u64,
    flags: u32,
    whole: bool,
) -> Answer {
    let header = Header::read(cx, va)?;
    let passes_credentials = socket_of(description)?
        .options()
        .on(SOL_SOCKET, SO_PASSCRED);
    let (received, result) = receive(cx, description, &header.pieces, flags, whole)?;
    let mut out_flags = flags & MSG_CMSG_CLOEXEC;
    if received.truncated {
        out_flags |= MSG_TRUNC;
    }
    if socket_of(description)?.kind() == SOCK_SEQPACKET && received.sender.is_some() {
        out_flags |= MSG_EOR;
    }
    let name_len = match (&received.from, header.name) {
        (Some(from), name) if name != 0 => {
            let bytes = from.to_bytes();
            let len = bytes.len().min(header.name_len as usize);
            cx.write(name, &bytes[..len])?;
            bytes.len() as u32
        }
        _ => 0,
    };
    cx.write(va.wrapping_add(8), &name_len.to_le_bytes())?;
    let mut control = Control {
        at: header.control,
        room: header.control_len,
        used: 0,
    };
    if let Some(sender) = received.sender.filter(|_| passes_credentials) {
        let words = [sender.pid, sender.uid, sender.gid]
            .map(u32::to_le_bytes)
            .concat();
        if !control.put(cx, SCM_CREDENTIALS, &words)? {
            out_flags |= MSG_CTRUNC;
        }
    }
    if !received.rights.is_empty() && !give_files(cx, &mut control, received.rights, flags)? {
        out_flags |= MSG_CTRUNC;
    }
    cx.write(va.wrapping_add(40), &control.used.to_le_bytes())?;
    cx.write(va.wrapping_add(48), &out_flags.to_le_bytes())?;
    Ok(result)
}

/// Where control data goes.
struct Control {
    at: u64,
    room: u64,
    used: u64,
}

impl Control {
    /// Adds a message of `SOL_SOCKET`; false if it was cut or left out.
    fn put(&mut self, cx: &mut Cx, kind: u32, data: &[u8]) -> Result<bool, Errno> {
        let room = self.room.saturating_sub(self.used);
        if self.at == 0 || room < 16 {
            return Ok(false);
        }
        let len = (16 + data.len() as u64).min(room);
        let mut bytes = len.to_le_bytes().to_vec();
        bytes.extend_from_slice(&SOL_SOCKET.to_le_bytes());
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(&data[..len as usize - 16]);
        cx.write(self.at.wrapping_add(self.used), &bytes)?;
        self.used += len.next_multiple_of(8).min(room);
        Ok(len == 16 + data.len() as u64)
    }
}

/// Gives the receiver descriptors of the files that came; false if not all
/// had room.
fn give_files(
    cx: &mut Cx,
    control: &mut Control,
    files: Vec<Rc<Description>>,
    flags: u32,
) -> Result<bool, Errno> {
    let room = control.room.saturating_sub(control.used).saturating_sub(16) / 4;
    let room = if control.at == 0 { 0 } else { room as usize };
    let count = files.len();
    let cloexec = flags & MSG_CMSG_CLOEXEC != 0;
    let mut fds = Vec::new();
    for file in files.into_iter().take(room) {
        let flags = if cloexec { O_CLOEXEC } else { 0 };
        match install_description(cx, file, flags) {
            Ok(fd) => fds.push(fd),
            // No descriptor is free: the rest is closed.
            Err(_) => break,
        }
    }
    if fds.is_empty() {
        return Ok(false);
    }
    let data: Vec<u8> = fds.iter().flat_map(|fd| fd.to_le_bytes()).collect();
    match control.put(cx, SCM_RIGHTS, &data) {
        Ok(_) => Ok(fds.len() == count),
        Err(errno) => {
            for fd in fds {
                uninstall(cx, fd);
            }
            Err(errno)
        }
    }
}

/// recvmsg(2): descriptor, message, flags.
pub(crate) fn recvmsg(cx: &mut Cx) -> Answer {
    let [fd, va, flags, ..] = cx.args;
    let description = cx.file(fd)?;
    receive_header(cx, &description, va, flags as u32, true)
}

/// recvmmsg(2): descriptor, messages, how many, flags, time-out.
pub(crate) fn recvmmsg(cx: &mut Cx) -> Answer {
    let [fd, va, count, flags, time, _] = cx.args;
    let description = cx.file(fd)?;
    socket_of(&description)?;
    let count = (count as u32).min(MESSAGES_MAX);
    let timeout: Option<Duration> = match time {
        0 => None,
        _ => Some(cx.timespec(time)?),
    };
    let deadline = match timeout {
        Some(_) => cx.deadline(timeout),
        None => None,
    };
    let mut flags = flags as u32;
    let mut done = earlier_done(cx);
    while done < u64::from(count) {
        if done > 0 && (flags & MSG_WAITFORONE != 0 || cx.expired(deadline)) {
            flags |= MSG_DONTWAIT;
        }
        let at = va.wrapping_add(done * MMSGHDR);
        match receive_header(cx, &description, at, flags & !MSG_WAITFORONE, false) {
            Ok(len) => {
                let place = at.wrapping_add(MSGHDR as u64);
                if let Err(errno) = cx.write(place, &(len as u32).to_le_bytes()) {
                    return if done > 0 {
                        Ok(done)
                    } else {
                        Err(errno.into())
                    };
                }
                done += 1;
            }
            Err(Stop::Block(mut wait)) => {
                if cx.expired(deadline) {
                    break;
                }
                wait.done = done;
                wait.deadline = wait.deadline.or(deadline);
                return Err(Stop::Block(wait));
            }
            Err(_) if done > 0 => break,
            Err(stop) => return Err(stop),
        }
    }
    Ok(done)
}
