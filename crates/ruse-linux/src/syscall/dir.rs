//! System calls that take paths: opening, making, removing, renaming,
//! directories.

use std::rc::Rc;

use super::{Answer, Cx, Stop};
use crate::errno::Errno;
use crate::fs::{
    Base, Change, O_ACCMODE, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_LARGEFILE, O_NONBLOCK, O_PATH,
    O_TMPFILE, O_TRUNC, Rules, Time, Times, allowed, d_type, within,
};
use crate::thread::Wait;

pub(super) const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
const AT_REMOVEDIR: u64 = 0x200;
const AT_SYMLINK_FOLLOW: u64 = 0x400;
pub(super) const AT_EMPTY_PATH: u64 = 0x1000;

/// What open(2) knows; others are ignored, as it always did.
const OPEN_FLAGS: u32 = 0o37777703;

fn open(cx: &mut Cx, fd: u64, path: &[u8], flags: u32, mode: u32) -> Answer {
    open_with(cx, fd, path, flags, mode, Rules::default(), false)
}

/// Opens a file by a walk with these rules; `in_root` makes the directory the
/// root of the walk.
fn open_with(
    cx: &mut Cx,
    fd: u64,
    path: &[u8],
    flags: u32,
    mode: u32,
    rules: Rules,
    in_root: bool,
) -> Answer {
    let flags = flags & OPEN_FLAGS;
    if flags & O_ACCMODE == O_ACCMODE && flags & O_PATH == 0 {
        return Err(Errno::EINVAL.into());
    }
    // Without its directory bit, O_TMPFILE is no flag at all.
    if flags & O_TMPFILE & !O_DIRECTORY != 0 && flags & O_DIRECTORY == 0 {
        return Err(Errno::EINVAL.into());
    }
    let base = if in_root && fd as i32 != crate::abi::AT_FDCWD {
        Base::File(cx.file(fd)?)
    } else {
        cx.base(fd, path)?
    };
    // Not after the file was made: there must be a descriptor for it.
    let limit = cx.fd_limit();
    if !cx.files().borrow().has_room(limit) {
        return Err(Errno::EMFILE.into());
    }
    let mut who = cx.who();
    who.rules = rules;
    if in_root {
        who.root = match &base {
            Base::Cwd => Rc::clone(&who.cwd),
            Base::File(file) => Rc::clone(&file.file.directory().ok_or(Errno::ENOTDIR)?.place),
        };
        who.cwd = Rc::clone(&who.root);
    }
    let opened = who
        .vfs()
        .open(&who, &base, path, flags | O_LARGEFILE, mode & 0o7777);
    match opened {
        // A FIFO whose other end nobody has opened yet.
        Err(Errno::EAGAIN) if flags & O_NONBLOCK == 0 => Err(Stop::Block(Wait::events())),
        opened => {
            let file = opened?;
            if flags & O_TRUNC != 0 {
                cx.kernel.memory.after_resize(&file, 0)?;
            }
            cx.install(file, flags & O_CLOEXEC != 0)
        }
    }
}

pub(crate) fn openat(cx: &mut Cx) -> Answer {
    let [fd, path, flags, mode, ..] = cx.args;
    let path = cx.path(path)?;
    open(cx, fd, &path, flags as u32, mode as u32)
}

pub(crate) fn openat2(cx: &mut Cx) -> Answer {
    const NO_XDEV: u64 = 1;
    const NO_MAGICLINKS: u64 = 2;
    const NO_SYMLINKS: u64 = 4;
    const BENEATH: u64 = 8;
    const IN_ROOT: u64 = 16;
    const CACHED: u64 = 32;
    let [fd, path, how, size, ..] = cx.args;
    if size < 24 {
        return Err(Errno::EINVAL.into());
    }
    if size > 4096 {
        return Err(Errno::E2BIG.into());
    }
    let path = cx.path(path)?;
    let how = cx.bytes(how, size, 4096)?;
    if how[24..].iter().any(|&b| b != 0) {
        return Err(Errno::E2BIG.into());
    }
    let word = |at: usize| {
        how[at..at + 8]
            .iter()
            .rev()
            .fold(0, |w, &b| w << 8 | u64::from(b))
    };
    let (flags, mode, resolve) = (word(0), word(8), word(16));
    let creates = flags as u32 & O_CREAT != 0 || flags as u32 & O_TMPFILE == O_TMPFILE;
    if flags & !u64::from(OPEN_FLAGS) != 0
        || mode & !0o7777 != 0
        || (mode != 0 && !creates)
        || resolve & !(NO_XDEV | NO_MAGICLINKS | NO_SYMLINKS | BENEATH | IN_ROOT | CACHED) != 0
        || resolve & (BENEATH | IN_ROOT) == BENEATH | IN_ROOT
    {
        return Err(Errno::EINVAL.into());
    }
    if resolve & CACHED != 0 {
        // Nothing is known to be cached.
        return Err(Errno::EAGAIN.into());
    }
    let rules = Rules {
        no_links: resolve & NO_SYMLINKS != 0,
        no_magic: resolve & (NO_MAGICLINKS | IN_ROOT) != 0,
        beneath: resolve & BENEATH != 0,
        one_mount: resolve & NO_XDEV != 0,
    };
    open_with(
        cx,
        fd,
        &path,
        flags as u32,
        mode as u32,
        rules,
        resolve & IN_ROOT != 0,
    )
}

