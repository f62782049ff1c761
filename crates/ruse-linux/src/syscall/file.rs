//! Reading, writing and positions of open files.

use std::rc::Rc;

use super::{Answer, Cx, Stop};
use crate::errno::Errno;
use crate::fs::{
    Ask, Base, Description, O_APPEND, O_DSYNC, O_NONBLOCK, O_PATH, O_SYNC, S_IFREG, Who,
};
use crate::mm::Access;
use crate::process::rlimit;
use crate::signal::{self, SIGPIPE, SIGXFSZ};

/// The most that one call moves (`MAX_RW_COUNT`).
const MOST: u64 = 0x7fff_f000;
/// What is moved at a time, through a buffer of ours.
const CHUNK: usize = 256 * 1024;
/// `UIO_MAXIOV`.
const IOV_MAX: u64 = 1024;

/// A piece of guest memory: address and length.
pub(super) type Piece = (u64, u64);

impl Cx<'_> {
    /// Who calls, for the tree of files.
    pub(crate) fn who(&self) -> Who<'_> {
        Who::of(self.kernel, self.tid)
    }

    /// What the path that goes with a directory argument is relative to.
    pub(crate) fn base(&mut self, fd: u64, path: &[u8]) -> Result<Base, Errno> {
        if fd as i32 == crate::abi::AT_FDCWD || path.first() == Some(&b'/') {
            return Ok(Base::Cwd);
        }
        let file = self.file(fd)?;
        // An empty path may name the file itself, whatever it is.
        if file.file.directory().is_none() && !path.is_empty() {
            return Err(Errno::ENOTDIR);
        }
        Ok(Base::File(file))
    }

    /// An `iovec` array argument.
    pub(crate) fn pieces(&mut self, va: u64, count: u64) -> Result<Vec<Piece>, Errno> {
        if count > IOV_MAX {
            return Err(Errno::EINVAL);
        }
        let bytes = self.bytes(va, count * 16, IOV_MAX * 16)?;
        let mut left = MOST;
        let mut pieces = Vec::with_capacity(count as usize);
        for entry in bytes.chunks_exact(16) {
            let (base, len) = entry.split_at(8);
            let word = |half: &[u8]| half.iter().rev().fold(0, |w, &b| w << 8 | u64::from(b));
            let (base, len) = (word(base), word(len));
            if len > i64::MAX as u64 {
                return Err(Errno::EINVAL);
            }
            let len = len.min(left);
            left -= len;
            if len > 0 {
                pieces.push((base, len));
            }
        }
        Ok(pieces)
    }

    fn seekable(&mut self, fd: u64) -> Result<Rc<Description>, Errno> {
        let file = self.file(fd)?;
        if !file.file.seekable() {
            return Err(Errno::ESPIPE);
        }
        Ok(file)
    }
}

/// The offset of a call that names one: not negative.
pub(super) fn offset(arg: u64) -> Result<u64, Errno> {
    if arg > i64::MAX as u64 {
        Err(Errno::EINVAL)
    } else {
        Ok(arg)
    }
}

/// A call cannot go on now: it waits, unless the file is `O_NONBLOCK`, and
/// on a socket as long as that says.
pub(super) fn would_block(cx: &mut Cx, file: &Description, what: Ask, done: u64) -> Stop {
    let timeout = file.file.socket().and_then(|socket| match what {
        Ask::Write => socket.options().send_timeout(),
        _ => socket.options().receive_timeout(),
    });
    let nonblocking = file.flags.get() & O_NONBLOCK != 0;
    super::socket::not_yet(cx, nonblocking, timeout, done)
}

/// A signal for the caller, because of what it does.
pub(super) fn raise(cx: &mut Cx, signal: u32) {
    let pid = cx.thread().pid;
    let uid = cx.process().credentials.ruid;
    let info = signal::SigInfo::user(signal, pid, uid);
    signal::send_thread(cx.kernel, cx.tid, info);
}

/// A buffer for as much as moves at a time.
fn buffer(len: u64) -> Vec<u8> {
    vec![0; len.min(CHUNK as u64) as usize]
}

