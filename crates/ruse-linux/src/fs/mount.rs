//! What can be mounted in the box.

use std::rc::Rc;

use super::walk::Found;
use super::{Change, File, Where, Who};
use crate::errno::Errno;

/// `struct statfs`, before it is laid out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StatFs {
    /// `f_type`: the magic number.
    pub magic: u64,
    pub block: u64,
    pub blocks: u64,
    pub free: u64,
    pub available: u64,
    pub files: u64,
    pub files_free: u64,
    pub read_only: bool,
}

/// How a file is to be opened: the flags were checked, links followed.
pub(crate) struct Opening<'a> {
    /// Beneath the mount point; no dots, no slash in front or behind; empty
    /// for the mount point itself.
    pub path: &'a [u8],
    pub flags: u32,
    /// Permissions of a new file, the umask taken off.
    pub mode: u32,
    /// Where it is, if it is a directory.
    pub place: Option<Rc<Where>>,
}

/// A file system. Paths are as in [`Opening::path`], and no symbolic link in
/// them is ever followed: one that appears while an operation runs makes it
/// fail.
pub(crate) trait FileSystem {
    /// What is at `path`; `end` of a link counts from the path's start.
    fn look(&self, who: &Who, path: &[u8]) -> Result<Found, Errno>;
    /// Opens or creates a file, or opens a directory.
    fn open(&self, who: &Who, opening: &Opening) -> Result<Rc<dyn File>, Errno>;
    /// chmod(2), chown(2), utimes(2), of a link itself.
    fn change(&self, _path: &[u8], _change: &Change) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
    /// truncate(2).
    fn truncate(&self, _path: &[u8], _size: u64) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }
    /// mkdir(2).
    fn make_dir(&self, _who: &Who, _path: &[u8], _mode: u32) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
    /// mknod(2) of an empty file, FIFO or socket.
    fn make_node(&self, _who: &Who, _path: &[u8], _mode: u32) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
    /// symlink(2).
    fn symlink(&self, _who: &Who, _target: &[u8], _path: &[u8]) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
    /// link(2).
    fn link(&self, _from: &[u8], _to: &[u8]) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
    /// Gives a file without a name (`O_TMPFILE`) one.
    fn link_file(&self, _file: &dyn File, _to: &[u8]) -> Result<(), Errno> {
        Err(Errno::EXDEV)
    }
    /// unlink(2), or rmdir(2) if `dir`.
    fn remove(&self, _path: &[u8], _dir: bool) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
    /// renameat2(2) within the file system.
    fn rename(&self, _from: &[u8], _to: &[u8], _flags: u32) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
    /// statfs(2).
    fn statfs(&self) -> StatFs;
    /// Name and options, for /proc/mounts.
    fn name(&self) -> &'static str;
    /// Whether nothing on it can change.
    fn read_only(&self) -> bool {
        true
    }
}
