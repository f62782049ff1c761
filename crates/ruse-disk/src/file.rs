//! Host files as storage, and who may use them at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::{DiskError, Stamp, Storage};

/// A host file or block device.
///
/// It is locked while it is open: any number of machines may read it, or one
/// may write to it. The lock is advisory, so that it guards against accidents
/// between machines and not against other programs.
pub struct FileStorage {
    file: File,
    path: PathBuf,
    /// Gone when it is closed.
    temporary: bool,
    /// The file system said that it cannot punch holes.
    no_holes: bool,
    /// A sync failed. The host may have dropped what it could not store, so
    /// that no later sync can promise anything (the lesson of PostgreSQL's
    /// "fsyncgate").
    lost: Option<io::ErrorKind>,
}

impl FileStorage {
    /// Opens and locks the file at `path`.
    ///
    /// # Errors
    /// [`DiskError`] if it cannot be opened that way, is no file or block
    /// device, or is in use.
    pub fn open(path: impl AsRef<Path>, read_only: bool) -> Result<Self, DiskError> {
        let path = path.as_ref().to_path_buf();
        let writable = !read_only;
        let open_error = |source| DiskError::Open {
            path: path.clone(),
            writable,
            source,
        };
        // Asked before opening, which on a FIFO would wait for a peer.
        let kind = std::fs::metadata(&path).map_err(open_error)?.file_type();
        if !kind.is_file() && !is_block_device(kind) {
            return Err(DiskError::Kind { path });
        }
        let file = OpenOptions::new()
            .read(true)
            .write(writable)
            .open(&path)
            .map_err(open_error)?;
        Self::locked(file, path, writable)
    }

    /// Makes a new empty file at `path`.
    ///
    /// # Errors
    /// [`DiskError`] if there is one, or the host refuses.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, DiskError> {
        let path = path.as_ref().to_path_buf();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|source| DiskError::Create {
                path: path.clone(),
                size: 0,
                source,
            })?;
        os::make_sparse(&file);
        Self::locked(file, path, true)
    }

    /// Makes a file without a name, gone when it is closed.
    ///
    /// # Errors
    /// [`DiskError`] if the host refuses.
    pub fn temporary() -> Result<Self, DiskError> {
        // What a guest writes can be much, and /tmp is often in memory.
        let big = Path::new("/var/tmp");
        let dir = match std::env::var_os("TMPDIR") {
            None if big.is_dir() => big.to_path_buf(),
            _ => std::env::temp_dir(),
        };
        match tempfile::tempfile_in(&dir) {
            Ok(file) => Ok(Self {
                file,
                path: dir.join("(temporary)"),
                temporary: true,
                no_holes: false,
                lost: None,
            }),
            Err(source) => Err(DiskError::Create {
                path: dir,
                size: 0,
                source,
            }),
        }
    }

    fn locked(file: File, path: PathBuf, writable: bool) -> Result<Self, DiskError> {
        let locked = if writable {
            file.try_lock()
        } else {
            file.try_lock_shared()
        };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DiskError::InUse { path, writable }),
            Err(TryLockError::Error(error)) => {
                // Some network file systems have no locks; that is no reason
                // to have no disk.
                log::warn!("disk image {}: cannot lock it: {error}", path.display());
            }
        }
        Ok(Self {
            file,
            path,
            temporary: false,
            no_holes: false,
            lost: None,
        })
    }

    /// What tells this file from all others, where the host says so.
    pub(crate) fn identity(&self) -> Option<(u64, u64)> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let metadata = self.file.metadata().ok()?;
            Some((metadata.dev(), metadata.ino()))
        }
        #[cfg(not(unix))]
        None
    }
}

