//! The shared directory, and finding what is beneath it.

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;

use crate::errno::Errno;
use crate::fid::MAX_PATH;
use crate::os::{self, StatFs};
use crate::stat::{Qid, Stat};

/// The shared directory.
pub(crate) struct Tree {
    root: Dir,
    dev: u64,
    read_only: bool,
}

/// The root or a directory that was opened for a moment.
pub(crate) enum At<'a> {
    Root(&'a Dir),
    Beneath(Dir),
}

impl Deref for At<'_> {
    type Target = Dir;

    fn deref(&self) -> &Dir {
        match self {
            Self::Root(dir) => dir,
            Self::Beneath(dir) => dir,
        }
    }
}

/// `name` in the directory at `path`.
pub(crate) fn join(path: &[u8], name: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut out = path.to_vec();
    if !path.is_empty() {
        out.push(b'/');
    }
    out.extend_from_slice(name);
    match out.len() <= MAX_PATH {
        true => Ok(out),
        false => Err(Errno::ENAMETOOLONG),
    }
}

/// A path without its last name; the root's is its own.
pub(crate) fn above(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|&b| b == b'/')
        .map_or(b"", |at| &path[..at])
}

impl Tree {
    pub(crate) fn open(path: &Path, read_only: bool) -> io::Result<Self> {
        let root = Dir::open_ambient_dir(path, cap_std::ambient_authority())?;
        Ok(Self {
            dev: os::stat_file(&root, b"")?.dev,
            root,
            read_only,
        })
    }

    /// Refuses what would change something.
    pub(crate) fn writable(&self) -> Result<(), Errno> {
        match self.read_only {
            true => Err(Errno::EROFS),
            false => Ok(()),
        }
    }

    pub(crate) fn qid(&self, stat: &Stat) -> Qid {
        Qid::new(stat, self.dev)
    }

    /// The directory at `path`.
    pub(crate) fn dir(&self, path: &[u8]) -> Result<At<'_>, Errno> {
        if path.is_empty() {
            return Ok(At::Root(&self.root));
        }
        Ok(At::Beneath(os::open_dir(&self.root, path)?))
    }

    /// The directory that holds the last name of `path`, and that name. The
    /// root has none.
    pub(crate) fn parent(&self, path: &[u8]) -> Result<(At<'_>, PathBuf), Errno> {
        let name = match path.iter().rposition(|&b| b == b'/') {
            Some(at) => &path[at + 1..],
            None => path,
        };
        if name.is_empty() {
            return Err(Errno::EBUSY);
        }
        Ok((self.dir(above(path))?, os::path(name)?))
    }

    /// [`Self::parent`], or the root and its own name.
    pub(crate) fn place(&self, path: &[u8]) -> Result<(At<'_>, PathBuf), Errno> {
        match path.is_empty() {
            true => Ok((At::Root(&self.root), PathBuf::from("."))),
            false => self.parent(path),
        }
    }

    pub(crate) fn stat(&self, path: &[u8]) -> Result<Stat, Errno> {
        if path.is_empty() {
            return Ok(os::stat_file(&self.root, path)?);
        }
        let (dir, name) = self.parent(path)?;
        Ok(os::stat_at(&dir, &name, path)?)
    }

    /// What the file system of `path` holds: that of its directory, if it is
    /// none itself.
    pub(crate) fn statfs(&self, path: &[u8]) -> Result<StatFs, Errno> {
        let dir = match self.dir(path) {
            Err(Errno::ENOTDIR | Errno::ELOOP) => self.dir(above(path))?,
            dir => dir?,
        };
        Ok(os::statfs(&dir)?)
    }
}