pub(crate) fn mkdirat(cx: &mut Cx) -> Answer {
    let [fd, path, mode, ..] = cx.args;
    let path = cx.path(path)?;
    let base = cx.base(fd, &path)?;
    let who = cx.who();
    who.vfs().make_dir(&who, &base, &path, mode as u32)?;
    Ok(0)
}

pub(crate) fn mknodat(cx: &mut Cx) -> Answer {
    let [fd, path, mode, ..] = cx.args;
    let path = cx.path(path)?;
    let base = cx.base(fd, &path)?;
    let who = cx.who();
    who.vfs().make_node(&who, &base, &path, mode as u32)?;
    Ok(0)
}

pub(crate) fn unlinkat(cx: &mut Cx) -> Answer {
    let [fd, path, flags, ..] = cx.args;
    if flags & !AT_REMOVEDIR != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = cx.path(path)?;
    let base = cx.base(fd, &path)?;
    let who = cx.who();
    who.vfs()
        .remove(&who, &base, &path, flags & AT_REMOVEDIR != 0)?;
    Ok(0)
}

pub(crate) fn symlinkat(cx: &mut Cx) -> Answer {
    let [target, fd, path, ..] = cx.args;
    let target = cx.path(target)?;
    let path = cx.path(path)?;
    let base = cx.base(fd, &path)?;
    let who = cx.who();
    who.vfs().symlink(&who, &target, &base, &path)?;
    Ok(0)
}

pub(crate) fn linkat(cx: &mut Cx) -> Answer {
    let [from_fd, from, to_fd, to, flags, ..] = cx.args;
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let from = cx.path(from)?;
    let to = cx.path(to)?;
    let to_base = cx.base(to_fd, &to)?;
    if from.is_empty() && flags & AT_EMPTY_PATH != 0 {
        let file = cx.file(from_fd)?;
        let who = cx.who();
        who.vfs().link_file(&who, &file, &to_base, &to)?;
        return Ok(0);
    }
    let from_base = cx.base(from_fd, &from)?;
    let who = cx.who();
    let follow = flags & AT_SYMLINK_FOLLOW != 0;
    who.vfs()
        .link(&who, (&from_base, &from), (&to_base, &to), follow)?;
    Ok(0)
}

pub(crate) fn renameat2(cx: &mut Cx) -> Answer {
    let [from_fd, from, to_fd, to, flags, ..] = cx.args;
    let from = cx.path(from)?;
    let to = cx.path(to)?;
    let from_base = cx.base(from_fd, &from)?;
    let to_base = cx.base(to_fd, &to)?;
    let who = cx.who();
    who.vfs()
        .rename(&who, (&from_base, &from), (&to_base, &to), flags as u32)?;
    Ok(0)
}

pub(crate) fn readlinkat(cx: &mut Cx) -> Answer {
    let [fd, path, out, size, ..] = cx.args;
    if size as i32 <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = cx.path(path)?;
    let base = cx.base(fd, &path)?;
    let text = if path.is_empty() {
        // The link itself, opened with O_PATH | O_NOFOLLOW.
        let file = cx.file(fd).map_err(|_| Errno::ENOENT)?;
        let link = file
            .file
            .as_any()
            .downcast_ref::<crate::fs::PathOnly>()
            .and_then(|path| path.link.as_ref())
            .ok_or(Errno::ENOENT)?;
        let who = cx.who();
        who.vfs().link_text(&who, link)
    } else {
        let who = cx.who();
        who.vfs().read_link(&who, &base, &path)?
    };
    let len = text.len().min(size as i32 as usize);
    cx.write(out, &text[..len])?;
    Ok(len as u64)
}