fn total(pieces: &[Piece]) -> u64 {
    pieces.iter().map(|piece| piece.1).sum()
}

/// The pieces from byte `skip` on, at most `len` bytes of them.
pub(super) fn part(pieces: &[Piece], mut skip: u64, mut len: u64) -> Vec<Piece> {
    let mut out = Vec::new();
    for &(va, size) in pieces {
        if skip >= size {
            skip -= size;
            continue;
        }
        let take = (size - skip).min(len);
        if take == 0 {
            break;
        }
        out.push((va.wrapping_add(skip), take));
        len -= take;
        skip = 0;
    }
    out
}

/// Reads into guest memory: at `at`, or at the description's own offset.
fn read_into(cx: &mut Cx, file: &Rc<Description>, pieces: &[Piece], at: Option<u64>) -> Answer {
    if !file.readable() {
        return Err(Errno::EBADF.into());
    }
    if file.file.directory().is_some() {
        return Err(Errno::EISDIR.into());
    }
    file.file.ask(cx.kernel, cx.tid, Ask::Read)?;
    let seekable = file.file.seekable();
    let wanted = total(pieces);
    let mut from = at.unwrap_or_else(|| file.offset.get());
    let mut done = 0;
    let mm = cx.mm();
    let mut buffer = buffer(wanted);
    loop {
        let targets = part(pieces, done, buffer.len() as u64);
        let mut len = total(&targets);
        if !seekable && len > 0 {
            // What is taken from a stream must arrive.
            len = 0;
            for &(va, size) in &targets {
                let reach = mm.borrow_mut().reachable(va, size, Access::Store);
                len += reach;
                if reach < size {
                    break;
                }
            }
            if len == 0 {
                return Err(Errno::EFAULT.into());
            }
        }
        let got = match read_in(cx, file, from, &mut buffer[..len as usize]) {
            Ok(got) => got.min(len as usize),
            Err(_) if done > 0 => break,
            Err(Errno::EAGAIN) => return Err(would_block(cx, file, Ask::Read, 0)),
            Err(error) => return Err(error.into()),
        };
        let mut copied = 0;
        for (va, size) in part(pieces, done, got as u64) {
            let bytes = &buffer[copied..copied + size as usize];
            if let Err(error) = mm.borrow_mut().write(va, bytes) {
                if done == 0 && copied == 0 {
                    return Err(error.into());
                }
                break;
            }
            copied += size as usize;
        }
        done += copied as u64;
        from = from.saturating_add(copied as u64);
        if !seekable || got == 0 || copied < got || got < len as usize || done >= wanted {
            break;
        }
    }
    if seekable && at.is_none() {
        file.offset.set(from);
    }
    Ok(done)
}

/// How much of a write at `from` the file size limit leaves.
fn size_limit(cx: &mut Cx, from: u64, len: u64) -> Result<u64, Stop> {
    let (most, _) = cx.process().rlimit(rlimit::FSIZE);
    if len > 0 && from >= most {
        raise(cx, SIGXFSZ);
        return Err(Errno::EFBIG.into());
    }
    Ok(len.min(most - from))
}

