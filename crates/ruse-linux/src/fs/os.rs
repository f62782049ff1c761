//! The few things of a host's file system that std and cap-std do not offer
//! in one portable call.

use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;

use super::mount::StatFs;
use super::{Stat, Times};
use crate::errno::Errno;

/// A guest's name as the host's.
#[cfg(unix)]
pub(super) fn path(name: &[u8]) -> io::Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(name)))
}

/// A guest's name as the host's: names that the host would take for a path, a
/// stream or a device are refused.
#[cfg(not(unix))]
pub(super) fn path(name: &[u8]) -> io::Result<PathBuf> {
    let text = std::str::from_utf8(name).map_err(|_| io::ErrorKind::InvalidFilename)?;
    let bad = text.contains(['\\', ':', '<', '>', '"', '|', '?', '*'])
        || text.ends_with([' ', '.'])
        || text.chars().any(char::is_control);
    if bad {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    Ok(PathBuf::from(text))
}

/// A host's name as the guest's.
#[cfg(unix)]
pub(super) fn bytes(name: &std::ffi::OsStr) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    name.as_bytes().to_vec()
}

/// A host's name as the guest's.
#[cfg(not(unix))]
pub(super) fn bytes(name: &std::ffi::OsStr) -> Vec<u8> {
    name.to_string_lossy().replace('\\', "/").into_bytes()
}

/// Opens the directory at `path` beneath `root`, following no symbolic link
/// anywhere.
pub(super) fn open_dir(root: &Dir, path: &[u8]) -> io::Result<Dir> {
    if path.is_empty() {
        return root.try_clone();
    }
    #[cfg(target_os = "linux")]
    match linux::open_dir(root, path) {
        Err(error) if linux::unavailable(&error) => {}
        result => return result,
    }
    step(root, path)
}

