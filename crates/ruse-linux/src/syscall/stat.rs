//! What is known of files: stat, statx, access, statfs, extended attributes.

use super::dir::{AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW};
use super::{Answer, Cx};
use crate::errno::Errno;
use crate::fs::{Base, O_PATH, Stat, StatFs};

const AT_EACCESS: u64 = 0x200;
const AT_NO_AUTOMOUNT: u64 = 0x800;
const AT_STATX_SYNC_TYPE: u64 = 0x6000;

/// Appends little-endian fields.
macro_rules! fields {
    ($( $value:expr ),* $(,)?) => {{
        let mut bytes: Vec<u8> = Vec::with_capacity(256);
        $( bytes.extend_from_slice(&$value.to_le_bytes()); )*
        bytes
    }};
}

/// `struct stat` of asm-generic: 128 bytes.
fn layout(stat: &Stat) -> Vec<u8> {
    fields![
        stat.dev,
        stat.ino,
        stat.mode,
        stat.nlink,
        stat.uid,
        stat.gid,
        stat.rdev,
        0_u64,
        stat.size,
        stat.blksize,
        0_u32,
        stat.blocks,
        stat.atime.0,
        u64::from(stat.atime.1),
        stat.mtime.0,
        u64::from(stat.mtime.1),
        stat.ctime.0,
        u64::from(stat.ctime.1),
        0_u64,
    ]
}

/// Major and minor of a device number (`new_decode_dev`).
fn device(dev: u64) -> (u32, u32) {
    let major = dev >> 8 & 0xfff;
    let minor = dev & 0xff | dev >> 12 & 0xf_ff00;
    (major as u32, minor as u32)
}

/// `struct statx`: 256 bytes.
fn layout_statx(stat: &Stat, mount: u64) -> Vec<u8> {
    const BASIC_STATS: u32 = 0x7ff;
    const BTIME: u32 = 0x800;
    const MNT_ID: u32 = 0x1000;
    let mask = BASIC_STATS | MNT_ID | if stat.btime.is_some() { BTIME } else { 0 };
    let (rdev, dev) = (device(stat.rdev), device(stat.dev));
    let btime = stat.btime.unwrap_or_default();
    let mut bytes = fields![
        mask,
        stat.blksize,
        0_u64,
        stat.nlink,
        stat.uid,
        stat.gid,
        stat.mode as u16,
        0_u16,
        stat.ino,
        stat.size,
        stat.blocks,
        0_u64,
        stat.atime.0,
        stat.atime.1,
        0_u32,
        btime.0,
        btime.1,
        0_u32,
        stat.ctime.0,
        stat.ctime.1,
        0_u32,
        stat.mtime.0,
        stat.mtime.1,
        0_u32,
        rdev.0,
        rdev.1,
        dev.0,
        dev.1,
        mount,
    ];
    bytes.resize(256, 0);
    bytes
}

/// The status of what `fd` and `path` name.
fn stat_at(cx: &mut Cx, fd: u64, path: &[u8], flags: u64) -> Result<Stat, Errno> {
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        if fd as i32 != crate::abi::AT_FDCWD {
            return cx.file(fd)?.file.stat();
        }
        let who = cx.who();
        return who.vfs().stat(&who, &Base::Cwd, b".", true);
    }
    let base = cx.base(fd, path)?;
    let who = cx.who();
    who.vfs()
        .stat(&who, &base, path, flags & AT_SYMLINK_NOFOLLOW == 0)
}

pub(crate) fn fstat(cx: &mut Cx) -> Answer {
    let [fd, out, ..] = cx.args;
    let stat = cx.file(fd)?.file.stat()?;
    cx.write(out, &layout(&stat))?;
    Ok(0)
}

pub(crate) fn newfstatat(cx: &mut Cx) -> Answer {
    let [fd, path, out, flags, ..] = cx.args;
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = cx.path(path)?;
    let stat = stat_at(cx, fd, &path, flags)?;
    cx.write(out, &layout(&stat))?;
    Ok(0)
}

pub(crate) fn statx(cx: &mut Cx) -> Answer {
    let [fd, path, flags, mask, out, ..] = cx.args;
    let known = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE;
    if flags & !known != 0
        || flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE
        || mask & 0x8000_0000 != 0
    {
        return Err(Errno::EINVAL.into());
    }
    // Since Linux 6.11 no path at all is as good as an empty one.
    let path = if path == 0 && flags & AT_EMPTY_PATH != 0 {
        Vec::new()
    } else {
        cx.path(path)?
    };
    let stat = stat_at(cx, fd, &path, flags)?;
    cx.write(out, &layout_statx(&stat, 1))?;
    Ok(0)
}

