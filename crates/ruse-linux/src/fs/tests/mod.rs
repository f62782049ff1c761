//! System calls on files, made as a guest makes them, on a box in a
//! temporary directory of the host.

mod calls;
mod escape;
mod model;
mod read_only;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Description, Files, Place};
use crate::config::{Config, Share, Stdio};
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::process::Process;
use crate::syscall::{Cx, Stop, dispatch};
use crate::thread::{Thread, Tid};

/// `AT_FDCWD` as a register holds it.
const CWD: u64 = -100_i64 as u64;

// Numbers of asm-generic.
const GETCWD: u64 = 17;
const DUP: u64 = 23;
const DUP3: u64 = 24;
const FCNTL: u64 = 25;
const FLOCK: u64 = 32;
const MKNODAT: u64 = 33;
const MKDIRAT: u64 = 34;
const UNLINKAT: u64 = 35;
const SYMLINKAT: u64 = 36;
const LINKAT: u64 = 37;
const TRUNCATE: u64 = 45;
const FTRUNCATE: u64 = 46;
const FALLOCATE: u64 = 47;
const FACCESSAT: u64 = 48;
const CHDIR: u64 = 49;
const FCHDIR: u64 = 50;
const CHROOT: u64 = 51;
const FCHMOD: u64 = 52;
const FCHMODAT: u64 = 53;
const FCHOWNAT: u64 = 54;
const FCHOWN: u64 = 55;
const OPENAT: u64 = 56;
const CLOSE: u64 = 57;
const GETDENTS64: u64 = 61;
const LSEEK: u64 = 62;
const READ: u64 = 63;
const WRITE: u64 = 64;
const WRITEV: u64 = 66;
const PREAD64: u64 = 67;
const PWRITE64: u64 = 68;
const SENDFILE: u64 = 71;
const READLINKAT: u64 = 78;
const NEWFSTATAT: u64 = 79;
const FSTAT: u64 = 80;
const UTIMENSAT: u64 = 88;
const UMASK: u64 = 166;
const MMAP: u64 = 222;
const RENAMEAT2: u64 = 276;
const MEMFD_CREATE: u64 = 279;
const COPY_FILE_RANGE: u64 = 285;
const CLOSE_RANGE: u64 = 436;

/// What a test reads of `struct stat`.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Status {
    dev: u64,
    ino: u64,
    mode: u32,
    nlink: u32,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: i64,
}

/// An entry as getdents64 gives it: number, position, type, name.
type Dirent = (u64, u64, u8, Vec<u8>);

/// A process that makes system calls, and nothing else.
struct Guest {
    kernel: Kernel,
    tid: Tid,
    /// A megabyte of guest memory: the upper half for data, the lower for
    /// strings, eight in turn.
    memory: u64,
    next: u64,
    /// The host directory around the box: `box` is the root, `outside` must
    /// not be reached.
    around: tempfile::TempDir,
}

const SECRET: &[u8] = b"nothing of this may be read";

impl Guest {
    fn new() -> Self {
        Self::with(|_, _| {})
    }

