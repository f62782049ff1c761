//! A disk whose sectors are the bytes of a host file, one after the other.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::{Disk, DiskError, SECTOR, check_range};

/// How many zeroes are written at a time where the host has no quicker way.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// A raw disk image.
///
/// The file is locked while it is open: any number of machines may read it,
/// or one may write to it. The lock is advisory, so that it guards against
/// accidents between machines and not against other programs.
pub struct RawDisk {
    file: File,
    path: PathBuf,
    name: String,
    size: u64,
    read_only: bool,
    /// The file system said that it cannot punch holes.
    no_holes: bool,
}

impl RawDisk {
    /// Opens the image at `path`, for reading only if `read_only`.
    ///
    /// # Errors
    /// [`DiskError`] if it cannot be opened that way, is no file or block
    /// device, is empty or no multiple of 512 bytes long, or is in use.
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
        let mut file = OpenOptions::new()
            .read(true)
            .write(writable)
            .open(&path)
            .map_err(open_error)?;
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
        // By seeking, since a block device has no length as a file.
        let size = io::Seek::seek(&mut file, io::SeekFrom::End(0)).map_err(open_error)?;
        if size == 0 || !size.is_multiple_of(SECTOR) {
            return Err(DiskError::Size { path, size });
        }
        let name = path
            .file_name()
            .map_or_else(|| "disk".into(), |name| name.to_string_lossy());
        let name = name.chars().filter(char::is_ascii_graphic).take(20);
        Ok(Self {
            name: name.collect(),
            file,
            path,
            size,
            read_only,
            no_holes: false,
        })
    }

    /// The same disk with another [`Disk::id`], cut to 20 ASCII characters.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.name = id.chars().filter(char::is_ascii_graphic).take(20).collect();
        self
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn io(&self, what: &'static str, offset: u64, source: io::Error) -> DiskError {
        DiskError::Io {
            path: self.path.clone(),
            what,
            offset,
            source,
        }
    }

    fn check_write(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        if self.read_only {
            return Err(DiskError::ReadOnly {
                name: self.path.display().to_string(),
                offset,
            });
        }
        self.check(offset, len)
    }

    fn check(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        check_range(|| self.path.display().to_string(), self.size, offset, len)
    }

    /// Gives the range back to the host, which makes it read as zeroes. False
    /// where that cannot be done.
    fn punch(&mut self, offset: u64, len: u64) -> Result<bool, DiskError> {
        if self.no_holes {
            return Ok(false);
        }
        match os::punch_hole(&self.file, offset, len) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.no_holes = true;
                Ok(false)
            }
            Err(error) => Err(self.io("discard", offset, error)),
        }
    }
}

/// Makes a new image of `size` bytes of zeroes at `path`, which takes no
/// space before it is written to.
///
/// # Errors
/// [`DiskError`] if the size is no disk's, the file exists, or the host
/// refuses.
pub fn create_sparse(path: impl AsRef<Path>, size: u64) -> Result<(), DiskError> {
    let path = path.as_ref().to_path_buf();
    if size == 0 || !size.is_multiple_of(SECTOR) {
        return Err(DiskError::Size { path, size });
    }
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(|error| (false, error))
        .and_then(|file| {
            os::make_sparse(&file);
            file.set_len(size).map_err(|error| (true, error))
        });
    made.map_err(|(ours, source)| {
        if ours {
            // Best effort: the error that matters is the first one.
            let _ = std::fs::remove_file(&path);
        }
        DiskError::Create { path, size, source }
    })
}

impl Disk for RawDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn id(&self) -> &str {
        &self.name
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), DiskError> {
        self.check(offset, out.len() as u64)?;
        os::read_exact_at(&self.file, out, offset).map_err(|error| self.io("read", offset, error))
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.check_write(offset, bytes.len() as u64)?;
        os::write_all_at(&self.file, bytes, offset).map_err(|error| self.io("write", offset, error))
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        if self.read_only {
            return Ok(());
        }
        self.file
            .sync_data()
            .map_err(|error| self.io("flush", 0, error))
    }

    fn discard(&mut self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.check_write(offset, len)?;
        if len > 0 {
            self.punch(offset, len)?;
        }
        Ok(())
    }

    fn write_zeroes(&mut self, offset: u64, len: u64, may_unmap: bool) -> Result<(), DiskError> {
        self.check_write(offset, len)?;
        if len == 0 || (may_unmap && self.punch(offset, len)?) {
            return Ok(());
        }
        let mut done = 0;
        while done < len {
            let part = (len - done).min(ZEROES.len() as u64);
            self.write_at(offset + done, &ZEROES[..part as usize])?;
            done += part;
        }
        Ok(())
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

    pub fn read_exact_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
        file.read_exact_at(out, offset)
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
}