impl Storage for FileStorage {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&mut self) -> io::Result<u64> {
        // By seeking, since a block device has no length as a file.
        io::Seek::seek(&mut self.file, io::SeekFrom::End(0))
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < out.len() {
            match os::read_at(&self.file, &mut out[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        os::write_all_at(&self.file, bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Some(kind) = self.lost {
            return Err(io::Error::new(
                kind,
                "an earlier flush failed, and what was written before it may be lost",
            ));
        }
        self.file
            .sync_data()
            .inspect_err(|error| self.lost = Some(error.kind()))
    }

    fn punch(&mut self, offset: u64, len: u64) -> io::Result<bool> {
        if self.no_holes {
            return Ok(false);
        }
        match os::punch_hole(&self.file, offset, len) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.no_holes = true;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn next_data(&mut self, offset: u64) -> io::Result<Option<(u64, u64)>> {
        let len = self.len()?;
        if offset >= len {
            return Ok(None);
        }
        os::next_data(&self.file, offset, len)
    }

    fn stamp(&mut self) -> io::Result<Option<Stamp>> {
        if self.temporary {
            return Ok(None);
        }
        let modified = self.file.metadata()?.modified()?;
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Some(Stamp {
            path: self.path.display().to_string(),
            len: Storage::len(self)?,
            modified: (since.as_secs(), since.subsec_nanos()),
        }))
    }

    fn held(&self) -> Option<u64> {
        #[cfg(unix)]
        {
            // In units of 512 bytes, whatever the file system's block size
            // (stat(2)).
            let metadata = self.file.metadata().ok()?;
            Some(std::os::unix::fs::MetadataExt::blocks(&metadata) * 512)
        }
        #[cfg(not(unix))]
        None
    }
}

#[cfg(unix)]
fn is_block_device(kind: std::fs::FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind.is_block_device()
}

#[cfg(not(unix))]
fn is_block_device(_: std::fs::FileType) -> bool {
    false
}

#[cfg(unix)]
mod os {
    //! Positional I/O where the host is a Unix.

    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;

    pub fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(out, offset)
    }

    pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    /// Files are sparse by themselves.
    pub fn make_sparse(_: &File) {}

    #[cfg(target_os = "linux")]
    pub fn punch_hole(file: &File, offset: u64, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        loop {
            match fallocate(file, flags, offset, len) {
                Err(rustix::io::Errno::INTR) => {}
                // A block device that cannot, or a kernel that does not know.
                Err(
                    rustix::io::Errno::OPNOTSUPP
                    | rustix::io::Errno::NOSYS
                    | rustix::io::Errno::NODEV
                    | rustix::io::Errno::INVAL,
                ) => return Err(io::ErrorKind::Unsupported.into()),
                other => return Ok(other?),
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub fn punch_hole(_: &File, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(target_os = "linux")]
    pub fn next_data(file: &File, offset: u64, len: u64) -> io::Result<Option<(u64, u64)>> {
        use rustix::fs::{SeekFrom, seek};
        use rustix::io::Errno;
        let from = match seek(file, SeekFrom::Data(offset)) {
            Ok(from) => from,
            Err(Errno::NXIO) => return Ok(None),
            // Block devices, and file systems that keep no map.
            Err(_) => return Ok(Some((offset, len))),
        };
        let to = seek(file, SeekFrom::Hole(from)).unwrap_or(len);
        Ok(Some((from, to.clamp(from, len.max(from)))))
    }

    #[cfg(not(target_os = "linux"))]
    pub fn next_data(_: &File, offset: u64, len: u64) -> io::Result<Option<(u64, u64)>> {
        Ok(Some((offset, len)))
    }
}

#[cfg(windows)]
mod os {
    //! Positional I/O on Windows, where it moves the cursor, which nobody
    //! uses.

    use std::fs::File;
    use std::io;
    use std::os::windows::fs::FileExt;

    pub fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
        file.seek_read(out, offset)
    }

    pub fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match file.seek_write(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    bytes = &bytes[n..];
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// NTFS files become sparse by a control code, which needs an unsafe
    /// call; without it the file takes its space, and nothing else differs.
    pub fn make_sparse(_: &File) {}

    pub fn punch_hole(_: &File, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn next_data(_: &File, offset: u64, len: u64) -> io::Result<Option<(u64, u64)>> {
        Ok(Some((offset, len)))
    }
}
