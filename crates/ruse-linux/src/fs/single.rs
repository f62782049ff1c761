//! One file of the host in the box: the program that runs without a root
//! directory, or a shared file.

use std::path::Path;
use std::rc::Rc;

use super::attributes::Attributes;
use super::hostfile::HostFile;
use super::mount::{FileSystem, Opening, StatFs};
use super::walk::Found;
use super::*;
use crate::config::Config;
use crate::error::LinuxError;

/// A file system that is a single file.
pub(super) struct FileFs {
    file: std::fs::File,
    attributes: Rc<Attributes>,
    read_only: bool,
}

impl FileFs {
    /// Opens the file on the host, once and for all.
    pub(super) fn new(path: &Path, read_only: bool) -> Result<Self, LinuxError> {
        let open = || {
            // Before it is opened: a device or FIFO could block.
            if !std::fs::metadata(path)?.is_file() {
                return Err(std::io::ErrorKind::InvalidInput.into());
            }
            std::fs::OpenOptions::new()
                .read(true)
                .write(!read_only)
                .open(path)
        };
        let file = open().map_err(|source| LinuxError::Directory {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self {
            file,
            attributes: Rc::new(Attributes::default()),
            read_only,
        })
    }

    fn handle(&self, read: bool, write: bool) -> Result<HostFile, Errno> {
        Ok(HostFile {
            file: self.file.try_clone()?,
            attributes: Rc::clone(&self.attributes),
            read,
            write,
            fixed: self.read_only,
            #[cfg(not(unix))]
            number: 1,
        })
    }
}

/// Where the guest sees a program, and what is there.
type Program = (Vec<u8>, Rc<dyn FileSystem>);

/// The program of a box without a root directory, and where the guest sees
/// it: under its own absolute path, so that `argv[0]` and /proc/self/exe make
/// sense.
pub(super) fn program(config: &Config) -> Result<Option<Program>, LinuxError> {
    let path = Path::new(&config.program);
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let Ok(absolute) = std::path::absolute(path) else {
        return Ok(None);
    };
    // A missing program is reported by who loads it.
    let Ok(fs) = FileFs::new(&absolute, true) else {
        return Ok(None);
    };
    let mut at = Vec::new();
    for part in absolute.components() {
        match part {
            std::path::Component::Normal(name) => {
                at.push(b'/');
                at.extend_from_slice(&os::bytes(name));
            }
            std::path::Component::ParentDir => {
                at.truncate(at.iter().rposition(|&b| b == b'/').unwrap_or(0));
            }
            _ => {}
        }
    }
    Ok(Some((at, Rc::new(fs))))
}

impl FileSystem for FileFs {
    fn look(&self, _who: &Who, path: &[u8]) -> Result<Found, Errno> {
        if !path.is_empty() {
            return Err(Errno::ENOTDIR);
        }
        Ok(Found::Node(self.handle(false, false)?.stat()?))
    }

    fn open(&self, _who: &Who, opening: &Opening) -> Result<Rc<dyn File>, Errno> {
        if !opening.path.is_empty() {
            return Err(Errno::ENOTDIR);
        }
        let access = opening.flags & O_ACCMODE;
        let write = access != O_RDONLY;
        if self.read_only && (write || opening.flags & O_TRUNC != 0) {
            return Err(Errno::EROFS);
        }
        let file = self.handle(access != O_WRONLY, write)?;
        if opening.flags & O_TRUNC != 0 {
            file.file.set_len(0)?;
        }
        Ok(Rc::new(file))
    }

    fn change(&self, path: &[u8], change: &Change) -> Result<(), Errno> {
        if !path.is_empty() {
            return Err(Errno::ENOTDIR);
        }
        self.handle(false, true)?.change(change)
    }

    fn truncate(&self, _path: &[u8], size: u64) -> Result<(), Errno> {
        if self.read_only {
            return Err(Errno::EROFS);
        }
        Ok(self.file.set_len(size)?)
    }

    fn statfs(&self) -> StatFs {
        StatFs {
            magic: 0xef53,
            block: 4096,
            read_only: self.read_only,
            ..StatFs::default()
        }
    }

    fn name(&self) -> &'static str {
        "ext4"
    }

    fn read_only(&self) -> bool {
        self.read_only
    }
}
