//! Open files and directories of the host.

use std::fs::File as StdFile;
use std::rc::Rc;

use cap_std::fs::Dir;

use super::attributes::Attributes;
use super::dirent::{Directory, Source};
use super::host::apply_change;
use super::{Change, Entry, File, S_IFREG, Stat, dirent, os};
use crate::errno::Errno;
use crate::kernel::Kernel;

/// An open regular file. Reads and writes name their offset: the host's own
/// offset means nothing.
pub(crate) struct HostFile {
    pub(super) file: StdFile,
    pub(super) attributes: Rc<Attributes>,
    /// Opened for reading and for writing on the host.
    pub(super) read: bool,
    pub(super) write: bool,
    /// On a read-only mount: not even its times change.
    pub(super) fixed: bool,
    /// Its number, on hosts that give none.
    #[cfg(not(unix))]
    pub(super) number: u64,
}

impl HostFile {
    /// What the host says of an open file.
    fn raw_stat(&self) -> Result<Stat, Errno> {
        let meta = self.file.metadata()?;
        let meta = cap_std::fs::Metadata::from_just_metadata(meta);
        #[allow(unused_mut)]
        let mut stat = os::stat(&meta);
        #[cfg(not(unix))]
        {
            stat.ino = self.number;
        }
        Ok(stat)
    }
}

impl File for HostFile {
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        if !self.read {
            return Err(Errno::EBADF);
        }
        loop {
            match os::read_at(&self.file, out, offset) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                result => return Ok(result?),
            }
        }
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        if !self.write {
            return Err(Errno::EBADF);
        }
        loop {
            match os::write_at(&self.file, bytes, offset) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                result => return Ok(result?),
            }
        }
    }

    fn seekable(&self) -> bool {
        true
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let mut stat = self.raw_stat()?;
        self.attributes.apply(&mut stat);
        Ok(stat)
    }

    fn truncate(&self, size: u64) -> Result<(), Errno> {
        if !self.write {
            return Err(Errno::EINVAL);
        }
        Ok(self.file.set_len(size)?)
    }

    fn sync(&self, only_data: bool) -> Result<(), Errno> {
        if only_data {
            self.file.sync_data()?;
        } else {
            self.file.sync_all()?;
        }
        Ok(())
    }

    fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        if !self.write {
            return Err(Errno::EBADF);
        }
        os::allocate(&self.file, mode, offset, len)
    }

    fn seek(&self, offset: u64, hole: bool) -> Result<u64, Errno> {
        os::seek(&self.file, offset, hole)
    }

    fn change(&self, change: &Change) -> Result<(), Errno> {
        if self.fixed {
            return Err(Errno::EROFS);
        }
        let stat = self.raw_stat()?;
        apply_change(&self.attributes, &stat, change, |mode, times| {
            if let Some(mode) = mode {
                os::set_mode(&self.file, mode)?;
            }
            if let Some(times) = times {
                os::set_times(&self.file, times)?;
            }
            Ok(())
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// An open directory.
pub(crate) struct HostDirectory {
    pub(super) dir: Rc<Dir>,
    pub(super) directory: Directory,
    pub(super) attributes: Rc<Attributes>,
    pub(super) fixed: bool,
    /// Its number, on hosts that give none.
    #[cfg(not(unix))]
    pub(super) number: u64,
}

impl HostDirectory {
    fn raw_stat(&self) -> Result<Stat, Errno> {
        #[allow(unused_mut)]
        let mut stat = os::stat(&self.dir.dir_metadata()?);
        #[cfg(not(unix))]
        {
            stat.ino = self.number;
        }
        Ok(stat)
    }
}

impl File for HostDirectory {
    fn read(&self, _offset: u64, _out: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::EISDIR)
    }

    fn seekable(&self) -> bool {
        true
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let mut stat = self.raw_stat()?;
        self.attributes.apply(&mut stat);
        Ok(stat)
    }

    fn sync(&self, _only_data: bool) -> Result<(), Errno> {
        os::sync_dir(&self.dir)
    }

    fn change(&self, change: &Change) -> Result<(), Errno> {
        if self.fixed {
            return Err(Errno::EROFS);
        }
        let stat = self.raw_stat()?;
        apply_change(&self.attributes, &stat, change, |mode, times| {
            if let Some(mode) = mode {
                os::set_mode_at(&self.dir, std::path::Path::new("."), mode)?;
            }
            if let Some(times) = times {
                os::set_times_at(&self.dir, std::path::Path::new("."), times)?;
            }
            Ok(())
        })
    }

    fn directory(&self) -> Option<&Directory> {
        Some(&self.directory)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The entries of a host directory.
pub(super) struct HostSource {
    pub(super) dir: Rc<Dir>,
    pub(super) attributes: Rc<Attributes>,
    pub(super) dev: u64,
}

impl Source for HostSource {
    fn list(&self, _kernel: &Kernel) -> Result<Vec<Entry>, Errno> {
        let mut entries = Vec::new();
        for entry in self.dir.entries()? {
            let entry = entry?;
            let name = os::bytes(&entry.file_name());
            let kind = entry.file_type().map_or(0, dirent::kind_of);
            #[cfg(unix)]
            let ino = std::os::unix::fs::DirEntryExt::ino(&entry);
            #[cfg(not(unix))]
            let ino = os::number(self.dev, &name);
            let kind = match kind {
                S_IFREG => self.attributes.get((self.dev, ino)).kind.unwrap_or(S_IFREG),
                kind => kind,
            };
            entries.push(Entry { ino, name, kind });
        }
        Ok(entries)
    }
}
