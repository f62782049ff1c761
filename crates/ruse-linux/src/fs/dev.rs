//! /dev: the devices that every program expects.

use std::rc::Rc;

use super::dirent::{Directory, KernelDirectory, Source};
use super::mount::{FileSystem, Opening, StatFs};
use super::walk::{Found, Target};
use super::*;

/// `st_dev` of what the kernel makes up.
pub(super) const DEVICE: u64 = 5;

/// A device, by its name.
struct Device {
    name: &'static str,
    major: u64,
    minor: u64,
    mode: u32,
}

const DEVICES: &[Device] = &[
    device("null", 1, 3, 0o666),
    device("zero", 1, 5, 0o666),
    device("full", 1, 7, 0o666),
    device("random", 1, 8, 0o666),
    device("urandom", 1, 9, 0o666),
    device("tty", 5, 0, 0o666),
    device("console", 5, 1, 0o620),
    device("ptmx", 5, 2, 0o666),
];

const fn device(name: &'static str, major: u64, minor: u64, mode: u32) -> Device {
    Device {
        name,
        major,
        minor,
        mode,
    }
}

const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// The file system of devices.
pub(super) struct DevFs;

impl DevFs {
    /// Holds always the same.
    pub(super) fn new() -> Self {
        Self
    }
}

fn stat_of(mode: u32, ino: u64, rdev: u64) -> Stat {
    Stat {
        dev: DEVICE,
        ino,
        mode,
        nlink: if mode & S_IFMT == S_IFDIR { 2 } else { 1 },
        rdev,
        blksize: 4096,
        ..Stat::default()
    }
}

fn find(name: &[u8]) -> Option<(&'static Device, Stat)> {
    let at = DEVICES.iter().position(|d| d.name.as_bytes() == name)?;
    let device = &DEVICES[at];
    let rdev = device.major << 8 | device.minor;
    let stat = stat_of(S_IFCHR | device.mode, at as u64 + 10, rdev);
    Some((device, stat))
}

/// What stat(2) says of /dev/`name`.
pub(super) fn stat(name: &[u8]) -> Option<Stat> {
    find(name).map(|(_, stat)| stat)
}

impl FileSystem for DevFs {
    fn look(&self, who: &Who, path: &[u8]) -> Result<Found, Errno> {
        let text = String::from_utf8_lossy(path);
        let mut parts = text.splitn(2, '/');
        let (first, rest) = (parts.next().unwrap_or_default(), parts.next());
        if first.is_empty() {
            return Ok(Found::Node(stat_of(S_IFDIR | 0o755, 1, 0)));
        }
        if let Some(at) = LINKS.iter().position(|(name, _)| *name == first) {
            let target = LINKS[at].1.as_bytes().to_vec();
            let mut stat = stat_of(S_IFLNK | 0o777, at as u64 + 30, 0);
            stat.size = target.len() as u64;
            return Ok(Found::Link {
                end: first.len(),
                target: Target::Text(target),
                stat,
            });
        }
        if first == "pts" {
            return Ok(match rest {
                None => Found::Node(stat_of(S_IFDIR | 0o755, 2, 0)),
                Some("ptmx") => Found::Node(stat_of(S_IFCHR | 0o666, 3, 5 << 8 | 2)),
                Some(rest) => match terminal(who.kernel, rest) {
                    Some(number) => Found::Node(pty::slave_stat(number)),
                    None => Found::Missing,
                },
            });
        }
        match (find(first.as_bytes()), rest) {
            (Some((_, stat)), None) => Ok(Found::Node(stat)),
            (Some(_), Some(_)) => Err(Errno::ENOTDIR),
            (None, _) => Ok(Found::Missing),
        }
    }