/// access(2), by the real ids unless `AT_EACCESS`.
fn access(cx: &mut Cx, flags: u64) -> Answer {
    let [fd, path, mode, ..] = cx.args;
    let mode = mode as u32;
    if mode & !7 != 0 || flags & !(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = cx.path(path)?;
    let (ruid, rgid) = {
        let credentials = &cx.process().credentials;
        (credentials.ruid, credentials.rgid)
    };
    let stat = if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        stat_at(cx, fd, &path, flags)?
    } else {
        let base = cx.base(fd, &path)?;
        let mut who = cx.who();
        if flags & AT_EACCESS == 0 {
            (who.uid, who.gid) = (ruid, rgid);
        }
        let walked = who
            .vfs()
            .walk(&who, &base, &path, flags & AT_SYMLINK_NOFOLLOW == 0)?;
        let stat = walked.stat.ok_or(Errno::ENOENT)?;
        if mode & 2 != 0 && who.vfs().fixed(&walked.path, &stat) {
            return Err(Errno::EROFS.into());
        }
        stat
    };
    let mut who = cx.who();
    if flags & AT_EACCESS == 0 {
        (who.uid, who.gid) = (ruid, rgid);
    }
    if who.may(&stat, mode) {
        Ok(0)
    } else {
        Err(Errno::EACCES.into())
    }
}

pub(crate) fn faccessat(cx: &mut Cx) -> Answer {
    access(cx, 0)
}

pub(crate) fn faccessat2(cx: &mut Cx) -> Answer {
    let flags = cx.args[3];
    access(cx, flags)
}

/// `struct statfs` of asm-generic: 120 bytes.
fn layout_statfs(fs: &StatFs, id: u64) -> Vec<u8> {
    const ST_RDONLY: u64 = 1;
    const ST_VALID: u64 = 0x20;
    let flags = ST_VALID | if fs.read_only { ST_RDONLY } else { 0 };
    let mut bytes = fields![
        fs.magic,
        fs.block,
        fs.blocks,
        fs.free,
        fs.available,
        fs.files,
        fs.files_free,
        id,
        255_u64,
        fs.block,
        flags,
    ];
    bytes.resize(120, 0);
    bytes
}

pub(crate) fn statfs(cx: &mut Cx) -> Answer {
    let [path, out, ..] = cx.args;
    let path = cx.path(path)?;
    let who = cx.who();
    let walked = who.vfs().walk(&who, &Base::Cwd, &path, true)?;
    walked.stat.ok_or(Errno::ENOENT)?;
    let (fs, id) = who.vfs().statfs(&walked.path);
    cx.write(out, &layout_statfs(&fs, id))?;
    Ok(0)
}

pub(crate) fn fstatfs(cx: &mut Cx) -> Answer {
    let [fd, out, ..] = cx.args;
    let file = cx.file(fd)?;
    let (fs, id) = match file.file.directory() {
        Some(directory) => cx.kernel.vfs.statfs(&directory.place.path.borrow()),
        None if file.path.first() == Some(&b'/') => cx.kernel.vfs.statfs(&file.path),
        // Pipes, sockets and the like: PIPEFS_MAGIC.
        None => (
            StatFs {
                magic: 0x5049_5045,
                block: 4096,
                ..StatFs::default()
            },
            0,
        ),
    };
    cx.write(out, &layout_statfs(&fs, id))?;
    Ok(0)
}

/// What an extended attribute call is about, by its number: does it exist?
fn attributed(cx: &mut Cx, by_fd: bool, follow: bool) -> Result<(), Errno> {
    let arg = cx.args[0];
    if by_fd {
        let file = cx.file(arg)?;
        if file.flags.get() & O_PATH != 0 {
            return Err(Errno::EBADF);
        }
        return Ok(());
    }
    let path = cx.path(arg)?;
    let who = cx.who();
    who.vfs().stat(&who, &Base::Cwd, &path, follow)?;
    Ok(())
}

/// setxattr(2), getxattr(2), removexattr(2) and their relatives: no file
/// system of the box has extended attributes.
pub(crate) fn xattr(cx: &mut Cx) -> Answer {
    // In threes: by path, by link, by descriptor; from number 5 on.
    let kind = (cx.number.wrapping_sub(5)) % 3;
    attributed(cx, kind == 2, kind == 0)?;
    Err(Errno::EOPNOTSUPP.into())
}

/// listxattr(2) and its relatives: an empty list.
pub(crate) fn listxattr(cx: &mut Cx) -> Answer {
    let kind = (cx.number.wrapping_sub(11)) % 3;
    attributed(cx, kind == 2, kind == 0)?;
    Ok(0)
}

/// name_to_handle_at(2): the files have none.
pub(crate) fn handle(cx: &mut Cx) -> Answer {
    let [fd, path, ..] = cx.args;
    let path = cx.path(path)?;
    stat_at(cx, fd, &path, AT_EMPTY_PATH)?;
    Err(Errno::EOPNOTSUPP.into())
}

/// mount(2), umount2(2), pivot_root(2): the box is as it was made.
pub(crate) fn mount(_cx: &mut Cx) -> Answer {
    Err(Errno::EPERM.into())
}
