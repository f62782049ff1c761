//! The few things of a host's file system that std and cap-std do not offer in
//! one portable call. All take a directory and one name in it, of which they
//! follow no link.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;

use crate::stat::Stat;

#[cfg(not(unix))]
pub(crate) use other::*;
#[cfg(unix)]
pub(crate) use unix::*;

/// How to open a file.
#[derive(Clone, Copy)]
pub(crate) struct Opening {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// Make it with this mode; it must not be there.
    pub(crate) create: Option<u32>,
}

/// A time to set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Time {
    Keep,
    Now,
    /// Seconds and nanoseconds.
    At(i64, u32),
}

/// What statfs(2) says.
pub(crate) struct StatFs {
    pub(crate) block: u32,
    pub(crate) blocks: u64,
    pub(crate) free: u64,
    pub(crate) available: u64,
    pub(crate) files: u64,
    pub(crate) files_free: u64,
    pub(crate) longest_name: u32,
}

impl StatFs {
    /// A large file system, half full: for hosts that do not say.
    #[cfg_attr(target_os = "linux", allow(dead_code))]
    pub(crate) fn made_up() -> Self {
        Self {
            block: 4096,
            blocks: 1 << 26,
            free: 1 << 25,
            available: 1 << 25,
            files: 1 << 24,
            files_free: 1 << 23,
            longest_name: 255,
        }
    }
}