    /// A guest whose host directories and configuration `prepare` changes.
    fn with(prepare: impl FnOnce(&Path, &mut Config)) -> Self {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("box");
        std::fs::create_dir(&root).unwrap();
        let outside = around.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("secret"), SECRET).unwrap();
        let mut config = Config {
            root: Some(root),
            stdio: [Stdio::Null, Stdio::Null, Stdio::Null],
            ..Config::default()
        };
        prepare(around.path(), &mut config);
        let mut kernel = Kernel::new(config, Box::new(crate::StdHost::new())).unwrap();
        let files = super::standard_files(&mut kernel);
        let mut guest = Self {
            tid: 0,
            memory: 0,
            next: 0,
            kernel,
            around,
        };
        guest.tid = guest.spawn(files, Place::new());
        guest.memory = guest
            .call(MMAP, [0, 1 << 20, 3, 0x22, u64::MAX, 0])
            .unwrap();
        guest
    }

    fn spawn(&mut self, files: Files, place: Place) -> Tid {
        let tid = self.kernel.new_tid();
        let mm = Mm::new(&self.kernel.memory, None).unwrap();
        let thread = Thread::new(
            tid,
            tid,
            Rc::new(RefCell::new(mm)),
            Rc::new(RefCell::new(files)),
            Rc::new(RefCell::new(place)),
        );
        let mut process = Process::new(tid, 1, self.kernel.now());
        process.threads.push(tid);
        process.exe = b"/program".to_vec();
        self.kernel.adopt(thread, Some(process));
        tid
    }

    /// The host's path of something in the root of the box.
    fn host(&self, path: &str) -> PathBuf {
        self.around.path().join("box").join(path)
    }

    fn outside(&self) -> PathBuf {
        self.around.path().join("outside")
    }

    /// A system call; `None` if it blocks.
    fn try_call(&mut self, number: u64, args: [u64; 6]) -> Option<Result<u64, Errno>> {
        let mut cx = Cx::new(&mut self.kernel, self.tid, number, args, None);
        match dispatch(&mut cx) {
            Ok(value) => Some(Ok(value)),
            Err(Stop::Errno(errno)) => Some(Err(errno)),
            Err(Stop::Block(_)) => None,
            Err(Stop::Done) => panic!("call {number} has no result"),
        }
    }

    fn call(&mut self, number: u64, args: [u64; 6]) -> Result<u64, Errno> {
        self.try_call(number, args)
            .unwrap_or_else(|| panic!("call {number} blocks"))
    }

    fn mm(&self) -> Rc<RefCell<Mm>> {
        Rc::clone(&self.kernel.threads[&self.tid].mm)
    }

    /// Puts a string into guest memory.
    fn text(&mut self, text: impl AsRef<[u8]>) -> u64 {
        let text = text.as_ref();
        assert!(text.len() < 1 << 16);
        let at = self.memory + (self.next % 8) * (1 << 16);
        self.next += 1;
        let bytes = [text, b"\0"].concat();
        self.mm().borrow_mut().write(at, &bytes).unwrap();
        at
    }

    fn data(&self) -> u64 {
        self.memory + (1 << 19)
    }

    fn get(&self, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.mm()
            .borrow_mut()
            .read(self.data(), &mut bytes)
            .unwrap();
        bytes
    }

    fn put(&self, bytes: &[u8]) {
        self.mm().borrow_mut().write(self.data(), bytes).unwrap();
    }

    fn open_at(
        &mut self,
        fd: u64,
        path: impl AsRef<[u8]>,
        flags: u32,
        mode: u32,
    ) -> Result<u64, Errno> {
        let path = self.text(path);
        self.call(OPENAT, [fd, path, u64::from(flags), u64::from(mode), 0, 0])
    }

    fn open(&mut self, path: impl AsRef<[u8]>, flags: u32) -> Result<u64, Errno> {
        self.open_at(CWD, path, flags, 0o644)
    }

    fn close(&mut self, fd: u64) {
        self.call(CLOSE, [fd, 0, 0, 0, 0, 0]).unwrap();
    }

    /// A call on one path, relative to the working directory.
    fn at(&mut self, number: u64, path: impl AsRef<[u8]>, rest: [u64; 4]) -> Result<u64, Errno> {
        let path = self.text(path);
        self.call(number, [CWD, path, rest[0], rest[1], rest[2], rest[3]])
    }

    /// A call on two paths, relative to the working directory.
    fn at2(
        &mut self,
        number: u64,
        from: impl AsRef<[u8]>,
        to: impl AsRef<[u8]>,
        flags: u64,
    ) -> Result<u64, Errno> {
        let (from, to) = (self.text(from), self.text(to));
        self.call(number, [CWD, from, CWD, to, flags, 0])
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<u64, Errno> {
        self.at2(RENAMEAT2, from, to, 0)
    }

    fn symlink(&mut self, target: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Result<u64, Errno> {
        let (target, path) = (self.text(target), self.text(path));
        self.call(SYMLINKAT, [target, CWD, path, 0, 0, 0])
    }

    fn mkdir(&mut self, path: impl AsRef<[u8]>) -> Result<u64, Errno> {
        self.at(MKDIRAT, path, [0o755, 0, 0, 0])
    }

    fn unlink(&mut self, path: impl AsRef<[u8]>) -> Result<u64, Errno> {
        self.at(UNLINKAT, path, [0; 4])
    }

    fn rmdir(&mut self, path: impl AsRef<[u8]>) -> Result<u64, Errno> {
        self.at(UNLINKAT, path, [0x200, 0, 0, 0])
    }

    fn chdir(&mut self, path: impl AsRef<[u8]>) -> Result<u64, Errno> {
        let path = self.text(path);
        self.call(CHDIR, [path, 0, 0, 0, 0, 0])
    }

    fn cwd(&mut self) -> Result<Vec<u8>, Errno> {
        let data = self.data();
        let len = self.call(GETCWD, [data, 8192, 0, 0, 0, 0])?;
        let mut bytes = self.get(len);
        assert_eq!(bytes.pop(), Some(0));
        Ok(bytes)
    }

    fn read_link(&mut self, path: impl AsRef<[u8]>) -> Result<Vec<u8>, Errno> {
        let data = self.data();
        let len = self.at(READLINKAT, path, [data, 4096, 0, 0])?;
        Ok(self.get(len))
    }

    fn decode(bytes: &[u8]) -> Status {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let half = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        Status {
            dev: word(0),
            ino: word(8),
            mode: half(16),
            nlink: half(20),
            uid: half(24),
            gid: half(28),
            size: word(48),
            mtime: word(88) as i64,
        }
    }

    fn stat_flags(&mut self, path: impl AsRef<[u8]>, flags: u64) -> Result<Status, Errno> {
        let data = self.data();
        self.at(NEWFSTATAT, path, [data, flags, 0, 0])?;
        Ok(Self::decode(&self.get(128)))
    }

    fn stat(&mut self, path: impl AsRef<[u8]>) -> Result<Status, Errno> {
        self.stat_flags(path, 0)
    }

    fn lstat(&mut self, path: impl AsRef<[u8]>) -> Result<Status, Errno> {
        self.stat_flags(path, 0x100)
    }

    fn fstat(&mut self, fd: u64) -> Result<Status, Errno> {
        let data = self.data();
        self.call(FSTAT, [fd, data, 0, 0, 0, 0])?;
        Ok(Self::decode(&self.get(128)))
    }

    fn read(&mut self, fd: u64, len: u64) -> Result<Vec<u8>, Errno> {
        let data = self.data();
        let got = self.call(READ, [fd, data, len, 0, 0, 0])?;
        Ok(self.get(got))
    }

    fn write(&mut self, fd: u64, bytes: &[u8]) -> Result<u64, Errno> {
        self.put(bytes);
        let data = self.data();
        self.call(WRITE, [fd, data, bytes.len() as u64, 0, 0, 0])
    }

    /// All of a file.
    fn contents(&mut self, path: impl AsRef<[u8]>) -> Result<Vec<u8>, Errno> {
        let fd = self.open(path, super::O_RDONLY)?;
        let mut all = Vec::new();
        let result = loop {
            match self.read(fd, 65536) {
                Ok(bytes) if bytes.is_empty() => break Ok(all),
                Ok(bytes) => all.extend(bytes),
                Err(error) => break Err(error),
            }
        };
        self.close(fd);
        result
    }

    fn make(&mut self, path: impl AsRef<[u8]>, bytes: &[u8]) -> Result<(), Errno> {
        let flags = super::O_WRONLY | super::O_CREAT | super::O_TRUNC;
        let fd = self.open(path, flags)?;
        if !bytes.is_empty() {
            assert_eq!(self.write(fd, bytes)?, bytes.len() as u64);
        }
        self.close(fd);
        Ok(())
    }

    /// The entries that one getdents64 gives: number, position, type, name.
    fn getdents(&mut self, fd: u64, size: u64) -> Result<Vec<Dirent>, Errno> {
        let data = self.data();
        let len = self.call(GETDENTS64, [fd, data, size, 0, 0, 0])?;
        let bytes = self.get(len);
        let mut entries = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
            let len = usize::from(u16::from_le_bytes([bytes[at + 16], bytes[at + 17]]));
            let name = bytes[at + 19..at + len].split(|&b| b == 0).next().unwrap();
            entries.push((word(at), word(at + 8), bytes[at + 18], name.to_vec()));
            at += len;
        }
        Ok(entries)
    }

    /// The sorted names in a directory, without the dots.
    fn list(&mut self, path: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>, Errno> {
        let fd = self.open(path, super::O_DIRECTORY)?;
        let mut names = Vec::new();
        loop {
            let entries = self.getdents(fd, 4096)?;
            if entries.is_empty() {
                break;
            }
            names.extend(entries.into_iter().map(|entry| entry.3));
        }
        self.close(fd);
        names.retain(|name| !matches!(&name[..], b"." | b".."));
        names.sort();
        Ok(names)
    }

    fn description(&self, fd: u64) -> Rc<Description> {
        let files = self.kernel.threads[&self.tid].files.borrow();
        files.get(fd as i32).unwrap()
    }
}

/// Everything about a host directory that a guest could have changed.
fn snapshot(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.push(dir.to_path_buf());
    entries.sort();
    for path in entries {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let contents = if meta.is_file() {
            std::fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        let (modified, permissions) = (meta.modified().unwrap(), meta.permissions());
        lines.push(format!(
            "{path:?} {modified:?} {permissions:?} {contents:?}"
        ));
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            lines.push(format!(
                "{} {} {}",
                meta.nlink(),
                meta.uid(),
                meta.ctime_nsec()
            ));
        }
    }
    lines
}

/// A host directory as a share.
fn share(host: PathBuf, at: &str, read_only: bool) -> Share {
    Share {
        host,
        at: at.to_string(),
        read_only,
    }
}
