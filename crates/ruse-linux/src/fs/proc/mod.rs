//! /proc (proc(5)): what programs read about themselves, each other and the
//! machine. Texts are made when they are read from their start.

mod process;
mod system;

use std::cell::RefCell;
use std::rc::Rc;

use super::dirent::{Directory, KernelDirectory, Source};
use super::mount::{FileSystem, Opening, StatFs};
use super::walk::{Found, Target};
use super::*;

/// The file system of processes.
pub(super) struct ProcFs;

/// `st_dev` of /proc.
const DEVICE: u64 = 21;

/// Makes the text of a file.
#[derive(Clone, Copy)]
enum Maker {
    /// About the whole box.
    System(fn(&Kernel) -> Vec<u8>),
    /// About a thread (and its process).
    Thread(fn(&Kernel, Tid) -> Option<Vec<u8>>, Tid),
    /// About an open file of a thread.
    Fd(Tid, usize),
    /// Always the same.
    Fixed(&'static str),
}

impl Maker {
    fn text(self, kernel: &Kernel) -> Result<Vec<u8>, Errno> {
        match self {
            Self::System(make) => Ok(make(kernel)),
            Self::Thread(make, tid) => make(kernel, tid).ok_or(Errno::ESRCH),
            Self::Fd(tid, fd) => process::fd_info(kernel, tid, fd).ok_or(Errno::ENOENT),
            Self::Fixed(text) => Ok(text.as_bytes().to_vec()),
        }
    }
}

/// What is done with bytes written to a file.
type Writer = fn(&mut Kernel, Tid, &[u8]) -> Result<(), Errno>;

/// Something in /proc.
enum Node {
    Dir(Kind),
    Text(Maker, Option<Writer>),
    Link(Target),
}

/// Directories of /proc.
#[derive(Clone, Copy)]
enum Kind {
    Root,
    /// Of a process, or of a thread (`task`).
    Process(Tid, bool),
    Tasks(Tid),
    Fds(Tid),
    FdInfos(Tid),
    /// In /proc/sys: the path from there.
    Sys(&'static str),
    Net,
}

/// What is in /proc at `path`, and the path's end if a link came before.
fn find(who: &Who, path: &[u8]) -> Result<Option<(Node, usize)>, Errno> {
    let kernel = who.kernel;
    let text = String::from_utf8_lossy(path);
    let mut node = Node::Dir(Kind::Root);
    let mut end = 0;
    for name in text.split('/').filter(|name| !name.is_empty()) {
        let kind = match node {
            Node::Dir(kind) => kind,
            // What comes after a link is the walk's affair.
            Node::Link(_) => break,
            Node::Text(..) => return Err(Errno::ENOTDIR),
        };
        end += name.len() + usize::from(end > 0);
        let next = match kind {
            Kind::Root => root(who, name),
            Kind::Process(tid, thread) => process::entry(kernel, tid, thread, name),
            Kind::Tasks(pid) => number(name)
                .filter(|tid| kernel.threads.get(tid).is_some_and(|t| t.pid == pid))
                .map(|tid| Node::Dir(Kind::Process(tid, true))),
            Kind::Fds(tid) => number(name)
                .and_then(|fd| process::open_file(kernel, tid, fd as usize))
                .map(|file| Node::Link(Target::File(file))),
            Kind::FdInfos(tid) => number(name)
                .filter(|&fd| process::open_file(kernel, tid, fd as usize).is_some())
                .map(|fd| Node::Text(Maker::Fd(tid, fd as usize), None)),
            Kind::Sys(dir) => system::sys(dir, name),
            Kind::Net => system::net(name),
        };
        match next {
            Some(next) => node = next,
            None => return Ok(None),
        }
    }
    Ok(Some((node, end)))
}

/// A number as /proc writes it.
fn number(name: &str) -> Option<u32> {
    let plain = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    if plain { name.parse().ok() } else { None }
}

fn root(who: &Who, name: &str) -> Option<Node> {
    let kernel = who.kernel;
    let caller = who.tid.and_then(|tid| kernel.threads.get(&tid));
    let link = |text: String| Some(Node::Link(Target::Text(text.into_bytes())));
    match name {
        "self" => link(caller?.pid.to_string()),
        "thread-self" => {
            let caller = caller?;
            link(format!("{}/task/{}", caller.pid, caller.tid))
        }
        "mounts" => link("self/mounts".into()),
        "net" => link("self/net".into()),
        "sys" => Some(Node::Dir(Kind::Sys(""))),
        _ => match number(name) {
            Some(tid) => {
                let process = kernel.processes.contains_key(&tid);
                let thread = kernel.threads.contains_key(&tid);
                (process || thread).then_some(Node::Dir(Kind::Process(tid, !process)))
            }
            None => system::file(name),
        },
    }
}

/// A number for what has none, the same each time.
fn ino(path: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in path {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash >> 32 | 1 << 32
}

/// The status of a node.
fn stat(who: &Who, path: &[u8], node: &Node) -> Stat {
    let (mode, nlink) = match node {
        Node::Dir(Kind::Fds(_)) => (S_IFDIR | 0o500, 2),
        Node::Dir(_) => (S_IFDIR | 0o555, 2),
        Node::Text(_, Some(_)) => (S_IFREG | 0o644, 1),
        Node::Text(_, None) => (S_IFREG | 0o444, 1),
        Node::Link(_) => (S_IFLNK | 0o777, 1),
    };
    let now = who.kernel.host.realtime();
    let now = (now.as_secs() as i64, now.subsec_nanos());
    // A process's files are its user's.
    let owner = path
        .split(|&b| b == b'/')
        .next()
        .and_then(|first| std::str::from_utf8(first).ok())
        .and_then(number)
        .and_then(|pid| who.kernel.processes.get(&pid))
        .map_or((0, 0), |process| {
            (process.credentials.euid, process.credentials.egid)
        });
    Stat {
        dev: DEVICE,
        ino: ino(path),
        mode,
        nlink,
        uid: owner.0,
        gid: owner.1,
        blksize: 1024,
        size: if matches!(node, Node::Link(_)) { 64 } else { 0 },
        atime: now,
        mtime: now,
        ctime: now,
        ..Stat::default()
    }
}

impl FileSystem for ProcFs {
    fn look(&self, who: &Who, path: &[u8]) -> Result<Found, Errno> {
        let Some((node, end)) = find(who, path)? else {
            return Ok(Found::Missing);
        };
        let stat = stat(who, &path[..end], &node);
        Ok(match node {
            Node::Link(target) => Found::Link { end, target, stat },
            _ => Found::Node(stat),
        })
    }

    fn open(&self, who: &Who, opening: &Opening) -> Result<Rc<dyn File>, Errno> {
        let Some((node, _)) = find(who, opening.path)? else {
            return Err(Errno::ENOENT);
        };
        let stat = stat(who, opening.path, &node);
        match (node, &opening.place) {
            (Node::Dir(kind), Some(place)) => {
                let source = ProcSource {
                    kind,
                    path: opening.path.to_vec(),
                };
                Ok(Rc::new(KernelDirectory {
                    directory: Directory::new(Rc::clone(place), Box::new(source)),
                    stat,
                }))
            }
            (Node::Text(maker, writer), _) => {
                if opening.flags & O_ACCMODE != O_RDONLY && writer.is_none() {
                    return Err(Errno::EACCES);
                }
                // Fails now if the process has just gone.
                maker.text(who.kernel)?;
                Ok(Rc::new(Text {
                    maker,
                    writer,
                    tid: match maker {
                        Maker::Thread(_, tid) => tid,
                        _ => who.tid.unwrap_or_default(),
                    },
                    stat,
                    made: RefCell::default(),
                }))
            }
            _ => Err(Errno::ENOENT),
        }
    }

    fn statfs(&self) -> StatFs {
        StatFs {
            magic: 0x9fa0,
            block: 4096,
            ..StatFs::default()
        }
    }

    fn name(&self) -> &'static str {
        "proc"
    }

    fn read_only(&self) -> bool {
        false
    }
}

/// The entries of a directory in /proc.
struct ProcSource {
    kind: Kind,
    path: Vec<u8>,
}

impl Source for ProcSource {
    fn list(&self, kernel: &Kernel) -> Result<Vec<Entry>, Errno> {
        let names: Vec<(String, u32)> = match self.kind {
            Kind::Root => {
                let mut names = system::names();
                names.extend(
                    [
                        ("self", S_IFLNK),
                        ("thread-self", S_IFLNK),
                        ("sys", S_IFDIR),
                    ]
                    .map(|(name, kind)| (name.to_string(), kind)),
                );
                names.extend(
                    [("mounts", S_IFLNK), ("net", S_IFLNK)].map(|(n, k)| (n.to_string(), k)),
                );
                names.extend(
                    kernel
                        .processes
                        .keys()
                        .map(|pid| (pid.to_string(), S_IFDIR)),
                );
                names
            }
            Kind::Process(tid, thread) => {
                process::names(kernel, tid, thread).ok_or(Errno::ENOENT)?
            }
            Kind::Tasks(pid) => kernel
                .processes
                .get(&pid)
                .ok_or(Errno::ENOENT)?
                .threads
                .iter()
                .map(|tid| (tid.to_string(), S_IFDIR))
                .collect(),
            Kind::Fds(tid) | Kind::FdInfos(tid) => {
                let kind = match self.kind {
                    Kind::Fds(_) => S_IFLNK,
                    _ => S_IFREG,
                };
                process::fds(kernel, tid)
                    .into_iter()
                    .map(|fd| (fd.to_string(), kind))
                    .collect()
            }
            Kind::Sys(dir) => system::sys_names(dir),
            Kind::Net => system::net_names(),
        };
        Ok(names
            .into_iter()
            .map(|(name, kind)| {
                let path = if self.path.is_empty() {
                    name.as_bytes().to_vec()
                } else {
                    [&self.path[..], b"/", name.as_bytes()].concat()
                };
                Entry {
                    ino: ino(&path),
                    name: name.into_bytes(),
                    kind,
                }
            })
            .collect())
    }
}

/// An open text.
struct Text {
    maker: Maker,
    writer: Option<Writer>,
    tid: Tid,
    stat: Stat,
    /// What was made when it was last read from its start.
    made: RefCell<Option<Vec<u8>>>,
}

impl File for Text {
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        let made = self.made.borrow();
        let text = made.as_deref().unwrap_or_default();
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(text.len());
        let len = out.len().min(text.len() - start);
        out[..len].copy_from_slice(&text[start..start + len]);
        Ok(len)
    }

    fn read_in(&self, kernel: &mut Kernel, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        if offset == 0 || self.made.borrow().is_none() {
            let text = self.maker.text(kernel)?;
            *self.made.borrow_mut() = Some(text);
        }
        self.read(offset, out)
    }

    fn write_in(&self, kernel: &mut Kernel, _offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let writer = self.writer.ok_or(Errno::EBADF)?;
        writer(kernel, self.tid, bytes)?;
        Ok(bytes.len())
    }

    fn truncate(&self, _size: u64) -> Result<(), Errno> {
        Ok(())
    }

    fn seekable(&self) -> bool {
        true
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(self.stat)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