/// Opens the directory at `path` beneath `root`, following no symbolic link
/// anywhere.
pub(crate) fn open_dir(root: &Dir, path: &[u8]) -> io::Result<Dir> {
    #[cfg(target_os = "linux")]
    match linux::beneath(root, path) {
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

    pub(super) fn beneath(root: &Dir, path: &[u8]) -> io::Result<Dir> {
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

#[cfg(unix)]
mod unix {
    use super::*;
    use rustix::fs::{AtFlags, Mode, OFlags};
    use std::ffi::OsStr;
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStrExt;

    /// A guest's name as the host's.
    pub(crate) fn path(name: &[u8]) -> io::Result<PathBuf> {
        Ok(PathBuf::from(OsStr::from_bytes(name)))
    }

    /// A host's name as the guest's.
    pub(crate) fn bytes(name: &OsStr) -> Vec<u8> {
        name.as_bytes().to_vec()
    }

    /// What is at `name`.
    pub(crate) fn stat_at(dir: &Dir, name: &Path, _path: &[u8]) -> io::Result<Stat> {
        Ok(stat(&rustix::fs::statat(
            dir,
            name,
            AtFlags::SYMLINK_NOFOLLOW,
        )?))
    }

    /// What an open file or directory is.
    pub(crate) fn stat_file(file: impl AsFd, _path: &[u8]) -> io::Result<Stat> {
        Ok(stat(&rustix::fs::fstat(file)?))
    }

    // Hosts do not agree on the types.
    #[allow(clippy::unnecessary_cast)]
    fn stat(stat: &rustix::fs::Stat) -> Stat {
        Stat {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            mode: stat.st_mode as u32,
            nlink: stat.st_nlink as u64,
            uid: stat.st_uid,
            gid: stat.st_gid,
            rdev: stat.st_rdev as u64,
            size: stat.st_size as u64,
            blksize: stat.st_blksize as u64,
            blocks: stat.st_blocks as u64,
            atime: (stat.st_atime as i64, stat.st_atime_nsec as u32),
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }

    /// The number of an entry of a directory.
    #[cfg_attr(target_os = "linux", allow(dead_code))]
    pub(crate) fn entry_ino(entry: &cap_std::fs::DirEntry, _name: &[u8]) -> u64 {
        std::os::unix::fs::DirEntryExt::ino(entry)
    }

    /// Opens a file so that none of the host's can block or do something just
    /// by being opened.
    pub(crate) fn open(dir: &Dir, name: &Path, how: Opening) -> io::Result<File> {
        let mut flags = match (how.read, how.write) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            _ => OFlags::RDONLY,
        };
        flags |= OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mut mode = Mode::empty();
        if let Some(wanted) = how.create {
            flags |= OFlags::CREATE | OFlags::EXCL;
            mode = Mode::from_raw_mode(wanted as _);
        }
        Ok(rustix::fs::openat(dir, name, flags, mode)?.into())
    }

    /// Permissions of an open file.
    pub(crate) fn set_mode(file: impl AsFd, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(mode as _))?)
    }

    /// Permissions of `name`, whatever they were.
    #[cfg(target_os = "linux")]
    pub(crate) fn set_mode_at(dir: &Dir, name: &Path, mode: u32) -> io::Result<()> {
        use rustix::fs::FileType;
        use rustix::io::Errno;
        use std::os::fd::AsRawFd;
        // Without opening it: it may be a FIFO, or nobody's to read. And a
        // handle of this kind has its mode changed only by way of /proc.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(dir, name, flags, Mode::empty())?;
        let found = rustix::fs::fstat(&handle)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Symlink {
            return Err(Errno::OPNOTSUPP.into());
        }
        let by_handle = format!("/proc/self/fd/{}", handle.as_raw_fd());
        match rustix::fs::chmod(by_handle, Mode::from_raw_mode(mode)) {
            Err(Errno::NOENT) => {
                let how = Opening {
                    read: true,
                    write: false,
                    create: None,
                };
                set_mode(open(dir, name, how)?, mode)
            }
            result => Ok(result?),
        }
    }

    /// Permissions of `name`, whatever they were.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn set_mode_at(dir: &Dir, name: &Path, mode: u32) -> io::Result<()> {
        let (mode, flags) = (Mode::from_raw_mode(mode as _), AtFlags::SYMLINK_NOFOLLOW);
        Ok(rustix::fs::chmodat(dir, name, mode, flags)?)
    }

    fn owner(
        uid: Option<u32>,
        gid: Option<u32>,
    ) -> (Option<rustix::fs::Uid>, Option<rustix::fs::Gid>) {
        // All ones means nobody, and to the host: leave it.
        let real = |id: &u32| *id != u32::MAX;
        (
            uid.filter(real).map(rustix::fs::Uid::from_raw),
            gid.filter(real).map(rustix::fs::Gid::from_raw),
        )
    }

    /// The owner of an open file.
    pub(crate) fn set_owner(file: &File, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        let (uid, gid) = owner(uid, gid);
        Ok(rustix::fs::fchown(file, uid, gid)?)
    }

    /// The owner of `name`.
    pub(crate) fn set_owner_at(
        dir: &Dir,
        name: &Path,
        uid: Option<u32>,
        gid: Option<u32>,
    ) -> io::Result<()> {
        let (uid, gid) = owner(uid, gid);
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::chownat(dir, name, uid, gid, flags)?)
    }

    fn timestamps(access: Time, modification: Time) -> rustix::fs::Timestamps {
        let one = |time: Time| match time {
            Time::Keep => (0, rustix::fs::UTIME_OMIT as _),
            Time::Now => (0, rustix::fs::UTIME_NOW as _),
            Time::At(seconds, nanos) => (seconds as _, nanos as _),
        };
        let spec = |(tv_sec, tv_nsec)| rustix::fs::Timespec { tv_sec, tv_nsec };
        rustix::fs::Timestamps {
            last_access: spec(one(access)),
            last_modification: spec(one(modification)),
        }
    }

    /// Times of an open file.
    pub(crate) fn set_times(file: &File, access: Time, modification: Time) -> io::Result<()> {
        Ok(rustix::fs::futimens(
            file,
            &timestamps(access, modification),
        )?)
    }

    /// Times of `name`.
    pub(crate) fn set_times_at(
        dir: &Dir,
        name: &Path,
        access: Time,
        modification: Time,
    ) -> io::Result<()> {
        let (times, flags) = (timestamps(access, modification), AtFlags::SYMLINK_NOFOLLOW);
        Ok(rustix::fs::utimensat(dir, name, &times, flags)?)
    }

    /// Makes a directory with this mode, less the host's umask.
    pub(crate) fn make_dir(dir: &Dir, name: &Path, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(
            dir,
            name,
            Mode::from_raw_mode(mode as _),
        )?)
    }

    /// Makes a FIFO or a socket's name.
    #[cfg(not(target_vendor = "apple"))]
    pub(crate) fn make_node(dir: &Dir, name: &Path, mode: u32) -> io::Result<()> {
        let kind = rustix::fs::FileType::from_raw_mode(mode as _);
        let mode = Mode::from_raw_mode((mode & 0o777) as _);
        Ok(rustix::fs::mknodat(dir, name, kind, mode, 0)?)
    }

    /// Makes a FIFO or a socket's name: not on this host.
    #[cfg(target_vendor = "apple")]
    pub(crate) fn make_node(_dir: &Dir, _name: &Path, _mode: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes a symbolic link of any text.
    pub(crate) fn symlink(dir: &Dir, text: &[u8], name: &Path) -> io::Result<()> {
        dir.symlink_contents(path(text)?, name)
    }

    /// Reads at an offset.
    pub(crate) fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(file, out, offset)
    }

    /// Writes at an offset.
    pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(file, bytes, offset)
    }

    /// fsync(2) of a directory.
    pub(crate) fn sync_dir(dir: &Dir) -> io::Result<()> {
        dir.open(".")?.sync_all()
    }

    /// The file system that `dir` is on.
    #[cfg(target_os = "linux")]
    pub(crate) fn statfs(dir: &Dir) -> io::Result<StatFs> {
        let fs = rustix::fs::fstatfs(dir)?;
        Ok(StatFs {
            block: fs.f_bsize as u32,
            blocks: fs.f_blocks,
            free: fs.f_bfree,
            available: fs.f_bavail,
            files: fs.f_files,
            files_free: fs.f_ffree,
            longest_name: fs.f_namelen as u32,
        })
    }

    /// The file system that `dir` is on.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn statfs(_dir: &Dir) -> io::Result<StatFs> {
        Ok(StatFs::made_up())
    }

    /// Lets this process have as many open files as its host allows, and says
    /// how many.
    pub(crate) fn raise_open_limit() -> u64 {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        let before = limit.current;
        if limit.current != limit.maximum {
            limit.current = limit.maximum;
            if let Err(error) = setrlimit(Resource::Nofile, limit) {
                log::debug!("the limit on open files stays: {error}");
                limit.current = before;
            }
        }
        limit.current.unwrap_or(u64::MAX)
    }
}

