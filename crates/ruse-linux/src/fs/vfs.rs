//! The tree of the box: what is mounted where, who asks, and which
//! directories are held open.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::attributes::Attributes;
use super::host::HostFs;
use super::mount::{FileSystem, StatFs};
use super::walk::{Found, Tree, split, within};
use super::{S_IFDIR, Stat, Where, dev, os, single};
use crate::config::Config;
use crate::errno::Errno;
use crate::error::LinuxError;
use crate::kernel::Kernel;
use crate::thread::Tid;

/// A file system in its place.
pub(super) struct Mount {
    /// The canonical path that it covers.
    pub at: Vec<u8>,
    pub fs: Rc<dyn FileSystem>,
    /// For /proc/mounts.
    pub source: String,
}

/// All files of the box.
pub(crate) struct Vfs {
    /// The longest path first, so that the first that fits is the right one.
    pub(super) mounts: Vec<Mount>,
    /// Directories held open, or stood in: to follow renames.
    places: RefCell<Vec<Weak<Where>>>,
    /// Where the guest sees the program when it has no root directory.
    pub(crate) program: Option<Vec<u8>>,
    pub(crate) locks: super::Locks,
    pub(super) fifos: super::fifo::Fifos,
    /// The number of the last file without a name, for `st_ino`.
    numbers: Cell<u64>,
    /// The private /tmp and /dev/shm; gone when the run is.
    private: tempfile::TempDir,
}

/// Who asks for a file.
pub(crate) struct Who<'k> {
    pub kernel: &'k Kernel,
    /// The asking thread; none while the first program is looked for.
    pub tid: Option<Tid>,
    pub cwd: Rc<Where>,
    pub root: Rc<Where>,
    pub umask: u32,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    /// What its walks may not do.
    pub rules: super::walk::Rules,
}

impl<'k> Who<'k> {
    /// A thread.
    pub(crate) fn of(kernel: &'k Kernel, tid: Tid) -> Self {
        let mut who = Self::first(kernel, super::Place::new());
        who.tid = Some(tid);
        if let Some(thread) = kernel.threads.get(&tid) {
            let place = thread.place.borrow();
            who.cwd = Rc::clone(&place.cwd);
            who.root = Rc::clone(&place.root);
            who.umask = place.umask;
            if let Some(process) = kernel.processes.get(&thread.pid) {
                who.uid = process.credentials.euid;
                who.gid = process.credentials.egid;
                who.groups.clone_from(&process.credentials.groups);
            }
        }
        who
    }

    /// The first program, before there is a process.
    pub(crate) fn first(kernel: &'k Kernel, place: super::Place) -> Self {
        Self {
            kernel,
            tid: None,
            cwd: place.cwd,
            root: place.root,
            umask: place.umask,
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            rules: super::walk::Rules::default(),
        }
    }

    /// The tree it sees.
    pub(crate) fn vfs(&self) -> &'k Vfs {
        &self.kernel.vfs
    }

    /// Whether it may read (4), write (2), execute or search (1) a file, or
    /// several of these.
    pub(crate) fn may(&self, stat: &Stat, want: u32) -> bool {
        if self.uid == 0 {
            // Root may all, but execute what nobody may.
            return want & 1 == 0 || stat.is_dir() || stat.mode & 0o111 != 0;
        }
        let shift = if self.uid == stat.uid {
            6
        } else if self.gid == stat.gid || self.groups.contains(&stat.gid) {
            3
        } else {
            0
        };
        stat.mode >> shift & want == want
    }
}

/// The tree as one caller sees it.
pub(super) struct View<'a> {
    pub vfs: &'a Vfs,
    pub who: &'a Who<'a>,
}

impl Tree for View<'_> {
    fn look(&self, path: &[u8]) -> Result<Found, Errno> {
        let (mount, rest) = self.vfs.find(path);
        let base = path.len() - rest.len();
        let found = match mount.fs.look(self.who, rest) {
            Ok(Found::Link { end, target, stat }) => Found::Link {
                end: base + end,
                target,
                stat,
            },
            Ok(Found::Missing) | Err(Errno::ENOTDIR) if self.vfs.leads_to_mount(path) => {
                Found::Node(directory_stat(path))
            }
            result => result?,
        };
        Ok(found)
    }

    fn careful(&self) -> bool {
        self.who.uid != 0
    }

    fn may_search(&self, dir: &Stat) -> bool {
        self.who.may(dir, 1)
    }

    fn same_mount(&self, one: &[u8], other: &[u8]) -> bool {
        std::ptr::eq(self.vfs.find(one).0, self.vfs.find(other).0)
    }
}

