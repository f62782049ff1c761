//! Pipes, and how a new file becomes a descriptor.

use std::rc::Rc;

use super::{Answer, Cx};
use crate::errno::Errno;
use crate::fs::pipe::Pipe;
use crate::fs::{
    Description, Fd, File, O_ACCMODE, O_CLOEXEC, O_DIRECT, O_NONBLOCK, O_RDONLY, O_WRONLY,
};

/// Gives the caller a descriptor of a new open file. Of `flags`, access mode,
/// `O_NONBLOCK`, `O_APPEND` and `O_CLOEXEC` count.
pub(crate) fn install(
    cx: &mut Cx,
    file: Rc<dyn File>,
    flags: u32,
    path: Vec<u8>,
) -> Result<i32, Errno> {
    let description = Description::new(file, flags & !O_CLOEXEC, path);
    install_description(cx, description, flags)
}

/// Gives the caller a descriptor of an open file; of `flags`, `O_CLOEXEC`
/// counts.
pub(crate) fn install_description(
    cx: &mut Cx,
    description: Rc<Description>,
    flags: u32,
) -> Result<i32, Errno> {
    let limit = cx.fd_limit();
    let fd = Fd {
        description,
        cloexec: flags & O_CLOEXEC != 0,
    };
    cx.files().borrow_mut().add(fd, 0, limit)
}

/// Takes back a descriptor that the guest has not seen.
pub(crate) fn uninstall(cx: &mut Cx, fd: i32) {
    let files = cx.files();
    let slot = files
        .borrow_mut()
        .fds
        .get_mut(fd as usize)
        .and_then(Option::take);
    // Dropped with the table free: a file's end may look at it.
    drop(slot);
}

/// Gives the caller two descriptors and tells it their numbers at `va`: all
/// of it or nothing.
pub(crate) fn install_pair(
    cx: &mut Cx,
    va: u64,
    first: (Rc<dyn File>, u32),
    second: (Rc<dyn File>, u32),
) -> Answer {
    let a = install(cx, first.0, first.1, Vec::new())?;
    let b = match install(cx, second.0, second.1, Vec::new()) {
        Ok(b) => b,
        Err(errno) => {
            uninstall(cx, a);
            return Err(errno.into());
        }
    };
    let mut numbers = [0; 8];
    numbers[..4].copy_from_slice(&a.to_le_bytes());
    numbers[4..].copy_from_slice(&b.to_le_bytes());
    if let Err(errno) = cx.write(va, &numbers) {
        uninstall(cx, a);
        uninstall(cx, b);
        return Err(errno.into());
    }
    Ok(0)
}

/// pipe2(2). There is no packet mode (`O_DIRECT`).
pub(crate) fn pipe2(cx: &mut Cx) -> Answer {
    let flags = cx.args[1] as u32;
    if flags & !(O_CLOEXEC | O_NONBLOCK | O_DIRECT) != 0 || flags & O_DIRECT != 0 {
        return Err(Errno::EINVAL.into());
    }
    let flags = flags & !O_ACCMODE;
    let pipe = Pipe::new(&cx.kernel.hub);
    let (reader, writer) = (pipe.end(true, false), pipe.end(false, true));
    let va = cx.args[0];
    install_pair(
        cx,
        va,
        (reader, flags | O_RDONLY),
        (writer, flags | O_WRONLY),
    )
}