#[cfg(not(unix))]
mod other {
    use super::*;
    use crate::message::mode;

    /// A guest's name as the host's: names that the host would take for a path,
    /// a stream or a device are refused.
    pub(crate) fn path(name: &[u8]) -> io::Result<PathBuf> {
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
    pub(crate) fn bytes(name: &std::ffi::OsStr) -> Vec<u8> {
        name.to_string_lossy().replace('\\', "/").into_bytes()
    }

    /// Numbers for files on hosts that have none: from their path. So a renamed
    /// file gets another, and hard links differ.
    fn number(path: &[u8]) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for &byte in path {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        hash | 1
    }

    /// What is at `name`.
    pub(crate) fn stat_at(dir: &Dir, name: &Path, path: &[u8]) -> io::Result<Stat> {
        let mut stat = stat(&dir.symlink_metadata(name)?);
        stat.ino = number(path);
        Ok(stat)
    }

    /// What an open file or directory is.
    pub(crate) fn stat_file(file: &impl Metadata, path: &[u8]) -> io::Result<Stat> {
        let mut stat = stat(&file.get()?);
        stat.ino = number(path);
        Ok(stat)
    }

    /// Files and directories, of which cap-std knows both.
    pub(crate) trait Metadata {
        fn get(&self) -> io::Result<cap_std::fs::Metadata>;
    }

    impl Metadata for File {
        fn get(&self) -> io::Result<cap_std::fs::Metadata> {
            self.metadata()
                .map(cap_std::fs::Metadata::from_just_metadata)
        }
    }

    impl Metadata for Dir {
        fn get(&self) -> io::Result<cap_std::fs::Metadata> {
            self.dir_metadata()
        }
    }

    fn stat(meta: &cap_std::fs::Metadata) -> Stat {
        let time = |at: io::Result<cap_std::time::SystemTime>| {
            let since = at
                .ok()
                .and_then(|at| at.into_std().duration_since(std::time::UNIX_EPOCH).ok());
            since.map_or((0, 0), |since| {
                (since.as_secs() as i64, since.subsec_nanos())
            })
        };
        let mode = if meta.is_dir() {
            mode::DIR | 0o755
        } else if meta.file_type().is_symlink() {
            mode::LINK | 0o777
        } else {
            mode::FILE | 0o755
        };
        Stat {
            mode,
            nlink: 1,
            size: meta.len(),
            blksize: 4096,
            blocks: meta.len().div_ceil(512),
            atime: time(meta.accessed()),
            mtime: time(meta.modified()),
            ctime: time(meta.modified()),
            ..Stat::default()
        }
    }

    /// The number of an entry of a directory.
    pub(crate) fn entry_ino(_entry: &cap_std::fs::DirEntry, name: &[u8]) -> u64 {
        number(name)
    }

    /// Opens a file.
    pub(crate) fn open(dir: &Dir, name: &Path, how: Opening) -> io::Result<File> {
        use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
        let mut options = cap_std::fs::OpenOptions::new();
        options.follow(FollowSymlinks::No);
        let create = how.create.is_some();
        options.read(how.read).write(how.write || create);
        options.create_new(create);
        Ok(dir.open_with(name, &options)?.into_std())
    }

    /// Permissions: this host has none that fit.
    pub(crate) fn set_mode(_file: &File, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    /// Permissions: this host has none that fit.
    pub(crate) fn set_mode_at(_dir: &Dir, _name: &Path, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    /// Owners: this host has none that fit.
    pub(crate) fn set_owner(_file: &File, _uid: Option<u32>, _gid: Option<u32>) -> io::Result<()> {
        Ok(())
    }

    /// Owners: this host has none that fit.
    pub(crate) fn set_owner_at(
        _dir: &Dir,
        _name: &Path,
        _uid: Option<u32>,
        _gid: Option<u32>,
    ) -> io::Result<()> {
        Ok(())
    }

    /// A time for std; `None` leaves it.
    fn std_time(time: Time) -> Option<std::time::SystemTime> {
        use std::time::{Duration, UNIX_EPOCH};
        match time {
            Time::Keep => None,
            Time::Now => Some(std::time::SystemTime::now()),
            Time::At(seconds, nanos) => {
                let whole = Duration::from_secs(seconds.unsigned_abs());
                if seconds < 0 {
                    UNIX_EPOCH.checked_sub(whole)
                } else {
                    UNIX_EPOCH.checked_add(whole)
                }
                .and_then(|at| at.checked_add(Duration::from_nanos(nanos.into())))
            }
        }
    }

    /// Times of an open file.
    pub(crate) fn set_times(file: &File, access: Time, modification: Time) -> io::Result<()> {
        let mut set = std::fs::FileTimes::new();
        if let Some(at) = std_time(access) {
            set = set.set_accessed(at);
        }
        if let Some(at) = std_time(modification) {
            set = set.set_modified(at);
        }
        file.set_times(set)
    }

    /// Times of `name`.
    pub(crate) fn set_times_at(
        dir: &Dir,
        name: &Path,
        access: Time,
        modification: Time,
    ) -> io::Result<()> {
        use cap_fs_ext::{DirExt, SystemTimeSpec};
        let spec = |time| {
            std_time(time)
                .map(|at| SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(at)))
        };
        dir.set_symlink_times(name, spec(access), spec(modification))
    }

    /// Makes a directory.
    pub(crate) fn make_dir(dir: &Dir, name: &Path, _mode: u32) -> io::Result<()> {
        dir.create_dir(name)
    }

    /// Makes a FIFO or a socket's name: not on this host.
    pub(crate) fn make_node(_dir: &Dir, _name: &Path, _mode: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes a symbolic link, to a file: the host wants to know.
    pub(crate) fn symlink(dir: &Dir, text: &[u8], name: &Path) -> io::Result<()> {
        let text = std::str::from_utf8(text).map_err(|_| io::ErrorKind::InvalidFilename)?;
        dir.symlink_file(text, name)
    }

    /// Reads at an offset.
    pub(crate) fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(file, out, offset)
    }

    /// Writes at an offset.
    pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
    }

    /// This host has no such thing.
    pub(crate) fn sync_dir(_dir: &Dir) -> io::Result<()> {
        Ok(())
    }

    /// The file system that `dir` is on.
    pub(crate) fn statfs(_dir: &Dir) -> io::Result<StatFs> {
        Ok(StatFs::made_up())
    }

    /// This host has no limit on open files to speak of.
    pub(crate) fn raise_open_limit() -> u64 {
        u64::MAX
    }
}