/// [`open_dir`], one name at a time.
fn step(root: &Dir, path: &[u8]) -> io::Result<Dir> {
    use cap_fs_ext::DirExt;
    let mut dir: Option<Dir> = None;
    for name in path.split(|&b| b == b'/') {
        let name = self::path(name)?;
        dir = Some(dir.as_ref().unwrap_or(root).open_dir_nofollow(name)?);
    }
    dir.ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::Errno;

    /// What a path may be long for one call, with room to spare
    /// (`PATH_MAX` is 4096).
    const LONGEST: usize = 4000;

    /// [`super::open_dir`] by as few calls as can be: usually one.
    pub(super) fn open_dir(root: &Dir, path: &[u8]) -> io::Result<Dir> {
        let mut from: Option<Dir> = None;
        let mut rest = path;
        loop {
            let len = match rest.len() {
                len if len <= LONGEST => len,
                _ => rest[..LONGEST]
                    .iter()
                    .rposition(|&b| b == b'/')
                    .ok_or(io::ErrorKind::InvalidFilename)?,
            };
            let dir = beneath(from.as_ref().unwrap_or(root), &rest[..len])?;
            if len == rest.len() {
                return Ok(dir);
            }
            rest = &rest[len + 1..];
            from = Some(dir);
        }
    }

    fn beneath(root: &Dir, path: &[u8]) -> io::Result<Dir> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mut tries = 0;
        loop {
            match openat2(root, path, flags, Mode::empty(), resolve) {
                Ok(fd) => return Ok(Dir::from_std_file(fd.into())),
                // Something was renamed meanwhile; the host could not be sure.
                Err(Errno::AGAIN) if tries < 16 => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether openat2 itself is missing (before Linux 5.6) or forbidden.
    pub(super) fn unavailable(error: &io::Error) -> bool {
        matches!(
            Errno::from_io_error(error),
            Some(Errno::NOSYS | Errno::PERM | Errno::AGAIN)
        )
    }
}

/// What the host says of a file.
#[cfg(unix)]
pub(super) fn stat(meta: &cap_std::fs::Metadata) -> Stat {
    use cap_std::fs::MetadataExt;
    Stat {
        dev: meta.dev(),
        ino: meta.ino(),
        mode: meta.mode(),
        nlink: u32::try_from(meta.nlink()).unwrap_or(u32::MAX),
        uid: 0,
        gid: 0,
        rdev: meta.rdev(),
        size: meta.size(),
        blksize: u32::try_from(meta.blksize()).unwrap_or(4096),
        blocks: meta.blocks(),
        atime: (meta.atime(), meta.atime_nsec() as u32),
        mtime: (meta.mtime(), meta.mtime_nsec() as u32),
        ctime: (meta.ctime(), meta.ctime_nsec() as u32),
        btime: meta.created().ok().map(|at| since_epoch(at.into_std())),
    }
}

/// What the host says of a file. Without a portable file number, the caller
/// sets `ino`.
#[cfg(not(unix))]
pub(super) fn stat(meta: &cap_std::fs::Metadata) -> Stat {
    let time = |at: io::Result<cap_std::time::SystemTime>| {
        at.map_or((0, 0), |at| since_epoch(at.into_std()))
    };
    let mode = if meta.is_dir() {
        super::S_IFDIR | 0o755
    } else if meta.file_type().is_symlink() {
        super::S_IFLNK | 0o777
    } else {
        super::S_IFREG | 0o755
    };
    Stat {
        dev: 1,
        mode,
        nlink: 1,
        size: meta.len(),
        blksize: 4096,
        blocks: meta.len().div_ceil(512),
        atime: time(meta.accessed()),
        mtime: time(meta.modified()),
        ctime: time(meta.modified()),
        btime: meta.created().ok().map(|at| since_epoch(at.into_std())),
        ..Stat::default()
    }
}

/// Seconds and nanoseconds, rounded down also before 1970.
pub(super) fn since_epoch(at: std::time::SystemTime) -> (i64, u32) {
    match at.duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => (after.as_secs() as i64, after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            match before.subsec_nanos() {
                0 => (-(before.as_secs() as i64), 0),
                nanos => (-(before.as_secs() as i64) - 1, 1_000_000_000 - nanos),
            }
        }
    }
}

/// Numbers for files on hosts that have none: from their path. So a renamed
/// file gets another, and hard links differ.
#[cfg(not(unix))]
pub(super) fn number(root: u64, path: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ root;
    for &byte in path {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash | 1
}

/// Options so that no file of the host can block or do something just by
/// being opened.
pub(super) fn careful(options: &mut cap_std::fs::OpenOptions) {
    use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
    options.follow(FollowSymlinks::No);
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt;
        use rustix::fs::OFlags;
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
    }
}

/// Permissions of a file just opened.
#[cfg(unix)]
pub(super) fn set_mode(file: &std::fs::File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

/// Permissions of a file just opened: this host has none that fit.
#[cfg(not(unix))]
pub(super) fn set_mode(_file: &std::fs::File, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Permissions of `name` in `dir`, no link followed out of it.
#[cfg(unix)]
pub(super) fn set_mode_at(dir: &Dir, name: &Path, mode: u32) -> io::Result<()> {
    use cap_std::fs::PermissionsExt;
    dir.set_permissions(name, cap_std::fs::Permissions::from_mode(mode))
}

/// Permissions of `name` in `dir`: this host has none that fit.
#[cfg(not(unix))]
pub(super) fn set_mode_at(_dir: &Dir, _name: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Makes a directory with these permissions, less the host's umask.
#[cfg(unix)]
pub(super) fn make_dir(dir: &Dir, name: &Path, mode: u32) -> io::Result<()> {
    use cap_std::fs::DirBuilderExt;
    let mut builder = cap_std::fs::DirBuilder::new();
    builder.mode(mode);
    dir.create_dir_with(name, &builder)
}

/// Makes a directory.
#[cfg(not(unix))]
pub(super) fn make_dir(dir: &Dir, name: &Path, _mode: u32) -> io::Result<()> {
    dir.create_dir(name)
}

/// Makes a symbolic link of any text.
#[cfg(unix)]
pub(super) fn symlink(dir: &Dir, target: &[u8], name: &Path) -> io::Result<()> {
    dir.symlink_contents(path(target)?, name)
}

/// Makes a symbolic link. The host wants to know what kind of thing it leads
/// to; a file, unless it ends in a slash.
#[cfg(not(unix))]
pub(super) fn symlink(dir: &Dir, target: &[u8], name: &Path) -> io::Result<()> {
    let text = std::str::from_utf8(target).map_err(|_| io::ErrorKind::InvalidFilename)?;
    dir.symlink_file(text, name)
}

/// Reads at an offset.
#[cfg(unix)]
pub(super) fn read_at(file: &std::fs::File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, out, offset)
}

/// Reads at an offset.
#[cfg(windows)]
pub(super) fn read_at(file: &std::fs::File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, out, offset)
}

/// Writes at an offset.
#[cfg(unix)]
pub(super) fn write_at(file: &std::fs::File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

/// Writes at an offset.
#[cfg(windows)]
pub(super) fn write_at(file: &std::fs::File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
}

/// The host's statfs(2).
#[cfg(target_os = "linux")]
pub(super) fn statfs(dir: &Dir) -> StatFs {
    match rustix::fs::fstatfs(dir) {
        Ok(fs) => StatFs {
            // To the guest it is an ext4, whatever it is.
            magic: 0xef53,
            block: fs.f_bsize as u64,
            blocks: fs.f_blocks,
            free: fs.f_bfree,
            available: fs.f_bavail,
            files: fs.f_files,
            files_free: fs.f_ffree,
            read_only: false,
        },
        Err(_) => plain_statfs(),
    }
}

/// What this host does not say is made up.
#[cfg(not(target_os = "linux"))]
pub(super) fn statfs(_dir: &Dir) -> StatFs {
    plain_statfs()
}

/// A large file system, half full.
fn plain_statfs() -> StatFs {
    StatFs {
        magic: 0xef53,
        block: 4096,
        blocks: 1 << 26,
        free: 1 << 25,
        available: 1 << 25,
        files: 1 << 24,
        files_free: 1 << 23,
        read_only: false,
    }
}

/// fallocate(2): what std can do is done everywhere, the rest on Linux.
pub(super) fn allocate(
    file: &std::fs::File,
    mode: u32,
    offset: u64,
    len: u64,
) -> Result<(), Errno> {
    let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        let flags = FallocateFlags::from_bits(mode).ok_or(Errno::EOPNOTSUPP)?;
        let _ = end;
        fallocate(file, flags, offset, len).map_err(Into::into)
    }
    #[cfg(not(target_os = "linux"))]
    {
        const KEEP_SIZE: u32 = 1;
        match mode {
            0 if file.metadata()?.len() < end => Ok(file.set_len(end)?),
            0 | KEEP_SIZE => Ok(()),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }
}

/// lseek(2) with `SEEK_DATA` or `SEEK_HOLE`.
pub(super) fn seek(file: &std::fs::File, offset: u64, hole: bool) -> Result<u64, Errno> {
    #[cfg(target_os = "linux")]
    {
        let to = if hole {
            rustix::fs::SeekFrom::Hole(offset)
        } else {
            rustix::fs::SeekFrom::Data(offset)
        };
        rustix::fs::seek(file, to).map_err(Into::into)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let size = file.metadata()?.len();
        match offset < size {
            true if hole => Ok(size),
            true => Ok(offset),
            false => Err(Errno::ENXIO),
        }
    }
}

/// fsync(2) of a directory; where the host has no such thing, all is well.
pub(super) fn sync_dir(dir: &Dir) -> Result<(), Errno> {
    #[cfg(unix)]
    if let Ok(readable) = dir.open(".") {
        readable.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

/// Access and modification times of an open file.
#[cfg(unix)]
pub(super) fn set_times(file: &std::fs::File, times: &Times) -> io::Result<()> {
    Ok(rustix::fs::futimens(file, &timestamps(times))?)
}

/// Access and modification times of `name` in `dir`, a link itself.
#[cfg(unix)]
pub(super) fn set_times_at(dir: &Dir, name: &Path, times: &Times) -> io::Result<()> {
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::utimensat(dir, name, &timestamps(times), flags)?)
}

#[cfg(unix)]
fn timestamps(times: &Times) -> rustix::fs::Timestamps {
    use super::Time;
    let one = |time: Time| match time {
        Time::Keep => rustix::fs::Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT as _,
        },
        Time::Now => rustix::fs::Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW as _,
        },
        Time::At(secs, nanos) => rustix::fs::Timespec {
            tv_sec: secs as _,
            tv_nsec: nanos as _,
        },
    };
    rustix::fs::Timestamps {
        last_access: one(times.access),
        last_modification: one(times.modification),
    }
}

/// A time for std; `None` leaves it.
#[cfg(not(unix))]
fn std_time(time: super::Time) -> Option<std::time::SystemTime> {
    use super::Time;
    use std::time::{Duration, UNIX_EPOCH};
    match time {
        Time::Keep => None,
        Time::Now => Some(std::time::SystemTime::now()),
        Time::At(secs, nanos) => {
            let whole = Duration::from_secs(secs.unsigned_abs());
            if secs < 0 {
                UNIX_EPOCH.checked_sub(whole)
            } else {
                UNIX_EPOCH.checked_add(whole)
            }
            .and_then(|at| at.checked_add(Duration::from_nanos(u64::from(nanos))))
        }
    }
}

/// Access and modification times of an open file.
#[cfg(not(unix))]
pub(super) fn set_times(file: &std::fs::File, times: &Times) -> io::Result<()> {
    let mut set = std::fs::FileTimes::new();
    if let Some(at) = std_time(times.access) {
        set = set.set_accessed(at);
    }
    if let Some(at) = std_time(times.modification) {
        set = set.set_modified(at);
    }
    file.set_times(set)
}

/// Access and modification times of `name` in `dir`, a link itself.
#[cfg(not(unix))]
pub(super) fn set_times_at(dir: &Dir, name: &Path, times: &Times) -> io::Result<()> {
    use cap_fs_ext::{DirExt, SystemTimeSpec};
    let spec = |time| {
        std_time(time).map(|at| SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(at)))
    };
    dir.set_symlink_times(name, spec(times.access), spec(times.modification))
}

/// Renames, with the flags of renameat2(2): 0, `RENAME_NOREPLACE` or
/// `RENAME_EXCHANGE`.
pub(super) fn rename(
    from: &Dir,
    from_name: &Path,
    to: &Dir,
    to_name: &Path,
    flags: u32,
) -> Result<(), Errno> {
    #[cfg(target_os = "linux")]
    if flags != 0 {
        use rustix::fs::{RenameFlags, renameat_with};
        let flags = RenameFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
        return renameat_with(from, from_name, to, to_name, flags).map_err(Into::into);
    }
    match flags {
        0 => {}
        // Guests run on one host thread: only the host itself can come between.
        1 => match to.symlink_metadata(to_name) {
            Ok(_) => return Err(Errno::EEXIST),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        },
        _ => return Err(Errno::EINVAL),
    }
    Ok(from.rename(from_name, to, to_name)?)
}

/// A file without a name in `dir` (`O_TMPFILE`).
#[cfg(target_os = "linux")]
pub(super) fn unnamed(dir: &Dir, read: bool, mode: u32) -> Result<std::fs::File, Errno> {
    use rustix::fs::{Mode, OFlags, openat};
    let access = if read { OFlags::RDWR } else { OFlags::WRONLY };
    let flags = access | OFlags::TMPFILE | OFlags::CLOEXEC;
    openat(dir, ".", flags, Mode::from_raw_mode(mode))
        .map(Into::into)
        .map_err(Into::into)
}

/// A file without a name: not on this host.
#[cfg(not(target_os = "linux"))]
pub(super) fn unnamed(_dir: &Dir, _read: bool, _mode: u32) -> Result<std::fs::File, Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// Gives a file of [`unnamed`] a name.
#[cfg(target_os = "linux")]
pub(super) fn link_unnamed(file: &std::fs::File, dir: &Dir, name: &Path) -> Result<(), Errno> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd;
    // The host's /proc: AT_EMPTY_PATH would need a privilege.
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, from, dir, name, AtFlags::SYMLINK_FOLLOW).map_err(Into::into)
}

