//! Host memory that several address spaces map at once.
//!
//! On Unix it is a file without a name that nobody else can open, so that it
//! can be mapped into several places and cannot shrink under a mapping.

#[cfg(unix)]
pub use unix::Shared;

#[cfg(not(unix))]
pub use portable::Shared;

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::fs::FileExt;

    /// An object of zeroed bytes that only grows.
    #[derive(Debug)]
    pub struct Shared {
        file: File,
    }

    impl Shared {
        /// An object of `len` bytes.
        ///
        /// # Errors
        /// What the host says.
        pub fn new(len: u64) -> io::Result<Self> {
            let file = anonymous()?;
            file.set_len(len)?;
            Ok(Self { file })
        }

        /// Its size in bytes.
        ///
        /// # Errors
        /// What the host says.
        pub fn len(&self) -> io::Result<u64> {
            Ok(self.file.metadata()?.len())
        }

        /// Whether it has no bytes at all.
        ///
        /// # Errors
        /// What the host says.
        pub fn is_empty(&self) -> io::Result<bool> {
            Ok(self.len()? == 0)
        }

        /// Makes it at least `len` bytes long.
        ///
        /// # Errors
        /// What the host says.
        pub fn grow(&self, len: u64) -> io::Result<()> {
            if len > self.len()? {
                self.file.set_len(len)?;
            }
            Ok(())
        }

        /// Copies bytes at `offset` out.
        ///
        /// # Errors
        /// What the host says; `UnexpectedEof` beyond the end.
        pub fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.file.read_exact_at(out, offset)
        }

        /// Copies `bytes` in at `offset`.
        ///
        /// # Errors
        /// What the host says; `UnexpectedEof` beyond the end.
        pub fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            let end = offset.checked_add(bytes.len() as u64);
            if end.is_none_or(|end| self.len().is_ok_and(|len| end > len)) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.file.write_all_at(bytes, offset)
        }

        pub(crate) fn fd(&self) -> BorrowedFd<'_> {
            self.file.as_fd()
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn anonymous() -> io::Result<File> {
        use rustix::fs::{MemfdFlags, memfd_create};
        Ok(File::from(memfd_create(c"shared", MemfdFlags::CLOEXEC)?))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn anonymous() -> io::Result<File> {
        use std::fs::{OpenOptions, remove_file};
        use std::os::unix::fs::OpenOptionsExt;
        use std::sync::atomic::{AtomicU64, Ordering};

        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("ruse-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let open = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            match open {
                Ok(file) => {
                    remove_file(&path)?;
                    return Ok(file);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(not(unix))]
mod portable {
    use std::io;
    use std::sync::{Mutex, MutexGuard};

    /// An object of zeroed bytes that only grows.
    #[derive(Debug)]
    pub struct Shared {
        bytes: Mutex<Vec<u8>>,
    }

    impl Shared {
        /// An object of `len` bytes.
        ///
        /// # Errors
        /// When there is no such amount of memory.
        pub fn new(len: u64) -> io::Result<Self> {
            let shared = Self {
                bytes: Mutex::default(),
            };
            shared.grow(len)?;
            Ok(shared)
        }

        fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
            self.bytes.lock().unwrap_or_else(|e| e.into_inner())
        }

        /// Its size in bytes.
        ///
        /// # Errors
        /// Never.
        pub fn len(&self) -> io::Result<u64> {
            Ok(self.bytes().len() as u64)
        }

        /// Whether it has no bytes at all.
        ///
        /// # Errors
        /// Never.
        pub fn is_empty(&self) -> io::Result<bool> {
            Ok(self.bytes().is_empty())
        }

        /// Makes it at least `len` bytes long.
        ///
        /// # Errors
        /// When there is no such amount of memory.
        pub fn grow(&self, len: u64) -> io::Result<()> {
            let len = usize::try_from(len).map_err(io::Error::other)?;
            let mut bytes = self.bytes();
            let more = len.saturating_sub(bytes.len());
            bytes.try_reserve(more).map_err(io::Error::other)?;
            let new = bytes.len() + more;
            bytes.resize(new, 0);
            Ok(())
        }

        /// Copies bytes at `offset` out.
        ///
        /// # Errors
        /// `UnexpectedEof` beyond the end.
        pub fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            let bytes = self.bytes();
            let from = usize::try_from(offset)
                .ok()
                .and_then(|start| bytes.get(start..)?.get(..out.len()))
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(from);
            Ok(())
        }

        /// Copies `bytes` in at `offset`.
        ///
        /// # Errors
        /// `UnexpectedEof` beyond the end.
        pub fn write(&self, offset: u64, new: &[u8]) -> io::Result<()> {
            let mut bytes = self.bytes();
            let to = usize::try_from(offset)
                .ok()
                .and_then(|start| bytes.get_mut(start..)?.get_mut(..new.len()))
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            to.copy_from_slice(new);
            Ok(())
        }
    }
}