pub(crate) fn getcwd(cx: &mut Cx) -> Answer {
    let [out, size, ..] = cx.args;
    let mut path = {
        let place = Rc::clone(&cx.thread().place);
        let place = place.borrow();
        if place.cwd.gone.get() {
            return Err(Errno::ENOENT.into());
        }
        let cwd = place.cwd.path.borrow();
        let root = place.root.path.borrow();
        if !within(&cwd, &root) {
            [b"(unreachable)", &cwd[..]].concat()
        } else if *root == b"/" {
            cwd.clone()
        } else {
            match &cwd[root.len()..] {
                b"" => b"/".to_vec(),
                rest => rest.to_vec(),
            }
        }
    };
    if path.len() >= 4096 {
        return Err(Errno::ENAMETOOLONG.into());
    }
    path.push(0);
    if size < path.len() as u64 {
        return Err(Errno::ERANGE.into());
    }
    cx.write(out, &path)?;
    Ok(path.len() as u64)
}

pub(crate) fn chdir(cx: &mut Cx) -> Answer {
    let path = cx.path(cx.args[0])?;
    let who = cx.who();
    let place = who.vfs().enter(&who, &Base::Cwd, &path)?;
    cx.thread().place.borrow_mut().cwd = place;
    Ok(0)
}

pub(crate) fn fchdir(cx: &mut Cx) -> Answer {
    let file = cx.file(cx.args[0])?;
    let directory = file.file.directory().ok_or(Errno::ENOTDIR)?;
    if !cx.who().may(&file.file.stat()?, 1) {
        return Err(Errno::EACCES.into());
    }
    cx.thread().place.borrow_mut().cwd = Rc::clone(&directory.place);
    Ok(0)
}

pub(crate) fn chroot(cx: &mut Cx) -> Answer {
    let path = cx.path(cx.args[0])?;
    let who = cx.who();
    let place = who.vfs().enter(&who, &Base::Cwd, &path)?;
    if who.uid != 0 {
        return Err(Errno::EPERM.into());
    }
    cx.thread().place.borrow_mut().root = place;
    Ok(0)
}

pub(crate) fn umask(cx: &mut Cx) -> Answer {
    let mask = cx.args[0] as u32 & 0o777;
    let place = Rc::clone(&cx.thread().place);
    let old = std::mem::replace(&mut place.borrow_mut().umask, mask);
    Ok(u64::from(old))
}

/// A change of what `fd` and `path` name.
fn change_at(cx: &mut Cx, fd: u64, path: u64, flags: u64, change: Change) -> Answer {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = cx.path(path)?;
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        if fd as i32 == crate::abi::AT_FDCWD {
            let who = cx.who();
            who.vfs().change(&who, &Base::Cwd, b".", follow, &change)?;
            return Ok(0);
        }
        return change_open(cx, fd, change, true);
    }
    let base = cx.base(fd, &path)?;
    let who = cx.who();
    who.vfs().change(&who, &base, &path, follow, &change)?;
    Ok(0)
}

/// A change of an open file; `path_only` if a descriptor of `O_PATH` will do.
fn change_open(cx: &mut Cx, fd: u64, change: Change, path_only: bool) -> Answer {
    let file = cx.file(fd)?;
    if file.flags.get() & O_PATH != 0 {
        if !path_only {
            return Err(Errno::EBADF.into());
        }
        if file.file.directory().is_none() {
            let who = cx.who();
            who.vfs()
                .change(&who, &Base::Cwd, &file.path, false, &change)?;
            return Ok(0);
        }
    }
    let change = allowed(&cx.who(), &file.file.stat()?, &change)?;
    file.file.change(&change)?;
    Ok(0)
}

pub(crate) fn fchmod(cx: &mut Cx) -> Answer {
    let [fd, mode, ..] = cx.args;
    change_open(cx, fd, Change::Mode(mode as u32 & 0o7777), false)
}

pub(crate) fn fchmodat(cx: &mut Cx) -> Answer {
    let [fd, path, mode, ..] = cx.args;
    change_at(cx, fd, path, 0, Change::Mode(mode as u32 & 0o7777))
}

pub(crate) fn fchmodat2(cx: &mut Cx) -> Answer {
    let [fd, path, mode, flags, ..] = cx.args;
    change_at(cx, fd, path, flags, Change::Mode(mode as u32 & 0o7777))
}