/// A directory that is there only because something is mounted beneath it.
pub(super) fn directory_stat(path: &[u8]) -> Stat {
    let mut ino = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in path {
        ino = (ino ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    Stat {
        dev: dev::DEVICE,
        ino: ino >> 1 | 1 << 32,
        mode: S_IFDIR | 0o755,
        nlink: 2,
        blksize: 4096,
        ..Stat::default()
    }
}

/// A box without a root directory: nothing but what is mounted in it.
struct Bare;

impl FileSystem for Bare {
    fn look(&self, _who: &Who, path: &[u8]) -> Result<Found, Errno> {
        Ok(if path.is_empty() {
            Found::Node(directory_stat(b"/"))
        } else {
            Found::Missing
        })
    }

    fn open(
        &self,
        _who: &Who,
        opening: &super::mount::Opening,
    ) -> Result<Rc<dyn super::File>, Errno> {
        Err(match opening.flags & super::O_CREAT {
            0 => Errno::ENOENT,
            _ => Errno::EROFS,
        })
    }

    fn make_dir(&self, _who: &Who, _path: &[u8], _mode: u32) -> Result<(), Errno> {
        Err(Errno::EROFS)
    }

    fn statfs(&self) -> StatFs {
        StatFs {
            magic: 0x0102_1994,
            block: 4096,
            read_only: true,
            ..StatFs::default()
        }
    }

    fn name(&self) -> &'static str {
        "tmpfs"
    }
}

impl Vfs {
    /// The box that `config` describes.
    pub(crate) fn new(config: &Config) -> Result<Self, LinuxError> {
        os::raise_file_limit();
        let attributes = Rc::new(Attributes::default());
        let open = |path: &std::path::Path| {
            Dir::open_ambient_dir(path, ambient_authority()).map_err(|source| {
                LinuxError::Directory {
                    path: path.to_path_buf(),
                    source,
                }
            })
        };
        let host = |dir, read_only| -> Rc<dyn FileSystem> {
            Rc::new(HostFs::new(dir, Rc::clone(&attributes), read_only))
        };
        let private = tempfile::Builder::new()
            .prefix("ruse-")
            .tempdir()
            .map_err(|source| LinuxError::Host {
                what: "a private /tmp",
                source,
            })?;
        let mut vfs = Self {
            mounts: Vec::new(),
            places: RefCell::new(Vec::new()),
            program: None,
            locks: super::Locks::default(),
            fifos: super::fifo::Fifos::default(),
            numbers: Cell::new(0),
            private,
        };
        let private_dir = |name: &str| -> Result<Rc<dyn FileSystem>, LinuxError> {
            let path = vfs.private.path().join(name);
            std::fs::create_dir(&path).map_err(|source| LinuxError::Directory {
                path: path.clone(),
                source,
            })?;
            let dir = open(&path)?;
            let stat = dir.dir_metadata().map(|meta| os::stat(&meta));
            if let Ok(stat) = stat {
                attributes.set((stat.dev, stat.ino), |own| own.mode = Some(0o1777));
            }
            Ok(host(dir, false))
        };
        let (tmp, shm) = (private_dir("tmp")?, private_dir("shm")?);
        let mut mounts: Vec<(Vec<u8>, Rc<dyn FileSystem>, String)> = Vec::new();
        let mut tmp_needed = true;
        match &config.root {
            Some(root) => {
                let dir = open(root)?;
                // A root that has a /tmp keeps what is written there.
                tmp_needed = config.root_read_only || !dir.is_dir("tmp");
                vfs.mount(
                    b"/".to_vec(),
                    host(dir, config.root_read_only),
                    "root".into(),
                );
            }
            None => {
                vfs.mount(b"/".to_vec(), Rc::new(Bare), "none".into());
                if let Some((at, fs)) = single::program(config)? {
                    vfs.program = Some(at.clone());
                    mounts.push((at, fs, "program".into()));
                }
            }
        }
        mounts.push((b"/dev".to_vec(), Rc::new(dev::DevFs::new()), "dev".into()));
        mounts.push((b"/dev/shm".to_vec(), shm, "shm".into()));
        mounts.push((
            b"/proc".to_vec(),
            Rc::new(super::proc::ProcFs),
            "proc".into(),
        ));
        if tmp_needed {
            mounts.push((b"/tmp".to_vec(), tmp, "tmp".into()));
        }
        for share in &config.shares {
            let source = share.host.display().to_string();
            let fs: Rc<dyn FileSystem> = if share.host.is_file() {
                Rc::new(single::FileFs::new(&share.host, share.read_only)?)
            } else {
                host(open(&share.host)?, share.read_only)
            };
            mounts.push((share.at.as_bytes().to_vec(), fs, source));
        }
        for (at, fs, source) in mounts {
            let at = vfs.real_mount_point(config, &at);
            vfs.mount(at, fs, source);
        }
        Ok(vfs)
    }

    /// Where the box's own files are.
    pub(crate) fn private_dir(&self) -> &std::path::Path {
        self.private.path()
    }

    fn mount(&mut self, at: Vec<u8>, fs: Rc<dyn FileSystem>, source: String) {
        // A later one covers an earlier one at the same place.
        self.mounts.retain(|mount| mount.at != at);
        self.mounts.push(Mount { at, fs, source });
        self.mounts.sort_by_key(|m| std::cmp::Reverse(m.at.len()));
    }

    /// Where a mount point really is: symbolic links of the root directory in
    /// the path to it are followed, inside the root, as far as it exists.
    fn real_mount_point(&self, config: &Config, at: &[u8]) -> Vec<u8> {
        let names: Vec<&[u8]> = at
            .split(|&b| b == b'/')
            .filter(|name| !matches!(*name, b"" | b"." | b".."))
            .collect();
        let plain = [&b"/"[..], &names.join(&b'/')].concat();
        let Some(root) = &config.root else {
            return plain;
        };
        let links = super::walk::PlainTree(root);
        let rules = super::walk::Rules::default();
        super::walk::walk(&links, b"/", b"/", &plain, true, rules)
            .map_or(plain, |walked| walked.path)
    }

    /// The mount that holds a canonical path, and the path beneath it.
    pub(super) fn find<'p>(&self, path: &'p [u8]) -> (&Mount, &'p [u8]) {
        for mount in &self.mounts {
            if within(path, &mount.at) {
                let rest = if mount.at == b"/" {
                    path
                } else {
                    &path[mount.at.len()..]
                };
                return (mount, rest.strip_prefix(b"/").unwrap_or(rest));
            }
        }
        unreachable!("something is mounted at /")
    }

    /// Whether `path` is above a mount point.
    pub(super) fn leads_to_mount(&self, path: &[u8]) -> bool {
        self.mounts
            .iter()
            .any(|mount| mount.at != path && within(&mount.at, path))
    }

    /// Whether `path` is a mount point or above one: it cannot be removed.
    pub(super) fn pinned(&self, path: &[u8]) -> bool {
        self.mounts.iter().any(|mount| within(&mount.at, path))
    }

    /// Names in the directory `path` that are there because of mounts.
    pub(crate) fn mounted_in(&self, path: &[u8]) -> Vec<(Vec<u8>, bool)> {
        let mut names: Vec<(Vec<u8>, bool)> = Vec::new();
        for mount in &self.mounts {
            if mount.at == path || mount.at == b"/" || !within(&mount.at, path) {
                continue;
            }
            let rest = if path == b"/" {
                &mount.at[1..]
            } else {
                &mount.at[path.len() + 1..]
            };
            let end = rest.iter().position(|&b| b == b'/');
            let name = rest[..end.unwrap_or(rest.len())].to_vec();
            if !names.iter().any(|(other, _)| *other == name) {
                names.push((name, end.is_none()));
            }
        }
        names
    }

    /// The directory at a canonical path, as something that follows renames.
    pub(crate) fn place(&self, path: &[u8]) -> Rc<Where> {
        let place = Rc::new(Where {
            path: RefCell::new(path.to_vec()),
            gone: Cell::new(false),
        });
        let mut places = self.places.borrow_mut();
        if places.len() == places.capacity() {
            places.retain(|place| place.strong_count() > 0);
        }
        places.push(Rc::downgrade(&place));
        place
    }

    /// A directory went from one place to another.
    pub(super) fn moved(&self, from: &[u8], to: &[u8]) {
        for place in self.places.borrow().iter().filter_map(Weak::upgrade) {
            let mut path = place.path.borrow_mut();
            if !place.gone.get() && within(&path, from) {
                let new = [to, &path[from.len()..]].concat();
                *path = new;
            }
        }
    }

    /// Two directories changed places.
    pub(super) fn exchanged(&self, one: &[u8], other: &[u8]) {
        // By way of a name that no path has.
        self.moved(one, b"\0");
        self.moved(other, one);
        self.moved(b"\0", other);
    }

    /// The directory at `path` is no more.
    pub(super) fn removed(&self, path: &[u8]) {
        for place in self.places.borrow().iter().filter_map(Weak::upgrade) {
            if *place.path.borrow() == path {
                place.gone.set(true);
            }
        }
    }

    /// A file number for something without a file.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get() | 1 << 40
    }

    /// /proc/mounts.
    pub(super) fn mounts_text(&self) -> String {
        let mut mounts: Vec<&Mount> = self.mounts.iter().collect();
        mounts.sort_by(|a, b| a.at.cmp(&b.at));
        let escape = |text: &[u8]| -> String {
            text.iter()
                .map(|&b| match b {
                    b' ' | b'\t' | b'\n' | b'\\' => format!("\\{b:03o}"),
                    _ => char::from(b).to_string(),
                })
                .collect()
        };
        mounts
            .iter()
            .map(|mount| {
                let access = if mount.fs.read_only() { "ro" } else { "rw" };
                let (source, at) = (escape(mount.source.as_bytes()), escape(&mount.at));
                format!("{source} {at} {} {access} 0 0\n", mount.fs.name())
            })
            .collect()
    }

    /// The parent of a canonical path.
    pub(super) fn parent(path: &[u8]) -> &[u8] {
        split(path).0
    }
}