    fn open(&self, who: &Who, opening: &Opening) -> Result<Rc<dyn File>, Errno> {
        if let Some(place) = &opening.place {
            let pts = opening.path == b"pts";
            let stat = stat_of(S_IFDIR | 0o755, if pts { 2 } else { 1 }, 0);
            return Ok(Rc::new(KernelDirectory {
                directory: Directory::new(Rc::clone(place), Box::new(DevSource { pts })),
                stat,
            }));
        }
        if let Some(name) = opening.path.strip_prefix(b"pts/") {
            if name == b"ptmx" {
                return pty::open_master(who.kernel);
            }
            let name = String::from_utf8_lossy(name);
            let number = terminal(who.kernel, &name).ok_or(Errno::ENOENT)?;
            return pty::open_slave(who.kernel, who.tid, number, opening.flags);
        }
        let Some((device, stat)) = find(opening.path) else {
            return Err(if opening.flags & O_CREAT != 0 {
                Errno::EACCES
            } else {
                Errno::ENOENT
            });
        };
        Ok(match device.name {
            "null" => Rc::new(Plain {
                stat,
                kind: Kind::Null,
            }),
            "zero" => Rc::new(Plain {
                stat,
                kind: Kind::Zero,
            }),
            "full" => Rc::new(Plain {
                stat,
                kind: Kind::Full,
            }),
            "random" | "urandom" => Rc::new(Plain {
                stat,
                kind: Kind::Random,
            }),
            "tty" | "console" => controlling_terminal(who)?,
            "ptmx" => pty::open_master(who.kernel)?,
            _ => return Err(Errno::ENXIO),
        })
    }

    fn change(&self, _path: &[u8], change: &Change) -> Result<(), Errno> {
        match change {
            // Shells and daemons touch their terminal's owner and times.
            Change::Times(_) => Ok(()),
            _ => Err(Errno::EPERM),
        }
    }

    fn truncate(&self, _path: &[u8], _size: u64) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn statfs(&self) -> StatFs {
        StatFs {
            magic: 0x0102_1994,
            block: 4096,
            ..StatFs::default()
        }
    }

    fn name(&self) -> &'static str {
        "devtmpfs"
    }

    fn read_only(&self) -> bool {
        false
    }
}

struct DevSource {
    pts: bool,
}

impl Source for DevSource {
    fn list(&self, kernel: &Kernel) -> Result<Vec<Entry>, Errno> {
        if self.pts {
            let terminal = |number: u32| Entry {
                ino: pty::slave_stat(number).ino,
                name: number.to_string().into_bytes(),
                kind: S_IFCHR,
            };
            return Ok(pty::numbers(kernel).into_iter().map(terminal).collect());
        }
        let mut entries = vec![Entry {
            ino: 2,
            name: b"pts".to_vec(),
            kind: S_IFDIR,
        }];
        entries.extend(DEVICES.iter().enumerate().map(|(at, device)| Entry {
            ino: at as u64 + 10,
            name: device.name.as_bytes().to_vec(),
            kind: S_IFCHR,
        }));
        entries.extend(LINKS.iter().enumerate().map(|(at, (name, _))| Entry {
            ino: at as u64 + 30,
            name: name.as_bytes().to_vec(),
            kind: S_IFLNK,
        }));
        Ok(entries)
    }
}

/// The number of the terminal /dev/pts/`name`, if there is one.
fn terminal(kernel: &Kernel, name: &str) -> Option<u32> {
    let number = name.parse().ok()?;
    let numbers = pty::numbers(kernel);
    (numbers.contains(&number) && name == number.to_string()).then_some(number)
}

/// /dev/tty: the terminal of the caller's session.
fn controlling_terminal(who: &Who) -> Result<Rc<dyn File>, Errno> {
    let kernel = who.kernel;
    let thread = who.tid.and_then(|tid| kernel.threads.get(&tid));
    let process = thread.and_then(|thread| kernel.processes.get(&thread.pid));
    kernel
        .ttys
        .controlling(process.ok_or(Errno::ENXIO)?.session)
}

enum Kind {
    Null,
    Zero,
    Full,
    Random,
}

/// A device without state.
struct Plain {
    stat: Stat,
    kind: Kind,
}

impl File for Plain {
    fn read(&self, _offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        match self.kind {
            Kind::Null => Ok(0),
            Kind::Zero | Kind::Full => {
                out.fill(0);
                Ok(out.len())
            }
            // From the kernel only, so that a run can be reproduced.
            Kind::Random => Err(Errno::EINVAL),
        }
    }

    fn read_in(&self, kernel: &mut Kernel, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        if matches!(self.kind, Kind::Random) {
            kernel.host.entropy(out);
            return Ok(out.len());
        }
        self.read(offset, out)
    }

    fn write(&self, _offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        match self.kind {
            Kind::Full if !bytes.is_empty() => Err(Errno::ENOSPC),
            _ => Ok(bytes.len()),
        }
    }

    fn seekable(&self) -> bool {
        true
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(self.stat)
    }

    fn seek(&self, _offset: u64, _hole: bool) -> Result<u64, Errno> {
        Err(Errno::EINVAL)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