/// Writes from guest memory: at `at`, or at the description's own offset.
fn write_from(
    cx: &mut Cx,
    file: &Rc<Description>,
    pieces: &[Piece],
    at: Option<u64>,
    append: bool,
) -> Answer {
    if !file.writable() {
        return Err(Errno::EBADF.into());
    }
    file.file.ask(cx.kernel, cx.tid, Ask::Write)?;
    let seekable = file.file.seekable();
    let mut wanted = total(pieces);
    let mut to = match at {
        _ if seekable && (append || file.flags.get() & O_APPEND != 0) => file.file.stat()?.size,
        Some(at) => at,
        None => file.offset.get(),
    };
    if seekable {
        let most = (i64::MAX as u64).saturating_sub(to);
        if most == 0 && wanted > 0 {
            return Err(Errno::EFBIG.into());
        }
        wanted = size_limit(cx, to, wanted.min(most))?;
    }
    let mut done = cx.earlier.as_ref().map_or(0, |earlier| earlier.wait.done);
    let mm = cx.mm();
    let mut buffer = buffer(wanted - done.min(wanted));
    let mut failed = None;
    loop {
        let sources = part(
            pieces,
            done,
            (buffer.len() as u64).min(wanted - done.min(wanted)),
        );
        let mut len = 0;
        for &(va, size) in &sources {
            let out = &mut buffer[len..len + size as usize];
            if let Err(error) = mm.borrow_mut().read(va, out) {
                failed = Some(error);
                break;
            }
            len += size as usize;
        }
        if len == 0 && failed.is_some() {
            break;
        }
        match write_in(cx, file, to, &buffer[..len]) {
            Ok(put) => {
                done += put.min(len) as u64;
                to = to.saturating_add(put as u64);
                if failed.is_some() || done >= wanted || put == 0 {
                    break;
                }
                // A file that took less has no room; a stream will say so.
                if seekable && put < len {
                    break;
                }
            }
            Err(Errno::EAGAIN) if file.flags.get() & O_NONBLOCK == 0 => {
                return match would_block(cx, file, Ask::Write, done) {
                    Stop::Errno(_) if done > 0 => Ok(done),
                    stop => Err(stop),
                };
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    if seekable && at.is_none() && done > 0 {
        file.offset.set(to);
    }
    if seekable && done > 0 && file.flags.get() & O_DSYNC != 0 {
        file.file.sync(file.flags.get() & O_SYNC != O_SYNC)?;
    }
    match failed {
        Some(error) if done == 0 => {
            if error == Errno::EPIPE {
                raise(cx, SIGPIPE);
            }
            Err(error.into())
        }
        _ => Ok(done),
    }
}

/// Reads from a file, which gets first what was written through mappings.
pub(super) fn read_in(
    cx: &mut Cx,
    file: &Description,
    at: u64,
    out: &mut [u8],
) -> Result<usize, Errno> {
    if file.file.seekable() {
        cx.kernel.memory.before_read(file)?;
    }
    file.file.read_in(cx.kernel, at, out)
}

/// Writes to a file, and lets its mappings see it.
pub(super) fn write_in(
    cx: &mut Cx,
    file: &Description,
    at: u64,
    bytes: &[u8],
) -> Result<usize, Errno> {
    let put = file.file.write_in(cx.kernel, at, bytes)?;
    if file.file.seekable() {
        let put = bytes.get(..put).unwrap_or(bytes);
        cx.kernel.memory.after_write(file, at, put)?;
    }
    Ok(put)
}

pub(crate) fn read(cx: &mut Cx) -> Answer {
    let [fd, va, len, ..] = cx.args;
    let file = cx.file(fd)?;
    read_into(cx, &file, &[(va, len.min(MOST))], None)
}

pub(crate) fn write(cx: &mut Cx) -> Answer {
    let [fd, va, len, ..] = cx.args;
    let file = cx.file(fd)?;
    write_from(cx, &file, &[(va, len.min(MOST))], None, false)
}

pub(crate) fn readv(cx: &mut Cx) -> Answer {
    let [fd, va, count, ..] = cx.args;
    let file = cx.file(fd)?;
    let pieces = cx.pieces(va, count)?;
    read_into(cx, &file, &pieces, None)
}

pub(crate) fn writev(cx: &mut Cx) -> Answer {
    let [fd, va, count, ..] = cx.args;
    let file = cx.file(fd)?;
    let pieces = cx.pieces(va, count)?;
    write_from(cx, &file, &pieces, None, false)
}

pub(crate) fn pread64(cx: &mut Cx) -> Answer {
    let [fd, va, len, at, ..] = cx.args;
    let at = offset(at)?;
    let file = cx.seekable(fd)?;
    read_into(cx, &file, &[(va, len.min(MOST))], Some(at))
}

pub(crate) fn pwrite64(cx: &mut Cx) -> Answer {
    let [fd, va, len, at, ..] = cx.args;
    let at = offset(at)?;
    let file = cx.seekable(fd)?;
    write_from(cx, &file, &[(va, len.min(MOST))], Some(at), false)
}

pub(crate) fn preadv(cx: &mut Cx) -> Answer {
    let [fd, va, count, at, ..] = cx.args;
    let at = offset(at)?;
    let file = cx.seekable(fd)?;
    let pieces = cx.pieces(va, count)?;
    read_into(cx, &file, &pieces, Some(at))
}

pub(crate) fn pwritev(cx: &mut Cx) -> Answer {
    let [fd, va, count, at, ..] = cx.args;
    let at = offset(at)?;
    let file = cx.seekable(fd)?;
    let pieces = cx.pieces(va, count)?;
    write_from(cx, &file, &pieces, Some(at), false)
}

const RWF_HIPRI: u64 = 1;
const RWF_DSYNC: u64 = 2;
const RWF_SYNC: u64 = 4;
const RWF_NOWAIT: u64 = 8;
const RWF_APPEND: u64 = 16;

/// The offset of preadv2 and pwritev2: -1 stands for the file's own.
fn offset2(cx: &mut Cx) -> Result<(Rc<Description>, Option<u64>), Errno> {
    let [fd, _, _, at, ..] = cx.args;
    if at == u64::MAX {
        return Ok((cx.file(fd)?, None));
    }
    let at = offset(at)?;
    Ok((cx.seekable(fd)?, Some(at)))
}

pub(crate) fn preadv2(cx: &mut Cx) -> Answer {
    let [_, va, count, _, _, flags] = cx.args;
    let (file, at) = offset2(cx)?;
    if flags & !(RWF_HIPRI | RWF_NOWAIT | RWF_DSYNC | RWF_SYNC) != 0 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let pieces = cx.pieces(va, count)?;
    match read_into(cx, &file, &pieces, at) {
        Err(Stop::Block(_)) if flags & RWF_NOWAIT != 0 => Err(Errno::EAGAIN.into()),
        answer => answer,
    }
}

pub(crate) fn pwritev2(cx: &mut Cx) -> Answer {
    let [_, va, count, _, _, flags] = cx.args;
    let (file, at) = offset2(cx)?;
    if flags & !(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND) != 0 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let pieces = cx.pieces(va, count)?;
    let answer = write_from(cx, &file, &pieces, at, flags & RWF_APPEND != 0);
    match answer {
        Ok(done) => {
            if flags & (RWF_DSYNC | RWF_SYNC) != 0 && file.file.seekable() {
                file.file.sync(flags & RWF_SYNC == 0)?;
            }
            Ok(done)
        }
        Err(Stop::Block(wait)) if flags & RWF_NOWAIT != 0 => match wait.done {
            0 => Err(Errno::EAGAIN.into()),
            done => Ok(done),
        },
        stop => stop,
    }
}

pub(crate) fn lseek(cx: &mut Cx) -> Answer {
    let [fd, offset, whence, ..] = cx.args;
    let file = cx.file(fd)?;
    if file.flags.get() & O_PATH != 0 {
        return Err(Errno::EBADF.into());
    }
    if !file.file.seekable() {
        return Err(Errno::ESPIPE.into());
    }
    let offset = offset as i64;
    let from = match whence as u32 {
        0 => 0,
        1 => file.offset.get(),
        2 => match file.file.directory() {
            Some(_) => i64::MAX as u64,
            None => file.file.stat()?.size,
        },
        3 | 4 => {
            if offset < 0 {
                return Err(Errno::ENXIO.into());
            }
            let to = file.file.seek(offset as u64, whence == 4)?;
            file.offset.set(to);
            return Ok(to);
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    let to = (from as i64).checked_add(offset).ok_or(if whence == 0 {
        Errno::EINVAL
    } else {
        Errno::EOVERFLOW
    })?;
    if to < 0 {
        return Err(Errno::EINVAL.into());
    }
    file.offset.set(to as u64);
    Ok(to as u64)
}

pub(crate) fn ftruncate(cx: &mut Cx) -> Answer {
    let [fd, size, ..] = cx.args;
    let size = offset(size)?;
    let file = cx.file(fd)?;
    if file.flags.get() & O_PATH != 0 {
        return Err(Errno::EBADF.into());
    }
    if !file.writable() || file.file.directory().is_some() {
        return Err(Errno::EINVAL.into());
    }
    if size > file.file.stat()?.size {
        size_limit(cx, size.saturating_sub(1), 1)?;
    }
    file.file.truncate(size)?;
    cx.kernel.memory.after_resize(&file, size)?;
    Ok(0)
}

pub(crate) fn fallocate(cx: &mut Cx) -> Answer {
    let [fd, mode, at, len, ..] = cx.args;
    let file = cx.file(fd)?;
    if !file.writable() {
        return Err(Errno::EBADF.into());
    }
    if at > i64::MAX as u64 || len > i64::MAX as u64 || len == 0 {
        return Err(Errno::EINVAL.into());
    }
    if at + len > i64::MAX as u64 {
        return Err(Errno::EFBIG.into());
    }
    if !file.file.seekable() {
        return Err(Errno::ESPIPE.into());
    }
    size_limit(cx, at, len)?;
    cx.kernel.memory.before_read(&file)?;
    file.file.allocate(mode as u32, at, len)?;
    // Holes and moved ranges: mappings show what the file holds now.
    cx.kernel.memory.forget(&file);
    Ok(0)
}

fn sync_file(cx: &mut Cx, only_data: bool) -> Answer {
    let file = cx.file(cx.args[0])?;
    if file.flags.get() & O_PATH != 0 {
        return Err(Errno::EBADF.into());
    }
    cx.kernel.memory.before_read(&file)?;
    file.file.sync(only_data)?;
    Ok(0)
}

pub(crate) fn fsync(cx: &mut Cx) -> Answer {
    sync_file(cx, false)
}

pub(crate) fn fdatasync(cx: &mut Cx) -> Answer {
    sync_file(cx, true)
}

/// sync(2): what the guest wrote is with the host already, which writes it
/// out in its own time; only fsync waits for that.
pub(crate) fn sync(_cx: &mut Cx) -> Answer {
    Ok(0)
}

pub(crate) fn syncfs(cx: &mut Cx) -> Answer {
    let file = cx.file(cx.args[0])?;
    if file.file.seekable() && file.writable() {
        cx.kernel.memory.before_read(&file)?;
        file.file.sync(false)?;
    }
    Ok(0)
}

pub(crate) fn sync_file_range(cx: &mut Cx) -> Answer {
    let [fd, at, len, flags, ..] = cx.args;
    let file = cx.seekable(fd)?;
    if flags & !7 != 0 || at > i64::MAX as u64 || len > i64::MAX as u64 {
        return Err(Errno::EINVAL.into());
    }
    file.file.sync(true)?;
    Ok(0)
}

/// posix_fadvise(2): advice need not be taken, but must make sense.
pub(crate) fn fadvise64(cx: &mut Cx) -> Answer {
    let [fd, _, len, advice, ..] = cx.args;
    cx.seekable(fd)?;
    if advice > 5 || len > i64::MAX as u64 {
        return Err(Errno::EINVAL.into());
    }
    Ok(0)
}

pub(crate) fn readahead(cx: &mut Cx) -> Answer {
    let file = cx.file(cx.args[0])?;
    if !file.readable() {
        return Err(Errno::EBADF.into());
    }
    if file.file.stat()?.kind() != S_IFREG {
        return Err(Errno::EINVAL.into());
    }
    Ok(0)
}

/// Moves bytes from one open file to another, at these offsets or the files'
/// own. Nothing is taken that cannot be put.
fn copy(
    cx: &mut Cx,
    from: (&Rc<Description>, Option<u64>),
    to: (&Rc<Description>, Option<u64>),
    len: u64,
) -> Answer {
    let (input, output) = (from.0, to.0);
    input.file.ask(cx.kernel, cx.tid, Ask::Read)?;
    output.file.ask(cx.kernel, cx.tid, Ask::Write)?;
    let wanted = len.min(MOST);
    let mut buffer = buffer(wanted);
    let mut read_at = from.1.unwrap_or_else(|| input.offset.get());
    let mut write_at = match to.1 {
        Some(at) => at,
        None if output.flags.get() & O_APPEND != 0 => output.file.stat()?.size,
        None => output.offset.get(),
    };
    let mut done = 0;
    let mut failed = None;
    while done < wanted {
        let len = (buffer.len() as u64).min(wanted - done) as usize;
        let got = match read_in(cx, input, read_at, &mut buffer[..len]) {
            Ok(0) => break,
            Ok(got) => got,
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        let put = match write_in(cx, output, write_at, &buffer[..got]) {
            Ok(put) => put,
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        done += put as u64;
        read_at += put as u64;
        write_at += put as u64;
        if put < got {
            break;
        }
    }
    if from.1.is_none() {
        input.offset.set(read_at);
    }
    if to.1.is_none() && output.file.seekable() {
        output.offset.set(write_at);
    }
    match failed {
        Some(error) if done == 0 => {
            if error == Errno::EPIPE {
                raise(cx, SIGPIPE);
            }
            Err(match error {
                Errno::EAGAIN => would_block(cx, output, Ask::Write, 0),
                error => error.into(),
            })
        }
        _ => Ok(done),
    }
}

pub(crate) fn sendfile(cx: &mut Cx) -> Answer {
    let [to, from, offset_va, len, ..] = cx.args;
    let (output, input) = (cx.file(to)?, cx.file(from)?);
    if !input.readable() || !output.writable() {
        return Err(Errno::EBADF.into());
    }
    // Reading must not take what cannot be written.
    if !input.file.seekable() || output.flags.get() & O_APPEND != 0 {
        return Err(Errno::EINVAL.into());
    }
    if input.file.directory().is_some() {
        return Err(Errno::EISDIR.into());
    }
    let at = match offset_va {
        0 => None,
        va => Some(offset(cx.read_u64(va)?)?),
    };
    let done = copy(cx, (&input, at), (&output, None), len)?;
    if let Some(at) = at {
        cx.write(offset_va, &(at + done).to_le_bytes())?;
    }
    Ok(done)
}

pub(crate) fn copy_file_range(cx: &mut Cx) -> Answer {
    let [from, from_va, to, to_va, len, flags] = cx.args;
    if flags != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (input, output) = (cx.file(from)?, cx.file(to)?);
    if !input.readable() || !output.writable() || output.flags.get() & O_APPEND != 0 {
        return Err(Errno::EBADF.into());
    }
    let (in_stat, out_stat) = (input.file.stat()?, output.file.stat()?);
    if in_stat.is_dir() || out_stat.is_dir() {
        return Err(Errno::EISDIR.into());
    }
    if in_stat.kind() != S_IFREG || out_stat.kind() != S_IFREG {
        return Err(Errno::EINVAL.into());
    }
    let mut place = |va: u64, file: &Description| match va {
        0 => Ok((None, file.offset.get())),
        va => {
            let at = offset(cx.read_u64(va)?)?;
            Ok::<_, Errno>((Some(at), at))
        }
    };
    let (in_at, in_start) = place(from_va, &input)?;
    let (out_at, out_start) = place(to_va, &output)?;
    let same = (in_stat.dev, in_stat.ino) == (out_stat.dev, out_stat.ino);
    let len = len.min(MOST);
    if same && in_start < out_start.saturating_add(len) && out_start < in_start.saturating_add(len)
    {
        return Err(Errno::EINVAL.into());
    }
    // A file may say size 0 and yet have contents (/proc): only reading tells.
    let done = copy(cx, (&input, in_at), (&output, out_at), len)?;
    if let Some(at) = in_at {
        cx.write(from_va, &(at + done).to_le_bytes())?;
    }
    if let Some(at) = out_at {
        cx.write(to_va, &(at + done).to_le_bytes())?;
    }
    Ok(done)
}