/// Gives a file without a name one: there are none on this host.
#[cfg(not(target_os = "linux"))]
pub(super) fn link_unnamed(_file: &std::fs::File, _dir: &Dir, _name: &Path) -> Result<(), Errno> {
    Err(Errno::EXDEV)
}

/// Lets this process hold as many open files as its host allows: the guests'
/// files are ours.
#[cfg(unix)]
pub(super) fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            log::debug!("the limit on open files stays: {error}");
        }
    }
}

/// This host has no limit on open files to speak of.
#[cfg(not(unix))]
pub(super) fn raise_file_limit() {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use cap_std::ambient_authority;

    /// Both ways to a directory, and what they say.
    #[track_caller]
    fn both(root: &Dir, path: &str) -> Result<u64, Errno> {
        use cap_std::fs::MetadataExt;
        let number = |dir: io::Result<Dir>| Ok::<_, Errno>(dir?.dir_metadata()?.ino());
        let quick = number(open_dir(root, path.as_bytes()));
        let stepped = number(step(root, path.as_bytes()));
        assert_eq!(quick.is_ok(), stepped.is_ok(), "{path}");
        if let (Ok(quick), Ok(stepped)) = (quick, stepped) {
            assert_eq!(quick, stepped, "{path}");
        }
        quick
    }

    #[test]
    fn no_link_is_followed_by_either_way_down() {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("root");
        std::fs::create_dir_all(root.join("a/b/c")).unwrap();
        std::fs::write(root.join("a/file"), "").unwrap();
        for (target, link) in [
            ("b", "a/inside"),
            ("../..", "a/above"),
            ("/", "a/absolute"),
            ("/proc/self/root", "a/magic"),
            ("loop", "a/loop"),
        ] {
            std::os::unix::fs::symlink(target, root.join(link)).unwrap();
        }
        let root = Dir::open_ambient_dir(&root, ambient_authority()).unwrap();
        for path in ["a", "a/b", "a/b/c"] {
            assert!(both(&root, path).is_ok(), "{path}");
        }
        for path in [
            "a/inside",
            "a/inside/c",
            "a/above",
            "a/above/root",
            "a/absolute",
            "a/absolute/etc",
            "a/magic",
            "a/loop",
            "a/file",
            "a/file/x",
            "a/missing",
        ] {
            assert!(both(&root, path).is_err(), "{path}");
        }
        // Paths are canonical; yet `..` gets nowhere above.
        assert!(open_dir(&root, b"a/../..").is_err());
        assert!(step(&root, b"..").is_err());
    }

    #[test]
    fn times_before_1970() {
        use std::time::{Duration, UNIX_EPOCH};
        let at = UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(since_epoch(at), (-2, 500_000_000));
        assert_eq!(since_epoch(UNIX_EPOCH - Duration::from_secs(3)), (-3, 0));
        assert_eq!(since_epoch(UNIX_EPOCH + Duration::new(3, 7)), (3, 7));
    }
}
