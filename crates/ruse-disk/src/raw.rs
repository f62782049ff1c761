//! A disk whose sectors are the bytes of a host file, one after the other.

use std::io;
use std::path::Path;

use ruse_event::{Operation, Tap};

use crate::watch::{Place, tell};
use crate::{Disk, DiskError, Extent, FileStorage, SECTOR, Stamp, Storage, check_range};

/// How many zeroes are written at a time where the host has no quicker way.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// A raw disk image.
///
/// The file is locked while it is open: any number of machines may read it,
/// or one may write to it.
pub struct RawDisk {
    storage: FileStorage,
    name: String,
    size: u64,
    read_only: bool,
    tap: Tap,
}

impl RawDisk {
    /// Opens the image at `path`, for reading only if `read_only`.
    ///
    /// # Errors
    /// [`DiskError`] if it cannot be opened that way, is no file or block
    /// device, is empty or no multiple of 512 bytes long, or is in use.
    pub fn open(path: impl AsRef<Path>, read_only: bool) -> Result<Self, DiskError> {
        Self::over(FileStorage::open(path, read_only)?, read_only)
    }

    /// The image that is all of `storage`.
    ///
    /// # Errors
    /// [`DiskError`] if it is empty or no multiple of 512 bytes long.
    pub fn over(mut storage: FileStorage, read_only: bool) -> Result<Self, DiskError> {
        let path = storage.path().to_path_buf();
        let size = storage.len().map_err(|source| DiskError::Open {
            path: path.clone(),
            writable: !read_only,
            source,
        })?;
        if size == 0 || !size.is_multiple_of(SECTOR) {
            return Err(DiskError::Size { path, size });
        }
        Ok(Self {
            name: crate::id_of(&path),
            storage,
            size,
            read_only,
            tap: Tap::NONE,
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
        self.storage.path()
    }

    fn io(&self, what: &'static str, offset: u64, source: io::Error) -> DiskError {
        DiskError::Io {
            path: self.path().to_path_buf(),
            what,
            offset,
            source,
        }
    }

    fn check_write(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        if self.read_only {
            return Err(DiskError::ReadOnly {
                name: self.path().display().to_string(),
                offset,
            });
        }
        self.check(offset, len)
    }

    fn check(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        check_range(|| self.path().display().to_string(), self.size, offset, len)
    }

    fn punch(&mut self, offset: u64, len: u64) -> Result<bool, DiskError> {
        self.storage
            .punch(offset, len)
            .map_err(|error| self.io("discard", offset, error))
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
    let mut storage = FileStorage::create(&path).map_err(|error| match error {
        DiskError::Create { path, source, .. } => DiskError::Create { path, size, source },
        other => other,
    })?;
    storage.set_len(size).map_err(|source| {
        // Best effort: the error that matters is the first one.
        let _ = std::fs::remove_file(&path);
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
        let len = out.len() as u64;
        tell(&self.tap, Operation::Read, || Place::raw(offset, len));
        match self.storage.read_at(offset, out) {
            Ok(n) if n == out.len() => Ok(()),
            // Somebody cut the file off.
            Ok(_) => Err(self.io("read", offset, io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Err(self.io("read", offset, error)),
        }
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.check_write(offset, bytes.len() as u64)?;
        let len = bytes.len() as u64;
        tell(&self.tap, Operation::Write, || Place::raw(offset, len));
        self.storage
            .write_at(offset, bytes)
            .map_err(|error| self.io("write", offset, error))
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        if self.read_only {
            return Ok(());
        }
        self.storage
            .sync()
            .map_err(|error| self.io("flush", 0, error))
    }

    fn discard(&mut self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.check_write(offset, len)?;
        tell(&self.tap, Operation::Discard, || Place::raw(offset, len));
        if len > 0 {
            self.punch(offset, len)?;
        }
        Ok(())
    }

    fn write_zeroes(&mut self, offset: u64, len: u64, may_unmap: bool) -> Result<(), DiskError> {
        self.check_write(offset, len)?;
        tell(&self.tap, Operation::Zero, || Place::raw(offset, len));
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

    fn extent(&mut self, offset: u64) -> Result<Extent, DiskError> {
        self.check(offset, 1)?;
        let data = self
            .storage
            .next_data(offset)
            .map_err(|error| self.io("map", offset, error))?;
        let (zero, end) = match data {
            None => (true, self.size),
            Some((from, _)) if from > offset => (true, from),
            Some((_, to)) => (false, to),
        };
        Ok(Extent {
            len: end.min(self.size) - offset,
            zero,
            own: true,
        })
    }

    fn stamps(&mut self) -> Result<Vec<Stamp>, DiskError> {
        let stamp = self.storage.stamp();
        let stamp = stamp.map_err(|error| self.io("stat", 0, error))?;
        Ok(stamp.into_iter().collect())
    }

    fn held(&self) -> Option<u64> {
        self.storage.held()
    }

    fn watch(&mut self, tap: Tap) {
        self.tap = tap;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

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
        assert!(blocks() < full / 2);
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