#[cfg(windows)]
mod os {
    //! Positional I/O on Windows, where it moves the cursor, which nobody
    //! uses.

    use std::fs::File;
    use std::io;
    use std::os::windows::fs::FileExt;

    pub fn read_exact_at(file: &File, mut out: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !out.is_empty() {
            match file.seek_read(out, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    out = &mut out[n..];
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(size: u64) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        create_sparse(&path, size).unwrap();
        (dir, path)
    }

    #[test]
    fn what_is_written_is_in_the_file() {
        let (_dir, path) = image(1 << 20);
        let mut disk = RawDisk::open(&path, false).unwrap();
        assert_eq!((disk.size(), disk.id()), (1 << 20, "disk.img"));
        disk.write_at(1000, b"hello").unwrap();
        assert_eq!(&std::fs::read(&path).unwrap()[999..1006], b"\0hello\0");
        disk.flush().unwrap();
        drop(disk);
        let mut disk = RawDisk::open(&path, true).unwrap();
        let mut out = [0; 5];
        disk.read_at(1000, &mut out).unwrap();
        assert_eq!(&out, b"hello");
        let error = disk.write_at(7, &out).unwrap_err().to_string();
        assert!(error.contains("disk.img") && error.contains("0x7") && error.contains("read-only"));
    }

    #[test]
    fn the_ends_are_guarded() {
        let (_dir, path) = image(1024);
        let mut disk = RawDisk::open(&path, false).unwrap();
        for (offset, len) in [(1024, 1), (1000, 25), (u64::MAX, 1), (0, 1025)] {
            let mut bytes = vec![0; len];
            let error = disk.read_at(offset, &mut bytes).unwrap_err();
            assert!(matches!(error, DiskError::Range { size: 1024, .. }));
            assert!(disk.write_at(offset, &bytes).is_err());
            assert!(disk.discard(offset, len as u64).is_err());
            assert!(disk.write_zeroes(offset, len as u64, true).is_err());
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 1024);
    }

    #[test]
    fn zeroes_are_zeroes_and_the_size_stays() {
        let (_dir, path) = image(1 << 20);
        let mut disk = RawDisk::open(&path, false).unwrap();
        let ones = vec![1; 1 << 20];
        for may_unmap in [false, true] {
            disk.write_at(0, &ones).unwrap();
            disk.write_zeroes(100, 900_000, may_unmap).unwrap();
            let now = std::fs::read(&path).unwrap();
            assert_eq!(now.len(), 1 << 20);
            assert!(now[100..900_100].iter().all(|&b| b == 0));
            assert!(now[..100].iter().chain(&now[900_100..]).all(|&b| b == 1));
        }
        disk.write_zeroes(1 << 20, 0, true).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn sparse_files_cost_what_they_hold_and_discard_gives_back() {
        use std::os::unix::fs::MetadataExt;
        let (_dir, path) = image(64 << 30);
        let blocks = || std::fs::metadata(&path).unwrap().blocks();
        assert!(blocks() < 64);
        let mut disk = RawDisk::open(&path, false).unwrap();
        disk.write_at(1 << 30, &vec![1; 4 << 20]).unwrap();
        disk.flush().unwrap();
        let full = blocks();
        disk.discard(1 << 30, 4 << 20).unwrap();
        disk.flush().unwrap();
        assert!(disk.no_holes || blocks() < full / 2);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 64 << 30);
    }

    #[test]
    fn odd_files_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |path: &Path, read_only, says: &str| {
            let error = RawDisk::open(path, read_only).err().unwrap().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
            assert!(error.contains(says), "{error}");
        };
        let path = dir.path().join("x");
        refused(&path, true, "cannot open");
        std::fs::write(&path, [0; 1000]).unwrap();
        refused(&path, false, "1000 bytes is not a multiple of 512");
        std::fs::write(&path, []).unwrap();
        refused(&path, true, "no disk at all");
        refused(dir.path(), true, "not a regular file");
        assert!(create_sparse(&path, 512).is_err(), "it exists");
        assert!(create_sparse(dir.path().join("y"), 513).is_err());
    }

    #[test]
    fn one_writer_or_many_readers() {
        let (_dir, path) = image(512);
        let writer = RawDisk::open(&path, false).unwrap();
        for read_only in [false, true] {
            let error = RawDisk::open(&path, read_only).err().unwrap();
            assert!(matches!(error, DiskError::InUse { .. }), "{error}");
        }
        drop(writer);
        let _first = RawDisk::open(&path, true).unwrap();
        let _second = RawDisk::open(&path, true).unwrap();
        assert!(RawDisk::open(&path, false).is_err());
    }
}