fn owner(uid: u64, gid: u64) -> Change {
    let given = |id: u64| (id as u32 != u32::MAX).then_some(id as u32);
    Change::Owner(given(uid), given(gid))
}

pub(crate) fn fchown(cx: &mut Cx) -> Answer {
    let [fd, uid, gid, ..] = cx.args;
    change_open(cx, fd, owner(uid, gid), false)
}

pub(crate) fn fchownat(cx: &mut Cx) -> Answer {
    let [fd, path, uid, gid, flags, ..] = cx.args;
    change_at(cx, fd, path, flags, owner(uid, gid))
}

pub(crate) fn utimensat(cx: &mut Cx) -> Answer {
    const UTIME_NOW: u64 = 0x3fff_ffff;
    const UTIME_OMIT: u64 = 0x3fff_fffe;
    let [fd, path, times, flags, ..] = cx.args;
    let times = if times == 0 {
        [Time::Now; 2]
    } else {
        let bytes = cx.bytes(times, 32, 32)?;
        let word = |at: usize| {
            bytes[at..at + 8]
                .iter()
                .rev()
                .fold(0, |w, &b| w << 8 | u64::from(b))
        };
        let mut out = [Time::Keep; 2];
        for (n, time) in out.iter_mut().enumerate() {
            *time = match word(n * 16 + 8) {
                UTIME_NOW => Time::Now,
                UTIME_OMIT => Time::Keep,
                nanos if nanos < 1_000_000_000 => Time::At(word(n * 16) as i64, nanos as u32),
                _ => return Err(Errno::EINVAL.into()),
            };
        }
        out
    };
    let [access, modification] = times;
    let change = Change::Times(Times {
        access,
        modification,
    });
    if path == 0 && fd as i32 != crate::abi::AT_FDCWD {
        if flags != 0 {
            return Err(Errno::EINVAL.into());
        }
        return change_open(cx, fd, change, false);
    }
    if access == Time::Keep && modification == Time::Keep {
        return Ok(0);
    }
    change_at(cx, fd, path, flags, change)
}

pub(crate) fn truncate(cx: &mut Cx) -> Answer {
    let [path, size, ..] = cx.args;
    if size > i64::MAX as u64 {
        return Err(Errno::EINVAL.into());
    }
    let path = cx.path(path)?;
    let who = cx.who();
    who.vfs().truncate(&who, &path, size)?;
    cx.kernel.memory.after_resize_of(size, || {
        let stat = who.vfs().stat(&who, &Base::Cwd, &path, true).ok()?;
        Some((stat.dev, stat.ino))
    })?;
    Ok(0)
}

pub(crate) fn getdents64(cx: &mut Cx) -> Answer {
    let [fd, out, size, ..] = cx.args;
    let file = cx.file(fd)?;
    if file.flags.get() & O_PATH != 0 {
        return Err(Errno::EBADF.into());
    }
    let directory = file.file.directory().ok_or(Errno::ENOTDIR)?;
    if directory.place.gone.get() {
        return Err(Errno::ENOENT.into());
    }
    // From the start again: look again (rewinddir).
    if file.offset.get() == 0 || directory.listing.borrow().is_none() {
        let who = cx.who();
        let listing = who.vfs().list(&who, directory, &*file.file)?;
        *directory.listing.borrow_mut() = Some(listing);
    }
    let mut bytes = Vec::new();
    let size = size.min(1 << 20) as usize;
    let first = usize::try_from(file.offset.get()).unwrap_or(usize::MAX);
    let mut next = first;
    {
        let listing = directory.listing.borrow();
        let entries = listing.as_deref().unwrap_or_default();
        for entry in entries.iter().skip(first) {
            let len = (19 + entry.name.len() + 1).next_multiple_of(8);
            if bytes.len() + len > size {
                break;
            }
            next += 1;
            let start = bytes.len();
            bytes.extend_from_slice(&entry.ino.to_le_bytes());
            bytes.extend_from_slice(&(next as u64).to_le_bytes());
            bytes.extend_from_slice(&(len as u16).to_le_bytes());
            bytes.push(d_type(entry.kind));
            bytes.extend_from_slice(&entry.name);
            bytes.resize(start + len, 0);
        }
        if bytes.is_empty() && first < entries.len() {
            return Err(Errno::EINVAL.into());
        }
    }
    cx.write(out, &bytes)?;
    file.offset.set(next as u64);
    Ok(bytes.len() as u64)
}
