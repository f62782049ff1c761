//! Moving bytes between a pipe and another file: splice(2).

use std::rc::Rc;

use super::file::{offset, read_in, would_block, write_in};
use super::{Answer, Cx};
use crate::errno::Errno;
use crate::fs::pipe::PipeEnd;
use crate::fs::{Ask, Description, O_APPEND, O_NONBLOCK};
use crate::signal::SIGPIPE;

const SPLICE_F_NONBLOCK: u64 = 2;
/// Move, non-blocking, more, gift: hints but for the second.
const FLAGS: u64 = 15;
/// As much as one call moves: a pipe's usual capacity.
const MOST: u64 = 65536;

/// The end of a pipe that a file is.
fn pipe(file: &Description) -> Option<&PipeEnd> {
    file.file.as_any().downcast_ref()
}

/// The offset that an argument points to; pipes have none.
fn place(cx: &mut Cx, va: u64, file: &Description) -> Result<Option<u64>, Errno> {
    match va {
        0 => Ok(None),
        _ if !file.file.seekable() => Err(Errno::ESPIPE),
        va => Ok(Some(offset(cx.read_u64(va)?)?)),
    }
}

pub(crate) fn splice(cx: &mut Cx) -> Answer {
    let [from, from_va, to, to_va, len, flags] = cx.args;
    if flags & !FLAGS != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (input, output) = (cx.file(from)?, cx.file(to)?);
    if !input.readable() || !output.writable() {
        return Err(Errno::EBADF.into());
    }
    let in_at = place(cx, from_va, &input)?;
    let out_at = place(cx, to_va, &output)?;
    match (pipe(&input), pipe(&output)) {
        (None, None) => return Err(Errno::EINVAL.into()),
        (Some(one), Some(other)) if one.same_pipe(other) => return Err(Errno::EINVAL.into()),
        _ => {}
    }
    if input.file.directory().is_some() || output.flags.get() & O_APPEND != 0 {
        return Err(Errno::EINVAL.into());
    }
    if len == 0 {
        return Ok(0);
    }
    input.file.ask(cx.kernel, cx.tid, Ask::Read)?;
    output.file.ask(cx.kernel, cx.tid, Ask::Write)?;
    let mut buffer = vec![0; len.min(MOST) as usize];
    // No more than fits, if the other side says how much that is.
    if let Some(end) = pipe(&output) {
        let room = end.room();
        if room == 0 && end.has_readers() {
            return Err(later(cx, &output, Ask::Write, flags));
        }
        buffer.truncate(room.max(1));
    }
    let read_at = in_at.unwrap_or_else(|| input.offset.get());
    let got = match read_in(cx, &input, read_at, &mut buffer) {
        Ok(got) => got,
        Err(Errno::EAGAIN) => return Err(later(cx, &input, Ask::Read, flags)),
        Err(error) => return Err(error.into()),
    };
    if got == 0 {
        return Ok(0);
    }
    let write_at = out_at.unwrap_or_else(|| output.offset.get());
    let result = write_in(cx, &output, write_at, &buffer[..got]);
    let put = *result.as_ref().unwrap_or(&0);
    // What did not go on is where it was.
    if put < got
        && let Some(end) = pipe(&input)
    {
        end.unread(&buffer[put..got]);
    }
    match result {
        Ok(_) => {}
        Err(Errno::EAGAIN) => return Err(later(cx, &output, Ask::Write, flags)),
        Err(error) => {
            if error == Errno::EPIPE {
                super::file::raise(cx, SIGPIPE);
            }
            return Err(error.into());
        }
    }
    moved(cx, &input, (from_va, in_at), put)?;
    moved(cx, &output, (to_va, out_at), put)?;
    Ok(put as u64)
}

/// It cannot go on now: it waits, unless somebody said not to.
fn later(cx: &mut Cx, file: &Description, what: Ask, flags: u64) -> super::Stop {
    if flags & SPLICE_F_NONBLOCK != 0 || file.flags.get() & O_NONBLOCK != 0 {
        return Errno::EAGAIN.into();
    }
    would_block(cx, file, what, 0)
}

/// Takes note of where a file with positions is now.
fn moved(
    cx: &mut Cx,
    file: &Rc<Description>,
    (va, at): (u64, Option<u64>),
    by: usize,
) -> Result<(), Errno> {
    match at {
        Some(at) => cx.write(va, &(at + by as u64).to_le_bytes()),
        None => {
            if file.file.seekable() {
                file.offset.set(file.offset.get().saturating_add(by as u64));
            }
            Ok(())
        }
    }
}

/// tee(2), vmsplice(2): programs copy where these are refused.
pub(crate) fn refused(cx: &mut Cx) -> Answer {
    cx.file(cx.args[0])?;
    Err(Errno::EINVAL.into())
}
