//! Open directories (getdents64(2)).

use std::cell::RefCell;
use std::rc::Rc;

use super::{File, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK, Stat, Where};
use crate::errno::Errno;
use crate::kernel::Kernel;

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub ino: u64,
    pub name: Vec<u8>,
    /// `S_IFREG` and the like; 0 if not known.
    pub kind: u32,
}

/// What open directories have in common.
pub(crate) struct Directory {
    pub place: Rc<Where>,
    /// The listing, taken when reading began: entries keep their positions
    /// while others come and go, as POSIX asks of readdir.
    pub listing: RefCell<Option<Vec<Entry>>>,
    /// Lists what is in it, without `.` and `..`.
    pub source: Box<dyn Source>,
}

/// Where the entries of a directory come from.
pub(crate) trait Source {
    /// The entries, without `.` and `..`.
    fn list(&self, kernel: &Kernel) -> Result<Vec<Entry>, Errno>;
}

impl Directory {
    /// A directory at `place`.
    pub(crate) fn new(place: Rc<Where>, source: Box<dyn Source>) -> Self {
        Self {
            place,
            listing: RefCell::new(None),
            source,
        }
    }
}

/// `d_type` for a file type: `DT_REG` and the like.
pub(crate) fn d_type(kind: u32) -> u8 {
    ((kind & S_IFMT) >> 12) as u8
}

/// The type of a host's directory entry.
pub(super) fn kind_of(kind: cap_std::fs::FileType) -> u32 {
    if kind.is_dir() {
        S_IFDIR
    } else if kind.is_file() {
        S_IFREG
    } else if kind.is_symlink() {
        S_IFLNK
    } else {
        special_kind(kind)
    }
}

#[cfg(unix)]
fn special_kind(kind: cap_std::fs::FileType) -> u32 {
    use cap_std::fs::FileTypeExt;
    if kind.is_fifo() {
        S_IFIFO
    } else if kind.is_socket() {
        S_IFSOCK
    } else if kind.is_block_device() {
        super::S_IFBLK
    } else if kind.is_char_device() {
        super::S_IFCHR
    } else {
        0
    }
}

#[cfg(not(unix))]
fn special_kind(_kind: cap_std::fs::FileType) -> u32 {
    let _ = (S_IFIFO, S_IFSOCK);
    0
}

/// A directory of the kernel's own: what it is, and what is in it.
pub(crate) struct KernelDirectory {
    pub directory: Directory,
    pub stat: Stat,
}

impl File for KernelDirectory {
    fn read(&self, _offset: u64, _out: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::EISDIR)
    }

    fn seekable(&self) -> bool {
        true
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(self.stat)
    }

    fn directory(&self) -> Option<&Directory> {
        Some(&self.directory)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The entries of a directory that holds nothing but mount points.
pub(crate) struct Nothing;

impl Source for Nothing {
    fn list(&self, _kernel: &Kernel) -> Result<Vec<Entry>, Errno> {
        Ok(Vec::new())
    }
}
